"""Clauses that lose their subject or go as a whole: what else of them was seen is said on its own, the rest is deleted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from . import inflection, lexical
from .claims import Extraction
from .structure import Item, Structure

if TYPE_CHECKING:
    from .correction import Draft


class Clauses:
    """Edits of whole clauses and of their verbs; `gone` are the entities to be removed, each with the claim that says why."""

    def __init__(self, found: Extraction, gone: Mapping[int, str], draft: Draft) -> None:
        self.found, self.gone, self.draft = found, gone, draft
        self.text = found.text

    def _is_gone(self, st: Structure, k: int) -> bool:
        ids = [i for i in st.ids(k) if any(m.chunk == k and m.sentence == st.number and not m.owner
                                           for m in self.found.entities[i].mentions)]  # fmt: skip
        return bool(ids) and all(i in self.gone for i in ids)

    def _agree(self, st: Structure, i: int, many: bool, claims: Sequence[str]) -> None:
        start, stop = st.clause(i)
        role = st.role(i)
        if role is not None and role.kind == "there":
            start = min(start, role.first)
        verb = st.predicate(start, stop)
        if verb is not None:
            token = st.chunks[verb].tokens[0]
            self.draft.put((token.start, token.end), inflection.agreeing(token.text, many), claims)

    def _drop_word(self, st: Structure, start: int, at: int, claims: Sequence[str]) -> None:
        """Delete up to character `at`; what then opens the sentence has a capital."""
        if start == st.sentence.start:
            self.draft.put((start, at + 1), self.text[at].upper(), claims)
        else:
            self.draft.put((start, at), "", claims)

    def _subject(self, st: Structure, items: Sequence[Item], claims: Sequence[str]) -> None:
        """The clause is about what is not there: keep what else of it is seen and is said nowhere else."""
        start, stop = st.clause(items[0].chunk)
        role = st.role(items[0].chunk)
        if role is not None and role.kind == "there":
            start = min(start, role.first)
        kept = [
            k for k in st.nominals(start, stop)
            if not self._is_gone(st, k) and st.chunks[k].kind == "np" and not self._elsewhere(st, k)
            and any(self.found.entities[i].visible and not self.found.entities[i].denied for i in st.ids(k))
        ]  # fmt: skip
        if not kept:
            self._delete_clause(st, start, stop, claims)
            return
        self._there(st, start, stop, kept, claims)

    def _elsewhere(self, st: Structure, k: int) -> bool:
        """Whether what chunk k names is named in another sentence too."""
        return all(
            any(m.sentence != st.number and not m.pronoun for m in self.found.entities[i].mentions)
            for i in st.ids(k)
        )

    def _there(
        self, st: Structure, start: int, stop: int, kept: Sequence[int], claims: Sequence[str]
    ) -> None:
        """Say of a clause only that some of its things are there."""
        parts: list[str] = []
        done = -1
        for k in kept:
            if k <= done:
                continue
            last = st.carried(k)
            while last > k and any(self._is_gone(st, n) for n in st.nominals(k + 1, last + 1)):
                last = next(n for n in st.nominals(k + 1, last + 1) if self._is_gone(st, n)) - 1
                while last > k and st.chunks[last].kind in ("prep", "verb", "conj", "comma", "adv"):
                    last -= 1
            done = last
            parts.append(self._indefinite(st, k, last))
        told = (
            parts[0]
            if len(parts) == 1
            else f"{', '.join(parts[:-1])}{',' if len(parts) > 2 else ''} and {parts[-1]}"
        )
        verb = st.predicate(start, stop)
        if verb is not None:
            many = st.chunks[kept[0]].plural and not (
                st.chunks[kept[0]].measure and st.chunks[verb].tokens[0].low in ("is", "was", "has")
            )
            told = f"there {'are' if many else 'is'} {told}"
        low, high = st.chunks[start].start, st.chunks[stop - 1].end
        if low == st.sentence.start:
            told = inflection.capitalised(told)
        self.draft.put((low, high), told, claims)

    def _indefinite(self, st: Structure, k: int, last: int) -> str:
        """The phrase from k to `last` as it introduces a thing: "the table" and "its table" become "a table"."""
        chunk = st.chunks[k]
        told = st.text(k, last)
        owned = any(t.low.endswith(("'s", "s'")) for t in chunk.tokens)
        if (
            (chunk.determiner in ("the", "this", "that") or chunk.owner)
            and not owned
            and not chunk.number_tokens
        ):
            first = chunk.tokens[0].text
            rest = told[len(first) :].lstrip()
            if lexical.file_of(chunk.name) != lexical.SUBSTANCE:
                told = rest if chunk.plural else f"{inflection.article(rest)} {rest}"
        return inflection.lowered(told)

    def drop_clause(self, sentence: int, at: int, claims: Sequence[str]) -> None:
        """Take away the clause in which character `at` stands."""
        st = Structure(self.found, sentence)
        k = next((i for i, c in enumerate(st.chunks) if c.start <= at < c.end), 0)
        self._delete_clause(st, *st.clause(k), claims)

    def _delete_clause(self, st: Structure, start: int, stop: int, claims: Sequence[str]) -> None:
        chunks = st.chunks
        rest = [
            c
            for k, c in enumerate(chunks)
            if not start <= k < stop and c.kind not in ("comma", "conj", "other", "adv")
        ]
        if not rest:
            self._delete_sentence(st, claims)
            return
        if any(k < start and chunks[k].kind not in ("comma", "conj", "adv") for k in range(start)):
            k = start
            while k > 0 and chunks[k - 1].kind in ("comma", "conj"):
                k -= 1
            low = chunks[k - 1].end
            self.draft.put((low, chunks[stop - 1].end), "", claims)
            return
        k = stop
        while k < len(chunks) and chunks[k].kind in ("comma", "conj"):
            k += 1
        to = chunks[k].start
        while start > 0 and chunks[start - 1].kind in ("conj", "comma"):
            start -= 1  # "While ..."
        self.draft.put((chunks[start].start, to + 1), self.text[to].upper(), claims)

    def _delete_sentence(self, st: Structure, claims: Sequence[str]) -> None:
        start, end = st.sentence.start, st.sentence.end
        lead = len(self.text[:start]) - len(self.text[:start].rstrip())
        if lead and st.number:
            start -= lead
        else:
            end += len(self.text[end:]) - len(self.text[end:].lstrip())
        self.draft.put((start, end), "", claims)
