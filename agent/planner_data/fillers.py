"""Words that requests carry beside their nouns: amounts, colours, bounds and printed words, said in either language."""

from __future__ import annotations

from functools import cache

from ...programs.printer import quote
from .draft import Draft
from .invented import invented_word
from .lexicon import words
from .phrasebook import surfaces

_NUMBER_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_CHINESE_DIGITS = "零一两三四五六七八九"


def say_amount(draft: Draft, low: int = 1, high: int = 9) -> int:
    value = draft.rng.randint(low, high)
    draft.slots["k"] = number_word(draft, value)
    return value


def number_word(draft: Draft, value: int) -> str:
    """A number below ten, in letters or in digits."""
    spoken = draft.rng.random() < 0.5
    table = _CHINESE_DIGITS if draft.language == "zh" else _NUMBER_WORDS
    return table[value] if spoken else str(value)


def say_color(draft: Draft) -> str:
    color, said = draft.sampler.color(draft.rng, draft.language)
    if draft.language == "zh" and not said.endswith("色"):
        said = full_color(color)
    draft.slots["color"] = said
    return color


@cache
def full_color(color: str) -> str:
    """The full Chinese name of a colour ("红色"), which can stand without a noun."""
    return str(words()["colors"][color][0])


def say_bound(draft: Draft) -> str:
    sign = draft.rng.choice(list(surfaces()["bounds"][draft.language]))
    draft.slots["cmp"] = draft.rng.choice(surfaces()["bounds"][draft.language][sign])
    return str(sign)


def say_word(draft: Draft) -> str:
    word = str(draft.rng.choice(words()["sign_words"]))
    if draft.sampler.nouns.invented and draft.rng.random() < 0.5:
        word = _invented_print(draft)
    quotes = (
        ("“{}”", "'{}'", '"{}"', "{}", "「{}」") if draft.language == "zh" else ("'{}'", '"{}"', "{}", "{}")
    )
    draft.slots["w"] = draft.rng.choice(quotes).format(word)
    return word


def _invented_print(draft: Draft) -> str:
    """A printed word or two that no list holds, in capitals or not, or a number."""
    rng = draft.rng
    if rng.random() < 0.15:
        return str(rng.randint(2, 9999))
    word = " ".join(invented_word(rng) for _ in range(rng.choices((1, 2), (0.75, 0.25))[0]))
    return rng.choice((word.upper(), word.title(), word))


def literal(value: str) -> str:
    """A text inside an expression: single quotes, or double ones around an apostrophe."""
    return quote(value)
