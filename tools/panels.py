"""Panels of a picture from its pixels: filled rectangles on a plain ground, as in figures, comics and contact sheets."""

from __future__ import annotations

import numpy as np

from .values import Box

_NEAR = 24  # a channel's distance from the ground's colour that still is ground: JPEG's noise
_FILLED = 0.97  # of a panel's box that its outline encloses: rectangles only
_LEAST = 0.02  # of the picture's area that a panel covers at least
_MOST = 0.95  # and at most: one that fills the picture is the picture
_TOGETHER = (
    0.4  # of the picture's area that its panels cover at least: a few flat things on a wall are no panels
)
_GROUNDS = 3  # colours tried as the ground, the most frequent first


def panels(pixels: np.ndarray) -> list[Box]:
    """Boxes of the panels in uint8 RGB [H, W, 3], in reading order; none where the picture is no set of panels.

    The ground is that one of the most frequent colours on which the rectangles cover the most.
    """
    best: list[Box] = []
    for ground in _grounds(pixels):
        found = _rectangles(np.abs(pixels.astype(np.int16) - ground).max(axis=2) > _NEAR)
        if len(found) > 1 and _covered(found) > _covered(best):
            best = found
    if _covered(best) < _TOGETHER * pixels.shape[0] * pixels.shape[1]:
        return []
    rows = sorted(best, key=lambda box: box[1])
    ordered: list[Box] = []
    while rows:
        middle = (rows[0][1] + rows[0][3]) / 2
        row = [box for box in rows if box[1] < middle]
        ordered.extend(sorted(row))
        rows = [box for box in rows if box[1] >= middle]
    return ordered


def _grounds(pixels: np.ndarray) -> list[np.ndarray]:
    """The most frequent colours, each the mean of its cell of 16 levels a channel."""
    flat = pixels.reshape(-1, 3)
    cells = (flat >> 4).astype(np.int32) @ np.array([256, 16, 1], np.int32)
    counts = np.bincount(cells, minlength=4096)
    chosen = np.argsort(-counts, kind="stable")[:_GROUNDS]
    return [flat[cells == cell].mean(axis=0).round().astype(np.int16) for cell in chosen if counts[cell]]


def _rectangles(mask: np.ndarray) -> list[Box]:
    import cv2

    height, width = mask.shape
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    found: list[Box] = []
    for outline in outlines:
        x, y, w, h = cv2.boundingRect(outline)
        area = w * h
        if not _LEAST * width * height <= area <= _MOST * width * height:
            continue
        # An outline runs through pixel centres: the area that it encloses is short of a row and a column.
        if cv2.contourArea(outline) >= _FILLED * max(w - 1, 1) * max(h - 1, 1):
            found.append((float(x), float(y), float(x + w), float(y + h)))
    return found


def _covered(boxes: list[Box]) -> float:
    return sum((b[2] - b[0]) * (b[3] - b[1]) for b in boxes)
