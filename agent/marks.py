"""What a person pointed at, in words and as program steps, the same for every controller: coordinates in pixels."""

from __future__ import annotations

from ..programs.engine import Engine
from ..programs.printer import print_step
from ..programs.syntax import Argument, ListOf, Literal, Name, Program, Step
from ..tools.values import Box, Image, Region
from . import steps
from .events import Recorder
from .records import Mark, Request

POINTS = "The person points at "  # how a mark is told to a language model


def place(mark: Mark) -> str:
    """Where the mark is, as the planner's requests say it: "(120, 80)" for a click, "[12, 30, 40, 60]" for a box."""
    box = mark.box or (mark.mask.box if mark.mask is not None else None)
    clicks = [point for point in mark.points if point[2]]
    if clicks:
        x, y, _ = clicks[0]
        return f"({x:.0f}, {y:.0f})"
    if box is None:  # minus points alone point at nothing; the steps say so
        return ""
    return f"[{', '.join(f'{v:.0f}' for v in box)}]"


def describe(request: Request) -> str:
    """The mark in a line for a language model, with the step that turns it into a region; '' without a mark."""
    if request.mark is None:
        return ""
    picture = request.picture_names[request.mark.picture]
    looked = f" It was seen to be: {request.marked}." if request.marked else ""
    said = print_step(step("OBJ0", request.mark, picture))
    return f"{POINTS}{place(request.mark)} in {picture}. As a region: {said}.{looked}"


def step(name: str, mark: Mark, picture: str) -> Step:
    """The step that makes the mark a region: SEGMENT at the clicks or in the box; a mask is the input MARK itself."""
    arguments: list[tuple[str, Argument]] = [("image", Name(picture))]
    for key, wanted in (("point", True), ("background", False)):
        flat = [v for x, y, is_object in mark.points if is_object == wanted for v in (x, y)]
        if flat:
            arguments.append((key, _numbers(flat)))
    if mark.mask is not None:
        arguments.append(("object", Name("MARK")))
    elif mark.box is not None:
        arguments.append(("box", _numbers(mark.box)))
    return Step(name, "SEGMENT", tuple(arguments))


def middle(mark: Mark) -> tuple[float, float] | None:
    """The first click on the thing, or the middle of the box or mask; None where nothing but minus points are given."""
    clicks = [(x, y) for x, y, is_object in mark.points if is_object]
    if clicks:
        return clicks[0]
    box = mark.box or (mark.mask.box if mark.mask is not None else None)
    return None if box is None else ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)


def covers(mark: Mark) -> str:
    """FILTER's condition for things that cover the middle of the mark."""
    x, y = middle(mark) or (0.0, 0.0)
    return f"left <= {x:g} and right > {x:g} and top <= {y:g} and bottom > {y:g}"


def covering_steps(mark: Mark, picture: str) -> list[Step]:
    """The steps that name the smallest thing that covers the middle of the mark."""
    found = (("object", Name("BOX0")), ("where", Literal(covers(mark))), ("keep", Literal("smallest")))
    return [
        Step("BOX0", "SEG", (("image", Name(picture)),)),
        Step("OBJ0", "FILTER", found),
        Step("LIST0", "LABELS", (("object", Name("OBJ0")),)),
        Step("FINAL_RESULT", "RESULT", (("var", Name("LIST0")),)),
    ]


def _numbers(values: tuple[float, ...] | list[float]) -> ListOf:
    return ListOf(tuple(Literal(int(v) if float(v).is_integer() else round(float(v), 2)) for v in values))


def named(request: Request, engine: Engine, recorder: Recorder) -> str:
    """The name of the thing at the mark: the detector's, of the smallest thing that covers the mark; '' if none does.

    The steps stand in the trace like those of any program.
    """
    mark = request.mark
    if mark is None or not engine.detects():
        return ""
    picture = request.picture_names[mark.picture]
    look = Step("OBJ0", "SEG", (("image", Name(picture)),))
    program = Program((look, Step("FINAL_RESULT", "RESULT", (("var", Name("OBJ0")),))))
    checked = steps.check(engine, program.text, request.inputs)
    result = steps.run_recorded(engine, checked, request.inputs, recorder, number=-1)
    if not result.ok:
        return ""
    found = covering(mark, list(steps.regions_in(result.value)), request.pictures[mark.picture])
    return found.label if found is not None else ""


def covering(mark: Mark, regions: list[Region], image: Image) -> Region | None:
    """The smallest region that every click lies in, or the one that fits the mark's box best (IoU of a third or more)."""
    box = mark.box or (mark.mask.box if mark.mask is not None else None)
    clicks = [(x, y) for x, y, is_object in mark.points if is_object]
    if clicks:
        under = [
            r
            for r in regions
            if all(r.box[0] <= x < r.box[2] and r.box[1] <= y < r.box[3] for x, y in clicks)
        ]
        return min(under, key=lambda r: r.width * r.height, default=None)
    if box is None:
        return None
    best = max(regions, key=lambda r: _overlap(r.box, box), default=None)
    return best if best is not None and _overlap(best.box, box) >= 1 / 3 else None


def _overlap(a: Box, b: Box) -> float:
    """Intersection over union."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)
