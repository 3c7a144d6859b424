"""Fits what the evidence of pack `scenes` is worth on drawn scenes of the validation split, and writes it.

    python -m sightline.agent.verification.calibrate_scenes [--pictures 400] [--out calibration/scenes.json]

The model's own captions and answers, the same questions answered rightly and wrongly by somebody else, captions that hold and
captions with one claim made false are looked into. Ridge logistic
models are fitted for existence, counts and colours, each threshold the largest below which at most `LOST` of the true claims
fall, in cross-validation over pictures. Everything hangs on the eyes: fit again whenever a part of the pack has new weights
(running it twice gives the same file; nothing is written before all is fitted). Relations and texts have a chance for each kind of observation.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from ...mllm.scenes import vocabulary
from ...programs.engine import Engine
from ...tools.imagefile import write_whole
from ...tools.models import Models
from . import fitting, live
from .asked import extract_answer
from .claims import Extraction
from .evidence import Gatherer
from .measure_scenes import injected
from .reliability import Linear, Reliability, Thresholds, shipped
from .scene_truth import KINDS, Drawn, scenes, truth
from .verdicts import Judge

PRIOR = 0.85  # of the claims of a caption by a model, true: for what has a chance for each observation
STREAM = 6  # of the validation split; the figures reported are from the test split
# of the true claims of a kind that a threshold may cost: counts are few, and all of them together are to lose less than 1%;
# an answer is right or wrong either way, so there a yes may be lost for every few that were wrong
LOST = {"existence": 0.005, "answer": 0.03, "denied": 0.008, "count": 0.01, "attribute": 0.01}
RIDGE = 1.0
FEATURES = {
    "existence": (
        "seen", "score.seen", "denied", "answer", "answer.unseen", "faint", "faint.any", "doubt", "doubt.any", "doubt.color",
        "crowd", "again", "own.unseen", "own.answer", "own.doubt.color", "own.spare.color", "spare", "spare.color", "spare.alike",
        "mllm.yes", "mllm.no",
    ),
    "count": ("last", "more", "gap", "many", "doubt"),
    "attribute": ("same", "near", "many", "other", "part", "score", "free", "lack", "faint", "spare", "doubt", "own", "again", "pixels"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """One claim about one picture with what was observed of it, and whether it is true."""

    picture: str
    source: str  # said, answer, heard (somebody else's answer), or the kind that was made false ('' for none)
    kind: str
    polarity: bool
    true: bool
    features: Mapping[str, float]
    observed: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "picture": self.picture, "source": self.source, "kind": self.kind, "polarity": self.polarity, "true": self.true,
            "features": {k: round(v, 4) for k, v in self.features.items()}, "observed": self.observed,
        }  # fmt: skip


def drafts(
    pictures: Sequence[Drawn], models: Models
) -> Iterator[tuple[Drawn, str, list[tuple[str, Extraction]]]]:
    """Each picture with its texts: (source, claims)."""
    mllm = models.get("mllm")
    said = mllm.caption([d.image for d in pictures])
    asked: dict[int, list[tuple[str, str, str]]] = {}
    rows = [q for sampling in ("random", "adversarial") for q in live.questions(pictures, sampling)]
    texts = [f"Is there {vocabulary.article(kind)} in the picture?" for _, kind, _ in rows]
    heard = mllm.answer([pictures[n].image for n, _, _ in rows], texts)
    for (number, kind, there), text, answer in zip(rows, texts, heard, strict=True):
        # every second one of anybody else's answers is wrong; of the two samplings' questions each has its own
        right = Random(f"heard/{STREAM}/{pictures[number].scene.seed}/{kind}").random() < 0.5
        asked.setdefault(number, []).append((text, answer, "yes" if there == right else "no"))
    for number, (drawn, caption) in enumerate(zip(pictures, said, strict=True)):
        told = [("said", extract_answer(caption, ""))] if caption.strip() else []
        told += [("answer", extract_answer(a, q)) for q, a, _ in asked.get(number, []) if a.strip()]
        told += [("heard", extract_answer(a, q)) for q, _, a in asked.get(number, [])]
        for kind in ("", *KINDS, "text"):
            if draft := injected(kind, STREAM)(drawn):
                told.append((kind, extract_answer(draft, "")))
        yield drawn, str(drawn.scene.seed), told


def observe(pictures: Sequence[Drawn], engine: Engine, base: Reliability) -> Iterator[Row]:
    """Every claim of which the scene says whether it is true, with what was seen of it."""
    for drawn, name, texts in drafts(pictures, engine.models):
        gatherer = Gatherer(drawn.image, engine)
        for source, found in texts:
            evidence = gatherer.gather(found)
            speaker = "mllm" if source in ("said", "answer") else ""
            verdicts = Judge(found, evidence, engine.models, base, speaker).judge(found.claims)
            for claim in found.claims:
                true = truth(claim, found, drawn.scene)
                one = verdicts[claim.id]
                if true is not None and not one.because and (one.features or one.observed):
                    yield Row(name, source, claim.kind, claim.polarity, true, one.features, one.observed)


def fit(rows: Sequence[Row], base: Reliability, told: dict[str, Any]) -> Reliability:
    """The calibration from those rows; how good it is in cross-validation stands in its provenance."""
    report: dict[str, Any] = {"rows": len(rows)}
    models: dict[str, Linear] = {}
    thresholds = dict(base.thresholds)
    for kind, names in FEATURES.items():
        own = [r for r in rows if r.kind == kind and r.features]
        x = np.array([[r.features.get(n, 0.0) for n in names] for r in own])
        # existence: whether the thing is there, whatever the text says of it
        y = np.array([r.true == r.polarity if kind == "existence" else r.true for r in own], dtype=float)
        model = fitting.fit_logistic(x, y, RIDGE)
        models[kind] = Linear(
            round(model.bias, 4), dict(zip(names, np.round(model.weights, 4).tolist(), strict=True))
        )
        p = fitting.cross_predict(x, y, [r.picture for r in own], RIDGE)
        report[kind] = {
            "n": len(own), "true": int(y.sum()), "ece": round(fitting.expected_calibration_error(p, y), 4),
            "reliability": fitting.reliability_bins(p, y), "risk_coverage": fitting.risk_coverage(p, y),
        }  # fmt: skip
        parts = {
            "existence": [r.polarity and r.source not in ("answer", "heard") for r in own],
            "answer": [r.polarity and r.source in ("answer", "heard") for r in own],
            "denied": [not r.polarity for r in own],
        } if kind == "existence" else {kind: [True] * len(own)}  # fmt: skip
        for name, chosen in parts.items():
            mask = np.array(chosen)
            said, right = (1 - p[mask], 1 - y[mask]) if name == "denied" else (p[mask], y[mask])
            at = min(fitting.largest(said, right, LOST[name] * right.sum()), 0.5)
            thresholds[name] = Thresholds(round(at, 4), max(0.8, round(at, 4)))
            report[name] = report.get(name, {}) | {
                "threshold": round(at, 4), "true_lost": round(float(right[said < at].sum() / max(1, right.sum())), 4),
                "false_caught": round(float((1 - right)[said < at].sum() / max(1, (1 - right).sum())), 4),
            }  # fmt: skip
    existence = models.pop("existence")
    observations, ece = chances(rows, base)
    return replace(
        base, name="scenes", bias=existence.bias, weights=existence.weights, models=models, observations=observations,
        thresholds=thresholds, provenance=told | {"cross_validated": report | {"relation": {"ece": ece}}},
    )  # fmt: skip


def chances(rows: Iterable[Row], base: Reliability) -> tuple[dict[str, float], float]:
    """(chance of a claim by what was observed of it, ECE of those of relations), for the groups that no model judges."""
    kinds = Counter((r.observed, r.true) for r in rows if r.polarity)
    observations = dict(base.observations)
    for group in ("color", "relation", "text"):
        names = sorted({n for n, _ in kinds if n.startswith(f"{group}.")})
        sums = {t: sum(kinds[n, t] for n in names) + len(names) * 0.5 for t in (True, False)}
        for name in names:
            true, false = ((kinds[name, t] + 0.5) / sums[t] for t in (True, False))
            observations[name] = round(PRIOR * true / (PRIOR * true + (1 - PRIOR) * false), 4)
    told = [(observations[n], t, k) for (n, t), k in kinds.items() if n.startswith("relation.")]
    p = np.repeat([r[0] for r in told], [r[2] for r in told])
    y = np.repeat([float(r[1]) for r in told], [r[2] for r in told])
    return observations, round(fitting.expected_calibration_error(p, y), 4) if len(p) else math.nan


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pictures", type=int, default=400)
    parser.add_argument("--stream", type=int, default=STREAM, help="of the validation split")
    parser.add_argument("--pack", default="scenes")
    parser.add_argument("--rows", type=Path, help="write the rows too, one JSON object a line")
    parser.add_argument("--again", type=Path, help="fit on rows written before instead of looking once more")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "calibration" / "scenes.json")
    given = parser.parse_args()
    engine = Engine(Models.from_pack(given.pack))
    base = shipped("default")
    if given.again is not None:
        rows = [Row(**json.loads(line)) for line in given.again.read_text("utf-8").splitlines()]
    else:
        rows = list(observe(list(scenes("val", given.stream, given.pictures)), engine, base))
    if given.rows:
        given.rows.write_text("".join(json.dumps(r.to_json()) + "\n" for r in rows), "utf-8")
    told = {
        "what": "drawn scenes seen by pack scenes: existence, counts, colours, relations, texts",
        "fitted_on": f"{given.pictures} scenes of the validation split, stream {given.stream}: the starter's captions and answers, "
        "answers by others, captions that hold, and captions with one claim made false",
        "command": f"python -m sightline.agent.verification.calibrate_scenes --pictures {given.pictures}",
        "weights": {role: engine.models.weights(role)[:12] for role in ("detector", "mllm")},
        "features": {k: list(v) for k, v in FEATURES.items()}, "ridge": RIDGE, "allowed_loss": LOST, "prior": PRIOR,
    }  # fmt: skip
    fitted = fit(rows, base, told)
    write_whole(given.out, (json.dumps(fitted.to_json(), indent=1) + "\n").encode())
    for name, one in fitted.provenance["cross_validated"].items():
        if isinstance(one, dict):
            print(name, {k: v for k, v in one.items() if k not in ("reliability", "risk_coverage")})


if __name__ == "__main__":
    main()
