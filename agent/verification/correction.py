"""The smallest edits that take back what was contradicted: remove, replace, renumber, recolour, turn the relation.

Every edit is a span of the text and what stands there instead; all other bytes stay. A removed thing goes with the phrase
that only it made necessary, and what was seen of that phrase is kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import inflection, lexical
from .admission import Admission
from .asked import is_bare, turned
from .claims import Claim, Entity, Extraction, Mention, Span
from .removal import Removal
from .structure import Structure
from .verdicts import Verdict

_PHRASES = {
    "left": "to the left of",
    "right": "to the right of",
    "above": "above",
    "below": "below",
    "near": "near",
    "front": "in front of",
}


@dataclass(frozen=True, slots=True)
class Edit:
    """One change: characters [start, end) of the draft, what stood there and what stands there now, and why."""

    span: Span
    before: str
    after: str
    claims: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "span": list(self.span),
            "before": self.before,
            "after": self.after,
            "claims": list(self.claims),
        }


@dataclass(slots=True)
class Draft:
    """Edits being gathered; one that overlaps an earlier one is dropped, since the earlier is the wider."""

    text: str
    edits: list[Edit] = field(default_factory=list)

    def put(self, span: Span, after: str, claims: Sequence[str]) -> bool:
        before = self.text[span[0] : span[1]]
        if before == after:
            return True
        for other in self.edits:
            if span[0] < other.span[1] and other.span[0] < span[1]:
                return False
            if span[0] == span[1] == other.span[0] == other.span[1]:
                return False
        self.edits.append(Edit(span, before, after, tuple(claims)))
        return True

    def taken(self, span: Span) -> bool:
        return any(span[0] < e.span[1] and e.span[0] < span[1] for e in self.edits)


@dataclass(frozen=True, slots=True)
class Correction:
    """The text after the edits, which stand in the order of the draft."""

    text: str
    edits: tuple[Edit, ...]


def correct(found: Extraction, verdicts: Mapping[str, Verdict]) -> Correction:
    """Edit the text so that no contradicted claim stands in it."""
    from .chinese_edits import edit_chinese, is_plain

    wrong = [c for c in found.claims if c.id in verdicts and verdicts[c.id].label == "contradicted"]
    draft = Draft(found.text)
    if is_bare(found):
        if wrong:
            span = wrong[0].span
            draft.put(span, turned(found.text[span[0] : span[1]]), [c.id for c in wrong])
    elif not is_plain(found):
        edit_chinese(found, wrong, verdicts, draft)
    else:
        _Editor(found, verdicts, draft).run(wrong)
    return apply(found.text, draft.edits)


def apply(text: str, edits: Sequence[Edit]) -> Correction:
    """The edited text."""
    ordered = tuple(sorted(edits, key=lambda e: (e.span, e.after)))
    for edit in reversed(ordered):
        text = text[: edit.span[0]] + edit.after + text[edit.span[1] :]
    return Correction(text, ordered)


class _Editor:
    def __init__(self, found: Extraction, verdicts: Mapping[str, Verdict], draft: Draft) -> None:
        self.found, self.verdicts, self.draft = found, verdicts, draft

    def run(self, wrong: Sequence[Claim]) -> None:
        gone: dict[int, str] = {}
        for claim in wrong:
            if claim.kind == "existence" and claim.polarity and not self.verdicts[claim.id].instead:
                gone[claim.refs[0]] = claim.id
            elif self.verdicts[claim.id].strike:
                gone.setdefault(claim.refs[0], claim.id)
        if gone:
            Removal(self.found, gone, self.draft).run()
        for claim in wrong:
            verdict = self.verdicts[claim.id]
            if (verdict.because and verdict.because in gone.values()) or verdict.strike:
                continue
            if claim.kind == "existence" and claim.polarity and verdict.instead:
                self._rename(claim, verdict.instead)
            elif claim.kind == "existence" and not claim.polarity:
                Admission(self.found, self.verdicts, self.draft).admit(claim)
            elif claim.kind == "count" and verdict.instead:
                self._renumber(claim, int(verdict.instead))
            elif claim.kind == "attribute":
                self._recolour(claim, verdict.instead)
            elif claim.kind == "relation":
                self._turn(claim, verdict.instead)
            elif claim.kind == "text":
                self._requote(claim, verdict.instead)

    # -- names and numbers ------------------------------------------------------------------------------------------

    def _mentions(self, entity: Entity) -> list[Mention]:
        return [m for m in entity.mentions if not m.pronoun and not m.owner]

    def _rename(self, claim: Claim, name: str) -> None:
        """Put what is seen in the place of what was taken for it, at every mention."""
        entity = self.found.entities[claim.refs[0]]
        for mention in self._mentions(entity):
            chunk = Structure(self.found, mention.sentence).chunks[mention.chunk]
            many = lexical.lemma(chunk.head[-1].low) != chunk.head[-1].low
            told = inflection.plural(name) if many else name
            if chunk.head[0].text[0].isupper():
                told = inflection.capitalised(told)
            self.draft.put((chunk.head[0].start, chunk.head[-1].end), told, [claim.id])
            if chunk.head[0].start == (chunk.modifiers or chunk.head)[0].start or not chunk.modifiers:
                self._article(chunk.head[0].start, told, claim)

    def _article(self, at: int, following: str, claim: Claim) -> None:
        """Make "a" or "an" right in front of what now follows at character `at`."""
        match = re.search(r"\b([Aa]n?)\s+$", self.draft.text[:at])
        if match is None:
            return
        told = inflection.article(following)
        if match[1].lower() != told:
            after = inflection.capitalised(told) if match[1][0].isupper() else told
            self.draft.put((match.start(1), match.end(1)), after, [claim.id])

    def _renumber(self, claim: Claim, number: int) -> None:
        entity = self.found.entities[claim.refs[0]]
        mention = next((m for m in entity.mentions if m.span[0] <= claim.span[0] < m.span[1]), None)
        if mention is None:
            return
        structure = Structure(self.found, mention.sentence)
        chunk = structure.chunks[mention.chunk]
        start, end = claim.span
        before = self.draft.text[start:end]
        told = inflection.number_word(number, before)
        if start > chunk.start and self.draft.text[chunk.start : start].strip().lower() in (
            "the",
            "all",
            "both",
            "these",
        ):
            start = (
                start
                if self.draft.text[chunk.start : start].strip().lower() in ("the", "these")
                else chunk.start
            )
        self.draft.put((start, end), told, [claim.id])
        if mention.pronoun or not chunk.head:
            return
        last = chunk.head[-1]
        many = lexical.lemma(last.low) != last.low
        if number == 1 and many:
            self.draft.put((last.start, last.end), inflection.singular(last.text), [claim.id])
        elif number > 1 and not many:
            self.draft.put((last.start, last.end), inflection.plural(last.text), [claim.id])
        if (number == 1) == many:
            self._agree(structure, mention.chunk, number > 1, claim)

    def _agree(self, structure: Structure, i: int, many: bool, claim: Claim) -> None:
        """Make the finite verb agree with its subject at chunk i, unless others are subjects with it."""
        role = structure.role(i)
        if role is None or role.kind not in ("subject", "there"):
            return
        if role.kind == "subject" and len(structure.list_of(i)) > 1:
            return
        if role.kind == "there" and structure.list_of(i)[0] != i:
            return
        start, stop = structure.clause(i)
        if role.kind == "there":
            start = min(start, role.first)
        verb = structure.predicate(start, stop)
        if verb is None:
            return
        token = structure.chunks[verb].tokens[0]
        self.draft.put((token.start, token.end), inflection.agreeing(token.text, many), [claim.id])

    # -- attributes ---------------------------------------------------------------------------------------------------

    def _recolour(self, claim: Claim, instead: str) -> None:
        text = self.draft.text
        start, end = claim.span
        if not claim.polarity:
            self._affirm(claim)
            return
        if instead:
            told = inflection.capitalised(instead) if text[start].isupper() else instead
            self.draft.put((start, end), told, [claim.id])
            self._article(start, told, claim)
            return
        entity = self.found.entities[claim.refs[0]]
        mention = next((m for m in self._mentions(entity) if m.span[0] <= start < m.span[1]), None)
        if mention is None:
            self._drop_predicate(claim)
            return
        # drop the adjective, with the comma or "and" that joined it to another
        joined = re.match(r"(?:\s*,|\s+and)?\s+", text[end:])
        before = re.search(r"(?:,|\s+and)\s+$", text[:start])
        if joined and joined[0].strip():
            span = (start, end + joined.end())
        elif before:
            span = (before.start(), end)
        else:
            span = (start, end + (joined.end() if joined else 0))
        rest = text[span[1] :].lstrip()
        capital = text[span[0]].isupper()
        if self.draft.put(span, "", [claim.id]):
            self._article(span[0], rest, claim)
            if capital:
                at = span[1]
                self.draft.put((at, at + 1), text[at].upper(), [claim.id])

    def _drop_predicate(self, claim: Claim) -> None:
        """ "The hat is blue and large.": one of two predicates, or else the clause."""
        text = self.draft.text
        start, end = claim.span
        joined = re.match(r"\s+and\s+", text[end:])
        before = re.search(r"\s+and\s+$", text[:start])
        if joined:
            self.draft.put((start, end + joined.end()), "", [claim.id])
        elif before:
            self.draft.put((before.start(), end), "", [claim.id])
        else:
            Removal(self.found, {}, self.draft).drop_clause(claim.sentence, start, [claim.id])

    def _affirm(self, claim: Claim) -> None:
        """Take the "not" out of what the text wrongly denies."""
        sentence = self.found.sentences[claim.sentence]
        text = self.draft.text
        for match in re.finditer(r"\s+not\b|n't\b", text[sentence.start : claim.span[1]]):
            at = sentence.start + match.start()
            if at < claim.span[0]:
                self.draft.put((at, sentence.start + match.end()), "", [claim.id])
                return

    # -- relations and texts ------------------------------------------------------------------------------------------

    def _turn(self, claim: Claim, instead: str) -> None:
        """Say the relation that holds instead, or only nearness where none is known."""
        if not claim.polarity:
            self._affirm(claim)
            return
        start, _ = claim.span
        structure = Structure(self.found, claim.sentence)
        first = next((k for k, c in enumerate(structure.chunks) if c.start == start), None)
        if first is None:
            return
        if structure.chunks[first].kind not in ("verb", "prep"):
            role = structure.role(first)  # a later one of a list: the word of the whole list stands before it
            if role is None or len(structure.list_of(first)) > 1:
                return
            first = role.first
        chunk = structure.chunks[first]
        after = first + 1
        while (
            chunk.kind == "verb" and after < len(structure.chunks) and structure.chunks[after].kind == "adv"
        ):
            after += 1
        prep = chunk if chunk.kind == "prep" else None
        if prep is None and after < len(structure.chunks) and structure.chunks[after].kind == "prep":
            prep = structure.chunks[after]
        place = instead or "near"
        if prep is None:
            self._replace_verb(structure, first, place, claim)
            return
        words = self.draft.text[prep.start : prep.end]
        sides = {"left": "right", "right": "left"}
        if place in sides and re.search(rf"\b{sides[place]}\b", words):
            told = re.sub(rf"\b{sides[place]}\b", place, words)
        elif place in ("above", "below") and prep.word in ("over", "under", "beneath", "underneath"):
            told = (
                "over"
                if place == "above" and prep.word == "under"
                else "under"
                if place == "below"
                else place
            )
        else:
            told = _PHRASES.get(place, place)
        if words[0].isupper():
            told = inflection.capitalised(told)
        self.draft.put((prep.start, prep.end), told, [claim.id])

    def _replace_verb(self, structure: Structure, first: int, place: str, claim: Claim) -> None:
        """ "is riding a horse" -> "is near a horse"; "rides a horse" -> "is near a horse"."""
        chunk = structure.chunks[first]
        told = _PHRASES.get(place, place)
        if chunk.form in ("s", "base") and not (
            first and structure.chunks[first - 1].kind in ("aux", "prep")
        ):
            told = f"{'is' if chunk.form == 's' else 'are'} {told}"
        self.draft.put((chunk.start, chunk.end), told, [claim.id])

    def _requote(self, claim: Claim, instead: str) -> None:
        start, end = claim.span
        if instead:
            marks = int(self.draft.text[start] in '"“')  # words in capitals stand there without
            inner = self.draft.text[start + marks : end - marks]
            tail = inner[len(inner.rstrip(".,!?")) :]
            self.draft.put((start + marks, end - marks - len(tail)), instead, [claim.id])
            return
        # what is written there is not what was said, and cannot be read: take the quotation and its verb away
        match = re.search(
            r"(?:,)?\s+(?:that\s+)?(?:says?|saying|reads?|reading|written|with the words?|with the text)?\s*$",
            self.draft.text[:start],
        )
        low = match.start() if match else start
        self.draft.put((low, end), "", [claim.id])
