"""One sentence, chunk by chunk: who does what to whom, and where; each phrase makes its claims as it is read."""

from __future__ import annotations

from typing import Any

from .claims import Extraction, Mention, Role, Span
from .referents import Referents
from .tokens import Chunk, words

_SKIP_VERBS = frozenset(
    "be have do show feature depict include contain display capture seem appear look see".split()
)
_HOLDERS = frozenset(
    "show feature depict include contain display capture see showcase portray reveal have".split()
)


class Reader:
    """Reads one sentence of an extraction into it."""

    def __init__(self, found: Extraction, number: int) -> None:
        self.found = found
        self.number = number
        self.chunks = found.sentences[number].chunks
        self.words = words()
        self.referents = Referents(found, number)
        self.subject: tuple[int, ...] = ()  # of the clause
        self.doer: tuple[int, ...] = ()  # of the verb in force
        self.last: tuple[int, ...] = ()  # the noun phrases named last, those of one list together
        self.role = Role("loose", 0)
        self.verb: int | None = None  # chunk of the verb in force
        self.aux = False
        self.main = False  # whether the clause has its finite verb
        self.negative = False
        self.comma = False
        self.joined = False
        self.infinitive = False  # "to hit the ball": meant, not seen

    def run(self) -> None:
        for i, chunk in enumerate(self.chunks):
            handler = getattr(self, f"_{chunk.kind}", None)
            if handler is not None:
                handler(i, chunk)
            if chunk.kind not in ("comma", "conj", "adv", "adj", "neg"):
                self.comma = self.joined = False
        self._close_verb(len(self.chunks))

    # -- one kind of chunk each ---------------------------------------------------------------------------------

    def _there(self, i: int, chunk: Chunk) -> None:
        self._close_verb(i)
        self.role, self.subject, self.verb = Role("there", i), (), None
        self.last = ()
        self.aux = self.main = True

    def _np(self, i: int, chunk: Chunk) -> None:
        ids = self.referents.named(i, chunk)
        listed = (self.comma or self.joined) and not self._opens_clause(i) and bool(self.last)
        if not listed:
            self._place(i)
        self.found.roles[self.number, i] = self.role
        if self.role.kind == "subject":
            self.subject = (*self.subject, *ids) if listed else ids
        elif self.role.kind == "there":
            self.subject = (*self.subject, *ids)
        self.last = (*self.last, *ids) if listed else ids
        self._tell(i, chunk, ids)

    def _place(self, i: int) -> None:
        """What the noun phrase at chunk i does, when it does not go on with a list."""
        before = self.chunks[i - 1] if i else None
        pending = self.role
        if pending.kind == "prep_open":
            self.role = Role("prep", pending.first, pending.source, pending.word)
        elif self.verb is not None and self.chunks[self.verb].kind == "verb" and self._touches(self.verb, i):
            self.role = Role("object", self.verb, self.doer, self.chunks[self.verb].word)
            self.verb = None
        elif pending.kind == "there" and not self.last:
            pass
        elif before is not None and before.kind == "aux" and self.subject and self.aux:
            self.role = Role("loose", i, self.subject, "be")
        else:
            self._close_verb(i)
            self.role = Role("subject", i)
            self.subject, self.doer, self.aux, self.negative = (), (), False, self._negated_before(i)
            self.main = False

    def _negated_before(self, i: int) -> bool:
        return i > 0 and self.chunks[i - 1].kind == "neg" and self.chunks[i - 1].word in ("nor", "neither")

    def _touches(self, verb: int, i: int) -> bool:
        return all(self.chunks[k].kind in ("adv", "adj", "neg") for k in range(verb + 1, i))

    def _opens_clause(self, i: int) -> bool:
        """Whether the noun phrase at i is the subject of a verb of its own ("..., and a man is walking")."""
        k = i + 1
        while k < len(self.chunks) and self.chunks[k].kind in ("adv", "neg"):
            k += 1
        if k >= len(self.chunks):
            return False
        following = self.chunks[k]
        if following.kind == "aux" or (following.kind == "verb" and following.form == "s"):
            return not self._in_subject_list() and (self.main or not self.subject)
        return False

    def _in_subject_list(self) -> bool:
        return self.role.kind == "subject" and self.verb is None and not self.aux

    def _pron(self, i: int, chunk: Chunk) -> None:
        ids = self.referents.antecedent(chunk)
        for one in ids:
            self.found.entities[one].mentions.append(Mention((chunk.start, chunk.end), self.number, i, True))
        listed = (self.comma or self.joined) and not self._opens_clause(i) and bool(self.last)
        if not listed:
            self._place(i)
        self.found.roles[self.number, i] = self.role
        self.found.by_chunk[self.number, i] = list(ids)
        if self.role.kind in ("subject", "there") and ids:
            self.subject = ids
        if ids:
            self.last = ids
        if self.role.kind in ("prep", "object") and ids:
            self._relate(i, chunk, ids)
        if chunk.number is not None and chunk.number_tokens and ids and self.role.kind == "there":
            span = (chunk.number_tokens[0].start, chunk.number_tokens[-1].end)
            value = f"{chunk.number}{'+' if chunk.least else ''}"
            self.found.claim("count", span, ids[:1], self.number, value=value, polarity=not self.negative)

    def _aux(self, i: int, chunk: Chunk) -> None:
        self._close_verb(i)
        if self.role.kind == "prep_open":
            self.role = Role("loose", i)
        if self.chunks[i - 1].kind == "rel" if i else False:
            self.doer = self.last
        else:
            self.doer = self.subject or self.last
            self.main = True
        self.aux, self.negative = True, False

    def _neg(self, i: int, chunk: Chunk) -> None:
        if chunk.word == "without":
            self._open_prep(i, "without")
            return
        self.negative = True
        if chunk.word.endswith("n't"):
            self._close_verb(i)
            self.doer, self.aux = self.subject or self.last, True

    def _rel(self, i: int, chunk: Chunk) -> None:
        self._close_verb(i)
        self.doer, self.aux = self.last, False
        if self.role.kind == "prep_open":
            self.role = Role("loose", i)

    def _conj(self, i: int, chunk: Chunk) -> None:
        if chunk.word in ("and", "or", "nor", "but"):
            self.joined = True
            if chunk.word == "but":
                self.negative = False
        elif chunk.word == "such as":
            self._open_prep(i, "such as")
        else:
            self._close_verb(i)
            self.last = ()
            self.role = Role("loose", i)
            self.negative = False

    def _comma(self, i: int, chunk: Chunk) -> None:
        self.comma = True
        if chunk.word in (";", ":"):
            self._close_verb(i)
            self.role, self.last = Role("loose", i), ()

    def _verb(self, i: int, chunk: Chunk) -> None:
        self._close_verb(i)
        previous = next(
            (self.chunks[k] for k in range(i - 1, -1, -1) if self.chunks[k].kind not in ("adv", "adj")), None
        )
        if previous is not None and previous.kind == "np" and chunk.form in ("ing", "ed", "base"):
            self.doer = self.last
            if chunk.form == "base" and self.role.kind == "subject":
                self.doer = self.subject
        elif previous is not None and previous.kind in ("aux", "neg"):
            pass  # its subject was set by the auxiliary
        elif previous is not None and previous.kind in ("comma", "conj"):
            self.doer = self.doer or self.subject or self.last
            if previous.kind == "comma" and self.subject:
                self.doer = self.subject
        elif previous is not None and previous.kind in ("rel", "pron"):
            self.doer = self.last
        elif previous is not None and previous.kind == "prep":
            self.doer = self.doer or self.subject
        else:
            self.doer = self.subject or self.last
            self.main = self.main or chunk.form == "s"
        self.infinitive = previous is not None and previous.kind == "prep" and previous.word == "to"
        self.verb = i
        self.role = Role("loose", i)

    def _prep(self, i: int, chunk: Chunk) -> None:
        self._open_prep(i, chunk.word)

    def _open_prep(self, i: int, word: str) -> None:
        after_verb = self.verb is not None and self._touches(self.verb, i)
        previous = self.chunks[i - 1] if i else None
        if after_verb and self.verb is not None:
            source, first = self.doer, self.verb
        elif (
            previous is not None
            and previous.kind == "comma"
            and word in ("with", "including", "such as", "featuring", "without")
        ):
            source, first = (self.last if word in ("including", "such as") else self.subject or self.last), i
        elif previous is not None and previous.kind in ("aux", "neg", "adj"):
            source, first = self.subject or self.last, i
        elif previous is not None and previous.kind == "conj":
            source, first = self.role.source or self.subject or self.last, i
        else:
            source, first = self.last[-1:] or self.subject, i
            if self.role.kind in ("subject", "there") and len(self.last) > 1 and self.role.kind == "there":
                source = self.last[-1:]
        self.role = Role("prep_open", first, source, word)
        if not after_verb:
            self._close_verb(i)

    def _adj(self, i: int, chunk: Chunk) -> None:
        about = self.doer or self.subject if self.aux else self.last[-1:]
        skill = i + 1 < len(self.chunks) and self.chunks[i + 1].kind == "verb"  # "is water skiing"
        if about and not skill and chunk.word not in self.words["plain_modifiers"]:
            self._attribute((chunk.start, chunk.end), chunk.word, about[:1])

    def _quote(self, i: int, chunk: Chunk) -> None:
        about = self.last[-1:] or self.subject[:1]
        told = self.found.text[chunk.start : chunk.end]
        self.found.claim(
            "text", (chunk.start, chunk.end), about, self.number, value=told.strip(" .,\"“”"),
            polarity=not self.negative,
        )  # fmt: skip
        self.verb = None

    # -- claims ---------------------------------------------------------------------------------------------------

    def _tell(self, i: int, chunk: Chunk, ids: tuple[int, ...]) -> None:
        entity = self.found.entities[ids[-1]]
        denied = chunk.determiner == "no" or self.role.word == "without" or (
            self.negative and self.role.kind in ("there", "object", "loose", "subject")
        )  # fmt: skip
        none = chunk.number == 0  # "0 dogs" is a count, and says of nothing that it is there
        if (denied or none) and len(entity.mentions) == 1:
            entity.denied = True
        if len(entity.mentions) == 1 and entity.visible and not none:
            self.found.claim(
                "existence", (chunk.start, chunk.end), ids[-1:], self.number, polarity=not denied
            )
        if not entity.visible:
            if self.role.kind == "object" and self.role.source and not self._holds_picture():
                span = (self.chunks[self.role.first].start, chunk.end)
                self.found.claim("other", span, self.role.source[:1], self.number, value=self.role.word)
        elif (
            not denied
            and chunk.number is not None
            and chunk.number_tokens
            and not _same(chunk.number_tokens, chunk.measure)
        ):
            span = (chunk.number_tokens[0].start, chunk.number_tokens[-1].end)
            value = f"{chunk.number}{'+' if chunk.least else ''}"
            self.found.claim("count", span, ids[-1:], self.number, value=value)
        if entity.visible:
            for token in chunk.modifiers:
                if token.text[0].isalpha() and token.low not in self.words["plain_modifiers"] and (
                    token.low not in self.words["conjunctions"] and not token.low.endswith(("'s", "s'", "ly"))
                ):  # fmt: skip
                    self._attribute((token.start, token.end), token.low, ids[-1:])
            if len(chunk.head) > 1 and chunk.head[0].low in self.words["materials"]:
                token = chunk.head[0]
                self._attribute((token.start, token.end), token.low, ids[-1:])
            if self.role.kind in ("prep", "object"):
                self._relate(i, chunk, ids[-1:])

    def _holds_picture(self) -> bool:
        """Whether the verb only says that the picture shows something."""
        return self.role.word in _HOLDERS and not any(
            self.found.entities[r].visible for r in self.role.source
        )

    def _relate(self, i: int, chunk: Chunk, ids: tuple[int, ...]) -> None:
        role = self.role
        if role.word in ("of", "without", "including", "such as", "like", "as", "featuring", "for", "about"):
            return
        sources = [r for r in role.source if self.found.entities[r].visible and r not in ids]
        if not sources or (role.kind == "object" and role.word in _HOLDERS | {"be"}):
            return
        start = self.chunks[role.first].start
        if any(self.chunks[k].kind in ("np", "pron") for k in range(role.first, i)):
            start = chunk.start  # a later one of a list: its own words alone
        if self.chunks[role.first].kind == "verb" and role.kind == "prep":
            value = role.word
            verb = self.chunks[role.first].word
            if role.word not in _PLACES:
                value = f"{verb} {role.word}"
        else:
            value = role.word
        for source in sources:
            self.found.claim(
                "relation",
                (start, chunk.end),
                (source, ids[-1]),
                self.number,
                value=value,
                polarity=not self.negative,
            )

    def _attribute(self, span: Span, word: str, about: tuple[int, ...]) -> None:
        if not about or not self.found.entities[about[-1]].visible:
            return
        aspect = (
            "color" if word in self.words["colors"] else "size" if word in self.words["sizes"]
            else "material" if word in self.words["materials"] else "state"
        )  # fmt: skip
        value = {"grey": "gray"}.get(word, word)
        self.found.claim(
            "attribute", span, about[-1:], self.number, value=value, aspect=aspect, polarity=not self.negative
        )

    def _close_verb(self, i: int) -> None:
        """A verb that found no object: what its subject does is a state of it ("is smiling")."""
        if self.verb is None:
            return
        chunk = self.chunks[self.verb]
        following = [self.chunks[k] for k in range(self.verb + 1, min(i + 1, len(self.chunks)))]
        if any(c.kind in ("prep", "quote", "np", "pron") for c in following[:2]):
            self.verb = None
            return
        about = self.doer[:1]
        if (
            about
            and not self.infinitive
            and chunk.word not in _SKIP_VERBS
            and self.found.entities[about[0]].visible
        ):
            self._attribute((chunk.start, chunk.end), chunk.tokens[0].low, about)
        self.verb = None


_PLACES = frozenset(
    "on in at near behind under above below beneath beside inside outside over between among against onto into atop "
    "underneath alongside amid with".split()
) | {"next to", "in front of", "left of", "right of", "opposite", "surrounded by", "attached to"}


def _same(tokens: list[Any], others: list[Any]) -> bool:
    return bool(others) and tokens[0] is others[0]
