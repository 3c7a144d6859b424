"""Two traces side by side: what differs in question, plan, values, answer and costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import ndiff
from typing import Any

from .markup import Markup, tag
from .replay import alike, told
from .trace import Run, Trace


@dataclass(frozen=True, slots=True)
class Change:
    """One difference: what it is about ("answer", "program", "value" ...), where (a step), and both sides."""

    what: str
    where: str
    before: Any
    after: Any

    def to_json(self) -> dict[str, Any]:
        return {"what": self.what, "where": self.where, "before": self.before, "after": self.after}


@dataclass(frozen=True, slots=True)
class Comparison:
    """`changes` in what was asked, planned, found and answered; `costs` of both, by name."""

    a: str
    b: str
    changes: tuple[Change, ...]
    programs: tuple[str, ...]  # line diff, as difflib.ndiff has it; empty where the programs are the same
    costs: Mapping[str, tuple[float, float]]

    @property
    def same(self) -> bool:
        """Whether nothing but costs differs."""
        return not self.changes

    def to_json(self) -> dict[str, Any]:
        return {
            "a": self.a,
            "b": self.b,
            "same": self.same,
            "changes": [change.to_json() for change in self.changes],
            "programs": list(self.programs),
            "costs": {name: {"a": one, "b": other} for name, (one, other) in self.costs.items()},
        }

    def html(self) -> Markup:
        """The comparison as a piece of a page: what differs in a table, the programs line by line, the costs."""
        rows = [
            tag("tr", tag("th", f"{c.what} {c.where}".strip(), scope="row"), *(tag("td", _words(v), dir="auto") for v in (c.before, c.after)))
            for c in self.changes if c.what != "program"
        ]  # fmt: skip
        costs = [
            tag("tr", tag("th", name, scope="row"), tag("td", f"{one:.0f}"), tag("td", f"{other:.0f}"))
            for name, (one, other) in self.costs.items()
        ]
        head = tag(
            "thead", tag("tr", tag("td", ""), tag("th", self.a, scope="col"), tag("th", self.b, scope="col"))
        )
        marks = {"-": "del", "+": "ins"}
        lines = [tag(marks.get(line[:1], "span"), line + "\n") for line in self.programs]
        same = tag("p", "The same question, plan, values and answer; only the costs differ.")
        return tag(
            "div",
            same if self.same else None,
            tag("pre", tag("code", lines)) if lines else None,
            tag("table", head, tag("tbody", rows, costs)),
            class_="trace-comparison",
        )


def compare(a: Trace, b: Trace) -> Comparison:
    """What differs between two traces, of the same question or not."""
    changes: list[Change] = []

    def put(what: str, before: Any, after: Any, where: str = "") -> None:
        if before != after:
            changes.append(Change(what, where, before, after))

    put("question", a.question, b.question)
    put("pictures", _pictures(a), _pictures(b))
    put("at", a.ask.get("at"), b.ask.get("at"))
    for name in ("controller", "pack"):
        put(name, a.ask.get(name), b.ask.get(name))
    put("mode", a.mode, b.mode)
    first, second = a.runs(), b.runs()
    texts = [[line for run in runs for line in run.text.splitlines()] for runs in (first, second)]
    put("program", "\n".join(texts[0]), "\n".join(texts[1]))
    programs = (
        tuple(line for line in ndiff(texts[0], texts[1]) if not line.startswith("?"))
        if texts[0] != texts[1]
        else ()
    )
    changes += _values(first, second)
    put("weights", _weights(a), _weights(b))
    calls = [[told(e.data.get("tool")) for e in trace.of("call")] for trace in (a, b)]
    put("calls", calls[0], calls[1])
    put("status", a.status, b.status)
    put("draft", a.last("draft").get("text"), b.last("draft").get("text"))
    put("answer", a.answer, b.answer)
    verdicts = [[(e.data.get("claim"), e.data.get("label")) for e in trace.of("verdict")] for trace in (a, b)]
    put("verdicts", [list(v) for v in verdicts[0]], [list(v) for v in verdicts[1]])
    return Comparison(a.id, b.id, tuple(changes), programs, _costs(a, b))


def _values(first: list[Run], second: list[Run]) -> list[Change]:
    """Steps of the same name in programs at the same place, whose values or statuses differ."""
    changes = []
    for number, (one, other) in enumerate(zip(first, second, strict=False)):
        steps = {str(step.get("name")): step for step in other.steps}
        prefix = f"program {number + 1}, " if max(len(first), len(second)) > 1 else ""
        for step in one.steps:
            name = str(step.get("name"))
            if name not in steps:
                continue  # the diff of the programs says so
            match = steps[name]
            if step.get("error") or match.get("error"):
                if step.get("error") != match.get("error"):
                    changes.append(Change("error", prefix + name, step.get("error"), match.get("error")))
            elif not alike(step.get("value"), match.get("value")):
                changes.append(
                    Change("value", prefix + name, told(step.get("value")), told(match.get("value")))
                )
    return changes


def _words(value: Any) -> str:
    """A side of a change, as people read it."""
    if value is None or value == [] or value == {} or value == "":
        return "–"
    return value if isinstance(value, str) else told(value)


def _pictures(trace: Trace) -> list[str]:
    return [str(picture.get("hash", ""))[:12] for picture in trace.ask.get("pictures") or ()]


def _weights(trace: Trace) -> dict[str, str]:
    found: dict[str, str] = {}
    for event in trace.of("graph"):
        told_weights = event.data.get("weights")
        if isinstance(told_weights, Mapping):
            found.update({str(k): str(v) for k, v in told_weights.items()})
    return found


def _costs(a: Trace, b: Trace) -> dict[str, tuple[float, float]]:
    costs: dict[str, tuple[float, float]] = {"ms": (a.ms, b.ms)}
    for name in ("calls", "cached", "model_calls", "tokens_in", "tokens_out"):
        costs[name] = (float(a.usage.get(name) or 0), float(b.usage.get(name) or 0))
    return costs
