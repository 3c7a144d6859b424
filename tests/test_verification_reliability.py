"""The numbers behind verdicts: counts, answers both ways round, thresholds, and calibrations as files and diagrams."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest
from verification_fakes import sure

from sightline.agent.verification import diagram
from sightline.agent.verification.reliability import (
    Linear,
    Reliability,
    Thresholds,
    combine,
    posterior,
    shipped,
)
from sightline.errors import InputError


def test_a_count_weighs_what_a_detector_misses() -> None:
    exact = posterior(2, 0.97, 0.01, [3])
    assert max(range(len(exact)), key=exact.__getitem__) == 2 and exact[3] < 0.2
    blind = posterior(2, 0.5, 0.01, [3])
    assert blind[3] > 0.3
    assert sum(exact) == pytest.approx(1)


def test_answers_both_ways_round() -> None:
    assert combine("Yes, there is.", "No.") == "yes"
    assert combine("No", "yes it is wrong") == "no"
    assert combine("Yes", "Yes") == "both yes" and combine("no", "No.") == "both no"
    assert combine("maybe", "no") == "unsure"


def test_thresholds() -> None:
    told = Thresholds(0.2, 0.8)
    assert [told.label(p) for p in (0.1, 0.2, 0.5, 0.8)] == [
        "contradicted",
        "unverifiable",
        "unverifiable",
        "supported",
    ]


@pytest.mark.parametrize("name", ["default", "recorded", "recorded_half", "scenes"])
def test_shipped_calibrations_say_where_they_come_from(name: str) -> None:
    found = shipped(name)
    assert found.name in (name, name.removesuffix("_half"))
    assert found.provenance["what"] and found.provenance["fitted_on"]
    assert shipped("no such pack").name == "default"


def test_diagrams_are_drawn_of_what_was_validated() -> None:
    drawn = diagram.page(None, shipped("scenes").provenance)
    ElementTree.fromstring(drawn)
    assert "existence: reliability" in drawn and "risk and coverage" in drawn


def test_a_calibration_survives_its_file(tmp_path) -> None:
    for one in (shipped("scenes"), sure(models={"count": Linear(0.5, {"last": 1.0})})):
        path = tmp_path / f"{one.name}.json"
        path.write_text(json.dumps(one.to_json()), "utf-8")
        assert Reliability.load(path) == one
    path.write_text("[]", "utf-8")
    with pytest.raises(InputError, match="calibration"):
        Reliability.load(path)


def test_what_nobody_measured_says_nothing() -> None:
    assert sure().observed("mllm.both yes") == 0.5
