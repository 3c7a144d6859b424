"""What happens while a question is answered, as a sequence of events: the trace keeps them, the faces stream them.

An event is plain JSON. Pictures stand in it by their hash; a `Sink` that stores traces keeps the pixels aside. What a
language model said is given verbatim under `said`.

| kind | data |
|---|---|
| ask | question, pictures [{hash, width, height, source}], at (a mark or null), mode, options, controller, pack, session |
| mode | chosen, why |
| thought | role (controller, decision maker, refiner, verifier), said, tokens_in, tokens_out, ms, attempt |
| plan | program (as printed), attempt, ok, errors [{code, line, column, message, suggestion}], demonstrations (ids) |
| graph | program (index), text (as it ran), nodes [{id, op, lines, cost, name (of an input)}], edges [[from, to]], notes, weights {role: digest} |
| start | program, name, op, node: a step that a tool now works on |
| step | program, name, op, node, status, ms, cached, batch, kind, value (as `programs.outputs.to_json`), shown, error, frames, masks (of its regions: `steps.places`) |
| call | id, tool, arguments, thought: a tool call that a decision maker asked for |
| observation | id (of the call), name, ok, shown, value, ms, cached, frames, masks |
| question | id, parent (id or null), text, by (tool, program, mllm): a sub-question |
| finding | id (of the question), text, boxes |
| fallback | from, to, why |
| draft | text, grounded: the answer before it was verified |
| claim | id, kind, text, span [start, end], polarity, entities |
| verdict | claim, label, probability, evidence [regions], why |
| edit | span [start, end] of the draft, before, after, claims (ids) |
| error | message, traceback (null where Sightline raised it on purpose), where |
| answer | status, text, grounded, mode |
| end | usage {calls, model_calls, tokens_in, tokens_out, ms, cached}, status |
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, get_args

from ..tools.values import Image

Kind = Literal[
    "ask", "mode", "thought", "plan", "graph", "start", "step", "call", "observation", "question", "finding", "fallback",
    "draft", "claim", "verdict", "edit", "error", "answer", "end",
]  # fmt: skip
KINDS: tuple[str, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened: its number in the trace, milliseconds since the question, its kind and its data."""

    seq: int
    ms: float
    kind: Kind
    data: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        return {"seq": self.seq, "ms": round(self.ms, 2), "kind": self.kind, "data": dict(self.data)}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Event:
        """The inverse of `to_json`; raises KeyError where a field is missing."""
        return cls(row["seq"], row["ms"], row["kind"], row["data"])


class Sink(Protocol):
    """Where events go. `pictures` are the pixels that the event speaks of, in no order; most sinks ignore them."""

    def receive(self, event: Event, pictures: Iterable[Image]) -> None: ...


@dataclass
class Recorder:
    """Numbers the events of one answer and hands each to every sink, in order. One recorder belongs to one question."""

    trace: str
    sinks: tuple[Sink, ...] = ()
    clock: Callable[[], float] = time.perf_counter
    events: list[Event] = field(default_factory=list)
    stopped: threading.Event | None = None  # set where nobody waits for the answer any more

    def __post_init__(self) -> None:
        self._start = self.clock()
        self._lock = threading.RLock()

    @property
    def ms(self) -> float:
        """Milliseconds since the question."""
        return (self.clock() - self._start) * 1000

    def emit(self, kind: Kind, pictures: Iterable[Image] = (), /, **data: Any) -> Event:
        """Record one event; `data` must be JSON. Both named arguments go by place, since events have fields so called.

        Safe from several threads: tools that a model calls side by side report as they end.
        """
        kept = tuple(pictures)
        with self._lock:
            event = Event(len(self.events), self.ms, kind, data)
            self.events.append(event)
            for sink in self.sinks:
                sink.receive(event, kept)
        return event
