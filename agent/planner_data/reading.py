"""What requests about text, whole pictures, choices and general knowledge ask for, as steps."""

from __future__ import annotations

from .builder import IMAGE, LEFT, RIGHT, Ref
from .draft import QUESTION, Draft
from .fillers import literal, say_word
from .lexicon import article, words
from .phrasebook import surfaces


def read_all(d: Draft) -> Ref:
    return d.steps.add("READ", image=IMAGE)


def read_on(d: Draft) -> Ref:
    return d.steps.add("READ", image=IMAGE, object=d.named("", words()["text_things"]))


def text_check(d: Draft) -> Ref:
    word = say_word(d)
    read = d.steps.add("READ", image=IMAGE)
    return d.steps.verdict(f"lower({literal(word)}) in lower({{{read}}})")


def text_on_check(d: Draft) -> Ref:
    word = say_word(d)
    read = d.steps.add("READ", image=IMAGE, object=d.named("", words()["text_things"]))
    return d.steps.verdict(f"lower({literal(word)}) in lower(join({{{read}}}))")


def find_text(d: Draft) -> Ref:
    return d.steps.add("OCR", image=IMAGE)


def text_lines(d: Draft) -> Ref:
    return d.steps.count(d.steps.add("OCR", image=IMAGE))


def _numbers(d: Draft) -> Ref:
    texts = d.steps.add("TEXTS", object=d.steps.add("OCR", image=IMAGE))
    return d.steps.add("NUMBERS", text=texts)


def sum_numbers(d: Draft) -> Ref:
    return d.steps.expression(f"sum({{{_numbers(d)}}})")


def largest_number(d: Draft) -> Ref:
    return d.steps.expression(f"max({{{_numbers(d)}}})")


def measure(d: Draft) -> Ref:
    table = surfaces()["measures"][d.language]
    what = d.rng.choice(list(table))
    d.slots["dim"] = d.rng.choice(table[what])
    return d.steps.add("MEASURE", object=d.one(deep=0.15), what=what)


def vqa_thing(d: Draft) -> Ref:
    d.note(d.sampler.one(d.rng, d.language, 0.15))
    d.note(d.sampler.thing(d.rng, d.language), "2")
    d.slots["verb"] = d.rng.choice(words()["verbs" if d.language == "en" else "verbs_zh"])
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


_WAYS = [
    "holding",
    "wearing",
    "carrying",
    "pushing",
    "eating",
    "facing",
    "touching",
    "looking at",
    "made from",
    "in front of",
]


def select(d: Draft) -> Ref:
    table = surfaces()["descriptions"][d.language]
    said = d.rng.choice(list(table))
    meant = table[said] if isinstance(table, dict) else said
    d.slots["desc"] = said
    if d.language == "en" and d.sampler.nouns.invented and d.rng.random() < 0.5:
        said = meant = f"{d.rng.choice(_WAYS)} {article(d.sampler.noun(d.rng, 'en').english)}"
        d.slots["desc"] = said
    noun = d.simple()
    return d.steps.add("SELECT", image=IMAGE, object=d.steps.loc(noun), query=f"{noun} {meant}")


def pair_of_kinds(d: Draft) -> list[str]:
    """Two kinds that a thing may be, as the program says them; fills {c1} and {c2}."""
    pair = list(d.rng.choice(surfaces()["choices"][d.language]))
    if d.language == "en" and d.rng.random() < 0.5:
        first, second = d.sampler.noun(d.rng, "en").english, d.sampler.noun(d.rng, "en").english
        pair = [article(first), article(second), first, second]
        d.nouns += [first, second]
    d.slots["c1"], d.slots["c2"] = pair[0], pair[1]
    return pair[-2:]


def classify(d: Draft) -> Ref:
    kinds = pair_of_kinds(d)
    named = d.steps.add("CLASSIFY", image=IMAGE, object=d.one(deep=0.1), categories=kinds)
    return d.steps.add("LABELS", object=named)


def tag_kind(d: Draft) -> Ref:
    kinds = pair_of_kinds(d)
    named = d.steps.add("CLASSIFY", image=IMAGE, object=d.thing(), categories=kinds)
    return d.steps.add("TAG", image=IMAGE, object=named)


def two_more(d: Draft) -> Ref:
    noun = d.simple()
    left, right = d.steps.count(d.steps.loc(noun, LEFT)), d.steps.count(d.steps.loc(noun, RIGHT))
    return d.steps.expression(f"'left' if {{{left}}} > {{{right}}} else 'right'")


def two_total(d: Draft) -> Ref:
    noun = d.simple()
    left, right = d.steps.count(d.steps.loc(noun, LEFT)), d.steps.count(d.steps.loc(noun, RIGHT))
    return d.steps.expression(f"{{{left}}} + {{{right}}}")


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
