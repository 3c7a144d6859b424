"""Whether what the text speaks of is there: presence is near-proof, absence is not.

What a detector did not find is called absent only where its measured recall makes that likely, and where nothing faint, no
answer and no unclaimed thing of the same colour speaks for it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from ...tools.values import Regions
from . import lexical
from .case import Case, Verdict, class_of, log_score, logit
from .claims import Claim, Entity
from .counting import described
from .evidence import Look
from .reliability import combine

_BESIDE = re.compile(r"\b(?:next to|near|nearby|behind|beside)\b")  # how an answer places what it made up
SURE = 0.7  # a tagger's score above which the tag means the name itself, not a wider class
FOUND = 0.5  # part of the things of a class that must be found for seeing none to support that there is none
PLAIN = 0.3  # a detector's score from which what the text does not speak of may be what was meant


def features(case: Case, claim: Claim) -> dict[str, float]:
    """What the existence model looks at; see `calibrate` and `calibrate_scenes` for how its weights are fitted."""
    entity = case.found.entities[claim.refs[0]]
    told: dict[str, float] = {}
    for look in case.looks(entity.id):
        told[look.role] = case.reliability.evidence_of(look, case.measured.get(look.role))
        told[f"{look.role}.seen"] = float(look.score > 0)
        told[f"{look.role}.exact"] = float(look.score > SURE)
        told[f"{look.role}.wide"] = float(0 < look.score <= SURE)
    told["seen"] = float(any(look.score > 0 for look in case.looks(entity.id)))
    told["score"] = log_score(
        max((r.score for r in (*case.regions(entity.id), *case.faint(entity.id))), default=0.0)
    )
    told["denied"] = float(not claim.polarity)
    if claim.id in case.evidence.answers:
        heard = combine(*case.evidence.answers[claim.id])
        told[f"mllm.{heard}"] = 1.0
        # at even odds, so that its log odds are the weight of the evidence
        told["mllm"] = logit(case.reliability.observed(f"exists.{heard}"))
    spare = [r for r in case.spare if r.score >= PLAIN]
    wanted = case.colors_of(entity.id)
    # what follows says something only of what was not seen
    unseen = 1 - told["seen"]
    told["score.seen"] = told["score"] * told["seen"]
    told["faint"] = unseen * (told["score"] - log_score(0.0))
    told["faint.any"] = float(told["faint"] > 0)
    places = len(case.doubtful)
    told["doubt"] = unseen * max((log_score(r.score) - log_score(0.0) for r in case.doubtful), default=0.0)
    told["doubt.any"] = unseen * float(places > 0)
    told["doubt.color"] = unseen * float(bool(wanted) and any(case.color(r) in wanted for r in case.doubtful))
    told["crowd"] = unseen * math.log(max(1, case.unseen) / max(1, places))
    # a model that looks with the detector's eyes makes up what these did not see; anyone else may have seen it
    told["own.unseen"] = unseen * float(case.speaker == "mllm")
    told["answer.unseen"] = unseen * float(case.asked)
    told["own.answer"] = told["own.unseen"] * float(case.asked)
    # a model that loses its thread names what is not there over and over
    told["again"] = unseen * math.log(max(1, sum(e.name == entity.name for e in case.found.entities)))
    told["spare"] = unseen * float(min(2, len(spare)))
    told["spare.color"] = unseen * float(bool(wanted) and any(case.color(r) in wanted for r in spare))
    for name in ("doubt.color", "spare.color"):  # the colour it would give to what it took for this
        told[f"own.{name}"] = told["own.unseen"] * told[name]
    told["spare.alike"] = unseen * float(any(lexical.alike(entity.name, r.label) for r in spare))
    name = class_of(entity.name)
    told["class"] = case.reliability.classes.get(name, case.reliability.classes.get("", 0.0))
    # a detector that finds much in a picture misses less of it, and the more so of what a caption names
    kinds = math.log1p(len({r.label for r in case.evidence.detections}))
    told["kinds"] = kinds
    asserted = not case.asked
    told["answer"] = float(case.asked)
    told["told.wide"] = told.get("open_vocabulary.wide", 0.0) * asserted
    told["told.kinds"] = kinds * asserted
    told["told.first"] = float(asserted and claim.id == case.first)
    words = case.found.text.lower()
    told["answer.beside"] = float(case.asked and bool(_BESIDE.search(words)))
    told["answer.short"] = float(case.asked and len(words.split()) < 9)
    return told


def judge(case: Case, claim: Claim) -> Verdict:
    """The verdict on one claim of existence."""
    entity = case.found.entities[claim.refs[0]]
    looks, regions = case.looks(entity.id), case.regions(entity.id)
    asked = claim.id in case.evidence.answers
    if not any(look.covered for look in looks) and not asked:
        return Verdict(
            claim.id, "unverifiable", 0.5, why=f"nothing that looks at the picture knows {entity.name!r}"
        )
    seen = features(case, claim)
    chance = case.reliability.existence(seen, claim.polarity)
    said = chance if claim.polarity else 1 - chance
    kind = "denied" if not claim.polarity else "answer" if case.asked else "existence"
    label = case.reliability.threshold(kind).label(said)
    if label == "contradicted" and claim.polarity and not asked and not _may_be_absent(case, looks):
        label = "unverifiable"
    if label == "contradicted" and not claim.polarity:
        # "no red car" is not wrong because of a blue one
        fitting = described(case, entity, regions) if case.colors_of(entity.id) else regions
        if not _is_shown(seen, regions) or (regions and not fitting):
            label = "unverifiable"  # likely wrong, but a denial falls only to something that was seen
        regions = fitting or regions
    if label == "supported" and claim.polarity and not any(look.score > 0 for look in looks) and not asked:
        label = "unverifiable"  # likely, but nobody saw it
    if (
        label == "supported"
        and not case.reliability.fitted
        and not asked
        and (why := _guessed(case, claim, looks))
    ):
        return Verdict(claim.id, "unverifiable", said, regions, why, features=seen)
    if claim.polarity and label == "contradicted":
        # of what was asked for, nothing else may take the place: "Yes, there is a bowl" answers no question about a spoon
        answered = case.asked and claim.id == case.first
        name, stand_in = ("", Regions()) if answered else _stand_in(case, entity)
        return Verdict(claim.id, label, said, stand_in, _unseen(entity, looks), name, features=seen)
    if not claim.polarity and label == "contradicted":
        return Verdict(claim.id, label, said, regions, f"{entity.name} is seen", "there", features=seen)
    why = f"{entity.name} is seen" if regions else _unseen(entity, looks)
    return Verdict(claim.id, label, said, regions, why, features=seen)


def _guessed(case: Case, claim: Claim, looks: Sequence[Look]) -> str:
    """Why what was or was not seen is too little to support a claim, where nobody fitted what it is worth; '' where it is not.

    A detector's wider class says nothing of the narrower thing ("a person is seen" of a woman), and a detector that misses most
    things of a class says nothing by not seeing one.
    """
    name = case.found.entities[claim.refs[0]].name
    shown = [look for look in looks if look.score > 0]
    if claim.polarity and shown and all(look.relation == "wider" for look in shown):
        return f"{' or '.join(shown[0].classes)} is seen, which need not be {name}"
    if not claim.polarity and not shown:
        recalls = [
            case.reliability.recall(look, case.measured.get(look.role)) for look in looks if look.covered
        ]
        if recalls and max(recalls) < FOUND:
            return f"no {name} is seen, but fewer than half of them are found"
    return ""


def _is_shown(seen: dict[str, float], regions: Regions) -> bool:
    """Whether anybody saw the thing: a look, faintly even, or the core MLLM when it was asked."""
    told = any(seen.get(name) for name in ("seen", "faint.any", "mllm.yes", "mllm.both yes"))
    return bool(regions) or told


def _may_be_absent(case: Case, looks: Sequence[Look]) -> bool:
    """Whether somebody looked whose finding nothing says something: a detector that has just this class."""
    return any(
        look.covered and look.role in case.reliability.absence and look.relation in ("same", "wider")
        for look in looks
    )


def _unseen(entity: Entity, looks: Sequence[Look]) -> str:
    who = " and ".join(look.role.replace("_", "-") for look in looks if look.covered and not look.score)
    return f"no {entity.name} is seen by the {who or 'core MLLM'}"


def _stand_in(case: Case, entity: Entity) -> tuple[str, Regions]:
    """Something of a close kind that is seen and that the text does not speak of: what was taken for the entity."""
    free = [
        r for r in case.spare
        if r.score >= 0.5 and lexical.alike(entity.name, r.label)
        and not any(e.id != entity.id and lexical.related(e.name, r.label) for e in case.found.entities)
    ]  # fmt: skip
    return (free[0].label, Regions(free[:1])) if free else ("", Regions())
