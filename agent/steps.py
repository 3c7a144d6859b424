"""Programs run for a request, each step told as an event: which line became which node, what it gave, what it cost."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..errors import InputError, SightlineError
from ..programs.checker import checked
from ..programs.engine import Engine, Job
from ..programs.outputs import to_json
from ..programs.results import JobResult, ProgramResult, StepReport, Watch, kind_of, show
from ..programs.syntax import Program
from ..tools import types
from ..tools.types import ValueType
from ..tools.values import Image, Region, Regions
from .events import Recorder

SHOWN_CHARS = 600  # of a value in one line
MASK_RUNS = 50_000  # of the masks of one value in its event; beyond that the boxes must do
CONTROL = frozenset({"EVAL", "IF", "RESULT"})  # ops that the engine runs itself, without a tool


def types_of(inputs: Mapping[str, Any]) -> dict[str, ValueType]:
    """The types of the names that a program may read."""
    return {name: types.of_value(value) for name, value in inputs.items()}


def check(engine: Engine, program: str | Program, inputs: Mapping[str, Any]) -> Program:
    """The program, checked against the engine's tools and these inputs' names; raises ProgramError."""
    return checked(program, engine.registry, types_of(inputs))


def run(
    engine: Engine, programs: Sequence[Program], inputs: Mapping[str, Any], watch: Watch | None = None
) -> JobResult:
    """Run checked programs as one plan on the inputs that they read, every live step observed."""
    read = {name for program in programs for name in program.inputs}
    given = {name: value for name, value in inputs.items() if name in read}
    (result,) = engine.stream([Job(0, tuple(programs), given, watch)], observe=True)
    return result


class _Live:
    """A program's steps told as they start and finish."""

    def __init__(self, recorder: Recorder, number: int, nodes: Mapping[str, int]) -> None:
        self._recorder, self._number, self._nodes = recorder, number, nodes

    def started(self, program: int, step: str, op: str) -> None:
        self._recorder.emit("start", program=self._number, name=step, op=op, node=self._nodes.get(step))

    def finished(self, program: int, report: StepReport) -> None:
        emit_step(report, self._nodes.get(report.name), self._recorder, self._number)


def run_recorded(
    engine: Engine, program: Program, inputs: Mapping[str, Any], recorder: Recorder, number: int = 0
) -> ProgramResult:
    """Run one checked program; emits its graph, and its steps as they start and finish. `number` tells the programs of
    one answer apart.

    Raises:
        InputError: the pictures could not be read, or the models that planning needs could not be had.
    """
    try:
        nodes = _emit_graph(engine, program, recorder, number)
    except SightlineError as missing:
        raise InputError(str(missing)) from missing
    job = run(engine, [program], inputs, _Live(recorder, number, nodes))
    if job.error is not None:
        raise InputError(job.error.message)
    (result,) = job.results
    for error in result.errors:
        recorder.emit(
            "error", message=error.message, traceback=error.traceback, where=f"{error.step}={error.op}"
        )
    return result


class _Once(_Live):
    """The steps of several programs that run as one plan: what they share is told once, their results not at all."""

    def __init__(self, recorder: Recorder, number: int, nodes: Mapping[str, int]) -> None:
        super().__init__(recorder, number, nodes)
        self._begun: set[int | None] = set()
        self._told: set[int | None] = set()

    def started(self, program: int, step: str, op: str) -> None:
        node = self._nodes.get(step)
        if op != "RESULT" and node not in self._begun:
            self._begun.add(node)
            super().started(program, step, op)

    def finished(self, program: int, report: StepReport) -> None:
        node = self._nodes.get(report.name)
        if report.op != "RESULT" and node not in self._told:
            self._told.add(node)
            super().finished(program, report)


def run_together(
    engine: Engine, programs: Sequence[Program], inputs: Mapping[str, Any], recorder: Recorder, number: int
) -> JobResult:
    """Run checked programs, whose steps have names of their own, as one plan; told as one graph with its steps.

    Raises:
        SightlineError: the models that planning needs could not be had.
    """
    shown = [line for program in programs for line in program.text.splitlines() if "=RESULT(" not in line]
    nodes = emit_graph(engine, programs, recorder, number, "\n".join(shown))
    return run(engine, programs, inputs, _Once(recorder, number, nodes))


def _emit_graph(engine: Engine, program: Program, recorder: Recorder, number: int) -> dict[str, int]:
    """The plan as the engine ran it, with the program's lines (from 1) behind each node; step name -> node."""
    return emit_graph(engine, [program], recorder, number, program.text)


def emit_graph(
    engine: Engine, programs: Sequence[Program], recorder: Recorder, number: int, text: str
) -> dict[str, int]:
    """The one plan of checked programs whose steps have names of their own, told as a graph; step name -> node.

    `text` is what is shown of them: its lines, from 1, are matched to the steps by the names that they begin with.
    """
    from ..programs.explain import explain

    plan = engine.plan(programs).plan
    planned = explain(engine, programs)
    alive = plan.live()
    place = {line.partition("=")[0].strip(): at for at, line in enumerate(text.splitlines(), 1)}
    lines: dict[int, list[int]] = {}
    nodes: dict[str, int] = {}
    for line in (line for own in plan.lines for line in own):
        nodes[line.step.name] = line.node
        if line.step.name in place:
            for node in (line.node, *line.behind):
                lines.setdefault(node, []).append(place[line.step.name])
    given = {node: name for name, node in plan.inputs.items()}
    recorder.emit(
        "graph",
        program=number,
        text=text,
        weights=_weights(engine, {role for step in planned.steps for role in step.roles}),
        nodes=[
            {"id": step.node, "op": step.op, "lines": lines.get(step.node, []), "cost": round(step.ms, 3)}
            | ({"name": given[step.node]} if step.node in given else {})
            for step in planned.steps
        ],
        edges=[[dep, node.id] for node in plan.nodes if node.id in alive for dep in node.deps],
        notes=list(planned.notes),
    )
    return nodes


def _weights(engine: Engine, roles: set[str]) -> dict[str, str]:
    """The digests of the models that a plan may ask, by role: what a replay compares. Nothing is fetched for it."""
    found: dict[str, str] = {}
    for role in sorted(roles):
        with contextlib.suppress(SightlineError):  # a role that cannot be had: the step itself says so
            if engine.models.has(role):
                found[role] = engine.models.weights(role)
    return found


def emit_step(report: StepReport, node: int | None, recorder: Recorder, number: int) -> None:
    """One step of a program as an event; the pictures among its value go to the sinks that keep pixels."""
    recorder.emit(
        "step",
        tuple(pictures_in(report.value)),
        program=number,
        name=report.name,
        op=report.op,
        node=node,
        status=report.status,
        ms=round(report.ms, 3),
        cached=report.cached,
        batch=report.batch,
        kind=kind_of(report.value),
        value=to_json(report.value, None, report.name),
        shown=show(report.value, SHOWN_CHARS) if report.value is not None else "",
        error=report.error,
        **places(report.value),
    )


def places(value: Any) -> dict[str, Any]:
    """Where the regions of a value lie, for whoever draws them: the hash of each one's picture (one, if all lie in the
    same), and their masks. Nothing for a value without regions.
    """
    found = list(regions_in(value))
    if not found:
        return {}
    frames = [region.picture for region in found]
    told: dict[str, Any] = {"frames": frames[:1] if len(set(frames)) == 1 else frames}
    masks = [region.mask for region in found]
    if any(masks) and sum(len(mask.counts) for mask in masks if mask) <= MASK_RUNS:
        told["masks"] = [mask.to_json() if mask else None for mask in masks]
    return told


def pictures_in(value: Any) -> Iterator[Image]:
    """The pictures in a value."""
    if isinstance(value, Image):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from pictures_in(item)


def regions_in(value: Any) -> Iterator[Region]:
    """The regions in a value."""
    if isinstance(value, Region):
        yield value
    elif isinstance(value, list | tuple | Regions):
        for item in value:
            yield from regions_in(item)
