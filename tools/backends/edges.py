"""A network's coarse mask drawn to the picture's own edges: one graph cut on colours inside the band where it is unsure."""

from __future__ import annotations

import numpy as np

from ..values import Pixels

_SIDE = 128  # pixels at which the cut is made: its time grows with their number
_SURE = (
    0.9  # share of the two sides' own certain pixels that the band must leave, else the mask stands as it is
)


def cut_to_edges(pixels: Pixels, chance: np.ndarray, band: tuple[float, float] = (0.15, 0.85)) -> np.ndarray:
    """Bool [H, W] of the thing after the cut (GrabCut, Rother et al. 2004), started from the mask's own certainty.

    Args:
        pixels: [H, W, 3] uint8 RGB of the window.
        chance: [H, W] float32, the network's probability that a pixel is the thing.
        band: what lies between these may change sides.
    """
    import cv2

    height, width = chance.shape
    ratio = min(1.0, _SIDE / max(height, width))
    size = (max(round(width * ratio), 1), max(round(height * ratio), 1))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA) if ratio < 1 else pixels
    part = cv2.resize(chance, size, interpolation=cv2.INTER_AREA) if ratio < 1 else chance
    trimap = np.where(part > 0.5, 3, 2).astype(np.uint8)
    trimap[part >= band[1]], trimap[part <= band[0]] = 1, 0
    before: np.ndarray = chance > 0.5
    if not ((trimap == 1).any() and (trimap == 0).any() and (trimap > 1).any()):
        return before
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(0)  # its k-means starts from the thread's generator
    try:
        cv2.grabCut(
            np.ascontiguousarray(small[..., ::-1]), trimap, (0, 0, 0, 0), models[0], models[1], 1,
            cv2.GC_INIT_WITH_MASK,
        )  # fmt: skip
    except cv2.error:  # too few pixels on one side for its mixtures: the mask stands
        return before
    found: np.ndarray = np.isin(trimap, (1, 3)).astype(np.float32)
    if ratio < 1:
        found = cv2.resize(found, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(found > 0.5)
