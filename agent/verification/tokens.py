"""Tokens, chunks and sentences of a text, and the closed classes of words that they are told by."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

import yaml

_TOKEN = re.compile(r"\"[^\"\n]*\"|“[^”\n]*”|[A-Za-z]+(?:[-'’][A-Za-z]+)*|\d+(?:[.,:]\d+)*|\S")
_SENTENCE_END = re.compile(r"(?:[.!?]+[\"'”’)]*(?=\s|$))|\n+|[。！？]+[”』」]?")
_ABBREVIATIONS = frozenset("mr mrs ms dr st no vs e.g i.e etc a.m p.m u.s".split())


@dataclass(frozen=True, slots=True)
class Token:
    """A word, number, quotation or sign; `start` and `end` are characters of the whole text."""

    text: str
    start: int
    end: int

    @property
    def low(self) -> str:
        return self.text.lower().replace("’", "'")


@dataclass(slots=True)
class Chunk:
    """Tokens that belong together. `kind`: np, pron, verb, aux, prep, conj, neg, adj, adv, rel, there, comma, quote, other.

    `word` is the lemma of a verb, or what a preposition means. Of a noun phrase, `head` are the tokens of its name,
    `modifiers` its adjectives and participles, `number` the count that it gives (`least`: or more).
    """

    kind: str
    tokens: list[Token]
    word: str = ""
    form: str = ""
    head: list[Token] = field(default_factory=list)
    modifiers: list[Token] = field(default_factory=list)
    determiner: str = ""
    number: int | None = None
    number_tokens: list[Token] = field(default_factory=list)
    least: bool = False
    plural: bool = False
    name: str = ""
    owner: str = ""  # the possessive pronoun in front ("his")
    measure: list[Token] = field(default_factory=list)  # "group of" in "a group of people"
    possessive: bool = False  # "the man's"
    core: int = -1  # first character behind determiner, count and measure

    @property
    def start(self) -> int:
        return self.tokens[0].start

    @property
    def end(self) -> int:
        return self.tokens[-1].end


@dataclass(frozen=True, slots=True)
class Sentence:
    start: int
    end: int
    chunks: tuple[Chunk, ...]


@cache
def words() -> dict[str, frozenset[str]]:
    """The closed classes of `grammar.yaml`."""
    text = resources.files(__package__).joinpath("grammar.yaml").read_text("utf-8")
    loaded = yaml.safe_load(text)
    return {name: frozenset(str(value).split()) for name, value in loaded["words"].items()}


@cache
def phrases() -> dict[str, dict[str, str]]:
    """Phrases of several words by table: prepositions with what they mean, counts, and what joins."""
    text = resources.files(__package__).joinpath("grammar.yaml").read_text("utf-8")
    loaded = yaml.safe_load(text)
    return {name: {str(k): str(v) for k, v in table.items()} for name, table in loaded["phrases"].items()}


def tokens_of(text: str, start: int = 0, end: int | None = None) -> list[Token]:
    stop = len(text) if end is None else end
    return [Token(m[0], m.start(), m.end()) for m in _TOKEN.finditer(text, start, stop)]


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Where the sentences stand, each with its closing sign and without the space around it."""
    spans = []
    start = 0
    for match in _SENTENCE_END.finditer(text):
        word = re.search(r"([\w.]+)$", text[start : match.start()])
        if match[0].startswith(".") and word and word[1].lower() in _ABBREVIATIONS:
            continue
        if match[0].startswith(".") and re.search(r"(?:^|\n)\s*\d+$", text[start : match.start()]):
            continue  # "1." of a list
        spans.append((start, match.end()))
        start = match.end()
    spans.append((start, len(text)))
    trimmed = []
    for low, high in spans:
        piece = text[low:high]
        if piece.strip():
            trimmed.append((low + len(piece) - len(piece.lstrip()), low + len(piece.rstrip())))
    return trimmed
