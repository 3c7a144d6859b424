"""An answer's events as lines for a terminal: thoughts, plan, steps with their milliseconds, falls, verdicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

SHOWN = 90  # characters of a value in a line

Line = Callable[[str], None]


def tell(event: Any, line: Line) -> None:
    """Write what an event says; those that say nothing to a person write nothing."""
    writer = _WRITERS.get(event.kind)
    if writer is not None:
        writer(event.data, line)


def at_work(event: Any) -> str:
    """The step that a tool now works on, for a line that the next one is written over; '' for every other event."""
    if event.kind != "start":
        return ""
    return f"  {event.data['name']:<13} {event.data['op']:<10} ...\r"


def _mode(data: Mapping[str, Any], line: Line) -> None:
    line(f"mode {data['chosen']}: {data['why']}")


def _plan(data: Mapping[str, Any], line: Line) -> None:
    line("program" if data["ok"] else f"program, attempt {data['attempt'] + 1}, which cannot run")
    for row in data["program"].splitlines():
        line(f"  {row}")
    for problem in data["errors"]:
        line(f"  line {problem['line']}: {problem['code']} {problem['message']}; {problem['suggestion']}")


def _step(data: Mapping[str, Any], line: Line) -> None:
    timing = "cached" if data["cached"] else f"{data['ms']:.1f} ms"
    line(
        f"  {data['name']:<13} {data['op']:<10} {data['status']:<8}{timing:>10}  {_cut(data['error'] or data['shown'])}"
    )


def _call(data: Mapping[str, Any], line: Line) -> None:
    if data.get("thought"):
        line(f"thought: {_cut(data['thought'], 300)}")
    arguments = ", ".join(f"{key}={value!r}" for key, value in data["arguments"].items())
    line(f"  {data['tool']}({_cut(arguments)})")


def _observation(data: Mapping[str, Any], line: Line) -> None:
    line(f"    {data['name'] or 'failed'}: {_cut(data['shown'])}")


def _question(data: Mapping[str, Any], line: Line) -> None:
    line(f"sub-question {data['id']}: {_cut(data['text'], 200)}")


def _finding(data: Mapping[str, Any], line: Line) -> None:
    line(f"  {data['id']}: {_cut(data['text'], 200)}")


def _fallback(data: Mapping[str, Any], line: Line) -> None:
    line(f"{data['from']} came to nothing ({_cut(data['why'], 200)}); trying {data['to']}")


def _verdict(data: Mapping[str, Any], line: Line) -> None:
    line(
        f"  claim {data['claim']}: {data['label']} ({data['probability']:.2f}) {_cut(data.get('why') or '')}".rstrip()
    )


def _edit(data: Mapping[str, Any], line: Line) -> None:
    line(f"  corrected: {data['before']!r} -> {data['after']!r}")


_WRITERS: dict[str, Callable[[Mapping[str, Any], Line], None]] = {
    "mode": _mode, "plan": _plan, "step": _step, "call": _call, "observation": _observation, "question": _question,
    "finding": _finding, "fallback": _fallback, "verdict": _verdict, "edit": _edit,
}  # fmt: skip


def _cut(text: str, most: int = SHOWN) -> str:
    text = " ".join(str(text).split())
    return text if len(text) <= most else text[: most - 1] + "…"
