"""The core MLLM as a chat model: the last message's pictures and words in, its answer out."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import ConfigDict

from ..errors import InputError
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
        asked = next((m for m in reversed(messages) if m.type == "human"), None)
        if asked is None:
            raise InputError("there is no message of the user")
        question = str(asked.text).strip()
        pictures = [image for message in messages for image in _pictures(message)]
        if not pictures:
            raise InputError(
                "the core MLLM answers about a picture; send one as an image_url part (data: URL)"
            )
        if not question:
            raise InputError("the question is empty")
        mllm = self.engine.models.get("mllm", op="VQA")
        with self.engine.role_lock("mllm"):
            (text,) = mllm.answer([pictures[-1]], [question])
        for mark in stop or ():
            text = text.partition(mark)[0]
        return ChatResult(generations=[ChatGeneration(message=AIMessage(text))])


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
