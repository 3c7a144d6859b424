"""Follow-up questions made to stand alone, for models that were never shown a conversation.

"How many dogs are there?" then "and how many red ones?" is "how many red dogs are there?". The rule knows the things that
the last question was about (what its program looked for) and three forms: "ones", "they" and "it"; "what about the cats?";
and a question that begins with "and". Whatever else a question leaves open stays open.
"""

from __future__ import annotations

import re

from .language import language_of, noun_in_chinese
from .planner_data.lexicon import english_plural
from .sessions import Turn

_AND = re.compile(r"^(?:and|so|then|ok(?:ay)?|now|also)[, ]+", re.IGNORECASE)
_ABOUT = re.compile(r"^(?:(?:and|so)[, ]+)?(?:what|how) about (?P<what>[^?]+)\??$|^and (?P<bare>(?:the |a |an )?[^?]{1,40})\?*$", re.IGNORECASE)  # fmt: skip
_ABOUT_ZH = re.compile(r"^(?:那么?|还有)?(?P<what>[^？?，,呢]{1,12})呢[？?]*$")
_VERB = re.compile(
    r"\b(?:is|are|was|were|do|does|did|how|what|which|where|who|can|could|has|have)\b", re.IGNORECASE
)
_ONES = re.compile(r"\b(?P<one>ones|one)\b(?! of\b)", re.IGNORECASE)
_THEY = re.compile(r"\b(?:they|them|those|these)\b", re.IGNORECASE)
_IT = re.compile(r"\bit\b", re.IGNORECASE)
_COUNTED = re.compile(r"\bhow many (?=(?:are|were) (?:there|in)\b)", re.IGNORECASE)
_ARTICLE = re.compile(r"^(?:the|a|an|any|some)\s+", re.IGNORECASE)


def standalone(question: str, last: Turn | None) -> str:
    """The question with what it leaves to the last turn filled in; '' where it leaves nothing open or nothing helps."""
    if last is None or not last.things:
        return ""
    text = question.strip()
    thing = last.things[-1] if len(last.things) == 1 else last.things[0]
    if language_of(text) == "zh":
        return _chinese(text, last, thing)
    about = _ABOUT.match(text)
    if about is not None:
        what = _ARTICLE.sub("", (about["what"] or about["bare"] or "").strip())
        if what and not _VERB.search(what):
            return _swapped(last, thing, _ones(what, thing))
    several = english_plural(thing)
    counted = _COUNTED.sub(lambda _: f"how many {several} ", _ones(text, thing))
    filled = _IT.sub(lambda _: f"the {thing}", _THEY.sub(lambda _: f"the {several}", counted), count=1)
    filled = _AND.sub("", filled)
    if filled == text:
        return ""
    if re.match(r"^how many [^?]+$", filled.rstrip("?"), re.IGNORECASE) and not re.search(
        r"\b(?:are|is|do|can|have)\b", filled
    ):
        filled = f"{filled.rstrip('? ')} are there?"
    return filled


def _ones(text: str, thing: str) -> str:
    return _ONES.sub(lambda m: english_plural(thing) if m["one"].lower() == "ones" else thing, text)


def _swapped(last: Turn, thing: str, what: str) -> str:
    """The last question, asked about something else."""
    asked = last.alone or last.question
    plural = english_plural(thing)
    if re.search(rf"\b(?:{re.escape(_singular(what))}|{re.escape(_plural(what))})\b", asked, re.IGNORECASE):
        return ""  # it was spoken of already, so that it is not clear what takes its place
    for old, new in ((plural, _plural(what)), (thing, _singular(what))):
        if re.search(rf"\b{re.escape(old)}\b", asked, re.IGNORECASE):
            swapped = _replaced(old, new, asked)
            return re.sub(
                r"\b[Aa]n?\b(?= " + re.escape(new) + r"\b)", "an" if new[0] in "aeiou" else "a", swapped
            )
    return ""


def _replaced(old: str, new: str, text: str) -> str:
    """The text with the first `old` replaced, by a function: a backslash that somebody typed refers to no group."""
    return re.sub(rf"\b{re.escape(old)}\b", lambda _: new, text, count=1, flags=re.IGNORECASE)


def _plural(name: str) -> str:
    return name if english_plural(_singular(name)) == name else english_plural(name)


def _singular(name: str) -> str:
    """The singular of a plural that the lexicon's rule makes; a name that is no such plural is returned as it is."""
    for ending, back in (("ies", "y"), ("ves", "f"), ("ves", "fe"), ("es", ""), ("s", "")):
        if name.endswith(ending) and english_plural(name[: -len(ending)] + back) == name:
            return name[: -len(ending)] + back
    return name


def _chinese(text: str, last: Turn, thing: str) -> str:
    name = noun_in_chinese(thing) or thing
    about = _ABOUT_ZH.match(text)
    asked = last.alone or last.question
    if about is not None and name in asked:
        what = about["what"].strip()
        return asked.replace(name, f"{what}{name}" if what.endswith("的") else what, 1)
    filled = re.sub(r"它们?", lambda _: name, text, count=1)
    return filled if filled != text else ""
