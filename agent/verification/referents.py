"""Which things a text speaks of: noun phrases as entities, and who is meant by a pronoun or a second mention."""

from __future__ import annotations

from . import lexical
from .claims import Entity, Extraction, Mention, Span
from .tokens import Chunk, words


class Referents:
    """The entities of one sentence, found among those of the sentences before or new."""

    def __init__(self, found: Extraction, number: int) -> None:
        self.found, self.number = found, number
        self.chunks = found.sentences[number].chunks
        self.words = words()

    def named(self, i: int, chunk: Chunk) -> tuple[int, ...]:
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

    def antecedent(self, chunk: Chunk) -> tuple[int, ...]:
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


def _may_be(name: str, pronoun: str, person: bool) -> bool:
    """Whether a pronoun may stand for a thing: "it" for no person, "he" for people and animals alone."""
    human = lexical.kind_of(name, "person")
    return human or lexical.kind_of(name, "animal") if person else not (human and pronoun == "it")
