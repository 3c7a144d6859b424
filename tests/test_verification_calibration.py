"""Calibration: what is counted on described photographs and on scenes, and what is fitted from it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
import pytest

from sightline.agent.verification import calibrate_photos, calibrate_scenes
from sightline.agent.verification.calibrate_scenes import FEATURES, LOST, Row
from sightline.agent.verification.claims import extract
from sightline.agent.verification.reliability import shipped
from sightline.tools.values import Image


def photo(*captions: str, **things: tuple[float, float, float, float]) -> calibrate_photos.Photo:
    image = Image.from_array(np.zeros((100, 200, 3), np.uint8))
    return calibrate_photos.Photo(image, captions, {name: [box] for name, box in things.items()})


def test_one_word_is_exchanged_and_named() -> None:
    told = list(
        calibrate_photos.texts_of(
            photo("A red bus on a road.", dog=(0, 0, 20, 20), cat=(100, 0, 120, 20)), Random(0)
        )
    )
    assert told[0] == ("A red bus on a road.", None)
    false, word = told[1]
    assert word is not None and word != "red" and false == f"A {word} bus on a road."
    assert ("The cat is to the right of the dog.", None) in told
    assert ("The cat is to the left of the dog.", "left") in told
    claims = [c for c in extract(false).claims if calibrate_photos.exchanged(c, word)]
    assert {c.kind for c in claims} >= {"attribute"}


def test_chances_follow_counts_and_a_threshold_spares_the_true() -> None:
    kinds = Counter(
        {
            ("color.same", True): 95,
            ("color.other", True): 1,
            ("color.other", False): 40,
            ("color.same", False): 1,
        }
    )
    observations, thresholds = calibrate_photos.chances(kinds)
    assert observations["color.same"] > 0.95 and observations["color.other"] < 0.15
    assert observations["color.other"] < thresholds["attribute"] <= calibrate_photos.MOST_SURE
    fair = Counter({("color.other", True): 50, ("color.other", False): 50})
    assert calibrate_photos.chances(fair)[1]["attribute"] <= calibrate_photos.MOST_SURE


def test_answers_are_worth_what_they_were(tmp_path: Path) -> None:
    asked = [{"question": "Is there a dog?", "answer": a, "label": y} for a, y in
             [("Yes.", "yes")] * 9 + [("Yes.", "no")] * 3 + [("No.", "no")] * 9 + [("No.", "yes")]]  # fmt: skip
    path = tmp_path / "r.jsonl"
    path.write_text(
        json.dumps({"image": "a.jpg", "caption": "", "objects": [], "pope": asked}) + "\n", "utf-8"
    )
    worth = calibrate_photos.answers_of(path)
    assert worth["exists.yes"] == pytest.approx(0.9 / (0.9 + 0.25), abs=1e-3)
    assert worth["exists.no"] == pytest.approx(0.1 / (0.1 + 0.75), abs=1e-3)
    assert worth["mllm.yes"] > worth["exists.yes"] and worth["mllm.no"] > worth["exists.no"]


def rows() -> list[Row]:
    """Claims of 40 pictures: what is seen is there, what is not is there where a place is in doubt."""
    made = []
    for n in range(40):
        name = str(n)
        for source in ("said", "answer", "existence"):
            made.append(Row(name, source, "existence", True, True, {"seen": 1.0, "score.seen": -0.1}))
            made.append(Row(name, source, "existence", True, False, {"doubt.any": 0.0}))
            made.append(Row(name, source, "existence", True, n % 2 == 0, {"doubt.any": 1.0, "doubt": 3.0}))
        made.append(Row(name, "answer", "existence", False, True, {"denied": 1.0}))
        made.append(Row(name, "answer", "existence", False, False, {"denied": 1.0, "seen": 1.0}))
        for true, last in ((True, -0.1), (False, -5.5)):
            made.append(Row(name, "", "count", True, true, {"last": last, "more": -5.5, "gap": last + 5.5}))
        for true, what in ((True, "same"), (False, "other")):
            made.append(Row(name, "", "attribute", True, true, {what: 1.0}, f"color.{what}"))
        made.append(Row(name, "", "relation", True, n > 2, {}, "relation.holds"))
    return made


def test_scenes_are_fitted_by_kind_with_thresholds_and_a_report() -> None:
    fitted = calibrate_scenes.fit(rows(), shipped("default"), {"what": "w", "fitted_on": "f"})
    report = fitted.provenance["cross_validated"]
    for kind in FEATURES:
        assert report[kind]["true_lost"] <= LOST[kind] and report[kind]["false_caught"] > 0.5
    assert fitted.existence({"doubt.any": 0.0}) < fitted.threshold("existence").contradict <= 0.5
    assert fitted.existence({"seen": 1.0, "score.seen": -0.1}) > 0.8
    assert fitted.modelled("count", {"last": -5.5, "more": -5.5}) < fitted.modelled(
        "count", {"last": 0.0, "more": -5.5}
    )
    assert fitted.provenance["what"] == "w"


def test_rows_survive_their_file() -> None:
    for row in rows()[:5]:
        assert Row(**json.loads(json.dumps(row.to_json()))) == row
