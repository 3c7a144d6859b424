"""Recorded detections: the back end, the fits on them, and the whole verifier on real words about real pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sightline.agent.verification import fitting, measure
from sightline.agent.verification.recorded import blank, halves, read_rows, recorded_models
from sightline.agent.verification.reliability import shipped
from sightline.agent.verification.verify import verify
from sightline.errors import ModelFileError, ToolError
from sightline.mllm.evaluation.hallucination.chair import Synonyms
from sightline.programs.engine import Engine
from sightline.tools.backends.recorded import RecordedDetector, RecordedTags, share_of

ROW = {"image": "a.jpg", "detr": ["dog", "dog"], "ram": ["dog", "kitchen table"], "caption": "A dog on a table.",
       "objects": ["dog", "dining table"], "pope": []}  # fmt: skip


@pytest.fixture
def records(tmp_path: Path) -> Path:
    path = tmp_path / "records.jsonl"
    path.write_text(json.dumps(ROW) + "\n", "utf-8")
    return path


def test_names_come_back_by_file_name(records: Path) -> None:
    detector = RecordedDetector(records, "d")
    (found,) = detector.detect([blank("somewhere/a.jpg")])
    assert [r.label for r in found] == ["dog", "dog"] and found[0].score == 0.95
    with pytest.raises(ToolError, match=r"nothing is recorded for b\.jpg"):
        detector.detect([blank("b.jpg")])


def test_tags_answer_names(records: Path) -> None:
    (found,) = RecordedTags(records, "d").detect([blank("a.jpg")], [["dog", "table", "cat"]])
    assert {r.label for r in found} == {"dog", "table"}
    assert share_of("person", ["woman"]) == 1.0 and share_of("car", ["dog"]) == 0.0


def test_a_file_that_is_none_says_where(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"image": "a.jpg", "detr": "dog"}\n', "utf-8")
    with pytest.raises(ModelFileError, match="line 1"):
        RecordedDetector(path, "d")


def test_the_verifier_runs_without_the_pictures(records: Path) -> None:
    result = verify(blank("a.jpg"), "A dog and a cat.", models=recorded_models(records))
    assert result.count("supported") >= 1 and not result.faults


def test_pictures_are_divided_by_seed() -> None:
    names = [f"{i}.jpg" for i in range(11)]
    one, two = halves(names)
    assert len(one) == 5 and sorted(one + two) == sorted(names) and halves(reversed(names)) == (one, two)


def test_a_logistic_model_finds_what_made_the_rows() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4000, 2))
    y = (rng.random(4000) < 1 / (1 + np.exp(-(0.5 + 2 * x[:, 0])))).astype(float)
    model = fitting.fit_logistic(x, y, ridge=0.1)
    assert model.bias == pytest.approx(0.5, abs=0.15) and model.weights[0] == pytest.approx(2, abs=0.2)
    assert abs(model.weights[1]) < 0.15
    assert fitting.expected_calibration_error(model(x), y) < 0.03
    with pytest.raises(ValueError, match="both kinds"):
        fitting.fit_logistic(x, np.ones(4000))


def test_the_largest_threshold_that_spares() -> None:
    p, y = np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.0, 1.0, 0.0, 1.0])
    assert fitting.largest(p, y, 0) == pytest.approx(0.15)
    assert fitting.largest(p, y, 1) == pytest.approx(0.35)
    assert fitting.largest(p[:1], np.ones(1), 0) == 0.0


def test_shrunken_rates() -> None:
    odds = fitting.shrunk_log_odds({"a": 0}, {"a": 1, "b": 100}, 4.0)
    assert odds["a"] > odds["b"]


def test_risk_falls_with_coverage() -> None:
    curve = fitting.risk_coverage(np.array([0.99, 0.9, 0.6, 0.55]), np.array([1.0, 1.0, 0.0, 1.0]))
    assert curve[0] == (0.25, 0.0) and curve[-1] == (1.0, 0.25)


def test_real_words_lose_hallucinations_and_little_else(data: Path) -> None:
    """On pictures that the calibration `recorded_half` was not fitted on."""
    path = data / "hallucination" / "coco_recorded_dev.jsonl"
    rows = read_rows(path)
    reliability = shipped("recorded_half")
    held = set(reliability.provenance["reported_on"])
    rows = [row for row in rows if row["image"] in held][:60]
    engine = Engine(recorded_models(path))
    captions, answers = measure.look(rows, engine, reliability.both)
    synonyms = Synonyms.read(data / "hallucination" / "synonyms.txt")
    texts = [measure.corrected(c, engine, reliability) for c in captions]
    found = measure.captions_score(rows, captions, texts, synonyms)
    assert found["chair_i_left"] < 90 and found["recall_kept"] >= 97
    said = measure.answers_score(rows, answers, [measure.corrected(a, engine, reliability) for a in answers])
    assert said["gain"] > 1 and said["recall_lost"] <= 4
