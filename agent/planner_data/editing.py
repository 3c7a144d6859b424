"""What requests that change or mark pictures, point at places, judge statements or branch ask for, as steps."""

from __future__ import annotations

from collections.abc import Callable

from .builder import IMAGE, Ref
from .draft import Draft, Family
from .families import colorless, relation_check
from .fillers import literal, say_amount, say_bound, say_color, say_word
from .lexicon import article, words
from .patterns import render
from .phrasebook import phrasebook, surfaces
from .reading import text_on_check


def crop(d: Draft) -> Ref:
    return d.steps.add("CROP", image=IMAGE, box=d.one(deep=0.25))


def crop_each(d: Draft) -> Ref:
    return d.steps.add("CROPS", image=IMAGE, box=d.many(deep=0.15))


def tag(d: Draft) -> Ref:
    return d.steps.add("TAG", image=IMAGE, object=d.many(deep=0.2))


def tag_known(d: Draft) -> Ref:
    names = str(d.rng.choice(words()["known_people"][d.language]))
    d.slots["list"] = names
    found = d.steps.add("FACEDET", image=IMAGE)
    known = d.steps.add("LIST", query=names, max=20)
    named = d.steps.add("CLASSIFY", image=IMAGE, object=found, categories=known)
    return d.steps.add("TAG", image=IMAGE, object=named)


def tag_color(d: Draft) -> Ref:
    found = d.thing(colored=0.0)
    color = d.steps.add("COLOR", image=IMAGE, object=found)
    named = d.steps.add("LABEL", object=found, label=color)
    return d.steps.add("TAG", image=IMAGE, object=named)


def tag_text(d: Draft) -> Ref:
    found = d.named("", words()["text_things"])
    read = d.steps.add("READ", image=IMAGE, object=found)
    named = d.steps.add("LABEL", object=found, label=read)
    return d.steps.add("TAG", image=IMAGE, object=named)


def redact(d: Draft, image: Ref = IMAGE) -> Ref:
    what = d.rng.choice(("faces", "text", "plates", "things", "things"))
    if what == "things":
        regions = d.many(deep=0.2)
        d.slots["red"] = d.slots["n"] if d.language == "zh" else d.rng.choice(
            (d.slots["the"], f"the {d.slots['pl']}", f"all {d.slots['pl']}", f"every {d.slots['n']}")
        )  # fmt: skip
    else:
        d.slots["red"] = d.rng.choice(surfaces()["redactions"][what][d.language])
        if what == "faces":
            regions = d.steps.add("FACEDET", image=IMAGE)
        elif what == "text":
            regions = d.steps.add("OCR", image=IMAGE)
        else:
            regions = d.steps.loc("license plate")
    return d.steps.add("BLUR", image=image, object=regions)


def _outlined(op: str) -> Callable[..., Ref]:
    def edit(d: Draft, image: Ref = IMAGE) -> Ref:
        return d.steps.add(op, image=image, object=d.steps.masks(d.one(deep=0.2)))

    return edit


color_pop = _outlined("COLORPOP")
blur_background = _outlined("BGBLUR")


def highlight(d: Draft, image: Ref = IMAGE) -> Ref:
    return d.steps.add("HIGHLIGHT", image=image, object=d.steps.masks(d.many(deep=0.2)))


def highlight_word(d: Draft) -> Ref:
    word = say_word(d)
    lines = d.steps.add(
        "FILTER", object=d.steps.add("OCR", image=IMAGE), where=f"text contains {literal(word)}"
    )
    return d.steps.add("HIGHLIGHT", image=IMAGE, object=lines)


def emoji(d: Draft, image: Ref = IMAGE) -> Ref:
    table = words()["emojis"][d.language]
    name = d.rng.choice(list(table))
    said = d.rng.choice(table[name])
    d.slots["emo"] = said
    d.slots["aemo"] = f"{'an' if said[0] in 'aeiou' else 'a'} {said}"
    found = d.steps.add("FACEDET", image=IMAGE)
    if d.rng.random() < 0.5:
        owner = d.thing(colored=0.1)
        found = d.steps.add("RELATE", object=found, relation="inside", reference=owner)
        forms = ("{n}的脸",) if d.language == "zh" else ("the face of {the}", "{the}'s face")
        d.slots["thef"] = d.rng.choice(forms).format(**d.slots)
    else:
        d.slots["thef"] = d.rng.choice(surfaces()["redactions"]["faces"][d.language])
    return d.steps.add("EMOJI", image=image, object=found, emoji=name)


def replace(d: Draft, image: Ref = IMAGE) -> Ref:
    regions = d.steps.masks(d.one(deep=0.15))
    new = d.sampler.thing(d.rng, d.language, 0.3)
    d.nouns.extend(new.nouns())
    if d.language == "zh":
        d.slots["new"] = new.phrase("zh")
    else:
        d.slots["new"] = article(new.phrase("en"))
    prompt = f"{new.color} {new.noun.english}" if new.color else new.noun.english
    return d.steps.add("REPLACE", image=image, object=regions, prompt=prompt)


def _place(d: Draft, boxes: float = 0.35) -> Ref:
    """A place given by numbers, segmented; fills {at}."""
    x, y = d.rng.randint(0, 900), d.rng.randint(0, 700)
    if d.rng.random() < boxes:
        x2, y2 = x + d.rng.randint(10, 300), y + d.rng.randint(10, 300)
        d.slots["at"] = d.rng.choice(surfaces()["boxes"][d.language]).format(x=x, y=y, x2=x2, y2=y2)
        return d.steps.add("SEGMENT", image=IMAGE, box=[x, y, x2, y2])
    d.slots["at"] = d.rng.choice(surfaces()["points"][d.language]).format(x=x, y=y)
    return d.steps.add("SEGMENT", image=IMAGE, point=[x, y])


def region_what(d: Draft) -> Ref:
    picture = d.steps.add("CROP", image=IMAGE, box=_place(d))
    return d.steps.add("VQA", image=picture, question="What is this?")


def region_color(d: Draft) -> Ref:
    return d.steps.add("COLOR", image=IMAGE, object=_place(d))


def region_segment(d: Draft) -> Ref:
    return _place(d)


def region_read(d: Draft) -> Ref:
    return d.steps.add("READ", image=IMAGE, object=_place(d, 0.6))


def region_edit(d: Draft) -> Ref:
    return d.steps.add("BLUR", image=IMAGE, object=_place(d))


_EDITS: dict[str, Callable[..., Ref]] = {
    "redact": redact, "color_pop": color_pop, "blur_background": blur_background, "highlight": highlight,
    "emoji": emoji, "replace": replace,
}  # fmt: skip


def _part(d: Draft, family: str, **more: object) -> tuple[str, Ref]:
    """A command inside a larger one: its wording and the step that carries it out."""
    edits: dict[str, Callable[..., Ref]] = {**_EDITS, "caption": _caption, "tag": tag, "crop": crop}
    inner = Draft(d.rng, d.language, d.sampler, d.held_out)
    inner.steps = d.steps
    result = edits[family](inner, **more)
    d.nouns.extend(inner.nouns)
    book = phrasebook()
    patterns = [p for p in book.get(family, d.language) if p.kind == "command"]
    said = render(d.rng.choice(patterns).nodes, inner.slots, book.macros, d.rng)
    return said, result


def _caption(d: Draft) -> Ref:
    return d.steps.add("CAPTION", image=IMAGE)


def two_edits(d: Draft) -> Ref:
    one, two = d.rng.sample(sorted(_EDITS), 2)
    d.slots["first"], image = _part(d, one)
    d.slots["second"], image = _part(d, two, image=image)
    return image


def conditional(d: Draft) -> Ref:
    found = d.many(deep=0.1)
    choices = [*sorted(_EDITS), "tag", "crop", "caption"]
    one, two = d.rng.sample(choices, 2)
    d.slots["then"], then = _part(d, one)
    d.slots["else"], otherwise = _part(d, two)
    return d.steps.add("IF", condition=found, then=then, otherwise=otherwise)


def statement(d: Draft) -> Ref:
    """A claim about the picture; the program says 'yes' where it holds."""
    kind = d.rng.choice(("exists", "absent", "count", "color", "relation", "more", "text"))
    verdict = _STATEMENTS[kind](d)
    book = phrasebook()
    pattern = d.rng.choice(book.get(f"stmt_{kind}", d.language))
    d.slots["statement"] = render(pattern.nodes, d.slots, book.macros, d.rng).strip()
    return verdict


def _claim_count(d: Draft) -> Ref:
    sign = say_bound(d)
    return d.steps.verdict(f"{{{d.steps.count(d.many(deep=0.1))}}} {sign} {say_amount(d)}")


def _claim_more(d: Draft) -> Ref:
    first, second = d.many("", 0.1), d.many("2", 0.1)
    return d.steps.verdict(f"{{{d.steps.count(first)}}} > {{{d.steps.count(second)}}}")


def _claim_color(d: Draft) -> Ref:
    color = say_color(d)
    answer = d.steps.add("COLOR", image=IMAGE, object=colorless(d, deep=0.15))
    return d.steps.verdict(f"'{color}' in {{{answer}}}")


_STATEMENTS: dict[str, Callable[[Draft], Ref]] = {
    "exists": lambda d: d.steps.verdict(f"{{{d.steps.count(d.many(deep=0.15))}}} > 0"),
    "absent": lambda d: d.steps.verdict(f"{{{d.steps.count(d.many(deep=0.1))}}} == 0"),
    "count": _claim_count,
    "color": _claim_color,
    "relation": relation_check,
    "more": _claim_more,
    "text": text_on_check,
}

CHANGING: dict[str, tuple[Family, float]] = {
    **{f.__name__: (f, 1.0) for f in (crop, tag, redact, highlight, emoji, replace, region_what, statement)},
    **{n: (f, 1.0) for n, f in (("color_pop", color_pop), ("blur_background", blur_background))},
    **{
        f.__name__: (f, 0.7)
        for f in (crop_each, tag_known, region_color, region_segment, region_read, region_edit)
    },
    **{f.__name__: (f, 0.5) for f in (tag_color, tag_text, highlight_word)},
    **{f.__name__: (f, 1.0) for f in (two_edits, conditional)},
}
