"""Whether a thing has the colour that the text gives it, by the pixels of its mask or by what its detector saw."""

from __future__ import annotations

import math

from ...tools.color import COLOR_NAMES, color_shares
from ...tools.values import Region
from .case import Case, Verdict, color_word, log_score
from .claims import Claim, Entity
from .counting import shared_out

_NEAR = {
    frozenset(pair.split("-"))
    for pair in "gray-black gray-white red-orange red-pink orange-yellow orange-brown brown-red purple-blue purple-pink brown-black "
    "yellow-brown blue-black green-black blue-gray brown-gray white-yellow".split()
}
PART = 0.25  # of a thing's pixels that make it "red" although another colour is its main one
MOST = 8  # things of one name that are looked at


def judge(case: Case, claim: Claim) -> Verdict:
    """The verdict on one claim of an attribute; what is no colour is asked of the core MLLM."""
    entity = case.found.entities[claim.refs[0]]
    regions = case.regions(entity.id)
    wanted = color_word(claim.value)
    if entity.denied:
        return Verdict(claim.id, "unverifiable", 0.5, why=f"it says which {entity.name} is denied")
    if claim.aspect != "color" or (regions and wanted not in COLOR_NAMES):
        return case.by_question(claim, regions)
    if not regions:
        return Verdict(claim.id, "unverifiable", 0.5, why=f"no {entity.name} whose colour could be looked at")
    several = {c.value for c in case.found.claims
               if c.kind == "attribute" and c.aspect == "color" and c.refs[0] == entity.id}  # fmt: skip
    seen = {r.id: observe(case, r, wanted, len(several) > 1) for r in regions[:MOST]}
    siblings = [
        e.id for e in case.found.entities if e.id != entity.id and e.name == entity.name and not e.denied
    ]
    worth = {kind: case.reliability.observed(f"color.{kind}") for kind in set(seen.values())}
    ranked = sorted(regions[:MOST], key=lambda r: -worth[seen[r.id]])
    best = ranked[len(ranked) // 2 if entity.plural and not siblings else 0]
    found = features(case, entity, best, seen[best.id], wanted)
    if "attribute" in case.reliability.models:
        chance = case.reliability.modelled("attribute", found)
    else:
        chance = worth[seen[best.id]]
    said = chance if claim.polarity else 1 - chance
    label = case.reliability.threshold("attribute").label(said)
    instead, strike = "", False
    if label == "contradicted":
        free, lack = shared_out(case, entity)
        named = [c for r in (free if siblings else regions) if (c := case.color(r))]
        instead = max(sorted(set(named)), key=named.count) if named else ""
        if siblings and not instead:
            # every one that is seen is another of the text's: this one is one too many; else it cannot be told which is meant
            strike = lack > 0 and claim.polarity and not entity.plural
            label = label if strike else "unverifiable"
        if instead in several or not claim.polarity:
            instead = ""
    main = case.color(best)
    return Verdict(
        claim.id, label, said, regions, f"its colour is {main or 'of many'}", instead, observed=f"color.{seen[best.id]}",
        features=found, strike=strike,
    )  # fmt: skip


def features(case: Case, entity: Entity, best: Region, observed: str, wanted: str) -> dict[str, float]:
    """What the model of colours looks at: the observation, how surely the thing was seen, and whether another may be meant."""
    other = float(observed != "same")
    free, lack = shared_out(case, entity)
    named = sum(e.name == entity.name and wanted in case.colors_of(e.id) for e in case.found.entities)
    return {
        observed: 1.0,
        "score": other * log_score(best.score),
        "free": other * float(bool(free)),
        "lack": other * float(lack > 0),
        "faint": other * float(any(case.color(r) == wanted for r in case.faint(entity.id))),
        "spare": other * float(any(case.color(r) == wanted for r in case.spare)),
        "doubt": other * float(any(case.color(r) == wanted for r in case.doubtful)),
        # its own words see with the detector's eyes, and repeat themselves where it has lost its thread
        "own": other * float(case.speaker == "mllm"),
        "again": other * math.log(max(1, named)),
        # what its pixels say beside what its detector said
        "pixels": dict(color_shares(case.evidence.image, best)).get(wanted, 0.0) if other else 0.0,
    }


def observe(case: Case, region: Region, wanted: str, several: bool) -> str:
    """same, part (of it), near (a neighbouring colour), many (of no one colour) or other."""
    main = case.color(region)
    if main == wanted:
        return "same"
    if not main:
        return "many"
    if not region.color:
        share = dict(color_shares(case.evidence.image, region)).get(wanted, 0.0)
        if share >= PART or (several and share >= PART / 3):
            return "part"
        if share > 0.1:
            return "near"
    return "near" if frozenset((main, wanted)) in _NEAR else "other"
