"""Several looks of one network at a picture, of other sizes or mirrored, as one list of things.

Boxes of a kind that overlap are averaged by score (weighted boxes fusion, Solovyev et al. 2021, arXiv:1910.13302); a thing's
score is the mean over the looks of the best that each gave it, 0 where a look missed it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..values import Image, Region, Regions
from .common import clipped
from .merging import Candidates, shared
from .ultralytics_detector import UltralyticsDetector

SAME = 0.5  # IoU from which two boxes of a kind are one thing
_FLOOR = 0.003  # least score of a look that counts


@dataclass(frozen=True)
class Look:
    """How a picture is shown to the network: its longest side in pixels, mirrored or not."""

    size: int
    mirrored: bool = False


class Looks:
    """One file of ultralytics weights, asked once a look."""

    def __init__(self, weights: Path, looks: Sequence[Look], most: int = 300, device: str = "auto") -> None:
        self._looks, self._most = tuple(looks), most
        self._finders = [
            UltralyticsDetector(weights, "", confidence=_FLOOR, image_size=look.size, device=device)
            for look in self._looks
        ]
        self.vocabulary = self._finders[0].vocabulary
        self._index = {name: i for i, name in enumerate(self.vocabulary)}

    def see(self, images: Sequence[Image], tool: str, weights: str) -> list[Regions]:
        """All that is found in each picture, best first, whatever its score; boxes in the original's pixels."""
        seen: list[list[Candidates]] = [[] for _ in images]
        for look, finder in zip(self._looks, self._finders, strict=True):
            shown = [_mirror(image) for image in images] if look.mirrored else list(images)
            for place, (image, regions) in enumerate(zip(images, finder.detect(shown), strict=True)):
                seen[place].append(self._candidates(image, regions, look.mirrored))
        return [
            self._regions(fused(parts), image, tool, weights)
            for image, parts in zip(images, seen, strict=True)
        ]

    def _candidates(self, image: Image, regions: Regions, mirrored: bool) -> Candidates:
        found = Candidates.of([(image.local(r.box), self._index[r.label], r.score) for r in regions])
        if mirrored:
            x1, y1, x2, y2 = found.boxes.T
            found = Candidates(
                np.stack([image.width - x2, y1, image.width - x1, y2], 1), found.kinds, found.scores
            )
        return found

    def _regions(self, found: Candidates, image: Image, tool: str, weights: str) -> Regions:
        regions = []
        for box, kind, score in zip(
            found.boxes.tolist(), found.kinds.tolist(), found.scores.tolist(), strict=True
        ):
            where = clipped(box, image)
            if where is not None:
                regions.append(
                    Region(
                        box=where, label=self.vocabulary[kind], score=min(score, 1.0), tool=tool, weights=weights,
                        picture=image.picture,
                    )
                )  # fmt: skip
        return Regions(regions[: self._most])


def fused(looks: Sequence[Candidates]) -> Candidates:
    """What several looks at one picture found, as one; best first."""
    every = sum(looks, Candidates.of([]))
    by = np.concatenate([np.full(len(one.kinds), i) for i, one in enumerate(looks)]) if looks else np.zeros(0)
    boxes: list[np.ndarray] = []
    kinds: list[int] = []
    scores: list[float] = []
    for kind in np.unique(every.kinds):
        own = every.kinds == kind
        places, sure, look = every.boxes[own], every.scores[own], by[own]
        iou, free = shared(places, places)[0], np.ones(len(places), bool)
        for best in np.argsort(-sure, kind="stable"):
            if not free[best]:
                continue
            group = free & (iou[best] > SAME)
            group[best] = True  # a box without area is like none, not even itself
            free &= ~group
            boxes.append(np.average(places[group], axis=0, weights=sure[group]))
            kinds.append(int(kind))
            scores.append(
                sum(float(sure[group & (look == i)].max(initial=0.0)) for i in range(len(looks))) / len(looks)
            )
    order = np.argsort(-np.array(scores), kind="stable")
    return Candidates(
        np.array(boxes, np.float64).reshape(-1, 4)[order],
        np.array(kinds, np.int64)[order],
        np.array(scores, np.float64)[order],
    )


def _mirror(image: Image) -> Image:
    pixels = np.ascontiguousarray(image.pixels[:, ::-1])
    return Image(
        size=image.size,
        pixels=pixels,
        content_hash=f"{image.hash} mirrored",
        offset=image.offset,
        picture=image.picture,
    )


__all__ = ["Look", "Looks", "fused"]
