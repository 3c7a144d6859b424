"""Questions about two pictures: what both have, which has more, how many together, what has changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from ...errors import InputError
from .ask import COLOR_NAMES, Ask, Evidence
from .ask_objects import asked_categories
from .phrasing import Query
from .schema import Scene, Turn
from .view import MAX_COUNT, View
from .vocabulary import COLORS, MULTICOLOR


def make_pair(scene: Scene, rng: Random) -> tuple[Scene, Scene]:
    """A scene and its `sibling`, in either order: a pair worth asking about, in which neither place has more."""
    other = sibling(scene, rng)
    return (scene, other) if rng.random() < 0.5 else (other, scene)


def sibling(scene: Scene, rng: Random) -> Scene:
    """The scene after a change, for questions on what differs: things taken away, recoloured, or all as it was.

    Each object goes with chance 0.35 and, if it stays and wears one colour, changes it with chance 0.5. Print and what
    stands in towers keep their places (a tower would hang in the air).
    """
    kept = []
    for o in scene.objects:
        if scene.layout != "towers" and rng.random() < 0.35:
            continue
        if o.color in COLORS and rng.random() < 0.5:
            o = replace(o, color=COLOR_NAMES[int(rng.random() * len(COLOR_NAMES))])
        kept.append(o)
    return replace(scene, seed=scene.seed ^ 1, objects=tuple(kept))


_TOTALS = (1, 1, 2, 3, 3, *(4,) * 3, *(5,) * 6, *(6,) * 6, *(7,) * 8, *(8,) * 8)  # rare ones tried more often
PAIR_FORMS = ("same", "more", "only", "total", "color", "statement")


class PairAsk(Ask):
    """An Ask over two scenes; objects of the second are counted on from the first."""

    __slots__ = ("views",)

    def __init__(self, views: tuple[View, View], rng: Random, language: str, split: str) -> None:
        super().__init__(views[0].scene, rng, language, split, views[0])
        self.views = views
        self.objects = views[0].objects + views[1].objects
        self.pictures = 2

    def found(self, query: Query) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
        """What the phrase names in either picture, each counted within its own scene; None where one is open."""
        first, second = self.views[0].find(query), self.views[1].find(query)
        return None if first is None or second is None else (first, second)

    def named(self, query: Query) -> tuple[int, ...]:
        first, second = self.found(query) or ((), ())
        shift = len(self.views[0].objects)
        return first + tuple(i + shift for i in second)

    def evidence(self, query: Query) -> list[Evidence]:
        """ "1 dog: <box:0>; 2 dog: none" """
        first, second = self.found(query) or ((), ())
        shift = len(self.views[0].objects)
        label = self.label(query)
        return [(f"1 {label}", first), (f"2 {label}", tuple(i + shift for i in second))]

    def phrases(self) -> list[Query]:
        """Decided phrases of one build, each naming something in at least one picture."""
        roll = self.random()
        things = [o for view in self.views for o in (view.objects[i] for i in view.sure)]
        pool: dict[Query, None] = {}
        for o in things:
            if roll < 0.5:
                pool[Query(o.kind)] = None
            elif roll < 0.65:
                pool.update(dict.fromkeys(Query(None, c) for c in asked_categories(o.kind)))
            elif o.color in COLORS:
                pool[Query(o.kind if roll < 0.85 else None, None, o.color)] = None
        return [q for q in pool if self.found(q) is not None]


def make_pair_turns(
    first: Scene,
    second: Scene,
    rng: Random,
    forms: Sequence[str] | None = None,
    language: str | None = None,
    split: str = "train",
    count: int = 6,
) -> list[Turn]:
    """Questions about two scenes shown in this order.

    Args:
        first, second: the scenes; `Turn.objects` and `Turn.mentions` count the second's objects on from the first's.
        rng: the only source of chance.
        forms: of PAIR_FORMS; None: all.
        language: "en" or "zh"; None: mostly English.
        split: which phrasings, as for `make_turns`.
        count: how many turns at most.
    """
    chosen = tuple(forms) if forms is not None else PAIR_FORMS
    for form in chosen:
        if form not in PAIR_FORMS:
            raise InputError(f"no two-picture question {form!r}; there are {', '.join(PAIR_FORMS)}")
    views = (View(first), View(second))
    turns: list[Turn] = []
    seen: set[str] = set()
    for attempt in range(4 * count):
        if len(turns) == count:
            break
        spoken = language or ("zh" if rng.random() < 0.25 else "en")
        turn = _turn(PairAsk(views, rng, spoken, split), chosen[attempt % len(chosen)])
        if turn is not None and turn.question not in seen:
            seen.add(turn.question)
            turns.append(turn)
    return turns


def _turn(ask: PairAsk, form: str) -> Turn | None:
    yes = ask.flip()
    if form == "color":
        return _same_color(ask)
    numbers = {q: tuple(len(f) for f in ask.found(q) or ((), ())) for q in ask.phrases()}
    if form == "same":
        both = [q for q, (a, b) in numbers.items() if a and b]
        one = [q for q, (a, b) in numbers.items() if not (a and b)]
        if not both or not one:
            return None
        query = ask.pick(both if yes else one)
        return ask.turn("pair.same", "yes" if yes else "no", (query,), evidence=ask.evidence(query))
    if form == "total":
        totals = {
            sum(n): q for q, n in sorted(numbers.items(), key=lambda _: ask.random()) if sum(n) <= MAX_COUNT
        }
        total = ask.pick(_TOTALS)
        if total not in totals:
            return None
        return ask.turn("pair.total", total, (totals[total],), evidence=ask.evidence(totals[total]))
    fitting = [
        q for q, (a, b) in numbers.items() if a != b and (a > b) == yes and (form != "only" or not (a and b))
    ]
    if not fitting:
        return None
    query = ask.pick(fitting)
    answer = "first" if yes else "second"
    if form in ("only", "more"):
        return ask.turn(f"pair.{form}", answer, (query,), evidence=ask.evidence(query))
    return ask.turn(
        "pair.statement",
        "true" if yes else "false",
        (query,),
        evidence=ask.evidence(query),
        frame="statement.frame",
    )


def _same_color(ask: PairAsk) -> Turn | None:
    """About a kind that either picture shows once, in one nameable colour."""
    one, two = ask.views
    shared: dict[bool, list[str]] = {True: [], False: []}
    for kind, members in one.kinds.items():
        others = two.kinds.get(kind, [])
        if len(members) == 1 and len(others) == 1 and ask.found(Query(kind)) is not None:
            colors = one.objects[members[0]].color, two.objects[others[0]].color
            if MULTICOLOR not in colors:
                shared[colors[0] == colors[1]].append(kind)
    if not shared[True] and not shared[False]:
        return None
    same = ask.flip()
    if not shared[same]:
        return None
    query = Query(ask.pick(shared[same]))
    return ask.turn("pair.color", "yes" if same else "no", (query,), evidence=ask.evidence(query))
