"""Nested calls become steps of their own: from calls as written to the flat steps of a Program."""

from __future__ import annotations

from dataclasses import dataclass

from . import limits
from .expressions import slots
from .syntax import Argument, ListOf, Literal, Name, Place, Step
from .tokens import Token


@dataclass
class Call:
    """A call as written, its nested calls not yet flattened."""

    op: Token
    args: list[tuple[Token, Value, Place]]


Value = Literal | Name | ListOf | Call | list["Value"]


class Flattener:
    """Nested calls become steps of their own, before the step that uses them, under names that nothing else has."""

    def __init__(self, statements: list[tuple[Token, Call]]) -> None:
        self.statements = statements
        self.taken: set[str] = set()
        for target, call in statements:
            self.taken.add(target.text)
            self.collect(call)
        self.found: list[Step] = []

    def steps(self) -> list[Step]:
        for target, call in self.statements:
            self.step(target.text, call, target.line, target.column)
        return self.found

    def collect(self, value: Value) -> None:
        if isinstance(value, Name):
            self.taken.add(value.id)
        elif isinstance(value, Literal):
            if isinstance(value.value, str):
                self.taken.update(slots(value.value))
        elif isinstance(value, Call):
            for _, argument, _ in value.args:
                self.collect(argument)
        elif isinstance(value, list):
            for item in value:
                self.collect(item)

    def step(self, name: str, call: Call, line: int, column: int) -> None:
        args: list[tuple[str, Argument]] = []
        places: list[tuple[Place, Place]] = []
        for key, value, place in call.args:
            args.append((key.text, self.argument(name, value)))
            places.append((Place(key.line, key.column), place))
        self.found.append(Step(name, call.op.text, tuple(args), line, column, tuple(places)))

    def argument(self, name: str, value: Value) -> Argument:
        if isinstance(value, list):
            return ListOf(tuple(self.item(name, item) for item in value))
        return value if isinstance(value, ListOf) else self.item(name, value)

    def item(self, name: str, value: Value) -> Literal | Name:
        if isinstance(value, Call):
            fresh = self.fresh(name)
            self.step(fresh, value, value.op.line, value.op.column)
            return Name(fresh)
        assert isinstance(value, Literal | Name)
        return value

    def fresh(self, name: str) -> str:
        """A name after the step's own, such as ANSWER0_1, that the program does not use."""
        number = 1
        stem = name[: limits.NAME_CHARS - 6]
        while f"{stem}_{number}" in self.taken:
            number += 1
        self.taken.add(f"{stem}_{number}")
        return f"{stem}_{number}"
