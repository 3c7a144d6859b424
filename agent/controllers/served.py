"""Any LangChain chat model, made dependable: bounded retries, errors in one line, counted tokens, tools also as text.

`ServedModel` is a chat model itself, so that LangChain's agent runs on it as on the one inside.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from typing import Any, Literal

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models.base import LanguageModelInput
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import ConfigDict

from ...mllm.cutoff import Cutoff, current
from ..prompting import tokens
from .faults import NoToolCalling, Patience, explained
from .text_tools import read_turn, written

_TIMED_BY_CALL = ("openai", "url")  # providers whose client takes a timeout with each call
PICTURE_TOKENS = 800  # of a picture, where the provider does not tell


class ServedModel(BaseChatModel):
    """A chat model with retries, counts and one form of tool calling.

    Args:
        inner: the provider's chat model.
        label: the controller's name, for errors.
        provider: see `faults.KEYS`.
        place: the server's address, where it is not the provider's own.
        form: "native" tools, tools as "text", or "auto": native until the server says that it takes none.
        patience: of retries.
        count: is told (tokens in, tokens out) of every reply.
        sleep: waits between tries.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    inner: BaseChatModel
    label: str
    provider: str = ""
    place: str = ""
    form: Literal["native", "text", "auto"] = "auto"
    patience: Patience = Patience()
    count: Callable[[int, int], None] | None = None
    sleep: Callable[[float], None] = time.sleep

    @property
    def _llm_type(self) -> str:
        return f"sightline {self.inner._llm_type}"

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: Any = None, **options: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Tools for the next calls, whichever form they take on the wire."""
        declared = [convert_to_openai_tool(tool) for tool in tools]
        chosen = {"tool_choice": tool_choice} if tool_choice is not None else {}
        return self.bind(tools=declared, **chosen, **options)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        *,
        tools: Sequence[dict[str, Any]] = (),
        **options: Any,
    ) -> ChatResult:
        reply = (
            self._with_tools(messages, tools, stop, options)
            if tools
            else self._ask(self.inner, messages, stop, options)
        )
        return ChatResult(generations=[ChatGeneration(message=reply)])

    def _with_tools(
        self,
        messages: list[BaseMessage],
        tools: Sequence[dict[str, Any]],
        stop: list[str] | None,
        options: dict[str, Any],
    ) -> AIMessage:
        if self.form != "text" and type(self.inner).bind_tools is BaseChatModel.bind_tools:
            self.form = "text"
        if self.form != "text":
            choice = {"tool_choice": options.pop("tool_choice")} if "tool_choice" in options else {}
            try:
                return self._ask(self.inner.bind_tools(list(tools), **choice), messages, stop, options)
            except (NoToolCalling, NotImplementedError) as error:
                if self.form == "native":
                    raise explained(error, self.label, self.provider, self.place) from error
                self.form = "text"
        options.pop("tool_choice", None)
        stops = [*(stop or ()), "\nObservation"]
        return read_turn(
            self._ask(self.inner, written(messages, tools), stops, options),
            {t["function"]["name"] for t in tools},
        )

    def _ask(
        self,
        model: Runnable[LanguageModelInput, Any],
        messages: list[BaseMessage],
        stop: list[str] | None,
        options: dict[str, Any],
    ) -> AIMessage:
        cutoff = current()
        tried = 0
        while True:
            tried += 1
            try:
                reply = self._call(model, messages, stop, options, cutoff)
                break
            except Exception as error:  # whatever the provider's package raises becomes one line
                cutoff.check()
                pause = self.patience.wait(error, tried)
                if pause is None or (cutoff.seconds_left is not None and pause >= cutoff.seconds_left):
                    raise explained(error, self.label, self.provider, self.place, tried) from error
                self._pause(pause, cutoff)
        return self._counted(reply, messages)

    def _call(
        self,
        model: Runnable[LanguageModelInput, Any],
        messages: list[BaseMessage],
        stop: list[str] | None,
        options: dict[str, Any],
        cutoff: Cutoff,
    ) -> AIMessage:
        """One call, left alone where the cut-off comes before its reply: a socket cannot be told to hurry.

        The thread that is left behind ends with the call's own timeout, which is set to what is left where the client takes
        one by call.
        """
        left = cutoff.seconds_left
        if cutoff.open:
            reply: AIMessage = model.invoke(messages, stop=stop, **options)
            return reply
        if left is not None and self.provider in _TIMED_BY_CALL:
            own = getattr(self.inner, "request_timeout", None)
            options = {
                **options,
                "timeout": max(0.001, min(left, own) if isinstance(own, int | float) else left),
            }
        future: Future[AIMessage] = Future()
        context = contextvars.copy_context()

        def work() -> None:
            try:
                future.set_result(context.run(lambda: model.invoke(messages, stop=stop, **options)))
            except BaseException as error:  # handed on to whoever waits
                future.set_exception(error)

        threading.Thread(target=work, name="sightline-call", daemon=True).start()
        cutoff.wait(lambda seconds: bool(wait([future], timeout=seconds).done))
        return future.result()

    def _pause(self, seconds: float, cutoff: Cutoff) -> None:
        """The wait before another try, ended where nobody waits for the answer any more."""
        if cutoff.stopped is None:
            self.sleep(seconds)
        elif cutoff.stopped.wait(seconds):
            cutoff.check()

    def _counted(self, reply: AIMessage, messages: list[BaseMessage]) -> AIMessage:
        """The reply with its usage, estimated (and so marked) where the provider gives none."""
        usage = reply.usage_metadata
        if not usage or not usage.get("total_tokens"):
            read, wrote = sum(estimate(message) for message in messages), estimate(reply)
            reply = reply.model_copy(
                update={
                    "usage_metadata": {
                        "input_tokens": read,
                        "output_tokens": wrote,
                        "total_tokens": read + wrote,
                    },
                    "response_metadata": {**reply.response_metadata, "estimated": True},
                }
            )
        if self.count is not None and reply.usage_metadata is not None:
            self.count(reply.usage_metadata["input_tokens"], reply.usage_metadata["output_tokens"])
        return reply


def estimate(message: BaseMessage) -> int:
    """A message's tokens, estimated: its text, its tool calls, its pictures."""
    total = 4 + tokens(str(message.text))
    if isinstance(message.content, list):
        pictures = [
            b for b in message.content if isinstance(b, dict) and str(b.get("type", "")).startswith("image")
        ]
        total += PICTURE_TOKENS * len(pictures)
    if isinstance(message, AIMessage):
        total += sum(tokens(f"{call['name']}{call['args']}") for call in message.tool_calls)
    return total


def spent(reply: AIMessage) -> dict[str, Any]:
    """`tokens_in` and `tokens_out` for a thought event; `estimated` where they are; `reasoning` where the model gave any."""
    usage = reply.usage_metadata or {"input_tokens": 0, "output_tokens": 0}
    told: dict[str, Any] = {"tokens_in": usage["input_tokens"], "tokens_out": usage["output_tokens"]}
    if reply.response_metadata.get("estimated"):
        told["estimated"] = True
    reasoning = "\n".join(
        str(b.get("reasoning") or "") for b in reply.content_blocks if b["type"] == "reasoning"
    )
    if reasoning.strip():
        told["reasoning"] = reasoning
    return told
