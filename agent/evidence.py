"""What a program's result rests on: the regions nearest to it, each group with the words that say what it is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..programs.syntax import ListOf, Literal, Name, Program, Step
from ..tools.values import Image, Region, Regions
from .controllers.base import Fact
from .steps import regions_in

_EQUALS = re.compile(r"^\s*(?:color|colour|label|text)\s*(?:==|contains)\s*'([^']*)'\s*$")
_RELATIONS = {
    "left": "left of", "right": "right of", "nearest": "nearest to", "edge": "at an edge of", "corner": "in a corner of",
    **{f"{side} edge": f"at the {side} edge of" for side in ("left", "right", "top", "bottom")},
}  # fmt: skip
_ASKS = {"VQA": "question", "ASK": "question", "LIST": "query"}


@dataclass(frozen=True, slots=True)
class Group:
    """Regions that one step gave, and their name in words ("red dog", "cup left of table")."""

    step: str
    name: str
    regions: Regions


def groups(program: Program, values: Mapping[str, Any], mark: str = "") -> list[Group]:
    """The region steps that the result was computed from, without those that lie behind another one of them.

    "How many dogs are left of the bus?" rests on the dogs that were kept, not on every dog nor on the bus. `values` are the
    steps' values by name; a step that did not run has none. `mark` names the marked thing.
    """
    steps = {step.name: step for step in program.steps}
    found: dict[str, Group] = {}
    seen: set[str] = set()
    queue = [program.result]
    while queue:
        name = queue.pop(0)
        if name in seen:
            continue
        seen.add(name)
        step = steps.get(name)
        value = values.get(name)
        if isinstance(value, Region | Regions) and step is not None and step.op != "RESULT":
            found[name] = Group(name, noun_phrase(step, steps, mark), Regions(regions_in(value)))
            continue
        if step is not None:
            queue.extend(step.references)
    order = [step.name for step in program.steps]
    return sorted(found.values(), key=lambda group: order.index(group.step))


def references(
    program: Program, values: Mapping[str, Any], found: Sequence[Group], mark: str = ""
) -> list[Group]:
    """What the groups were related to (the bus, of the dogs left of the bus), and where a group is empty, what was sifted."""
    steps = {step.name: step for step in program.steps}
    queue = [group.step for group in found]
    told: dict[str, Group] = {}
    empty = {group.step for group in found if not group.regions}
    seen: set[str] = set()
    while queue:
        step = steps.get(queue.pop(0))
        if step is None or step.name in seen:
            continue
        seen.add(step.name)
        for key, wanted in (("reference", step.op == "RELATE"), ("object", step.name in empty)):
            other = step.arguments.get(key)
            if not wanted or not isinstance(other, Name) or other.id not in steps:
                continue
            value = values.get(other.id)
            if isinstance(value, Region | Regions):
                told[other.id] = Group(
                    other.id, noun_phrase(steps[other.id], steps, mark), Regions(regions_in(value))
                )
                if not told[other.id].regions:
                    empty.add(other.id)
        queue.extend(step.references)
    return list(told.values())


def noun_phrase(step: Step, steps: Mapping[str, Step], mark: str = "") -> str:
    """What a region step looks for, in English words."""
    arguments = step.arguments

    def behind(key: str) -> str:
        given = arguments.get(key)
        if isinstance(given, Name) and given.id in steps:
            return noun_phrase(steps[given.id], steps, mark)
        if isinstance(given, Name) and given.id == "MARK":
            return mark or "marked thing"
        return "thing"

    def text(key: str) -> str:
        given = arguments.get(key)
        return given.value if isinstance(given, Literal) and isinstance(given.value, str) else ""

    if step.op == "LOC":
        return text("object") or "thing"
    if step.op == "FACEDET":
        return "face"
    if step.op == "OCR":
        return "line of text"
    if step.op == "SELECT":
        return f"{behind('object')} that is {text('query')}" if text("query") else behind("object")
    if step.op == "FILTER":
        kept = text("keep")
        held = _EQUALS.match(text("where"))
        said = behind("object")
        if held and "color" in text("where"):
            said = f"{held[1]} {said}"
        elif text("where"):
            said = f"{said} where {text('where')}"
        said = f"{kept} {said}" if kept and kept != "all" else said
        return f"{said} of each {behind('within')}" if isinstance(arguments.get("within"), Name) else said
    if step.op == "RELATE":
        relation = _RELATIONS.get(text("relation"), text("relation"))
        return f"{behind('object')} {relation} {behind('reference')}"
    if step.op == "PANELS":
        return "panel"
    if step.op == "GROUP":
        return f"{text('by') or 'stack'} of {behind('object')}"
    if step.op == "HAVING":
        condition = f" ({text('where')})" if text("where") else ""
        return f"{behind('object')} with {behind('item')}{condition}"
    if step.op in ("SEGMENT", "SEG"):
        for key in ("box", "object"):
            if isinstance(arguments.get(key), Name):
                return behind(key)
        if isinstance(arguments.get("object"), Literal):
            return text("object") or "thing"
        return (mark or "marked thing") if step.op == "SEGMENT" else "thing"
    if step.op in ("CLASSIFY", "LABEL"):
        return behind("object")
    return "thing"


def facts(
    program: Program, values: Mapping[str, Any], found: Sequence[Group], mark: str = ""
) -> tuple[Fact, ...]:
    """The evidence in words: how many of each group, and what was read, asked or measured on the way to the result."""
    steps = {step.name: step for step in program.steps}
    told = [Fact(group.name, str(len(group.regions)), group.regions) for group in found]
    for step in program.steps:
        value = values.get(step.name)
        if value is None or isinstance(value, Region | Regions | Image) or step.op in _UNTOLD:
            continue
        told.append(Fact(_asked(step, steps, mark), _found(value), value))
    return tuple(told)


_UNTOLD = frozenset({"RESULT", "COUNT", "EVAL", "IF", "LABELS"})


def _asked(step: Step, steps: Mapping[str, Step], mark: str) -> str:
    """What a step asks, as a short phrase: the question of VQA, else the property and the thing it is of."""
    arguments = step.arguments
    if step.op in _ASKS:
        question = arguments.get(_ASKS[step.op])
        if isinstance(question, Literal):
            return str(question.value)
    for key in ("object", "box"):
        given = arguments.get(key)
        if isinstance(given, Name) and given.id in steps:
            of = noun_phrase(steps[given.id], steps, mark)
            return of if step.op == "COLOR" else f"{_PROPERTY.get(step.op, step.op.lower())} of {of}"
        if isinstance(given, ListOf):
            return _PROPERTY.get(step.op, step.op.lower())
    return _PROPERTY.get(step.op, step.op.lower())


_PROPERTY = {"READ": "text", "DEPTH": "distance", "MEASURE": "size", "COLORS": "colors", "CAPTION": "description",
             "SIMILAR": "likeness", "TEXTS": "texts", "NUMBERS": "numbers"}  # fmt: skip


def _found(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_found(item) for item in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)
