"""What verification is tested on: a blank picture, detectors that see what they were told, and a calibration to match."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sightline.agent.controllers.base import Fact, RawClaim
from sightline.agent.errors import CannotError
from sightline.agent.events import Recorder
from sightline.agent.records import Style
from sightline.agent.verification.reliability import Reliability, Thresholds
from sightline.tools.models import Models
from sightline.tools.pack import Pack
from sightline.tools.values import Image, Region, Regions


class Fixed:
    """A detector of a closed vocabulary that sees what it was told, and counts its passes."""

    def __init__(self, vocabulary: Sequence[str], regions: Sequence[Region]) -> None:
        self.vocabulary, self.regions, self.passes = tuple(vocabulary), tuple(regions), 0

    def detect(self, images: Sequence[Image]) -> list[Regions]:
        self.passes += len(images)
        return [Regions(self.regions) for _ in images]


class FixedOpen:
    """An open-vocabulary detector that gives each place one of the names asked, as the common ones do."""

    def __init__(self, regions: Sequence[Region]) -> None:
        self.regions = tuple(regions)

    def detect(self, images: Sequence[Image], labels: Sequence[Sequence[str]]) -> list[Regions]:
        return [Regions(r for r in self.regions if r.label in names) for names in labels]


def box(label: str, x: float, y: float = 40, size: float = 40, score: float = 0.9, color: str = "") -> Region:
    return Region(box=(x, y, x + size, y + size), label=label, score=score, color=color)


def picture() -> Image:
    return Image.from_array(np.full((200, 400, 3), 128, np.uint8))


VOCABULARY = ("dog", "cat", "person", "car", "bus", "chair", "cup", "bird", "horse", "wolf")


def models(*regions: Region, vocabulary: Sequence[str] = VOCABULARY) -> tuple[Models, Fixed]:
    detector = Fixed(vocabulary, regions)
    held = Models(Pack("test", "", {}, {}))
    held.bind("detector", detector, "fixed")
    return held, detector


OBSERVED = {
    "color.same": 0.95, "color.part": 0.8, "color.near": 0.45, "color.other": 0.06, "color.many": 0.6,
    "relation.holds": 0.95, "relation.opposite": 0.04, "relation.apart": 0.08, "relation.unclear": 0.55,
    "text.same": 0.97, "text.near": 0.7, "text.other": 0.06, "text.none": 0.5, "mllm.yes": 0.85, "mllm.no": 0.2,
}  # fmt: skip


def sure(recall: float = 0.99, **more: Any) -> Reliability:
    """A calibration whose detector misses little, so that not seen is absent."""
    limits = {
        "existence": (0.2, 0.8), "answer": (0.2, 0.8), "denied": (0.25, 0.8), "count": (0.25, 0.6), "attribute": (0.1, 0.75),
        "relation": (0.1, 0.75), "text": (0.1, 0.75), "other": (0.02, 0.8),
    }  # fmt: skip
    both = {role: {"": recall} for role in ("detector", "open_vocabulary")}
    return Reliability(
        "test", 2.2, {"detector": 1.0, "open_vocabulary": 1.0, "mllm": 1.0}, both, {"detector": 0.03, "open_vocabulary": 0.06}, {},
        OBSERVED, {k: Thresholds(*v) for k, v in limits.items()},
        doubles=0.02, **more,
    )  # fmt: skip


class Scripted:
    """A controller that finds given claims and words what it was told to."""

    name, sees, knows = "scripted", False, False

    def __init__(self, claims: list[RawClaim] | None = None, said: str = "") -> None:
        self.given, self.said, self.calls = claims, said, 0

    def claims(self, text: str, recorder: Recorder) -> list[RawClaim]:
        self.calls += 1
        if self.given is None:
            raise CannotError("no claims")
        return self.given

    def compose(self, question: str, facts: Sequence[Fact], style: Style, recorder: Recorder) -> str:
        return self.said
