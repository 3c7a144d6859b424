"""The model roles: what a back end must do to fill one. Pixels in and out are the original's (see `values`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from .values import Box, Image, Mask, Region, Regions

ROLES = (
    "detector",
    "open_vocabulary",
    "segmenter",
    "ocr",
    "classifier",
    "face_detector",
    "depth",
    "inpainter",
    "mllm",
    "controller",
)


class Detector(Protocol):
    """Finds every thing of a closed vocabulary, with masks where the model has them."""

    vocabulary: tuple[str, ...]

    def detect(self, images: Sequence[Image]) -> list[Regions]: ...


class Glimpsing(Detector, Protocol):
    """A detector that also tells what it saw below the score from which it lets a detection stand, without a second look."""

    def glimpse(self, images: Sequence[Image]) -> list[Regions]: ...


class ByPicture(Detector, Protocol):
    """A detector whose names depend on what a picture is; its `vocabulary` holds them all.

    `vocabularies` are the names by sort of picture: in a picture of one sort nobody looked for the others' names.
    """

    vocabularies: Mapping[str, tuple[str, ...]]

    def sort(self, image: Image) -> str: ...


def sort_of(detector: Detector, image: Image) -> str:
    """What a `ByPicture` detector takes a picture for; '' where a detector makes no difference."""
    sort = getattr(detector, "sort", None)
    return "" if sort is None else str(sort(image))


def vocabulary_for(detector: Detector, image: Image) -> tuple[str, ...]:
    """The names that a detector looks for in a picture."""
    sort = sort_of(detector, image)
    return tuple(detector.vocabularies[sort]) if sort else tuple(detector.vocabulary)  # type: ignore[attr-defined]


def vocabularies_of(detector: Detector) -> tuple[tuple[str, ...], ...]:
    """The names that a detector looks for, for each sort of picture that it tells apart."""
    by_sort = getattr(detector, "vocabularies", None)
    return (tuple(detector.vocabulary),) if by_sort is None else tuple(map(tuple, by_sort.values()))


class OpenVocabularyDetector(Protocol):
    """Finds things named in words. `labels[i]` are all the names asked of `images[i]`: one forward for all of them.

    A region's `label` is one of the asked names, verbatim.
    """

    def detect(self, images: Sequence[Image], labels: Sequence[Sequence[str]]) -> list[Regions]: ...


@dataclass(frozen=True)
class Prompt:
    """What to segment: points (x, y, is_object), a box, a rough mask, or several of them, in the original's pixels."""

    points: tuple[tuple[float, float, bool], ...] = ()
    box: Box | None = None
    mask: Mask | None = None


class Segmenter(Protocol):
    """Gives each prompt its best masks, best first; `score` is the model's own estimate of the mask's quality."""

    def segment(self, images: Sequence[Image], prompts: Sequence[Prompt]) -> list[Regions]: ...


class TextReader(Protocol):
    """OCR: a region a line, in reading order; `text` is what was read, `score` its confidence."""

    def read(self, images: Sequence[Image]) -> list[Regions]: ...


class Classifier(Protocol):
    """Scores each picture against its labels: one probability a label; they sum to at most 1, the rest is 'not sure'."""

    def classify(self, images: Sequence[Image], labels: Sequence[Sequence[str]]) -> list[list[float]]: ...


class FaceDetector(Protocol):
    def detect_faces(self, images: Sequence[Image]) -> list[Regions]: ...


class DepthEstimator(Protocol):
    """Relative depth [H, W] float32 of each picture, larger is farther, 0 to 1 within a picture."""

    def depth(self, images: Sequence[Image]) -> list[np.ndarray]: ...


class Inpainter(Protocol):
    """Repaints where the mask [H, W] is True so that it shows `prompt`."""

    def inpaint(
        self, images: Sequence[Image], masks: Sequence[np.ndarray], prompts: Sequence[str]
    ) -> list[Image]: ...


class CoreMLLM(Protocol):
    """Answers and captions in words."""

    def answer(self, images: Sequence[Image], questions: Sequence[str]) -> list[str]: ...

    def caption(self, images: Sequence[Image]) -> list[str]: ...


class StreamingMLLM(CoreMLLM, Protocol):
    """A core MLLM that also gives an answer in pieces as it is written, the same in the end as `answer`'s.

    It may be called from any thread, also while `answer` is at work elsewhere.
    """

    def stream(self, image: Image, question: str) -> Iterator[str]: ...


class ChatModel(Protocol):
    """A language model for LIST and ASK: one prompt in, its reply out."""

    def complete(self, prompts: Sequence[str]) -> list[str]: ...


__all__ = [
    "ByPicture",
    "Glimpsing",
    "ROLES",
    "ChatModel",
    "Classifier",
    "CoreMLLM",
    "DepthEstimator",
    "Detector",
    "FaceDetector",
    "Inpainter",
    "OpenVocabularyDetector",
    "Prompt",
    "Region",
    "Segmenter",
    "StreamingMLLM",
    "TextReader",
    "sort_of",
    "vocabularies_of",
    "vocabulary_for",
]
