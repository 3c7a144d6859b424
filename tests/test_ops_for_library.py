"""What the library's programs rest on: tallies, rows of text, masks for regions that one has, conditions on text."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ops_fakes import FakeDetector, FakeModels, FakeSegmenter, batch, blank, call, disc, region

from sightline.errors import ToolError
from sightline.tools.draw import caption_of
from sightline.tools.values import Regions


def test_a_tally_counts_equal_texts() -> None:
    assert call("TALLY", text=["cat", "dog ", "Dog", "", "  ", "dog", "ant"]) == ["3 dog", "1 cat", "1 ant"]
    assert call("TALLY", text=[]) == [] and call("TALLY", text="bus") == ["1 bus"]


def test_beside_is_one_row() -> None:
    page = blank(300, 100)
    total = region(page, (10, 40, 60, 60), text="TOTAL")
    amount, above = (
        region(page, (200, 46, 240, 64), text="9.00"),
        region(page, (200, 18, 240, 47), text="8.00"),
    )
    found = call(
        "RELATE", object=Regions([total, amount, above]), relation="beside", reference=Regions([total])
    )
    assert [r.text for r in found] == ["9.00"]


def test_a_thing_stands_in_no_relation_to_itself_though_another_op_found_it() -> None:
    page = blank(300, 100)
    bus, car = region(page, (10, 10, 90, 90), "bus"), region(page, (120, 40, 160, 90), "car")
    again = replace(bus, box=(10.004, 10, 90, 89.996), tool="LOC", score=0.5)  # as a stored result gives it
    everything = Regions([bus, car])
    nearest = call("RELATE", object=everything, relation="nearest", reference=Regions([again]))
    assert [r.label for r in nearest] == ["car"]
    assert not call("RELATE", object=Regions([bus]), relation="touching", reference=Regions([again]))


def test_conditions_on_shape_and_digits() -> None:
    page = blank(300, 100)
    plate = region(page, (0, 0, 80, 20), text="AB-12 34")
    word, bare = region(page, (0, 30, 20, 50), text="exit 4"), region(page, (0, 60, 300, 60))
    lines = Regions([plate, word, bare])
    assert list(call("FILTER", object=lines, where="digits >= 2 and aspect > 3")) == [plate]
    assert list(call("FILTER", object=lines, where="digits == 0 and aspect == 0")) == [bare]
    assert (
        call("MEASURE", object=plate, what="aspect") == 4
        and call("MEASURE", object=plate, what="digits") == 4
    )
    with pytest.raises(ToolError, match="aspect is a plain number; write 5 without the %"):
        call("FILTER", object=lines, where="aspect > 5%", image=page)


def test_the_tallest_and_the_widest() -> None:
    page = blank(300, 100)
    tall, wide = region(page, (0, 0, 20, 90)), region(page, (30, 0, 290, 20))
    assert list(call("FILTER", object=Regions([wide, tall]), keep="tallest")) == [tall]
    assert list(call("FILTER", object=Regions([tall, wide]), keep="widest")) == [wide]


def test_seg_gives_masks_to_the_regions_it_is_given() -> None:
    page = blank()
    bare, masked = region(page, (10, 10, 30, 30), "dog"), disc(page, 60, 40, 9, "cat")
    detector, segmenter = FakeDetector([region(page, (0, 0, 5, 5), "bus")]), FakeSegmenter()
    models = FakeModels(detector=detector, segmenter=segmenter)
    found, everything = batch(
        "SEG", [{"image": page, "object": Regions([bare, masked])}, {"image": page}], models
    )
    assert [r.label for r in found] == ["dog", "cat"] and [r.label for r in everything] == ["bus"]
    assert found[0].mask.area == 400 and found[1].mask == masked.mask and found[0].box == bare.box
    assert found[0].tool == "SEG" and found[0].parents == (bare.id,)
    assert detector.passes == [1], "the detector looks only where nothing was given"
    assert list(call("SEG", FakeModels(), image=page, object=Regions())) == [], "no model for nothing"
    other = region(blank(90, 90), (0, 0, 5, 5))
    wrong, right = batch("SEG", [{"image": page, "object": Regions([other])}, {"image": page}], models)
    assert isinstance(wrong, ToolError) and len(right) == 1


def test_a_tag_on_a_line_of_text_says_what_was_read() -> None:
    page = blank()
    assert caption_of(region(page, (0, 0, 9, 9), "text", text="EXIT", score=0.5)) == "EXIT 50%"
    assert caption_of(region(page, (0, 0, 9, 9), "bus", text="47")) == "bus"
