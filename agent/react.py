"""LLM as decision maker: ReAct over the tools (Yao et al. 2023; MM-REACT), run by LangChain's agent.

One loop serves every model: `controller.chat_model()` takes tools natively or writes them as text. The tool calls of one
round run as one batch in the engine. After the last round the model is asked once to answer from what is known.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from .. import prompts
from ..tools.values import Image
from .budget import Budget
from .controllers.base import Controller
from .errors import ControllerError, LimitReached
from .events import Recorder
from .outcome import Outcome
from .planner_data.builder import KIND_OF
from .prompting import Prompter, said
from .reading import plain_answer
from .records import Limits, Request

if TYPE_CHECKING:
    from .toolbox import Toolbox

_MADE = re.compile(
    rf"(?:{'|'.join(sorted({*KIND_OF.values(), 'ANSWER'}))})\d+"
)  # as the toolbox names values
_UNKNOWN = frozenset({"unknown", "未知", "不知道"})
_HANDLE = re.compile(r"\b[A-Z][A-Z_]*\d+\b")
TOOLS = 16  # offered at once, those that the question seems to need first: each is read again in every round


def run_react(
    request: Request, controller: Controller, toolbox: Toolbox, limits: Limits, recorder: Recorder
) -> Outcome:
    """Think, call, observe, until the model answers or a limit ends it.

    The outcome is "done" where the model answered within `limits.rounds` rounds, "partial" where a limit ended the work and
    something is known by then, "failed" where the model said nothing that can be used, or answered though every call failed.

    Raises:
        ControllerError: the model could not be reached before anything was found.
        LimitReached: nothing is left to spend at the start.
    """
    from .react_loop import Loop

    Budget(limits, recorder).check()
    offered = toolbox.tools()
    if getattr(
        controller, "told_tools", True
    ):  # False: it was trained on the tools, and is offered all of them
        offered = Prompter(toolbox.engine.registry).tools_for(
            request.asked, offered, TOOLS, pointed=request.mark is not None
        )
    system = prompts.text("react", handles=", ".join(toolbox.values), rounds=str(limits.rounds))
    asked = f"{said(request)}\n\nHandles:\n{toolbox.handles()}"
    loop = Loop(controller, toolbox, offered, limits, recorder)
    try:
        reply = loop.run(system, asked)
    except ControllerError as error:
        if not toolbox.facts:
            raise
        recorder.emit("error", message=str(error), traceback=None, where="react")
        return _outcome(toolbox, loop.thoughts, "partial", "", str(error))
    except LimitReached as error:
        return _outcome(toolbox, loop.thoughts, "partial" if toolbox.facts else "failed", "", str(error))
    text = plain_answer(reply)
    if not text:
        why = loop.cut or "the model ended without an answer"
        return _outcome(toolbox, loop.thoughts, "partial" if toolbox.facts else "failed", "", why)
    refused = [e.data["shown"] for e in recorder.events if e.kind == "observation" and not e.data["ok"]]
    if refused and not toolbox.facts:  # words after nothing but failures rest on nothing
        return _outcome(toolbox, loop.thoughts, "failed", "", f"no tool call succeeded: {refused[-1]}")
    if nothing := _says_nothing(text, toolbox):
        return _outcome(toolbox, loop.thoughts, "failed", "", nothing)
    return _outcome(toolbox, loop.thoughts, "partial" if loop.cut else "done", text, loop.cut)


def _says_nothing(text: str, toolbox: Toolbox) -> str:
    """Why an answer is none: it is the word unknown, or a handle that names nothing; '' where it is one."""
    bare = text.strip(" .。`'\"")
    if bare.lower() in _UNKNOWN:
        return "the model could not tell from what the tools gave"
    if _MADE.fullmatch(bare) and bare not in toolbox.values:
        return f"the model answered with {bare}, which names nothing"
    return ""


def _outcome(toolbox: Toolbox, thoughts: list[str], status: Any, text: str, error: str | None) -> Outcome:
    value, handle = _meant(text, toolbox)
    if not text and status == "partial":  # cut off without a word: the last thing found is what is known
        value = toolbox.facts[-1].value
    return Outcome(
        status,
        value=value,
        text=value if handle is None and isinstance(value, str) else None,
        facts=tuple(toolbox.facts),
        evidence=toolbox.evidence,
        program=toolbox.program(handle) or None,
        thoughts=tuple(thoughts),
        error=error,
    )


def _meant(text: str, toolbox: Toolbox) -> tuple[Any, str | None]:
    """The picture that an answer names by its handle, or the value whose handle is the whole answer; else the words.

    In the words a handle of a text or a number stands for it: longer words from a picture reach the model by handle alone.
    """
    made = {line.name for line in toolbox.lines}
    for handle in _HANDLE.findall(text):
        value = toolbox.values.get(handle) if handle in made else None
        pictures = isinstance(value, list) and bool(value) and isinstance(value[0], Image)
        if isinstance(value, Image) or pictures or (value is not None and text.strip(" .`'\"") == handle):
            return value, handle

    def told(match: re.Match[str]) -> str:
        value = toolbox.values.get(match[0]) if match[0] in made else None
        return f"{value}" if isinstance(value, str | int | float) else match[0]

    return _HANDLE.sub(told, text) or None, None
