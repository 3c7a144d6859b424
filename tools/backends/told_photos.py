"""The starter core MLLM on photographs: what the photograph detector found, as the object tokens that it learned on scenes.

It sees no pixel of a photograph. Classes that scenes do not have reach it as their kinds ("bird": a chicken, a duck ... alike), or
not at all ("bottle"), so it can be asked about no more than 39 kinds of things, their colours, sizes and places.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..color import main_color
from ..names import matched
from ..values import Image, Region
from .by_picture import PictureDetector
from .drawn import PHOTOGRAPH
from .starter_mllm import StarterModel

NOTHING = "Nothing is recognised in the picture."
_SIZES = (
    0.23,
    0.36,
)  # part of the picture's longer side from which a thing is "medium", and "large", as in scenes


class StarterOnPhotos(StarterModel):
    """As `StarterModel`; a drawing is looked at, of a photograph the detections are told.

    The weights are the folder that `by-picture` takes too.
    """

    def __init__(
        self,
        weights: Path,
        digest: str,
        think: bool = True,
        answer_tokens: int = 160,
        confidence: float = 0.3,
    ) -> None:
        """`confidence` is the least score of a detection that is told."""
        super().__init__(weights / "starter", digest, think, answer_tokens)
        self._detector = PictureDetector(weights, digest, confidence)

    def caption(self, images: Sequence[Image]) -> list[str]:
        """A picture of which nothing was told is not described: the starter has never seen an empty one."""
        told = super().caption(images)
        return [
            text if bool(seen.objects.valid.any()) else NOTHING
            for text, seen in zip(told, self._look(images), strict=True)
        ]

    def _encode(self, images: Sequence[Image]) -> list[Any]:
        shots = [image for image in images if self._detector.sort(image) == PHOTOGRAPH]
        told = iter(
            self._told(image, list(found))
            for image, found in zip(shots, self._detector.detect(shots), strict=True)
        )
        drawn = iter(super()._encode([i for i in images if self._detector.sort(i) != PHOTOGRAPH]))
        return [next(told if self._detector.sort(image) == PHOTOGRAPH else drawn) for image in images]

    def _told(self, image: Image, found: list[Region]) -> Any:
        """Detections as the objects of a picture, the best of them, from left to right."""
        import torch

        from ...mllm.asked import Seen
        from ...mllm.starter import Objects

        c, side = self._answerer.model.config, float(max(image.size))
        kinds = {region.label: matched(region.label, c.kinds).classes for region in found}
        named = sorted((r for r in found if kinds[r.label]), key=lambda r: -r.score)[: c.max_objects]

        def unseen(numbers: int) -> Any:
            return torch.zeros(1, c.max_objects, numbers)

        objects = Objects(
            kind=unseen(len(c.kinds)),
            color=unseen(len(c.colors)),
            size=unseen(len(c.sizes)),
            box=unseen(4),
            word=torch.zeros(1, c.max_objects, c.max_word, dtype=torch.long),
            valid=torch.zeros(1, c.max_objects, dtype=torch.bool),
        )
        for place, region in enumerate(sorted(named, key=lambda r: r.box[0] + r.box[2])):
            box = torch.tensor(image.local(region.box)) / side
            for kind in kinds[region.label]:
                objects.kind[0, place, c.kinds.index(kind)] = 1 / len(kinds[region.label])
            color = main_color(image, region)
            objects.color[0, place, c.colors.index(color if color in c.colors else "gray")] = 1.0
            extent = float((box[2:] - box[:2]).max())
            objects.size[0, place, c.sizes.index(_size(extent))] = 1.0
            objects.box[0, place] = box
            objects.valid[0, place] = True
        return Seen(objects, image.size)


def _size(extent: float) -> str:
    return "small" if extent < _SIZES[0] else "medium" if extent < _SIZES[1] else "large"


__all__ = ["StarterOnPhotos"]
