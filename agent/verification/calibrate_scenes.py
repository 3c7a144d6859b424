"""Fits what the evidence of pack `scenes` is worth on drawn scenes of the validation split, and writes it.

    python -m sightline.agent.verification.calibrate_scenes [--pictures 300] [--out calibration/scenes.json]

Captions that hold and captions with one claim made false are verified; how often each kind of observation goes with a true and
with a false claim gives the chance that a claim is true when that is observed, at the prior that most of what is said is true.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ...programs.engine import Engine
from ...tools.models import Models
from . import fitting
from .claims import extract
from .evidence import Gatherer
from .measure_scenes import injected
from .reliability import Reliability, Thresholds, combine, shipped
from .scene_truth import KINDS, Drawn, scenes, truth
from .verdicts import Judge, class_of

PRIOR = 0.85  # of the claims of a caption by a model, true
STREAM = 6  # of the validation split; the figures reported are from the test split


def observe(pictures: Iterable[Drawn], engine: Engine, base: Reliability) -> dict[str, Any]:
    """Counts of observations by truth: existence by role and class, counts by thing, and the kinds of `Verdict.observed`."""
    seen: dict[str, Counter[tuple[str, bool, bool]]] = {"detector": Counter(), "open_vocabulary": Counter()}
    kinds: Counter[tuple[str, bool]] = Counter()
    found_things = true_things = doubles = places = 0
    for drawn in pictures:
        gatherer = Gatherer(drawn.image, engine)
        for kind in ("", *KINDS):
            draft = injected(kind, STREAM)(drawn)
            if not draft:
                continue
            found = extract(draft)
            evidence = gatherer.gather(found)
            verdicts = Judge(found, evidence, engine.models, base).judge(found.claims)
            for claim in found.claims:
                true = truth(claim, found, drawn.scene)
                if true is None:
                    continue
                if claim.kind == "existence":
                    if claim.id in evidence.answers:
                        kinds[f"exists.{combine(*evidence.answers[claim.id])}", true] += 1
                    for look in evidence.looks.get(claim.refs[0], ()):
                        if look.covered:
                            seen[look.role][class_of(claim.entities[0]), look.score > 0, true] += 1
                elif verdicts[claim.id].observed:
                    told = verdicts[claim.id].observed
                    kinds[told, true] += 1
                    if claim.kind == "count" and true and not kind:
                        gap = int(told.removeprefix("count."))
                        true_things += int(claim.value.rstrip("+"))
                        found_things += int(claim.value.rstrip("+")) + min(gap, 0)
                        doubles += max(gap, 0)
                        places += 1
    return {"seen": seen, "kinds": kinds, "things": (found_things, true_things, doubles, places)}


def fit(counts: dict[str, Any], base: Reliability, told: dict[str, Any]) -> Reliability:
    """The calibration from those counts."""
    recalls: dict[str, dict[str, float]] = {}
    alarms: dict[str, float] = {}
    for role, table in counts["seen"].items():
        hits = {n: k for (n, s, t), k in table.items() if t and s}
        totals: dict[str, int] = {}
        for (name, _, true), k in table.items():
            if true:
                totals[name] = totals.get(name, 0) + k
        if totals:
            odds = fitting.shrunk_log_odds(hits, totals, 20.0)
            recalls[role] = {name: round(1 / (1 + math.exp(-v)), 4) for name, v in odds.items()}
        false = sum(k for (_, _, t), k in table.items() if not t)
        alarms[role] = round((sum(k for (_, s, t), k in table.items() if not t and s) + 1) / (false + 20), 4)
    observations = dict(base.observations)
    kinds = counts["kinds"]
    for group in ("color", "relation", "text"):
        names = [n for n in observations if n.startswith(f"{group}.")]
        totals_by = {t: sum(kinds[n, t] for n in names) + len(names) * 0.5 for t in (True, False)}
        for name in names:
            if kinds[name, True] + kinds[name, False] >= 5:
                true, false_ = ((kinds[name, t] + 0.5) / totals_by[t] for t in (True, False))
                observations[name] = round(PRIOR * true / (PRIOR * true + (1 - PRIOR) * false_), 4)
    asked = [n for n in observations if n.startswith("exists.")]
    sums = {t: sum(kinds[n, t] for n in asked) + 1.5 for t in (True, False)}
    for name in asked:  # at even odds
        true, false_ = ((kinds[name, t] + 0.5) / sums[t] for t in (True, False))
        observations[name] = round(true / (true + false_), 4)
    found_things, true_things, doubles, places = counts["things"]
    count_recall = (found_things + 9) / (true_things + 10)
    return replace(
        base, name="scenes", bias=round(math.log(PRIOR / (1 - PRIOR)), 4), recalls=recalls, false_alarms=alarms,
        observations=observations, doubles=round((doubles + 0.5) / (places + 10), 4),
        weights={"detector": 1.0, "open_vocabulary": 1.0, "mllm": 1.0},
        thresholds=dict(base.thresholds) | {"existence": Thresholds(0.3, 0.8), "answer": Thresholds(0.5, 0.5),
                                            "attribute": Thresholds(0.2, 0.75)},
        provenance=told | {"count_recall": round(count_recall, 4),
                           "observations": {f"{n} {'true' if t else 'false'}": k for (n, t), k in sorted(kinds.items())}},
    )  # fmt: skip


def expected(reliability: Reliability, counts: dict[str, Any]) -> dict[str, float]:
    """ECE of the probabilities of colours and relations on the counts they were fitted on."""
    result = {}
    for group in ("color", "relation"):
        rows = [(reliability.observations[n], t, k) for (n, t), k in counts["kinds"].items() if n in reliability.observations
                and n.startswith(f"{group}.")]  # fmt: skip
        if rows:
            p = np.repeat([r[0] for r in rows], [r[2] for r in rows])
            y = np.repeat([float(r[1]) for r in rows], [r[2] for r in rows])
            result[group] = round(fitting.expected_calibration_error(p, y), 4)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pictures", type=int, default=300)
    parser.add_argument("--pack", default="scenes")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "calibration" / "scenes.json")
    given = parser.parse_args()
    engine = Engine(Models.from_pack(given.pack))
    base = shipped("default")
    counts = observe(scenes("val", STREAM, given.pictures), engine, base)
    told = {
        "what": "drawn scenes seen by pack scenes: existence, counts, colours, relations",
        "fitted_on": f"{given.pictures} scenes of the validation split, stream {STREAM}; captions true and with one claim made false",
        "prior": PRIOR,
    }  # fmt: skip
    fitted = fit(counts, base, told)
    fitted = replace(fitted, provenance=dict(fitted.provenance) | {"ece": expected(fitted, counts)})
    given.out.write_text(json.dumps(fitted.to_json(), indent=1) + "\n", "utf-8")
    print(
        {r: t.get("") for r, t in fitted.recalls.items()},
        fitted.false_alarms,
        fitted.doubles,
        fitted.observations,
    )


if __name__ == "__main__":
    main()
