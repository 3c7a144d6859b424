"""Requested names against closed vocabularies: plurals, synonyms, kinds, wider classes, and honest ignorance."""

from __future__ import annotations

import pytest

from sightline.tools.names import COCO_CLASSES, Match, canonical, known, match, matched, singular

VOC = ("aeroplane", "bicycle", "car", "cat", "diningtable", "dog", "motorbike", "person", "sofa", "tvmonitor")


@pytest.mark.parametrize(
    ("label", "classes", "relation"),
    [
        ("dogs", ("dog",), "same"),
        ("Person", ("person",), "same"),
        ("people", ("person",), "same"),
        ("the two dogs", ("dog",), "same"),
        ("TV monitor", ("tv",), "same"),
        ("sofa", ("couch",), "same"),
        ("wine glasses", ("wine glass",), "same"),
        ("knives", ("knife",), "same"),
        ("skis", ("skis",), "same"),
        ("hot dogs", ("hot dog",), "same"),
        ("vehicle", ("bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat"), "kinds"),
        ("fruit", ("banana", "apple", "orange"), "kinds"),
        ("table", ("dining table",), "kinds"),
        ("woman", ("person",), "wider"),
        ("red car", ("car",), "wider"),
        ("people wearing hats", ("person",), "wider"),
        ("slice of pizza", ("pizza",), "wider"),
        ("orange cat", ("cat",), "wider"),
        ("puppy", ("dog",), "wider"),
        ("unicorn", (), "none"),
        ("glasses", (), "none"),
        ("carrier", (), "none"),
        ("", (), "none"),
    ],
)
def test_labels_meet_the_coco_classes(label: str, classes: tuple[str, ...], relation: str) -> None:
    assert matched(label, COCO_CLASSES) == Match(classes, relation)  # type: ignore[arg-type]
    assert match(label, COCO_CLASSES) == classes
    assert known(label, COCO_CLASSES) is bool(classes)


def test_every_class_means_itself() -> None:
    for vocabulary in (COCO_CLASSES, VOC):
        for name in vocabulary:
            assert matched(name, vocabulary) == Match((name,), "same")
    assert len(COCO_CLASSES) == 80


def test_other_vocabularies_use_their_own_words() -> None:
    assert match("airplane", VOC) == ("aeroplane",)
    assert match("tv", VOC) == ("tvmonitor",)
    assert match("hot dog", VOC) == ()
    assert match("person", ("man", "woman", "car")) == ("man", "woman")
    assert match("anything", ()) == ()


def test_singulars() -> None:
    for plural, single in (("buses", "bus"), ("boxes", "box"), ("cherries", "cherry"), ("glass", "glass"),
                           ("scissors", "scissors"), ("children", "child"), ("bus", "bus"), ("ties", "tie")):  # fmt: skip
        assert singular(plural) == single
    assert canonical("  Cell_Phones ") == "cell phone"
