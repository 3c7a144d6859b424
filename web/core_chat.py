"""The core MLLM as a chat model: the last message's pictures and words in, its answer out."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import ConfigDict

from ..errors import InputError
from ..mllm.cutoff import held
from ..programs.engine import Engine
from ..tools.values import Image


class CoreChat(BaseChatModel):
    """What fills the role `mllm` of an engine, as LangChain and the endpoint see it. It answers about one picture."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    engine: Engine

    @property
    def _llm_type(self) -> str:
        return "sightline core"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **options: Any,
    ) -> ChatResult:
        picture, question = _asked(messages)
        mllm = self.engine.models.get("mllm", op="VQA")
        with held(self.engine.role_lock("mllm")):
            (text,) = mllm.answer([picture], [question])
        for mark in stop or ():
            text = text.partition(mark)[0]
        return ChatResult(generations=[ChatGeneration(message=AIMessage(text))])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **options: Any,
    ) -> Iterator[ChatGenerationChunk]:
        """The same in pieces as it is written, where the model in the role can; else in one."""
        picture, question = _asked(messages)
        mllm = self.engine.models.get("mllm", op="VQA")
        if not hasattr(mllm, "stream"):
            (generation,) = self._generate(messages, stop).generations
            yield ChatGenerationChunk(message=AIMessageChunk(content=str(generation.message.content)))
            return
        for piece in up_to(mllm.stream(picture, question), stop or ()):
            yield ChatGenerationChunk(message=AIMessageChunk(content=piece))


def up_to(pieces: Iterator[str], stops: Sequence[str]) -> Iterator[str]:
    """The pieces of a text up to the first of the words at which it must end; what may begin one is held back."""
    marks = [mark for mark in stops if mark]
    held_back = max((len(mark) for mark in marks), default=1) - 1
    text, sent = "", 0
    for piece in pieces:
        text += piece
        ends = [at for mark in marks if (at := text.find(mark)) >= 0]
        end = min(ends) if ends else len(text) - held_back
        if end > sent:
            yield text[sent:end]
            sent = end
        if ends:
            return
    if len(text) > sent:
        yield text[sent:]


def _asked(messages: Sequence[BaseMessage]) -> tuple[Image, str]:
    """The last picture, and the words of the last message of the user."""
    asked = next((m for m in reversed(messages) if m.type == "human"), None)
    if asked is None:
        raise InputError("there is no message of the user")
    question = str(asked.text).strip()
    pictures = [image for message in messages for image in _pictures(message)]
    if not pictures:
        raise InputError("the core MLLM answers about a picture; send one as an image_url part (data: URL)")
    if not question:
        raise InputError("the question is empty")
    return pictures[-1], question


def _pictures(message: BaseMessage) -> Iterator[Image]:
    """The pictures of a message; data: URLs alone, since a server that fetches addresses can be sent anywhere."""
    parts = message.content if isinstance(message.content, list) else []
    for part in parts:
        if not isinstance(part, dict) or part.get("type") not in ("image_url", "image"):
            continue
        given = part.get("image_url") or part.get("url") or part.get("base64") or ""
        url = str(given.get("url", "") if isinstance(given, dict) else given)
        if url.startswith(("http:", "https:", "file:")):
            raise InputError("addresses are not fetched here; send the picture itself as a data: URL")
        try:
            yield Image.open(base64.b64decode(url.partition(",")[2] or url, validate=True))
        except (binascii.Error, ValueError) as error:
            raise InputError("an image part is no base64 of a picture") from error
