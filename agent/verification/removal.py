"""Taking things out of a text that are not in the picture: of a list the item, of a sentence the phrase, or the sentence.

What was seen of the phrase that goes is kept: "a cat on a bed in a room" without the bed is "a cat in a room"; a sentence
whose subject is not there says what else of it is ("There is a table next to a lamp.").
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from . import inflection, lexical
from .clauses import Clauses
from .structure import Item, Structure

_PLACED = frozenset(
    "in on at near behind under above below beside inside outside over among against beneath around along across down "
    "through alongside atop underneath opposite".split()
) | {"next to", "in front of", "left of", "right of"}  # fmt: skip
_NEEDY = frozenset(
    "look consist lead point belong depend make fill use equip".split()
)  # nothing without their object
_HOLD = frozenset("have has contain include feature show hold display".split())


class Removal(Clauses):
    """Removes entities (id -> the claim that says why) from every sentence of an extraction."""

    def run(self) -> None:
        sentences = sorted({m.sentence for e in self.gone for m in self.found.entities[e].mentions})
        for number in sentences:
            self._sentence(Structure(self.found, number))
        self._empty()

    def _empty(self) -> None:
        """A text of which nothing stays says so."""
        left = self.text
        for edit in sorted(self.draft.edits, key=lambda e: e.span, reverse=True):
            left = left[: edit.span[0]] + edit.after + left[edit.span[1] :]
        if left.strip(" .,!?\n") or not self.draft.edits:
            return
        claims = tuple(dict.fromkeys(c for e in self.draft.edits for c in e.claims))
        self.draft.edits.clear()
        self.draft.put((0, len(self.text)), "The picture does not show this.", claims)

    def _sentence(self, st: Structure) -> None:
        gone = [k for k in st.nominals() if self._is_gone(st, k)]
        self._owners(st)
        if gone and self._answer(st, gone[0]):
            return
        lists: dict[int, list[int]] = {}
        for k in gone:
            lists.setdefault(st.list_of(k)[0], []).append(k)

        def rank(first: int) -> tuple[int, int]:
            role = st.role(first)
            assert role is not None
            return (0 if role.kind in ("subject", "there") else 1, first)

        for first in sorted(lists, key=rank):
            chunk = st.chunks[lists[first][0]]
            if self.draft.taken((chunk.start, chunk.end)):
                continue
            items = st.items(first)
            kept = [item for item in items if item.chunk not in gone]
            claims = [self._claim(st, k) for k in lists[first]]
            if kept:
                self._thin(st, items, kept, claims)
            else:
                self._whole(st, items, claims)

    def _claim(self, st: Structure, k: int) -> str:
        return next(self.gone[i] for i in st.ids(k) if i in self.gone)

    # -- possessors and answers -----------------------------------------------------------------------------------

    def _owners(self, st: Structure) -> None:
        """ "a person's hand" -> "a hand"."""
        for entity in self.gone:
            for m in self.found.entities[entity].mentions:
                if not m.owner or m.sentence != st.number:
                    continue
                chunk = st.chunks[m.chunk]
                start, end = m.span
                end = next((t.end for t in chunk.tokens if t.start == start), end)
                rest = self.text[end:].lstrip()
                lead = re.search(r"\b(an?)\s+$", self.text[chunk.start : start], re.IGNORECASE)
                low = chunk.start + lead.start() if lead else start
                told = inflection.article(rest) + " " if lead else ""
                if low == st.sentence.start:
                    told = inflection.capitalised(told)
                self.draft.put((low, end + len(self.text[end:]) - len(rest)), told, [self.gone[entity]])

    def _answer(self, st: Structure, k: int) -> bool:
        """ "Yes, there is a dog, and it ..." -> "No, there is no dog in the image."."""
        told = self.text[st.sentence.start : st.sentence.end]
        if not re.match(r"yes\b", told, re.IGNORECASE):
            return False
        chunk = st.chunks[k]
        many = chunk.plural and chunk.kind == "np"
        name = (
            self.text[chunk.core : chunk.end] if chunk.core >= 0 else self.found.entities[st.ids(k)[0]].name
        )
        where = re.search(r"\bin (?:the|this) (?:image|picture|photo|scene)\b", told)
        said = f"No, there {'are' if many else 'is'} no {name} {where[0] if where else 'in the image'}."
        self.draft.put((st.sentence.start, st.sentence.end), said, [self._claim(st, k)])
        for number in range(
            st.number + 1, len(self.found.sentences)
        ):  # what is said of it further on goes too
            later = Structure(self.found, number)
            if any(self._is_gone(later, n) for n in later.nominals()):
                self._delete_sentence(later, [self._claim(st, k)])
        return True

    # -- lists --------------------------------------------------------------------------------------------------------

    def _span(self, st: Structure, item: Item) -> tuple[int, int]:
        return st.chunks[item.chunk].start, st.chunks[item.last].end

    def _thin(
        self, st: Structure, items: Sequence[Item], kept: Sequence[Item], claims: Sequence[str]
    ) -> None:
        """Take items out of a list and join the others as the list was joined."""
        between = self.text[self._span(st, items[-2])[1] : self._span(st, items[-1])[0]]
        joined = re.search(r"(and|or|as well as|along with|nor)\s*(?:with\s*|a\s*)?$", between.strip() + " ")
        word = joined[1] if joined else "and"
        oxford = "," in between or len(items) == 2
        role = st.role(items[0].chunk)
        assert role is not None
        start = self._span(st, items[0])[0]
        first = self._span(st, kept[0])[0]
        head = st.chunks[items[0].chunk].tokens
        if (
            len(kept) == 1 and head[0].low == "both" and kept[0] is items[0]
        ):  # "both" goes with the second one
            self._drop_word(st, start, head[1].start, claims)
        if first > start:
            capital = self.text[start].isupper() and start == st.sentence.start
            if capital:
                self.draft.put((start, first + 1), self.text[first].upper(), claims)
            else:
                self.draft.put((start, first), "", claims)
        for at, (one, two) in enumerate(pairwise(kept)):
            low, high = self._span(st, one)[1], self._span(st, two)[0]
            last = at == len(kept) - 2
            adjacent = items.index(two) == items.index(one) + 1
            has_word = bool(re.search(r"\w", self.text[low:high]))
            if (
                adjacent
                and (has_word == last or (has_word and "," not in self.text[low:high]))
                and len(kept) > 2
            ):
                continue
            if adjacent and has_word and "," not in self.text[low:high]:
                continue
            gap = f" {word} " if len(kept) == 2 else f"{',' if oxford else ''} {word} " if last else ", "
            self.draft.put((low, high), gap, claims)
        end = self._span(st, items[-1])[1]
        if (tail := self._span(st, kept[-1])[1]) < end:
            self.draft.put((tail, end), "", claims)
        single = st.chunks[kept[0].chunk]
        many = len(kept) > 1 or single.plural
        if role.kind == "subject" and not many:
            self._agree(st, items[0].chunk, False, claims)
        elif role.kind == "there" and kept[0] is not items[0]:
            self._agree(
                st,
                items[0].chunk,
                single.plural or (len(kept) > 1 and st.chunks[items[0].chunk].plural),
                claims,
            )
        elif role.kind == "there" and len(kept) == 1:
            self._agree(st, items[0].chunk, single.plural, claims)
        if len(kept) == 1:
            both = re.search(r"\bboth\s+$", self.text[:start], re.IGNORECASE)
            if both:
                self.draft.put((both.start(), start), "", claims)
            if role.word == "between":
                prep = st.chunks[items[0].chunk - 1]
                self.draft.put((prep.start, prep.end), "next to", claims)

    # -- whole phrases --------------------------------------------------------------------------------------------------

    def _whole(self, st: Structure, items: Sequence[Item], claims: Sequence[str]) -> None:
        role = st.role(items[0].chunk)
        assert role is not None
        if role.kind == "prep":
            self._prepositional(st, items, claims)
        elif role.kind == "object":
            self._object(st, items, claims)
        else:
            self._subject(st, items, claims)

    def _kept_within(self, st: Structure, item: Item) -> int | None:
        """The first seen thing that the phrase of an item carries, to be kept; None where nothing of it is worth keeping."""
        for k in range(item.chunk + 1, item.last + 1):
            named = (
                st.nominal(k)
                and st.chunks[k].kind == "np"
                and not st.chunks[k].owner
                and not self._is_gone(st, k)
            )
            if named and any(self.found.entities[i].visible for i in st.ids(k)):
                return k
        return None

    def _prepositional(self, st: Structure, items: Sequence[Item], claims: Sequence[str]) -> None:
        head, end = items[0].chunk, st.chunks[items[-1].last].end
        p = head - 1
        while p > 0 and st.chunks[p].kind not in ("prep", "neg", "conj"):
            p -= 1
        prep = st.chunks[p]
        if len(items) == 1 and (keep := self._kept_within(st, items[0])) is not None:
            self._promote(st, p, head, keep, claims)
            return
        before = st.chunks[p - 1] if p else None
        after = st.chunks[items[-1].last + 1] if items[-1].last + 1 < len(st.chunks) else None
        if before is None or (p == st.clause(head)[0] and before.kind in ("comma", "conj")):
            self._opening(st, p, items[-1].last, claims)
            return
        first = st.role(head)
        assert first is not None
        if before.kind == "aux" or (before.kind == "neg" and before.word.endswith("n't")):
            self._predicate(st, p, end, claims)
            return
        low = before.end
        if before.kind == "comma":
            low = before.start
            if after is not None and after.kind == "comma" and after.word == ",":
                end = after.end
        elif before.kind == "conj" and before.word in ("and", "or", "but"):
            low = st.chunks[p - 2].end if p >= 2 else before.start
        elif before.kind == "verb" and before.word in _NEEDY:
            if p >= 2 and st.chunks[p - 2].kind == "aux":
                self.draft.put(
                    (st.chunks[head].start, st.chunks[items[-1].chunk].end), self._something(st, head), claims
                )
                return
            low = st.chunks[p - 2].end if p >= 2 else before.start
        elif before.kind == "adj" and prep.word in ("with", "of"):
            low = st.chunks[p - 2].end if p >= 2 else before.start
            if p >= 2 and st.chunks[p - 2].kind == "aux":
                self._predicate(st, p - 1, end, claims)
                return
        self.draft.put((low, end), "", claims)

    def _promote(self, st: Structure, p: int, head: int, keep: int, claims: Sequence[str]) -> None:
        """Drop the thing at `head` but keep what of its phrase was seen, the thing at `keep`."""
        k = keep - 1
        while k > head and st.chunks[k].kind != "prep":
            k -= 1
        inner = st.chunks[k] if k > head else None
        outer = st.chunks[p]
        if inner is not None and inner.word in _PLACED and outer.kind == "prep" and outer.word != "with":
            self._drop_word(st, outer.start, inner.start, claims)
        elif (inner is not None and inner.word == "of") or outer.word in (
            "next to",
            "near",
            "with",
            "beside",
            "including",
        ):
            self.draft.put((st.chunks[head].start, st.chunks[keep].start), "", claims)
        else:
            told = "Near " if outer.start == st.sentence.start else "near "
            self.draft.put((outer.start, st.chunks[keep].start), told, claims)

    def _opening(self, st: Structure, p: int, last: int, claims: Sequence[str]) -> None:
        """A phrase in front of its clause: "On the table, a cat sleeps." -> "A cat sleeps."."""
        following = last + 1
        while following < len(st.chunks) and st.chunks[following].kind == "comma":
            following += 1
        if following >= len(st.chunks) or st.chunks[following].kind == "other":
            self._delete_sentence(st, claims)
            return
        start = st.chunks[p].start
        to = st.chunks[following].start
        if start == st.sentence.start:
            self.draft.put((start, to + 1), self.text[to].upper(), claims)
        else:
            self.draft.put((start, to), "", claims)

    def _predicate(self, st: Structure, p: int, end: int, claims: Sequence[str]) -> None:
        """The phrase is all that the clause says of its subject: "The cat is on a bed."."""
        start, stop = st.clause(p)
        verb = st.predicate(start, stop)
        following = next((k for k in range(p, stop) if st.chunks[k].start >= end), None)
        if following is not None and st.chunks[following].kind in ("conj", "comma") and following + 1 < stop:
            nxt = following + 1  # "is on a bed and sleeping", "is on a bed, sleeping"
            while nxt < stop and st.chunks[nxt].kind in ("conj", "comma", "adv"):
                nxt += 1
            if nxt < stop and st.chunks[nxt].kind in ("verb", "prep", "adj"):
                self.draft.put((st.chunks[p].start, st.chunks[nxt].start), "", claims)
                return
        subject = [
            k for k in st.nominals(start, stop) if (r := st.role(k)) is not None and r.kind == "subject"
        ]
        if not subject or verb is None:
            self.draft.put((st.chunks[p - 1].end if p else st.chunks[p].start, end), "", claims)
            return
        if all(self._elsewhere(st, k) for k in subject):
            self._delete_clause(st, start, stop, claims)
            return
        self._there(st, start, stop, subject, claims)

    def _object(self, st: Structure, items: Sequence[Item], claims: Sequence[str]) -> None:
        head = items[0].chunk
        role = st.role(head)
        assert role is not None
        v = role.first
        verb = st.chunks[v]
        keep = self._kept_within(st, items[0]) if len(items) == 1 else None
        if keep is not None and st.chunks[keep - 1].word == "of":
            self.draft.put((st.chunks[head].start, st.chunks[keep].start), "", claims)
            return
        last = items[-1].chunk if keep is not None else items[-1].last
        end = st.chunks[last].end
        b = v - 1
        while b >= 0 and st.chunks[b].kind == "adv":
            b -= 1
        before = st.chunks[b] if b >= 0 else None
        after = st.chunks[last + 1] if last + 1 < len(st.chunks) else None
        if before is not None and before.kind == "aux" and b and st.chunks[b - 1].kind == "rel":
            b, before = b - 1, st.chunks[b - 1]  # "a dog that is wearing a hat"
        if before is not None and before.kind in ("np", "pron") and verb.form in ("ing", "ed"):
            if after is not None and after.kind == "conj" and self._verb_at(st, last + 2, verb.form):
                self.draft.put((verb.start, st.chunks[last + 2].start), "", claims)
            else:
                self.draft.put((before.end, end), "", claims)
        elif before is not None and before.kind == "conj" and before.word in ("and", "but", "or"):
            low = st.chunks[b - 1].end if b >= 1 else before.start
            if b >= 1 and st.chunks[b - 1].kind == "comma":
                low = st.chunks[b - 1].start
            self.draft.put((low, end), "", claims)
        elif before is not None and before.kind == "comma" and verb.form in ("ing", "ed"):
            close = after is not None and after.kind == "comma" and after.word == ","
            self.draft.put((before.start, after.end if close and after is not None else end), "", claims)
        elif before is not None and before.kind == "prep":
            self.draft.put((st.chunks[b - 1].end if b else before.start, end), "", claims)
        elif before is not None and before.kind == "rel":
            low = st.chunks[b - 1].end if b else before.start
            if b and st.chunks[b - 1].kind == "comma":
                low = st.chunks[b - 1].start
            self.draft.put((low, end), "", claims)
        elif after is not None and after.kind == "conj" and self._verb_at(st, last + 2):
            self.draft.put((verb.start, st.chunks[last + 2].start), "", claims)
        elif verb.word in _HOLD and (verb.word == "have" or not self._acts(role.source)):
            self._subject(st, items, claims)
        else:
            self.draft.put(
                (st.chunks[head].start, st.chunks[items[-1].chunk].end), self._something(st, head), claims
            )

    def _acts(self, ids: Sequence[int]) -> bool:
        """Whether somebody does it: a person or an animal."""
        names = [self.found.entities[i].name for i in ids]
        return any(lexical.kind_of(n, "person") or lexical.kind_of(n, "animal") for n in names)

    def _verb_at(self, st: Structure, k: int, form: str = "") -> bool:
        return k < len(st.chunks) and st.chunks[k].kind == "verb" and form in ("", st.chunks[k].form)

    def _something(self, st: Structure, k: int) -> str:
        ids = st.ids(k)
        return (
            "someone" if ids and lexical.kind_of(self.found.entities[ids[0]].name, "person") else "something"
        )

    # -- clauses and sentences ----------------------------------------------------------------------------------------
