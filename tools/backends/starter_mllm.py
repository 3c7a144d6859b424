"""Answers and captions by the embedded starter MLLM; each picture is looked at once, whatever is asked of it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ...mllm.cutoff import held
from ..values import Image
from .common import whole

_KEPT = 64  # pictures whose encoding is kept for the next question; a few kilobytes each


class StarterModel:
    """Greedy decoding, the rationale first unless `think` is off."""

    batch = 32

    def __init__(self, weights: Path, digest: str, think: bool = True, answer_tokens: int = 160) -> None:
        from ...mllm.answerer import Answerer

        self._answerer = Answerer.load(weights)
        self._mode: Any = "think" if think else "answer"
        self._tokens = whole("answer_tokens", answer_tokens, 1, 1024)
        self._seen: OrderedDict[str, Any] = OrderedDict()
        self._lock = threading.Lock()

    def answer(self, images: Sequence[Image], questions: Sequence[str]) -> list[str]:
        """The answer to each question about its picture; equal pictures are encoded once."""
        from ...mllm.answerer import Question

        with held(self._lock):
            seen = self._look(images)
            asked = [
                Question(text, (one,), mode=self._mode) for text, one in zip(questions, seen, strict=True)
            ]
            replies = self._answerer.ask(asked, batch=self.batch, max_new_tokens=self._tokens)
        return [reply.text for reply in replies]

    def stream(self, image: Image, question: str) -> Iterator[str]:
        """The answer that `answer` gives, in pieces as it is written."""
        from ...mllm.answerer import Question

        with held(self._lock):
            (seen,) = self._look([image])
        return self._answerer.stream(Question(question, (seen,), mode=self._mode), self._tokens, self._lock)

    def caption(self, images: Sequence[Image]) -> list[str]:
        return self.answer(images, ["Describe the image briefly."] * len(images))

    def _look(self, images: Sequence[Image]) -> list[Any]:
        new = {image.hash: image for image in images if image.hash not in self._seen}
        if new:
            self._seen.update(zip(new, self._encode(list(new.values())), strict=True))
        for image in images:
            self._seen.move_to_end(image.hash)
        seen = [self._seen[image.hash] for image in images]
        while len(self._seen) > _KEPT:
            self._seen.popitem(last=False)
        return seen

    def _encode(self, images: Sequence[Image]) -> list[Any]:
        """Each picture as the language model takes it."""
        return list(self._answerer.look([image.pixels for image in images]))
