"""Checks a program against the tools' signatures before anything runs, and reports every error at once.

Codes beside the parser's: E101 unknown op, E102 unknown argument, E103 missing argument, E201 undefined name, E202 name
defined twice, E203 used before its definition, E301 type, E302 not one of the choices, E401 no RESULT, E402 RESULT not
last, E501 EVAL expression outside the language, E502 undefined name in EVAL. Warnings: W201 a step that the result does
not need, W501 braces in a text that is not EVAL's.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from ..tools import types
from ..tools.declaration import Tool
from ..tools.registry import Registry
from ..tools.types import ANY, ValueType
from . import limits
from .expressions import Expression, ExpressionError, compile_expression, slots
from .fitting import misfit
from .parser import Parsed, read
from .quoting import quote, source_offset, visible
from .syntax import (
    EXPRESSIONS,
    Argument,
    Literal,
    Name,
    Place,
    Problem,
    Program,
    ProgramError,
    Step,
    errors_of,
)

IMAGE = types.of("Image")
DEFAULT_INPUTS: Mapping[str, ValueType] = {
    "IMAGE": IMAGE,
    "LEFT": IMAGE,
    "RIGHT": IMAGE,
    "IMAGES": types.of("Images"),
}
_UNREAD = frozenset({"E601", "E602"})  # the text was not read to its end: nothing can be said about the rest


def check(
    program: Program | str, registry: Registry, inputs: Mapping[str, ValueType] | None = None
) -> list[Problem]:
    """Every problem of a program, in the order of the text; an empty list where there is none.

    `inputs` are the names that the caller supplies and their types; by default IMAGE, LEFT, RIGHT and IMAGES. Only
    problems of severity "error" keep a program from running.
    """
    return _examine(program, registry, inputs)[1]


def checked(
    program: Program | str, registry: Registry, inputs: Mapping[str, ValueType] | None = None
) -> Program:
    """The parsed program where it can run; else raises ProgramError with all of its errors."""
    parsed, problems = _examine(program, registry, inputs)
    errors = errors_of(problems)
    if errors:
        raise ProgramError(errors)
    return parsed


def _examine(
    program: Program | str, registry: Registry, inputs: Mapping[str, ValueType] | None
) -> tuple[Program, list[Problem]]:
    parsed = Parsed(program) if isinstance(program, Program) else read(program)
    problems = parsed.problems
    if parsed.program.steps and not any(problem.code in _UNREAD for problem in problems):
        problems = [*problems, *_Checker(parsed, registry, inputs).run()]
    return parsed.program, sorted(problems, key=lambda problem: (problem.line, problem.column, problem.code))


class _Checker:
    def __init__(self, parsed: Parsed, registry: Registry, inputs: Mapping[str, ValueType] | None) -> None:
        self.program = parsed.program
        self.lost = {name for name, _ in parsed.lost}
        self.lost_ops = {op for _, op in parsed.lost}
        self.registry = registry
        self.supplied = dict(DEFAULT_INPUTS if inputs is None else inputs)
        self.default = inputs is None
        self.lines = self.program.source.split("\n")
        self.problems: list[Problem] = list(parsed.problems)
        self.first = len(self.problems)
        self.later: dict[str, Step] = {}  # steps not yet reached, by name
        self.known: dict[str, ValueType] = {}  # names defined so far

    def run(self) -> list[Problem]:
        steps = self.program.steps
        for step in reversed(steps):
            self.later[step.name] = step
        for step in steps:
            result = self.step(step)
            if step.name in self.known or self.is_input(step):
                self.redefined(step)
            else:
                self.known[step.name] = result
            if self.later.get(step.name) is step:
                del self.later[step.name]
        self.results()
        if not self.problems:
            self.unused()
        return self.problems[self.first :]

    @property
    def full(self) -> bool:
        """Whether as many problems are known as are worth reading (and as hostile text may make work)."""
        return len(self.problems) >= limits.PROBLEMS

    def report(
        self, code: str, message: str, place: Place, suggestion: str = "", severity: str = "error"
    ) -> None:
        if not self.full:
            self.problems.append(Problem(code, message, place.line, place.column, suggestion, severity))

    # Names

    def is_input(self, step: Step) -> bool:
        """Whether a step's name is taken by an input: one the caller named, or a default one already in use."""
        if step.name not in self.supplied:
            return False
        if not self.default:
            return True
        steps = self.program.steps
        return any(step.name in other.references for other in steps[: steps.index(step) + 1])

    def redefined(self, step: Step) -> None:
        taken = {other.name for other in self.program.steps} | set(self.supplied)
        stem = step.name.rstrip("0123456789") or step.name
        number = 0
        while f"{stem}{number}" in taken:
            number += 1
        what = "is a step already" if step.name in self.known else "is an input"
        self.report(
            "E202",
            f"{step.name} {what} and cannot be defined again",
            Place(step.line, step.column),
            f"call this step {stem}{number}, and use that name after it",
        )

    def name(
        self, name: str, place: Place, step: Step, code: str = "E201", quoted: bool = False
    ) -> ValueType:
        """The type of a name that a step mentions; reports one that is not defined by then."""
        if name in self.known:
            return self.known[name]
        if name in self.supplied:
            return self.supplied[name]
        if name == step.name:
            self.report("E203", f"{name} is used in its own definition", place, self.nearest(name))
        elif name in self.later:
            line = self.later[name].line
            self.report(
                "E203", f"{name} is used before it is defined", place, f"move line {line} above this line"
            )
        elif name not in self.lost:
            suggestion = self.nearest(name)
            if quoted and not suggestion.startswith("did you"):
                suggestion = f"write {quote(visible(name))} if it is a text"
            self.report(code, f"{visible(name)} is not defined", place, suggestion)
        return ANY

    def nearest(self, name: str) -> str:
        """A suggestion of the defined name most like `name`; of equals the highest, so ANSWER2 before ANSWER0."""
        if self.full:
            return ""
        folded = {other.upper(): other for other in (*self.supplied, *self.known)}
        near = difflib.get_close_matches(name.upper(), folded, n=1)
        if near:
            return f"did you mean {folded[near[0]]}?"
        return f"defined so far: {', '.join([*self.known][-8:])}" if self.known else ""

    # Steps

    def step(self, step: Step) -> ValueType:
        """Check one step; the type of its value, ANY where that cannot be known."""
        if step.op not in self.registry or self.registry[step.op].hidden:
            near = self.registry.suggest(step.op)
            self.report(
                "E101",
                f"there is no tool {visible(step.op)}",
                self.op_place(step),
                f"did you mean {near}?" if near else "`sightline tools` lists them",
            )
            for index, (_, argument) in enumerate(step.args):
                self.type_of(argument, self.place(step, index), step)
            return ANY
        tool = self.registry[step.op]
        given: dict[str, ValueType] = {}
        meant: set[str] = set()
        broadcasts = False
        for index, (key, argument) in enumerate(step.args):
            declared = tool.argument(key)
            place = self.place(step, index)
            if declared is None:
                meant.add(self.unknown_argument(tool, key, step, index))
                self.type_of(argument, place, step)
                continue
            if EXPRESSIONS.get(step.op) == key:
                self.expression(step, index, argument)
                continue
            type_ = self.type_of(argument, place, step, quoted="Text" in declared.type.atoms)
            given[key] = type_
            wrong = misfit(tool.name, declared, argument, type_, {**self.supplied, **self.known})
            if wrong is not None:
                self.report(wrong.code, wrong.message, place, wrong.suggestion)
            broadcasts |= declared.type.broadcasts(type_)
        for declared in tool.arguments:
            if declared.required and declared.name not in {*step.arguments, *meant}:
                self.report(
                    "E103",
                    f"{tool.name} needs the argument {declared.name}",
                    self.op_place(step),
                    f"as in {tool.example}",
                )
        if tool.name == "IF":
            return ValueType(given.get("then", ANY).atoms | given.get("otherwise", ANY).atoms)
        if tool.name == "RESULT":
            return given.get("var", ANY)
        return tool.returns.plural() if broadcasts else tool.returns

    def unknown_argument(self, tool: Tool, key: str, step: Step, index: int) -> str:
        """Report an argument that the tool does not have; the name that was probably meant, or ''."""
        names = [argument.name for argument in tool.arguments]
        near = next((name for name in names if name.lower() == key.lower()), "")
        near = near or next(iter(difflib.get_close_matches(key.lower(), names, n=1)), "")
        place = step.places[index][0] if step.places else Place(step.line, step.column)
        if near in step.arguments:
            near = ""  # what was probably meant is given too
        takes = f"{tool.name} takes {', '.join(names)}" if names else f"{tool.name} takes no argument"
        self.report(
            "E102",
            f"{tool.name} has no argument {visible(key)}",
            place,
            f"did you mean {near}= ?" if near else takes,
        )
        return near

    def type_of(self, argument: Argument, place: Place, step: Step, quoted: bool = False) -> ValueType:
        """The type of an argument as written; reports undefined names in it, and texts that look like EVAL's."""
        if isinstance(argument, Name):
            return self.name(argument.id, place, step, quoted=quoted)
        if isinstance(argument, Literal):
            if isinstance(argument.value, str):
                self.stray_slots(argument.value, place)
            return types.of_value(argument.value)
        if not argument.items:
            return types.of_value([])
        kinds = [self.type_of(item, place, step, quoted) for item in argument.items]
        if any(kind.atoms <= types.SINGULAR.keys() for kind in kinds):
            self.report("E301", "a list inside a list", place, "a list holds single values")
            return ANY
        return ValueType(frozenset().union(*(kind.plural().atoms for kind in kinds)))

    def stray_slots(self, text: str, place: Place) -> None:
        for name in slots(text):
            if name in self.known:
                self.report(
                    "W501",
                    f"{{{name}}} stands for a value only in EVAL; here it is plain text",
                    place,
                    "make the text with EVAL(expr=\"'...{NAME}...'\") and give its name",
                    "warning",
                )
                return

    # EVAL

    def expression(self, step: Step, index: int, argument: Argument) -> None:
        place = self.place(step, index)
        if not isinstance(argument, Literal) or not isinstance(argument.value, str):
            self.type_of(argument, place, step)
            self.report(
                "E501",
                "EVAL's expression must be written in the program",
                place,
                "write it in quotes, with values in braces: EVAL(expr='{ANSWER0} > 1')",
            )
            return
        text = argument.value
        try:
            expression: Expression | None = compile_expression(text)
        except ExpressionError as error:
            expression = None
            self.report("E501", f"EVAL: {error.args[0]}", self.inside(place, error.offset), error.suggestion)
        for name in slots(text):
            at = self.inside(place, max(text.find(name), 0))
            type_ = self.name(name, at, step, "E502")
            if type_.atoms <= {"Image", "Images"}:
                self.report(
                    "E301",
                    f"EVAL cannot use {name}, a picture",
                    at,
                    "ask VQA or COLOR about it and use the answer",
                )
            elif (
                expression is not None and name in expression.numeric and type_.atoms <= types.SINGULAR.keys()
            ):
                remedy = f"count first, as in ANSWER0=COUNT(box={name}), or write len({{{name}}})"
                if type_.atoms <= {
                    "Numbers"
                }:  # a measurement of each thing: one of them is meant, not how many
                    remedy = f"take one, as in {{{name}}}[0], or min({{{name}}}) or max({{{name}}})"
                self.report("E301", f"{name} is {type_}, not a number", at, remedy)

    def inside(self, place: Place, offset: int) -> Place:
        """The place of a character of the text that is written at `place`."""
        if not 0 < place.line <= len(self.lines):
            return place
        raw = self.lines[place.line - 1][place.column - 1 :]
        return (
            Place(place.line, place.column + source_offset(raw, offset))
            if raw[:1] in "'\"" and raw
            else place
        )

    def place(self, step: Step, index: int) -> Place:
        """Where the value of an argument stands."""
        return step.places[index][1] if step.places else Place(step.line, step.column)

    def op_place(self, step: Step) -> Place:
        """Where the op's name stands: after the `=`, or at the call itself where it was nested."""
        if 0 < step.line <= len(self.lines):
            line = self.lines[step.line - 1]
            start = step.column - 1
            if line.startswith(step.name, start):
                start += len(step.name)
            found = line.find(step.op, start)
            if found >= 0:
                return Place(step.line, found + 1)
        return Place(step.line, step.column)

    # The whole

    def results(self) -> None:
        """One RESULT, and nothing after it."""
        steps = self.program.steps
        found = [step for step in steps if step.op == "RESULT"]
        last = steps[-1]
        if not found:
            if "RESULT" not in self.lost_ops:
                self.report(
                    "E401",
                    "the program has no RESULT",
                    Place(last.line, last.column),
                    f"end with FINAL_RESULT=RESULT(var={last.name})",
                )
            return
        for step in found:
            if step is not found[-1]:
                self.report(
                    "E402", "a program has one RESULT; this is not the last", self.op_place(step), "remove it"
                )
            elif step is not last:
                self.report(
                    "E402",
                    f"RESULT must be the last step; {last.name} comes after it",
                    self.op_place(step),
                    "move it to the end, or remove what follows",
                )

    def unused(self) -> None:
        """Warn of steps that the result does not need; only called where there is no problem, so names resolve."""
        live = {self.program.result}
        for step in reversed(self.program.steps):
            if step.name in live:
                live.update(step.references)
        for step in self.program.steps:
            if step.name not in live:
                self.report(
                    "W201",
                    f"the result does not need {step.name}, which will not be run",
                    Place(step.line, step.column),
                    "remove the step, or use its value",
                    "warning",
                )
