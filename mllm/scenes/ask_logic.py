"""Questions that join facts with and, or, not, exactly, at least, all; and statements to be judged true or false."""

from __future__ import annotations

from . import ask_layouts, describe, vocabulary
from .ask import COLOR_NAMES, Ask
from .ask_space import like_groups, offset
from .phrasing import Query, forms
from .schema import Turn

_TRUTH = {True: ("yes", "true"), False: ("no", "false")}


def number_words(ask: Ask, number: int, query: Query) -> dict[str, str]:
    """Slots `num`, `plnum` and `are`: the number in digits or as a word, noun and verb in the number that goes with it."""
    f = {"num": str(number), "are": "is" if number == 1 else "are"}
    if ask.language == "zh":
        return f
    if ask.flip():
        f["num"] = describe.number_word(number)
    surface = forms(query, "en")
    f["plnum"] = surface["n"] if number == 1 else surface["pl"]
    return f


def logic(ask: Ask) -> Turn | None:
    """And, or, but not, neither, exactly, at least, all; the answer is chosen first."""
    roll = ask.random()
    yes = ask.flip()
    if roll < 0.45:
        return two_facts(ask, ask.pick(("and", "or", "not", "neither")), yes)
    if roll < 0.85:
        form = "logic.exactly" if roll < 0.65 else "logic.atleast"
        return numbered(ask, form, yes)
    return every(ask)


def two_facts(ask: Ask, connective: str, yes: bool) -> Turn | None:
    """A question over the presence of two things."""
    cases = [
        (a, b)
        for a in (True, False)
        for b in (True, False)
        if {"and": a and b, "or": a or b, "not": a and not b, "neither": not (a or b)}[connective] == yes
    ]
    pair = two_things(ask, ask.pick(cases))
    return None if pair is None else ask.turn(f"logic.{connective}", _TRUTH[yes][0], pair)


def two_things(ask: Ask, there: tuple[bool, bool]) -> tuple[Query, Query] | None:
    """Two different phrases, each of something there or not there; None where the scene has not two things to name.

    Scenes with too little for one of the cases are left out for all of them.
    """
    pools: dict[bool, list[Query]] = {True: [], False: []}
    for kind, found in pools.items():
        for _ in range(6):
            query = ask.present() if kind else ask.absent()
            if query is not None and query not in found:
                found.append(query)
            if len(found) == 2:
                break
        else:
            return None
    return pools[there[0]][0], pools[there[1]][1]


def numbered(ask: Ask, form: str, yes: bool, statement: bool = False) -> Turn | None:
    """Exactly or at least n of a sort.

    The number is that of the larger of two like groups, and the question is about that one or about the smaller one:
    number and noun alone tell nothing.
    """
    groups = like_groups(ask)
    if groups is None:
        return None
    a, b = ask.pick(groups), ask.pick(groups)
    x, y = len(ask.named(a)), len(ask.named(b))
    if x == y:
        return None
    if "atleast" in form and x < y:
        a, b, x, y = b, a, y, x
    query = a if yes else b
    return ask.turn(
        form,
        _TRUTH[yes][statement],
        (query,),
        words=number_words(ask, x, query),
        frame="statement.frame" if statement else None,
    )


def every(ask: Ask) -> Turn | None:
    """Are all X red? About groups of two and more.

    A group of several colours gives only "no", and is frequent: it is asked about as seldom as one of a single
    colour is met.
    """
    view = ask.view
    groups = [k for k, found in view.kinds.items() if len(found) > 1 and view.find(Query(k)) is not None]
    groups = [k for k in groups if all(view.objects[i].color in vocabulary.COLORS for i in view.kinds[k])]
    if not groups:
        return None
    kind = ask.pick(groups)
    colors = [view.objects[i].color for i in view.kinds[kind]]
    if len(set(colors)) > 1:
        yes = False
        if not ask.flip(_MIXED):
            return None
    elif not ask.flip(0.8):
        yes = False
        elsewhere = [view.objects[i].color for i in view.colored() if view.objects[i].color != colors[0]]
        if not elsewhere:
            return None
        colors = elsewhere
    else:
        yes = True
    return ask.turn("logic.all", _TRUTH[yes][0], (Query(kind),), words={"color": ask.say(ask.pick(colors))})


_MIXED = 0.1  # makes yes and no about even


def statement(ask: Ask) -> Turn | None:
    """A sentence to be judged true or false; about the towers or boxes where there are some."""
    truth = ask.flip()
    if ask.view.scene.groups and ask.flip(0.75):
        made = ask_layouts.claim(ask)
        if made is None:
            return None
        truth, (form, queries, words, found) = made
        return ask.turn(
            f"statement.{form}",
            _TRUTH[truth][1],
            queries,
            words=words,
            evidence=[(q, i) for q, i in found],
            frame="statement.frame",
        )
    return plain_statement(ask, ask.pick(_PLAIN), truth)


# Those on numbers fail in many scenes, and are tried more often to come out as frequent as the others.
_PLAIN = ("exists", "absent", "relation", "color", "both", *("count", "atleast", "more") * 4)


def plain_statement(ask: Ask, form: str, truth: bool) -> Turn | None:
    """A statement that is true or false as asked, about any scene; None where this scene gives none of the form."""
    answer, frame, name = _TRUTH[truth][1], "statement.frame", f"statement.{form}"
    queries: list[Query | None]
    words: dict[str, str] = {}
    if form in ("count", "atleast"):
        return numbered(ask, name, truth, statement=True)
    if form in ("exists", "absent"):
        queries = [ask.present() if truth == (form == "exists") else ask.absent()]
    elif form == "both":
        there = (True, True) if truth else ask.pick(((True, False), (False, True), (False, False)))
        pair = two_things(ask, there)
        if pair is None:
            return None
        queries = [*pair]
    elif form == "more":
        groups = like_groups(ask)
        if groups is None:
            return None
        a, b = ask.pick(groups), ask.pick(groups)
        x, y = len(ask.named(a)), len(ask.named(b))
        if x == y:
            return None
        queries = [a, b] if (x > y) == truth else [b, a]
    elif form == "relation":
        two = ask.view.named(ask.rng, 2)
        if two is None:
            return None
        side = ask.pick(("left of", "right of", "above", "below"))
        across, down = offset(ask, two[0][0], two[1][0])
        sign = across if side in ("left of", "right of") else down
        if not sign:
            return None
        holds = (sign > 0) == (side in ("right of", "below"))
        queries = [q for _, q in (two if holds == truth else two[::-1])]
        words = {"rel": f"to the {side}" if side.endswith("of") else side} if ask.language == "en" else {}
        words = words or {"rel": vocabulary.chinese(side)}
    else:
        pool = ask.view.colored()
        if not pool:
            return None
        index = ask.pick(pool)
        color = ask.view.objects[index].color
        queries = [ask.view.name(index, ask.rng, frozenset({"color"}))]
        if not truth:
            others = {ask.view.objects[i].color for i in pool} - {color}
            color = (
                ask.pick(sorted(others))
                if others and ask.flip()
                else ask.pick([c for c in COLOR_NAMES if c != color])
            )
        words = {"color": ask.say(color)}
    decided = [q for q in queries if q is not None]
    if len(decided) < len(queries):
        return None
    return ask.turn(name, answer, tuple(decided), words=words, frame=frame)
