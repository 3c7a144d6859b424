"""The grammar of things: one tree gives both the words ("the red car left of the tree") and the steps that find it.

referent := noun | colour noun | extreme referent | referent relation referent
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from ...mllm.scenes.vocabulary import article
from .builder import IMAGE, Builder, Ref
from .lexicon import Noun, NounSampler, words
from .phrasebook import surfaces


@dataclass(frozen=True, slots=True)
class Thing:
    """A noun with an optional colour before it."""

    noun: Noun
    color: str = ""  # as the program says it
    color_word: str = ""  # as the request says it

    def steps(self, builder: Builder) -> Ref:
        found = builder.loc(self.noun.english)
        if self.color:
            found = builder.add("FILTER", object=found, where=f"color == '{self.color}'", image=IMAGE)
        return found

    def phrase(self, language: str, plural: bool = False) -> str:
        noun = self.noun.plural if plural else self.noun.surface
        if not self.color:
            return noun
        if language == "zh":
            return self.color_word + ("" if self.color_word.endswith("的") else "的") + noun
        return f"{self.color_word} {noun}"

    def nouns(self) -> tuple[str, ...]:
        return (self.noun.english,)


@dataclass(frozen=True, slots=True)
class Related:
    """Things that stand in a relation to another referent."""

    thing: Thing
    relation: str
    words: str
    reference: Referent

    def steps(self, builder: Builder) -> Ref:
        found = self.thing.steps(builder)
        reference = self.reference.steps(builder)
        return builder.add("RELATE", object=found, relation=self.relation, reference=reference)

    def phrase(self, language: str, plural: bool = False) -> str:
        if language == "zh":
            side = self.words.removeprefix("的")
            return f"{self.reference.phrase('zh')}{side}的{self.thing.phrase('zh')}"
        return f"{self.thing.phrase('en', plural)} {self.words} the {self.reference.phrase('en')}"

    def nouns(self) -> tuple[str, ...]:
        return self.thing.nouns() + self.reference.nouns()


@dataclass(frozen=True, slots=True)
class Extreme:
    """The largest, leftmost, ... of what a referent names."""

    inner: Thing
    keep: str
    words: str

    def steps(self, builder: Builder) -> Ref:
        return builder.add("FILTER", object=self.inner.steps(builder), keep=self.keep)

    def phrase(self, language: str, plural: bool = False) -> str:
        if language == "zh":
            return f"{self.words}的{self.inner.phrase('zh')}"
        return f"{self.words} {self.inner.phrase('en', plural)}"

    def nouns(self) -> tuple[str, ...]:
        return self.inner.nouns()


Referent = Thing | Related | Extreme


def head(referent: Referent) -> Noun:
    """The noun that says what kind of thing is meant."""
    if isinstance(referent, Thing):
        return referent.noun
    return head(referent.thing if isinstance(referent, Related) else referent.inner)


class ReferentSampler:
    """Draws referents of a depth; `shape` weights are (plain, coloured, related, extreme)."""

    def __init__(self, nouns: NounSampler) -> None:
        self.nouns = nouns
        colors = words()["colors"]
        self._colors = {
            "en": [(c, c) for c in colors],
            "zh": [(c, w) for c, ws in colors.items() for w in ws],
        }
        self._colors["en"].append(("gray", "grey"))
        self._relations = _pairs(surfaces()["relations"])
        self._extremes = _pairs(surfaces()["extremes"])

    def noun(self, rng: random.Random, language: str) -> Noun:
        return self.nouns.draw(rng, language)

    def color(self, rng: random.Random, language: str) -> tuple[str, str]:
        """(the program's colour, the request's word for it)."""
        return rng.choice(self._colors[language])

    def relation(self, rng: random.Random, language: str) -> tuple[str, str]:
        return rng.choice(self._relations[language])

    def extreme(self, rng: random.Random, language: str) -> tuple[str, str]:
        return rng.choice(self._extremes[language])

    def thing(self, rng: random.Random, language: str, colored: float = 0.15) -> Thing:
        noun = self.noun(rng, language)
        if rng.random() < colored:
            return Thing(noun, *self.color(rng, language))
        return Thing(noun)

    def many(self, rng: random.Random, language: str, deep: float = 0.25) -> Referent:
        """What a plural or a yes/no question may be about: plain, coloured, or related to something else."""
        thing = self.thing(rng, language, 0.2)
        if rng.random() < deep:
            relation, said = self.relation(rng, language)
            return Related(thing, relation, said, self.one(rng, language, 0.12))
        return thing

    def one(self, rng: random.Random, language: str, deep: float = 0.25) -> Referent:
        """What "the ..." may be about: as `many`, and extremes."""
        roll = rng.random()
        if roll < deep * 0.4:
            keep, said = self.extreme(rng, language)
            return Extreme(self.thing(rng, language, 0.2), keep, said)
        if roll < deep:
            relation, said = self.relation(rng, language)
            return Related(self.thing(rng, language, 0.2), relation, said, self.one(rng, language, 0.15))
        return self.thing(rng, language, 0.2)


def _pairs(table: dict[str, dict[str, list[str]]]) -> dict[str, list[tuple[str, str]]]:
    """language -> [(key, wording), ...], every key equally often."""
    result: dict[str, list[tuple[str, str]]] = {}
    for language, by_key in table.items():
        longest = max(len(said) for said in by_key.values())
        result[language] = [
            (key, said[i % len(said)]) for key, said in by_key.items() for i in range(longest)
        ]
    return result


def slots_of(referent: Referent, language: str, suffix: str = "") -> dict[str, str]:
    """The forms of a referent that patterns may ask for: {n}, {pl}, {a}, {the}, {any}, {m} (with a suffix)."""
    name = referent.phrase(language)
    if language == "zh":
        return {"n" + suffix: name, "m" + suffix: head(referent).measure or "个"}
    plural = referent.phrase(language, plural=True)
    return {
        "n" + suffix: name,
        "pl" + suffix: plural,
        "a" + suffix: article(name),
        "the" + suffix: f"the {name}",
        "any" + suffix: f"any {plural}",
    }
