"""The starter as LangChain sees it: a chat model that thinks and calls one tool, or answers, as its training wrote it.

Its words are "Thought: ... Action: LOC(image=IMAGE,object='dog')" or "Thought: ... Answer: 2" (ReAct, Yao et al. 2023).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models.base import LanguageModelInput
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool

from ...errors import SightlineError
from ...programs.parser import parse
from ...programs.printer import print_step
from ...programs.syntax import Argument, ListOf, Literal, Name
from ...programs.syntax import Step as ProgramStep

_REQUEST = re.compile(r"^Request: (.+)$", re.MULTILINE)
_COUNTED = re.compile(r"(\d+) x ([^:,;]+)")
_SAID = re.compile(
    r"^(?:Thought: (?P<thought>.*?))?\s*(?:Action: (?P<action>[A-Z]\w*\(.*\))|Answer: (?P<answer>.+))$",
    re.DOTALL,
)
_HANDLE = re.compile(r"^(?:IMAGES?|LEFT|RIGHT|MARK|[A-Z][A-Z_]*\d+)$")
_SOUGHT = re.compile(r"object='([^']*)'")

Step = Callable[[str, Sequence[tuple[str, str]]], tuple[str, int, int]]


class StarterChat(BaseChatModel):
    """One step of the starter a call.

    Args:
        step: from (question, pairs of what was said and what was then seen) to (words, tokens read, tokens written).
    """

    step: Step

    @property
    def _llm_type(self) -> str:
        return "sightline starter"

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: Any = None, **options: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """The tools' names; what else they say was learned in training, or not at all."""
        names = [convert_to_openai_tool(tool)["function"]["name"] for tool in tools]
        return self.bind(tools=names, **options)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        *,
        tools: Sequence[str] = (),
        **options: Any,
    ) -> ChatResult:
        question, history = conversation(messages)
        said, read, wrote = self.step(question, history)
        message = turn(said, set(tools), call_id=f"starter{len(history)}")
        message.usage_metadata = {"input_tokens": read, "output_tokens": wrote, "total_tokens": read + wrote}
        return ChatResult(generations=[ChatGeneration(message=message)])


def conversation(messages: Sequence[BaseMessage]) -> tuple[str, list[tuple[str, str]]]:
    """The question, and what was said and then seen so far, in the starter's forms."""
    question = ""
    pairs: list[tuple[str, str]] = []
    said = ""
    for message in messages:
        if isinstance(message, HumanMessage) and not question:
            found = _REQUEST.search(str(message.text))
            question = found[1] if found else str(message.text)
        elif isinstance(message, AIMessage):
            said = str(message.additional_kwargs.get("said") or "") or retold(message)
        elif isinstance(message, ToolMessage):
            pairs.append((said, observed(str(message.text), said)))
    return question, pairs


def retold(message: AIMessage) -> str:
    """A turn in the starter's words, where these were lost on the way: over HTTP only the thought and the call arrive."""
    thought = str(message.text).strip()
    if not message.tool_calls:
        return thought
    call = message.tool_calls[0]
    step = ProgramStep(
        "X", call["name"], tuple((key, _argument(value)) for key, value in call["args"].items())
    )
    action = f"Action: {print_step(step).partition('=')[2]}"
    return f"Thought: {thought} {action}" if thought else action


def _argument(value: Any) -> Argument:
    if isinstance(value, list):
        items = [_argument(item) for item in value]
        return ListOf(tuple(item for item in items if not isinstance(item, ListOf)))
    return Name(value) if isinstance(value, str) and _HANDLE.match(value) else Literal(value)


def observed(text: str, said: str) -> str:
    """A tool's result as the starter was shown it: "2 x dog"; other results by their value."""
    counted = _COUNTED.search(text)
    if counted:
        return f"{counted[1]} x {counted[2].strip()}"
    value = text.partition(" = ")[2] or text
    sought = _SOUGHT.search(said)
    if value == "nothing found" and sought:
        return f"0 x {sought[1]}"
    return value


def turn(said: str, tools: set[str], call_id: str) -> AIMessage:
    """The words as a message with a tool call, or with the answer; the words themselves stay under `said`."""
    kept = {"said": said}
    match = _SAID.match(said.strip())
    if match is None:
        return AIMessage(said, additional_kwargs=kept)
    thought = (match["thought"] or "").strip()
    if match["answer"] is not None:
        return AIMessage(match["answer"].strip(), additional_kwargs={**kept, "thought": thought})
    action = match["action"]
    try:
        (step,) = parse(f"OBJ0={action}").steps
    except (SightlineError, ValueError) as error:
        broken = {"name": action.partition("(")[0], "args": action, "id": call_id, "error": str(error)}
        return AIMessage(
            thought, invalid_tool_calls=[{**broken, "type": "invalid_tool_call"}], additional_kwargs=kept
        )
    arguments = {key: _plain(value) for key, value in step.args}
    if tools and step.op not in tools:
        broken = {"name": step.op, "args": action, "id": call_id, "error": f"there is no tool {step.op}"}
        return AIMessage(
            thought, invalid_tool_calls=[{**broken, "type": "invalid_tool_call"}], additional_kwargs=kept
        )
    call = {"name": step.op, "args": arguments, "id": call_id, "type": "tool_call"}
    return AIMessage(thought, tool_calls=[call], additional_kwargs={**kept, "thought": thought})


def _plain(value: Any) -> Any:
    if isinstance(value, ListOf):
        return [_plain(item) for item in value.items]
    return value.id if isinstance(value, Name) else value.value if isinstance(value, Literal) else value
