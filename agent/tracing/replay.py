"""A trace run again: its programs and tool calls on its own pictures, and what now comes out otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...errors import InputError, SightlineError
from ...programs.engine import Engine
from ...programs.outputs import to_json
from ...programs.results import CACHED, DONE, SKIPPED, show
from .. import steps
from ..events import Event, Recorder
from ..records import Limits, Mark, Request
from ..toolbox import Toolbox
from .trace import Run, Trace

_UNCOMPARED = frozenset(
    {"weights", "parents", "file"}
)  # which weights looked is told apart; parents name their digests


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that came out otherwise. `where` names the step or call, `what` is "value", "status" or "error"."""

    where: str
    what: str
    before: str
    after: str

    def to_json(self) -> dict[str, str]:
        return {"where": self.where, "what": self.what, "before": self.before, "after": self.after}


@dataclass(slots=True)
class Replay:
    """What a second run gave. `compared` counts steps and calls that were compared; `problems` says, in a line each, what
    could not be run again at all.
    """

    trace: str
    pack: tuple[str, str]
    weights: list[tuple[str, str, str]] = field(
        default_factory=list
    )  # role, then, now; only those that differ
    compared: int = 0
    differences: list[Difference] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def same(self) -> bool:
        """Whether everything could be run again and came out as before."""
        return not self.differences and not self.problems

    def to_json(self) -> dict[str, Any]:
        return {
            "status": "done" if self.same else "failed",
            "trace": self.trace,
            "same": self.same,
            "compared": self.compared,
            "differences": [d.to_json() for d in self.differences],
            "problems": self.problems,
            "pack": {"before": self.pack[0], "after": self.pack[1]},
            "weights": [{"role": role, "before": then, "after": now} for role, then, now in self.weights],
        }


def replay(trace: Trace, engine: Engine, tolerance: float = 0.0) -> Replay:
    """Run the recorded programs and tool calls again and compare every step with what was recorded.

    Args:
        trace: with its pictures.
        engine: the models to look with now; one without a result cache, or with one that knows nothing of the trace.
        tolerance: by how much two numbers (a coordinate in pixels, a score) may differ and count as equal.

    Raises:
        PictureMissing: a picture of the question was not kept.
        InputError: nothing in the trace can be run again.
    """
    # what was looked up for a draft's claims is evidence, in steps of the verifier's own, and no program of anybody's
    runs = [run for run in trace.runs() if run.text and not run.checking]
    rounds = list(_rounds(trace))
    if not runs and not rounds:
        raise InputError(f"trace {trace.id} holds no program and no tool call that could be run again")
    pictures = tuple(trace.asked_pictures())
    for picture in pictures:
        _ = picture.pixels  # a picture that is gone is told now, and not by every tool that looks at it
    request = Request(trace.question or "?", pictures, Mark.from_json(trace.ask.get("at")))
    found = Replay(trace.id, (str(trace.ask.get("pack", "")), engine.models.pack.name))
    found.weights = _weights(trace, engine)
    for number, run in enumerate(runs):
        _replay_run(number if len(runs) > 1 else None, run, engine, request, found, tolerance)
    toolbox: Toolbox | None = None
    free = Limits(rounds=10**6, calls=10**6, tokens=None, seconds=None)
    for calls in rounds:
        if toolbox is None or calls[0].data.get("id") == "call1":
            toolbox = Toolbox(engine, request, Recorder("replay"), free)
        _replay_round(calls, toolbox, trace, found, tolerance)
    return found


def _replay_run(
    number: int | None, run: Run, engine: Engine, request: Request, found: Replay, tolerance: float
) -> None:
    prefix = "" if number is None else f"program {number + 1}, "
    try:
        program = steps.check(engine, run.text, request.inputs)
        job = steps.run(engine, [program], request.inputs)
    except SightlineError as error:
        found.problems.append(f"{prefix or 'the program '}cannot be run any more: {error}")
        return
    if job.error is not None:
        found.problems.append(f"{prefix or 'the program '}could not be run: {job.error.message}")
        return
    now = {report.name: report for report in job.results[0].steps}
    for step in run.steps:
        name = str(step.get("name"))
        where = f"{prefix}{name}"
        report = now.get(name)
        if report is None:
            found.problems.append(f"{where}: there is no such step any more")
            continue
        then = str(step.get("status"))
        if then == SKIPPED:
            continue  # nothing was computed then, so there is nothing to compare
        found.compared += 1
        after = to_json(report.value, None, name)
        if _outcome(then) != _outcome(report.status):
            found.differences.append(Difference(where, "status", then, report.error or report.status))
        elif step.get("error") != report.error:
            found.differences.append(Difference(where, "error", str(step.get("error")), str(report.error)))
        elif not alike(step.get("value"), after, tolerance):
            found.differences.append(Difference(where, "value", told(step.get("value")), show(report.value)))


def _outcome(status: str) -> str:
    return DONE if status == CACHED else status


def _rounds(trace: Trace) -> Iterator[list[Event]]:
    """The tool calls, grouped as they were made: those between which nothing was observed belong together."""
    waiting: list[Event] = []
    for event in trace.events:
        if event.kind == "call":
            waiting.append(event)
        elif event.kind == "observation" and waiting:
            yield waiting
            waiting = []
    if waiting:
        yield waiting


def _replay_round(
    calls: Sequence[Event], toolbox: Toolbox, trace: Trace, found: Replay, tolerance: float
) -> None:
    batch = [(str(e.data.get("tool")), _mapping(e.data.get("arguments"))) for e in calls]
    seen = toolbox.call(batch)
    for event, now in zip(calls, seen, strict=True):
        name = str(event.data.get("id"))
        after_call = (
            e.data for e in trace.of("observation") if e.seq > event.seq and e.data.get("id") == name
        )
        then = next(after_call, None)
        if then is None:
            continue  # the process ended before it was observed
        where = f"{name} {event.data.get('tool')}"
        found.compared += 1
        after = to_json(now.value, None, now.name) if now.ok else None
        if bool(then.get("ok")) != now.ok:
            found.differences.append(Difference(where, "status", str(then.get("shown")), now.shown))
        elif not alike(then.get("value"), after, tolerance):
            found.differences.append(Difference(where, "value", str(then.get("shown")), now.shown))


def _mapping(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}


def _weights(trace: Trace, engine: Engine) -> list[tuple[str, str, str]]:
    """Roles whose weights are others now than in the trace."""
    found: dict[str, tuple[str, str]] = {}
    for event in trace.of("graph"):
        for role, then in _mapping(event.data.get("weights")).items():
            try:
                now = engine.models.weights(role) if engine.models.has(role) else "not there"
            except SightlineError as error:
                now = f"not there ({error})"
            if now != then:
                found[role] = (str(then), now)
    return [(role, *pair) for role, pair in sorted(found.items())]


def alike(before: Any, after: Any, tolerance: float = 0.0) -> bool:
    """Whether two values as JSON are equal, numbers within `tolerance`, and without what depends on the weights' names."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        keys = (set(before) | set(after)) - _UNCOMPARED
        return all(
            key in before and key in after and alike(before[key], after[key], tolerance) for key in keys
        )
    if isinstance(before, list | tuple) and isinstance(after, list | tuple):
        return len(before) == len(after) and all(
            alike(a, b, tolerance) for a, b in zip(before, after, strict=True)
        )
    numbers = isinstance(before, int | float) and isinstance(after, int | float)
    if numbers and not isinstance(before, bool) and not isinstance(after, bool):
        return bool(abs(before - after) <= tolerance)
    return type(before) is type(after) and bool(before == after)


def told(value: Any, limit: int = 300) -> str:
    """A value as JSON in one line, for a report."""
    if isinstance(value, Mapping):
        if "box" in value:
            box = ", ".join(f"{v:.0f}" for v in value["box"])
            text = f"{value.get('label') or 'region'} {value.get('score', 1):.2f} [{box}]"
        elif "hash" in value:
            text = f"picture {value.get('width')}x{value.get('height')} {str(value['hash'])[:8]}"
        else:
            text = str(dict(value))
    elif isinstance(value, list | tuple):
        text = f"[{'; '.join(told(item, 80) for item in value)}]"
    elif isinstance(value, float):
        text = f"{value:g}"
    else:
        text = str(value)
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"
