"""Statements about towers of blocks and grey boxes, in the manner of NLVR (Suhr et al. 2017), in words of our own."""

from __future__ import annotations

from itertools import pairwise

from . import habits
from .ask import Ask
from .describe import number_word
from .phrasing import Query, forms
from .relations import touching_wall
from .schema import Scene

Claim = tuple[str, tuple[Query, ...], dict[str, str], list[tuple[Query, tuple[int, ...]]]]

_TOWER_FORMS = (
    "tower_height", "tower_number", "tower_top", "tower_base", "tower_over", "tower_one_top", "tower_all_base",
    "tower_same",
)  # fmt: skip
_BOX_FORMS = ("box_has", "box_items", "box_one", "box_every", "box_only", "box_touch")
_ATTEMPTS = 6


def towers(scene: Scene) -> list[list[int]]:
    """Indices of the blocks of each tower, from the base up; towers from the left."""
    out = []
    for group in scene.groups:
        if group.kind == "tower":
            found = [i for i, o in enumerate(scene.objects) if o.group == group.name]
            out.append(sorted(found, key=lambda i: -scene.objects[i].box[3]))
    return [t for t in out if t]


def boxes(scene: Scene) -> list[list[int]]:
    """Indices of the objects in each grey box, from the left; a box may be empty. None in scenes of towers."""
    return [
        [i for i, o in enumerate(scene.objects) if o.group == group.name]
        for group in scene.groups
        if group.kind == "box"
    ]


def touching(scene: Scene, index: int) -> bool:
    """Whether an object touches a wall of its grey box."""
    o = scene.objects[index]
    frame = next((g.box for g in scene.groups if g.name == o.group), None)
    return frame is not None and bool(touching_wall(o.box, frame, float(min(scene.width, scene.height))))


Draft = tuple[bool, tuple[Query, ...], int, str]  # holds, phrases, number or 0, the noun slot of the number


def forms_for(scene: Scene) -> tuple[str, ...]:
    """The claim forms that a layout allows."""
    return _TOWER_FORMS if scene.layout == "towers" else _BOX_FORMS


def draft(ask: Ask, form: str) -> Draft | None:
    """A claim with random contents, true or false as it comes."""
    scene = ask.view.scene
    if scene.layout == "towers":
        return _tower_claim(ask, form, towers(scene))
    return _box_claim(ask, form, boxes(scene))


def key(form: str, made: Draft) -> str:
    """What of a claim tells how often such claims are true: its form, its number, the build of its phrase."""
    query = made[1][0] if made[1] else None
    build = "" if query is None else f"{'k' if query.kind else ''}{'c' if query.color else ''}"
    return f"{form}|{made[2]}|{build}"


def claim(ask: Ask) -> tuple[bool, Claim] | None:
    """Whether it holds, and a statement on the layout; None where the attempts gave none.

    Drafts are kept so that of each `key` as many are true as false: a true one with chance (1 - p) / p, p being the
    rate of truth of such drafts, a false one with p / (1 - p).
    """
    if ask.view.unsure:
        return None
    for _ in range(_ATTEMPTS):
        form = ask.pick(forms_for(ask.view.scene))
        made = draft(ask, form)
        if made is None:
            continue
        holds, queries, number, noun = made
        rate = min(0.95, max(0.05, habits.truth_rate(key(form, made))))
        odds = (1 - rate) / rate if holds else rate / (1 - rate)
        if ask.random() < odds:
            return holds, (form, queries, _words(ask, number, noun, queries), _evidence(ask, queries))
    return None


def _evidence(ask: Ask, queries: tuple[Query, ...]) -> list[tuple[Query, tuple[int, ...]]]:
    return [(q, ask.named(q)) for q in queries or (Query(),)]


def _words(ask: Ask, number: int, noun: str, queries: tuple[Query, ...]) -> dict[str, str]:
    if not number:
        return {}
    if ask.language == "zh":
        return {"num": str(number)}
    one = number == 1
    words = {"num": number_word(number) if ask.flip() else str(number), "are": "is" if one else "are"}
    if noun == "plnum":
        surface = forms(queries[0], "en")
        words["plnum"] = surface["n"] if one else surface["pl"]
    else:
        words[noun] = noun[:-1] if one else noun
    return words


def _block(color: str) -> Query:
    return Query("block", None, color)


def _tower_claim(ask: Ask, form: str, stacks: list[list[int]]) -> Draft | None:
    objects = ask.view.objects
    if not stacks:
        return None
    heights = [len(s) for s in stacks]
    if form == "tower_height":
        number = 1 + int(ask.random() * 5)
        return number in heights, (), number, "blocks"
    if form == "tower_number":
        number = 1 + int(ask.random() * 4)
        return number == len(stacks), (), number, "towers"
    if form == "tower_same":
        if len(stacks) < 2:
            return None
        return len(set(heights)) < len(heights), (), 0, ""
    seen = sorted({objects[i].color for s in stacks for i in s})
    color = ask.pick(seen)
    tops, bases = [objects[s[-1]].color for s in stacks], [objects[s[0]].color for s in stacks]
    if form == "tower_top":
        return color in tops, (_block(color),), 0, ""
    if form == "tower_base":
        return color in bases, (_block(color),), 0, ""
    if form == "tower_one_top":
        return tops.count(color) == 1, (_block(color),), 0, ""
    if form == "tower_all_base":
        return len(stacks) > 1 and set(bases) == {color}, (_block(color),), 0, ""
    under = ask.pick(seen)
    pairs = {(objects[b].color, objects[a].color) for s in stacks for a, b in pairwise(s)}
    return (color, under) in pairs, (_block(color), _block(under)), 0, ""


def _box_claim(ask: Ask, form: str, frames: list[list[int]]) -> Draft | None:
    view = ask.view
    if not view.objects:
        return None
    if form == "box_items":
        number = 1 + int(ask.random() * 5)
        return number in [len(f) for f in frames], (), number, "items"
    o = view.objects[ask.pick(view.sure)]
    roll = ask.random()
    query = (
        Query(None, None, o.color)
        if roll < 0.45
        else Query(o.kind)
        if roll < 0.8
        else Query(o.kind, None, o.color)
    )
    found = set(ask.named(query))
    numbers = [len(found & set(f)) for f in frames]
    if form == "box_has":
        number = 1 + int(ask.random() * 3)
        return number in numbers, (query,), number, "plnum"
    if form == "box_one":
        return sum(n > 0 for n in numbers) == 1, (query,), 0, ""
    if form == "box_every":
        return all(numbers), (query,), 0, ""
    if form == "box_only":
        return any(f and n == len(f) for f, n in zip(frames, numbers, strict=True)), (query,), 0, ""
    return any(touching(view.scene, i) for i in found), (query,), 0, ""
