"""A free-form mask as a region: the box of the thing that the mask lies on, by its overlap with what perception found.

The starter knows a thing by its box. A mask's own box is a poor one where a stroke only crosses the thing, or where
something else lies in its corners; so the mask picks among the found things, and only where it fits none its own box serves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import InputError
from .boxes import Box

Region = Box | np.ndarray  # a box or point in pixels, or a mask [height, width]

FITS = 0.5  # part of a mask that must lie in a thing's box


def mask_box(mask: Any) -> Box:
    """The box of a mask [H, W] (anything above 0 is in), in its pixels, x2 and y2 exclusive; InputError if it is empty."""
    array = np.asarray(mask)
    if array.ndim != 2:
        raise InputError(f"a mask has the shape [height, width], not {list(array.shape)}")
    rows, columns = np.flatnonzero((array > 0).any(1)), np.flatnonzero((array > 0).any(0))
    if not len(rows):
        raise InputError("the mask is empty: mark at least one pixel")
    return (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))


def region_of_mask(mask: Any, boxes: Sequence[Box]) -> Box:
    """The box among `boxes` that a mask [H, W] speaks of; the mask's own box where no box holds most of it.

    A box is judged by the part of the mask that lies in it, times the root of the part of the box that the mask covers: a whole
    mask finds the box that it fills, and a stroke the smallest thing that it is drawn on.
    """
    own = mask_box(mask)
    inside = np.asarray(mask) > 0
    high, wide = inside.shape
    total = np.zeros((high + 1, wide + 1))
    total[1:, 1:] = inside.cumsum(0).cumsum(1)
    best, score = own, 0.0
    for box in boxes:
        x1, x2 = (round(min(max(v, 0.0), wide)) for v in (box[0], box[2]))
        y1, y2 = (round(min(max(v, 0.0), high)) for v in (box[1], box[3]))
        if x2 <= x1 or y2 <= y1:
            continue
        shared = float(total[y2, x2] - total[y1, x2] - total[y2, x1] + total[y1, x1])
        part, cover = shared / float(total[-1, -1]), shared / ((x2 - x1) * (y2 - y1))
        if part >= FITS and part * cover**0.5 > score:
            best, score = box, part * cover**0.5
    return best
