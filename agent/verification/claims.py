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

from dataclasses import dataclass, field
from typing import Any, Literal

from .parsing import sentences
from .tokens import Sentence

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
    from .reading import Reader

    if is_chinese(text):
        return extract_chinese(text)
    found = Extraction(text, sentences(text))
    for number in range(len(found.sentences)):
        Reader(found, number).run()
    return found
