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
    """Draws nouns for one split: `held_out` draws only what training never saw."""

    def __init__(self, held_out: bool) -> None:
        self.held_out = held_out
        self._lexical = english_nouns(held_out)
        self._everyday = everyday_nouns()
        self._adjectives = tuple(words()["adjectives"])
        self._chinese = chinese_nouns()
        self._unknown = chinese_unknown(held_out)

    def draw(self, rng: random.Random, language: str) -> Noun:
        """A noun phrase: in training 45% everyday, the rest lexical; one in six has an adjective of its own."""
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


__all__ = [
    "Noun",
    "NounSampler",
    "article",
    "chinese_nouns",
    "chinese_unknown",
    "english",
    "english_nouns",
    "english_plural",
    "everyday_nouns",
    "is_held_out",
    "words",
]
