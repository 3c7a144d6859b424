"""Whether there are as many as the text says: each thing once, those that are as described, weighed by how surely they are seen.

Where a model was fitted for the pack, a number n holds by how surely the n-th best candidate is seen and how surely there is
no one more; else by a posterior over the number under a detector that misses and doubles.
"""

from __future__ import annotations

from dataclasses import replace

from ...tools.color import COLOR_NAMES
from ...tools.values import Region, Regions
from .case import FLOOR, Case, Verdict, log_score
from .claims import Claim, Entity
from .evidence import Look, apart, distinct
from .reliability import posterior

LEAST_SURE = 0.5  # of a count, to be put in the place of another


def judge(case: Case, claim: Claim) -> Verdict:
    """The verdict on one claim of a number."""
    entity = case.found.entities[claim.refs[0]]
    covered = [look for look in case.looks(entity.id) if look.covered]
    number = int(claim.value.rstrip("+"))
    standing = {r.id for r in case.regions(entity.id)}
    shown = apart(distinct((*case.regions(entity.id), *case.faint(entity.id))))
    every, dim = (
        Regions(r for r in shown if r.id in standing),
        Regions(r for r in shown if r.id not in standing),
    )
    regions = described(case, entity, every)
    if not covered or regions is None:
        return Verdict(claim.id, "unverifiable", 0.5, why=f"nothing counts {entity.name!r} as described")
    faint = described(case, entity, dim) or Regions()
    if not case.colors_of(entity.id) and abs(len(every) - number) < abs(len(regions) - number):
        regions, faint = every, dim  # "three cups, one of them red" counts the red one too
    scores = [r.score for r in distinct((*regions, *faint))]
    wanted = case.colors_of(entity.id)
    # what lacks of a number may be what stands in a place that has no name
    doubtful = any(not wanted or case.color(r) in wanted for r in case.doubtful)
    seen = features(scores, number, claim.value.endswith("+"), doubtful)
    if "count" in case.reliability.models:
        return _by_scores(case, claim, regions, scores, seen)
    look = max(covered, key=lambda one: one.score)
    return replace(_by_posterior(case, claim, look, regions, number), features=seen)


def features(
    scores: list[float], number: int, least: bool = False, doubtful: bool = False
) -> dict[str, float]:
    """Of a number of things, from the scores of their candidates, the best first; `doubtful`: whether one may lie unnamed."""
    ranked = [1.0, *scores, FLOOR, *[FLOOR] * number]
    last, more = ranked[number], FLOOR if least else ranked[number + 1]
    return {
        "last": log_score(last),
        "more": log_score(more),
        "gap": log_score(last) - log_score(more),
        "many": float(number > 3),
        "doubt": float(doubtful) * log_score(last) / log_score(0.0),
    }


def _by_scores(
    case: Case, claim: Claim, regions: Regions, scores: list[float], seen: dict[str, float]
) -> Verdict:
    number = int(claim.value.rstrip("+"))
    chance = case.reliability.modelled("count", seen)
    others = {
        m: case.reliability.modelled("count", features(scores, m, False, bool(seen["doubt"])))
        for m in range(1, len(scores) + 1)
        if m != number
    }
    best = max(others, key=others.__getitem__, default=0)
    said = chance if claim.polarity else 1 - chance
    label = case.reliability.threshold("count").label(said)
    if label == "contradicted" and claim.polarity and others.get(best, 0.0) < LEAST_SURE:
        label = "unverifiable"  # nothing to put in its place: the thing's own existence decides
    return Verdict(
        claim.id, label, said, regions, f"{len(regions)} seen", str(best) if label == "contradicted" else "",
        observed=f"count.{len(regions) - number}", features=seen,
    )  # fmt: skip


def _by_posterior(case: Case, claim: Claim, look: Look, regions: Regions, number: int) -> Verdict:
    least = claim.value.endswith("+")
    recall = case.reliability.recall(look, case.measured.get(look.role))
    claimed = range(number, number + 6) if least else (number,)
    chances = posterior(len(regions), recall, case.reliability.doubles, claimed)
    chance = sum(chances[number:]) if least else chances[number] if number < len(chances) else 0.0
    best = max(range(len(chances)), key=chances.__getitem__)
    said = chance if claim.polarity else 1 - chance
    label = case.reliability.threshold("count").label(said)
    if label == "contradicted" and (best in (0, number) or chances[best] < LEAST_SURE):
        label = "unverifiable"
    return Verdict(
        claim.id, label, said, regions, f"{len(regions)} seen", str(best) if label == "contradicted" else "",
        observed=f"count.{len(regions) - number}",
    )  # fmt: skip


def described(case: Case, entity: Entity, regions: Regions) -> Regions | None:
    """The regions of an entity that are as it is described: of "two red dogs" the red ones; of "two dogs" beside
    "a red dog" those that are not red. None where the description fits nothing."""
    colors = case.colors_of(entity.id) & set(COLOR_NAMES)
    if colors:
        own = Regions(r for r in regions if case.color(r) in colors)
        return own if own else None if regions else Regions()
    beside: set[str] = set()
    for other in case.found.entities:
        if other.id != entity.id and other.name == entity.name and not other.denied:
            beside |= case.colors_of(other.id)
    return Regions(r for r in regions if case.color(r) not in beside) if beside else regions


def instances(entity: Entity) -> int:
    """How many things an entity speaks of, at least."""
    return entity.number or (2 if entity.plural else 1)


def shared_out(case: Case, entity: Entity) -> tuple[list[Region], int]:
    """The things of an entity's name that no claim of a colour has a right to, and how many the text has beyond those seen.

    "A red cap and a green cap" where a red and a blue one are seen: the blue one is free, and none is lacking.
    """
    free = list(case.regions(entity.id))
    without = 0
    for one in case.found.entities:
        if one.name != entity.name or one.denied:
            continue
        colors = case.colors_of(one.id) & set(COLOR_NAMES)
        for _ in range(instances(one)):
            own = next((r for r in free if case.color(r) in colors), None)
            if own is None:
                without += 1
            else:
                free.remove(own)
    return free, max(0, without - len(free))
