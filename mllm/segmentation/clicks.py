"""A simulated user: the first click or box for a mask, and the next click where the answer was wrong."""

from __future__ import annotations

import numpy as np

ON, BESIDE, PADDING, FIRST_CORNER, LAST_CORNER = 1, 0, -1, 2, 3  # SAM's kinds of points


def innermost(mask: np.ndarray) -> tuple[float, float]:
    """(x, y) of the pixel farthest from the mask's outside, in its pixels, at the pixel's centre. The mask is not empty."""
    import cv2

    framed = np.pad(mask.astype(np.uint8), 1)
    depth = cv2.distanceTransform(framed, cv2.DIST_L2, 5)[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return float(x) + 0.5, float(y) + 0.5


def correction(found: np.ndarray, wanted: np.ndarray) -> tuple[float, float, bool] | None:
    """Where a person would click next: the middle of the largest wrong patch, and whether it is part of the thing.

    None where nothing is wrong. The rule of SAM's interactive evaluation (Kirillov et al. 2023).
    """
    import cv2

    wrong = found ^ wanted
    if not wrong.any():
        return None
    count, parts, stats, _ = cv2.connectedComponentsWithStats(wrong.astype(np.uint8), connectivity=4)
    largest = 1 + int(stats[1:count, cv2.CC_STAT_AREA].argmax())
    x, y = innermost(parts == largest)
    return x, y, bool(wanted[int(y), int(x)])


def first_prompt(mask: np.ndarray, rng: np.random.Generator, boxed: bool) -> tuple[np.ndarray, np.ndarray]:
    """[2, 2] places in pixels of the square and [2] kinds, for a target [S/2, S/2] bool.

    Either a click (half of the time in the middle, else anywhere on the thing) with SAM's padding point, or the box's corners,
    off by up to a tenth of its size, as a person's would be.
    """
    if boxed:
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        box = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float64) * 2
        size = np.array([box[2] - box[0], box[3] - box[1]] * 2)
        box += np.clip(rng.normal(0, 0.04, 4), -0.1, 0.1) * size * (rng.random() < 0.75)
        box = np.clip(box, 0, 2 * mask.shape[0])
        return box.reshape(2, 2) - 0.5, np.array([FIRST_CORNER, LAST_CORNER])
    place = innermost(mask) if rng.random() < 0.5 else somewhere(mask, rng)
    return np.array([[place[0] * 2 - 0.5, place[1] * 2 - 0.5], [0, 0]]), np.array([ON, PADDING])


def next_click(found: np.ndarray, wanted: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """[2] place in pixels of the square and its kind: anywhere in what is wrong, away from its rim where it has an inside."""
    import cv2

    wrong = found ^ wanted
    if not wrong.any():
        wrong = wanted
    inside = cv2.erode(wrong.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    x, y = somewhere(inside if inside.any() else wrong, rng)
    kind = ON if wanted[int(y), int(x)] else BESIDE
    return np.array([x * 2 - 0.5, y * 2 - 0.5]), kind


def somewhere(mask: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """(x, y) of a random point on the mask, which is not empty."""
    spots = np.flatnonzero(mask)
    spot = int(spots[int(rng.integers(len(spots)))])
    dx, dy = rng.random(2)
    return spot % mask.shape[1] + dx, spot // mask.shape[1] + dy
