"""The scenes classifier: kinds through the hierarchy, colours in front, and 'not sure' outside its world."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sightline import Image, Models
from sightline.errors import InputError
from sightline.mllm.evaluation.classifier import TASKS, evaluate_classifier, scene_crops

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def classifier() -> Any:
    return Models.from_pack("scenes").get("classifier", "SELECT")


def said(classifier: Any, kind: dict[str, float], color: dict[str, float], labels: list[str]) -> list[float]:
    """Its probabilities where perception says this of a crop."""
    import sightline.mllm.starter.naming as naming

    kinds = torch.tensor([[kind.get(name, 0.0) for name in classifier._kinds]])
    colors = torch.tensor([[color.get(name, 0.0) for name in classifier._colors]])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(naming, "name_crops", lambda model, crops: (kinds, colors))
        (row,) = classifier.classify([Image.from_array(np.zeros((8, 8, 3), np.uint8))], [labels])
    return row


def test_words_become_probabilities(classifier: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifier, "_asked", 1.0)
    kind, color = {"dog": 0.6, "cat": 0.3}, {"red": 0.8, "gray": 0.2}

    def ask(*labels: str) -> list[float]:
        return said(classifier, kind, color, list(labels))

    assert ask("dog", "cat") == pytest.approx([0.6, 0.3])
    assert ask("dogs", "a cat", "vehicle") == pytest.approx([0.6, 0.3, 0.0])
    assert ask("animal") == pytest.approx([0.9])
    assert ask("red dog", "grey dog") == pytest.approx([0.48, 0.12])
    assert ask("red", "grey", "red thing") == pytest.approx([p / 1.62 for p in (0.72, 0.18, 0.72)])
    assert ask("zeppelin", "poodle", "man in a suit") == [
        0.0,
        0.0,
        0.0,
    ]  # a kind of dog is not proved by a dog
    animal, dog = ask("animal", "dog")
    assert animal + dog == pytest.approx(1.0) and animal / dog == pytest.approx(1.5)
    monkeypatch.setattr(classifier, "_asked", 5.0)
    assert ask("cat") == pytest.approx([5 * 0.3 / (5 * 0.3 + 0.7)])  # the odds are five times as high
    assert ask("zeppelin") == [0.0] and sum(ask("dog", "cat", "animal")) == pytest.approx(1.0)


def test_crops_of_scenes_get_their_names(classifier: Any) -> None:
    crops = scene_crops(7, 5)
    report = evaluate_classifier(
        lambda pixels, labels: classifier.classify([Image.from_array(p) for p in pixels], labels), crops
    )
    assert set(report) == set(TASKS)
    assert report["kind"]["right"] > 0.7 and report["kind"]["wrong"] < 0.1
    assert report["outside"] == {**report["outside"], "right": 1.0, "not_sure": 1.0, "wrong": 0.0}
    speck = Image.from_array(np.zeros((1, 1, 3), np.uint8))
    wide = Image.from_array(np.zeros((2, 500, 3), np.uint8))
    assert all(0 <= sum(row) <= 1 for row in classifier.classify([speck, wide], [["dog"], ["dog", "cat"]]))


def test_the_measure_counts_what_it_says() -> None:
    crops = scene_crops(0, 2)
    asked = sum(c.task == "kind" for c in crops)
    assert {c.task for c in crops} <= set(TASKS) and all(
        c.right is None for c in crops if c.task == "outside"
    )

    def perfect(pixels: Any, labels: Any) -> list[list[float]]:
        return [[float(i == c.right) for i in range(len(c.labels))] for c in crops]

    report = evaluate_classifier(perfect, crops)
    assert all(row["right"] == 1.0 and row["wrong"] == 0.0 for row in report.values())
    assert report["kind"]["n"] == asked and report["kind"]["ci"] == (1.0, 1.0)
    shy = evaluate_classifier(lambda p, labels: [[0.2] * len(row) for row in labels], crops)
    assert shy["kind"]["not_sure"] in (0.0, 1.0) and shy["outside"]["right"] in (0.0, 1.0)
    with pytest.raises(InputError, match="not probabilities"):
        evaluate_classifier(lambda p, labels: [[2.0] * len(row) for row in labels], crops)
    with pytest.raises(InputError, match="no crop"):
        evaluate_classifier(perfect, [])
