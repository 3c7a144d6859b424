"""How well a detector sees: COCO's average precision, recall where nine in ten detections are right, exact counts."""

from __future__ import annotations

import inspect
import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...errors import RoleError
from ..backends import backends
from ..backends.drawn import DRAWING
from ..calibration import Calibration, Curve
from ..models import Models
from ..roles import Detector, sort_of, vocabulary_for
from ..values import Image, Regions
from .metrics import Found, KindScores, Truth, mean_ap, pool, score_kinds
from .pictures import Pictures, same_names

SPARSE = 10  # classes with fewer things to find are pooled: a figure of their own would say nothing
PRECISION = 0.9
_FLOOR = 0.005  # scores from which detections are listed; what is used starts at the pack's own confidence
THRESHOLDS = tuple(round(0.02 * i, 2) for i in range(1, 50))
_FLOORS = {"": "confidence", DRAWING: "drawn_confidence"}  # the options of back ends that hold a score floor
_COUNTED = 8  # most things of a picture whose counts must be exact


def open_detector(models: Models) -> tuple[Detector, dict[str, float]]:
    """The pack's detector with its score floors lowered, so that whole curves can be drawn; and its own floors, by sort of
    picture, that of all others under ''."""
    spec = models.spec("detector")
    if spec is None:
        raise RoleError(f"pack {models.pack.name} has no detector to measure; name a pack that has one")
    adapter = backends()[spec.backend].load()
    parameters = inspect.signature(adapter.__init__).parameters
    options = {sort: name for sort, name in _FLOORS.items() if name in parameters}
    used = {s: float(spec.options.get(name, parameters[name].default)) for s, name in options.items()}
    low = {name: min(_FLOOR, used[sort]) for sort, name in options.items()}
    lowered = replace(spec, options={**spec.options, **low})
    pack = replace(models.pack, roles={**models.pack.roles, "detector": lowered})
    return Models(pack, models.models_dir).get("detector"), used


def found_in(
    detector: Detector, images: Sequence[Image], labels: dict[str, int], batch: int = 16
) -> tuple[list[Found], float]:
    """Detections by class index, and seconds a picture."""
    results: list[Regions] = []
    started = time.perf_counter()
    for at in range(0, len(images), batch):
        results += detector.detect(images[at : at + batch])
    seconds = (time.perf_counter() - started) / max(1, len(images))
    found = []
    for regions in results:
        kept = [r for r in regions if r.label in labels]
        found.append(
            Found(
                np.array([r.box for r in kept], np.float64).reshape(-1, 4),
                np.array([labels[r.label] for r in kept], np.int64),
                np.array([r.score for r in kept], np.float64),
            )
        )
    return found, seconds


def report(pictures: Pictures, found: Sequence[Found], known: set[int], used: float) -> dict[str, Any]:
    """The figures of a detector over pictures.

    `known` are the classes that it has a name for: the means are over those that occur, and `map50_all` over every
    class that occurs, the others as 0. `used` is the score from which the pack lets a detection stand.
    """
    scored = score_kinds(found, pictures.truths, len(pictures.classes))
    map50, map50_95 = mean_ap([s for i, s in enumerate(scored) if i in known])
    every = [i for i, s in enumerate(scored) if s.total]
    map50_all = sum(float(scored[i].ap()[0]) for i in every if i in known) / max(1, len(every))
    kinds = {pictures.classes[i]: _kind(scored[i]) for i in every if i in known}
    dense = [k["recall_at_p90"] for k in kinds.values() if k["n"] >= SPARSE]
    sparse = pool([scored[i] for i in every if i in known and scored[i].total < SPARSE])
    return {
        "on": pictures.name, "pictures": len(pictures.images), "objects": sum(s.total for s in scored),
        "map50": _round(map50), "map50_95": _round(map50_95), "map50_all": _round(map50_all),
        "classes": len(kinds), "classes_all": len(every),
        "recall_at_p90": _round(float(np.mean(dense)) if dense else float("nan")),
        "used_from": used, **_counts(found, pictures.truths, used),
        "kinds": kinds, "sparse": {"classes": sum(k["n"] < SPARSE for k in kinds.values()), **_kind(sparse)},
    }  # fmt: skip


def _kind(scored: KindScores) -> dict[str, Any]:
    ap = scored.ap()
    return {
        "n": scored.total, "ap50": _round(float(ap[0])), "ap50_95": _round(float(ap.mean())),
        "recall_at_p90": _round(scored.recall_at(PRECISION)),
    }  # fmt: skip


def _counts(found: Sequence[Found], truths: Sequence[Truth], used: float) -> dict[str, Any]:
    """Part of the pictures with few things in which as many are found as there are: in all, and of each kind."""
    asked = total = kinds = 0
    for one, truth in zip(found, truths, strict=True):
        keep = (one.scores >= used) & ~np.isin(one.kinds, list(truth.open))
        real = truth.kinds[~truth.ignore]
        if len(real) > _COUNTED or truth.ignore.any():
            continue
        asked += 1
        total += int(keep.sum()) == len(real)
        kinds += sorted(one.kinds[keep].tolist()) == sorted(real.tolist())
    kept = [_above(one, used) for one in found]
    every = [*(one.kinds for one in kept), *(truth.kinds for truth in truths)]
    scored = pool(score_kinds(kept, truths, 1 + max((int(k.max()) for k in every if len(k)), default=0)))
    right = int(scored.right[0].sum())
    return {
        "count_exact": _round(total / asked if asked else float("nan")),
        "kinds_exact": _round(kinds / asked if asked else float("nan")), "counted": asked,
        "recall": _round(right / max(1, scored.total)), "precision": _round(right / max(1, int(scored.counts[0].sum()))),
    }  # fmt: skip


def _above(found: Found, score: float) -> Found:
    keep = found.scores >= score
    return Found(found.boxes[keep], found.kinds[keep], found.scores[keep])


def calibrate(pictures: Pictures, found: Sequence[Found], labels: dict[str, int], used: float) -> Calibration:
    """Precision and recall at IoU .5 by threshold, for each label of the detector that the pictures have a class for."""
    scored = score_kinds(found, pictures.truths, len(pictures.classes))
    known = sorted(set(labels.values()))
    classes = {label: _curve(scored[index]) for label, index in labels.items()}
    return Calibration(
        THRESHOLDS, _curve(pool([scored[i] for i in known])), classes, used, pictures.name, len(pictures.images)
    )  # fmt: skip


def _curve(scored: KindScores) -> Curve:
    scores, precision, recall = scored.curve()
    # how many detections have at least the score: they come best first
    counts = [int(np.searchsorted(-scores, -t, side="right")) for t in THRESHOLDS]
    first = float(precision[counts[0] - 1]) if counts[0] else 0.0
    values, last = [], first
    for n in counts:  # above the best score, precision stays as it was there
        last = float(precision[n - 1]) if n else last
        values.append(round(last, 4))
    return Curve(
        scored.total, tuple(values), tuple(round(float(recall[n - 1]), 4) if n else 0.0 for n in counts)
    )


def _round(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)


def evaluate(models: Models, pictures: Pictures) -> tuple[dict[str, Any], Calibration]:
    """Measure a pack's detector: its figures, and what its scores are worth.

    Where it tells sorts of pictures apart, the names and the floor are those of the sort that most of these are.
    """
    detector, floors = open_detector(models)
    sorts = Counter(sort_of(detector, image) for image in pictures.images)
    sort = sorts.most_common(1)[0][0]
    shown = next(image for image in pictures.images if sort_of(detector, image) == sort)
    used = floors.get(sort, floors.get("", 0.0))
    labels = same_names(vocabulary_for(detector, shown), pictures.classes)
    found, seconds = found_in(detector, pictures.images, labels)
    figures = report(pictures, found, set(labels.values()), used)
    told = {"sorted_as": dict(sorts)} if sort else {}
    return {
        "pack": models.pack.name,
        **figures,
        **told,
        "ms_per_picture": round(seconds * 1e3, 1),
    }, calibrate(pictures, found, labels, used)


__all__ = ["PRECISION", "SPARSE", "calibrate", "evaluate", "found_in", "open_detector", "report"]
