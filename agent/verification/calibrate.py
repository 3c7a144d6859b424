"""Fits what evidence is worth from pictures with known objects, and writes it with its provenance.

    python -m sightline.agent.verification.calibrate --records coco_recorded_dev.jsonl --out calibration/recorded.json \\
        [--captions llava15_greedy_captions.jsonl --objects llava15_objects.json] [--all]

Existence: of pictures divided in two by seed, one half. What the closed detector saw is there with a chance counted on that
half; what it did not see is there by a ridge logistic model over the tagger's word, how far the class can be trusted in
captions of this kind, how much was seen at all, and the wording. Thresholds are the largest that lose no more true objects
than allowed, in cross-validation over pictures; of answers by what the model expects to be lost there.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ...programs.engine import Engine
from ...tools.names import COCO_CLASSES
from . import fitting
from .claims import extract
from .recorded import PACK, Sample, halves, read_rows, recorded_models, samples
from .reliability import Reliability, Thresholds, shipped
from .verdicts import class_of

FEATURES = (
    "open_vocabulary.exact", "open_vocabulary.wide", "class", "kinds", "answer", "answer.beside", "answer.short",
    "told.wide", "told.kinds", "told.first",
)  # fmt: skip
# of the true objects named, or of the true yes: what a threshold may cost; of answers the most that cross-validation inside the
# calibration half keeps below 3% with nine chances in ten
LOST = {"caption": 0.02, "answer": 0.01}
RIDGE = 3.0


def class_trust(captions: Path, objects: Path, without: set[str]) -> dict[str, float]:
    """Log odds by class that a thing named in logged captions is there; pictures in `without` (COCO ids) are passed over."""
    truth = json.loads(objects.read_text("utf-8"))
    hits: dict[str, int] = {}
    totals: dict[str, int] = {}
    for line in captions.read_text("utf-8").splitlines():
        row = json.loads(line)
        image = str(row["image_id"])
        if image in without or image not in truth:
            continue
        named = {
            class_of(c.entities[0])
            for c in extract(row["caption"]).claims
            if c.kind == "existence" and c.polarity
        }
        for name in named & set(COCO_CLASSES):
            totals[name] = totals.get(name, 0) + 1
            hits[name] = hits.get(name, 0) + (name in truth[image])
    return {name: round(odds, 3) for name, odds in fitting.shrunk_log_odds(hits, totals).items()}


def fit(
    rows: Sequence[dict[str, Any]], base: Reliability, engine: Engine, told: dict[str, Any]
) -> tuple[Reliability, dict[str, Any]]:
    """The calibration from rows of the calibration half, and how good it is there in cross-validation."""
    found = list(samples(rows, engine, base))
    seen = _seen(found)
    unseen = [s for s in found if s.polarity and not s.features.get("detector.seen")]
    x = np.array([[s.features.get(name, 0.0) for name in FEATURES] for s in unseen])
    y = np.array([s.true for s in unseen], dtype=float)
    model = fitting.fit_logistic(x, y, RIDGE)
    p = fitting.cross_predict(x, y, [s.image for s in unseen], RIDGE)
    sources = np.array([s.source for s in unseen])
    thresholds = dict(base.thresholds)
    objects = {"caption": len({(s.image, s.name) for s in found if s.source == "caption" and s.true}),
               "answer": sum(s.source == "answer" and s.true for s in found)}  # fmt: skip
    regained = sum(not s.polarity and s.true and bool(s.features.get("detector.seen")) for s in found)
    for source, kind in (("caption", "existence"), ("answer", "answer")):
        own = sources == source
        spare = LOST[source] * objects[source] + (regained if source == "answer" else 0)
        # of the answers what is expected to be lost: a count of some ten lost ones is chance
        lost = p[own] if source == "answer" else y[own]
        thresholds[kind] = Thresholds(round(fitting.largest(p[own], lost, spare), 4), 0.8)
    report = {
        "rows": len(found), "unseen": len(unseen), "ece": round(fitting.expected_calibration_error(p, y), 4),
        "reliability": fitting.reliability_bins(p, y), "risk_coverage": fitting.risk_coverage(p, y),
    }  # fmt: skip
    fitted = replace(
        base, bias=round(model.bias, 4), weights=dict(zip(FEATURES, np.round(model.weights, 4).tolist(), strict=True)),
        seen=seen[0], denied=seen[1], thresholds=thresholds, provenance=told | {"cross_validated": report},
    )  # fmt: skip
    return fitted, report


def _seen(found: Sequence[Sample]) -> tuple[dict[str, float], dict[str, float]]:
    """Chances that a thing is there: which the detector saw (told or denied), and denied ones that it did not see."""

    def chance(chosen: list[Sample], prior: float, strength: float) -> float:
        return round((sum(s.true for s in chosen) + strength * prior) / (len(chosen) + strength), 4)

    told = chance([s for s in found if s.polarity and s.features.get("detector.seen")], 0.95, 4)
    seen = {
        "told": told,
        "denied": chance([s for s in found if not s.polarity and s.features.get("detector.seen")], told, 2),
    }
    blind = [s for s in found if not s.polarity and not s.features.get("detector.seen")]
    denied = {
        "tag": chance([s for s in blind if s.features.get("open_vocabulary.exact")], 0.5, 4),
        "none": chance([s for s in blind if not s.features.get("open_vocabulary.exact")], 0.1, 4),
    }
    return seen, denied


def base_of(rows: Sequence[dict[str, Any]], captions: Path | None, objects: Path | None) -> Reliability:
    """What is fitted upon: two detectors, existence alone, trust in classes from captions of other pictures than these rows'."""
    own = {str(int(Path(row["image"]).stem.rpartition("_")[2])) for row in rows}
    trust = class_trust(captions, objects, own) if captions is not None and objects is not None else {}
    return replace(
        shipped("default"),
        name=PACK,
        both=True,
        absence=("detector",),
        kinds=("existence",),
        classes=trust,
        models={},
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--records", type=Path, required=True, help="rows with image, detr, ram, caption, objects, pope"
    )
    parser.add_argument(
        "--captions", type=Path, help="logged captions of other pictures, for how far a class can be trusted"
    )
    parser.add_argument("--objects", type=Path, help="their true objects")
    parser.add_argument("--seed", type=int, default=0, help="of the division in two")
    parser.add_argument(
        "--all", action="store_true", help="fit on every picture, where another file is reported on"
    )
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "calibration" / f"{PACK}.json")
    given = parser.parse_args()
    rows = read_rows(given.records)
    chosen, held = halves((row["image"] for row in rows), given.seed)
    if given.all:
        chosen, held = sorted({row["image"] for row in rows}), []
    calibration = [row for row in rows if row["image"] in set(chosen)]
    base = base_of(rows, given.captions, given.objects)
    told = {
        "what": "existence of COCO's classes in captions and answers of LLaVA-1.5, from recorded detections (DETR at .95, RAM)",
        "fitted_on": f"{len(calibration)} of {len(rows)} pictures of {given.records.name}"
        + ("" if given.all else f", divided by seed {given.seed}"),
        "command": "python -m sightline.agent.verification.calibrate" + (" --all" if given.all else ""),
        "pictures": chosen, "reported_on": held,
        "class_trust": f"{given.captions.name}, without these pictures" if given.captions else "",
        "features": list(FEATURES), "ridge": RIDGE, "allowed_loss": LOST,
    }  # fmt: skip
    fitted, report = fit(calibration, base, Engine(recorded_models(given.records)), told)
    given.out.write_text(json.dumps(fitted.to_json(), indent=1) + "\n", "utf-8")
    print(json.dumps({k: v for k, v in report.items() if k != "risk_coverage"}, indent=1))
    print(
        {k: (t.contradict, t.support) for k, t in fitted.thresholds.items() if k in ("existence", "answer")},
        given.out,
    )


if __name__ == "__main__":
    main()
