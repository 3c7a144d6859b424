"""Two detectors over one vocabulary as one: each judges what the other found, and boxes that agree are averaged.

A candidate's score is the weighted geometric mean of both opinions, so that a thing that one of them takes for something else
falls behind. The boxes of a kind that overlap are averaged by score (weighted boxes fusion, Solovyev et al. 2021,
arXiv:1910.13302); of what overlaps or lies inside another of its kind, the best stays. A thing that goes by several names
keeps the best one, and the others at a fraction of their scores.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

UNSEEN = 0.01  # an opinion of 0 counts as this: one detector alone may still be right
OVERLAP = 0.4  # IoU from which two candidates are one thing, whatever they are called
DOUBT = 0.2  # what is left of the score of a thing's second name
PART = 0.7  # of the smaller box that lies in one of its own kind, from which it is a part of that thing
AGREE = 0.6  # IoU from which boxes of a kind are averaged


@dataclass(frozen=True)
class Candidates:
    """Boxes [N, 4], indices of their kinds [N], scores [N]."""

    boxes: np.ndarray
    kinds: np.ndarray
    scores: np.ndarray

    @classmethod
    def of(cls, rows: list[tuple[tuple[float, ...], int, float]]) -> Candidates:
        """From (box, kind, score) each."""
        return cls(
            np.array([r[0] for r in rows], np.float64).reshape(-1, 4),
            np.array([r[1] for r in rows], np.int64),
            np.array([r[2] for r in rows], np.float64),
        )

    def __add__(self, other: Candidates) -> Candidates:
        return Candidates(
            np.concatenate([self.boxes, other.boxes]),
            np.concatenate([self.kinds, other.kinds]),
            np.concatenate([self.scores, other.scores]),
        )


def shared(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(IoU [N, M], shared part of the smaller box [N, M]) of boxes [N, 4] and [M, 4]."""
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    both = np.prod(np.clip(high - low, 0, None), axis=2)
    area_a, area_b = np.prod(a[:, 2:] - a[:, :2], axis=1)[:, None], np.prod(b[:, 2:] - b[:, :2], axis=1)[None]
    return both / np.maximum(area_a + area_b - both, 1e-9), both / np.maximum(
        np.minimum(area_a, area_b), 1e-9
    )


def opinion(of: Candidates, on: Candidates) -> np.ndarray:
    """What one detector thinks of another's candidates [N]: its best score for that kind on a box like that, else 0."""
    if not len(of.boxes):
        return np.zeros(len(on.boxes))
    like = (shared(on.boxes, of.boxes)[0] > 0.5) & (on.kinds[:, None] == of.kinds[None])
    return np.where(like, of.scores[None], 0.0).max(axis=1)


def joined(own: np.ndarray, other: np.ndarray, trust: float) -> np.ndarray:
    """Scores [N] from two opinions; `trust` is the weight of the first, 0 to 1."""
    return np.asarray(own**trust * (other + UNSEEN) ** (1 - trust))


def settle(found: Candidates) -> Candidates:
    """One candidate a thing and kind, best first; where a thing has several kinds, all but the best are in doubt."""
    parts = [_of_one_kind(found, kind) for kind in np.unique(found.kinds)]
    every = sum(parts, Candidates.of([]))
    order = np.argsort(-every.scores, kind="stable")
    boxes, scores = every.boxes[order], every.scores[order]
    iou, first = shared(boxes, boxes)[0], np.ones(len(order), bool)
    for place in range(1, len(order)):
        first[place] = not (first[:place] & (iou[place, :place] > OVERLAP)).any()
    scores = np.where(first, scores, scores * DOUBT)
    again = np.argsort(-scores, kind="stable")
    return Candidates(boxes[again], every.kinds[order][again], scores[again])


def _of_one_kind(found: Candidates, kind: int) -> Candidates:
    """The candidates of a kind without doubles and parts, each with the mean of the boxes that agree with it."""
    own = found.kinds == kind
    boxes, scores = found.boxes[own], found.scores[own]
    iou, part = shared(boxes, boxes)
    free, kept, merged = np.ones(len(boxes), bool), [], []
    for best in np.argsort(-scores, kind="stable"):
        if free[best]:
            free &= (iou[best] <= OVERLAP) & (part[best] <= PART)
            agree = iou[best] > AGREE
            kept.append(scores[best])
            merged.append(np.average(boxes[agree], axis=0, weights=scores[agree]))
    return Candidates(np.array(merged).reshape(-1, 4), np.full(len(kept), kind), np.array(kept))


__all__ = ["Candidates", "joined", "opinion", "settle"]
