"""What words can be: names of things, actions, qualities; and what is a kind of what, by WordNet and the tools' own table.

The tables come from WordNet 3.0 (`build_lexicon`, licence beside them); they are read on first use, in about a second.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources

from ...mllm.nouns import singular
from ...tools.names import COCO_CLASSES, canonical, matched

ANIMAL, ARTIFACT, BODY, FOOD, GROUP, PLACE, OBJECT, PERSON, PLANT, QUANTITY, SHAPE, SUBSTANCE = (
    5, 6, 8, 13, 14, 15, 17, 18, 20, 23, 25, 27
)  # fmt: skip
_SOLID = frozenset({ANIMAL, ARTIFACT, BODY, FOOD, OBJECT, PERSON, PLANT})  # what a picture shows as a thing
_SEEN = _SOLID | {PLACE, SUBSTANCE, SHAPE, 19, 3}  # 19: light, smoke; 3: the widest words, such as food
_SHARE = 0.3  # of a word's uses that must be visible for it to name something visible
_OFTEN = 0.2  # of the commonest meaning's uses, for another one to be meant
_DEEP = 4  # levels below the root from which a shared kind makes two things alike ("chordate" does not)


@dataclass(frozen=True, slots=True)
class Sense:
    """One meaning of a noun: its number among the things (-1: not visible), its file, how often it is meant."""

    thing: int
    file: int
    count: int


@dataclass(frozen=True)
class _Tables:
    files: tuple[int, ...]
    wider: tuple[tuple[int, ...], ...]
    nouns: dict[str, str]
    verbs: dict[str, int]
    adjectives: dict[str, int]
    verb_forms: dict[str, str]
    noun_forms: dict[str, str]
    starts: frozenset[str]  # first words of names of several words


def _lines(name: str) -> list[str]:
    data = resources.files(__package__).joinpath("lexicon", f"{name}.txt.gz").read_bytes()
    return gzip.decompress(data).decode().splitlines()


@cache
def _tables() -> _Tables:
    files, wider = [], []
    for line in _lines("things"):
        file, _, above = line.partition("\t")
        files.append(int(file))
        wider.append(tuple(int(n) for n in above.split(",") if n))
    nouns = dict(line.split("\t") for line in _lines("nouns"))
    verbs: dict[str, int] = {}
    adjectives: dict[str, int] = {}
    verb_forms: dict[str, str] = {}
    noun_forms: dict[str, str] = {}
    for line in _lines("words"):
        letter, word, rest = line.split("\t")
        if letter == "V":
            verb_forms[word] = rest
        elif letter == "N":
            noun_forms[word] = rest
        else:
            (verbs if letter == "v" else adjectives)[word] = int(rest)
    starts = frozenset(name.partition(" ")[0] for name in nouns if " " in name)
    return _Tables(tuple(files), tuple(wider), nouns, verbs, adjectives, verb_forms, noun_forms, starts)


@lru_cache(maxsize=16384)
def senses(noun: str) -> tuple[Sense, ...]:
    """The meanings of a singular noun, the commonest first; none where it is unknown."""
    tables = _tables()
    row = tables.nouns.get(noun)
    if row is None:
        return ()
    found = []
    for told in row.split(" "):
        thing, _, count = told.partition(":")
        number = -1 if thing == "-" else int(thing)
        found.append(Sense(number, tables.files[number] if number >= 0 else -1, int(count)))
    return tuple(found)


@lru_cache(maxsize=16384)
def lemma(word: str) -> str:
    """The singular of a noun in lower case; its last word, where it has several."""
    head, space, last = word.lower().rpartition(" ")
    if not last.endswith("s") and (plain := singular(last)) != last:
        return head + space + plain  # people, men, children
    if senses(word.lower()) and (not last.endswith("s") or last.endswith("ss")):
        return word.lower()
    irregular = _tables().noun_forms.get(last)
    plain = singular(last)
    if irregular and not senses(head + space + plain):
        plain = irregular
    if plain == last and last.endswith("s") and not last.endswith("ss") and senses(head + space + last[:-1]):
        plain = last if senses(head + space + last) else last[:-1]
    if not senses(head + space + plain) and last.endswith("es") and senses(head + space + last[:-1]):
        plain = last[:-1]
    return head + space + plain


def is_noun(word: str) -> bool:
    return bool(senses(lemma(word)))


def noun_count(word: str) -> float:
    """How often a word is a noun in WordNet's tagged texts; 0.5 where it may be one but does not occur, 0 where never."""
    told = senses(lemma(word))
    return sum(s.count for s in told) + 0.5 if told else 0.0


def adjective_count(word: str) -> float:
    tables = _tables()
    if word in tables.adjectives:
        return tables.adjectives[word] + 0.5
    for ending, instead in (("er", ""), ("est", ""), ("ier", "y"), ("iest", "y"), ("er", "e"), ("est", "e")):
        if (
            word.endswith(ending)
            and (stem := word[: -len(ending)] + instead) in tables.adjectives
            and len(stem) > 2
        ):
            return 1.0
    return 0.0


@lru_cache(maxsize=16384)
def verb(word: str) -> tuple[str, str] | None:
    """(lemma, form) of a verb's form: 'base', 's', 'ing', 'ed'; None for what is no verb."""
    tables = _tables()
    if word in tables.verb_forms:
        stem = tables.verb_forms[word]
        return stem, "ing" if word.endswith("ing") else "s" if word.endswith("s") else "ed"
    if word in tables.verbs:
        return word, "base"
    found: list[tuple[int, str, str]] = []
    for ending, form in (("ing", "ing"), ("ed", "ed"), ("es", "s"), ("s", "s")):
        if not word.endswith(ending) or len(word) < len(ending) + 2:
            continue
        stem = word[: -len(ending)]
        tries = [stem] if form == "s" else [stem, stem + "e"]
        if form != "s" and len(stem) > 2 and stem[-1] == stem[-2]:
            tries.append(stem[:-1])
        if stem.endswith("i") and form != "ing":
            tries.append(stem[:-1] + "y")
        if ending == "ing" and stem.endswith("y"):
            tries.append(stem[:-1] + "ie")  # lying
        found += [(tables.verbs[one], one, form) for one in tries if one in tables.verbs]
    if not found:
        return None
    _, stem, form = max(found)
    return stem, form


def verb_count(stem: str) -> float:
    return _tables().verbs.get(stem, -0.5) + 0.5


def starts_name(word: str) -> bool:
    """Whether some name of several words begins with this one."""
    return word in _tables().starts


@lru_cache(maxsize=16384)
def visible(noun: str) -> bool:
    """Whether a noun names something that a picture can show, in enough of its uses."""
    if matched(noun, COCO_CLASSES).classes:
        return True
    told = senses(noun)
    if not told:
        return False
    weights = [s.count + 1.0 / (1 + rank) for rank, s in enumerate(told)]
    seen = sum(w for w, s in zip(weights, told, strict=True) if s.file in _SEEN)
    return seen >= _SHARE * sum(weights)


@lru_cache(maxsize=16384)
def file_of(noun: str) -> int:
    """The lexicographer's file of a noun's commonest visible meaning; -1 where it has none."""
    return next((s.file for s in senses(noun) if s.file in _SEEN), -1)


def measures(noun: str) -> bool:
    """Whether "a X of things" speaks of the things: groups, amounts and pieces."""
    told = senses(noun)
    return noun in _PIECES or (bool(told) and told[0].file in (GROUP, QUANTITY))


_PIECES = frozenset(
    "piece slice variety number lot couple pair row line series set stack pile collection assortment array kind type sort "
    "bit part majority handful bunch group crowd herd flock pack team cluster range mix mixture selection host batch loaf "
    "head dozen half multitude school swarm litter fleet string bundle sheet strip chunk wedge stick dollop portion "
    "serving helping layer body".split()
)


@lru_cache(maxsize=16384)
def _above(thing: int) -> frozenset[int]:
    wider = _tables().wider
    found: set[int] = set()
    queue = [thing]
    while queue:
        one = queue.pop()
        if one not in found:
            found.add(one)
            queue += wider[one]
    return frozenset(found)


def _things(name: str, most: int = 3) -> list[int]:
    """The things that a name means often enough: a dog is no person, although WordNet lists that sense too."""
    told = [s for s in senses(name) if s.thing >= 0 and s.file in _SEEN]
    top = max((s.count for s in told), default=0)
    return [s.thing for i, s in enumerate(told) if i == 0 or s.count >= _OFTEN * top][:most]


@lru_cache(maxsize=65536)
def kind_of(name: str, other: str) -> bool:
    """Whether the first name's thing is one of the second's kinds, or the same: a man is a person, a cab a car."""
    a, b = canonical(name), canonical(other)
    if a == b or matched(a, (b,)).relation == "wider" or matched(b, (a,)).relation == "kinds":
        return True
    if not (words := _things(lemma(a))) or not (others := _things(lemma(b))):
        return False
    # the commonest meaning of the narrow word, and any of the wide one's
    return any(wide in _above(narrow) for narrow in words[:2] for wide in others)


@lru_cache(maxsize=65536)
def alike(name: str, other: str) -> bool:
    """Whether two things are of one close kind, so that one may be taken for the other: a dog and a wolf, a bowl and a cup.

    A bicycle and a backpack are none, although a wheeled vehicle is a container to the lexicon.
    """
    if hypernym(canonical(name)) != hypernym(canonical(other)):
        return False
    a, b = _things(lemma(canonical(name)), 2), _things(lemma(canonical(other)), 2)
    wider = _tables().wider
    for one in a:
        for two in b:
            parents = {p for w in wider[one] for p in (w, *wider[w])} | set(wider[one])
            shared = parents & (set(wider[two]) | {p for w in wider[two] for p in wider[w]})
            if any(len(_above(p)) > _DEEP for p in shared):
                return True
    return False


def hypernym(name: str) -> str | None:
    """A plain word for what a thing is, where there is one that people say: animal, vehicle, person, ..."""
    said = next((plain for plain in _PLAIN if canonical(name) != plain and kind_of(name, plain)), None)
    return said if said != lemma(name) else None


_PLAIN = ("person", "bird", "animal", "vehicle", "fruit", "vegetable", "plant", "building", "container")


def related(name: str, other: str) -> bool:
    """Whether one of the two is a kind of the other, or both are the same."""
    return kind_of(name, other) or kind_of(other, name)
