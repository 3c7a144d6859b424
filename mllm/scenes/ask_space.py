"""Questions about where things are: relations, comparisons of extent and distance, regions, grounding, captions."""

from __future__ import annotations

from . import describe, relations, vocabulary
from .ask import Ask
from .phrasing import Query
from .relations import area, distance
from .schema import Turn

LARGER = 1.4  # an area must exceed another by this factor to be called larger
CLOSER = 1.3  # a distance must exceed another by this factor to be called longer

_SIDES = ("left of", "right of", "above", "below")


def offset(ask: Ask, a: int, b: int) -> tuple[int, int]:
    """Signs of where object `a` lies seen from `b`: (-1 left, 0 undecided, 1 right), (-1 above, 0, 1 below)."""
    scene, objects = ask.view.scene, ask.view.objects
    side = float(min(scene.width, scene.height))
    left = relations.left_of(objects[a].box, objects[b].box, side)
    above = relations.above(objects[a].box, objects[b].box, side)
    return 0 if left is None else -1 if left else 1, 0 if above is None else -1 if above else 1


def relation(ask: Ask) -> Turn | None:
    """How do two things stand to each other? Both orders and all sides are equally frequent."""
    roll = ask.random()
    if roll > 0.85:
        return nearest(ask)
    pair = ask.view.named(ask.rng, 2)
    if pair is None:
        return None
    (a, qa), (b, qb) = pair
    across, down = offset(ask, a, b)
    if roll < 0.25:
        if not across:
            return None
        if (across > 0) != ask.flip():
            (a, qa), (b, qb), across = (b, qb), (a, qa), -across
        return ask.turn("relation.which", "right" if across > 0 else "left", (qa, qb))
    if roll < 0.45:
        if not down:
            return None
        if (down > 0) != ask.flip():
            (a, qa), (b, qb), down = (b, qb), (a, qa), -down
        return ask.turn("relation.level", "below" if down > 0 else "above", (qa, qb))
    yes = ask.flip()
    side = ask.pick(_SIDES)
    sign = across if side in ("left of", "right of") else down
    if not sign:
        return None
    holds = (sign > 0) == (side in ("right of", "below"))
    if holds != yes:
        qa, qb = qb, qa
    word = ask.pick(_RELATION_WORDS[side]) if ask.language == "en" else vocabulary.chinese(side)
    return ask.turn("relation.yesno", "yes" if yes else "no", (qa, qb), words={"rel": word})


_RELATION_WORDS = {
    "left of": ("left of", "to the left of", "on the left of", "on the left side of"),
    "right of": ("right of", "to the right of", "on the right of", "on the right side of"),
    "above": ("above", "higher than", "further up than"),
    "below": ("below", "lower than", "further down than"),
}


def nearest(ask: Ask) -> Turn | None:
    """What is nearest to X? Asked where the second nearest is clearly further."""
    view = ask.view
    if len(view.sure) < 3 or view.unsure:
        return None
    found = view.named(ask.rng, 1)
    if found is None:
        return None
    index, query = found[0]
    others = [i for i in view.sure if i != index]
    side = float(min(view.scene.width, view.scene.height))
    place = relations.nearest(view.objects[index].box, [view.objects[i].box for i in others], side)
    if place is None:
        return None
    answer = others[place]
    kind = view.objects[answer].kind
    return ask.turn("relation.what", kind, (query,), evidence=[(query, (index,)), (Query(kind), (answer,))])


def compare(ask: Ask) -> Turn | None:
    """Which are more, which is larger, which is closer?"""
    roll = ask.random()
    if roll < 0.55:
        return compare_numbers(ask)
    return compare_sizes(ask) if roll < 0.82 else compare_distances(ask)


def like_groups(ask: Ask) -> list[Query] | None:
    """At least two phrases of one build (kinds, or colours, or coloured kinds), so that neither says its number."""
    view = ask.view
    roll = ask.random()
    pool: dict[Query, None] = {}
    if roll < 0.5:
        pool = dict.fromkeys(Query(kind) for kind in view.kinds)
    elif roll < 0.75:
        pool = dict.fromkeys(Query(None, None, view.objects[i].color) for i in view.colored())
    else:
        pool = dict.fromkeys(Query(view.objects[i].kind, None, view.objects[i].color) for i in view.colored())
    queries = [q for q in pool if view.find(q)]
    return queries if len(queries) > 1 else None


def compare_numbers(ask: Ask) -> Turn | None:
    """More, fewer, as many: the answer first, then a pair of groups for which it holds."""
    queries = like_groups(ask)
    if queries is None:
        return None
    pairs = [(a, b) for a in queries for b in queries if a != b and not set(ask.named(a)) & set(ask.named(b))]
    equal = [p for p in pairs if len(ask.named(p[0])) == len(ask.named(p[1]))]
    more = [p for p in pairs if len(ask.named(p[0])) > len(ask.named(p[1]))]
    form = ask.pick(("more", "fewer", "same", "which"))
    yes = ask.flip()
    if not more or (form == "same" and not equal):
        return None
    a, b = ask.pick(equal if form == "same" and yes else more)
    if form == "which":
        return ask.turn("compare.which", ask.label(a), (a, b) if yes else (b, a), written=True)
    if form == "same":
        swap = ask.flip()
    else:
        swap = (form == "more") != yes
    return ask.turn(f"compare.{form}", "yes" if yes else "no", (b, a) if swap else (a, b))


def compare_sizes(ask: Ask) -> Turn | None:
    """Which of two is larger or smaller, by the area of their boxes."""
    pair = ask.view.named(ask.rng, 2, frozenset({"size"}))
    if pair is None:
        return None
    (a, qa), (b, qb) = pair
    ratio = area(ask.view.objects[a].box) / max(1.0, area(ask.view.objects[b].box))
    if 1 / LARGER < ratio < LARGER:
        return None
    if (ratio > 1) != ask.flip():
        qa, qb, ratio = qb, qa, 1 / ratio
    roll = ask.random()
    if roll < 0.4:
        return ask.turn("compare.isbigger", "yes" if ratio > 1 else "no", (qa, qb))
    larger = roll < 0.75
    chosen = qa if (ratio > 1) == larger else qb
    return ask.turn(
        "compare.larger" if larger else "compare.smaller", ask.label(chosen), (qa, qb), written=True
    )


def compare_distances(ask: Ask) -> Turn | None:
    """Which of two is closer to a third."""
    three = ask.view.named(ask.rng, 3)
    if three is None:
        return None
    (a, qa), (b, qb), (c, qc) = three
    at = [ask.view.objects[i].box for i in (a, b, c)]
    ratio = distance(at[0], at[2]) / max(1.0, distance(at[1], at[2]))
    if 1 / CLOSER < ratio < CLOSER:
        return None
    if (ratio > 1) != ask.flip():
        qa, qb, ratio = qb, qa, 1 / ratio
    return ask.turn("compare.closer", ask.label(qa if ratio < 1 else qb), (qa, qb, qc), written=True)


def region(ask: Ask) -> Turn | None:
    """What is at this box or point?"""
    view = ask.view
    if not view.sure:
        return None
    index = ask.pick(view.sure)
    o = view.objects[index]
    here = ask.spot(index)
    roll = ask.random()
    if roll < 0.6:
        return ask.turn("region.what", o.kind, evidence=[(Query(o.kind), (index,))], region=here)
    if roll < 0.75:
        words = ask.label(describe.true_query(view, index)) + describe.says(view, index, ask.language)
        return ask.turn(
            "region.describe", words, evidence=[(Query(o.kind), (index,))], region=here, written=True
        )
    yes = ask.flip()
    query = ask.phrase_for(index)
    if not yes:
        elsewhere = [i for i in view.sure if view.objects[i].kind != o.kind]
        if elsewhere and ask.flip():
            query = ask.phrase_for(ask.pick(elsewhere))
        else:
            missing = ask.absent()
            if missing is None:
                return None
            query = missing
    found = view.find(query)
    if found is None or (index in found) != yes:
        return None
    return ask.turn(
        "region.yesno", "yes" if yes else "no", (query,), evidence=[(Query(o.kind), (index,))], region=here
    )


def ground(ask: Ask) -> Turn | None:
    """Where is the X? The answer is boxes: of one thing, of all of a sort, or none."""
    view = ask.view
    if not view.sure:
        return None
    roll = ask.random()
    if roll < 0.55:
        found = view.named(ask.rng, 1)
        if found is None:
            return None
        return ask.turn("ground.one", "<box:0>", (found[0][1],), written=True)
    query = ask.present() if roll < 0.95 else ask.absent()
    if query is None:
        return None
    number = view.count(query) or 0
    if roll < 0.8 and number < 2:
        return None
    answer = " ".join(f"<box:{i}>" for i in range(number)) or ask.say("none")
    return ask.turn("ground.all", answer, (query,), written=True)


def caption(ask: Ask) -> Turn | None:
    """Describe the picture: shortly, in detail, or with a box for each thing."""
    view, roll = ask.view, ask.random()
    if view.unsure:
        return None
    if roll < 0.5:
        text = describe.short_caption(view, ask.language, color=ask.flip(0.3))
        return ask.turn("caption.short", text, evidence=list(describe.groups(view)), written=True)  # type: ignore[arg-type]
    if roll < 0.8 or not view.sure:
        text = describe.detailed_caption(view, ask.language)
        return ask.turn("caption.detail", text, evidence=list(describe.groups(view)), written=True)  # type: ignore[arg-type]
    evidence = [(q, tuple(found)) for q, found in describe.groups(view, color=True)]
    return ask.turn("caption.grounded", ask.point(evidence)[0], evidence=evidence, written=True)
