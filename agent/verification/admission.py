"""What a text denies and the picture shows: the denial is turned, with the verb and article that go with it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from . import inflection, lexical
from .case import Verdict
from .claims import Claim, Extraction
from .structure import Structure

if TYPE_CHECKING:
    from .correction import Draft


class Admission:
    """Edits of denials."""

    def __init__(self, found: Extraction, verdicts: Mapping[str, Verdict], draft: Draft) -> None:
        self.found, self.verdicts, self.draft = found, verdicts, draft

    def admit(self, claim: Claim) -> None:
        """Something that the text denies is seen: say that it is there."""
        text = self.draft.text
        entity = self.found.entities[claim.refs[0]]
        mention = entity.mentions[0]
        structure = Structure(self.found, mention.sentence)
        chunk = structure.chunks[mention.chunk]
        sentence = structure.sentence
        lead = text[sentence.start : chunk.start]
        opening = re.match(r"No(?=,)", text[sentence.start : sentence.end])
        if opening:
            self.draft.put((sentence.start, sentence.start + 2), "Yes", [claim.id])
        if self._neither(structure, mention.chunk, claim):
            return
        without = re.search(r"\bwithout\s+$", lead, re.IGNORECASE)
        if without:
            at = sentence.start + without.start()
            self.draft.put((at, at + 7), "With" if text[at].isupper() else "with", [claim.id])
            return
        if chunk.determiner == "no":
            token = chunk.tokens[0]
            many = lexical.lemma(chunk.head[-1].low) != chunk.head[-1].low
            rest = text[token.end + 1 : chunk.end]
            told = "" if many else inflection.article(rest) + " "
            if token.text[0].isupper():
                told = inflection.capitalised(told or rest[:1])
                self.draft.put((token.start, token.end + 1 + (0 if not many else 1)), told, [claim.id])
            else:
                self.draft.put((token.start, token.end + 1), told, [claim.id])
            return
        negation = list(re.finditer(r"\b(?:(do|does|did)\s*(?:not|n't)\s+(\w+)|not\s+|(\w+)n't)", lead))
        if not negation:
            return
        found = negation[-1]
        at = sentence.start + found.start()
        if found[1]:
            verb = (
                found[2]
                if found[1] == "do"
                else inflection.third_person(found[2])
                if found[2] != "have"
                else "has"
            )
            self.draft.put((at, sentence.start + found.end()), verb, [claim.id])
        elif found[3]:
            self.draft.put((at, sentence.start + found.end()), found[3], [claim.id])
        else:
            self.draft.put((at, sentence.start + found.end()), "", [claim.id])
        if chunk.determiner == "any":
            many = lexical.lemma(chunk.head[-1].low) != chunk.head[-1].low
            rest = text[chunk.tokens[0].end + 1 : chunk.end]
            self.draft.put((chunk.tokens[0].start, chunk.tokens[0].end + 1), "" if many else inflection.article(rest) + " ",
                           [claim.id])  # fmt: skip

    def _neither(self, structure: Structure, i: int, claim: Claim) -> bool:
        """ "neither a cat nor a dog", one or both of them seen."""
        chunks = structure.chunks
        nor = next(
            (k for k in range(len(chunks)) if chunks[k].kind in ("neg", "conj") and chunks[k].word == "nor"),
            None,
        )
        neither = next((k for k in range(len(chunks)) if chunks[k].tokens[0].low == "neither"), None)
        if nor is None or neither is None or nor + 1 >= len(chunks):
            return False
        one, two = nor - 1, nor + 1
        if not (chunks[one].kind == chunks[two].kind == "np") or i not in (one, two):
            return False
        seen = [k for k in (one, two) if self._seen_denied(structure, k)]
        first = self.draft.text[chunks[one].start : chunks[one].end]
        if chunks[neither] is chunks[one]:
            first = first.split(" ", 1)[1]
        second = self.draft.text[chunks[two].start : chunks[two].end]
        if len(seen) == 2:
            told = f"both {first} and {second}"
        else:
            told = f"{first} but no {_bare(second)}" if seen == [one] else f"{second} but no {_bare(first)}"
        if chunks[neither].tokens[0].text[0].isupper():
            told = inflection.capitalised(told)
        span = (chunks[neither].start, chunks[two].end)
        if self.draft.taken(span):
            return True
        self.draft.put(span, told, [claim.id])
        if len(seen) == 2:
            verb = structure.predicate(0, len(chunks))
            if verb is not None:
                token = chunks[verb].tokens[0]
                self.draft.put((token.start, token.end), inflection.agreeing(token.text, True), [claim.id])
        return True

    def _seen_denied(self, structure: Structure, i: int) -> bool:
        ids = structure.ids(i)
        return any(
            c.kind == "existence" and not c.polarity and c.refs[0] in ids
            and self.verdicts.get(c.id) is not None and self.verdicts[c.id].label == "contradicted"
            for c in self.found.claims
        )  # fmt: skip


def _bare(phrase: str) -> str:
    return re.sub(r"^(?:a|an|the|any)\s+", "", phrase, flags=re.IGNORECASE)
