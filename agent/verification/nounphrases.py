"""Noun phrases by rule over the lexicon: where one begins and ends, its determiner, number, adjectives and name."""

from __future__ import annotations

from functools import cache

from . import lexical
from .tokens import Chunk, Token, phrases, words


class NounPhrases:
    """The noun phrases among the tokens of one sentence."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.lows = [t.low for t in tokens]
        self.words = words()
        self.finite = False  # whether a finite verb stood already

    def low(self, i: int) -> str:
        return self.lows[i] if 0 <= i < len(self.lows) else ""

    def phrase(self, i: int, table: str) -> tuple[int, str] | None:
        """The longest phrase of a table that stands here: its length in tokens and what it means."""
        found = phrases()[table]
        for length in (6, 5, 4, 3, 2):
            if i + length <= len(self.lows) and (key := " ".join(self.lows[i : i + length])) in found:
                return length, found[key]
        return None

    def starts_np(self, i: int) -> bool:
        low = self.low(i)
        return bool(low) and (
            low in self.words["determiners"] or low in self.words["numbers"] or low[0].isdigit()
        )

    def noun_phrase(self, i: int, last: str) -> Chunk | None:
        """A noun phrase that begins at token i, or None."""
        w = self.words
        j = i
        np = Chunk("np", [])
        if (count := self._count(j)) is not None:
            length, np.number, np.least = count
            np.number_tokens = self.tokens[j : j + length]
            j += length
            np.determiner = np.determiner or "number"
        while self.low(j) in w["determiners"] and self.low(j) not in ("no",):
            np.determiner = self.low(j)
            if self.low(j) in w["possessives"]:
                np.owner = self.low(j)
            j += 1
            if (more := self._count(j)) is not None and np.number is None:
                length, np.number, np.least = more
                np.number_tokens = self.tokens[j : j + length]
                j += length
        if self.low(j) == "no" and self._np_follows(j + 1):
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
        if self.low(j) in ("'s", "’s") or names[-1].low.endswith("'s"):
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
        return self._of(np, j) if self.low(j) == "of" and not np.possessive else np

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
        if (found := self.phrase(i, "counts")) is not None:
            length, told = found
            number = told.rstrip("+")
            if number:
                if "pair" in self.lows[i : i + length] and self.low(i + length) in self.words["plurals"]:
                    return None  # "a pair of scissors" is one thing
                return (
                    (length, int(number), told.endswith("+")) if self._np_follows_soon(i + length) else None
                )
            inner = self._count(i + length)
            return None if inner is None else (length + inner[0], inner[1], True)
        low = self.low(i)
        numbers = phrases()["numbers"]
        if low in numbers and not (low == "one" and self.low(i + 1) in ("of", "another", "side")):
            return 1, int(numbers[low].rstrip("+")), numbers[low].endswith("+")
        if low.isdigit() and int(low) < 1000 and self._np_follows(i + 1):
            return 1, int(low), False
        return None

    def _np_follows_soon(self, i: int) -> bool:
        return self._np_follows(i) or (self.low(i) in self.words["determiners"])

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
        if self.low(k) == "and":
            k += 1
        nxt = self.low(k)
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
                after = self.low(j + length)
                if (lexical.verb(self.lows[j + length - 1]) or ("", ""))[1] == "s" and (
                    after in self.words["prepositions"] or self.starts_np(j + length)
                ):
                    continue  # "the bus stops at the corner"
                return length
        return 0

    def _before_head(self, j: int, opened: bool, last: str) -> tuple[str, int] | None:
        low = self.lows[j]
        following = self.low(j + 1)
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
            begins = self.low(j + 1) in self.words["prepositions"] or self.starts_np(j + 1)
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
        low = self.low(j)
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
            follows_object = self.starts_np(j + 1) or self.low(j + 1) in self.words["prepositions"]
            if low in self.words["nouns"] and not follows_object:
                return "noun", 1
            return None
        if form == "s":
            if np.determiner in ("a", "an") or np.number == 1:
                return None
            if np.number is not None:
                return "noun", 1
            return ("noun", 1) if noun >= lexical.verb_count(stem) and not self.starts_np(j + 1) else None
        if (
            np.determiner in ("a", "an") and noun and self.low(j + 1) not in ("him", "her", "them", "it")
        ):  # the base form agrees with no singular noun, so it is a noun
            return "noun", 1
        if self.starts_np(j + 1) or self.low(j + 1) in ("him", "her", "them", "it"):
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
        inner = self.noun_phrase(j + 1, "prep")
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
