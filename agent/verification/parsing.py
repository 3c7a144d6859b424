"""English sentences cut into chunks: noun phrases with their parts, verbs, prepositions, and what joins them.

A chunker by rule over the lexicon, for the plain sentences in which pictures are described. It never fails: what it does
not understand becomes a chunk of kind "other", about which nothing is claimed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

import yaml

from . import lexical

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


def sentences(text: str) -> list[Sentence]:
    return [Sentence(a, b, tuple(_Chunker(tokens_of(text, a, b)).run())) for a, b in sentence_spans(text)]


class _Chunker:
    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.lows = [t.low for t in tokens]
        self.words = words()
        self.finite = False  # whether a finite verb stood already

    def run(self) -> list[Chunk]:
        chunks: list[Chunk] = []
        i = 0
        while i < len(self.tokens):
            chunk = self._one(i, chunks)
            chunks.append(chunk)
            self.finite = self.finite or chunk.kind == "aux" or (chunk.kind == "verb" and chunk.form == "s")
            i += len(chunk.tokens)
        return chunks

    def _low(self, i: int) -> str:
        return self.lows[i] if 0 <= i < len(self.lows) else ""

    def _one(self, i: int, before: list[Chunk]) -> Chunk:
        low, token = self.lows[i], self.tokens[i]
        last = before[-1].kind if before else ""
        if token.text[0] in '"“':
            return Chunk("quote", [token])
        if low in (",", ";", ":", "-", "–", "—", "(", ")"):
            return Chunk("comma", [token], low)
        for kind, table in (("conj", "joins"), ("prep", "prepositions"), ("adv", "adverbs")):
            if (found := self._phrase(i, table)) is not None:
                length, meaning = found
                return Chunk(kind, self.tokens[i : i + length], meaning)
        if low == "there" and self._low(i + 1) in ("is", "are", "was", "were", "'s", "isn't", "aren't", "appears", "appear",
                                                   "seems", "seem", "may", "might", "can", "could", "also"):  # fmt: skip
            return Chunk("there", [token])
        if low in ("there's", "there're"):
            return Chunk("there", [token], "is")
        if low in self.words["negations"]:
            return Chunk("neg", [token], low)
        if low in self.words["auxiliaries"] and not (
            low in ("has", "have", "had") and self._starts_np(i + 1)
        ):
            negative = low.endswith("n't")
            return Chunk("neg" if negative else "aux", [token], low)
        if (
            low in ("that", "which", "who")
            and last == "np"
            and (self._low(i + 1) in self.words["auxiliaries"] or lexical.verb(self._low(i + 1)) is not None)
        ):
            return Chunk("rel", [token], low)
        if (
            last == "prep"
            and before[-1].word == "to"
            and (told := lexical.verb(low)) is not None
            and (
                (told[1] == "base" and lexical.verb_count(told[0]) > lexical.noun_count(low))
                or self._starts_np(i + 1)
                or self._low(i + 1) in self.words["possessives"]
            )
        ):
            return Chunk("verb", [token], *told)  # "to catch a frisbee"
        if (np := self._noun_phrase(i, last)) is not None:
            return np
        if low in self.words["relatives"]:
            return Chunk("rel", [token], low)
        if low in self.words["pronouns"]:
            return Chunk("pron", [token], low)
        if low in self.words["conjunctions"]:
            return Chunk("conj", [token], low)
        if low in self.words["prepositions"]:
            return Chunk("prep", [token], low)
        if low in self.words["adverbs"] or (low.endswith("ly") and not lexical.is_noun(low)):
            return Chunk("adv", [token], low)
        if (told := lexical.verb(low)) is not None and not (
            last == "aux" and lexical.adjective_count(low) > lexical.verb_count(told[0])
        ):
            return Chunk("verb", [token], *told)
        if lexical.adjective_count(low):
            return Chunk("adj", [token], low)
        return Chunk("other", [token], low)

    def _phrase(self, i: int, table: str) -> tuple[int, str] | None:
        """The longest phrase of a table that stands here: its length in tokens and what it means."""
        found = phrases()[table]
        for length in (6, 5, 4, 3, 2):
            if i + length <= len(self.lows) and (key := " ".join(self.lows[i : i + length])) in found:
                return length, found[key]
        return None

    def _starts_np(self, i: int) -> bool:
        low = self._low(i)
        return bool(low) and (
            low in self.words["determiners"] or low in self.words["numbers"] or low[0].isdigit()
        )

    # -- noun phrases -----------------------------------------------------------------------------------------

    def _noun_phrase(self, i: int, last: str) -> Chunk | None:
        """A noun phrase that begins at token i, or None."""
        w = self.words
        j = i
        np = Chunk("np", [])
        if (count := self._count(j)) is not None:
            length, np.number, np.least = count
            np.number_tokens = self.tokens[j : j + length]
            j += length
            np.determiner = np.determiner or "number"
        while self._low(j) in w["determiners"] and self._low(j) not in ("no",):
            np.determiner = self._low(j)
            if self._low(j) in w["possessives"]:
                np.owner = self._low(j)
            j += 1
            if (more := self._count(j)) is not None and np.number is None:
                length, np.number, np.least = more
                np.number_tokens = self.tokens[j : j + length]
                j += length
        if self._low(j) == "no" and self._np_follows(j + 1):
            np.determiner = "no"
            j += 1
        open_ended = bool(np.determiner)
        np.core = self.tokens[j].start if j < len(self.tokens) else -1
        names: list[Token] = []
        while j < len(self.tokens):
            step = self._part(j, bool(names), open_ended, last, np)
            if step is None:
                break
            what, length = step
            piece = self.tokens[j : j + length]
            if what == "noun":
                names += piece
            else:
                np.modifiers += piece
            j += length
            open_ended = True
        if not names:
            return self._elliptic(np, i, j)
        if self._low(j) in ("'s", "’s") or names[-1].low.endswith("'s"):
            np.possessive = True
        np.tokens = self.tokens[i:j]
        np.head = names
        np.name = _name_of(names)
        last_word = names[-1].low
        np.plural = np.number not in (None, 1) or (
            lexical.lemma(last_word) != last_word or last_word in w["plurals"]
        )
        if np.determiner in ("a", "an") or np.number == 1:
            np.plural = np.plural and last_word in w["plurals"] and np.number != 1
        return self._of(np, j) if self._low(j) == "of" and not np.possessive else np

    def _np_follows(self, i: int) -> bool:
        return i < len(self.tokens) and (
            lexical.is_noun(self.lows[i])
            or lexical.adjective_count(self.lows[i]) > 0
            or lexical.starts_name(self.lows[i])
        )

    def _elliptic(self, np: Chunk, i: int, j: int) -> Chunk | None:
        """A determiner or number without a noun ("some of them", "the other", "two") stands for something named before."""
        bare = (
            j == i
            or bool(np.modifiers)
            or (np.determiner in ("a", "an", "the", "no") and not np.number_tokens)
        )
        if bare and (
            np.determiner == "no" or not np.modifiers or np.determiner not in ("the", "both", "number")
        ):
            return None
        pron = Chunk("pron", self.tokens[i:j], "they" if np.number != 1 else "it")
        pron.number, pron.least, pron.number_tokens = np.number, np.least, np.number_tokens
        pron.determiner = np.determiner
        return pron

    def _count(self, i: int) -> tuple[int, int, bool] | None:
        """(tokens, count, or more) of "two", "12", "at least 13", "a couple of", "several"."""
        if (found := self._phrase(i, "counts")) is not None:
            length, told = found
            number = told.rstrip("+")
            if number:
                if "pair" in self.lows[i : i + length] and self._low(i + length) in self.words["plurals"]:
                    return None  # "a pair of scissors" is one thing
                return (
                    (length, int(number), told.endswith("+")) if self._np_follows_soon(i + length) else None
                )
            inner = self._count(i + length)
            return None if inner is None else (length + inner[0], inner[1], True)
        low = self._low(i)
        numbers = phrases()["numbers"]
        if low in numbers and not (low == "one" and self._low(i + 1) in ("of", "another", "side")):
            return 1, int(numbers[low].rstrip("+")), numbers[low].endswith("+")
        if low.isdigit() and int(low) < 1000 and self._np_follows(i + 1):
            return 1, int(low), False
        return None

    def _np_follows_soon(self, i: int) -> bool:
        return self._np_follows(i) or (self._low(i) in self.words["determiners"])

    def _part(self, j: int, named: bool, opened: bool, last: str, np: Chunk) -> tuple[str, int] | None:
        """What token j adds to a noun phrase: ('noun' or 'modifier', tokens), or None where the phrase ends."""
        low = self.lows[j]
        w = self.words
        if not low[0].isalpha():
            return self._joined_adjective(j, np) if not named else None
        if low == "and" and not named:
            return self._joined_adjective(j, np)
        closed = low in w["closed"] and not (
            opened and not named and lexical.adjective_count(low) > 20 and low in w["also_adjectives"]
        )
        if closed:
            return None
        if not named and (length := self._long_name(j)):
            return "noun", length
        if not named:
            return self._before_head(j, opened, last)
        return self._after_noun(j, np)

    def _joined_adjective(self, j: int, np: Chunk) -> tuple[str, int] | None:
        """The "and" or comma between two adjectives before one noun: "black and white", "large, red"."""
        if not np.modifiers or self.lows[j] not in ("and", ","):
            return None
        k = j + 1
        if self._low(k) == "and":
            k += 1
        nxt = self._low(k)
        if nxt and nxt not in self.words["closed"] and self._adjectival(k) and self._np_follows(k + 1):
            return "modifier", k - j + 1
        return None

    def _adjectival(self, j: int) -> bool:
        low = self.lows[j]
        if low in self.words["colors"]:
            return True
        told = lexical.verb(low)
        return lexical.adjective_count(low) > lexical.noun_count(low) or (
            told is not None and told[1] in ("ing", "ed") and lexical.noun_count(low) < 3
        )

    def _long_name(self, j: int) -> int:
        """Tokens of a name of several words that stands here, 0 where none does."""
        if self.lows[j] not in _table_starts() and (
            not lexical.starts_name(self.lows[j])
            or self.lows[j] in self.words["colors"]
            or self.lows[j] in self.words["sizes"]
        ):
            return 0
        for length in (3, 2):
            if j + length > len(self.tokens):
                continue
            name = " ".join(self.lows[j : j + length])
            if " and " in name or " of " in name:
                continue
            told = lexical.lemma(name)
            if (lexical.senses(told) and lexical.visible(told)) or _in_table(name):
                if lexical.file_of(told) == lexical.QUANTITY:
                    continue
                after = self._low(j + length)
                if (lexical.verb(self.lows[j + length - 1]) or ("", ""))[1] == "s" and (
                    after in self.words["prepositions"] or self._starts_np(j + length)
                ):
                    continue  # "the bus stops at the corner"
                return length
        return 0

    def _before_head(self, j: int, opened: bool, last: str) -> tuple[str, int] | None:
        low = self.lows[j]
        following = self._low(j + 1)
        told = lexical.verb(low)
        adjective, noun = lexical.adjective_count(low), lexical.noun_count(low)
        more = self._continues(j + 1)
        if low in self.words["colors"] or low in self.words["sizes"]:
            if more or (
                following in ("and", ",") and self._joined_adjective(j + 1, _with_modifier(self.tokens[j]))
            ):
                return "modifier", 1
            return ("noun", 1) if opened and noun and low == "orange" else None
        if told is not None and told[1] in ("ing", "ed") and noun < 3 and low not in self.words["nouns"]:
            # "a smiling man", "two parked cars"; not "cars parked", nor "eating leaves" after a verb
            if opened and more:
                return "modifier", 1
            return None
        if adjective > noun and low not in self.words["nouns"]:
            if more or (
                following in ("and", ",") and self._joined_adjective(j + 1, _with_modifier(self.tokens[j]))
            ):
                return "modifier", 1
            if not (opened and noun and not adjective > 3 * noun):
                return None
        if low.endswith("ly") and adjective and more:
            return "modifier", 1
        if low in ("very", "fairly", "rather") and opened and more:
            return "modifier", 1
        if noun or (self.tokens[j].text[0].isupper() and opened and not adjective):
            if told is not None and not opened and last not in ("prep", "verb", "conj", "comma", ""):
                return None
            if (
                told is not None
                and not opened
                and told[1] != "s"
                and lexical.verb_count(told[0]) > 2 * noun + 5
            ):
                return None
            if told is not None and not opened and told[1] in ("ing", "ed") and noun < 3:
                return None
            begins = self._low(j + 1) in self.words["prepositions"] or self._starts_np(j + 1)
            if (
                told is not None
                and not opened
                and told[1] == "s"
                and lexical.verb_count(told[0]) > noun
                and ((self.finite and last == "conj") or (last == "comma" and (self.finite or begins)))
            ):
                return None  # "holds an umbrella and smiles"
            return "noun", 1
        if "-" in low and opened and more:
            return "modifier", 1
        if not noun and opened and more and told is None:
            return "modifier", 1  # a word that the lexicon lacks: a name, a make ("Wii remote")
        return ("noun", 1) if opened and low.isalpha() and told is None and not adjective else None

    def _continues(self, j: int) -> bool:
        """Whether the phrase can go on at token j: with an adjective, a participle or a noun."""
        low = self._low(j)
        if not low or not low[0].isalpha() or low in self.words["closed"]:
            return False
        if low in self.words["colors"] or low in self.words["sizes"]:
            return self._continues(j + 1) or low == "orange"
        if self._long_name(j) or lexical.noun_count(low) > 0:
            return True
        if lexical.adjective_count(low) or (lexical.verb(low) or ("", ""))[1] in ("ing", "ed"):
            return self._continues(j + 1)
        return lexical.verb(low) is None

    def _after_noun(self, j: int, np: Chunk) -> tuple[str, int] | None:
        """Whether a word behind a noun makes a compound with it ("park bench") or begins something new ("cat sits")."""
        low = self.lows[j]
        previous = self.lows[j - 1]
        noun = lexical.noun_count(low)
        told = lexical.verb(low)
        if not noun:
            return None
        if lexical.lemma(previous) != previous and previous not in ("sports", "goods", "glasses"):
            return None  # "dogs run": a plural ends the phrase
        if previous.endswith(("'s", "s'")):
            return ("noun", 1)
        if low in self.words["colors"] or (lexical.adjective_count(low) > 2 * noun):
            return None
        if told is None:
            return "noun", 1
        stem, form = told
        if form in ("ing", "ed"):
            follows_object = self._starts_np(j + 1) or self._low(j + 1) in self.words["prepositions"]
            if low in self.words["nouns"] and not follows_object:
                return "noun", 1
            return None
        if form == "s":
            if np.determiner in ("a", "an") or np.number == 1:
                return None
            if np.number is not None:
                return "noun", 1
            return ("noun", 1) if noun >= lexical.verb_count(stem) and not self._starts_np(j + 1) else None
        if (
            np.determiner in ("a", "an") and noun and self._low(j + 1) not in ("him", "her", "them", "it")
        ):  # the base form agrees with no singular noun, so it is a noun
            return "noun", 1
        if self._starts_np(j + 1) or self._low(j + 1) in ("him", "her", "them", "it"):
            return None  # "a catcher and an umpire watch her"
        return (
            ("noun", 1) if noun >= lexical.verb_count(stem) or lexical.visible(lexical.lemma(low)) else None
        )

    # -- "of" -------------------------------------------------------------------------------------------------

    def _of(self, np: Chunk, j: int) -> Chunk:
        """ "a group of people" speaks of people, at least two; "a bowl of soup" stays two phrases."""
        head = lexical.lemma(np.head[-1].low)
        if not lexical.measures(head) or (len(np.head) > 1 and head not in ("group", "pair")):
            return np
        inner = self._noun_phrase(j + 1, "prep")
        if inner is None or inner.kind != "np":
            return np
        measure = [*np.tokens, self.tokens[j]]
        number: int | None
        if head == "pair" and inner.head[-1].low in self.words["plurals"]:
            number, least = np.number if np.number else 1, False
        elif inner.number is not None:
            number, least = inner.number, inner.least
        elif inner.plural and head not in ("piece", "slice", "part", "kind", "type", "sort", "bit"):
            number, least = 2, True
        else:
            number, least = (np.number, np.least)
        merged = Chunk(
            "np", measure + inner.tokens, head=inner.head, modifiers=[*np.modifiers, *inner.modifiers]
        )
        merged.determiner, merged.number, merged.least = np.determiner, number, least
        merged.number_tokens = inner.number_tokens or measure
        merged.plural = inner.plural or number not in (None, 1)
        merged.name, merged.measure, merged.owner = inner.name, measure + inner.measure, np.owner
        merged.possessive, merged.core = inner.possessive, inner.core
        return merged


def _with_modifier(token: Token) -> Chunk:
    return Chunk("np", [token], modifiers=[token])


def _name_of(tokens: list[Token]) -> str:
    name = " ".join(t.low for t in tokens)
    for ending in ("'s", "s'"):
        name = name.removesuffix(ending) + ("s" if name.endswith("s'") and ending == "s'" else "")
    return lexical.lemma(name)


@cache
def _table_starts() -> frozenset[str]:
    from ...tools.names import COCO_CLASSES

    return frozenset(name.partition(" ")[0] for name in COCO_CLASSES if " " in name) | {"wii", "computer"}


def _in_table(name: str) -> bool:
    from ...tools.names import COCO_CLASSES, canonical

    return name[-1].isalpha() and canonical(name) in COCO_CLASSES
