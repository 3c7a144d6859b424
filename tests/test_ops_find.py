"""LOC, SEG, SEGMENT, FACEDET and OCR: what they ask of models, and what they make of the answers."""

from __future__ import annotations

import numpy as np
import pytest
from ops_fakes import (
    FakeDetector,
    FakeFaces,
    FakeModels,
    FakeOpenDetector,
    FakeReader,
    FakeSegmenter,
    batch,
    blank,
    call,
    disc,
    noise,
    region,
)

from sightline.errors import RoleError, ToolError
from sightline.tools.values import Image, Region, Regions
from sightline.tools.wanted import wants


@pytest.fixture
def scene():
    image = noise()
    things = [
        region(None, (5, 5, 25, 40), "dog", score=0.6),
        region(None, (50, 10, 70, 60), "person", score=0.9),
        region(None, (30, 40, 45, 60), "dog", score=0.8),
        region(None, (80, 5, 95, 20), "cat", score=0.5),
    ]
    return image, FakeDetector(things)


def test_loc_finds_names_synonyms_and_kinds_best_first(scene):
    image, detector = scene
    models = FakeModels(detector=detector)
    dogs = call("LOC", models, image=image, object="dog")
    assert [r.score for r in dogs] == [0.8, 0.6]
    assert all(r.tool == "DETECT" and r.weights == "det-1" and r.picture == image.picture for r in dogs)
    assert [r.label for r in call("LOC", models, image=image, object="dogs")] == ["dog", "dog"]
    assert [r.label for r in call("LOC", models, image=image, object="animal")] == ["dog", "dog", "cat"]
    assert [r.label for r in call("LOC", models, image=image, object=["cat", "person"])] == ["person", "cat"]
    assert call("LOC", models, image=image, object="bicycle") == Regions()


def test_loc_equals_detect_and_pick(scene):
    image, detector = scene
    models = FakeModels(detector=detector)
    everything = call("DETECT", models, image=image)
    for name in ("dog", "animal", "woman", ["cat", "bike"]):
        plan = wants([name] if isinstance(name, str) else name, detector.vocabulary, exact=False)
        picked = call(
            "PICK",
            image=image,
            object=everything,
            labels=[w.label for w in plan],
            colors=[w.color for w in plan],
        )
        assert picked == call("LOC", models, image=image, object=name)


def test_loc_checks_the_colour_asked():
    pixels = np.full((80, 100, 3), 128, np.uint8)
    pixels[10:40, 10:40] = (200, 20, 20)
    pixels[10:40, 60:90] = (20, 40, 200)
    image = Image.from_array(pixels)
    detector = FakeDetector([region(None, (10, 10, 40, 40), "bus"), region(None, (60, 10, 90, 40), "bus")])
    models = FakeModels(detector=detector)
    (red,) = call("LOC", models, image=image, object="red bus")
    assert red.box[0] == 10
    assert call("LOC", models, image=image, object="a green bus") == Regions()
    assert len(call("LOC", models, image=image, object="bus")) == 2
    assert len(detector.passes) == 3


def test_loc_uses_one_detector_pass_a_picture(scene):
    image, detector = scene
    other = noise(seed=1)
    calls = [{"image": i, "object": name} for i in (image, other) for name in ("dog", "cat", "person", "TOP")]
    results = batch("LOC", calls, FakeModels(detector=detector))
    assert detector.passes == [2]
    assert [len(r) for r in results] == [2, 1, 1, 1] * 2
    singles = [call("LOC", FakeModels(detector=detector), **given) for given in calls]
    assert results == singles
    assert results[0][0].picture == image.picture and results[4][0].picture == other.picture


def test_loc_falls_to_the_open_vocabulary(scene):
    image, detector = scene
    opened = FakeOpenDetector()
    models = FakeModels(detector=detector, open_vocabulary=opened)
    (kettle,) = call("LOC", models, image=image, object="kettle")
    assert (kettle.label, kettle.tool, kettle.weights) == ("kettle", "DETECT_OPEN", "open-1")
    assert kettle.picture == image.picture
    call("LOC", models, image=image, object="woman")  # only wider in the closed vocabulary: asked in words
    assert opened.asked == [("kettle",), ("woman",)]
    only_open = FakeModels(open_vocabulary=opened)
    assert call("LOC", only_open, image=image, object="dog")[0].label == "dog"


def test_loc_without_an_open_vocabulary_says_which_word_is_unknown(scene):
    image, detector = scene
    models = FakeModels(detector=detector)
    good, bad = batch(
        "LOC", [{"image": image, "object": "dog"}, {"image": image, "object": ["dog", "zeppelin"]}], models
    )
    assert len(good) == 2
    assert isinstance(bad, RoleError) and "'zeppelin'" in str(bad) and "'dog'" not in str(bad)
    assert call("LOC", models, image=image, object="woman")[0].label == "person"
    with pytest.raises(RoleError, match="detector"):
        call("LOC", FakeModels(), image=image, object="dog")


@pytest.mark.parametrize("given", ["", "  ", [], ["dog", ""]])
def test_loc_refuses_empty_names(scene, given):
    with pytest.raises(ToolError, match="LOC: object"):
        call("LOC", FakeModels(detector=scene[1]), image=scene[0], object=given)


def test_halves_need_no_model_and_meet_without_overlap():
    image = blank(101, 77)
    boxes = {
        s: call("LOC", FakeModels(), image=image, object=s)[0].box for s in ("TOP", "BOTTOM", "LEFT", "RIGHT")
    }
    assert boxes["LEFT"] == (0, 0, 50, 77) and boxes["RIGHT"] == (50, 0, 101, 77)
    assert boxes["TOP"] == (0, 0, 101, 38) and boxes["BOTTOM"] == (0, 38, 101, 77)
    crop = image.crop((20, 10, 60, 50))
    (left,) = call("LOC", FakeModels(), image=crop, object="LEFT")
    assert left.box == (20, 10, 40, 50) and left.picture == image.picture
    tiny = blank(1, 1)
    assert call("LOC", FakeModels(), image=tiny, object="RIGHT")[0].box == (0, 0, 1, 1)


def test_boxes_found_in_a_crop_are_in_the_originals_pixels(scene):
    image, detector = scene
    crop = image.crop((28, 30, 100, 80))
    (dog,) = call("LOC", FakeModels(detector=detector), image=crop, object="dog")
    assert dog.box == (30, 40, 45, 60) and dog.picture == image.picture


def test_facedet_labels_faces():
    image = blank()
    (face,) = call("FACEDET", FakeModels(face_detector=FakeFaces()), image=image)
    assert (face.label, face.tool, face.weights, face.picture) == ("face", "FACEDET", "face-1", image.picture)


def test_seg_keeps_masks_and_fills_missing_ones(scene):
    image, detector = scene
    own = disc(image, 60, 60, 8, "cat", score=0.95)
    detector.things.append(own)
    segmenter = FakeSegmenter()
    found = call("SEG", FakeModels(detector=detector, segmenter=segmenter), image=image)
    assert found[0].mask == own.mask and found[0].weights == "det-1"
    assert all(r.mask for r in found) and len(segmenter.prompts) == 4
    assert found[1].weights == "det-1+seg-1" and found[1].tool == "SEG" and len(found[1].parents) == 1
    with_masks = FakeDetector([own])
    assert len(call("SEG", FakeModels(detector=with_masks), image=image)) == 1  # no segmenter needed
    assert call("SEG", FakeModels(detector=FakeDetector([])), image=image) == Regions()


def test_segment_prompts():
    image = blank()
    thing = disc(image, 50, 40, 10, "cup")
    segmenter = FakeSegmenter()
    models = FakeModels(segmenter=segmenter)
    clicked = call("SEGMENT", models, image=image, point=[20, 30, 22, 31], background=[70, 70])
    assert clicked.mask.on(image)[30, 20] and clicked.tool == "SEGMENT" and clicked.picture == image.picture
    assert segmenter.prompts[-1].points == ((20, 30, True), (22, 31, True), (70, 70, False))
    assert call("SEGMENT", models, image=image, box=[10, 10, 30, 20]).box == (10, 10, 30, 20)
    boxed = call("SEGMENT", models, image=image, box=region(image, (10, 10, 30, 20), "box"))
    assert boxed.label == "box" and segmenter.prompts[-1].mask is None
    refined = call("SEGMENT", models, image=image, object=thing)
    assert (
        segmenter.prompts[-1].mask == thing.mask and refined.parents == (thing.id,) and refined.label == "cup"
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "give a point"),
        ({"point": [5]}, "even count"),
        ({"point": [100, 10]}, "outside the picture"),
        ({"point": [5, 5], "background": [-1, 5]}, "background"),
        ({"box": [5, 5, 10]}, "four numbers"),
        ({"box": [50, 5, 10, 10]}, "holds no pixel"),
        ({"box": [500, 5, 600, 10]}, "holds no pixel"),
        ({"point": [0, 0]}, "found nothing"),
        ({"object": Region(box=(0, 0, 5, 5), picture="another")}, "another picture"),
    ],
)
def test_segment_says_what_is_wrong_and_fails_alone(given, message):
    image = blank()
    calls = [{"image": image, "point": [50, 50]}, {"image": image, **given}]
    good, bad = batch("SEGMENT", calls, FakeModels(segmenter=FakeSegmenter()))
    assert good.mask
    assert isinstance(bad, ToolError) and message in str(bad) and "\n" not in str(bad)


def test_ocr_reads_pictures_and_regions():
    image = blank()
    reader = FakeReader()
    models = FakeModels(ocr=reader)
    (line,) = call("OCR", models, image=image)
    assert (line.text, line.tool, line.weights, line.picture) == ("100x80", "OCR", "ocr-1", image.picture)
    signs = Regions([region(image, (10, 10, 30, 20)), region(image, (40, 10, 50, 40))])
    lines = call("OCR", models, image=image, object=signs)
    assert [r.text for r in lines] == ["20x10", "10x30"]
    assert [r.parents for r in lines] == [(s.id,) for s in signs] and lines[0].box == (10, 10, 30, 20)
    assert call("OCR", FakeModels(), image=image, object=Regions()) == Regions()
    assert call("READ", models, image=image, object=signs[1]) == "10x30"
    assert call("READ", models, image=image) == "100x80"


def test_ocr_reads_each_distinct_crop_once():
    image = blank()
    reader = FakeReader()
    sign = Regions([region(image, (10, 10, 30, 20))])
    batch("OCR", [{"image": image, "object": sign}, {"image": image}, {"image": image, "object": sign}],
          FakeModels(ocr=reader))  # fmt: skip
    assert reader.passes == [2]


def test_a_back_end_says_how_much_it_takes():
    reader = FakeReader()
    reader.batch = 2
    batch("OCR", [{"image": noise(seed=s)} for s in range(5)], FakeModels(ocr=reader))
    assert reader.passes == [2, 2, 1]
