"""English sentences cut into chunks: noun phrases with their parts, verbs, prepositions, and what joins them.

A chunker by rule over the lexicon, for the plain sentences in which pictures are described. It never fails: what it does
not understand becomes a chunk of kind "other", about which nothing is claimed.
"""

from __future__ import annotations

from . import lexical
from .nounphrases import NounPhrases
from .tokens import Chunk, Sentence, Token, sentence_spans, tokens_of

_SAYING = frozenset("say says saying read reads reading".split())


def sentences(text: str) -> list[Sentence]:
    return [Sentence(a, b, tuple(_Chunker(tokens_of(text, a, b)).run())) for a, b in sentence_spans(text)]


class _Chunker(NounPhrases):
    """The chunks of one sentence."""

    def run(self) -> list[Chunk]:
        chunks: list[Chunk] = []
        i = 0
        while i < len(self.tokens):
            chunk = self._one(i, chunks)
            chunks.append(chunk)
            self.finite = self.finite or chunk.kind == "aux" or (chunk.kind == "verb" and chunk.form == "s")
            i += len(chunk.tokens)
        return chunks

    def _capitals(self, i: int) -> list[Token]:
        """The words in capitals from here on, as people write what a sign says without quoting it."""
        end = i
        while end < len(self.tokens) and len(word := self.tokens[end].text) > 1 and word.isupper():
            end += 1
        return self.tokens[i:end]

    def _one(self, i: int, before: list[Chunk]) -> Chunk:
        low, token = self.lows[i], self.tokens[i]
        last = before[-1].kind if before else ""
        if token.text[0] in '"“':
            return Chunk("quote", [token])
        if i and self.lows[i - 1] in _SAYING and (capitals := self._capitals(i)):
            return Chunk("quote", capitals)
        if low in (",", ";", ":", "-", "–", "—", "(", ")"):
            return Chunk("comma", [token], low)
        for kind, table in (("conj", "joins"), ("prep", "prepositions"), ("adv", "adverbs")):
            if (found := self.phrase(i, table)) is not None:
                length, meaning = found
                return Chunk(kind, self.tokens[i : i + length], meaning)
        if low == "there" and self.low(i + 1) in ("is", "are", "was", "were", "'s", "isn't", "aren't", "appears", "appear",
                                                   "seems", "seem", "may", "might", "can", "could", "also"):  # fmt: skip
            return Chunk("there", [token])
        if low in ("there's", "there're"):
            return Chunk("there", [token], "is")
        if low in self.words["negations"]:
            return Chunk("neg", [token], low)
        if low in self.words["auxiliaries"] and not (low in ("has", "have", "had") and self.starts_np(i + 1)):
            negative = low.endswith("n't")
            return Chunk("neg" if negative else "aux", [token], low)
        if (
            low in ("that", "which", "who")
            and last == "np"
            and (self.low(i + 1) in self.words["auxiliaries"] or lexical.verb(self.low(i + 1)) is not None)
        ):
            return Chunk("rel", [token], low)
        if (
            last == "prep"
            and before[-1].word == "to"
            and (told := lexical.verb(low)) is not None
            and (
                (told[1] == "base" and lexical.verb_count(told[0]) > lexical.noun_count(low))
                or self.starts_np(i + 1)
                or self.low(i + 1) in self.words["possessives"]
            )
        ):
            return Chunk("verb", [token], *told)  # "to catch a frisbee"
        if (np := self.noun_phrase(i, last)) is not None:
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
