"""What the text readers share: quadrilaterals to regions, and reading order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..values import Image, Mask, Region, Regions
from .common import clipped


def line_region(
    corners: np.ndarray, text: str, score: float, image: Image, tool: str, weights: str
) -> Region | None:
    """A line of text from its four corners [4, 2] in `image`'s pixels; slanted lines carry a mask of their shape."""
    import cv2

    points = np.asarray(corners, dtype=np.float64).reshape(-1, 2)
    low, high = points.min(axis=0), points.max(axis=0)
    box = clipped((*low, *high), image)
    if box is None:
        return None
    x1, y1, x2, y2 = image.clip_pixels(box)
    mask = None
    if cv2.contourArea(points.astype(np.float32)) < 0.85 * float(np.prod(high - low)):
        canvas = np.zeros((y2 - y1, x2 - x1), dtype=np.uint8)
        inside = points - (np.array([x1, y1]) - np.array(image.offset))
        cv2.fillPoly(canvas, [np.round(inside).astype(np.int32)], 1)
        mask = Mask.from_array(canvas > 0, (x1, y1)) if canvas.any() else None
    return Region(
        box=box,
        label="text",
        score=min(max(float(score), 0.0), 1.0),
        mask=mask,
        text=text,
        tool=tool,
        weights=weights,
        picture=image.picture,
    )


def reading_order(lines: Sequence[Region]) -> Regions:
    """Rows from top to bottom, each from left to right; two pieces are in a row when their middles overlap in height."""
    rows: list[list[Region]] = []
    for region in sorted(lines, key=lambda r: (r.center[1], r.box[0])):
        last = rows[-1][-1] if rows else None
        if last is not None and abs(region.center[1] - last.center[1]) < 0.5 * min(
            region.height, last.height
        ):
            rows[-1].append(region)
        else:
            rows.append([region])
    return Regions(region for row in rows for region in sorted(row, key=lambda r: r.box[0]))


__all__ = ["line_region", "reading_order"]
