"""Masks in drawn scenes: the starter's eyes say what was clicked on, and the segmenter cuts it out of its box."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..roles import Prompt
from ..values import Box, Image, Regions
from .common import checked
from .segment_anything_masks import SamSegmenter
from .starter_perception import eyes


class SceneSegmenter:
    """A click on something that was seen becomes its box; a click on anything else is the segmenter's alone.

    The weights are a folder that holds the starter (`starter`) and the segmenter (`segmenter/model.safetensors`).
    """

    batch = 16

    def __init__(
        self, weights: Path, digest: str, confidence: float = 0.3, zoom: float = -1.0, edges: float = -1.0
    ) -> None:
        """`confidence` is the least score of a thing that clicks may mean; `zoom` and `edges` as the segmenter takes them."""
        self._confidence = checked("confidence", confidence, 0, 1)
        self._eyes = eyes(weights / "starter", digest)
        self._segmenter = SamSegmenter(
            weights / "segmenter" / "model.safetensors", digest, zoom=zoom, edges=edges
        )

    def segment(self, images: Sequence[Image], prompts: Sequence[Prompt]) -> list[Regions]:
        clicked = [i for i, p in enumerate(prompts) if p.points and p.box is None and p.mask is None]
        seen = dict(zip(clicked, self._eyes.see([images[i] for i in clicked]), strict=True))
        asked = []
        for i, (image, prompt) in enumerate(zip(images, prompts, strict=True)):
            boxes = [image.outward(s.box) for s in seen.get(i, ()) if s.score >= self._confidence]
            meant = clicked_box(prompt, boxes)
            asked.append(prompt if meant is None else replace(prompt, box=meant))
        return self._segmenter.segment(images, asked)


def clicked_box(prompt: Prompt, boxes: Sequence[Box]) -> Box | None:
    """The smallest of the boxes with every click of the thing inside it, of those with fewest clicks beside it inside."""
    wanted = [(x, y) for x, y, on in prompt.points if on]
    beside = [(x, y) for x, y, on in prompt.points if not on]

    def held(box: Box, places: Sequence[tuple[float, float]]) -> int:
        return sum(box[0] <= x < box[2] and box[1] <= y < box[3] for x, y in places)

    around = [box for box in boxes if wanted and held(box, wanted) == len(wanted)]
    return min(around, key=lambda b: (held(b, beside), (b[2] - b[0]) * (b[3] - b[1])), default=None)
