"""The records of a program: what the parser makes, the checker reads, the engine runs and the printer writes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from ..errors import InputError
from ..tools.values import digest
from .expressions import slots

EXPRESSIONS: Mapping[str, str] = {"EVAL": "expr"}  # op -> the argument whose `{NAME}`s are dependencies

Scalar = str | int | float | bool | None


@dataclass(frozen=True, eq=False, slots=True)
class Literal:
    """A value written in the program. Equal only to a literal of the same type: 1, 1.0 and True are three."""

    value: Scalar

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Literal):
            return NotImplemented
        return type(self.value) is type(other.value) and self.value == other.value

    def __hash__(self) -> int:
        return hash((type(self.value), self.value))


@dataclass(frozen=True, slots=True)
class Name:
    """A value by name: an earlier step or an input."""

    id: str


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list written in the program."""

    items: tuple[Literal | Name, ...]


Argument = Literal | Name | ListOf


class Place(NamedTuple):
    """A position in the source text; line and column count from 1, in characters."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Step:
    """One step: `name` = `op`(`args`), arguments in the order they were written.

    Positions take no part in equality: the same step elsewhere is the same step. `places` holds for each argument where
    its keyword and where its value stand.
    """

    name: str
    op: str
    args: tuple[tuple[str, Argument], ...]
    line: int = field(default=0, compare=False)
    column: int = field(default=0, compare=False)
    places: tuple[tuple[Place, Place], ...] = field(default=(), compare=False, repr=False)

    @property
    def arguments(self) -> dict[str, Argument]:
        """The arguments by keyword."""
        return dict(self.args)

    @property
    def references(self) -> tuple[str, ...]:
        """Every name this step depends on, in order of first mention: arguments, list items, `{NAME}`s of EVAL."""
        return tuple(dict.fromkeys(self._mentions()))

    def _mentions(self) -> Iterator[str]:
        expression = EXPRESSIONS.get(self.op)
        for key, argument in self.args:
            if isinstance(argument, Name):
                yield argument.id
            elif isinstance(argument, ListOf):
                yield from (item.id for item in argument.items if isinstance(item, Name))
            elif key == expression and isinstance(argument.value, str):
                yield from slots(argument.value)


@dataclass(frozen=True)
class Program:
    """A parsed program. Two programs are equal when their steps are, whatever the layout of their sources."""

    steps: tuple[Step, ...]
    source: str = field(default="", compare=False, repr=False)

    @classmethod
    def parse(cls, text: str) -> Program:
        """Parse program text; raises ProgramError with the problems of every line. Names and types: see `checker`."""
        from .parser import parse

        return parse(text)

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Names that the program uses and no step defines (IMAGE, LEFT, ...), in order of first use."""
        defined = {step.name for step in self.steps}
        used = dict.fromkeys(name for step in self.steps for name in step.references)
        return tuple(name for name in used if name not in defined)

    @property
    def result(self) -> str:
        """Name of the RESULT step, which a checked program ends with."""
        return self.steps[-1].name

    @cached_property
    def text(self) -> str:
        """The canonical text; parsing it gives an equal program."""
        from .printer import print_program

        return print_program(self)

    @cached_property
    def digest(self) -> str:
        """Hex digest of the canonical text."""
        return digest("program", self.text)

    def step(self, name: str) -> Step:
        """The step called `name`; KeyError where there is none."""
        for step in self.steps:
            if step.name == name:
                return step
        raise KeyError(name)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault of a program: `code` (see `programs.parser` and `programs.checker`), where, and what to do about it."""

    code: str
    message: str
    line: int
    column: int
    suggestion: str = ""
    severity: str = "error"  # or "warning": the program may run all the same

    def __str__(self) -> str:
        tail = f"; {self.suggestion}" if self.suggestion else ""
        return f"line {self.line}, column {self.column}: {self.code} {self.message}{tail}"

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


class ProgramError(InputError):
    """A program that cannot run; `problems` holds every error found, `str()` the first and how many more."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: list[Problem] = list(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        if not self.problems:
            return "the program cannot run"
        more = len(self.problems) - 1
        return f"{self.problems[0]}" + (f" (and {more} more problem{'s' * (more > 1)})" if more else "")


def errors_of(problems: Sequence[Problem]) -> list[Problem]:
    """The problems that keep a program from running (warnings left out)."""
    return [problem for problem in problems if problem.severity == "error"]
