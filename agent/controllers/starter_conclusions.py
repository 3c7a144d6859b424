"""How the starter concludes from sub-answers: with the expression that it writes for the question, worked out over them.

In words alone it was right two times in three on made-up pairs of sub-answers (they are kept for what no expression
joins). The expression is the one in which its plan for the question ends; each value in it is the sub-answer that speaks of the
same thing, or else the one in the same place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...programs.expressions import EvalError, compile_expression
from ...programs.syntax import Literal, Program, Step
from ..answering import short
from ..language import NO, YES, chinese_things, language_of
from ..planner_data.lexicon import english_plural
from .base import Fact

_MEASURED = {
    "COUNT": int,
    "COLOR": list,
}  # what gives a value that a sub-answer can stand for, and of which kind


def worked_out(program: Program, facts: Sequence[Fact], language: str) -> str | None:
    """The value of the expression in which a program ends, over the facts; None where it ends in none that they fill."""
    steps = {step.name: step for step in program.steps}
    end = steps.get(program.steps[-1].references[0]) if program.steps[-1].references else None
    expression = end.arguments.get("expr") if end is not None and end.op == "EVAL" else None
    if end is None or not isinstance(expression, Literal) or len(end.references) != len(facts):
        return None
    slots = [steps[name] for name in end.references if name in steps]
    values: dict[str, Any] = {}
    for slot, fact in zip(slots, _matched(slots, steps, facts), strict=False):
        value = _value(slot.op, fact.found)
        if value is None:
            return None
        values[slot.name] = value
    if len(values) != len(facts):
        return None
    try:
        found = compile_expression(str(expression.value)).evaluate(values)
    except EvalError:
        return None
    return short(found, language)


def _matched(slots: Sequence[Step], steps: dict[str, Step], facts: Sequence[Fact]) -> list[Fact]:
    """The fact for each slot: the only one whose question names what the slot looks for, else those in their order."""
    found: list[Fact] = []
    for slot in slots:
        fitting = [fact for fact in facts if _names(fact.asked, _sought(slot, steps))]
        if len(fitting) != 1 or fitting[0] in found:
            return list(facts)
        found.append(fitting[0])
    return found


def _sought(step: Step, steps: dict[str, Step]) -> str:
    """What the first search behind a step looks for; '' where there is none."""
    while step.op != "LOC":
        before = [steps[name] for name in step.references if name in steps]
        if not before:
            return ""
        step = before[0]
    sought = step.arguments.get("object")
    return str(sought.value).lower() if isinstance(sought, Literal) else ""


def _names(question: str, thing: str) -> bool:
    if not thing:
        return False
    if language_of(question) == "zh":
        return thing in chinese_things(question) or thing in question
    low = question.lower()
    return thing in low or english_plural(thing) in low


def _value(op: str, found: str) -> Any:
    """A sub-answer as the value that an op gives: a number of things (yes is one, no none), or colours."""
    kind = _MEASURED.get(op)
    said = found.strip().lower()
    if kind is int:
        return int(said) if said.isdigit() else 1 if said in YES else 0 if said in NO else None
    if kind is list:
        return [said] if said and not said.isdigit() and said not in YES | NO else None
    return None
