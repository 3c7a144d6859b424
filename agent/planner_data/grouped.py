"""What claims and questions about groups ask for, as steps: boxes and what they hold, towers, edges, what rests on what."""

from __future__ import annotations

from .builder import IMAGE, Ref
from .draft import Draft, Family
from .groups import (
    EDGES,
    ENDS,
    Group,
    Item,
    amount_of,
    boxes,
    colored,
    contents,
    edge_words,
    end_of,
    having,
    held_item,
    resting,
    say,
    stacks,
)
from .lexicon import article


def _state(d: Draft, claim: str) -> None:
    """Put the claim into the request, as part of its sentence or as a sentence of its own."""
    d.slots["statement"] = claim[:1].upper() + claim[1:] if d.rng.random() < 0.35 else claim


def _claim(d: Draft, group: Group) -> Ref:
    """How many groups hold that: some, none, a number, each."""
    every = group.found
    form = d.rng.choice(("some", "some", "some", "none", "number", "number", "number", "each"))
    x = contents(d, group)
    d.slots["x"] = x
    plural = form == "number"
    test = {"some": "> 0", "none": "== 0"}.get(form, "")
    if plural:
        amount = amount_of(d, 3, 0.55)
        test, plural = amount.test, amount.plural
        d.slots["q"] = amount.said
    d.slots.update(g=group.said(False), gs=group.said(True), m=group.noun.measure or "个")
    for name, many in (("gx", False), ("gsx", True)):
        block = "grp_plural" if many else "grp_single"
        d.slots[name] = say(d, block)
    d.slots["agx"] = article(d.slots["gx"]) if d.language == "en" else d.slots["gx"]
    _state(d, say(d, "grp_numbers" if form == "number" and plural else f"grp_{form}"))
    kept = d.steps.count(group.found)
    return d.steps.verdict(
        f"{{{kept}}} == {{{d.steps.count(every)}}}" if form == "each" else f"{{{kept}}} {test}"
    )


def held_claim(d: Draft) -> Ref:
    return _claim(d, boxes(d))


def stack_claim(d: Draft) -> Ref:
    return _claim(d, stacks(d))


def end_claim(d: Draft) -> Ref:
    """Claims that speak of the top, the base or the second block of towers."""
    group = stacks(d)
    assert group.material is not None
    d.slots.update(g=group.said(False), gs=group.said(True), ag=article(group.said(False)))
    form = d.rng.choice(("count", "count", "count", "some", "the", "second", "same", "whole"))
    keep = d.rng.choice(tuple(ENDS))
    d.slots["end"] = say(d, f"grp_{ENDS[keep]}")
    if form == "same":
        amount = amount_of(d, 3, 0.5)
        ends = end_of(d, group, Item(group.material), keep)
        tally = d.steps.add("TALLY", text=d.steps.add("COLOR", image=IMAGE, object=ends))
        _state(d, say(d, "grp_same_end", q=amount.said))
        return d.steps.verdict(f"number({{{tally}}}[0]) {amount.test}")
    item = colored(d, group.material, 1.0)
    d.slots.update(color=item.word, m=item.noun.measure or "个")
    if form == "whole":
        amount = amount_of(d, 3)
        said = say(d, "grp_whole", g=group.said(amount.plural))
        group.found = having(d, group, item.steps(d))
        where = f"color != '{item.color}'"
        rest = d.steps.add("FILTER", object=d.steps.loc(item.noun.english), where=where, image=IMAGE)
        group.found = having(d, group, rest, "count == 0")
        some = d.rng.random() < 0.5
        d.slots.update(q=amount.said, x=said, a=article(say(d, "grp_whole", g=group.said(False))))
        _state(d, say(d, "grp_whole_some" if some else "grp_whole_count"))
        return d.steps.verdict(f"{{{d.steps.count(group.found)}}} {'> 0' if some else amount.test}")
    if form == "second":
        rank = d.rng.choice((2, 2, 2, 3))
        found = end_of(d, group, item, keep, rank)
        d.slots["place"] = say(d, f"grp_place_{rank}")
        d.slots["from"] = say(d, "grp_from")
        if keep == "bottommost" and d.rng.random() < 0.3:  # towers are counted from below
            d.slots["from"] = ""
        if d.rng.random() < 0.5:
            _state(d, say(d, "grp_second", n=item.noun.surface))
            return d.steps.verdict(f"{{{d.steps.count(found)}}} > 0")
        amount = amount_of(d, 3)
        many = group.said(amount.plural)
        _state(d, say(d, "grp_second_count", n=item.noun.surface, q=amount.said, x=many))
        return d.steps.verdict(f"{{{d.steps.count(found)}}} {amount.test}")
    found = end_of(d, group, item, keep)
    if form == "count":
        amount = amount_of(d, 3)
        _state(d, say(d, "grp_end_count", q=amount.said, x=item.said(d, amount.plural)))
        return d.steps.verdict(f"{{{d.steps.count(found)}}} {amount.test}")
    _state(d, say(d, f"grp_end_{form}", x=item.one(d)))
    return d.steps.verdict(f"{{{d.steps.count(found)}}} > 0")


def edge_claim(d: Draft) -> Ref:
    """Claims about things that touch an edge, a side or a corner, of a box where the claim names one; and how many there are."""
    item, edge = held_item(d, None), d.rng.choice(EDGES)
    things = item.steps(d)
    amount = amount_of(d, 4)
    d.slots.update(n=item.said(d), pl=item.said(d, True), a=item.one(d), m=item.noun.measure or "个")
    d.slots.update(q=amount.said, x=item.said(d, amount.plural))
    if d.rng.random() < 0.12:
        _state(d, say(d, "grp_plain_count"))
        return d.steps.verdict(f"{{{d.steps.count(things)}}} {amount.test}")
    d.slots["edge"] = edge_words(d, edge)
    if d.rng.random() < 0.35:
        group = boxes(d)
        ground = group.found
        d.slots["edge"] = say(d, "grp_edge_of", g=group.said(False), gs=group.said(True))
    else:
        ground = d.steps.add("PANELS", image=IMAGE)
    found = d.steps.add("RELATE", object=things, relation=edge, reference=ground)
    form = d.rng.choice(("some", "some", "none", "number", "number", "number", "away", "all"))
    _state(d, say(d, f"grp_edge_{form}"))
    touching = d.steps.count(found)
    if form in ("away", "all"):
        every = d.steps.count(things)
        return d.steps.verdict(
            f"{{{every}}} - {{{touching}}} {amount.test}"
            if form == "away"
            else f"{{{touching}}} == {{{every}}}"
        )
    test = {"some": "> 0", "none": "== 0"}.get(form, amount.test)
    return d.steps.verdict(f"{{{touching}}} {test}")


def resting_claim(d: Draft) -> Ref:
    """Blocks on blocks, wherever they are; and things that are all in one box."""
    if d.rng.random() < 0.25:
        group = boxes(d)
        item = held_item(d, group)
        group.found = having(d, group, item.steps(d))
        d.slots.update(pl=item.said(d, True), g=group.said(False), m=group.noun.measure or "个")
        _state(d, say(d, "grp_same_box"))
        return d.steps.verdict(f"{{{d.steps.count(group.found)}}} == 1")
    d.slots["x"], found = resting(d, None)
    form = d.rng.choice(("some", "some", "none"))
    if form == "none":
        d.slots["x"] = d.slots["x"].removeprefix("an ").removeprefix("a ").removeprefix("一个")
    _state(d, say(d, f"grp_rest_{form}"))
    return d.steps.verdict(f"{{{d.steps.count(found)}}} {'== 0' if form == 'none' else '> 0'}")


def count_groups(d: Draft) -> Ref:
    """How many boxes or towers hold something."""
    group = boxes(d) if d.rng.random() < 0.55 else stacks(d)
    d.slots["x"] = contents(d, group)
    d.slots.update(g=group.said(False), gs=group.said(True), m=group.noun.measure or "个")
    d.slots["gsx"] = say(d, "grp_plural")
    return d.steps.count(group.found)


GROUPED: dict[str, tuple[Family, float]] = {
    "held_claim": (held_claim, 2.5), "stack_claim": (stack_claim, 3.0), "end_claim": (end_claim, 1.8),
    "edge_claim": (edge_claim, 2.0), "resting_claim": (resting_claim, 1.0), "count_groups": (count_groups, 1.0),
}  # fmt: skip
