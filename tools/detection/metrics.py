"""Average precision as COCO defines it, and what it is made of: recall at a precision, and exact counts.

Written out here so that a measurement needs no extra package; a test compares it with pycocotools.
Source: COCO's detection evaluation (https://cocodataset.org/#detection-eval): ten IoU thresholds .50:.05:.95, precision
made monotone and read at 101 recalls, at most 100 detections a picture, all sizes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

THRESHOLDS = np.round(np.arange(0.5, 1.0, 0.05), 2)
_RECALLS = np.linspace(0, 1, 101)
_MOST = 100  # detections of a picture that count


@dataclass(frozen=True)
class Truth:
    """What is in one picture. boxes [N, 4] x1 y1 x2 y2 in pixels, kinds [N] indices.

    ignore [N]: finding it is neither right nor wrong (hardly visible; COCO's crowds, of which `crowd` tells so).
    kinds in `open` were not looked for in this picture: detections of them do not count.
    """

    boxes: np.ndarray
    kinds: np.ndarray
    ignore: np.ndarray
    crowd: np.ndarray
    open: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Found:
    """What was detected in one picture: boxes [N, 4], kinds [N], scores [N]."""

    boxes: np.ndarray
    kinds: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True)
class KindScores:
    """One kind's detections over all pictures, best first, and which of them are right.

    right [T, N] and counts [T, N] (neither ignored nor on an open kind) by IoU threshold; `total` things to find.
    """

    scores: np.ndarray
    right: np.ndarray
    counts: np.ndarray
    total: int

    def curve(self, threshold: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(scores, precision, recall) after each counted detection, at one of `THRESHOLDS`."""
        keep = self.counts[threshold]
        hits = np.cumsum(self.right[threshold][keep])
        seen = np.arange(1, len(hits) + 1)
        return self.scores[keep], hits / np.maximum(seen, 1), hits / max(self.total, 1)

    def ap(self) -> np.ndarray:
        """Average precision [T]; NaN where there is nothing to find."""
        if not self.total:
            return np.full(len(THRESHOLDS), np.nan)
        out = np.zeros(len(THRESHOLDS))
        for t in range(len(THRESHOLDS)):
            _, precision, recall = self.curve(t)
            monotone = np.maximum.accumulate(precision[::-1])[::-1]
            at = np.searchsorted(recall, _RECALLS, side="left")
            out[t] = np.where(
                at < len(monotone), np.append(monotone, 0.0)[np.minimum(at, len(monotone))], 0
            ).mean()
        return out

    def recall_at(self, precision: float, threshold: int = 0) -> float:
        """The most that can be found while so large a part of what is said is right; NaN where nothing is to find."""
        if not self.total:
            return float("nan")
        _, p, r = self.curve(threshold)
        good = p >= precision
        return float(r[good].max()) if good.any() else 0.0


def overlaps(found: np.ndarray, true: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    """IoU [N, M] of boxes [N, 4] and [M, 4]; with a crowd, the part of the found box that lies on it."""
    low = np.maximum(found[:, None, :2], true[None, :, :2])
    high = np.minimum(found[:, None, 2:], true[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=2)
    area = np.prod(found[:, 2:] - found[:, :2], axis=1)[:, None]
    union = area + np.prod(true[:, 2:] - true[:, :2], axis=1)[None] - shared
    return shared / np.maximum(np.where(crowd[None], area, union), 1e-9)


def _match(found: Found, truth: Truth, kind: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """One picture, one kind: scores [N], right [T, N], counts [T, N], and how many are to be found."""
    rows = np.flatnonzero(found.kinds == kind)
    rows = rows[np.argsort(-found.scores[rows], kind="stable")][:_MOST]
    scores = found.scores[rows]
    right = np.zeros((len(THRESHOLDS), len(rows)), bool)
    counts = np.ones_like(right)
    if kind in truth.open:
        return scores, right, ~counts, 0
    own = np.flatnonzero(truth.kinds == kind)
    own = own[np.argsort(truth.ignore[own], kind="stable")]  # those that count come first
    ignore, crowd = truth.ignore[own], truth.crowd[own]
    iou = overlaps(found.boxes[rows], truth.boxes[own], crowd)
    for t, least in enumerate(THRESHOLDS):
        taken = np.zeros(len(own), bool)
        for d in range(len(rows)):
            best, where = min(least, 1 - 1e-10), -1
            for g in range(len(own)):
                if taken[g] and not crowd[g]:
                    continue
                if where >= 0 and not ignore[where] and ignore[g]:
                    break  # a thing that counts is never given up for one that does not
                if iou[d, g] >= best:
                    best, where = iou[d, g], g
            if where >= 0:
                taken[where] = True
                right[t, d] = not ignore[where]
                counts[t, d] = not ignore[where]
    return scores, right, counts, int((~ignore).sum())


def score_kinds(found: Sequence[Found], truths: Sequence[Truth], kinds: int) -> list[KindScores]:
    """Match detections to truths, kind by kind, over all pictures."""
    parts: list[list[tuple[np.ndarray, np.ndarray, np.ndarray, int]]] = [[] for _ in range(kinds)]
    for one, truth in zip(found, truths, strict=True):
        for kind in {*one.kinds.tolist(), *truth.kinds.tolist()}:
            parts[int(kind)].append(_match(one, truth, int(kind)))
    scored = []
    for items in parts:
        scores = np.concatenate([i[0] for i in items]) if items else np.zeros(0)
        order = np.argsort(-scores, kind="stable")
        empty = np.zeros((len(THRESHOLDS), 0), bool)
        right = np.concatenate([i[1] for i in items], axis=1) if items else empty
        counts = np.concatenate([i[2] for i in items], axis=1) if items else empty
        scored.append(KindScores(scores[order], right[:, order], counts[:, order], sum(i[3] for i in items)))
    return scored


def pool(scored: Sequence[KindScores]) -> KindScores:
    """Several kinds as one: their detections in one list by score."""
    scores = np.concatenate([s.scores for s in scored]) if scored else np.zeros(0)
    order = np.argsort(-scores, kind="stable")
    empty = np.zeros((len(THRESHOLDS), 0), bool)
    right = np.concatenate([s.right for s in scored], axis=1) if scored else empty
    counts = np.concatenate([s.counts for s in scored], axis=1) if scored else empty
    return KindScores(scores[order], right[:, order], counts[:, order], sum(s.total for s in scored))


def mean_ap(scored: Sequence[KindScores]) -> tuple[float, float]:
    """(mAP at IoU .50, mAP over .50:.95): means over the kinds that occur; NaN where none does."""
    aps = np.array([s.ap() for s in scored if s.total])
    return (float(aps[:, 0].mean()), float(aps.mean())) if len(aps) else (float("nan"), float("nan"))


__all__ = ["THRESHOLDS", "Found", "KindScores", "Truth", "mean_ap", "overlaps", "pool", "score_kinds"]
