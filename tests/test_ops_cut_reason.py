"""Crops keep the original's frame; counting, filtering and relations are what geometry says."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from ops_fakes import FakeModels, batch, blank, call, disc, noise, region

from sightline.errors import LimitError, ToolError
from sightline.tools import geometry
from sightline.tools.numerals import numbers_in
from sightline.tools.values import Image, Region, Regions

SIDED = {"CROP_LEFTOF": (0, 0, 50, 80), "CROP_RIGHTOF": (50, 0, 100, 80),
         "CROP_ABOVE": (0, 0, 100, 40), "CROP_BELOW": (0, 40, 100, 80)}  # fmt: skip
SURROUNDING = ["CROP", "CROP_FRONTOF", "CROP_INFRONTOF", "CROP_INFRONT", "CROP_BEHIND", "CROP_AHEAD"]


@pytest.mark.parametrize("name", SURROUNDING)
def test_crop_takes_the_first_region_with_its_surroundings(name):
    image = noise()
    boxes = Regions([region(image, (40, 20, 60, 40)), region(image, (0, 0, 5, 5))])
    cut = call(name, image=image, box=boxes)
    assert cut.extent == (35, 15, 65, 45) and cut.picture == image.picture
    assert np.array_equal(cut.pixels, image.pixels[15:45, 35:65])
    assert call(name, image=image, box=Regions()) is image


def test_crop_exact_and_halves():
    image = noise()
    boxes = Regions([region(image, (40, 20, 60, 40))])
    assert call("CROP", image=image, box=boxes, expand=1.0).extent == (40, 20, 60, 40)
    half = call("LOC", FakeModels(), image=image, object="LEFT")
    assert call("CROP", image=image, box=half).extent == (0, 0, 50, 80)
    with pytest.raises(ToolError, match="expand"):
        call("CROP", image=image, box=boxes, expand=0.0)
    near_edge = Regions([region(image, (90, 70, 100, 80))])
    assert call("CROP", image=image, box=near_edge).extent == (87, 67, 100, 80)


@pytest.mark.parametrize("name", SIDED)
def test_side_crops_start_at_the_centre_and_halve_without_a_box(name):
    image = noise()
    boxes = Regions([region(image, (45, 30, 55, 50))])
    assert call(name, image=image, box=boxes).extent == SIDED[name]
    assert call(name, image=image, box=Regions()).extent == SIDED[name]
    inner = image.crop((20, 10, 80, 70))
    cut = call(name, image=inner, box=boxes)
    left, top, right, bottom = SIDED[name]
    assert cut.extent == (max(left, 20), max(top, 10), min(right, 80), min(bottom, 70))
    assert np.array_equal(cut.pixels, image.crop(cut.extent).pixels)


def test_crops_cuts_every_region_exactly():
    image = noise()
    boxes = Regions([region(image, (10, 10, 20, 30)), region(image, (50, 5, 99, 70))])
    cuts = call("CROPS", image=image, box=boxes)
    assert [c.extent for c in cuts] == [(10, 10, 20, 30), (50, 5, 99, 70)]
    assert call("CROPS", image=image, box=Regions()) == []


@pytest.mark.parametrize("name", [*SIDED, *SURROUNDING, "CROPS"])
def test_crops_refuse_strange_regions(name):
    image, other = noise(), noise(seed=3)
    with pytest.raises(ToolError, match="another picture"):
        call(name, image=image, box=Regions([region(other, (1, 1, 5, 5))]))
    with pytest.raises(ToolError, match="outside the part"):
        call(name, image=image.crop((0, 0, 20, 20)), box=Regions([region(image, (50, 50, 60, 60))]))


def test_count():
    image = blank()
    assert call("COUNT", box=Regions()) == 0
    assert call("COUNT", box=Regions([region(image, (0, 0, 1, 1))] * 3)) == 3
    assert call("COUNT", box=region(image, (0, 0, 1, 1))) == 1
    assert call("COUNT", box=[image, image]) == 2
    assert call("COUNT", box=["a", "b"]) == 2 and call("COUNT", box="dog") == 1 and call("COUNT", box=7) == 1


@pytest.fixture
def things():
    pixels = np.full((100, 200, 3), 128, np.uint8)
    pixels[10:30, 10:30] = (220, 20, 20)
    pixels[50:90, 100:160] = (20, 20, 220)
    image = Image.from_array(pixels)
    return image, Regions(
        [
            region(image, (10, 10, 30, 30), "cup", score=0.9),
            region(image, (100, 50, 160, 90), "Cup", score=0.6, text="Hot Coffee"),
            region(image, (180, 0, 190, 10), "dog", score=0.3),
        ]
    )


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        ("", [0, 1, 2]),
        ("label == 'cup'", [0, 1]),
        ('label != "cup"', [2]),
        ("text contains 'coffee'", [1]),
        ("not text contains 'coffee'", [0, 2]),
        ("score > 0.5", [0, 1]),
        ("score >= 60%", [0, 1]),
        ("area > 5%", [1]),
        ("area<=400 and label=='cup'", [0]),
        ("label == 'dog' or (score > .5 and width < 50)", [0, 2]),
        ("not (label == 'cup' or label == 'dog')", []),
        ("x > 50%", [1, 2]),
        ("bottom < 40%", [0, 2]),
        ("color == 'red'", [0]),
        ("colour != 'red' and COLOR != 'gray'", [1]),
        ("left >= 100 AND height < 20", [2]),
        ("score > -1", [0, 1, 2]),
        ("aspect > 1", [1]),
        ("digits == 0", [0, 1, 2]),
    ],
)
def test_filter_conditions(things, where, kept):
    image, regions = things
    assert call("FILTER", object=regions, where=where, image=image) == Regions(regions[i] for i in kept)


@pytest.mark.parametrize(
    ("keep", "kept"),
    [("all", [0, 1, 2]), ("best", [0]), ("largest", [1]), ("smallest", [2]), ("leftmost", [0]),
     ("rightmost", [2]), ("topmost", [2]), ("bottommost", [1])],
)  # fmt: skip
def test_filter_keeps_the_one_asked(things, keep, kept):
    _, regions = things
    assert call("FILTER", object=regions, keep=keep) == Regions(regions[i] for i in kept)
    assert call("FILTER", object=Regions(), keep=keep) == Regions()


def test_filter_percentages_are_of_the_crop_that_is_given(things):
    image, regions = things
    crop = image.crop((100, 0, 200, 100))
    inside = Regions([regions[1]])
    assert call("FILTER", object=inside, where="x < 40%", image=crop) == inside
    assert call("FILTER", object=inside, where="x > 60%", image=image) == inside


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("label = 'cup'", "write =="),
        ("label == 'cup", "quote"),
        ("label == cup", "text in quotes"),
        ("name == 'cup'", "one of label"),
        ("score > 'cup'", "number"),
        ("score contains 5", "comparison"),
        ("label > 'a'", "contains after label"),
        ("label == 'a' label == 'b'", "'and', 'or' or the end"),
        ("(label == 'a'", "')'"),
        ("label == 'a' and", "the end"),
        ("__import__('os')", "one of label"),
        ("color == 'mauve'", "the colours are"),
        ("1 == 1", "one of label"),
        ("score > 1 ; x > 1", "';'"),
        ("aspect > 50%", "without the %"),
    ],
)
def test_filter_says_what_is_wrong(things, where, message):
    with pytest.raises(ToolError) as caught:
        call("FILTER", object=things[1], where=where, image=things[0])
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_filter_limits(things):
    with pytest.raises(LimitError):
        call("FILTER", object=things[1], where="(" * 30 + "score > 0" + ")" * 30)
    with pytest.raises(LimitError):
        call("FILTER", object=things[1], where="not " * 30 + "score > 0")
    with pytest.raises(LimitError):
        call("FILTER", object=things[1], where="score > 0" + " and score > 0" * 100)
    for needs in ("color == 'red'", "area > 5%"):
        with pytest.raises(ToolError, match="image=IMAGE"):
            call("FILTER", object=things[1], where=needs)


def _boxes(count: int, seed: int) -> list[Region]:
    rng = np.random.default_rng(seed)
    found = []
    for index in range(count):
        x1, y1 = rng.integers(0, 80, 2)
        width, height = rng.integers(2, 40, 2)
        found.append(
            Region(box=(float(x1), float(y1), float(x1 + width), float(y1 + height)), label=str(index))
        )
    return found


def _cells(r: Region) -> set[tuple[int, int]]:
    x1, y1, x2, y2 = (int(v) for v in r.box)
    return set(itertools.product(range(x1, x2), range(y1, y2)))


def test_relations_equal_brute_force_over_pixels():
    for seed in range(12):
        boxes = _boxes(6, seed)
        for a, b in itertools.permutations(boxes, 2):
            cells_a, cells_b = _cells(a), _cells(b)
            columns = {x for x, _ in cells_a} & {x for x, _ in cells_b}
            rows = {y for _, y in cells_a} & {y for _, y in cells_b}
            apart_x = len(columns) <= 0.5 * min(a.width, b.width)
            apart_y = len(rows) <= 0.5 * min(a.height, b.height)
            expected = {
                "left": a.center[0] < b.center[0] and apart_x,
                "right": a.center[0] > b.center[0] and apart_x,
                "above": a.center[1] < b.center[1] and apart_y,
                "below": a.center[1] > b.center[1] and apart_y,
                "beside": len(rows) > 0 and len(rows) >= 0.5 * min(a.height, b.height),
                "inside": len(cells_a) < len(cells_b) and len(cells_a & cells_b) >= 0.9 * len(cells_a),
            }
            for name, truth in expected.items():
                assert (
                    bool(call("RELATE", object=Regions([a]), relation=name, reference=Regions([b]))) == truth
                )
            assert geometry.intersection(a.box, b.box) == len(cells_a & cells_b)
            assert geometry.iou(a.box, b.box) == pytest.approx(
                len(cells_a & cells_b) / len(cells_a | cells_b)
            )


def test_left_and_right_are_opposites_and_keep_order():
    boxes = Regions(_boxes(20, 99))
    references = Regions(_boxes(5, 7))
    for one, other in (("left", "right"), ("above", "below")):
        for a, b in itertools.product(boxes, references):
            assert geometry.RELATIONS[one](a, b) == geometry.RELATIONS[other](b, a)
    kept = call("RELATE", object=boxes, relation="left", reference=references)
    assert list(kept) == [r for r in boxes if r in set(kept)]


def test_nearest_equals_brute_force():
    boxes, references = Regions(_boxes(15, 3)), Regions(_boxes(4, 4))

    def distance(a: Region, b: Region) -> float:
        corners = np.array(list(_cells(a)))[:, None, :] - np.array(list(_cells(b)))[None, :, :]
        return float(np.hypot(*np.maximum(np.abs(corners) - 1, 0).transpose(2, 0, 1)).min())

    kept = call("RELATE", object=boxes, relation="nearest", reference=references)
    for reference in references:
        least = min(distance(r, reference) for r in boxes)
        assert any(distance(r, reference) == pytest.approx(least) for r in kept)
    assert len(kept) <= len(references)
    pair = Regions(_boxes(2, 5))
    assert call("RELATE", object=pair, relation="nearest", reference=pair) == pair  # each other, never itself


def test_touching_by_boxes_and_by_masks():
    image = blank()
    a, near, far = (region(image, (x, 10, x + 20, 30)) for x in (10, 32, 40))

    def holds(x: Region, y: Region) -> bool:
        return bool(call("RELATE", object=Regions([x]), relation="touching", reference=Regions([y])))

    assert holds(a, near) and holds(near, a) and not holds(a, far)
    # Boxes of two discs overlap at the corners, the discs do not.
    one, diagonal = disc(image, 30, 30, 12), disc(image, 50, 50, 12)
    assert geometry.intersection(one.box, diagonal.box) > 0
    assert not holds(one, diagonal)
    assert holds(one, disc(image, 47, 47, 12)) and holds(one, disc(image, 30, 55, 12))


def test_relate_refuses_two_pictures_and_takes_nothing():
    image, other = noise(), noise(seed=1)
    with pytest.raises(ToolError, match="2 pictures"):
        call("RELATE", object=Regions([region(image, (0, 0, 5, 5))]), relation="left",
             reference=Regions([region(other, (0, 0, 5, 5))]))  # fmt: skip
    for relation in (*geometry.RELATIONS, "nearest"):
        some = Regions([region(image, (0, 0, 5, 5))])
        assert call("RELATE", object=Regions(), relation=relation, reference=some) == Regions()
        assert call("RELATE", object=some, relation=relation, reference=Regions()) == Regions()
        assert call("RELATE", object=some, relation=relation, reference=some) == Regions()
    with pytest.raises(ToolError, match="relation is one of"):
        call("RELATE", object=Regions(), relation="behind", reference=Regions())


def test_words_of_regions():
    image = blank()
    regions = Regions([region(image, (0, 0, 5, 5), "cup"), region(image, (5, 5, 9, 9), "", text="EXIT")])
    assert call("LABELS", object=regions) == ["cup", ""]
    assert call("TEXTS", object=regions) == ["", "EXIT"]
    named = call("LABEL", object=regions, label=["red", "a\nsign"])
    assert [r.label for r in named] == ["red", "a sign"] and named[0].parents == (regions[0].id,)
    assert [r.label for r in call("LABEL", object=regions, label="same")] == ["same", "same"]
    assert call("LABEL", object=Regions(), label=[]) == Regions()
    with pytest.raises(ToolError, match="3 labels for 2 regions"):
        call("LABEL", object=regions, label=["a", "b", "c"])
    assert call("TALLY", text=["bus", "Person ", "person", " "]) == ["2 Person", "1 bus"]
    assert call("TALLY", text=[]) == []
    assert call("JOIN", text=["a", "b"], separator=" ") == "a b" and call("JOIN", text=[]) == ""
    assert call("MEASURE", object=regions[0]) == 25 and call("MEASURE", object=regions[1], what="x") == 7
    with pytest.raises(ToolError, match="what is one of"):
        call("MEASURE", object=regions[0], what="weight")


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("2 x $1,234.50", [2, 1234.5]),
        ("TOTAL: 1.234,50 EUR", [1234.5]),
        ("RM9.00SR", [9]),
        ("Rs. 200, USD5", [200, 5]),
        ("RM 9.00", [9]),
        ("-12.5 °C, 7 km", [-12.5, 7]),
        ("−3", [-3]),
        ("€5,20", [5.2]),
        ("-$4.10", [-4.1]),
        ("$-4.10", [-4.1]),
        ("3-4", [3, 4]),
        ("1,234", [1234]),
        ("12.345.678", [12345678]),
        ("3.4.2024", []),
        ("B12 and 12kg", [12]),
        ("0,125", [0.125]),
        ("10%", [10]),
        ("no number", []),
        ("", []),
        ("١٢", []),
    ],
)
def test_numbers_as_people_write_them(text, numbers):
    assert numbers_in(text) == pytest.approx(numbers)


def test_numbers_op():
    assert call("NUMBERS", text=["a 1", "b", "2.5 c 3"]) == [1, 2.5, 3]
    assert batch("NUMBERS", [{"text": []}]) == [[]]
