"""English after an edit: the article that a word takes, numbers in words, plurals, and verbs that agree."""

from __future__ import annotations

import re

from ..planner_data.lexicon import english_plural
from . import lexical
from .tokens import words

_VOWEL = re.compile(r"[aeiou]", re.IGNORECASE)
_AS_CONSONANT = re.compile(r"(?:uni(?![nm])|use|usu|eu|one\b|once|ut[ie]|u[sr]b?\b)", re.IGNORECASE)
_AS_VOWEL = re.compile(r"(?:hour|honest|honou?r|heir|8|11\b|18\b)", re.IGNORECASE)
NUMBERS = (
    "no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
)  # fmt: skip
_SINGULAR_VERBS = {
    "are": "is", "were": "was", "have": "has", "do": "does", "aren't": "isn't", "weren't": "wasn't",
    "don't": "doesn't", "haven't": "hasn't", "seem": "seems", "appear": "appears", "'re": "'s",
}  # fmt: skip
_PLURAL_VERBS = {one: many for many, one in _SINGULAR_VERBS.items()}


def article(following: str) -> str:
    """ "a" or "an" before these words."""
    word = following.lstrip("\"'“‘(").lower()
    if _AS_VOWEL.match(word):
        return "an"
    if not _VOWEL.match(word) or _AS_CONSONANT.match(word):
        return "a"
    return "an"


def number_word(number: int, like: str = "two") -> str:
    """A number, in digits where `like` is in digits, with a capital where it has one."""
    told = str(number) if like[:1].isdigit() or number >= len(NUMBERS) else NUMBERS[number]
    return told.capitalize() if like[:1].isupper() else told


def plural(noun: str) -> str:
    """The plural of a noun that may already be one."""
    last = noun.rpartition(" ")[2]
    if last.lower() in words()["plurals"] or lexical.lemma(last) != last.lower():
        return noun
    return english_plural(noun)


def singular(noun: str) -> str:
    """The singular of a noun; its spelling is kept where it is one already."""
    told = lexical.lemma(noun)
    return noun if told == noun.lower() else told


def agreeing(verb: str, many: bool) -> str:
    """A finite verb for one thing or for several: is/are, has/have, sits/sit. Forms that do not change stay."""
    low = verb.lower()
    table = _PLURAL_VERBS if many else _SINGULAR_VERBS
    if low in table:
        told = table[low]
    else:
        form = lexical.verb(low)
        if form is None or low in ("is", "was", "are", "were", "has", "had", "been", "be"):
            return verb
        if many and form[1] == "s":
            told = form[0]
        elif not many and form[1] == "base":
            told = third_person(low)
        else:
            return verb
    return told.capitalize() if verb[:1].isupper() else told


def third_person(verb: str) -> str:
    """stand -> stands, watch -> watches, carry -> carries."""
    if re.search(r"(?:s|x|z|ch|sh|o)$", verb):
        return verb + "es"
    if re.search(r"[^aeiou]y$", verb):
        return verb[:-1] + "ies"
    return verb + "s"


def capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def lowered(text: str) -> str:
    """The first letter small, unless the word is a name or an abbreviation."""
    first = text.split(" ", 1)[0]
    return text if len(first) > 1 and first[1:2].isupper() else text[:1].lower() + text[1:]
