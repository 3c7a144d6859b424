"""How well a plan is made, as GPT4Tools (Yang et al. 2023) reports it: thought, action, arguments, overall.

*Thought*: whether to use tools at all was decided rightly. *Action*: the right tools in the right order. *Arguments*: what
they were given: pictures, handles, numbers and choices count when equal, texts by BLEU. *Overall*: all of it, with every
argument above one half. A handle is right where it names the result of the step that belongs to the right one, whatever
either is called.
"""

from __future__ import annotations

import difflib
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import InputError
from ..programs.parser import read
from ..programs.syntax import EXPRESSIONS, ListOf, Literal, Name
from .events import Event

RIGHT = 0.5  # an argument above this counts as right in `overall`


@dataclass(frozen=True, slots=True)
class Handle:
    """An argument that is the result of step `step` (from 0), or an input by name where `step` is None."""

    name: str
    step: int | None = None


@dataclass(frozen=True, slots=True)
class Act:
    """One use of a tool."""

    tool: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Quality:
    """Marks of one plan, each 0 to 1; `overall` is 0 or 1."""

    thought: float
    action: float
    arguments: float
    overall: float


def acts_of_program(text: str) -> list[Act]:
    """The acts of a program's text, RESULT left out; as far as it can be read."""
    steps = [step for step in read(text).program.steps if step.op != "RESULT"]
    places = {step.name: number for number, step in enumerate(steps)}

    def plain(op: str, key: str, value: Any) -> Any:
        if isinstance(value, Name):
            return Handle(value.id, places.get(value.id))
        if isinstance(value, ListOf):
            return [plain(op, key, item) for item in value.items]
        assert isinstance(value, Literal)
        return value.value

    return [Act(step.op, {key: plain(step.op, key, value) for key, value in step.args}) for step in steps]


def acts_of_events(events: Iterable[Event]) -> list[Act]:
    """The tool calls of a trace, those that failed included."""
    acts: list[Act] = []
    numbers: dict[str, int] = {}  # call id -> act
    names: dict[str, int] = {}  # handle -> act

    def plain(value: Any) -> Any:
        if isinstance(value, list):
            return [plain(item) for item in value]
        if isinstance(value, str) and value.strip("{}") in names:
            return Handle(value.strip("{}"), names[value.strip("{}")])
        return value

    for event in events:
        if event.kind == "call":
            numbers[event.data["id"]] = len(acts)
            acts.append(Act(event.data["tool"], {k: plain(v) for k, v in event.data["arguments"].items()}))
        elif event.kind == "observation" and event.data.get("name") and event.data["id"] in numbers:
            names[event.data["name"]] = numbers[event.data["id"]]
    return acts


def score(wanted: Sequence[Act], made: Sequence[Act]) -> Quality:
    """Marks of the acts made against the right ones. No acts wanted and none made is all right."""
    thought = float(bool(wanted) == bool(made))
    if not wanted:
        return Quality(thought, thought, thought, thought)
    tools = [act.tool for act in wanted], [act.tool for act in made]
    matcher = difflib.SequenceMatcher(None, *tools, autojunk=False)
    pairs = {
        block.a + i: block.b + i for block in matcher.get_matching_blocks() for i in range(block.size)
    }  # wanted act -> made act
    action = len(pairs) / max(len(wanted), len(made))
    marks = [
        _arguments(act.arguments, made[pairs[number]].arguments, wanted, made, pairs)
        if number in pairs
        else 0.0
        for number, act in enumerate(wanted)
    ]
    overall = float(thought == 1.0 and action == 1.0 and min(marks) > RIGHT)
    return Quality(thought, action, sum(marks) / len(marks), overall)


def report(marks: Sequence[Quality]) -> dict[str, float]:
    """Means over plans; InputError where there are none."""
    if not marks:
        raise InputError("plan quality: no plans to report on")
    fields = ("thought", "action", "arguments", "overall")
    return {"n": len(marks)} | {f: round(sum(getattr(m, f) for m in marks) / len(marks), 4) for f in fields}


def _arguments(
    right: Mapping[str, Any],
    given: Mapping[str, Any],
    wanted: Sequence[Act],
    made: Sequence[Act],
    pairs: Mapping[int, int],
) -> float:
    """Mean over all arguments that either has; one that only one side has counts as wrong."""
    keys = sorted({*right, *given})
    if not keys:
        return 1.0
    found = [
        _alike(right[key], given[key], key, pairs) if key in right and key in given else 0.0 for key in keys
    ]
    return sum(found) / len(found)


def _alike(right: Any, given: Any, key: str, pairs: Mapping[int, int]) -> float:
    if isinstance(right, Handle) or isinstance(given, Handle):
        one = right if isinstance(right, Handle) else Handle(str(right))
        two = given if isinstance(given, Handle) else Handle(str(given))
        if one.step is None or two.step is None:
            return float(one.step == two.step and one.name == two.name)
        return float(pairs.get(one.step) == two.step)
    if isinstance(right, list) and isinstance(given, list):
        if len(right) != len(given) or not right:
            return float(right == given)
        return sum(_alike(a, b, key, pairs) for a, b in zip(right, given, strict=True)) / len(right)
    if isinstance(right, str) and isinstance(given, str):
        if key in EXPRESSIONS.values():  # names inside an expression differ from plan to plan
            right, given = (re.sub(r"\{\w+\}", "{}", text) for text in (right, given))
        return bleu(right, given)
    return float(type(right) is type(given) and right == given)


def bleu(right: str, given: str) -> float:
    """Sentence BLEU over words and characters of Chinese, up to 4-grams of what both have (Papineni et al. 2002); 1 when equal.

    Precisions above one word are smoothed by one, so that short texts are not all nothing.
    """
    one, two = (re.findall(r"[^\W㐀-鿿]+|[㐀-鿿]|[^\w\s]", text.lower()) for text in (right, given))
    if one == two:
        return 1.0
    if not one or not two:
        return 0.0
    logs = []
    for n in range(1, min(4, len(one), len(two)) + 1):
        seen = Counter(zip(*(two[i:] for i in range(n)), strict=False))
        known = Counter(zip(*(one[i:] for i in range(n)), strict=False))
        hits = sum(min(count, known[gram]) for gram, count in seen.items())
        smooth = 0 if n == 1 else 1
        if hits + smooth == 0:
            return 0.0
        logs.append(math.log((hits + smooth) / (sum(seen.values()) + smooth)))
    brevity = min(0.0, 1 - len(one) / len(two))
    return math.exp(brevity + sum(logs) / len(logs))
