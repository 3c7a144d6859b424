"""Removing things by continuing what is around them (Telea, 2004). It paints no new thing, and says so."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...errors import ToolError
from ..values import Image
from .common import whole

_NOTHING = {"", "background", "nothing", "empty", "removed"}


class FillIn:
    """Fills holes from their rim. Any prompt that asks for a thing is refused: this back end cannot paint it."""

    batch = 8

    def __init__(self, weights: Path | None, digest: str, radius: int = 5, grow: int = 3) -> None:
        """`radius` is how far around a pixel it looks; `grow` widens the mask, whose rim keeps traces of the thing."""
        self._radius = whole("radius", radius, 1, 64)
        self._grow = whole("grow", grow, 0, 64)

    def inpaint(
        self, images: Sequence[Image], masks: Sequence[np.ndarray], prompts: Sequence[str]
    ) -> list[Image]:
        for prompt in prompts:
            if prompt.strip().lower() not in _NOTHING:
                raise ToolError(
                    f"the pack's inpainter only fills in from the surroundings and cannot paint {prompt!r};"
                    " ask for 'background', or give a generative model in your own pack"
                )
        return [self._fill(image, mask) for image, mask in zip(images, masks, strict=True)]

    def _fill(self, image: Image, mask: np.ndarray) -> Image:
        import cv2

        hole: np.ndarray = np.asarray(mask, dtype=np.uint8)
        if hole.shape != (image.height, image.width):
            raise ToolError(f"the mask is {hole.shape} and the picture {(image.height, image.width)}")
        if not hole.any():
            return image
        if self._grow:
            kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * self._grow + 1,) * 2)
            hole = cv2.dilate(hole, kernel)
        if hole.all():
            raise ToolError("the mask covers the whole picture: nothing is left to fill in from")
        filled = cv2.inpaint(image.pixels, hole, self._radius, cv2.INPAINT_TELEA)
        return image.with_pixels(np.where(hole[..., None] > 0, filled, image.pixels))
