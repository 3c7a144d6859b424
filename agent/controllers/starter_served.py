"""The starter behind our own prompts: what a served starter makes of a planner's, a refiner's or a verifier's prompt.

It was trained on bare requests, so the examples and rules that a large model reads are set aside: the request is taken out
of the prompt, and the reply is put into the form that the prompt asks for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models.base import LanguageModelInput
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from pydantic import ConfigDict

from ... import prompts
from ...programs.parser import read
from ...programs.syntax import ListOf, Literal
from ...tools.values import Image
from .. import refiner
from ..errors import CannotError
from ..events import Recorder
from ..records import Mark, Request, Style
from .base import Fact
from .starter import NO_KNOWLEDGE, StarterController

_LINES = {
    "request": re.compile(r"^Request: (.+)$", re.MULTILINE),
    "pictures": re.compile(r"^Pictures: (.+)$", re.MULTILINE),
    "question": re.compile(r"^Question: (.+)$", re.MULTILINE),
}
_REGION = re.compile(r"^The person points at .* As a region: \w+=(SEGMENT\(.*?\))\.", re.MULTILINE)
_SEEN = re.compile(r"It was seen to be: (.+)\.$", re.MULTILINE)
_DATA = re.compile(r"<data>\n(.*?)\n</data>", re.DOTALL)
_KINDS = ("controller", "decompose", "conclude", "compose", "claims")


class StarterServed(BaseChatModel):
    """A `StarterController` as a chat model that is spoken to as `ChatController` speaks."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    controller: StarterController

    @property
    def _llm_type(self) -> str:
        return "sightline starter"

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: Any = None, **options: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """With tools it takes the next step of a decision maker."""
        return self.controller.chat_model().bind_tools(tools, tool_choice=tool_choice, **options)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **options: Any,
    ) -> ChatResult:
        system = "\n".join(str(m.text) for m in messages if isinstance(m, SystemMessage))
        asked = [str(m.text) for m in messages if isinstance(m, HumanMessage)]
        kind = next((k for k in _KINDS if system.startswith(_opening(k))), None)
        if kind is None or not asked:
            raise CannotError(NO_KNOWLEDGE)
        if kind == "compose" and system != _plainly(asked[-1]):
            raise CannotError("the starter words answers in one neutral sentence, in the question's language")
        recorder = Recorder("served")
        said = getattr(self, f"_{kind}")(asked[-1], recorder)
        thoughts = [event.data for event in recorder.events if event.kind == "thought"]
        read_in, wrote = (sum(thought[key] for thought in thoughts) for key in ("tokens_in", "tokens_out"))
        usage = {"input_tokens": read_in, "output_tokens": wrote, "total_tokens": read_in + wrote}
        return ChatResult(generations=[ChatGeneration(message=AIMessage(said, usage_metadata=usage))])

    def _controller(self, asked: str, recorder: Recorder) -> str:
        if not _LINES["request"].search(asked):
            raise CannotError("the starter writes one plan and cannot mend it; ask in other words")
        return self.controller.plan(request_in(asked), recorder)

    def _decompose(self, asked: str, recorder: Recorder) -> str:
        found = self.controller.divide(request_in(asked), _facts(asked), recorder)
        rows = [
            {"id": q.id, "text": q.text, "by": q.by, "parent": q.parent, "needs": list(q.needs)}
            for q in found
        ]
        return json.dumps({"questions": rows}, ensure_ascii=False)

    def _conclude(self, asked: str, recorder: Recorder) -> str:
        return self.controller.conclude(request_in(asked), _facts(asked), recorder)

    def _compose(self, asked: str, recorder: Recorder) -> str:
        question = _LINES["question"].search(asked)
        return self.controller.compose(question[1] if question else "", _facts(asked), Style(), recorder)

    def _claims(self, asked: str, recorder: Recorder) -> str:
        text = _DATA.search(asked)
        found = self.controller.claims(text[1] if text else "", recorder)
        rows = [
            {
                "kind": c.kind,
                "quote": c.quote,
                "entities": list(c.entities),
                "value": c.value,
                "polarity": c.polarity,
            }
            for c in found
        ]
        return json.dumps({"claims": rows}, ensure_ascii=False)


def _plainly(asked: str) -> str:
    """The refiner's prompt for the one style that the starter has."""
    question = _LINES["question"].search(asked)
    return prompts.text("compose", **refiner.settings(Style(), question[1] if question else ""))


@cache
def _opening(kind: str) -> str:
    """The first line of a system prompt, by which it is known."""
    return prompts.template(kind).split("\n", 1)[0]


def request_in(asked: str) -> Request:
    """The request that `prompting.said` wrote, with blanks for the pictures, of which only the names count here."""
    question = _LINES["request"].search(asked)
    names = _LINES["pictures"].search(asked)
    count = len(names[1].split(",")) if names else 1
    seen = _SEEN.search(asked)
    region = _REGION.search(asked)
    return Request(
        question[1] if question else asked.strip(),
        (_blank(),) * count,
        _mark(region[1], names[1] if names else "") if region else None,
        marked=seen[1] if seen else "",
    )


@cache
def _blank() -> Image:
    return Image.from_array(np.zeros((1, 1, 3), np.uint8))


def _mark(step: str, names: str) -> Mark:
    """The mark that a SEGMENT step speaks of."""
    (parsed,) = read(f"X={step}").program.steps
    numbers: dict[str, list[float]] = {}
    for key, value in parsed.args:
        if isinstance(value, ListOf):
            numbers[key] = [
                float(i.value)
                for i in value.items
                if isinstance(i, Literal) and isinstance(i.value, int | float)
            ]
    image = str(getattr(parsed.arguments.get("image"), "id", "IMAGE"))
    order = [name.strip() for name in names.split(",")]
    points = [
        (x, y, key == "point")
        for key in ("point", "background")
        for x, y in zip(numbers.get(key, [])[::2], numbers.get(key, [])[1::2], strict=False)
    ]
    box = numbers.get("box", [])
    return Mark(
        points=tuple(points),
        box=(box[0], box[1], box[2], box[3]) if len(box) == 4 else None,
        picture=order.index(image) if image in order else 0,
    )


def _facts(asked: str) -> list[Fact]:
    """The facts that `chat.fenced` wrote."""
    fence = _DATA.search(asked)
    rows: list[Mapping[str, Any]] = [json.loads(line) for line in fence[1].splitlines()] if fence else []
    return [Fact(str(row["asked"]), str(row["found"]), _value(str(row["found"]))) for row in rows]


def _value(found: str) -> Any:
    return int(found) if re.fullmatch(r"\d{1,9}", found) else found
