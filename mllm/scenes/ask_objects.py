"""Questions about what is there: existence, nonexistent things, number, colour, size, attributes, printed words."""

from __future__ import annotations

from . import habits, vocabulary
from .ask import COLOR_NAMES, Ask
from .describe import no_such, sentence
from .phrasing import Query
from .schema import Turn
from .view import ASKED_CATEGORIES, MAX_COUNT

_NO_COLOR = frozenset({"color"})
_NO_SIZE = frozenset({"size"})


def existence(ask: Ask) -> Turn | None:
    """Is there an X? Yes and no in turn; absent things are often what goes with the present ones."""
    yes = ask.flip()
    query = ask.present() if yes else ask.absent()
    return None if query is None else ask.turn("existence", "yes" if yes else "no", (query,))


def negative(ask: Ask) -> Turn | None:
    """An instruction about a thing that may not exist (LRV-Instruction, Liu et al. 2023): say so, or answer.

    Both are prepared, so that a scene which allows only one of them is not asked about.
    """
    color = ask.flip()
    pool = ask.view.colored() if color else ask.view.sure
    missing = ask.absent()
    if not pool or missing is None:
        return None
    if color and missing.color:
        missing = missing._replace(color=None)
        if missing == Query() or ask.view.find(missing) != ():
            return None
    index = ask.pick(pool)
    query = ask.view.name(index, ask.rng, _NO_COLOR if color else frozenset())
    if query is None or query.size:
        return None
    if ask.flip():
        if color:
            return ask.turn("negative.color", "none", (missing,))
        return ask.turn("negative.sentence", no_such(missing, ask.language), (missing,), written=True)
    if color:
        return ask.turn("negative.color", ask.view.objects[index].color, (query,))
    return ask.turn("negative.sentence", sentence(ask.view, index, ask.language), (query,), written=True)


COUNTED = ("kind", "category", "color", "colored", "all")
_TRIES = 3


def asked_categories(kind: str) -> list[str]:
    """Hypernyms of a kind that questions use."""
    return [c for c in vocabulary.hypernyms(kind) if c in ASKED_CATEGORIES]


def counts(ask: Ask, what: str) -> dict[int, list[Query]]:
    """What may be counted in the scene, by number; `what` is one of COUNTED."""
    view, objects = ask.view, ask.view.objects
    queries: dict[Query, None] = {}
    if what == "all":
        queries = {Query(): None}
    elif what == "kind":
        queries = dict.fromkeys(Query(k) for k in view.kinds)
        queries[Query(ask.absent_kind())] = None
    elif what == "category":
        queries = dict.fromkeys(Query(None, c) for k in view.kinds for c in asked_categories(k))
        queries[Query(None, habits.table("categories").draw(ask.random()))] = None
    else:
        kinds = [objects[i].kind if what == "colored" else None for i in view.colored()]
        colors = [objects[i].color for i in view.colored()]
        queries = dict.fromkeys(Query(k, None, c) for k, c in zip(kinds, colors, strict=True))
        if kinds:
            queries[Query(ask.pick(kinds), None, ask.pick(COLOR_NAMES))] = None
    table: dict[int, list[Query]] = {}
    for query in queries:
        number = view.count(query)
        if number is not None and number <= MAX_COUNT:
            table.setdefault(number, []).append(query)
    return table


def count(ask: Ask) -> Turn | None:
    """How many X? What sort of thing and which number are chosen first, evenly; then the thing."""
    for _ in range(_TRIES):
        roll = ask.random()
        what = COUNTED[
            0 if roll < 0.4 else 1 if roll < 0.55 else 2 if roll < 0.75 else 3 if roll < 0.9 else 4
        ]
        number = int(habits.numbers(what).draw(ask.random()))
        found = counts(ask, what).get(number)
        if found:
            return ask.turn("count", number, (ask.pick(found),))
    return None


def color(ask: Ask) -> Turn | None:
    """What colour is the X? The colour is chosen first among those that the scene shows."""
    by_color: dict[str, list[int]] = {}
    for i in ask.view.colored():
        by_color.setdefault(ask.view.objects[i].color, []).append(i)
    if not by_color:
        return None
    index = ask.pick(by_color[ask.pick(tuple(by_color))])
    if ask.flip(0.2):
        return ask.turn(
            "color.region",
            ask.view.objects[index].color,
            evidence=[(Query(ask.view.objects[index].kind), (index,))],
            region=ask.spot(index),
        )
    query = ask.view.name(index, ask.rng, _NO_COLOR)
    return None if query is None else ask.turn("color", ask.view.objects[index].color, (query,))


_SIZE_DRAWS = (
    *("small",) * 8,
    *("medium",) * 10,
    *("large",) * 19,
)  # large things are rare, and asked about oftener


def size(ask: Ask) -> Turn | None:
    """What size is the X? small, medium or large, chosen first."""
    by_size: dict[str, list[int]] = {}
    for i in (i for i in ask.view.sure if ask.view.sized(i)):
        by_size.setdefault(ask.view.objects[i].size, []).append(i)
    wanted = ask.pick(_SIZE_DRAWS)
    if wanted not in by_size:
        return None
    index = ask.pick(by_size[wanted])
    query = ask.view.name(index, ask.rng, _NO_SIZE)
    return None if query is None else ask.turn("size", ask.view.objects[index].size, (query,))


def attribute(ask: Ask) -> Turn | None:
    """Is the X red? Is it small? The wrong value is often that of another object."""
    pool = ask.view.colored()
    yes = ask.flip()
    if pool and ask.flip(0.75):
        index = ask.pick(pool)
        query = ask.view.name(index, ask.rng, _NO_COLOR)
        if query is None:
            return None
        true = value = ask.view.objects[index].color
        if not yes:
            value = ask.view.objects[ask.pick(pool)].color if ask.flip() else ask.pick(COLOR_NAMES)
            if value == true:
                value = ask.pick([c for c in COLOR_NAMES if c != true])
        return ask.turn("attribute.color", "yes" if yes else "no", (query,), words={"color": ask.say(value)})
    value = ask.pick(vocabulary.SIZES)
    pool = [i for i in ask.view.sure if ask.view.sized(i)]
    having = [i for i in pool if ask.view.objects[i].size == value]
    if not having or len(having) == len(pool):
        return None
    index = ask.pick(having if yes else [i for i in pool if i not in having])
    query = ask.view.name(index, ask.rng, _NO_SIZE)
    if query is None:
        return None
    return ask.turn("attribute.size", "yes" if yes else "no", (query,), words={"size": ask.say(value)})


def word(ask: Ask) -> Turn | None:
    """What does the sign say? And: does it say so?"""
    view = ask.view
    printed = [i for i in view.sure if view.objects[i].word]
    if not printed:
        return None
    index = ask.pick(printed)
    text = view.objects[index].word or ""
    roll = ask.random()
    kind = view.objects[index].kind
    if roll < 0.2:
        return ask.turn(
            "word.region", text, evidence=[(Query(kind), (index,))], region=ask.spot(index, 0.0), written=True
        )
    if roll < 0.4 and sum(1 for o in view.objects if o.word) == 1:
        return ask.turn("word.any", text, evidence=[(Query(kind), (index,))], written=True)
    query = view.name(index, ask.rng, frozenset({"category", "size"}))
    if query is None or query.kind is None:
        return None
    if roll < 0.75:
        return ask.turn("word.what", text, (query,), written=True)
    yes = ask.flip()
    shown = text if yes else ask.pick([w for w in vocabulary.SIGN_WORDS if w != text])
    others = [w for i in printed if (w := view.objects[i].word) and w != text]
    if not yes and others and ask.flip():
        shown = ask.pick(others)
    return ask.turn("word.yesno", "yes" if yes else "no", (query,), words={"word": shown})
