"""The names in force at a step of a program, and what may be written for each argument there."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import NamedTuple

from ..tools import types
from ..tools.declaration import Argument, Tool
from ..tools.registry import Registry
from ..tools.types import ValueType
from . import expression_automaton as expression
from .expression_endings import by_length, ending
from .quoting import quote
from .syntax import EXPRESSIONS

SINGLES = {
    "Text": types.of("Text"),
    "Number": types.of("Number"),
    "Flag": types.of("Flag"),
    "Nothing": types.of("Nothing"),
}


def takes(declared: ValueType, given: ValueType) -> bool:
    return declared.accepts(given) or declared.broadcasts(given)


class Value(NamedTuple):
    """What may be written for an argument: words (names, constants) with their types, choices, and kinds of literal."""

    words: Mapping[str, ValueType]
    items: Mapping[str, ValueType]  # names that may stand in a list
    choices: tuple[str, ...]  # the only texts allowed; empty: any
    text: bool
    number: bool
    text_items: bool
    number_items: bool

    @property
    def list(self) -> bool:
        return bool(self.items) or self.text_items or self.number_items

    @property
    def possible(self) -> bool:
        return bool(self.words) or self.text or self.number or self.list


class Scope:
    """The names in force at a step, and what follows from them; shared by all states of that step."""

    def __init__(self, registry: Registry, inputs: Mapping[str, ValueType], steps: tuple[tuple[str, ValueType], ...],
                 most_steps: int) -> None:  # fmt: skip
        self.registry = registry
        self.inputs = inputs
        self.steps = steps
        self.names: dict[str, ValueType] = {**inputs, **dict(steps)}
        self.most_steps = most_steps
        self.last = steps[-1][0] if steps else next(iter(inputs), "")
        self._values: dict[tuple[str, str], Value] = {}
        self._calls: dict[str, str] = {}
        self._hash = hash(steps)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, Scope)
            and (self.steps, self.inputs, self.registry) == (other.steps, other.inputs, other.registry)
        )

    @cached_property
    def sorts(self) -> dict[str, str]:
        """What EVAL may refer to."""
        found = {name: expression.sort_of(type_) for name, type_ in self.names.items()}
        return {name: sort for name, sort in found.items() if sort}

    @cached_property
    def ops(self) -> dict[str, Tool]:
        """The tools that can be called with what there is; near the step limit RESULT alone."""
        if len(self.steps) + 1 >= self.most_steps:
            return {"RESULT": self.registry["RESULT"]}
        return {
            tool.name: tool
            for tool in self.registry.visible()
            if all(self.possible(tool, a) for a in tool.arguments if a.required)
        }

    def possible(self, tool: Tool, argument: Argument) -> bool:
        return EXPRESSIONS.get(tool.name) == argument.name or self.value(tool, argument).possible

    def value(self, tool: Tool, argument: Argument) -> Value:
        """What may be written for an argument of a tool."""
        known = self._values.get((tool.name, argument.name))
        if known is None:
            declared = argument.type
            words = {name: type_ for name, type_ in self.names.items() if takes(declared, type_)}
            constants = {"True": SINGLES["Flag"], "False": SINGLES["Flag"], "None": SINGLES["Nothing"]}
            words |= {name: type_ for name, type_ in constants.items() if takes(declared, type_)}
            items = {
                name: type_
                for name, type_ in self.names.items()
                if not type_.atoms <= types.SINGULAR.keys() and takes(declared, type_.plural())
            }
            known = self._values[tool.name, argument.name] = Value(
                words,
                items,
                argument.choices,
                text=takes(declared, SINGLES["Text"]),
                number=takes(declared, SINGLES["Number"]),
                text_items=takes(declared, SINGLES["Text"].plural()),
                number_items=takes(declared, SINGLES["Number"].plural()),
            )
        return known

    def written(self, tool: Tool, argument: Argument) -> str:
        """The shortest text that may stand for an argument; RESULT takes the last step."""
        value = self.value(tool, argument)
        if EXPRESSIONS.get(tool.name) == argument.name:
            return f"'{ending(expression.START, self.sorts)}'"
        if tool.name == "RESULT" and self.last in value.words:
            return self.last
        found = list(value.words)
        if value.text:
            found += [quote(choice) for choice in value.choices] or ["''"]
        if value.number:
            found.append("0")
        return min(found, key=by_length) if found else f"[{self.item(value)}]"

    def item(self, value: Value) -> str:
        """The shortest item of a list."""
        found = list(value.items)
        if value.text_items:
            found += [quote(choice) for choice in value.choices] or ["''"]
        if value.number_items:
            found.append("0")
        return min(found, key=by_length)

    def call(self, tool: Tool) -> str:
        """The shortest arguments of a call, with its closing bracket."""
        known = self._calls.get(tool.name)
        if known is None:
            pairs = [f"{a.name}={self.written(tool, a)}" for a in tool.arguments if a.required]
            known = self._calls[tool.name] = ",".join(pairs) + ")"
        return known
