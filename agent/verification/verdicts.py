"""From evidence to verdicts: supported, contradicted or unverifiable, with the probability that the claim is true.

Presence is near-proof, absence is not: what a detector did not find is called absent only where its measured recall makes
that likely. Where a claim is contradicted, the verdict says what is seen instead, so that the text can be mended.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ...tools.color import COLOR_NAMES, color_shares, main_color
from ...tools.geometry import RELATIONS, gap, intersection
from ...tools.models import Models
from ...tools.names import canonical, matched
from ...tools.values import Region, Regions
from . import lexical
from .claims import Claim, Entity, Extraction
from .evidence import Evidence, Look, geometric
from .reliability import Reliability, combine, posterior

_NEAR_COLORS = {
    frozenset(pair.split("-"))
    for pair in "gray-black gray-white red-orange red-pink orange-yellow orange-brown brown-red purple-blue purple-pink brown-black "
    "yellow-brown blue-black green-black blue-gray brown-gray white-yellow".split()
}
_COLOR_OF = {
    "grey": "gray",
    "tan": "brown",
    "beige": "brown",
    "golden": "yellow",
    "silver": "gray",
    "gold": "yellow",
}
_ANSWER = re.compile(r"\s*(?:yes|no)\b|\s*(?:是|否|没有|有的)", re.IGNORECASE)
_BESIDE = re.compile(r"\b(?:next to|near|nearby|behind|beside)\b")  # how an answer places what it made up
LEAST_SURE = 0.5  # of a count, to be put in the place of another
SURE = 0.7  # a tagger's score above which the tag means the name itself, not a wider class
COLOR_PART = 0.25  # of a thing's pixels that make it "red" although another colour is its main one
OPPOSITE = {"left": "right", "right": "left", "above": "below", "below": "above"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """On one claim. `probability` is that of the claim being true; `instead` what is seen in place of what was said."""

    claim: str
    label: str
    probability: float
    evidence: Regions = field(default_factory=Regions)
    why: str = ""
    instead: str = ""
    because: str = ""  # id of the claim that this one falls with
    observed: str = ""  # the kind of observation that decided, as calibration counts them

    def to_json(self) -> dict[str, Any]:
        return {
            "claim": self.claim, "label": self.label, "probability": round(self.probability, 4),
            "evidence": [r.to_json() for r in self.evidence], "why": self.why, "instead": self.instead,
        }  # fmt: skip


class Judge:
    """Judges the claims of one extraction."""

    def __init__(
        self, found: Extraction, evidence: Evidence, models: Models, reliability: Reliability
    ) -> None:
        self.found, self.evidence, self.models, self.reliability = found, evidence, models, reliability
        self.measured = {
            role: models.calibration(role) if models.spec(role) is not None else None
            for role in ("detector", "open_vocabulary")
        }
        # an answer to a question of yes or no is turned where it is wrong, a description only loses words
        self.asked = bool(_ANSWER.match(found.text))
        self.first = next((c.id for c in found.claims if c.kind == "existence"), "")
        self.absent: dict[int, str] = {}  # entity -> the existence claim that was contradicted

    def judge(self, claims: Sequence[Claim]) -> dict[str, Verdict]:
        """Verdicts by claim id; existence first, since the others lean on it."""
        verdicts: dict[str, Verdict] = {}
        for claim in claims:
            if claim.kind == "existence":
                verdicts[claim.id] = self._existence(claim)
                if verdicts[claim.id].label == "contradicted" and claim.polarity:
                    self.absent[claim.refs[0]] = claim.id
        for claim in claims:
            if claim.kind == "existence":
                continue
            fallen = next((self.absent[r] for r in claim.refs if r in self.absent), None)
            if fallen is not None:
                told = verdicts[fallen]
                verdicts[claim.id] = Verdict(
                    claim.id, "contradicted", told.probability, why=told.why, because=fallen
                )
                continue
            if claim.kind not in self.reliability.kinds:
                verdicts[claim.id] = self._other(claim)
                continue
            verdicts[claim.id] = {
                "count": self._count, "attribute": self._attribute, "relation": self._relation, "text": self._text,
            }.get(claim.kind, self._other)(claim)  # fmt: skip
        return verdicts

    # -- existence ------------------------------------------------------------------------------------------------

    def features(self, claim: Claim) -> dict[str, float]:
        """What the existence model looks at; see `calibrate` for how its weights are fitted."""
        entity = self.found.entities[claim.refs[0]]
        told: dict[str, float] = {}
        for look in self.evidence.looks.get(entity.id, ()):
            told[look.role] = self.reliability.evidence_of(look, self.measured.get(look.role))
            told[f"{look.role}.seen"] = float(look.score > 0)
            told[f"{look.role}.exact"] = float(look.score > SURE)
            told[f"{look.role}.wide"] = float(0 < look.score <= SURE)
        if claim.id in self.evidence.answers:
            # at even odds, so that its log odds are the weight of the evidence
            told["mllm"] = _logit(
                self.reliability.observations[f"exists.{combine(*self.evidence.answers[claim.id])}"]
            )
        name = class_of(entity.name)
        told["class"] = self.reliability.classes.get(name, self.reliability.classes.get("", 0.0))
        # a detector that finds much in a picture misses less of it, and the more so of what a caption names
        kinds = math.log1p(len({r.label for r in self.evidence.detections}))
        told["kinds"] = kinds
        asserted = not self.asked
        told["answer"] = float(self.asked)
        told["told.wide"] = told.get("open_vocabulary.wide", 0.0) * asserted
        told["told.kinds"] = kinds * asserted
        told["told.first"] = float(asserted and claim.id == self.first)
        words = self.found.text.lower()
        told["answer.beside"] = float(self.asked and bool(_BESIDE.search(words)))
        told["answer.short"] = float(self.asked and len(words.split()) < 9)
        return told

    def _existence(self, claim: Claim) -> Verdict:
        entity = self.found.entities[claim.refs[0]]
        looks = self.evidence.looks.get(entity.id, ())
        regions = self.evidence.regions.get(entity.id, Regions())
        asked = claim.id in self.evidence.answers
        if not any(look.covered for look in looks) and not asked:
            return Verdict(
                claim.id, "unverifiable", 0.5, why=f"nothing that looks at the picture knows {entity.name!r}"
            )
        chance = self.reliability.existence(self.features(claim), claim.polarity)
        said = chance if claim.polarity else 1 - chance
        kind = "denied" if not claim.polarity else "answer" if self.asked else "existence"
        label = self.reliability.threshold(kind).label(said)
        if label == "contradicted" and claim.polarity and not asked and not self._may_be_absent(looks):
            label = "unverifiable"
        if (
            label == "supported"
            and claim.polarity
            and not asked
            and not any(look.score > 0 for look in looks)
        ):
            label = "unverifiable"  # likely, but nobody saw it
        if claim.polarity and label == "contradicted":
            swap = self._stand_in(entity)
            return Verdict(claim.id, label, said, swap[1], self._unseen(entity, looks), swap[0])
        if not claim.polarity and label == "contradicted":
            return Verdict(claim.id, label, said, regions, f"{entity.name} is seen", "there")
        why = f"{entity.name} is seen" if regions else self._unseen(entity, looks)
        return Verdict(claim.id, label, said, regions, why)

    def _may_be_absent(self, looks: Sequence[Look]) -> bool:
        """Whether somebody looked whose finding nothing says something: a detector that has just this class."""
        return any(
            look.covered and look.role in self.reliability.absence and look.relation in ("same", "wider")
            for look in looks
        )

    @staticmethod
    def _unseen(entity: Entity, looks: Sequence[Look]) -> str:
        who = " and ".join(look.role.replace("_", "-") for look in looks if look.covered and not look.score)
        return f"no {entity.name} is seen by the {who or 'core MLLM'}"

    def _stand_in(self, entity: Entity) -> tuple[str, Regions]:
        """Something of a close kind that is seen and that the text does not speak of: what was taken for the entity."""
        claimed = {r.id for regions in self.evidence.regions.values() for r in regions}
        free = [
            r for r in self.evidence.detections
            if r.id not in claimed and r.score >= 0.5 and lexical.alike(entity.name, r.label)
            and not any(e.id != entity.id and lexical.related(e.name, r.label) for e in self.found.entities)
        ]  # fmt: skip
        if not free:
            return "", Regions()
        return free[0].label, Regions([free[0]])

    # -- counts -------------------------------------------------------------------------------------------------------

    def _count(self, claim: Claim) -> Verdict:
        entity = self.found.entities[claim.refs[0]]
        covered = [look for look in self.evidence.looks.get(entity.id, ()) if look.covered]
        regions = self._described(entity)
        if not covered or regions is None:
            return Verdict(claim.id, "unverifiable", 0.5, why=f"nothing counts {entity.name!r} as described")
        least = claim.value.endswith("+")
        number = int(claim.value.rstrip("+"))
        look = max(covered, key=lambda one: one.score)
        recall = self.reliability.recall(look, self.measured.get(look.role))
        claimed = range(number, number + 6) if least else (number,)
        chances = posterior(len(regions), recall, self.reliability.doubles, claimed)
        chance = sum(chances[number:]) if least else chances[number] if number < len(chances) else 0.0
        best = max(range(len(chances)), key=chances.__getitem__)
        said = chance if claim.polarity else 1 - chance
        label = self.reliability.threshold("count").label(said)
        if label == "contradicted" and (best in (0, number) or chances[best] < LEAST_SURE):
            label = "unverifiable"  # nothing to put in its place: the thing's own existence decides
        return Verdict(
            claim.id, label, said, regions, f"{len(regions)} seen", str(best) if label == "contradicted" else "",
            observed=f"count.{len(regions) - number}",
        )  # fmt: skip

    def _colors_of(self, entity: int) -> set[str]:
        return {
            _COLOR_OF.get(c.value, c.value) for c in self.found.claims
            if c.kind == "attribute" and c.aspect == "color" and c.refs[0] == entity and c.polarity
        }  # fmt: skip

    def _described(self, entity: Entity) -> Regions | None:
        """The regions of an entity that are as it is described: of "two red dogs" the red ones; of "two dogs" beside
        "a red dog" those that are not red. None where the description fits nothing."""
        regions = self.evidence.regions.get(entity.id, Regions())
        colors = self._colors_of(entity.id) & set(COLOR_NAMES)
        if colors:
            own = Regions(r for r in regions if self._color(r) in colors)
            return own if own else None if regions else Regions()
        beside: set[str] = set()
        for other in self.found.entities:
            if other.id != entity.id and other.name == entity.name and not other.denied:
                beside |= self._colors_of(other.id)
        return Regions(r for r in regions if self._color(r) not in beside) if beside else regions

    # -- attributes -----------------------------------------------------------------------------------------------------

    def _color(self, region: Region) -> str:
        """What colour a region has: what its producer saw, else by its pixels; '' for one of many colours."""
        if region.color:
            return region.color if region.color in COLOR_NAMES else ""
        return main_color(self.evidence.image, region)

    def _attribute(self, claim: Claim) -> Verdict:
        entity = self.found.entities[claim.refs[0]]
        regions = self.evidence.regions.get(entity.id, Regions())
        if claim.aspect != "color":
            return self._by_question(claim, regions)
        wanted = _COLOR_OF.get(claim.value, claim.value)
        if not regions:
            return Verdict(
                claim.id, "unverifiable", 0.5, why=f"no {entity.name} whose colour could be looked at"
            )
        if wanted not in COLOR_NAMES:
            return self._by_question(claim, regions)
        several = {c.value for c in self.found.claims
                   if c.kind == "attribute" and c.aspect == "color" and c.refs[0] == entity.id}  # fmt: skip
        seen = [self._observe_color(r, wanted, len(several) > 1) for r in regions[:8]]
        siblings = [
            e.id for e in self.found.entities if e.id != entity.id and e.name == entity.name and not e.denied
        ]
        if entity.plural and not siblings:
            best = sorted(seen, key=lambda s: -self.reliability.observations[f"color.{s}"])[len(seen) // 2]
        else:
            best = max(seen, key=lambda s: self.reliability.observations[f"color.{s}"])
        chance = self.reliability.observations[f"color.{best}"]
        said = chance if claim.polarity else 1 - chance
        label = self.reliability.threshold("attribute").label(said)
        colors = [self._color(r) for r in regions]
        taken = set().union(*(self._colors_of(e) for e in siblings)) if siblings else set()
        named = [c for c in colors if c and c not in taken]
        instead = max(sorted(set(named)), key=named.count) if named and label == "contradicted" else ""
        if label == "contradicted" and siblings and not instead:
            label = "unverifiable"  # which of several things is meant cannot be told
        if instead and (instead in several or not claim.polarity):
            instead = ""
        return Verdict(
            claim.id,
            label,
            said,
            regions,
            f"its colour is {colors[0] or 'of many'}",
            instead,
            observed=f"color.{best}",
        )

    def _observe_color(self, region: Region, wanted: str, several: bool) -> str:
        main = self._color(region)
        if main == wanted:
            return "same"
        if not main:
            return "many"
        if not region.color:
            share = dict(color_shares(self.evidence.image, region)).get(wanted, 0.0)
            if share >= COLOR_PART or (several and share >= COLOR_PART / 3):
                return "part"
            if share > 0.1:
                return "near"
        return "near" if frozenset((main, wanted)) in _NEAR_COLORS else "other"

    def _by_question(self, claim: Claim, regions: Regions) -> Verdict:
        """What only the core MLLM can see."""
        answers = self.evidence.answers.get(claim.id)
        if answers is None:
            return Verdict(claim.id, "unverifiable", 0.5, regions, "nothing could check it")
        told = combine(*answers)
        chance = self.reliability.observations[f"mllm.{told}"]
        said = chance if claim.polarity else 1 - chance
        kind = claim.kind if claim.kind != "attribute" else "state"
        label = self.reliability.threshold(kind if kind in self.reliability.thresholds else "other").label(
            said
        )
        return Verdict(claim.id, label, said, regions, f"asked both ways round, the core MLLM says {told}")

    # -- relations ----------------------------------------------------------------------------------------------------

    def _relation(self, claim: Claim) -> Verdict:
        one, two = (self.evidence.regions.get(r, Regions()) for r in claim.refs)
        pairs = [(a, b) for a in one[:8] for b in two[:8] if a.id != b.id]
        shown = Regions(list(one[:1]) + list(two[:1]))
        if not pairs:
            return Verdict(claim.id, "unverifiable", 0.5, shown, "one of the two is not seen")
        predicate = geometric(claim.value)
        if predicate is None:
            if not all(_far(a, b) for a, b in pairs) or claim.value in (
                "with",
                "of",
                "for",
                "from",
                "around",
                "down",
            ):
                return self._by_question(claim, shown)
            observed, instead = "apart", ""
        else:
            observed, instead = self._geometry(predicate, pairs)
        chance = self.reliability.observations[f"relation.{observed}"]
        said = chance if claim.polarity else 1 - chance
        label = self.reliability.threshold("relation").label(said)
        return Verdict(
            claim.id,
            label,
            said,
            shown,
            f"by their boxes: {observed}",
            instead if label == "contradicted" else "",
            observed=f"relation.{observed}",
        )

    @staticmethod
    def _geometry(predicate: str, pairs: Sequence[tuple[Region, Region]]) -> tuple[str, str]:
        """(what is observed, the relation that holds instead) over the pairs of regions that may be meant."""
        if predicate in OPPOSITE:
            if any(_beyond(predicate, a, b) for a, b in pairs):
                return "holds", ""
            if all(_beyond(OPPOSITE[predicate], a, b, sure=True) for a, b in pairs):
                return "opposite", OPPOSITE[predicate]
            return "unclear", ""
        if predicate == "near":
            if any(not _far(a, b) for a, b in pairs):
                return "holds", ""
            return (
                ("unclear", "")
                if any(gap(a.box, b.box) < 4 * min(_side(a), _side(b)) for a, b in pairs)
                else ("apart", "")
            )
        if predicate in ("on", "inside"):
            if any(_rests(a, b) for a, b in pairs):
                return "holds", ""
            if all(_far(a, b) for a, b in pairs):
                return "apart", _place(pairs[0])
            return "unclear", ""
        return "unclear", ""

    # -- text and the rest ----------------------------------------------------------------------------------------------

    def _text(self, claim: Claim) -> Verdict:
        if self.evidence.texts is None:
            return Verdict(claim.id, "unverifiable", 0.5, why="nothing reads text")
        wanted = _plain(claim.value)
        lines = [r for r in self.evidence.texts if _plain(r.text or "")]
        if not wanted or not lines:
            return Verdict(
                claim.id, "unverifiable", self.reliability.observations["text.none"], why="no text was read"
            )
        joined = _plain(" ".join(r.text or "" for r in lines))
        likeness = [difflib.SequenceMatcher(None, wanted, _plain(r.text or "")).ratio() for r in lines]
        best = max(range(len(lines)), key=likeness.__getitem__)
        top = 1.0 if wanted in joined else likeness[best]
        observed = "same" if top >= 0.85 else "near" if top >= 0.5 else "other"
        if observed == "other" and len(lines) > 3:
            observed = "none"  # many words, some of them perhaps not read
        chance = self.reliability.observations[f"text.{observed}"]
        said = chance if claim.polarity else 1 - chance
        label = self.reliability.threshold("text").label(said)
        instead = (lines[best].text or "") if label == "contradicted" and len(lines) == 1 else ""
        return Verdict(
            claim.id,
            label,
            said,
            Regions([lines[best]]),
            f"read: {lines[best].text}",
            instead,
            observed=f"text.{observed}",
        )

    def _other(self, claim: Claim) -> Verdict:
        return Verdict(claim.id, "unverifiable", 0.5, why="nothing could check it")


def class_of(name: str) -> str:
    """The class under which what was learnt of a name is kept: its class of COCO where it has one, else the name."""
    from ...tools.names import COCO_CLASSES

    meaning = matched(name, COCO_CLASSES)
    return meaning.classes[0] if meaning.classes and meaning.relation != "kinds" else canonical(name)


def _plain(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.casefold())


def _logit(p: float) -> float:
    p = min(0.999, max(0.001, p))
    return math.log(p / (1 - p))


def _side(region: Region) -> float:
    return max(1.0, min(region.width, region.height))


def _far(a: Region, b: Region) -> bool:
    """Whether two things stand clearly apart: by more than half of the smaller one's shorter side."""
    return gap(a.box, b.box) > 0.5 * min(_side(a), _side(b))


def _beyond(side: str, a: Region, b: Region, sure: bool = False) -> bool:
    """Whether a lies on that side of b; with `sure`, clearly: their boxes share little on that axis."""
    if sure:
        return RELATIONS[side](a, b)
    axis = 0 if side in ("left", "right") else 1
    ahead = b.center[axis] - a.center[axis]
    return ahead > 0 if side in ("left", "above") else ahead < 0


def _rests(a: Region, b: Region) -> bool:
    """Whether a may lie on or in b: it overlaps it, or its foot touches it."""
    if intersection(a.box, b.box) > 0:
        return True
    foot = abs(a.box[3] - b.box[1]) <= 0.25 * min(_side(a), _side(b))
    return foot and min(a.box[2], b.box[2]) > max(a.box[0], b.box[0])


def _place(pair: tuple[Region, Region]) -> str:
    """Where a is to b, in the word that says it best."""
    a, b = pair
    for side in ("left", "right", "above", "below"):
        if RELATIONS[side](a, b):
            return side
    return "near"
