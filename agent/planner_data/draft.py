"""One example in the making: the random source, the words filled so far and the program under construction."""

from __future__ import annotations

import random
from collections.abc import Callable

from .builder import Builder, Ref
from .lexicon import english
from .referents import Referent, ReferentSampler, Thing, slots_of

QUESTION = "\x03"  # in a program: the request's own core sentence, filled in once its wording is fixed


class Draft:
    """What a family function works on: it fills `slots`, adds steps to `steps` and returns the result's name."""

    def __init__(self, rng: random.Random, language: str, sampler: ReferentSampler, held_out: bool) -> None:
        self.rng = rng
        self.language = language
        self.sampler = sampler
        self.held_out = held_out  # whether phrasings come from the held-out groups
        self.steps = Builder()
        self.slots: dict[str, str] = {}
        self.nouns: list[str] = []

    def note(self, referent: Referent, suffix: str = "") -> Referent:
        """Make a referent sayable under a suffix, and remember its nouns."""
        self.slots.update(slots_of(referent, self.language, suffix))
        self.nouns.extend(referent.nouns())
        return referent

    def simple(self, suffix: str = "") -> str:
        """A plain noun; returns what the program calls it."""
        thing = Thing(self.sampler.noun(self.rng, self.language))
        self.note(thing, suffix)
        return thing.noun.english

    def thing(self, suffix: str = "", colored: float = 0.15) -> Ref:
        """A noun, perhaps with a colour; returns the regions found."""
        thing = self.sampler.thing(self.rng, self.language, colored)
        self.note(thing, suffix)
        return thing.steps(self.steps)

    def many(self, suffix: str = "", deep: float = 0.25) -> Ref:
        referent = self.note(self.sampler.many(self.rng, self.language, deep), suffix)
        return referent.steps(self.steps)

    def one(self, suffix: str = "", deep: float = 0.25) -> Ref:
        referent = self.note(self.sampler.one(self.rng, self.language, deep), suffix)
        return referent.steps(self.steps)

    def named(self, suffix: str, names: list[str]) -> Ref:
        """A thing out of a list of English names where the request is English, else any noun."""
        if self.language == "en" and not self.sampler.nouns.held_out and self.rng.random() < 0.6:
            thing = Thing(english(self.rng.choice(names)))
            self.note(thing, suffix)
            return thing.steps(self.steps)
        return self.one(suffix, deep=0.15)


Family = Callable[[Draft], Ref]  # fills the draft and returns the result's name
