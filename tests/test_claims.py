"""Claims and their spans: sentences by hand, and 100 captions of a real model against labels."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sightline.agent.verification.claims import extract

_LABELS = Path(__file__).parent / "data" / "claim_spans.json"


def told(text: str) -> list[tuple[str, str, str, bool]]:
    return [(c.kind, c.text, c.value, c.polarity) for c in extract(text).claims]


def test_a_caption_in_parts() -> None:
    assert told("Two small dogs sit on a red sofa.") == [
        ("existence", "Two small dogs", "", True), ("count", "Two", "2", True), ("attribute", "small", "small", True),
        ("existence", "a red sofa", "", True), ("attribute", "red", "red", True), ("relation", "sit on a red sofa", "on", True),
    ]  # fmt: skip


def test_what_is_denied() -> None:
    assert [(c.entities, c.polarity) for c in extract("There is no dog, and a man without a hat.").claims if c.kind == "existence"] == [
        (("dog",), False), (("man",), True), (("hat",), False),
    ]  # fmt: skip
    found = {c.entities[0]: c.polarity for c in extract("Neither a cat nor a dog is here.").claims}
    assert found == {"cat": False, "dog": False}


def test_pronouns_lead_back() -> None:
    found = extract("A dog sleeps on a chair. It is brown.")
    brown = next(c for c in found.claims if c.text == "brown")
    assert brown.entities == ("dog",)
    assert [m.pronoun for m in found.entities[0].mentions] == [False, True]


def test_named_again_is_the_same_thing() -> None:
    found = extract("A young boy holds a kite. The boy smiles. Another boy runs.")
    assert [e.name for e in found.entities if e.visible] == ["boy", "kite", "boy"]


def test_words_that_name_nothing_to_be_seen() -> None:
    assert not [
        c for c in extract("The image captures a moment of joy in the scene.").claims if c.kind == "existence"
    ]


def test_quoted_words() -> None:
    (claim,) = [c for c in extract('A sign that says "STOP" is red.').claims if c.kind == "text"]
    assert claim.value == "STOP" and claim.entities == ("sign",)


def test_chinese() -> None:
    kinds = {(c.kind, c.value, c.polarity) for c in extract("图中有两只红色的狗，没有猫。").claims}
    assert kinds == {
        ("existence", "", True),
        ("count", "2", True),
        ("attribute", "red", True),
        ("existence", "", False),
    }


def scores(data: Path) -> dict[str, float]:
    """F1 of exact spans by kind over the labelled captions."""
    captions = {}
    for line in (data / "hallucination" / "coco_recorded_dev.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        captions[row["image"]] = row["caption"]
    hits: dict[str, int] = {}
    found: dict[str, int] = {}
    wanted: dict[str, int] = {}
    for image, labels in json.loads(_LABELS.read_text("utf-8"))["captions"].items():
        made: dict[str, set[tuple[int, int]]] = {}
        for claim in extract(captions[image]).claims:
            made.setdefault(claim.kind, set()).add(claim.span)
        for kind in {*made, *labels}:
            right = {(a, b) for a, b in labels.get(kind, ())}
            hits[kind] = hits.get(kind, 0) + len(right & made.get(kind, set()))
            found[kind] = found.get(kind, 0) + len(made.get(kind, ()))
            wanted[kind] = wanted.get(kind, 0) + len(right)
    return {kind: 2 * hits[kind] / max(1, found[kind] + wanted[kind]) for kind in hits}


@pytest.mark.parametrize(
    ("kind", "least"), [("existence", 0.93), ("count", 0.9), ("attribute", 0.85), ("relation", 0.88)]
)
def test_spans_of_a_real_models_captions(data: Path, kind: str, least: float) -> None:
    assert len(json.loads(_LABELS.read_text("utf-8"))["captions"]) >= 100
    assert scores(data)[kind] >= least
