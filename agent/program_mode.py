"""LLM as controller: one round from request to program, bounded repair, and the engine does the rest."""

from __future__ import annotations

from typing import Any

from ..programs.engine import Engine
from ..programs.results import CACHED, DONE, ProgramResult
from ..programs.syntax import Problem, Program, ProgramError
from ..tools.values import Region, Regions
from . import steps
from .budget import Budget
from .controllers.base import Controller
from .errors import ControllerError, LimitReached
from .events import Recorder
from .evidence import facts, groups, references
from .outcome import Outcome
from .records import Request

REPAIRS = 2  # times that the checker's errors go back to the controller


class PlanFailed(ControllerError):
    """No program that can run was written; the last attempt and its errors stand in the trace."""


def make_plan(request: Request, controller: Controller, engine: Engine, recorder: Recorder) -> Program:
    """A checked program for the request. Each attempt is told as a `plan` event with everything that is wrong with it.

    Raises:
        PlanFailed: still wrong after the repairs.
        ControllerError: the controller could not be asked, or cannot plan.
        LimitReached: time or tokens ran out between two attempts.
    """
    budget = Budget(request.limits, recorder)
    failed: list[tuple[str, list[Problem]]] = []
    for attempt in range(REPAIRS + 1):
        budget.check()
        try:
            text = controller.plan(request, recorder, failed)
        except ControllerError as error:
            if failed:  # it cannot mend its plan: what is wrong with the plan is the reason to give
                raise PlanFailed(f"the plan cannot run: {failed[-1][1][0]} ({error})") from error
            raise
        try:
            program = steps.check(engine, text, request.inputs)
        except ProgramError as error:
            failed.append((text, error.problems))
            _emit(recorder, text, attempt, error.problems)
            continue
        _emit(recorder, program.text, attempt, [])
        return program
    raise PlanFailed(f"no program after {REPAIRS} repairs: {failed[-1][1][0]}")


def _emit(recorder: Recorder, text: str, attempt: int, problems: list[Problem]) -> None:
    errors = [
        {k: p.to_json()[k] for k in ("code", "line", "column", "message", "suggestion")} for p in problems
    ]
    thought = next((e.data for e in reversed(recorder.events) if e.kind == "thought"), {})
    shown = thought.get("demonstrations", [])  # a chat controller says which ones its prompt had
    recorder.emit("plan", program=text, attempt=attempt, ok=not problems, errors=errors, demonstrations=shown)


def run_program(request: Request, controller: Controller, engine: Engine, recorder: Recorder) -> Outcome:
    """Plan and run. A failed step gives an Outcome of status "failed" with what the other steps found.

    Raises:
        ControllerError: no plan could be made.
        LimitReached: the plan needs more calls than are left, or time is up before it runs.
    """
    program = make_plan(request, controller, engine, recorder)
    Budget(request.limits, recorder).check(calls=sum(step.op not in steps.CONTROL for step in program.steps))
    result = steps.run_recorded(engine, program, request.inputs, recorder)
    return outcome_of(request, program, result)


def outcome_of(request: Request, program: Program, result: ProgramResult) -> Outcome:
    """A program's result with the evidence that it rests on."""
    values: dict[str, Any] = {step.name: step.value for step in result.steps if step.status in (DONE, CACHED)}
    found = groups(program, values, request.marked)
    shown = [*found, *references(program, values, found, request.marked)]
    regions = Regions(dict.fromkeys(_named(r, group.name) for group in shown for r in group.regions))
    told = facts(program, values, found, request.marked)
    if not result.ok:
        message = "; ".join(error.message for error in result.errors) or "the program failed"
        return Outcome("failed", facts=told, evidence=regions, program=program.text, error=message)
    return Outcome("done", value=result.value, facts=told, evidence=regions, program=program.text)


def _named(region: Region, name: str) -> Region:
    """A region that no tool named, with the words for what was looked for."""
    return region if region.label else region.derive(region.tool, label=name)


__all__ = ["REPAIRS", "LimitReached", "PlanFailed", "make_plan", "outcome_of", "run_program"]
