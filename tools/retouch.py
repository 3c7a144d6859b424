"""Edits of pixels under a mask, each exact about what it leaves alone: gray-out, background blur, redaction."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from .values import Image, Pixels, Region

_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
_BACKGROUND_SIGMA = 0.012  # of the picture's diagonal
_LEAST_SIGMA = 2.0
LEAST_CELL = 12  # pixels: no stroke of small print survives an average over this much


def union_mask(image: Image, regions: Iterable[Region]) -> np.ndarray:
    """Boolean [H, W]: the pixels of any region, by mask or else by box."""
    covered = np.zeros((image.height, image.width), dtype=bool)
    for region in regions:
        covered |= region.mask_on(image)
    return covered


def gray_outside(pixels: Pixels, keep: np.ndarray) -> Pixels:
    """Colour where `keep` [H, W] is True, unchanged; gray of the same brightness elsewhere."""
    gray = np.rint(pixels @ _LUMA).astype(np.uint8)
    return np.where(keep[:, :, None], pixels, gray[:, :, None])


def blur_outside(pixels: Pixels, keep: np.ndarray) -> Pixels:
    """Blur where `keep` is False; nothing changes where it is True.

    Only background is averaged into background (normalised convolution), so that the thing casts no halo around itself.
    """
    import cv2

    height, width = keep.shape
    sigma = max(_LEAST_SIGMA, _BACKGROUND_SIGMA * float(np.hypot(height, width)))
    step = max(1, int(sigma / 2.5))  # a wide blur is made on a smaller copy: it has no detail to lose
    small = (max(1, width // step), max(1, height // step))
    weight = (~keep).astype(np.float32)
    weighted = np.dstack([pixels.astype(np.float32) * weight[:, :, None], weight])  # [H, W, 4]
    soft = cv2.GaussianBlur(cv2.resize(weighted, small, interpolation=cv2.INTER_AREA), (0, 0), sigma / step)
    soft = cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR)
    share = soft[:, :, 3:]
    some = share > 1e-5  # elsewhere no background is near: those pixels are kept anyway
    blurred = np.where(some, soft[:, :, :3] / np.maximum(share, 1e-5), pixels)
    return np.where(keep[:, :, None], pixels, np.clip(np.rint(blurred), 0, 255).astype(np.uint8))


def redact(image: Image, regions: Iterable[Region], strength: float) -> Pixels:
    """Hide regions for good: averages over large cells, smoothed; every pixel outside the regions is unchanged.

    A cell is `strength` times the shorter side of the region's box wide, at least 12 pixels. What is kept of a region
    is a few averages, so the picture that was there cannot be computed back. A box without a mask is rounded outwards.
    """
    result = image.pixels.copy()
    for region in regions:
        _redact_one(image, region, strength, result)
    return result


def _redact_one(image: Image, region: Region, strength: float, result: Pixels) -> None:
    """Overwrite one region in `result` [H, W, 3]. Averages come from the picture as given, so the order is no matter."""
    import cv2

    box = region.mask.box if region.mask is not None and region.mask.area else region.box
    ox, oy = image.offset
    left, top = max(int(np.floor(box[0])) - ox, 0), max(int(np.floor(box[1])) - oy, 0)
    right = min(int(np.ceil(box[2])) - ox, image.width)
    bottom = min(int(np.ceil(box[3])) - oy, image.height)
    if left >= right or top >= bottom:
        return
    patch = np.ascontiguousarray(image.pixels[top:bottom, left:right])
    height, width = patch.shape[:2]
    cell = max(LEAST_CELL, round(strength * min(region.width, region.height)))
    small = cv2.resize(patch, (max(1, width // cell), max(1, height // cell)), interpolation=cv2.INTER_AREA)
    hidden = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)  # smooth between the averages
    if region.mask is not None and region.mask.area:
        inside = region.mask.on(image)[top:bottom, left:right]
    else:
        inside = np.ones((height, width), dtype=bool)
    result[top:bottom, left:right][inside] = hidden[inside]


def paste(original: Pixels, repainted: Pixels, mask: np.ndarray) -> Pixels:
    """`repainted` where the mask [H, W] is True, `original` unchanged elsewhere."""
    return np.where(mask[:, :, None], repainted, original)
