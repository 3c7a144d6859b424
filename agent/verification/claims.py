"""A text about a picture as atomic claims, each with the characters in which it is made.

| kind | its span | value |
|---|---|---|
| existence | the noun phrase of the first mention | - |
| count | the number, or the words that stand for one | "2", or "3+" for three or more |
| attribute | the adjective or participle | the word; `aspect` is color, size, material or state |
| relation | from the verb or preposition to the end of the other thing | the predicate ("on", "ride", "next to") |
| text | the quotation | what is written |
| other | the verb and what belongs to it | - |

What the text denies ("there is no dog", "without a hat") is a claim with polarity False. An entity is claimed once, however
often it is named; all its mentions are kept, since a correction must reach every one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from . import lexical
from .parsing import Chunk, Sentence, sentences, words

Kind = Literal["existence", "count", "attribute", "relation", "text", "other"]
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Mention:
    """Where an entity is named: the noun phrase or pronoun, its sentence and chunk."""

    span: Span
    sentence: int
    chunk: int
    pronoun: bool = False
    owner: bool = False  # the possessor of "the man's hat": a part of another phrase


@dataclass(slots=True)
class Entity:
    """Something that the text speaks of. `name` is its noun in the singular; `visible` whether a picture can show it."""

    id: int
    name: str
    plural: bool = False
    number: int | None = None
    least: bool = False
    visible: bool = True
    denied: bool = False
    mentions: list[Mention] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Claim:
    """One atomic claim. `refs` are the ids of its entities, the one that it is about first."""

    id: str
    kind: Kind
    text: str
    span: Span
    entities: tuple[str, ...]
    refs: tuple[int, ...]
    value: str = ""
    aspect: str = ""
    polarity: bool = True
    sentence: int = 0

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id, "kind": self.kind, "text": self.text, "span": list(self.span),
            "polarity": self.polarity, "entities": list(self.entities), "value": self.value, "aspect": self.aspect,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Role:
    """What a noun phrase does in its sentence.

    `kind`: subject, object (of a verb), prep (of a preposition), there (what exists), loose. `first` is the chunk with
    which its phrase begins (the preposition, the verb), `source` the entities that the phrase is about.
    """

    kind: str
    first: int
    source: tuple[int, ...] = ()
    word: str = ""


@dataclass(slots=True)
class Extraction:
    """A text, its sentences, what it speaks of and what it claims."""

    text: str
    sentences: list[Sentence]
    entities: list[Entity] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    roles: dict[tuple[int, int], Role] = field(default_factory=dict)
    by_chunk: dict[tuple[int, int], list[int]] = field(default_factory=dict)  # entity ids named in a chunk

    def claim(
        self, kind: Kind, span: Span, refs: tuple[int, ...], sentence: int, **more: Any
    ) -> Claim | None:
        if any(c.kind == kind and c.span == span and c.refs == refs for c in self.claims):
            return None
        made = Claim(
            f"c{len(self.claims) + 1}", kind, self.text[span[0] : span[1]], span,
            tuple(self.entities[r].name for r in refs), refs, sentence=sentence, **more,
        )  # fmt: skip
        self.claims.append(made)
        return made


def extract(text: str) -> Extraction:
    """The claims of a text, in English or Chinese, by rule."""
    from .chinese import extract_chinese, is_chinese

    if is_chinese(text):
        return extract_chinese(text)
    found = Extraction(text, sentences(text))
    for number in range(len(found.sentences)):
        _Reader(found, number).run()
    return found


_SKIP_VERBS = frozenset(
    "be have do show feature depict include contain display capture seem appear look see".split()
)
_HOLDERS = frozenset(
    "show feature depict include contain display capture see showcase portray reveal have".split()
)


class _Reader:
    """One sentence, chunk by chunk: who does what to whom, and where."""

    def __init__(self, found: Extraction, number: int) -> None:
        self.found = found
        self.number = number
        self.chunks = found.sentences[number].chunks
        self.words = words()
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
        ids = self._entities(i, chunk)
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
        ids = self._antecedent(chunk)
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

    def _antecedent(self, chunk: Chunk) -> tuple[int, ...]:
        word = chunk.word
        if word in (
            "there",
            "here",
            "what",
            "nothing",
            "nobody",
            "none",
            "you",
            "i",
            "we",
            "us",
            "me",
            "this",
            "these",
        ):
            return ()
        plural = word in ("they", "them", "themselves", "others", "those", "ones")
        person = word in ("he", "him", "himself", "she", "herself")
        topic = self._topic() if self.chunks[0] is chunk else None
        if topic is not None and topic.plural == plural and _may_be(topic.name, word, person):
            return (topic.id,)
        for entity in reversed(self.found.entities):
            if not entity.visible or entity.denied:
                continue
            if (
                person
                and not lexical.kind_of(entity.name, "person")
                and not lexical.kind_of(entity.name, "animal")
            ):
                continue
            if plural != entity.plural and not (plural and entity.number != 1 and not person):
                if plural:
                    same = [e for e in self.found.entities if e.visible and e.plural]
                    if same:
                        continue
                else:
                    continue
            if word == "it" and lexical.kind_of(entity.name, "person"):
                continue
            return (entity.id,)
        return ()

    def _topic(self) -> Entity | None:
        """What the sentence before was about: its subject, which a pronoun that opens the next one takes up."""
        for (sentence, _), role in sorted(self.found.roles.items()):
            if sentence == self.number - 1 and role.kind in ("subject", "there"):
                ids = next(
                    (
                        self.found.by_chunk[k]
                        for k, r in sorted(self.found.roles.items())
                        if r is role and k in self.found.by_chunk
                    ),
                    [],
                )
                if ids and self.found.entities[ids[-1]].visible and not self.found.entities[ids[-1]].denied:
                    return self.found.entities[ids[-1]]
                return None
        return None

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
        self.found.claim(
            "text", (chunk.start, chunk.end), about, self.number, value=chunk.tokens[0].text[1:-1].strip(" .,"),
            polarity=not self.negative,
        )  # fmt: skip
        self.verb = None

    # -- entities -------------------------------------------------------------------------------------------------

    def _entities(self, i: int, chunk: Chunk) -> tuple[int, ...]:
        """The entity that a noun phrase names, and its possessor before it where there is one."""
        for token in (*chunk.modifiers, *chunk.head[:-1]):
            if token.low.endswith(("'s", "s'")):
                self._owner(i, token.low.removesuffix("'s").removesuffix("'"), (token.start, token.end - 2))
        span = (chunk.start, chunk.end)
        known = self._known(chunk)
        if known is None:
            known = Entity(
                len(self.found.entities),
                chunk.name,
                chunk.plural,
                chunk.number,
                chunk.least,
                self._is_visible(chunk),
            )
            self.found.entities.append(known)
        known.mentions.append(Mention(span, self.number, i))
        self.found.by_chunk.setdefault((self.number, i), []).append(known.id)
        return (known.id,)

    def _owner(self, i: int, word: str, span: Span) -> None:
        name = lexical.lemma(word)
        known = next((e for e in reversed(self.found.entities) if e.name == name), None)
        if known is None:
            known = Entity(len(self.found.entities), name, visible=lexical.visible(name))
            self.found.entities.append(known)
            if known.visible:
                self.found.claim("existence", span, (known.id,), self.number)
        known.mentions.append(Mention(span, self.number, i, owner=True))
        self.found.by_chunk.setdefault((self.number, i), []).append(known.id)

    def _is_visible(self, chunk: Chunk) -> bool:
        name = chunk.name
        last = lexical.lemma(chunk.head[-1].low)
        if last in self.words["seen"]:
            return True
        if last in self.words["unseen"] or name in self.words["unseen"]:
            return False
        if lexical.senses(name):
            return lexical.visible(name)
        return lexical.visible(last) if lexical.senses(last) else chunk.head[-1].text[0].islower()

    def _known(self, chunk: Chunk) -> Entity | None:
        """An entity named before, for a definite noun phrase that names it again."""
        definite = (
            chunk.determiner in ("the", "this", "that", "these", "those", "both", "all", "each")
            or chunk.owner
        )
        if not definite and not (chunk.determiner == "" and chunk.plural):
            return None
        for entity in reversed(self.found.entities):
            if entity.name == chunk.name and not entity.denied:
                return entity
        if not definite or chunk.owner:
            return None
        for entity in reversed(self.found.entities):
            if entity.visible and not entity.denied and entity.plural == chunk.plural and " " not in chunk.name and (
                entity.name.endswith(f" {chunk.name}") or (chunk.name in ("animal", "vehicle", "person", "bird", "player")
                and lexical.kind_of(entity.name, chunk.name))
            ):  # fmt: skip
                return entity
        return None

    # -- claims ---------------------------------------------------------------------------------------------------

    def _tell(self, i: int, chunk: Chunk, ids: tuple[int, ...]) -> None:
        entity = self.found.entities[ids[-1]]
        denied = chunk.determiner == "no" or self.role.word == "without" or (
            self.negative and self.role.kind in ("there", "object", "loose", "subject")
        )  # fmt: skip
        if denied and len(entity.mentions) == 1:
            entity.denied = True
        if len(entity.mentions) == 1 and entity.visible:
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


def _may_be(name: str, pronoun: str, person: bool) -> bool:
    """Whether a pronoun may stand for a thing: "it" for no person, "he" for people and animals alone."""
    human = lexical.kind_of(name, "person")
    return human or lexical.kind_of(name, "animal") if person else not (human and pronoun == "it")


def _same(tokens: list[Any], others: list[Any]) -> bool:
    return bool(others) and tokens[0] is others[0]


def visible_entities(found: Extraction) -> Iterator[Entity]:
    """What a detector can be asked for."""
    return (entity for entity in found.entities if entity.visible)
