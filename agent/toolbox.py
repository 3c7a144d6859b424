"""The tools over one request, for a model that decides as it goes: calls by handle, batched a round at a time."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import InputError, SightlineError
from ..programs.engine import Engine
from ..programs.outputs import to_json
from ..programs.printer import quote
from ..programs.results import ProgramResult, show
from ..programs.syntax import EXPRESSIONS, Argument, ListOf, Literal, Name, Program, ProgramError, Step
from ..tools.declaration import Argument as Declared
from ..tools.declaration import Tool
from ..tools.types import of, of_value
from ..tools.values import Image, Region, Regions
from . import steps
from .budget import Budget
from .controllers.base import Fact
from .events import Recorder
from .planner_data.builder import KIND_OF
from .quarantine import veil, veiled_quotes
from .records import Limits, Request

SHOWN_ITEMS = 12  # regions or texts told one by one; the rest is a number
RESULT = "FINAL_RESULT"
_RESERVED = frozenset({"RESULT", "IF"})  # what only a program can use


@dataclass(frozen=True, slots=True)
class Observation:
    """What one call gave: the handle that names it from now on, and the value as words for a language model.

    Words from a picture stand in `shown` between quotes where they are too short to be an order; of longer ones it tells the
    number alone (see `quarantine`), and later calls use them by the handle.
    """

    id: str
    tool: str
    name: str  # '' where it failed
    ok: bool
    value: Any
    shown: str
    ms: float
    cached: bool = False


class Toolbox:
    """Tools over one request's pictures.

    Args:
        engine: runs the calls; its cache serves repeated ones.
        request: its pictures are the first handles (IMAGE; LEFT and RIGHT for two; IMAGE1 ... for more).
        recorder: gets a `call` and an `observation` event for each call.
        limits: of the whole answer; `call` raises LimitReached before it goes past them.
    """

    def __init__(self, engine: Engine, request: Request, recorder: Recorder, limits: Limits) -> None:
        self.engine = engine
        self.request = request
        self.recorder = recorder
        self.budget = Budget(limits, recorder)
        self.values: dict[str, Any] = dict(request.inputs)  # handle -> value
        self.lines: list[Step] = []  # every call that succeeded, in order: the program that they amount to
        self.facts: list[Fact] = []
        self._calls = 0
        self._programs = 0

    # -- what a model may call ------------------------------------------------------------------------------------

    def tools(self) -> list[Tool]:
        """The tools that a model may call: all that planners see but RESULT and IF."""
        return [tool for tool in self.engine.registry.visible() if tool.name not in _RESERVED]

    def call(self, batch: Sequence[tuple[str, Mapping[str, Any]]], thought: str = "") -> list[Observation]:
        """Run the calls of one round together; an observation for each, in order.

        An argument that is a text naming a handle, where the tool takes such a value, stands for that value. A call that
        is wrong (unknown tool, bad argument) or fails gives an observation that says so; the others go on.

        Raises:
            LimitReached: the calls would go past the limit, or time or tokens are spent.
        """
        self.budget.check(calls=len(batch))
        ready: list[tuple[str, Step, Program] | None] = []
        said: list[str] = []
        ids: list[str] = []
        taken = dict.fromkeys(self.values)
        for tool, arguments in batch:
            self._calls += 1
            ids.append(f"call{self._calls}")
            self.recorder.emit("call", id=ids[-1], tool=tool, arguments=_plain(arguments), thought=thought)
            try:
                name = self._fresh(tool, taken)
                step = self._step(name, tool, arguments)
                program = self._checked(step)
            except ProgramError as error:
                ready.append(None)
                said.append("; ".join(_problem(p) for p in error.problems[:3]))
            except SightlineError as error:
                ready.append(None)
                said.append(str(error))
            else:
                taken[name] = None
                ready.append((name, step, program))
                said.append("")
        results = self._run([item[2] for item in ready if item is not None])
        observations = []
        for (tool, _), item, wrong, key in zip(batch, ready, said, ids, strict=True):
            if item is None:
                seen = Observation(key, tool, "", False, None, wrong, 0.0)
            else:
                seen = self._settle(key, item[0], item[1], next(results))
            self._observe(seen)
            observations.append(seen)
        return observations

    def run_program(self, text: str) -> ProgramResult:
        """Run a whole program on the request's pictures; raises ProgramError where it cannot run, LimitReached."""
        program = steps.check(self.engine, text, self.request.inputs)
        self.budget.check(calls=sum(step.op not in steps.CONTROL for step in program.steps))
        self._programs += 1
        return steps.run_recorded(
            self.engine, program, self.request.inputs, self.recorder, number=self._programs - 1
        )

    def look(self, question: str, image: str = "IMAGE") -> Observation:
        """Ask the core MLLM about a picture by its handle."""
        (seen,) = self.call([("VQA", {"image": image, "question": question})])
        return seen

    # -- what came of it -------------------------------------------------------------------------------------------

    @property
    def evidence(self) -> Regions:
        """Every region found so far, each once, in the order found."""
        found = dict.fromkeys(region for value in self.values.values() for region in steps.regions_in(value))
        return Regions(found)

    def program(self, result: str | None = None) -> str:
        """The calls so far as one program that gives the handle `result` (the last call's if not said); '' for none."""
        from ..programs.printer import print_program

        if not self.lines:
            return ""
        kept = _closure(self.lines, result or self.lines[-1].name)
        return print_program(Program((*kept, _result(kept[-1].name)))) if kept else ""

    def handles(self) -> str:
        """The handles in force, a line each, as a model reads them."""
        return "\n".join(f"{name}: {tell(veil(value))}" for name, value in self.values.items())

    # -- inside ----------------------------------------------------------------------------------------------------

    def _fresh(self, tool: str, taken: Mapping[str, Any]) -> str:
        stem = KIND_OF.get(tool, "ANSWER")
        number = 0
        while f"{stem}{number}" in taken:
            number += 1
        return f"{stem}{number}"

    def _step(self, name: str, op: str, arguments: Mapping[str, Any]) -> Step:
        tool = self.engine.registry.get(op)
        if op in _RESERVED:
            raise InputError(f"{op} belongs in a program; give your answer instead of calling it")
        args = []
        for key, value in arguments.items():
            declared = tool.argument(key) if tool is not None else None
            args.append((str(key), self._argument(op, str(key), declared, value)))
        return Step(name, op, tuple(args))

    def _argument(self, op: str, key: str, declared: Declared | None, value: Any) -> Argument:
        if isinstance(value, list | tuple):
            items = [self._argument(op, key, declared, item) for item in value]
            if any(isinstance(item, ListOf) for item in items):
                raise InputError(f"{op}: {key} holds lists within a list; give one list")
            return ListOf(tuple(item for item in items if not isinstance(item, ListOf)))
        if value is None or isinstance(value, bool | int | float):
            return Literal(value)
        if not isinstance(value, str):
            raise InputError(
                f"{op}: {key} must be a text, a number, a list or a handle, not {type(value).__name__}"
            )
        if EXPRESSIONS.get(op) == key or declared is None:
            return Literal(value)
        handle = value.strip().strip("{}")
        wanted = declared.type
        if handle in self.values:
            given = of_value(self.values[handle])
            if wanted.accepts(given) or wanted.broadcasts(given) or not _takes_text(declared):
                return Name(handle)
        if re.fullmatch(r"[A-Z][A-Z_]*\d+", handle) and wanted.atoms - {"Text", "Texts", "Nothing"}:
            return Name(
                handle
            )  # COUNT(box="BOX9") means regions that are not there, not a text of four letters
        # a text where only a picture or regions fit can only be meant as a handle: the checker names those there are
        return Literal(value) if _takes_text(declared) or not re.fullmatch(r"\w+", handle) else Name(handle)

    def _checked(self, step: Step) -> Program:
        text = Program((step, _result(step.name))).text
        return steps.check(self.engine, text, self.values)

    def _run(self, programs: Sequence[Program]) -> Any:
        """The programs' results, in order: all run as one plan, so that equal steps and model calls are shared."""
        if not programs:
            return iter(())
        started = time.perf_counter()
        job = steps.run(self.engine, programs, self.values)
        if job.error is not None:
            failed = ProgramResult("failed", None, (), (job.error,))
            return iter([failed] * len(programs))
        self._last_ms = (time.perf_counter() - started) * 1e3
        return iter(job.results)

    def _settle(self, key: str, name: str, step: Step, result: ProgramResult) -> Observation:
        report = next((r for r in result.steps if r.name == name), None)
        ms = report.ms if report is not None else 0.0
        if not result.ok:
            message = "; ".join(error.message for error in result.errors) or "the call failed"
            return Observation(key, step.op, "", False, None, veiled_quotes(message), ms)
        self.values[name] = result.value
        self.lines.append(step)
        self.facts.append(Fact(asked(step, self.values), tell(result.value), result.value))
        cached = report.cached if report is not None else False
        return Observation(key, step.op, name, True, result.value, tell(veil(result.value)), ms, cached)

    def _observe(self, seen: Observation) -> None:
        self.recorder.emit(
            "observation",
            tuple(steps.pictures_in(seen.value)),
            id=seen.id,
            name=seen.name,
            ok=seen.ok,
            shown=seen.shown,
            value=to_json(seen.value, None, seen.name) if seen.ok else None,
            ms=round(seen.ms, 3),
            cached=seen.cached,
            **steps.places(seen.value),
        )


def tell(value: Any) -> str:
    """A value in words for a language model: kinds, numbers and boxes; what was read or said stands in quotes."""
    if isinstance(value, Image):
        return f"a picture of {value.width} x {value.height} pixels"
    if isinstance(value, Region):
        return _region(value)
    if isinstance(value, Regions):
        if not value:
            return "nothing found"
        names: dict[str, int] = {}
        for region in value:
            names[region.label or "region"] = names.get(region.label or "region", 0) + 1
        counted = ", ".join(f"{count} x {name}" for name, count in names.items())
        told = "; ".join(_region(region) for region in value[:SHOWN_ITEMS])
        more = f"; and {len(value) - SHOWN_ITEMS} more" if len(value) > SHOWN_ITEMS else ""
        return f"{counted}: {told}{more}"
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, list | tuple):
        told = ", ".join(tell(item) for item in value[:SHOWN_ITEMS])
        more = f" and {len(value) - SHOWN_ITEMS} more" if len(value) > SHOWN_ITEMS else ""
        return f"[{told}]{more}"
    return show(value)


def _region(region: Region) -> str:
    box = ", ".join(f"{v:.0f}" for v in region.box)
    said = f" with the text {quote(region.text)}" if region.text else ""
    return f"{region.label or 'region'}{said} at [{box}]"


def asked(step: Step, values: Mapping[str, Any]) -> str:
    """A call in words, as the question that it puts to the picture: 'LOC dog', 'VQA What is this?'."""
    words = [step.op]
    for _, argument in step.args:
        if isinstance(argument, Literal) and argument.value is not None:
            words.append(str(argument.value))
        elif isinstance(argument, Name) and not isinstance(values.get(argument.id), Image):
            words.append(argument.id)
    return " ".join(words)


def _plain(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments as JSON, for the trace."""
    return {
        str(key): value if isinstance(value, str | int | float | bool | list | None) else str(value)
        for key, value in arguments.items()
    }


def _problem(problem: Any) -> str:
    """A checker's problem without the line and column, which a tool call does not have."""
    tail = f"; {problem.suggestion}" if problem.suggestion else ""
    return f"{problem.code} {problem.message}{tail}"


def _takes_text(declared: Declared) -> bool:
    return declared.type.accepts(of("Text")) or declared.type.broadcasts(of("Texts"))


def _result(name: str) -> Step:
    return Step(RESULT, "RESULT", (("var", Name(name)),))


def _closure(lines: Sequence[Step], result: str) -> list[Step]:
    """The lines that `result` rests on, in their order."""
    needed = {result}
    kept: list[Step] = []
    for step in reversed(lines):
        if step.name in needed:
            needed.update(step.references)
            kept.append(step)
    return kept[::-1]
