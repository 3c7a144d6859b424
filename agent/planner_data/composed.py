"""What requests that join several steps ask for: halves, crops looked into, colours compared, two pictures, branches by count."""

from __future__ import annotations

from collections.abc import Callable

from .builder import IMAGE, LEFT, RIGHT, Ref
from .draft import Draft, Family
from .editing import _EDITS, _part
from .fillers import full_color, literal, say_amount, say_bound
from .referents import Extreme, Thing

_HALVES = {
    "en": {
        "x < 50%": ["in the left half", "on the left side of the picture", "in the left part of the image",
                    "on the left-hand side of the photo", "in the left-hand half"],
        "x >= 50%": ["in the right half", "on the right side of the picture", "in the right part of the image",
                    "on the right-hand side of the photo", "in the right-hand half"],
        "y < 50%": ["in the upper half", "in the top half", "in the upper part of the image",
                    "in the top half of the photo"],
        "y >= 50%": ["in the lower half", "in the bottom half", "in the lower part of the image",
                    "in the bottom half of the photo"],
    },
    "zh": {
        "x < 50%": ["左半边", "图片左半部分", "画面左侧", "照片的左半边", "左边一半"],
        "x >= 50%": ["右半边", "图片右半部分", "画面右侧", "照片的右半边", "右边一半"],
        "y < 50%": ["上半部分", "图片上半部分", "画面上方", "照片的上半部", "上面一半"],
        "y >= 50%": ["下半部分", "图片下半部分", "画面下方", "照片的下半部", "下面一半"],
    },
}  # fmt: skip
_ASKED = {
    "en": ["what is it made of", "is it new or old", "what is it doing", "is anything on it", "what is it used for",
           "is it clean", "what shape is it", "what brand is it", "is it broken", "what is happening there",
           "is it open", "what is it standing on", "does it look heavy", "is it real", "what is written on it",
           "what is behind it", "is it wet", "what pattern does it have", "is it moving", "who is it for"],
    "zh": ["它是什么材料做的", "它是新的还是旧的", "它在做什么", "它上面有什么", "它干净吗", "它是什么形状的",
           "它是什么牌子的", "它坏了吗", "那里发生了什么", "它是开着的吗", "它看起来重吗", "它是什么样的图案"],
}  # fmt: skip
_ACTS = {
    "en": {
        "BLUR": ["blur", "redact", "censor", "pixelate", "black out"],
        "HIGHLIGHT": ["highlight", "emphasize", "spotlight"],
        "TAG": ["tag", "put a label on", "put a name tag on"],
    },
    "zh": {
        "BLUR": ["打上马赛克", "模糊掉", "打码", "遮挡起来"],
        "HIGHLIGHT": ["高亮出来", "突出显示", "高亮"],
        "TAG": ["打上标签", "加上标签", "标上名称"],
    },
}


def _half(d: Draft) -> Ref:
    """Plain or coloured things in one half of the picture; fills {half}."""
    where = d.rng.choice(list(_HALVES[d.language]))
    d.slots["half"] = d.rng.choice(_HALVES[d.language][where])
    return d.steps.add("FILTER", object=d.thing(colored=0.2), where=where, image=IMAGE)


def count_half(d: Draft) -> Ref:
    return d.steps.count(_half(d))


def half_check(d: Draft) -> Ref:
    return d.steps.verdict(f"{{{d.steps.count(_half(d))}}} > 0")


def _question(d: Draft) -> str:
    """A question about what a close-up shows, as the program asks it; fills {q}."""
    said = d.rng.choice(_ASKED[d.language])
    d.slots["q"] = said
    return said + "？" if d.language == "zh" else said[:1].upper() + said[1:] + "?"


def crop_ask(d: Draft) -> Ref:
    question = _question(d)
    picture = d.steps.add("CROP", image=IMAGE, box=d.one(deep=0.5))
    return d.steps.add("VQA", image=picture, question=question)


def crop_count(d: Draft) -> Ref:
    picture = d.steps.add("CROP", image=IMAGE, box=d.one("2", deep=0.25))
    return d.steps.count(d.steps.loc(d.simple(), picture))


def crop_read(d: Draft) -> Ref:
    picture = d.steps.add("CROP", image=IMAGE, box=d.one(deep=0.4))
    return d.steps.add("READ", image=picture)


def near_color(d: Draft) -> Ref:
    noun = d.simple()
    found, other = d.steps.loc(noun), d.one("2", 0.15)
    kept = d.steps.add("RELATE", object=found, relation="nearest", reference=other)
    return d.steps.add("COLOR", image=IMAGE, object=kept)


def near_thing(d: Draft) -> Ref:
    """The name of whatever is nearest to a thing, that thing's own kind left out."""
    noun = d.simple()
    other = d.steps.loc(noun)
    rest = d.steps.add("FILTER", object=d.steps.add("SEG", image=IMAGE), where=f"label != {literal(noun)}")
    return d.steps.add(
        "LABELS", object=d.steps.add("RELATE", object=rest, relation="nearest", reference=other)
    )


def list_side(d: Draft) -> Ref:
    relation, said = d.sampler.relation(d.rng, d.language)
    d.slots["rel"] = said
    every, other = d.steps.add("SEG", image=IMAGE), d.one(deep=0.15)
    kept = d.steps.add("RELATE", object=every, relation=relation, reference=other)
    return d.steps.add("JOIN", text=d.steps.add("LABELS", object=kept))


def _two_colors(d: Draft) -> tuple[str, str]:
    """Two different colours, as the program says them; fills {color} and {color2}."""
    one, said = d.sampler.color(d.rng, d.language)
    two, other = d.sampler.color(d.rng, d.language)
    while two == one:
        two, other = d.sampler.color(d.rng, d.language)
    d.slots["color"] = full_color(one) if d.language == "zh" else said
    d.slots["color2"] = full_color(two) if d.language == "zh" else other
    return one, two


def _colored_counts(d: Draft) -> tuple[str, str, Ref, Ref]:
    one, two = _two_colors(d)
    found = d.steps.loc(d.simple())
    first = d.steps.add("FILTER", object=found, where=f"color == '{one}'", image=IMAGE)
    second = d.steps.add("FILTER", object=found, where=f"color == '{two}'", image=IMAGE)
    return one, two, d.steps.count(first), d.steps.count(second)


def color_more(d: Draft) -> Ref:
    _, _, first, second = _colored_counts(d)
    return d.steps.verdict(f"{{{first}}} > {{{second}}}")


def color_which(d: Draft) -> Ref:
    one, two, first, second = _colored_counts(d)
    return d.steps.expression(f"'{one}' if {{{first}}} > {{{second}}} else '{two}'")


def color_gap(d: Draft) -> Ref:
    _, _, first, second = _colored_counts(d)
    return d.steps.expression(f"{{{first}}} - {{{second}}}")


def amount_color(d: Draft) -> Ref:
    """Whether exactly (at least, ...) so many of the things have a colour."""
    sign, amount = say_bound(d), say_amount(d)
    color, said = d.sampler.color(d.rng, d.language)
    d.slots["color"] = full_color(color) if d.language == "zh" else said
    found = d.steps.loc(d.simple())
    kept = d.steps.add("FILTER", object=found, where=f"color == '{color}'", image=IMAGE)
    return d.steps.verdict(f"{{{d.steps.count(kept)}}} {sign} {amount}")


def total_three(d: Draft) -> Ref:
    counts = [d.steps.count(d.steps.loc(d.simple(suffix))) for suffix in ("", "2", "3")]
    return d.steps.expression(" + ".join(f"{{{count}}}" for count in counts))


def extreme_place(d: Draft) -> Ref:
    """Whether the largest (leftmost, ...) of some things stands in a relation to something."""
    relation, said = d.sampler.relation(d.rng, d.language)
    d.slots["rel"] = said
    keep, words = d.sampler.extreme(d.rng, d.language)
    thing = d.note(Extreme(d.sampler.thing(d.rng, d.language, 0.1), keep, words)).steps(d.steps)
    other = d.note(Thing(d.sampler.noun(d.rng, d.language)), "2").steps(d.steps)
    kept = d.steps.add("RELATE", object=thing, relation=relation, reference=other)
    return d.steps.verdict(f"{{{d.steps.count(kept)}}} > 0")


def all_placed(d: Draft) -> Ref:
    relation, said = d.sampler.relation(d.rng, d.language)
    d.slots["rel"] = said
    found, other = d.thing("", 0.2), d.one("2", 0.1)
    kept = d.steps.add("RELATE", object=found, relation=relation, reference=other)
    return d.steps.verdict(f"{{{d.steps.count(kept)}}} == {{{d.steps.count(found)}}}")


def _in_both(d: Draft, colored: float) -> tuple[Ref, Ref]:
    """How many things of a kind, perhaps of a colour, the first and the second picture show."""
    thing = d.sampler.thing(d.rng, d.language, colored)
    d.note(thing)
    counts = []
    for image in (LEFT, RIGHT):
        found = d.steps.loc(thing.noun.english, image)
        if thing.color:
            found = d.steps.add("FILTER", object=found, where=f"color == '{thing.color}'", image=image)
        counts.append(d.steps.count(found))
    return counts[0], counts[1]


def two_gap(d: Draft) -> Ref:
    left, right = _in_both(d, 0.3)
    return d.steps.expression(f"{{{left}}} - {{{right}}}")


def two_only(d: Draft) -> Ref:
    left, right = _in_both(d, 0.3)
    return d.steps.verdict(f"{{{left}}} > 0 and {{{right}}} == 0")


def two_equal(d: Draft) -> Ref:
    left, right = _in_both(d, 0.3)
    return d.steps.verdict(f"{{{left}}} == {{{right}}}")


def two_color(d: Draft) -> Ref:
    left, right = _in_both(d, 1.0)
    return d.steps.expression(f"'left' if {{{left}}} > {{{right}}} else 'right'")


def two_color_both(d: Draft) -> Ref:
    left, right = _in_both(d, 1.0)
    return d.steps.verdict(f"{{{left}}} > 0 and {{{right}}} > 0")


def count_branch(d: Draft) -> Ref:
    """One edit where a count meets a bound, another where it does not."""
    sign, amount = say_bound(d), say_amount(d)
    holds = d.steps.verdict(f"{{{d.steps.count(d.many(deep=0.1))}}} {sign} {amount}")
    one, two = d.rng.sample([*sorted(_EDITS), "tag", "crop", "caption"], 2)
    d.slots["then"], then = _part(d, one)
    d.slots["else"], otherwise = _part(d, two)
    return d.steps.add("IF", condition=holds, then=then, otherwise=otherwise)


def _act(d: Draft, choose: Callable[[Draft], Ref]) -> Ref:
    """Blur, highlight or tag what `choose` finds; fills {act}."""
    op = d.rng.choice(list(_ACTS[d.language]))
    d.slots["act"] = d.rng.choice(_ACTS[d.language][op])
    chosen = choose(d)
    if op == "HIGHLIGHT":
        chosen = d.steps.masks(chosen)
    return d.steps.add(op, image=IMAGE, object=chosen)


def _extreme(d: Draft) -> Ref:
    keep, words = d.sampler.extreme(d.rng, d.language)
    return d.note(Extreme(d.sampler.thing(d.rng, d.language, 0.2), keep, words)).steps(d.steps)


def _not_colored(d: Draft) -> Ref:
    color, said = d.sampler.color(d.rng, d.language)
    d.slots["color"] = full_color(color) if d.language == "zh" else said
    found = d.steps.loc(d.simple())
    return d.steps.add("FILTER", object=found, where=f"color != '{color}'", image=IMAGE)


def edit_extreme(d: Draft) -> Ref:
    return _act(d, _extreme)


def edit_half(d: Draft) -> Ref:
    return _act(d, _half)


def edit_except(d: Draft) -> Ref:
    return _act(d, _not_colored)


COMPOSED: dict[str, tuple[Family, float]] = {
    **{f.__name__: (f, 0.7) for f in (count_half, crop_ask, edit_extreme, count_branch, total_three)},
    **{f.__name__: (f, 0.5) for f in (half_check, crop_count, crop_read, near_color, near_thing, list_side)},
    **{f.__name__: (f, 0.5) for f in (color_more, color_which, color_gap, amount_color, all_placed)},
    **{f.__name__: (f, 0.5) for f in (extreme_place, edit_half, edit_except)},
    **{f.__name__: (f, 0.4) for f in (two_gap, two_only, two_equal, two_color, two_color_both)},
}
