"""Replies in pieces: from tokens to text, the embedded starter, a stock model, and the endpoint's chunks."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from scripted_chat import ScriptedChat, calls

from sightline.agent.controllers.endpoint import Refused, completion, streamed
from sightline.agent.controllers.starter_chat import StarterChat
from sightline.errors import InputError
from sightline.mllm import streaming
from sightline.mllm.cutoff import CutOff, Cutoff, cutting_off
from sightline.tools.values import Image
from sightline.web.core_chat import CoreChat, up_to

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


class Ids:
    """What transformers hands a streamer: a tensor-like list."""

    def __init__(self, *numbers: int) -> None:
        self.numbers = numbers

    def flatten(self) -> Ids:
        return self

    def tolist(self) -> list[int]:
        return list(self.numbers)


def spelled(ids: Sequence[int], whole: bool) -> str:
    return bytes(ids).decode("utf-8", errors="replace")


def test_pieces_are_whole_characters_and_make_the_text() -> None:
    text = "两只 dogs"

    def generate(streamer: Any) -> None:
        streamer.put(Ids(1, 2, 3))  # the prompt
        for byte in text.encode():
            streamer.put(Ids(byte))
        streamer.end()

    pieces = list(streaming.streamed(generate, spelled))
    assert pieces == list(text)


def test_a_reader_who_leaves_ends_the_work() -> None:
    ended = threading.Event()

    def generate(streamer: Any) -> None:
        try:
            for _ in range(2000):
                streamer.put(Ids(65))
                time.sleep(0.01)
        finally:
            ended.set()

    pieces = streaming.streamed(generate, spelled)
    assert next(pieces) == "A"
    pieces.close()  # type: ignore[attr-defined]
    assert ended.wait(5)


def test_a_cut_off_ends_the_work_and_is_told() -> None:
    def generate(streamer: Any) -> None:
        while True:
            streamer.put(Ids(65))
            time.sleep(0.01)

    with cutting_off(Cutoff(time.monotonic() + 0.3, why="over")), pytest.raises(CutOff, match="over"):
        list(streaming.streamed(generate, spelled))


def test_what_fails_is_raised_where_it_is_read() -> None:
    def generate(streamer: Any) -> None:
        raise RuntimeError("out of luck")

    with pytest.raises(RuntimeError, match="out of luck"):
        list(streaming.streamed(generate, spelled))


@pytest.mark.parametrize(
    ("pieces", "stops", "said"),
    [
        (["a b", " c"], [], "a b c"),
        (["a b\n", "\nc"], ["\n\n"], "a b"),
        (["a b\n", "c"], ["\n\n"], "a b\nc"),
        (["one STOP two"], ["STOP", "one "], ""),
    ],
)
def test_stop_words_end_a_stream_wherever_the_pieces_break(
    pieces: list[str], stops: list[str], said: str
) -> None:
    assert "".join(up_to(iter(pieces), stops)) == said


# -- the endpoint's chunks ------------------------------------------------------------------------------------------------


class Piecewise(BaseChatModel):
    """Says its words one by one, and may fail after them."""

    words: tuple[str, ...]
    failure: Any = None

    @property
    def _llm_type(self) -> str:
        return "piecewise"

    def _generate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **options: Any
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage("".join(self.words)))])

    def _stream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **options: Any
    ) -> Iterator[ChatGenerationChunk]:
        for word in self.words:
            yield ChatGenerationChunk(message=AIMessageChunk(content=word))
        if self.failure is not None:
            raise self.failure


def asked(**more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": "?"}], **more}


def test_each_piece_is_a_chunk_and_the_last_says_why_it_ended() -> None:
    chunks = list(streamed({"m": Piecewise(words=("two ", "dogs"))}, asked()))
    assert [c["choices"][0]["delta"].get("content") for c in chunks] == ["two ", "dogs", None]
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert [c["choices"][0]["finish_reason"] for c in chunks] == [None, None, "stop"]
    assert len({c["id"] for c in chunks}) == 1 and "usage" in chunks[-1]


def test_a_model_that_replies_whole_gives_its_words_and_calls() -> None:
    chunks = list(
        streamed({"m": ScriptedChat(script=[calls(("LOC", {"object": "dog"}), say="look")])}, asked())
    )
    deltas = [c["choices"][0]["delta"] for c in chunks]
    assert deltas[0]["content"] == "look"
    (call,) = [c for d in deltas for c in d.get("tool_calls", ())]
    assert call["index"] == 0 and call["function"] == {"name": "LOC", "arguments": '{"object": "dog"}'}
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_failures_before_the_first_word_refuse_and_later_ones_are_told_in_the_stream() -> None:
    with pytest.raises(Refused, match="no picture"):
        next(streamed({"m": Piecewise(words=(), failure=InputError("no picture"))}, asked()))
    with pytest.raises(Refused, match="no model"):
        next(streamed({"m": Piecewise(words=())}, asked(model="other")))
    *_, last = streamed({"m": Piecewise(words=("two ",), failure=InputError("the roof fell in"))}, asked())
    assert last["error"]["message"] == "the roof fell in"
    *_, last = streamed({"m": Piecewise(words=("two ",), failure=RuntimeError("secret"))}, asked())
    assert "secret" not in str(last) and last["error"]["type"] == "server_error"
    with pytest.raises(Refused, match="stop must be"):
        completion({"m": Piecewise(words=())}, asked(stop=7))


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ({"stop": ["", "x"]}, "stop has an empty text"),
        ({"tools": [{"type": "function", "function": {"name": "LOC"}}]}, "'m' takes no tools"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages cannot be read: 'tool_call_id'"),
    ],
)
def test_what_a_model_cannot_take_is_refused_in_a_line(more: dict[str, Any], line: str) -> None:
    with pytest.raises(Refused, match=line) as caught:
        completion({"m": Piecewise(words=("two",))}, asked(**more))
    assert caught.value.status == 400 and "\n" not in str(caught.value)


def test_tools_that_are_none_are_refused_in_a_line() -> None:
    with pytest.raises(Refused, match="tools cannot be read: Unsupported function"):
        completion({"m": StarterChat(step=lambda *_: ("", 0, 0))}, asked(tools=[5]))


# -- models ---------------------------------------------------------------------------------------------------------------


def test_the_starter_streams_what_it_answers() -> None:
    from sightline.programs.engine import Engine
    from sightline.tools.models import Models

    engine = Engine(Models.from_pack("scenes"))
    mllm = engine.models.get("mllm")
    image = Image.open(EXAMPLES / "scene.png")
    for question in ("Describe the picture in detail.", "How many dogs are there?", "图里有几只狗？"):
        pieces = list(mllm.stream(image, question))
        assert ["".join(pieces)] == mllm.answer([image], [question])
        assert len(pieces) > 3 or not question.startswith("Describe")
    with cutting_off(Cutoff(stopped=threading.Event())) as cutoff:
        words = mllm.stream(image, "Describe the picture in detail.")
        next(words)
        assert cutoff.stopped is not None
        cutoff.stopped.set()
        with pytest.raises(CutOff):
            list(words)
    assert CoreChat(engine=engine)._llm_type == "sightline core"


def test_a_stock_model_streams_what_it_answers(tmp_path: Path) -> None:
    import torch

    from sightline.mllm.stock import build
    from sightline.mllm.stock.config import load_config
    from sightline.tools.backends.transformers_mllm import ImageTextModel

    torch.manual_seed(1)
    config = load_config(EXAMPLES.parent / "mllm" / "configs" / "stock-tiny.yaml", [])
    folder = build.save(*build.compose(config.model), tmp_path / "tiny")
    model = ImageTextModel(folder, "digest", answer_tokens=24, device="cpu")
    image = Image.open(EXAMPLES / "scene.png")
    (whole,) = model.answer([image], ["What is it?"])
    pieces = list(model.stream(image, "What is it?"))
    assert "".join(pieces) == whole
