"""What each kind of request asks for, as steps: finding, counting, comparing, places, attributes, text and questions."""

from __future__ import annotations

from functools import cache

from .builder import IMAGE, LEFT, RIGHT, Ref
from .draft import QUESTION, Draft, Family
from .lexicon import words
from .phrasebook import surfaces
from .referents import Extreme, Related, Thing

_NUMBER_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_CHINESE_DIGITS = "零一两三四五六七八九"


def _amount(draft: Draft, low: int = 1, high: int = 9) -> int:
    value = draft.rng.randint(low, high)
    spoken = draft.rng.random() < 0.5
    table = _CHINESE_DIGITS if draft.language == "zh" else _NUMBER_WORDS
    draft.slots["k"] = table[value] if spoken else str(value)
    return value


def _color(draft: Draft) -> str:
    color, said = draft.sampler.color(draft.rng, draft.language)
    if draft.language == "zh" and not said.endswith("色"):
        said = surfaces_color(color)
    draft.slots["color"] = said
    return color


@cache
def surfaces_color(color: str) -> str:
    """The full Chinese name of a colour ("红色"), which can stand without a noun."""
    return str(words()["colors"][color][0])


def _bound(draft: Draft) -> str:
    sign = draft.rng.choice(list(surfaces()["bounds"][draft.language]))
    draft.slots["cmp"] = draft.rng.choice(surfaces()["bounds"][draft.language][sign])
    return str(sign)


def _word(draft: Draft) -> str:
    word = str(draft.rng.choice(words()["sign_words"]))
    quotes = ("“{}”", "'{}'", '"{}"', "{}", "「{}」") if draft.language == "zh" else ("'{}'", '"{}"', "{}", "{}")
    draft.slots["w"] = draft.rng.choice(quotes).format(word)
    return word


def existence(d: Draft) -> Ref:
    return d.steps.verdict(f"{{{d.steps.count(d.many())}}} > 0")


def absence(d: Draft) -> Ref:
    return d.steps.verdict(f"{{{d.steps.count(d.many(deep=0.1))}}} == 0")


def count(d: Draft) -> Ref:
    return d.steps.count(d.many(deep=0.3))


def count_colors(d: Draft) -> Ref:
    found = d.thing(colored=0.0)
    kept = d.steps.add("FILTER", object=found, where=f"color == '{_color(d)}'", image=IMAGE)
    return d.steps.count(kept)


def count_check(d: Draft) -> Ref:
    sign = _bound(d)
    return d.steps.verdict(f"{{{d.steps.count(d.many(deep=0.2))}}} {sign} {_amount(d)}")


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
    return d.steps.eval(f"{_text(one)} if {{{first}}} > {{{second}}} else {_text(two)}")


def total(d: Draft) -> Ref:
    first, second = _two_counts(d)
    return d.steps.eval(f"{{{first}}} + {{{second}}}")


def difference(d: Draft) -> Ref:
    first, second = _two_counts(d)
    return d.steps.eval(f"{{{first}}} - {{{second}}}")


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


def size_compare(d: Draft) -> Ref:
    first, second = _measured(d, "MEASURE", what="area")
    return d.steps.verdict(f"max({{{first}}}) > max({{{second}}})")


def _names(d: Draft) -> tuple[str, str]:
    one, two = d.simple(), d.simple("2")
    return one, two


def size_which(d: Draft) -> Ref:
    one, two = _names(d)
    first, second = d.steps.loc(one), d.steps.loc(two)
    first = d.steps.add("MEASURE", object=first, what="area")
    second = d.steps.add("MEASURE", object=second, what="area")
    return d.steps.eval(f"{_text(one)} if max({{{first}}}) > max({{{second}}}) else {_text(two)}")


def depth_which(d: Draft) -> Ref:
    one, two = _names(d)
    first, second = d.steps.loc(one), d.steps.loc(two)
    first = d.steps.add("DEPTH", image=IMAGE, object=first)
    second = d.steps.add("DEPTH", image=IMAGE, object=second)
    return d.steps.eval(f"{_text(one)} if min({{{first}}}) < min({{{second}}}) else {_text(two)}")


def depth_check(d: Draft) -> Ref:
    first, second = d.one("", 0.1), d.one("2", 0.1)
    first = d.steps.add("DEPTH", image=IMAGE, object=first)
    second = d.steps.add("DEPTH", image=IMAGE, object=second)
    return d.steps.verdict(f"min({{{first}}}) < min({{{second}}})")


def color_of(d: Draft) -> Ref:
    return d.steps.add("COLOR", image=IMAGE, object=_colorless(d))


def _colorless(d: Draft, suffix: str = "", deep: float = 0.35) -> Ref:
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
    return d.steps.add("COLORS", image=IMAGE, object=_colorless(d))


def color_check(d: Draft) -> Ref:
    color = _color(d)
    answer = d.steps.add("COLOR", image=IMAGE, object=_colorless(d))
    return d.steps.verdict(f"'{color}' in {{{answer}}}")


def same_color(d: Draft) -> Ref:
    first, second = _colorless(d, "", 0.1), _colorless(d, "2", 0.1)
    first = d.steps.add("COLOR", image=IMAGE, object=first)
    second = d.steps.add("COLOR", image=IMAGE, object=second)
    return d.steps.verdict(f"{{{first}}} == {{{second}}}")


def all_color(d: Draft) -> Ref:
    color = _color(d)
    found = d.thing(colored=0.0)
    kept = d.steps.add("FILTER", object=found, where=f"color == '{color}'", image=IMAGE)
    return d.steps.verdict(f"{{{d.steps.count(kept)}}} == {{{d.steps.count(found)}}}")


def read_all(d: Draft) -> Ref:
    return d.steps.add("READ", image=IMAGE)


def read_on(d: Draft) -> Ref:
    return d.steps.add("READ", image=IMAGE, object=d.named("", words()["text_things"]))


def text_check(d: Draft) -> Ref:
    word = _word(d)
    read = d.steps.add("READ", image=IMAGE)
    return d.steps.verdict(f"lower({_text(word)}) in lower({{{read}}})")


def text_on_check(d: Draft) -> Ref:
    word = _word(d)
    read = d.steps.add("READ", image=IMAGE, object=d.named("", words()["text_things"]))
    return d.steps.verdict(f"lower({_text(word)}) in lower(join({{{read}}}))")


def find_text(d: Draft) -> Ref:
    return d.steps.add("OCR", image=IMAGE)


def text_lines(d: Draft) -> Ref:
    return d.steps.count(d.steps.add("OCR", image=IMAGE))


def _numbers(d: Draft) -> Ref:
    texts = d.steps.add("TEXTS", object=d.steps.add("OCR", image=IMAGE))
    return d.steps.add("NUMBERS", text=texts)


def sum_numbers(d: Draft) -> Ref:
    return d.steps.eval(f"sum({{{_numbers(d)}}})")


def largest_number(d: Draft) -> Ref:
    return d.steps.eval(f"max({{{_numbers(d)}}})")


def measure(d: Draft) -> Ref:
    table = surfaces()["measures"][d.language]
    what = d.rng.choice(list(table))
    d.slots["dim"] = d.rng.choice(table[what])
    return d.steps.add("MEASURE", object=d.one(deep=0.15), what=what)


def vqa_thing(d: Draft) -> Ref:
    d.note(d.sampler.one(d.rng, d.language, 0.15))
    return d.steps.add("VQA", image=IMAGE, question=QUESTION)


def vqa_scene(d: Draft) -> Ref:
    d.slots["topic"] = d.rng.choice(words()["topics" if d.language == "en" else "topics_zh"])
    return d.steps.add("VQA", image=IMAGE, question=QUESTION)


def ask(d: Draft) -> Ref:
    d.slots["question"] = QUESTION  # drawn and rendered by the stream, from the patterns of `questions`
    return d.steps.add("ASK", question=QUESTION)


def caption(d: Draft) -> Ref:
    return d.steps.add("CAPTION", image=IMAGE)


def caption_thing(d: Draft) -> Ref:
    return d.steps.add("CAPTION", image=d.steps.add("CROP", image=IMAGE, box=d.one(deep=0.2)))


def caption_each(d: Draft) -> Ref:
    return d.steps.add("CAPTION", image=d.steps.add("CROPS", image=IMAGE, box=d.many(deep=0.1)))


def inventory(d: Draft) -> Ref:
    names = d.steps.add("LABELS", object=d.steps.add("SEG", image=IMAGE))
    return d.steps.add("JOIN", text=names)


def count_all(d: Draft) -> Ref:
    return d.steps.count(d.steps.add("SEG", image=IMAGE))


def faces(d: Draft) -> Ref:
    return d.steps.count(d.steps.add("FACEDET", image=IMAGE))


def find_faces(d: Draft) -> Ref:
    return d.steps.add("FACEDET", image=IMAGE)


def select(d: Draft) -> Ref:
    table = surfaces()["descriptions"][d.language]
    said = d.rng.choice(list(table))
    meant = table[said] if isinstance(table, dict) else said
    d.slots["desc"] = said
    noun = d.simple()
    return d.steps.add("SELECT", image=IMAGE, object=d.steps.loc(noun), query=f"{noun} {meant}")


def classify(d: Draft) -> Ref:
    pair = d.rng.choice(surfaces()["choices"][d.language])
    if d.rng.random() < 0.5 and d.language == "en":
        first, second = d.sampler.noun(d.rng, "en").english, d.sampler.noun(d.rng, "en").english
        from .lexicon import article

        pair = [article(first), article(second), first, second]
        d.nouns += [first, second]
    d.slots["c1"], d.slots["c2"] = pair[0], pair[1]
    found = d.one(deep=0.1)
    named = d.steps.add("CLASSIFY", image=IMAGE, object=found, categories=list(pair[-2:]))
    return d.steps.add("LABELS", object=named)


def two_more(d: Draft) -> Ref:
    noun = d.simple()
    left, right = d.steps.count(d.steps.loc(noun, LEFT)), d.steps.count(d.steps.loc(noun, RIGHT))
    return d.steps.eval(f"'left' if {{{left}}} > {{{right}}} else 'right'")


def two_total(d: Draft) -> Ref:
    noun = d.simple()
    left, right = d.steps.count(d.steps.loc(noun, LEFT)), d.steps.count(d.steps.loc(noun, RIGHT))
    return d.steps.eval(f"{{{left}}} + {{{right}}}")


def two_both(d: Draft) -> Ref:
    noun = d.simple()
    left, right = d.steps.count(d.steps.loc(noun, LEFT)), d.steps.count(d.steps.loc(noun, RIGHT))
    return d.steps.verdict(f"{{{left}}} > 0 and {{{right}}} > 0")


def two_either(d: Draft) -> Ref:
    noun = d.simple()
    left, right = d.steps.count(d.steps.loc(noun, LEFT)), d.steps.count(d.steps.loc(noun, RIGHT))
    return d.steps.verdict(f"{{{left}}} > 0 or {{{right}}} > 0")


def two_same(d: Draft) -> Ref:
    return d.steps.add("SIMILAR", image=LEFT, other=RIGHT)


def _text(value: str) -> str:
    """A text inside an expression: single quotes, or double ones around an apostrophe."""
    from ...programs.printer import quote

    return quote(value)


# family -> (function, weight). A weight is how often it is drawn, relative to the others.
LOOKING: dict[str, tuple[Family, float]] = {
    **{f.__name__: (f, 1.5) for f in (existence, count, locate, color_of, relation_check)},
    **{f.__name__: (f, 1.0) for f in (count_check, count_colors, compare_more, which_more, nearest, extreme)},
    **{f.__name__: (f, 1.0) for f in (read_all, read_on, text_check, text_on_check, vqa_thing, vqa_scene, ask, caption)},
    **{f.__name__: (f, 1.0) for f in (side_what, color_check, caption_thing, both)},
    **{f.__name__: (f, 0.7) for f in (absence, compare_fewer, compare_same, total, difference, either, without)},
    **{f.__name__: (f, 0.7) for f in (neither, size_compare, size_which, depth_which, depth_check, same_color)},
    **{f.__name__: (f, 0.7) for f in (all_color, inventory, count_all, faces, find_faces, select, classify, crop_side)},
    **{f.__name__: (f, 0.6) for f in (two_more, two_total, two_both, two_either, two_same)},
    **{f.__name__: (f, 0.5) for f in (find_text, text_lines, sum_numbers, largest_number, measure, colors_of)},
    **{f.__name__: (f, 0.5) for f in (caption_each,)},
}
