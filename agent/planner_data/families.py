"""What requests about things ask for, as steps: finding, counting, comparing, places and colours."""

from __future__ import annotations

from .builder import IMAGE, Ref
from .draft import Draft, Family
from .fillers import literal, say_amount, say_bound, say_color
from .phrasebook import surfaces
from .reading import (
    ask,
    caption,
    caption_each,
    caption_thing,
    classify,
    count_all,
    faces,
    find_faces,
    find_text,
    inventory,
    largest_number,
    measure,
    read_all,
    read_on,
    select,
    sum_numbers,
    tag_kind,
    text_check,
    text_lines,
    text_on_check,
    two_both,
    two_either,
    two_more,
    two_same,
    two_total,
    vqa_scene,
    vqa_thing,
)
from .referents import Extreme, Related, Thing


def existence(d: Draft) -> Ref:
    return d.steps.verdict(f"{{{d.steps.count(d.many())}}} > 0")


def absence(d: Draft) -> Ref:
    return d.steps.verdict(f"{{{d.steps.count(d.many(deep=0.1))}}} == 0")


def count(d: Draft) -> Ref:
    return d.steps.count(d.many(deep=0.3))


def count_colors(d: Draft) -> Ref:
    found = d.thing(colored=0.0)
    kept = d.steps.add("FILTER", object=found, where=f"color == '{say_color(d)}'", image=IMAGE)
    return d.steps.count(kept)


def _not_color(d: Draft) -> Ref:
    found = d.thing(colored=0.0)
    return d.steps.add("FILTER", object=found, where=f"color != '{say_color(d)}'", image=IMAGE)


def not_color(d: Draft) -> Ref:
    return _not_color(d)


def count_not_color(d: Draft) -> Ref:
    return d.steps.count(_not_color(d))


def tally(d: Draft) -> Ref:
    names = d.steps.add("LABELS", object=d.steps.add("SEG", image=IMAGE))
    return d.steps.add("TALLY", text=names)


def tally_colors(d: Draft) -> Ref:
    return d.steps.add("TALLY", text=d.steps.add("COLOR", image=IMAGE, object=d.thing(colored=0.0)))


def count_check(d: Draft) -> Ref:
    sign = say_bound(d)
    return d.steps.verdict(f"{{{d.steps.count(d.many(deep=0.2))}}} {sign} {say_amount(d)}")


def _two_counts(d: Draft, deep: float = 0.12) -> tuple[Ref, Ref]:
    first, second = d.many("", deep), d.many("2", deep)
    return d.steps.count(first), d.steps.count(second)


def compare_more(d: Draft) -> Ref:
    first, second = _two_counts(d)
    return d.steps.verdict(f"{{{first}}} > {{{second}}}")


def compare_fewer(d: Draft) -> Ref:
    first, second = _two_counts(d)
    return d.steps.verdict(f"{{{first}}} < {{{second}}}")


def compare_same(d: Draft) -> Ref:
    first, second = _two_counts(d)
    return d.steps.verdict(f"{{{first}}} == {{{second}}}")


def which_more(d: Draft) -> Ref:
    one, two = d.simple(), d.simple("2")
    first = d.steps.count(d.steps.loc(one))
    second = d.steps.count(d.steps.loc(two))
    return d.steps.expression(f"{literal(one)} if {{{first}}} > {{{second}}} else {literal(two)}")


def total(d: Draft) -> Ref:
    first, second = _two_counts(d)
    return d.steps.expression(f"{{{first}}} + {{{second}}}")


def difference(d: Draft) -> Ref:
    first, second = _two_counts(d)
    return d.steps.expression(f"{{{first}}} - {{{second}}}")


def both(d: Draft) -> Ref:
    first, second = _two_counts(d)
    return d.steps.verdict(f"{{{first}}} > 0 and {{{second}}} > 0")


def either(d: Draft) -> Ref:
    first, second = _two_counts(d)
    return d.steps.verdict(f"{{{first}}} > 0 or {{{second}}} > 0")


def without(d: Draft) -> Ref:
    first, second = _two_counts(d)
    return d.steps.verdict(f"{{{first}}} > 0 and {{{second}}} == 0")


def neither(d: Draft) -> Ref:
    first, second = _two_counts(d)
    return d.steps.verdict(f"{{{first}}} == 0 and {{{second}}} == 0")


def relation_check(d: Draft) -> Ref:
    relation, said = d.sampler.relation(d.rng, d.language)
    d.slots["rel"] = said
    thing = d.note(d.sampler.thing(d.rng, d.language, 0.2))
    reference = d.note(d.sampler.one(d.rng, d.language, 0.1), "2")
    found, other = thing.steps(d.steps), reference.steps(d.steps)
    kept = d.steps.add("RELATE", object=found, relation=relation, reference=other)
    return d.steps.verdict(f"{{{d.steps.count(kept)}}} > 0")


def nearest(d: Draft) -> Ref:
    found, other = d.thing("", 0.2), d.one("2", 0.15)
    return d.steps.add("RELATE", object=found, relation="nearest", reference=other)


def side_what(d: Draft) -> Ref:
    op = _side(d)
    picture = d.steps.add(op, image=IMAGE, box=d.one(deep=0.15))
    return d.steps.add("VQA", image=picture, question="What is this?")


def crop_side(d: Draft) -> Ref:
    op = _side(d)
    return d.steps.add(op, image=IMAGE, box=d.one(deep=0.15))


def _side(d: Draft) -> str:
    table = surfaces()["sides"][d.language]
    op = d.rng.choice(list(table))
    d.slots["side"] = d.rng.choice(table[op])
    return str(op)


def locate(d: Draft) -> Ref:
    return d.many(deep=0.3)


def extreme(d: Draft) -> Ref:
    keep, said = d.sampler.extreme(d.rng, d.language)
    d.slots["ext"] = said
    referent = d.note(d.sampler.many(d.rng, d.language, 0.2))
    return d.steps.add("FILTER", object=referent.steps(d.steps), keep=keep)


def _measured(d: Draft, op: str, **more: object) -> tuple[Ref, Ref]:
    first, second = d.one("", 0.12), d.one("2", 0.12)
    return d.steps.add(op, object=first, **more), d.steps.add(op, object=second, **more)


def _size(d: Draft) -> str:
    """The test of two lists of areas, for "bigger" or "smaller"; fills {bigger}."""
    smaller = d.rng.random() < 0.4
    said = {"en": (["bigger", "larger"], ["smaller", "tinier"]), "zh": (["大"], ["小"])}[d.language][smaller]
    d.slots["bigger"] = d.rng.choice(said)
    return "min({{{}}}) < min({{{}}})" if smaller else "max({{{}}}) > max({{{}}})"


def _distance(d: Draft) -> str:
    """The test of two lists of depths, for "closer" or "farther"; fills {closer} and {to}."""
    farther = d.rng.random() < 0.4
    said = {"en": (["closer", "nearer"], ["farther", "further away", "further"]), "zh": (["近"], ["远"])}
    d.slots["closer"] = d.rng.choice(said[d.language][farther])
    d.slots["to"] = "from" if farther else "to"
    return "max({{{}}}) > max({{{}}})" if farther else "min({{{}}}) < min({{{}}})"


def size_compare(d: Draft) -> Ref:
    test = _size(d)
    return d.steps.verdict(test.format(*_measured(d, "MEASURE", what="area")))


def size_which(d: Draft) -> Ref:
    test = _size(d)
    one, two = d.simple(), d.simple("2")
    first, second = d.steps.loc(one), d.steps.loc(two)
    first = d.steps.add("MEASURE", object=first, what="area")
    second = d.steps.add("MEASURE", object=second, what="area")
    return d.steps.expression(f"{literal(one)} if {test.format(first, second)} else {literal(two)}")


def depth_which(d: Draft) -> Ref:
    test = _distance(d)
    one, two = d.simple(), d.simple("2")
    first, second = d.steps.loc(one), d.steps.loc(two)
    first = d.steps.add("DEPTH", image=IMAGE, object=first)
    second = d.steps.add("DEPTH", image=IMAGE, object=second)
    return d.steps.expression(f"{literal(one)} if {test.format(first, second)} else {literal(two)}")


def depth_check(d: Draft) -> Ref:
    test = _distance(d)
    first, second = d.one("", 0.1), d.one("2", 0.1)
    first = d.steps.add("DEPTH", image=IMAGE, object=first)
    second = d.steps.add("DEPTH", image=IMAGE, object=second)
    return d.steps.verdict(test.format(first, second))


def color_of(d: Draft) -> Ref:
    return d.steps.add("COLOR", image=IMAGE, object=colorless(d))


def colorless(d: Draft, suffix: str = "", deep: float = 0.35) -> Ref:
    """A referent whose own colour is not given away: nobody asks what colour the red car is."""
    referent = d.sampler.one(d.rng, d.language, deep)
    if isinstance(referent, Thing):
        referent = Thing(referent.noun)
    elif isinstance(referent, Related):
        referent = Related(Thing(referent.thing.noun), referent.relation, referent.words, referent.reference)
    else:
        referent = Extreme(Thing(referent.inner.noun), referent.keep, referent.words)
    return d.note(referent, suffix).steps(d.steps)


def colors_of(d: Draft) -> Ref:
    return d.steps.add("COLORS", image=IMAGE, object=colorless(d))


def color_check(d: Draft) -> Ref:
    color = say_color(d)
    answer = d.steps.add("COLOR", image=IMAGE, object=colorless(d))
    return d.steps.verdict(f"'{color}' in {{{answer}}}")


def same_color(d: Draft) -> Ref:
    first, second = colorless(d, "", 0.1), colorless(d, "2", 0.1)
    first = d.steps.add("COLOR", image=IMAGE, object=first)
    second = d.steps.add("COLOR", image=IMAGE, object=second)
    return d.steps.verdict(f"{{{first}}} == {{{second}}}")


def all_color(d: Draft) -> Ref:
    color = say_color(d)
    found = d.thing(colored=0.0)
    kept = d.steps.add("FILTER", object=found, where=f"color == '{color}'", image=IMAGE)
    return d.steps.verdict(f"{{{d.steps.count(kept)}}} == {{{d.steps.count(found)}}}")


# family -> (function, weight). A weight is how often it is drawn, relative to the others.
LOOKING: dict[str, tuple[Family, float]] = {
    **{f.__name__: (f, 1.5) for f in (existence, count, locate, color_of, relation_check)},
    **{f.__name__: (f, 1.0) for f in (count_check, count_colors, compare_more, which_more, nearest, extreme)},
    **{
        f.__name__: (f, 1.0)
        for f in (read_all, read_on, text_check, text_on_check, vqa_thing, vqa_scene, ask, caption)
    },
    **{f.__name__: (f, 1.0) for f in (side_what, color_check, caption_thing, both)},
    **{
        f.__name__: (f, 0.7)
        for f in (absence, compare_fewer, compare_same, total, difference, either, without)
    },
    **{
        f.__name__: (f, 0.7)
        for f in (neither, size_compare, size_which, depth_which, depth_check, same_color)
    },
    **{
        f.__name__: (f, 0.7)
        for f in (all_color, inventory, count_all, faces, find_faces, select, classify, crop_side)
    },
    **{f.__name__: (f, 0.6) for f in (two_more, two_total, two_both, two_either, two_same)},
    **{
        f.__name__: (f, 0.5) for f in (find_text, text_lines, sum_numbers, largest_number, measure, colors_of)
    },
    **{
        f.__name__: (f, 0.5)
        for f in (caption_each, tally, tally_colors, tag_kind, not_color, count_not_color)
    },
}
