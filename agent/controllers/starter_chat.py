"""The starter as LangChain sees it: a chat model that thinks and calls tools, or answers, as its training wrote it.

Its words are "Thought: ... Action: LOC(image=IMAGE,object='dog')", with more actions behind it where several calls run
together, or "Thought: ... Answer: 2" (ReAct, Yao et al. 2023).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models.base import LanguageModelInput
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    InvalidToolCall,
    ToolCall,
    ToolMessage,
)
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool

from ...errors import SightlineError
from ...programs.parser import parse
from ...programs.syntax import Argument, ListOf, Literal, Name, Program
from ...programs.syntax import Step as ProgramStep
from ..errors import CannotError
from ..marks import step as mark_step
from ..planner_data.lexicon import english_plural
from .starter_requests import Asked, said_for_planning, translated
from .starter_rounds import action_of
from .starter_served import request_in

_REQUEST = re.compile(r"^Request: (.+)$", re.MULTILINE)
_SAID = re.compile(
    r"^(?:Thought: (?P<thought>.*?))?\s*(?:(?P<actions>Action: [A-Z]\w*\(.*\))|Answer: (?P<answer>.+))$",
    re.DOTALL,
)
_HANDLE = re.compile(r"^(?:IMAGES?|LEFT|RIGHT|MARK|[A-Z][A-Z_]*\d+)$")

Step = Callable[[str, Sequence[tuple[str, str]]], tuple[str, int, int]]


class StarterChat(BaseChatModel):
    """One step of the starter a call.

    Args:
        step: from (question, pairs of a call and what was told of it) to (words, tokens read, tokens written).
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
        text, history = conversation(messages)
        request = request_in(text) if _REQUEST.search(text) else None
        asked = said_for_planning(request) if request is not None else Asked(text)
        if asked.covers:
            raise CannotError("the starter tells of one marked thing what it is in program mode alone")
        said, read, wrote = self.step(asked.text, history)
        message = turn(said, set(tools), f"starter{len(history)}", asked.text)
        if asked.noun and not history:
            message = pointed(message, asked)
        message.usage_metadata = {"input_tokens": read, "output_tokens": wrote, "total_tokens": read + wrote}
        return ChatResult(generations=[ChatGeneration(message=message)])


def conversation(messages: Sequence[BaseMessage]) -> tuple[str, list[tuple[str, str]]]:
    """The first words of the user, and each call so far with what the model was told of it."""
    text = ""
    pairs: list[tuple[str, str]] = []
    calls: dict[str, str] = {}
    for message in messages:
        if isinstance(message, HumanMessage) and not text:
            text = str(message.text)
        elif isinstance(message, AIMessage):
            calls = {str(call["id"]): called(call["name"], call["args"]) for call in message.tool_calls}
            calls |= {str(call["id"]): str(call["args"] or "") for call in message.invalid_tool_calls}
        elif isinstance(message, ToolMessage):
            pairs.append((calls.get(message.tool_call_id, ""), str(message.text)))
    return text, pairs


def called(name: str, arguments: Mapping[str, Any]) -> str:
    """A tool call as the starter writes it: LOC(image=IMAGE,object='dog')."""
    return action_of(ProgramStep("X", name, tuple((key, _argument(v)) for key, v in arguments.items())))


def _argument(value: Any) -> Argument:
    if isinstance(value, list):
        items = [_argument(item) for item in value]
        return ListOf(tuple(item for item in items if not isinstance(item, ListOf)))
    return Name(value) if isinstance(value, str) and _HANDLE.match(value) else Literal(value)


def turn(said: str, tools: set[str], call_id: str, question: str = "") -> AIMessage:
    """The words as a message with tool calls, or with the answer; the words themselves stay under `said`.

    What is looked for in a Chinese `question` goes by its English name, as in its plans.
    """
    kept = {"said": said}
    match = _SAID.match(said.strip())
    if match is None:
        return AIMessage(said, additional_kwargs=kept)
    thought = (match["thought"] or "").strip()
    if match["answer"] is not None:
        return AIMessage(match["answer"].strip(), additional_kwargs={**kept, "thought": thought})
    steps: list[ProgramStep] = []
    broken: list[InvalidToolCall] = []
    for number, action in enumerate(re.split(r"\s+Action: ", match["actions"].removeprefix("Action: "))):
        key = f"{call_id}.{number}"
        try:
            (step,) = parse(f"X{number}={action}").steps
        except (SightlineError, ValueError) as error:
            broken.append(_invalid(action.partition("(")[0], action, key, str(error)))
            continue
        if tools and step.op not in tools:
            broken.append(_invalid(step.op, action, key, f"there is no tool {step.op}"))
            continue
        steps.append(step)
    calls = [
        ToolCall(
            name=step.op,
            args={k: _plain(v) for k, v in step.args},
            id=f"{call_id}.{step.name[1:]}",
            type="tool_call",
        )
        for step in translated(Program(tuple(steps)), question).steps
    ]
    return AIMessage(
        thought, tool_calls=calls, invalid_tool_calls=broken, additional_kwargs={**kept, "thought": thought}
    )


def pointed(message: AIMessage, asked: Asked) -> AIMessage:
    """The first round with its search for the noun that stands for the marked thing replaced by the mark.

    Raises:
        CannotError: it looks for something else.
    """
    assert asked.mark is not None
    for call in message.tool_calls:
        if call["name"] == "LOC" and call["args"].get("object") in (asked.noun, english_plural(asked.noun)):
            shown = mark_step("X", asked.mark, asked.picture)
            call["name"], call["args"] = shown.op, {key: _plain(value) for key, value in shown.args}
            return message
    raise CannotError("the first step does not look for what was pointed at")


def _invalid(name: str, action: str, key: str, error: str) -> InvalidToolCall:
    return InvalidToolCall(name=name, args=action, id=key, error=error, type="invalid_tool_call")


def _plain(value: Any) -> Any:
    if isinstance(value, ListOf):
        return [_plain(item) for item in value.items]
    return value.id if isinstance(value, Name) else value.value if isinstance(value, Literal) else value
