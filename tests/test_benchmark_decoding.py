"""The table of decodings: what counts as a false claim, what an answer amounts to, and how arms are set against the first."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.decoding import Spoken, judged, line, pope_table, related, relation_question, row_of
from sightline.agent.verification.scene_truth import KINDS, Drawn
from sightline.mllm.scenes.schema import Scene, SceneObject
from sightline.tools.values import Image

SCENE = Scene(
    1, 90, 90,
    (
        SceneObject("dog", "animal", "red", "small", (60.0, 5.0, 80.0, 25.0)),
        SceneObject("cat", "animal", "blue", "large", (5.0, 65.0, 25.0, 85.0)),
        SceneObject("cat", "animal", "blue", "large", (35.0, 35.0, 50.0, 50.0)),
        SceneObject("banana", "food", "yellow", "small", (5.0, 5.0, 20.0, 20.0)),
    ),
)  # fmt: skip
DRAWN = Drawn(SCENE, Image.from_array(np.zeros((90, 90, 3), np.uint8)))


def test_false_claims_are_counted_by_kind_and_true_kinds_once() -> None:
    one = judged("There is a blue dog, three cats and a violin in the picture.", 5.0, DRAWN, caption=True)
    assert one.false == {"attribute": 1, "count": 1, "existence": 1}
    assert (one.named, one.there, one.words) == (2, 3, 13)
    assert judged("", 5.0, DRAWN, caption=True).named == 0
    other = judged("The dog is to the left of the banana.", 5.0, DRAWN, caption=False)
    assert other.false == {"relation": 1} and other.there == 0


def test_a_relation_is_asked_of_single_things_and_told_as_a_sentence() -> None:
    told = relation_question(DRAWN, 0)
    assert told is not None and set(told[1:]) == {"dog", "banana"}
    assert told == relation_question(DRAWN, 0) and "left or to the right" in told[0]
    assert related("Left.", "dog", "banana") == "The dog is to the left of the banana."
    assert related("above", "dog", "banana") == "The dog is above the banana."
    assert related("a yellow one", "dog", "banana") == ""


def test_an_arm_is_set_against_the_first_over_the_same_pictures() -> None:
    def arm(false: list[int]) -> list[list[Spoken]]:
        out = []
        for n in false:
            caption = Spoken("a b c", 10.0, true=2, named=1, there=2)
            caption.false["existence"] = n
            out.append([caption, Spoken("d", 2.0)])
        return out

    first, better = arm([2, 2, 0, 2] * 10), arm([1, 1, 0, 1] * 10)
    row = row_of(better, first, 0)
    assert row["false"] == {"existence": 0.75, "count": 0.0, "attribute": 0.0, "relation": 0.0}
    assert row["all"] == 0.75 and row["change"] == -0.75 and row["less"] == 0.5
    assert row["change_ci"][0] <= -0.75 <= row["change_ci"][1] < 0
    assert (row["recall"], row["words"], row["ms"], row["n"], row["relations"]) == (0.5, 3.0, 12.0, 40, 40)
    shown = line("greedy", row)
    assert shown.count("|") == 4 + len(KINDS) + 4 and "-0.75" in shown


def test_the_table_of_pope_names_every_decoding() -> None:
    rates = {
        "accuracy": 0.9, "precision": 0.9, "recall": 0.9, "yes_ratio": 0.5, "n": 10, "ci": (0.8, 1.0), "change_ci": (0.0, 0.0),
    }  # fmt: skip
    table = pope_table({"random": {"greedy": rates, "sampled, VCD": rates}})
    assert table.count("\n") == 3 and "| random | sampled, VCD | 0.900 [0.800, 1.000]" in table


@pytest.mark.parametrize("name", ["greedy", "sampled", "sampled, mask only", "sampled, VCD", "greedy, VCD"])
def test_every_decoding_reaches_the_model_as_it_says(name: str) -> None:
    from benchmarks.decoding import DECODINGS, decoded

    asked: dict = {}

    class Model:
        def ask(self, questions: list, max_new_tokens: int, **given: object) -> list:
            asked.update(given)
            return []

    decoded(Model(), [], name, 0, 5)  # type: ignore[arg-type]
    assert name in DECODINGS
    assert asked.get("do_sample", False) == name.startswith("sampled")
    assert ("contrast" in asked) == name.endswith("VCD")
    assert ("logits_processor" in asked) == name.endswith("mask only")
