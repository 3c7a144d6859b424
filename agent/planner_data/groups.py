"""Boxes, panels and stacks in the making of an example: how they are found, what they may hold, and how both are said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .builder import IMAGE, Ref
from .draft import Draft
from .fillers import full_color, number_word
from .lexicon import Noun, article
from .patterns import render
from .phrasebook import phrasebook, surfaces
from .wording import strip_marks

THINGS = ("holders", "blocks", "held_items")  # tables of names that programs look for
ENDS = {"topmost": "top", "bottommost": "base"}
EDGES = ("edge", "edge", "edge", "corner", "bottom edge", "top edge", "left edge", "right edge")


def say(d: Draft, block: str, **slots: str) -> str:
    """One wording of a sentence part."""
    pattern = d.rng.choice(phrasebook().get(block, d.language))
    return strip_marks(render(pattern.nodes, {**d.slots, **slots}, phrasebook().macros, d.rng)).strip()


def named(d: Draft, table: str) -> Noun:
    """One of a table of surfaces: (program's name, singular, plural) or, in Chinese, (name, surface, measure)."""
    if d.sampler.nouns.held_out and table in THINGS:
        return _sampled(d)
    name, one, many = d.rng.choice(surfaces()[table][d.language])
    if table in THINGS:
        d.nouns.append(name)
    return Noun(name, one, one, many) if d.language == "zh" else Noun(name, one, many)


def _sampled(d: Draft) -> Noun:
    noun = d.sampler.noun(d.rng, d.language)
    d.nouns.append(noun.english)
    return noun


@dataclass
class Amount:
    """How many: what the program compares with, and how it is said."""

    test: str
    said: str
    plural: bool


def amount_of(d: Draft, most: int = 4, bare: float = 0.5) -> Amount:
    number = d.rng.randint(1, most)
    word = number_word(d, number)
    if d.rng.random() < bare:
        return Amount(f"== {number}", word, number > 1)
    bounds = surfaces()["bounds"][d.language]
    sign = d.rng.choice(["==", "==", ">=", ">=", "<=", ">", "<"])
    return Amount(f"{sign} {number}", f"{d.rng.choice(bounds[sign])} {word}" if d.language == "en" else
                  f"{d.rng.choice(bounds[sign])}{word}", number > 1)  # fmt: skip


@dataclass
class Item:
    """A kind of thing that groups hold, perhaps of one colour."""

    noun: Noun
    color: str = ""
    word: str = ""

    def steps(self, d: Draft) -> Ref:
        found = d.steps.loc(self.noun.english)
        if self.color:
            found = d.steps.add("FILTER", object=found, where=f"color == '{self.color}'", image=IMAGE)
        return found

    def said(self, d: Draft, plural: bool = False) -> str:
        noun = self.noun.plural if plural else self.noun.surface
        if d.language == "zh":
            return f"{self.word}{noun}"
        size, _, rest = noun.partition(" ")
        if rest and size in ("small", "large"):  # people say "small blue square"
            return " ".join(filter(None, (size, self.word, rest)))
        return f"{self.word} {noun}".strip()

    def one(self, d: Draft) -> str:
        return f"一{self.noun.measure or '个'}{self.said(d)}" if d.language == "zh" else article(self.said(d))


@dataclass
class Group:
    """What things lie in: boxes, panels or stacks; `material` is what a stack is made of."""

    noun: Noun
    found: Ref
    material: Noun | None = None

    def said(self, plural: bool) -> str:
        return self.noun.plural if plural else self.noun.surface


def colored(d: Draft, noun: Noun, share: float = 0.75) -> Item:
    if d.rng.random() >= share:
        return Item(noun)
    color, word = d.sampler.color(d.rng, d.language)
    return Item(noun, color, full_color(color) if d.language == "zh" else word)


def held_item(d: Draft, group: Group | None, share: float = 0.75) -> Item:
    """A thing to look for in a group; in a stack it is a piece of the stack."""
    if group is not None and group.material is not None:
        noun = group.material
    elif d.rng.random() < 0.3:
        noun = _sampled(d)
    else:
        noun = named(d, "held_items")
    return colored(d, noun, share)


def boxes(d: Draft) -> Group:
    roll = d.rng.random()
    if roll < 0.12:
        return Group(named(d, "panels"), d.steps.add("PANELS", image=IMAGE))
    noun = _sampled(d) if roll < 0.3 else named(d, "holders")
    return Group(noun, d.steps.loc(noun.english))


def stacks(d: Draft) -> Group:
    """Towers of blocks, or of what the request says that they are made of."""
    noun, material = named(d, "stacks"), named(d, "blocks")
    if d.rng.random() < 0.15:
        material = _sampled(d)
    found = d.steps.add("GROUP", object=d.steps.loc(material.english), by="stack")
    if material.english != "block" or d.rng.random() < 0.1:
        one, many = (say(d, "grp_made_of", g=g, stuff=material.plural) for g in (noun.surface, noun.plural))
        noun = Noun(noun.english, one, many, noun.measure)
    group = Group(noun, found, material)
    if d.rng.random() < 0.15:
        number = d.rng.randint(2, 4)
        slots = {"k": number_word(d, number), "n": material.surface, "pl": material.plural}
        d.slots.update(slots)
        one, many = (say(d, "grp_sized", g=g) for g in (noun.surface, noun.plural))
        group.noun = Noun(noun.english, one, many, noun.measure)
        group.found = having(d, group, d.steps.loc(material.english), f"count == {number}")
    return group


def having(d: Draft, group: Group, item: Ref, where: str = "") -> Ref:
    more: dict[str, object] = {"where": where} if where else {}
    if "colors" in where:
        more["image"] = IMAGE
    return d.steps.add("HAVING", object=group.found, item=item, **more)


# What a group holds: each narrows `group.found` and returns the words ("exactly two blue blocks").


def _some(d: Draft, group: Group) -> str:
    item = held_item(d, group, 0.9 if group.material else 0.75)
    group.found = having(d, group, item.steps(d))
    return item.one(d)


def _numbered(d: Draft, group: Group) -> str:
    item, amount = held_item(d, group), amount_of(d, 6)
    group.found = having(d, group, item.steps(d), f"count {amount.test}")
    if d.language == "zh":
        return f"{amount.said}{item.noun.measure or '个'}{item.said(d)}"
    return f"{amount.said} {item.said(d, amount.plural)}"


def _none(d: Draft, group: Group) -> str:
    item = held_item(d, group)
    group.found = having(d, group, item.steps(d), "count == 0")
    return say(d, "grp_no_items", n=item.said(d), pl=item.said(d, True))


def _only(d: Draft, group: Group) -> str:
    """Nothing but things of one colour, or of two."""
    item = held_item(d, group, 1.0)
    other = colored(d, item.noun, 1.0)
    both = [item] if other.color == item.color or d.rng.random() < 0.65 else [item, other]
    for one in both:
        group.found = having(d, group, one.steps(d))
    where = " and ".join(f"color != '{one.color}'" for one in both)
    rest = d.steps.add("FILTER", object=d.steps.loc(item.noun.english), where=where, image=IMAGE)
    group.found = having(d, group, rest, "count == 0")
    word = ("和" if d.language == "zh" else " and ").join(one.word for one in both)
    return say(d, "grp_only", color=word, pl=item.noun.plural)


def _hues(d: Draft, group: Group) -> str:
    """Things of one colour, or of several."""
    item, number, hues = held_item(d, group, 0.0), d.rng.randint(2, 5), d.rng.choice((1, 1, 1, 2, 3))
    counted = d.rng.random() < 0.5
    number = max(number, hues)
    test = f"count == {number}" if counted else "count > 0"
    group.found = having(d, group, item.steps(d), f"{test} and colors == {hues}")
    said = (
        f"{number_word(d, number)}{(item.noun.measure or '个') if d.language == 'zh' else ' '}"
        if counted
        else ""
    )
    block = "grp_same_color" if hues == 1 else "grp_many_colors"
    return say(d, block, q=said, pl=item.noun.plural, k=number_word(d, hues))


def _end(d: Draft, group: Group) -> str:
    """A thing of a colour at the top or base."""
    item, keep = held_item(d, group, 1.0), d.rng.choice(tuple(ENDS))
    group.found = having(d, group, end_of(d, group, item, keep))
    block = f"grp_with_{ENDS[keep]}"
    return say(d, block, color=item.word, a=item.one(d), n=item.said(d))


def end_of(d: Draft, group: Group, item: Item, keep: str, rank: int = 1) -> Ref:
    more: dict[str, object] = {"rank": rank} if rank > 1 else {}
    found = d.steps.loc(item.noun.english)
    found = d.steps.add("FILTER", object=found, keep=keep, within=group.found, **more)
    if item.color:
        found = d.steps.add("FILTER", object=found, where=f"color == '{item.color}'", image=IMAGE)
    return found


def resting(d: Draft, group: Group | None) -> tuple[str, Ref]:
    """One thing directly on or under another: its words and the regions."""
    one = held_item(d, group, 1.0) if group else colored(d, named(d, "blocks"), 1.0)
    two = colored(d, one.noun, 0.95)
    relation = d.rng.choice(("on", "on", "under"))
    found = d.steps.add("RELATE", object=one.steps(d), relation=relation, reference=two.steps(d))
    return say(d, f"grp_{relation}", a=one.one(d), a2=two.one(d), n=one.said(d), n2=two.said(d)), found


def _of_which(d: Draft, group: Group) -> str:
    """Things of which some are of another kind or colour."""
    noun, amount = group.material or named(d, "held_items"), amount_of(d, 5)
    group.found = having(d, group, Item(noun).steps(d), f"count {amount.test}")
    kind = noun if group.material or d.rng.random() < 0.5 else named(d, "held_items")
    part = colored(d, kind, 1.0)
    number = d.rng.choice((1, 1, 2))
    group.found = having(d, group, part.steps(d), "" if number == 1 else f"count == {number}")
    gap = (noun.measure or "个") if d.language == "zh" else " "
    x = f"{amount.said}{gap}{noun.plural if amount.plural else noun.surface}"
    block = "grp_one_of_which" if number == 1 else "grp_some_of_which"
    a = part.one(d) if kind is not noun else part.word
    return say(d, block, x=x, a=a, pl=part.said(d, True), k=number_word(d, number))


def _upon(d: Draft, group: Group) -> str:
    if d.rng.random() < 0.15:
        item = held_item(d, group, 1.0)
        regions = item.steps(d)
        found = d.steps.add("RELATE", object=regions, relation="on", reference=regions)
        group.found = having(d, group, found)
        return say(d, "grp_stacked", pl=item.said(d, True), k=number_word(d, 2))
    said, found = resting(d, group)
    group.found = having(d, group, found)
    return said


def _at_edge(d: Draft, group: Group) -> str:
    item, edge = held_item(d, group), d.rng.choice(EDGES)
    found = d.steps.add("RELATE", object=item.steps(d), relation=edge, reference=group.found)
    group.found = having(d, group, found)
    return say(d, "grp_touching", x=item.one(d), edge=edge_words(d, edge))


def edge_words(d: Draft, edge: str) -> str:
    return say(d, "grp_" + edge.replace(" ", "_"))


Content = Callable[[Draft, Group], str]
_SIMPLE: tuple[Content, ...] = (_some, _numbered, _numbered, _none)
_IN_BOX: tuple[Content, ...] = (*_SIMPLE, _only, _hues, _end, _at_edge)
_IN_STACK: tuple[Content, ...] = (_some, _numbered, _numbered, _only, _hues, _end, _end, _end, _upon, _upon)


def contents(d: Draft, group: Group) -> str:
    """One thing or two that the group holds, narrowed down and said."""
    kinds = _IN_BOX if group.material is None else _IN_STACK
    roll = d.rng.random()
    if roll < 0.62:
        return d.rng.choice(kinds)(d, group)
    if roll < 0.68:
        return _of_which(d, group)
    kinds = _SIMPLE if group.material is None else (_some, _numbered, _numbered, _end, _upon)
    first = d.rng.choice(kinds[:3])(d, group)
    second = d.rng.choice(kinds)(d, group)
    if d.rng.random() < 0.12:
        first = say(d, "grp_list", x=first, y=_some(d, group))
    return say(d, "grp_and", x=first, y=second)
