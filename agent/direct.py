"""The core MLLM answers by itself: one look at the picture, or at the part that was pointed at."""

from __future__ import annotations

from ..programs.engine import Engine
from ..programs.printer import print_program
from ..programs.syntax import Literal, Name, Program, Step
from ..tools.values import Regions
from . import steps
from .budget import Budget
from .controllers.base import Fact
from .controllers.starter_requests import asks_beyond
from .errors import CannotError
from .events import Recorder
from .marks import step as mark_step
from .outcome import Outcome
from .records import Request


def run_direct(request: Request, engine: Engine, recorder: Recorder) -> Outcome:
    """Ask the core MLLM the question as it stands.

    Raises:
        CannotError: several pictures (the role answers about one), or nothing fills the role.
        LimitReached: no call or no time is left.
    """
    if len(request.pictures) > 1:
        raise CannotError("the core MLLM looks at one picture at a time; compare pictures with a program")
    if engine.models.spec("mllm") is None and not engine.models.has("mllm"):
        raise CannotError("no core MLLM fills the role mllm; choose a pack with one (sightline models list)")
    if request.mark is not None and asks_beyond(request.asked):
        raise CannotError("the core MLLM is shown the marked part alone, and the question asks for more")
    Budget(request.limits, recorder).check(calls=1)
    made: list[Step] = []
    picture = "IMAGE"
    if request.mark is not None:
        made.append(mark_step("OBJ0", request.mark, picture))
        made.append(Step("IMAGE0", "CROP", (("image", Name(picture)), ("box", Name("OBJ0")))))
        picture = "IMAGE0"
    question = (("image", Name(picture)), ("question", Literal(request.asked)))
    made.append(Step("ANSWER0", "VQA", question))
    made.append(Step("FINAL_RESULT", "RESULT", (("var", Name("ANSWER0")),)))
    program = steps.check(engine, print_program(Program(tuple(made))), request.inputs)
    result = steps.run_recorded(engine, program, request.inputs, recorder)
    if not result.ok:
        message = "; ".join(error.message for error in result.errors) or "the core MLLM failed"
        return Outcome("failed", program=program.text, error=message)
    found = Regions(r for step in result.steps for r in steps.regions_in(step.value))
    text = str(result.value)
    return Outcome(
        "done",
        value=text,
        text=text,
        facts=(Fact(request.asked, text, text),),
        evidence=found,
        program=program.text,
    )
