"""How alike two pictures look without a model: structure by gradient hashes, colour by histograms."""

from __future__ import annotations

import numpy as np

from .values import Pixels

_SIDE = 16  # cells of the gradient hash: 16 x 16 comparisons a direction, 512 bits in all
_BINS = 8  # histogram bins a channel


def gradient_bits(pixels: Pixels) -> np.ndarray:
    """Boolean [2, 16, 16]: whether brightness rises to the right, and downwards, between cells of a small copy.

    The difference hash of N. Krawetz, in both directions: it survives resizing, recompression and brightening.
    """
    import cv2

    gray = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY)
    small = cv2.resize(gray, (_SIDE + 1, _SIDE + 1), interpolation=cv2.INTER_AREA).astype(np.int16)
    return np.stack([small[:-1, 1:] > small[:-1, :-1], small[1:, :-1] > small[:-1, :-1]])


def color_histogram(pixels: Pixels) -> np.ndarray:
    """Histogram [8*8*8] of a small copy, summing to 1."""
    import cv2

    small = cv2.resize(np.ascontiguousarray(pixels), (64, 64), interpolation=cv2.INTER_AREA)
    levels = (small // (256 // _BINS)).reshape(-1, 3).astype(np.intp)
    counts = np.bincount((levels[:, 0] * _BINS + levels[:, 1]) * _BINS + levels[:, 2], minlength=_BINS**3)
    return counts / counts.sum()


def likeness(a: Pixels, b: Pixels) -> float:
    """0 to 1: three parts structure, one part colour. Equal pictures give exactly 1; chance agreement of bits is 0."""
    if a.shape == b.shape and np.array_equal(a, b):
        return 1.0
    agreement = float((gradient_bits(a) == gradient_bits(b)).mean())
    structure = max(0.0, 2 * agreement - 1)
    overlap = float(np.minimum(color_histogram(a), color_histogram(b)).sum())
    return 0.75 * structure + 0.25 * overlap
