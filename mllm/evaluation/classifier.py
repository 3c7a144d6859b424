"""How well a classifier names crops of held-out scenes, and whether it says 'not sure' where none of the labels is right.

A classifier is given as a function from crops [H, W, 3] uint8 and their labels to probabilities; `sightline eval classifier`
binds a pack's classifier to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np

from ...errors import InputError
from ..scenes import vocabulary
from ..scenes.render import render
from ..scenes.world import SceneConfig, make_scene, split_seed

Classify = Callable[[Sequence[np.ndarray], Sequence[Sequence[str]]], list[list[float]]]

TASKS = ("kind", "category", "color", "absent", "outside")
LEAST_VISIBLE = 0.5
LEAST_SIDE = 6  # pixels of a crop
_BY_CONTEXT = frozenset({"block"})  # alone, a block of a tower is a square
# Nothing in the world of scenes is one of these, nor a kind of one.
_OUTSIDE = (
    "accordionist",
    "zeppelin",
    "stethoscope",
    "typewriter",
    "chandelier",
    "wheelbarrow",
    "harmonica",
    "parachute",
)


@dataclass(frozen=True)
class Crop:
    """A thing cut out by its box, the labels asked, and which of them is right (None: none is)."""

    task: str
    pixels: np.ndarray
    labels: tuple[str, ...]
    right: int | None


def scene_crops(seed: int, count: int) -> list[Crop]:
    """Crops of `count` scenes of the test split: one question of each task a thing, where the task applies.

    Boxes are off by up to 3% of their size, as a detector's are.
    """
    found: list[Crop] = []
    for index in range(count):
        drawn = render(make_scene(split_seed("test", seed, index), SceneConfig()))
        rng = Random(f"classifier/{seed}/{index}")
        for item in drawn.scene.objects:
            x1, y1, x2, y2 = item.box
            if item.visible < LEAST_VISIBLE or item.category == "text" or min(x2 - x1, y2 - y1) < LEAST_SIDE:
                continue
            if item.kind in _BY_CONTEXT:
                continue
            w, h = x2 - x1, y2 - y1
            box = [v + rng.uniform(-0.03, 0.03) * s for v, s in zip(item.box, (w, h, w, h), strict=True)]
            left, top = max(round(box[0]), 0), max(round(box[1]), 0)
            pixels = drawn.image[top : round(box[3]), left : round(box[2])]
            near = [k for k in vocabulary.CATEGORIES[item.category] if k not in (item.kind, *_BY_CONTEXT)]
            far = [k for k, v in vocabulary.KINDS.items() if v.category not in (item.category, "text")]
            others = rng.sample(near, min(2, len(near))) + rng.sample(far, 2)
            asked: list[tuple[str, list[str], str | None]] = [
                ("kind", [item.kind, *others], item.kind),
                ("absent", others, None),
                ("outside", rng.sample(_OUTSIDE, 4), None),
            ]
            hypernyms = set(vocabulary.hypernyms(item.kind))
            wrong = [c for c in vocabulary.CATEGORIES if c not in hypernyms and c != "text"]
            wrong = [
                c for c in wrong if not hypernyms & set(vocabulary.hypernyms(vocabulary.CATEGORIES[c][0]))
            ]
            if len(wrong) >= 3:
                asked.append(("category", [item.category, *rng.sample(wrong, 3)], item.category))
            if item.color in vocabulary.COLORS:
                tints = rng.sample([c for c in vocabulary.COLORS if c != item.color], 3)
                names = [f"{c} {item.kind}" for c in (item.color, *tints)]
                asked.append(("color", names, names[0]))
            for task, labels, right in asked:
                rng.shuffle(labels)
                found.append(
                    Crop(task, pixels, tuple(labels), None if right is None else labels.index(right))
                )
    return found


def evaluate_classifier(classify: Classify, crops: Sequence[Crop]) -> dict[str, Any]:
    """For each task: `right` (the best label is right and likelier than none; where none is right, 'not sure'), `not_sure`,
    `wrong` (a wrong label is given), `n`, and the 95% interval of `right`."""
    if not crops:
        raise InputError("no crop to classify")
    rows = classify([c.pixels for c in crops], [c.labels for c in crops])
    outcome: dict[str, list[tuple[bool, bool]]] = {}
    for crop, row in zip(crops, rows, strict=True):
        if len(row) != len(crop.labels) or min(row) < 0 or sum(row) > 1 + 1e-4:
            raise InputError(f"the classifier gave {row} for {len(crop.labels)} labels: not probabilities")
        best = int(np.argmax(row))
        sure = row[best] > 1 - sum(row)
        right = (sure and best == crop.right) if crop.right is not None else not sure
        outcome.setdefault(crop.task, []).append((right, not sure))
    report: dict[str, Any] = {}
    for task in (t for t in TASKS if t in outcome):
        table = np.array(outcome[task])
        share = float(table[:, 0].mean())
        spread = 1.96 * (share * (1 - share) / len(table)) ** 0.5
        report[task] = {
            "right": share,
            "not_sure": float(table[:, 1].mean()),
            "wrong": float((~table[:, 0] & ~table[:, 1]).mean()),
            "n": len(table),
            "ci": (max(share - spread, 0.0), min(share + spread, 1.0)),
        }
    return report
