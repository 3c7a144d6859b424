"""Pictures of groups: panels, stacks, what a group holds, edges and what rests on what; claims about them as programs."""

from __future__ import annotations

import random
from itertools import islice

import numpy as np
import pytest
from ops_fakes import blank, call, region

from sightline.agent.oracle import Stage, oracle_models
from sightline.agent.planner_data import planner_examples
from sightline.agent.planner_data.grouped import GROUPED
from sightline.agent.planner_data.patterns import render
from sightline.agent.planner_data.phrasebook import phrasebook
from sightline.agent.planner_data.settings import draw_plainly, scenes_for
from sightline.errors import ToolError
from sightline.mllm.scenes.schema import Scene, SceneObject
from sightline.programs.checker import check
from sightline.programs.engine import Engine
from sightline.programs.syntax import Program
from sightline.tools.backends.panelwise import frames, part_of, together, worth_a_look
from sightline.tools.backends.starter_perception import Sighting
from sightline.tools.panels import panels
from sightline.tools.registry import default_registry
from sightline.tools.values import Image, Region, Regions

COLORS = {"red": (220, 20, 60), "blue": (0, 0, 255), "black": (0, 0, 0)}
PAGE = blank(400, 100)


def boxed(*corners: tuple[int, int, int, int], label: str = "") -> Regions:
    return Regions(region(PAGE, corner, label) for corner in corners)


def figure(*items: tuple[str, int, int, int, str]) -> tuple[Image, Scene]:
    """Three light boxes on gray, as (kind, x, y, size, colour) of the things drawn in them."""
    pixels = np.full((100, 400, 3), 128, np.uint8)
    objects = []
    for left in (0, 150, 300):
        pixels[:, left : left + 100] = 211
        objects.append(SceneObject("box", "container", "gray", "large", (left, 0, left + 100, 100)))
    for kind, x, y, size, color in items:
        pixels[y : y + size, x : x + size] = COLORS[color]
        objects.append(SceneObject(kind, "shape", color, "medium", (x, y, x + size, y + size)))
    return Image.from_array(pixels), Scene(1, 400, 100, tuple(objects))


# Ops


def test_panels_are_rectangles_on_a_plain_ground() -> None:
    image, _ = figure(("square", 10, 10, 20, "red"))
    assert panels(image.pixels) == [(0, 0, 100, 100), (150, 0, 250, 100), (300, 0, 400, 100)]
    found = call("PANELS", image=image)
    assert [r.box[0] for r in found] == [0, 150, 300] and {r.label for r in found} == {"panel"}
    part = image.crop((120, 0, 400, 100))
    assert [r.box for r in call("PANELS", image=part)] == [(150, 0, 250, 100), (300, 0, 400, 100)]


def test_panels_come_row_by_row_and_any_other_picture_is_one() -> None:
    page = np.full((210, 210, 3), 255, np.uint8)
    for y, x in ((5, 108), (108, 5), (8, 5), (108, 108)):
        page[y : y + 96, x : x + 96] = 40
    assert [(x, y) for x, y, _, _ in panels(page)] == [(5, 8), (108, 5), (5, 108), (108, 108)]
    few = np.full((200, 200, 3), 255, np.uint8)
    few[20:50, 20:50] = few[100:130, 90:120] = 0  # two squares are things, no panels
    assert panels(few) == []
    noise = np.random.default_rng(0).integers(0, 255, (80, 90, 3), dtype=np.uint8)
    (whole,) = call("PANELS", image=Image.from_array(noise))
    assert whole.box == (0, 0, 90, 80)


def test_groups_join_what_touches() -> None:
    stack, single = [(40, 80, 60, 100), (40, 59, 60, 79), (40, 38, 60, 58)], (190, 80, 210, 100)
    row = [(300, 0, 320, 20), (321, 0, 341, 20)]
    things = boxed(*stack, single, *row)
    stacks = call("GROUP", object=things, by="stack")
    assert [r.box for r in stacks] == [(40, 38, 60, 100), single, *row]
    assert len(stacks[0].parents) == 3 and stacks[0].label == "stack"
    assert [r.box for r in call("GROUP", object=things, by="row")][-1] == (300, 0, 341, 20)
    assert len(call("GROUP", object=things, by="touching")) == 3
    assert not call("GROUP", object=Regions())
    with pytest.raises(ToolError, match="by is one of stack, row, touching"):
        call("GROUP", object=things, by="colour")


def test_having_counts_what_lies_in_each() -> None:
    boxes = boxed((0, 0, 100, 100), (150, 0, 250, 100))
    items = boxed((5, 5, 15, 15), (40, 40, 60, 60), (160, 10, 180, 30), (110, 10, 140, 30))

    def having(where: str) -> list[float]:
        return [r.box[0] for r in call("HAVING", object=boxes, item=items, where=where)]

    assert having("count > 0") == [0, 150] and having("count == 2") == [0] and having("count != 2") == [150]
    assert having("count >= 1 and count < 2") == [150] and having("COUNT == 0") == []
    towers = call("GROUP", object=items)
    assert len(call("HAVING", object=towers, item=items, where="count == 1")) == 4  # one thing is a stack too
    assert not call("HAVING", object=boxes, item=boxes)  # no box lies in itself


def test_having_tells_how_many_colours() -> None:
    image, scene = figure(*(("square", x, 10, 20, c) for x, c in ((5, "red"), (40, "red"), (160, "red"), (200, "blue"))))  # fmt: skip
    things = [
        Region(box=o.box, label=o.kind, color=o.color, picture=image.picture) for o in scene.objects[3:]
    ]
    boxes = call("PANELS", image=image)
    one = call("HAVING", object=boxes, item=Regions(things), where="count == 2 and colors == 1", image=image)
    two = call("HAVING", object=boxes, item=Regions(things), where="colours == 2", image=image)
    assert [r.box[0] for r in one] == [0] and [r.box[0] for r in two] == [150]
    with pytest.raises(ToolError, match="add image=IMAGE"):
        call("HAVING", object=boxes, item=Regions(things), where="colors == 1")
    for wrong in ("size == 1", "count", "count = 1", "count == 1 or count == 2", ""):
        with pytest.raises(ToolError, match="HAVING: cannot read"):
            call("HAVING", object=boxes, item=Regions(things), where=wrong)


def test_the_best_of_each_group_and_the_second_best() -> None:
    stacks = boxed((40, 80, 60, 100), (40, 59, 60, 79), (190, 80, 210, 100))
    groups = call("GROUP", object=stacks)
    top = call("FILTER", object=stacks, keep="topmost", within=groups)
    assert [r.box for r in top] == [(40, 59, 60, 79), (190, 80, 210, 100)]
    second = call("FILTER", object=stacks, keep="bottommost", within=groups, rank=2)
    assert [r.box for r in second] == [(40, 59, 60, 79)]
    assert [r.box[0] for r in call("FILTER", object=stacks, keep="rightmost", rank=3)] == [40]
    with pytest.raises(ToolError, match="within and rank choose what keep orders"):
        call("FILTER", object=stacks, within=groups)
    with pytest.raises(ToolError, match="rank counts from 1"):
        call("FILTER", object=stacks, keep="largest", rank=0)


def test_what_rests_on_what() -> None:
    low, high, above = boxed((40, 80, 60, 100), (45, 59, 65, 79), (40, 10, 60, 30))
    apart, beside = boxed((190, 59, 210, 79), (61, 80, 81, 100))
    everything = Regions([low, high, above, apart, beside])

    def related(relation: str, reference: Region) -> list[Region]:
        return list(call("RELATE", object=everything, relation=relation, reference=Regions([reference])))

    assert related("on", low) == [high] and related("under", high) == [low]
    cup, table = boxed((20, 10, 40, 50), (0, 40, 100, 90))  # seen from above, a cup overlaps its table
    assert call("RELATE", object=Regions([cup]), relation="on", reference=Regions([table]))


def test_edges_and_corners_from_within() -> None:
    box = boxed((0, 0, 100, 100), label="box")
    things = boxed(
        (0, 40, 10, 50),
        (90, 89, 100, 99),
        (40, 40, 60, 60),
        (40, 1, 50, 11),
        (2, 60, 12, 70),
        (102, 40, 112, 50),
    )

    def related(relation: str) -> list[int]:
        found = call("RELATE", object=things, relation=relation, reference=box)
        return [list(things).index(r) for r in found]

    assert related("edge") == [0, 1, 3] and related("corner") == [1]
    assert related("left edge") == [0] and related("right edge") == [1]
    assert related("top edge") == [3] and related("bottom edge") == [1]
    assert not call("RELATE", object=box, relation="edge", reference=box)


# Perception of pictures of panels


def test_a_wide_picture_of_panels_is_looked_at_panel_by_panel() -> None:
    image, _ = figure()
    boxes = worth_a_look(image)
    assert [part_of(image, b).offset for b in boxes] == [(0, 0), (150, 0), (300, 0)]
    seen = Sighting((10, 20, 30, 40), "square", 0.9, "red", "small", "", 0.0)
    between = Sighting((110, 40, 130, 60), "circle", 0.5, "red", "small", "", 0.0)
    told = together([seen, between], boxes, [[], [seen], []])
    assert [(one.kind, one.box) for one in told] == [
        ("square", (160, 20, 180, 40)), ("circle", (110, 40, 130, 60)),
    ]  # fmt: skip
    assert together([seen], [], []) == [seen]
    blocks = [Sighting((10, y, 30, y + 20), "block", 0.9, "red", "small", "", 0.0) for y in (20, 41)]
    larger = Sighting((60, 20, 90, 50), "square", 0.9, "red", "small", "", 0.0)
    told = together([], boxes, [blocks, [seen], [larger]])  # one block alone is a square
    assert sorted(one.kind for one in told) == ["block", "block", "block", "square"]
    square = np.full((200, 200, 3), 90, np.uint8)
    square[5:195, 5:95] = square[5:195, 105:195] = 250
    assert panels(square) and not worth_a_look(Image.from_array(square))  # hardly larger by themselves


def test_boxes_of_a_picture_of_panels_have_names() -> None:
    image, _ = figure()
    found = frames(image, ["gray boxes", "dog", "panel"])
    assert list(found) == ["gray boxes", "panel"] and len(found["panel"]) == 3
    assert frames(image, ["dog"]) == {} and frames(blank(90, 90), ["box"]) == {}


# Claims


TOWERS = figure(
    ("block", 40, 80, 20, "red"), ("block", 40, 59, 20, "blue"), ("block", 40, 38, 20, "blue"),
    ("block", 190, 80, 20, "red"), ("block", 340, 80, 20, "black"), ("block", 340, 59, 20, "red"),
)  # fmt: skip
TOWER = "BOX0=LOC(image=IMAGE,object='block')\nOBJ0=GROUP(object=BOX0,by='stack')\n"
CLAIMS = {
    "three blocks": (TOWER + "OBJ1=HAVING(object=OBJ0,item=BOX0,where='count == 3')", 1),
    "red base": (
        TOWER + "OBJ2=FILTER(object=BOX0,keep='bottommost',within=OBJ0)\n"
        "OBJ1=FILTER(object=OBJ2,where=\"color == 'red'\",image=IMAGE)", 2,
    ),
    "one colour": (
        TOWER + "OBJ1=HAVING(object=OBJ0,item=BOX0,where='count > 0 and colors == 1',image=IMAGE)", 1,
    ),
    "at the floor of a box": (
        TOWER + "BOX1=LOC(image=IMAGE,object='box')\n"
        "OBJ1=RELATE(object=BOX0,relation='bottom edge',reference=BOX1)", 3,
    ),
    "items in boxes": (
        "BOX0=LOC(image=IMAGE,object='items')\nBOX1=LOC(image=IMAGE,object='box')\n"
        "OBJ1=HAVING(object=BOX1,item=BOX0,where='count >= 2')", 2,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CLAIMS)
def test_claims_hold_on_what_is_there(name: str) -> None:
    image, scene = TOWERS
    stage = Stage()
    stage.add(scene, image)
    steps, expected = CLAIMS[name]
    program = f"{steps}\nANSWER0=COUNT(box=OBJ1)\nFINAL_RESULT=RESULT(var=ANSWER0)"
    assert Engine(oracle_models(stage)).run(program, {"IMAGE": image}).results[0].value == expected


@pytest.mark.parametrize("family", GROUPED)
def test_families_say_claims_and_write_programs(family: str) -> None:
    registry = default_registry()
    examples = list(islice(planner_examples(9, "train", families=(family,)), 120))
    assert all(not check(example.program, registry) for example in examples)
    assert len({example.request for example in examples}) > 110
    ops = {op for e in examples for op in ("HAVING", "GROUP", "RELATE", "PANELS") if op in e.program}
    assert ops
    assert any(example.language == "zh" for example in examples)


def test_every_part_of_a_claim_can_be_said_in_both_languages() -> None:
    book, rng = phrasebook(), random.Random(1)
    parts = [name for name in book.families if name.startswith("grp_")]
    assert len(parts) > 40
    for name in parts:
        for language in ("en", "zh"):
            for pattern in book.get(name, language):
                slots = dict.fromkeys(pattern.slots(), "x")
                assert render(pattern.nodes, slots, book.macros, rng).strip()


def test_scenes_for_grouped_programs_answer_differently() -> None:
    """Scenes for judging a plan tell it from a wrong one: counts in boxes are not always nought."""
    program = Program.parse(
        "BOX0=LOC(image=IMAGE,object='box')\nBOX1=LOC(image=IMAGE,object='apple')\n"
        "OBJ0=HAVING(object=BOX0,item=BOX1)\nANSWER0=COUNT(box=OBJ0)\nFINAL_RESULT=RESULT(var=ANSWER0)\n"
    )
    counts = set()
    for scene, _ in scenes_for(program, "seed", 12):
        image, stage = draw_plainly(scene), Stage()
        stage.add(scene, image)
        result = Engine(oracle_models(stage)).run(program.text, {"IMAGE": image}).results[0]
        counts.add(result.value)
    assert len(counts) > 1
