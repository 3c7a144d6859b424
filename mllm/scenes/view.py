"""One scene looked at through noun phrases: which objects a phrase names, and which phrases name one object."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from random import Random

from . import vocabulary
from .phrasing import Query
from .schema import Scene, SceneObject

SURE = 0.5  # an object of which less is visible is never asked about, nor counted
MAX_COUNT = 9  # larger numbers are not asked for


@cache
def _hypernyms(kind: str) -> frozenset[str]:
    return frozenset(vocabulary.hypernyms(kind))


# Categories fit for a question: a noun of their own, and more than one member.
ASKED_CATEGORIES: tuple[str, ...] = tuple(
    c
    for c in vocabulary.CATEGORIES
    if c not in {"person", "text", "building toy"} and len(vocabulary.members(c)) > 2
)


class View:
    """Index of a scene, built once for all its questions."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.objects: tuple[SceneObject, ...] = scene.objects
        self.sure = tuple(i for i, o in enumerate(scene.objects) if o.visible >= SURE)
        self.kinds: dict[str, list[int]] = {}
        for i in self.sure:
            self.kinds.setdefault(scene.objects[i].kind, []).append(i)
        self.unsure = tuple(i for i, o in enumerate(scene.objects) if o.visible < SURE)
        self._found: dict[Query, tuple[int, ...] | None] = {}

    def _fits(self, o: SceneObject, query: Query) -> bool:
        if query.kind is not None and o.kind != query.kind:
            return False
        if query.category is not None and query.category not in _hypernyms(o.kind):
            return False
        if query.color is not None and o.color != query.color and o.color != vocabulary.MULTICOLOR:
            return False
        return query.size is None or o.size == query.size

    def find(self, query: Query) -> tuple[int, ...] | None:
        """Indices of the objects that the phrase names; None where the picture leaves it open.

        It is open where a half-hidden object may or may not be meant, or where a colour is asked of an object
        that has many.
        """
        if query in self._found:
            return self._found[query]
        result: tuple[int, ...] | None
        fits = [i for i, o in enumerate(self.objects) if self._fits(o, query)]
        many = query.color is not None and any(self.objects[i].color == vocabulary.MULTICOLOR for i in fits)
        if query.kind == "word" and "sign" in self.kinds:
            result = None  # a sign carries a word too
        elif many or (self.unsure and any(i in self.unsure for i in fits)):
            result = None
        else:
            result = tuple(fits)
        self._found[query] = result
        return result

    def count(self, query: Query) -> int | None:
        """How many objects the phrase names; None where that is open."""
        found = self.find(query)
        return None if found is None else len(found)

    def colored(self) -> list[int]:
        """Indices of the objects that have one nameable colour."""
        return [i for i in self.sure if self.objects[i].color in vocabulary.COLORS]

    def sized(self, index: int) -> bool:
        """Whether the size word of an object can be judged: not of print, nor of what stands in towers and boxes."""
        return self.scene.layout not in ("boxes", "towers") and self.objects[index].word is None

    def names(self, index: int, without: frozenset[str] = frozenset()) -> Iterator[Query]:
        """Phrases that name exactly this object, from the plainest on; `without` forbids fields of Query."""
        o = self.objects[index]
        single = o.color in vocabulary.COLORS and "color" not in without
        if "kind" not in without:
            yield from self._unique(index, Query(o.kind))
            if single:
                yield from self._unique(index, Query(o.kind, None, o.color))
            if "size" not in without and self.sized(index):
                yield from self._unique(index, Query(o.kind, None, None, o.size))
                if single:
                    yield from self._unique(index, Query(o.kind, None, o.color, o.size))
        if "category" not in without:
            for category in vocabulary.hypernyms(o.kind):
                if category in ASKED_CATEGORIES:
                    yield from self._unique(index, Query(None, category))
                    if single:
                        yield from self._unique(index, Query(None, category, o.color))
        if single and "kind" not in without:
            yield from self._unique(index, Query(None, None, o.color))

    def _unique(self, index: int, query: Query) -> Iterator[Query]:
        if self.find(query) == (index,):
            yield query

    def name(self, index: int, rng: Random, without: frozenset[str] = frozenset()) -> Query | None:
        """A phrase that names exactly this object, plain ones preferred; None where there is none."""
        first: Query | None = None
        for query in self.names(index, without):
            if rng.random() < 0.6:
                return query
            if first is None:
                first = query
        return first

    def named(
        self, rng: Random, count: int, without: frozenset[str] = frozenset()
    ) -> list[tuple[int, Query]] | None:
        """`count` different objects, each with a phrase of its own; None where the scene has not so many."""
        order = list(self.sure)
        rng.shuffle(order)
        chosen: list[tuple[int, Query]] = []
        for i in order:
            query = self.name(i, rng, without)
            if query is not None:
                chosen.append((i, query))
                if len(chosen) == count:
                    return chosen
        return None
