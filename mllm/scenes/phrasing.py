"""Question templates, read from data files, and the noun phrases that fill them, in English and Chinese."""

from __future__ import annotations

import json
import re
from functools import cache
from importlib import resources
from random import Random
from typing import Literal, NamedTuple

from ...errors import InputError
from . import vocabulary

Language = Literal["en", "zh"]
Split = Literal["train", "test", "all"]
Span = tuple[int, int, int]  # first character, end, index of the noun phrase

LANGUAGES: tuple[Language, ...] = ("en", "zh")
TEST_PHRASING = 1000  # phrasing numbers from here on are held out of training
_SLOT = re.compile(r"\{(\w+)\}")


class Query(NamedTuple):
    """A noun phrase that denotes a set of objects: "small red dogs" is Query("dog", None, "red", "small").

    `kind` and `category` are not given together; with neither the noun is "object".
    """

    kind: str | None = None
    category: str | None = None
    color: str | None = None
    size: str | None = None

    @property
    def noun(self) -> str:
        """The English head noun."""
        return self.kind or self.category or "object"


@cache
def forms(query: Query, language: str) -> dict[str, str]:
    """Surface forms of a noun phrase: `n` bare, `pl` plural, `a` indefinite, `the` definite, `m` measure word."""
    if language == "zh":
        parts = []
        if query.size:
            parts.append({"small": "小的", "medium": "中等的", "large": "大的"}[query.size])
        if query.color:
            parts.append(vocabulary.COLOR_ZH[query.color] + "的")
        head = query.kind or query.category
        bare = "".join(parts) + (vocabulary.chinese(head) if head else "物体")
        measure = vocabulary.kind(query.kind).measure if query.kind else "个"
        return {"n": bare, "pl": bare, "a": f"一{measure}{bare}", "the": bare, "m": measure}
    adjectives = [a for a in (query.size, query.color) if a]
    bare = " ".join([*adjectives, query.noun])
    plural = " ".join([*adjectives, vocabulary.plural(query.noun)])
    mass = query.noun in _MASS and not query.kind
    indefinite = f"{_article(adjectives[0] if adjectives else 'piece')} " if mass else ""
    if mass:
        bare = " ".join([*adjectives, f"piece of {query.noun}"])
        plural = " ".join([*adjectives, f"pieces of {query.noun}"])
        indefinite += bare
    else:
        indefinite = f"{_article(bare)} {bare}"
    return {"n": bare, "pl": plural, "a": indefinite, "the": f"the {bare}", "m": ""}


_MASS = frozenset({"furniture", "kitchenware"})  # categories that English counts by the piece


def _article(phrase: str) -> str:
    return vocabulary.article(phrase).split(" ", 1)[0]


def say(word: str, language: str) -> str:
    """An answer word (yes, a digit, a colour, a kind, a side) in the language asked for."""
    if language == "en":
        return word
    fixed = _ANSWERS_ZH.get(word)
    if fixed is not None:
        return fixed
    if word.isdigit():
        return word
    return vocabulary.chinese(word)


_ANSWERS_ZH = {
    "yes": "是", "no": "否", "none": "无", "true": "对", "false": "错", "left": "左边", "right": "右边",
    "above": "上方", "below": "下方", "first": "第一张", "second": "第二张", "same": "一样", "object": "物体",
    "left of": "左边", "right of": "右边", "and": "和",
}  # fmt: skip


class Template:
    """One question with slots, cut once into literals and slots."""

    __slots__ = ("literals", "number", "slots")

    def __init__(self, text: str, number: int) -> None:
        pieces = _SLOT.split(text)
        self.literals: tuple[str, ...] = tuple(pieces[0::2])
        self.slots: tuple[str, ...] = tuple(pieces[1::2])
        self.number = number

    def fill(self, phrases: list[dict[str, str]], words: dict[str, str]) -> tuple[str, list[Span]]:
        """The finished text, and where in it each noun phrase stands."""
        out = [self.literals[0]]
        at = len(self.literals[0])
        spans: list[Span] = []
        for slot, literal in zip(self.slots, self.literals[1:], strict=True):
            name = slot.lower()
            index = int(name[-1]) - 1 if name[-1].isdigit() else 0
            form = name.rstrip("123456789")
            if form in _NOUN_SLOTS:
                text = phrases[index][form]
                if form != "m":
                    spans.append((at, at + len(text), index))
            else:
                try:
                    text = words[name]
                except KeyError:
                    raise InputError(
                        f"template {''.join(self.literals)!r}: no value for slot {{{slot}}}"
                    ) from None
                if name == NUMBERED:
                    spans.append((at, at + len(text), 0))
            if slot[0].isupper() or (at == 0 and text):
                text = text[0].upper() + text[1:]
            out.append(text)
            out.append(literal)
            at += len(text) + len(literal)
        return "".join(out), spans


NUMBERED = "plnum"  # the first noun phrase, singular or plural as its number asks
_NOUN_SLOTS = frozenset({"n", "pl", "a", "the", "m"})


@cache
def _tables(language: str) -> dict[str, dict[str, tuple[Template, ...]]]:
    if language not in LANGUAGES:
        raise InputError(f"no question templates in language {language!r}; there are {', '.join(LANGUAGES)}")
    found: dict[str, dict[str, tuple[Template, ...]]] = {}
    folder = resources.files(__package__) / "templates"
    for path in sorted(folder.iterdir(), key=lambda p: p.name):
        if not (path.name.startswith(f"{language}_") and path.name.endswith(".json")):
            continue
        for form, splits in json.loads(path.read_text(encoding="utf-8")).items():
            if form == "_where" and form in found:
                continue
            train = tuple(Template(t, i) for i, t in enumerate(splits["train"]))
            test = tuple(Template(t, TEST_PHRASING + i) for i, t in enumerate(splits["test"]))
            found[form] = {"train": train, "test": test, "all": train + test}
    return found


def templates(form: str, language: str, split: str = "train") -> tuple[Template, ...]:
    """The templates of one form, e.g. `templates("count", "en", "test")`; InputError names what there is."""
    try:
        return _tables(language)[form][split]
    except KeyError:
        known = ", ".join(sorted(_tables(language)))
        raise InputError(f"no templates {form!r} for split {split!r}; the forms are {known}") from None


def phrase(
    form: str,
    language: str,
    split: str,
    rng: Random,
    queries: tuple[Query, ...] = (),
    words: dict[str, str] | None = None,
) -> tuple[str, int, list[Span]]:
    """Choose a template of `form` and fill it: the text, the phrasing number, and the spans of the noun phrases."""
    choices = templates(form, language, split)
    template = choices[int(rng.random() * len(choices))]
    values = dict(words) if words else {}
    if "where" in template.slots or "Where" in template.slots:
        where = templates("_where", language, split)
        values["where"] = where[int(rng.random() * len(where))].literals[0]
    text, spans = template.fill([forms(q, language) for q in queries], values)
    return text, template.number, spans


def framed(frame: str, claim: str, language: str, split: str, rng: Random) -> tuple[str, int]:
    """A claim inside a template of `frame`, and at which character it begins."""
    choices = templates(frame, language, split)
    template = choices[int(rng.random() * len(choices))]
    return template.fill([], {"claim": claim})[0], len(template.literals[0])
