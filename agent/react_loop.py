"""LangChain's agent over our tools: limits as its middleware, the calls of a round as one batch, every turn in the trace."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from langchain.agents import create_agent
from langchain.agents.middleware import ModelCallLimitMiddleware, ToolCallLimitMiddleware
from langchain.agents.middleware.types import (
    AgentMiddleware,
    AgentState,
    ModelRequest,
    ModelResponse,
    hook_config,
)
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import StructuredTool
from langgraph.prebuilt.tool_node import ToolCallRequest
from langgraph.runtime import Runtime
from langgraph.types import Command

from .. import prompts
from ..tools.declaration import Tool
from ..tools.registry import json_schema
from .budget import Budget
from .controllers.base import Controller
from .controllers.faults import complaint
from .controllers.served import spent
from .controllers.text_tools import HANDLE
from .errors import ControllerError, LimitReached
from .events import Recorder
from .records import Limits

if TYPE_CHECKING:
    from .toolbox import Toolbox

_BY_HANDLE = frozenset({"Image", "Images", "Region", "Regions"})  # values that no model can write


class Loop:
    """One run of the agent on one request.

    Attributes:
        thoughts: what the model said before its calls, in order.
        cut: the limit that ended the work, in one line; None where the model ended by itself.
    """

    def __init__(
        self,
        controller: Controller,
        toolbox: Toolbox,
        offered: Sequence[Tool],
        limits: Limits,
        recorder: Recorder,
    ) -> None:
        self.controller = controller
        self.toolbox = toolbox
        self.limits = limits
        self.recorder = recorder
        self.thoughts: list[str] = []
        self.cut: str | None = None
        calls = max(1, limits.calls - Budget(limits, recorder).usage.calls)
        # hooks after the model run from the last middleware to the first: calls are counted before they are run
        limiting = [
            Round(self),
            ToolCallLimitMiddleware(run_limit=calls, exit_behavior="continue"),
            ModelCallLimitMiddleware(run_limit=limits.rounds + 1, exit_behavior="end"),
        ]
        self._graph: Any = create_agent(
            controller.chat_model(),
            [as_langchain(item) for item in offered],
            middleware=cast(Any, limiting),
        )

    def run(self, system: str, asked: str) -> str:
        """The words of the model's last turn; '' where a limit left none.

        Raises:
            ControllerError: the model could not be asked, or replied with nothing.
        """
        messages = [{"role": "system", "content": system}, {"role": "user", "content": asked}]
        state = self._graph.invoke(
            cast(Any, {"messages": messages}), {"recursion_limit": 8 * (self.limits.rounds + 2)}
        )
        last = state["messages"][-1]
        return str(last.text) if isinstance(last, AIMessage) and not last.tool_calls else ""


class Round(AgentMiddleware[AgentState[Any], Any, Any]):
    """A round: within the limits, told in the trace, its calls run together, its faults sent back."""

    def __init__(self, loop: Loop) -> None:
        super().__init__()
        self.loop = loop
        self.number = 0
        self.results: dict[str, ToolMessage] = {}

    @hook_config(can_jump_to=["end"])
    def before_model(self, state: AgentState[Any], runtime: Runtime[Any]) -> dict[str, Any] | None:
        try:
            Budget(self.loop.limits, self.loop.recorder).check()
        except LimitReached as error:
            self.loop.cut = str(error)
            return {"jump_to": "end"}
        return None

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        loop = self.loop
        self.number += 1
        if self.number > loop.limits.rounds:
            loop.cut = f"the limit of {loop.limits.rounds} rounds is reached; raise Limits.rounds"
            last = HumanMessage(prompts.text("react_last"))
            request = request.override(messages=[*request.messages, last])
        started = time.perf_counter()
        response = handler(request)
        reply = next(m for m in response.result if isinstance(m, AIMessage))
        said = str(reply.additional_kwargs.get("said") or reply.text)
        loop.recorder.emit(
            "thought", role="decision maker", said=said, ms=round((time.perf_counter() - started) * 1000, 2),
            attempt=self.number - 1, **spent(reply),
        )  # fmt: skip
        wrong = complaint(reply)
        if wrong is not None:
            raise ControllerError(f"{loop.controller.name}: {wrong}")
        return response

    @hook_config(can_jump_to=["model", "end"])
    def after_model(self, state: AgentState[Any], runtime: Runtime[Any]) -> dict[str, Any] | None:
        messages = state["messages"]
        at = max(i for i, m in enumerate(messages) if isinstance(m, AIMessage))
        reply = messages[at]
        assert isinstance(reply, AIMessage)
        if (reply.tool_calls or reply.invalid_tool_calls) and self.number > self.loop.limits.rounds:
            return {"jump_to": "end"}  # it was told that there are no more turns
        thought = str(reply.additional_kwargs.get("thought") or reply.text)
        if thought and (reply.tool_calls or reply.invalid_tool_calls):
            self.loop.thoughts.append(thought)
        settled = {m.tool_call_id for m in messages[at + 1 :] if isinstance(m, ToolMessage)}
        pending = [call for call in reply.tool_calls if call["id"] not in settled]
        if pending:
            try:
                seen = self.loop.toolbox.call([(c["name"], c["args"]) for c in pending], thought)
            except LimitReached as error:
                self.loop.cut = str(error)
                return {"jump_to": "end"}
            for call, observed in zip(pending, seen, strict=True):
                told = f"{observed.name} = {observed.shown}" if observed.ok else f"failed: {observed.shown}"
                self.results[str(call["id"])] = _result(told, call, ok=observed.ok)
        broken = [_result(f"failed: {_broken(call)}", call, ok=False) for call in reply.invalid_tool_calls]
        if not broken:
            return None
        # a call that cannot be read never reaches the tools: its error goes back at once, with what the others gave
        done = [self.results.pop(str(call["id"])) for call in pending]
        return {"messages": [*done, *broken], "jump_to": "model"}

    def wrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], ToolMessage | Command[Any]]
    ) -> ToolMessage | Command[Any]:
        """What the round's batch gave for this call."""
        return self.results.pop(str(request.tool_call["id"]))


def _result(told: str, call: Any, *, ok: bool) -> ToolMessage:
    return ToolMessage(
        told, tool_call_id=str(call["id"]), name=call["name"] or "", status="success" if ok else "error"
    )


def _broken(call: Any) -> str:
    return str(call.get("error") or f"the arguments of {call['name']} are no valid JSON; write them again")


def as_langchain(item: Tool) -> StructuredTool:
    """A declared tool as LangChain's. It is never run by LangChain: the round's batch is."""
    schema = json_schema(item)["parameters"]
    for argument in item.arguments:
        if argument.type.atoms & _BY_HANDLE:
            note = f"{argument.doc}; " if argument.doc else ""
            schema["properties"][argument.name]["description"] = f"{note}{HANDLE}"

    def run(**arguments: Any) -> str:
        raise AssertionError(f"{item.name} runs in its round's batch")

    return StructuredTool(
        name=item.name,
        description=f"{item.summary}\nExample: {item.example}",
        args_schema=schema,
        func=run,
    )
