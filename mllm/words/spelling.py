"""How the words tower spells: cuts put into texts before they are tokenized, so that a name is the same tokens everywhere.

The tokenizer gives "deck chairs", "Deck chair" and "deck chair" three sets of tokens, and a Chinese name others behind a
quote than inside a sentence; a model that copies tokens would have to spell each new name anew. Here

- a plural ending is cut off ("chair" + "s", "box" + "es"), in requests and in answers alike;
- in a request "berries" is read as "berry" + "ies";
- a request begins with a space, as a quoted text does; where it began with a capital, that is told by a mark ("^") before it
  and the letter is small;
- a space before a Chinese character is a token of its own;
- inside an expression too a name is written behind a space (`' deck chair' if ...`), which `decode` takes out again: its first
  token without the space was often a wrong one.

What an answer decodes to is unchanged.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

CAPITAL = "^"
_OPENING = re.compile(r"(?<=(?:=|\[|,)')(?=[^\W_])|(?<=, ')(?=[^\W_])")  # where the tokenizer puts a space
_HAN = "\u3400-\u4dbf\u4e00-\u9fff"
_HISS = r"(?:(?<=[a-z]ss)|(?<=[a-z]ch)|(?<=[a-z]sh)|(?<=[a-z]x))(?=es(?![a-z=(]))"  # glass|es, box|es
_ES = r"(?<=[a-z]{3})(?<![isu])(?<!sse)(?<!che)(?<!she)(?<!xe)(?=s(?![a-z=(]))"  # chair|s
_CUT = re.compile(rf"{_HISS}|{_ES}|(?<= )(?=[{_HAN}])|(?<=[^ ])(?= [{_HAN}])")
_LITERAL = re.compile(r"(?:(?<=expr=\"')|(?<= else '))(?!(?:yes|no|left|right)')(?=[A-Za-z])")
_SPACED = re.compile(r"(?:(?<=expr=\"')|(?<= else ')) (?=[A-Za-z])")  # what `_LITERAL` has put in
_IES = re.compile(r"\b([a-z]{2,}[a-z])ies\b")
# Plurals of words in -ie, and words that end so in the singular.
_KEPT_IES = frozenset(
    "series species movies cookies selfies brownies zombies hoodies calories genies birdies smoothies pixies rookies "
    "sorties prairies eyries junkies hippies yuppies goalies collies boogies bookies budgies walkies talkies".split()
)
_KEPT = frozenset("does always perhaps across besides yourselves ourselves themselves".split())
_WORD = re.compile(r"[a-z]+$")


class Speller:
    """Texts to token ids and back, over the starter's tokenizer."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self.tokenizer = tokenizer
        self._backend = tokenizer.backend_tokenizer
        vocabulary = tokenizer.get_vocab()
        self.twins = list(range(len(tokenizer)))  # id -> id of the same token without its space
        for token, number in vocabulary.items():
            if token.startswith("Ġ") and token[1:] in vocabulary:
                self.twins[number] = vocabulary[token[1:]]
        self._ids = lru_cache(maxsize=100_000)(self._encode)

    def request(self, text: str) -> list[int]:
        """Ids of what a user says."""
        text = text.strip()
        if text[:1].isascii() and text[:1].isalnum():
            if text[0].isupper() and not text[1:2].isupper():
                text = f"{CAPITAL} {text[0].lower()}{text[1:]}"
            else:
                text = f" {text}"
        return self._all(_IES.sub(_singular, text))

    def answer(self, text: str, lead: bool) -> list[int]:
        """Ids of what the tower writes; `lead` puts a space before a Latin first word, as a sentence has inside it."""
        text = _OPENING.sub(" ", text)
        if lead and text[:1].isascii() and text[:1].isalnum():
            text = f" {text}"
        return self._all(_LITERAL.sub(" ", text))

    def decode(self, ids: list[int]) -> str:
        """The text of an answer's ids."""
        return _SPACED.sub("", str(self.tokenizer.decode(ids, skip_special_tokens=True)))

    def _all(self, text: str) -> list[int]:
        ids: list[int] = []
        for line in text.splitlines(keepends=True):
            for piece in self._pieces(line):
                ids.extend(self._ids(piece))
        return ids

    @staticmethod
    def _pieces(line: str) -> list[str]:
        pieces, start = [], 0
        for found in _CUT.finditer(line):
            at = found.start()
            if line[at] == "s":
                word = _WORD.search(line, 0, at)
                if word is not None and word.group() + "s" in _KEPT:
                    continue
            pieces.append(line[start:at])
            start = at
        pieces.append(line[start:])
        out: list[str] = []
        for piece in pieces:
            out.extend(piece.split("\x00"))
        return [piece for piece in out if piece]

    def _encode(self, piece: str) -> tuple[int, ...]:
        return tuple(self._backend.encode(piece, add_special_tokens=False).ids)


def _singular(found: re.Match[str]) -> str:
    return found.group() if found.group() in _KEPT_IES else f"{found.group(1)}y\x00ies"
