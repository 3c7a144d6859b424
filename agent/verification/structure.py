"""How the phrases of a sentence hang together: what a noun phrase carries with it, its list, its clause."""

from __future__ import annotations

from dataclasses import dataclass

from .claims import Extraction, Role
from .tokens import Chunk

_BREAKS = (
    "while",
    "as",
    "when",
    "but",
    "because",
    "so",
    "whereas",
    "although",
    "though",
    "if",
    "then",
    "until",
)


@dataclass(frozen=True, slots=True)
class Item:
    """A noun phrase as one of a list: its chunk, and the last chunk of what it carries (its prepositions, participles)."""

    chunk: int
    last: int


class Structure:
    """One sentence's phrases."""

    def __init__(self, found: Extraction, sentence: int) -> None:
        self.found, self.number = found, sentence
        self.sentence = found.sentences[sentence]
        self.chunks = self.sentence.chunks

    def role(self, i: int) -> Role | None:
        return self.found.roles.get((self.number, i))

    def ids(self, i: int) -> list[int]:
        return self.found.by_chunk.get((self.number, i), [])

    def nominal(self, i: int) -> bool:
        return self.chunks[i].kind in ("np", "pron") and self.role(i) is not None

    def nominals(self, start: int = 0, stop: int | None = None) -> list[int]:
        return [i for i in range(start, len(self.chunks) if stop is None else stop) if self.nominal(i)]

    def carried(self, i: int) -> int:
        """The last chunk of what the noun phrase at i carries: phrases about it, and phrases about those."""
        owned = set(self.ids(i))
        if not owned:
            return i
        last = i
        siblings = set(self.list_of(i)) - {i}
        for k in self.nominals(i + 1):
            if k in siblings:
                break
            role = self.role(k)
            assert role is not None
            if (
                role.kind in ("prep", "object")
                and role.first > i
                and role.source
                and set(role.source) <= owned
            ):
                if self._main_verb(role.first, i):
                    break
                owned |= set(self.ids(k))
                last = k
            else:
                break
        following = last + 1
        # a participle or adjective right behind it ("a door open", "a dog sleeping")
        while following < len(self.chunks) and self.chunks[following].kind in ("verb", "adj", "adv", "prep"):
            chunk = self.chunks[following]
            if chunk.kind == "verb" and chunk.form not in ("ing", "ed"):
                break
            if chunk.kind == "adv" and chunk.word == "here":
                break  # "in the picture" belongs to the sentence
            if (
                chunk.kind == "prep"
                and following + 1 < len(self.chunks)
                and self.chunks[following + 1].kind in ("np", "pron")
            ):
                break
            if chunk.kind == "verb" and not self._ends_with(following):
                break
            last = following
            following += 1
        return last

    def _ends_with(self, verb: int) -> bool:
        """Whether a verb has nothing behind it that is not its own: the phrase may be dropped with it."""
        return verb + 1 >= len(self.chunks) or self.chunks[verb + 1].kind in (
            "comma",
            "conj",
            "other",
            "adv",
            "prep",
        )

    def _main_verb(self, first: int, i: int) -> bool:
        """Whether the phrase beginning at `first` is the finite predicate of the clause whose subject stands at i."""
        chunk = self.chunks[first]
        if any(self.chunks[k].kind in ("aux", "neg", "conj") for k in range(i + 1, first)):
            return True
        if chunk.kind == "verb" and chunk.form == "s":
            return True
        return chunk.kind == "verb" and chunk.form == "base" and self.chunks[i].plural

    def list_of(self, i: int) -> list[int]:
        """The chunks of the noun phrases in one list with that at i, in order; itself alone where there is none."""
        role = self.role(i)
        if role is None:
            return [i]
        members = [k for k in self.nominals() if self.role(k) is role]
        return members if i in members else [i]

    def items(self, i: int) -> list[Item]:
        """The list that i stands in, each item with what it carries."""
        members = self.list_of(i)
        made = []
        for at, k in enumerate(members):
            stop = members[at + 1] if at + 1 < len(members) else None
            last = self.carried(k)
            if stop is not None:
                last = min(last, stop - 1)
                while last > k and self.chunks[last].kind in ("comma", "conj"):
                    last -= 1
            made.append(Item(k, last))
        return made

    def clause(self, i: int) -> tuple[int, int]:
        """The clause (chunks, end exclusive) around chunk i: between connectives that join clauses."""
        start, stop = 0, len(self.chunks)
        for k, chunk in enumerate(self.chunks):
            opens = chunk.kind == "conj" and (
                chunk.word in _BREAKS or (chunk.word in ("and", "or") and self._subject_follows(k))
            )
            if chunk.kind == "comma" and chunk.word in (";", ":"):
                opens = True
            if chunk.kind == "comma" and self._subject_follows(k):
                opens = True
            if opens and k < i:
                start = k + 1
            elif opens and k > i:
                stop = k
                break
        if stop == len(self.chunks):
            while (
                stop > start
                and self.chunks[stop - 1].kind == "other"
                and self.chunks[stop - 1].tokens[0].text in ".!?。"
            ):
                stop -= 1
        while stop > i + 1 and self.chunks[stop - 1].kind == "comma":
            stop -= 1
        return start, stop

    def _subject_follows(self, k: int) -> bool:
        following = k + 1
        while following < len(self.chunks) and self.chunks[following].kind in ("adv", "conj"):
            following += 1
        if following >= len(self.chunks):
            return False
        if self.chunks[following].kind == "there":
            return True
        role = self.role(following)
        return role is not None and role.kind == "subject" and self.list_of(following)[0] == following

    def predicate(self, start: int, stop: int) -> int | None:
        """The finite verb or auxiliary of the clause in these chunks; None for a fragment ("A plate with a hot dog.")."""
        for k in range(start, stop):
            chunk = self.chunks[k]
            before = self.chunks[k - 1].kind if k else ""
            helps = chunk.kind == "aux" or (chunk.kind == "neg" and chunk.word.endswith("n't"))
            if helps and before != "rel":
                return k
            finite = chunk.form == "s" or (chunk.form == "base" and self._plural_before(k))
            if chunk.kind == "verb" and finite and before not in ("rel", "prep"):
                return k
        return None

    def _plural_before(self, k: int) -> bool:
        return any(self.chunks[i].plural or len(self.list_of(i)) > 1 for i in self.nominals(0, k))

    def text(self, first: int, last: int) -> str:
        """The words from chunk `first` to chunk `last`, both included."""
        return self.found.text[self.chunks[first].start : self.chunks[last].end]


def token_after(chunk: Chunk, at: int) -> str:
    """The rest of a chunk's words behind character `at`."""
    return " ".join(t.text for t in chunk.tokens if t.start >= at)
