"""A rationale as steps: what is pointed at, and then what holds between the things pointed at, always said the same way.

Pointing at the right pair was learned long before comparing it: the question's direction and its order hid the geometry from
the loss. So the geometry is said first, from exact ground truth and in one direction (the first thing as seen from the second),
and the answer is looked up in it. An English rationale in tokens, for "Is the cup larger than the dog?":

    <obj3>;<obj0> right same smaller          where: across, down, extent; "same" within the margins of the questions
    <obj1><obj4> 2<obj0> 1 more               groups with their numbers, and how the first compares with the second
    <obj2><obj0> 4<obj1> 1<obj3> 7<obj1>      distances of everything to <obj2> in steps of 1.3, then the nearest
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from ..scenes import ask_layouts, relations
from ..scenes.ask_space import LARGER
from ..scenes.phrasing import say
from ..scenes.schema import Scene, Turn
from ..scenes.view import SURE

# What a token of a rationale or an answer says: accuracy is measured for each of these.
FIELDS = (
    "", "answer", "end", "stop", "point", "none", "across", "down", "extent", "distance", "number", "order",
    "attribute", "choice",
)  # fmt: skip

_BOX = re.compile(r"<box:(\d+)>")
NEAR, STEP = (
    0.09,
    1.3,
)  # distance (of the shorter side) that ends step 0, and the factor of each step after it
_ZH = {
    "left": "左", "right": "右", "above": "上", "below": "下", "larger": "大", "smaller": "小", "same": "同", "more": "多",
    "fewer": "少",
}  # fmt: skip

_PAIRS = frozenset(
    "relation.which relation.level relation.yesno statement.relation compare.isbigger compare.larger compare.smaller".split()
)
_NUMBERS = frozenset(
    "count compare.more compare.fewer compare.same compare.which logic.exactly logic.atleast statement.count "
    "statement.atleast statement.more subquestion.fill pair.same pair.more pair.only pair.total pair.statement "
    "caption.short".split()
)
_ORDERS = frozenset(
    "compare.more compare.fewer compare.same compare.which statement.more pair.more pair.statement".split()
)
_ATTRIBUTES = {
    "attribute.color": "color", "statement.color": "color", "logic.all": "color", "pair.color": "color",
    "attribute.size": "size",
}  # fmt: skip
# Nothing to gather first: their answer is the pointing itself.
_POINTING = frozenset({"ground", "caption.grounded"})


class Step(NamedTuple):
    """One thing that a rationale says: things pointed at (a set unless `ordered`), or a word; and its field."""

    field: str
    objects: tuple[int, ...] = ()
    word: str = ""
    ordered: bool = False


def distance_step(a: relations.Box, b: relations.Box, side: float) -> int:
    """The distance of two boxes' middles as a digit: 0 below NEAR of the picture's side, one more for each factor of STEP."""
    apart = relations.distance(a, b) / side
    return min(9, max(0, 1 + math.floor(math.log(max(apart, 1e-3) / NEAR, STEP))))


def steps(turn: Turn, scenes: Sequence[Scene], relate: bool = True) -> list[Step]:
    """The rationale of a turn about `scenes`; objects are counted over the scenes.

    Args:
        turn: with the rationale that points, as its maker wrote it.
        scenes: one or two.
        relate: say what holds between the things too; otherwise only point.
    """
    groups = [
        tuple(turn.objects[int(i)] for i in _BOX.findall(part)) for part in (turn.rationale or "").split("; ")
    ]
    if turn.rationale is None or (relate and (turn.task in _POINTING or turn.form in _POINTING)):
        return []
    if relate and scenes:
        made = _related(turn, scenes, groups)
        if made is not None:
            return made
    return [_group(g, turn.language) for g in groups]


def _group(objects: tuple[int, ...], language: str) -> Step:
    return Step("point", objects) if objects else Step("none", word=say("none", language))


def _word(field: str, word: str, language: str) -> Step:
    return Step(field, word=_ZH.get(word, word) if language == "zh" else word)


def _related(turn: Turn, scenes: Sequence[Scene], groups: list[tuple[int, ...]]) -> list[Step] | None:
    """The steps of the forms that relate things; None for a form that only points."""
    form, language = turn.form, turn.language
    scene = scenes[0]
    pointed = [_group(g, language) for g in groups]
    if form in _PAIRS:
        return [*pointed, *_pair(turn, scene, groups[0][0], groups[1][0])]
    if form == "relation.what":
        return _nearest(scene, groups[0][0], groups[1][0])
    if form == "compare.closer":
        return [*pointed, *_closer(scene, *(g[0] for g in groups))]
    if form in _NUMBERS and "<box" not in turn.answer:
        return _numbers(turn, groups, pointed)
    if form in _ATTRIBUTES:
        return _attributes(turn, scenes, groups)
    if form.startswith("statement.tower"):
        return _towers(turn, scene)
    if form.startswith("statement.box"):
        return _boxes(turn, scene, groups)
    if form == "caption.detail":
        return [Step("point", turn.objects)] if turn.objects else None
    return None


def _pair(turn: Turn, scene: Scene, a: int, b: int) -> list[Step]:
    """Across, down and extent of a as seen from b; then, where one is asked for, the larger or smaller one."""
    side = relations.side_of(scene)
    one, two = scene.objects[a].box, scene.objects[b].box
    left, above = relations.left_of(one, two, side), relations.above(one, two, side)
    ratio = relations.area(one) / max(1.0, relations.area(two))
    larger = None if 1 / LARGER < ratio < LARGER else ratio > 1
    said = [
        _word(field, "same" if holds is None else yes if holds else no, turn.language)
        for field, holds, yes, no in (
            ("across", left, "left", "right"), ("down", above, "above", "below"), ("extent", larger, "larger", "smaller"),
        )
    ]  # fmt: skip
    if turn.form in ("compare.larger", "compare.smaller"):
        said.append(Step("choice", (a if (ratio > 1) == (turn.form == "compare.larger") else b,)))
    return said


def _nearest(scene: Scene, target: int, answer: int) -> list[Step]:
    """Every other thing from left to right with its distance to the target; then the nearest."""
    side = relations.side_of(scene)
    others = [i for i, o in enumerate(scene.objects) if i != target and o.visible >= SURE]
    out = [Step("point", (target,))]
    for i in sorted(others, key=lambda i: scene.objects[i].box[0] + scene.objects[i].box[2]):
        step = distance_step(scene.objects[i].box, scene.objects[target].box, side)
        out += [Step("point", (i,)), Step("distance", word=str(step))]
    return [*out, Step("choice", (answer,))]


def _closer(scene: Scene, a: int, b: int, to: int) -> list[Step]:
    side = relations.side_of(scene)
    boxes = [scene.objects[i].box for i in (a, b, to)]
    near = relations.distance(boxes[0], boxes[2]) < relations.distance(boxes[1], boxes[2])
    digits = [str(distance_step(box, boxes[2], side)) for box in boxes[:2]]
    return [*(Step("distance", word=d) for d in digits), Step("choice", (a if near else b,))]


def _numbers(turn: Turn, groups: list[tuple[int, ...]], pointed: list[Step]) -> list[Step]:
    """Each group and its number; of two that are compared, whether the first is more."""
    out: list[Step] = []
    for group, step in zip(groups, pointed, strict=True):
        out.append(step)
        if group:
            out.append(Step("number", word=str(len(group))))
    if turn.form in _ORDERS and len(groups) == 2:
        x, y = map(len, groups)
        out.append(_word("order", "more" if x > y else "fewer" if x < y else "same", turn.language))
    return out


def _attributes(turn: Turn, scenes: Sequence[Scene], groups: list[tuple[int, ...]]) -> list[Step]:
    """Each thing with the colour or size that it has."""
    objects = [o for s in scenes for o in s.objects]
    name = _ATTRIBUTES[turn.form]
    out: list[Step] = []
    for group in groups:
        if not group:
            out.append(_group(group, turn.language))
        for i in sorted(group, key=lambda i: objects[i].box[0] + objects[i].box[2]):
            out += [
                Step("point", (i,)),
                Step("attribute", word=say(getattr(objects[i], name), turn.language)),
            ]
    return out


def _towers(turn: Turn, scene: Scene) -> list[Step]:
    """Each tower from its base up, with its height and the colour at the end that is asked about."""
    out: list[Step] = []
    stacks = ask_layouts.towers(scene)
    end = {"top": -1, "base": 0}.get(turn.form.rsplit("_", 1)[-1])
    for stack in stacks:
        out += [Step("point", tuple(stack), ordered=True), Step("number", word=str(len(stack)))]
        if end is not None:
            out.append(Step("attribute", word=say(scene.objects[stack[end]].color, turn.language)))
    if turn.form == "statement.tower_number":
        out.append(Step("number", word=str(len(stacks))))
    return out


def _boxes(turn: Turn, scene: Scene, groups: list[tuple[int, ...]]) -> list[Step]:
    """What each grey box holds of the things asked about, and how many; or, of each such thing, whether it touches a wall."""
    asked = set(groups[0]) if groups else set()
    if turn.form == "statement.box_touch":
        out: list[Step] = []
        for i in sorted(asked, key=lambda i: scene.objects[i].box[0] + scene.objects[i].box[2]):
            touches = "yes" if ask_layouts.touching(scene, i) else "no"
            out += [Step("point", (i,)), Step("attribute", word=say(touches, turn.language))]
        return out or [_group((), turn.language)]
    out = []
    for frame in ask_layouts.boxes(scene):
        found = tuple(i for i in frame if i in asked)
        out.append(_group(found, turn.language))
        if found:
            out.append(Step("number", word=str(len(found))))
            if turn.form == "statement.box_only":
                out.append(Step("number", word=str(len(frame))))
    return out
