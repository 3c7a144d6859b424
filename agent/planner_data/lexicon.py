"""The words of the requests: nouns in English and Chinese, colours, and which nouns training never sees."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml

from ...errors import InputError
from ...mllm.scenes.vocabulary import KINDS, article, plural
from .invented import invented_chinese, invented_word

HELD_OUT_SHARE = 0.15  # of the WordNet nouns and of the Chinese names without a translation


@dataclass(frozen=True, slots=True)
class Noun:
    """A thing's name: `english` is what a program says, `surface` what a request says (English or Chinese)."""

    english: str
    surface: str
    plural: str
    measure: str = ""  # Chinese measure word; empty in an English request


def _read(name: str) -> list[str]:
    text = resources.files(__package__).joinpath("lexicon", name).read_text("utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


@cache
def words() -> dict[str, Any]:
    """The closed sets of `lexicon/words.yaml`."""
    text = resources.files(__package__).joinpath("lexicon", "words.yaml").read_text("utf-8")
    loaded = yaml.safe_load(text)
    if not isinstance(loaded, dict):
        raise InputError("lexicon/words.yaml must be a mapping of lists")
    return loaded


def is_held_out(noun: str) -> bool:
    """Whether a noun is kept from training, by its hash: the same on every machine and for ever."""
    return hashlib.blake2b(noun.encode(), digest_size=2).digest()[0] < HELD_OUT_SHARE * 256


def english_plural(name: str) -> str:
    """Plural of a noun phrase: the word before "of" is inflected ("bowls of rice"), else the last one."""
    head, of, rest = name.partition(" of ")
    first, space, last = head.rpartition(" ")
    irregular = _PLURALS.get(last)
    return first + space + (irregular or plural(last)) + of + rest


# Nouns that WordNet and users need beyond the regular rule: unchanged ones, and single=plural.
_UNCHANGED = """
    scissors glasses sunglasses trousers jeans shorts goggles headphones pliers tweezers pajamas
    handcuffs deer salmon trout shrimp aircraft sheep fish goldfish cattle furniture
"""
_IRREGULAR = """
    man=men woman=women child=children foot=feet tooth=teeth goose=geese policeman=policemen
    fisherman=fishermen snowman=snowmen wolf=wolves shelf=shelves bookshelf=bookshelves calf=calves
    loaf=loaves knife=knives wife=wives person=people mouse=mice leaf=leaves scarf=scarves louse=lice
    half=halves hoof=hooves elf=elves die=dice potato=potatoes tomato=tomatoes mango=mangoes
    buffalo=buffaloes octopus=octopuses cactus=cacti seaman=seamen gentleman=gentlemen
"""
_PLURALS: dict[str, str] = {name: name for name in _UNCHANGED.split()}
_PLURALS |= dict(pair.split("=") for pair in _IRREGULAR.split())


@cache
def english_nouns(held_out: bool) -> tuple[str, ...]:
    """Nouns from WordNet: those that training uses, or those it never sees."""
    scene = set(KINDS) | set(words()["everyday"]) | set(words()["people"]) | set(words()["text_things"])
    colors = (*words()["colors"], "grey")  # "white violet" would be read as a violet that is white
    names = [n for n in _read("nouns_en.txt") if n not in scene and n not in reserved_words()]
    names = [n for n in names if n.partition(" ")[0] not in colors]
    translated = {noun.english for noun in chinese_nouns()}  # seen in programs for Chinese requests
    return tuple(n for n in names if (is_held_out(n) and n not in translated) == held_out)


@cache
def reserved_words() -> frozenset[str]:
    """Words that the grammar itself uses; a noun with such a name would be read as grammar."""
    return frozenset(
        "right left top bottom face faces text word sign plate picture image photo scene background point box "
        "color colour size number caption statement claim copy".split()
    ) - {"sign", "plate", "box"}


@cache
def everyday_nouns() -> tuple[str, ...]:
    """Nouns that users say most: kinds of the scenes, COCO-like things, people."""
    return tuple(dict.fromkeys([*KINDS, *words()["everyday"], *words()["people"]]))


@cache
def commonest_nouns() -> tuple[str, ...]:
    """What people ask of photographs more than of anything else: persons, vehicles, pets, furniture, food."""
    return tuple(words()["commonest"])


@cache
def chinese_nouns() -> tuple[Noun, ...]:
    """Chinese names with a translation (`lexicon/nouns_zh.txt` and the kinds of the scenes)."""
    found: dict[str, Noun] = {}
    for line in _read("nouns_zh.txt"):
        measure, _, rest = line.partition(":")
        for pair in rest.split():
            zh, equals, en = pair.partition("=")
            if not equals:
                raise InputError(f"lexicon/nouns_zh.txt: {pair!r} is no pair zh=en")
            found[zh] = Noun(en.replace("_", " "), zh, zh, measure)
    for kind in KINDS.values():
        found.setdefault(kind.zh, Noun(kind.name, kind.zh, kind.zh, kind.measure))
    return tuple(found.values())


@cache
def chinese_unknown(held_out: bool) -> tuple[Noun, ...]:
    """Chinese names without a translation: a program keeps them."""
    names = [name for line in _read("names_zh_unknown.txt") for name in line.split()]
    return tuple(Noun(n, n, n, "个") for n in names if is_held_out(n) == held_out)


def english(name: str) -> Noun:
    return Noun(name, name, english_plural(name))


class NounSampler:
    """Draws nouns for one split: `held_out` draws only what training never saw.

    A share `invented` of the names (half of it in Chinese, where the lexicon's must be learned by heart) is made up on the
    spot, so that they can only be copied; none is held out. `commonest` draws from `commonest_nouns` alone.
    """

    def __init__(self, held_out: bool, invented: float = 0.0, commonest: bool = False) -> None:
        self.held_out = held_out
        self.invented = invented
        self._commonest = commonest_nouns() if commonest else ()
        self._lexical = english_nouns(held_out)
        self._everyday = everyday_nouns()
        self._adjectives = tuple(words()["adjectives"])
        self._chinese = chinese_nouns()
        self._unknown = chinese_unknown(held_out)
        self._never = frozenset(english_nouns(True)) | {noun.english for noun in chinese_unknown(True)}
        self._taken = frozenset(noun.surface for noun in self._chinese) | self._never
        self._parts = tuple(n.surface for n in self._chinese if len(n.surface) > 1)

    def draw(self, rng: random.Random, language: str) -> Noun:
        """A noun phrase: in training 45% everyday, the rest lexical; one in six has an adjective of its own."""
        if self._commonest:
            name = rng.choice(self._commonest)
            if language == "en":
                return english(name)
            said = [noun for noun in self._chinese if noun.english == name]
            return rng.choice(said) if said else rng.choice(self._chinese)
        if self.invented and rng.random() < self.invented * (0.5 if language == "zh" else 1.0):
            return self._invent_chinese(rng) if language == "zh" else english(self._invent(rng))
        if language == "zh":
            roll = rng.random()
            if self.held_out or roll < 0.06:
                return rng.choice(self._unknown)
            if roll < 0.10:  # English inside a Chinese sentence is kept
                name = rng.choice(self._lexical)
                return Noun(name, name, name, "个")
            return rng.choice(self._chinese)
        if self.held_out:
            name = rng.choice(self._lexical)
        else:
            name = rng.choice(self._everyday if rng.random() < 0.45 else self._lexical)
        if rng.random() < 0.15 and " " not in name:
            name = f"{rng.choice(self._adjectives)} {name}"
        return english(name)

    def _invent(self, rng: random.Random) -> str:
        """A compound of known nouns, a made-up word, or one of each."""
        while True:
            roll = rng.random()
            known = rng.choice(self._everyday if rng.random() < 0.4 else self._lexical)
            if roll < 0.4:
                name = f"{rng.choice(self._lexical)} {known}"
            elif roll < 0.7:
                name = invented_word(rng)
            elif roll < 0.9:
                name = f"{invented_word(rng)} {known}"
            else:
                name = f"{rng.choice(self._adjectives)} {invented_word(rng)}"
            if name not in self._never and len(name.split()) < 4:
                return name

    def _invent_chinese(self, rng: random.Random) -> Noun:
        """A name without a translation, or an English one inside the Chinese sentence."""
        if rng.random() < 0.15:
            name = self._invent(rng)
            return Noun(name, name, name, "个")
        while True:
            name, measure = invented_chinese(rng, self._parts)
            if name not in self._taken:
                return Noun(name, name, name, measure)


__all__ = [
    "Noun",
    "NounSampler",
    "article",
    "chinese_nouns",
    "chinese_unknown",
    "commonest_nouns",
    "english",
    "english_nouns",
    "english_plural",
    "everyday_nouns",
    "is_held_out",
    "words",
]
