"""One text under judgement: its claims, what was seen of them, what that is worth; and the verdict on one claim."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ...tools.color import COLOR_NAMES, main_color
from ...tools.geometry import iou
from ...tools.models import Models
from ...tools.names import COCO_CLASSES, canonical
from ...tools.values import Region, Regions
from .claims import Claim, Extraction
from .evidence import Evidence, Look, meaning
from .reliability import Reliability, combine

_ANSWER = re.compile(r"\s*(?:yes|no)\b|\s*(?:是|否|没有|有的)", re.IGNORECASE)
_COLOR_OF = {
    "grey": "gray", "tan": "brown", "beige": "brown", "golden": "yellow", "silver": "gray", "gold": "yellow",
}  # fmt: skip
FLOOR = 0.004  # the score of what was not seen at all
FIRM = 0.5  # a detector's score from which a thing has its name
DOUBT = 0.04  # the least score of a place where something may be
PLACE = 0.3  # IoU above which two boxes are of one place


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
    strike: bool = False  # the thing itself is one more than there are: its mention goes, not the word alone
    observed: str = ""  # the kind of observation that decided, as calibration counts them
    features: dict[str, float] = field(default_factory=dict)  # what a fitted model of its kind looked at

    def to_json(self) -> dict[str, Any]:
        return {
            "claim": self.claim, "label": self.label, "probability": round(self.probability, 4),
            "evidence": [r.to_json() for r in self.evidence], "why": self.why, "instead": self.instead,
        }  # fmt: skip


@dataclass
class Case:
    """What the judges of all kinds of claims share."""

    found: Extraction
    evidence: Evidence
    models: Models
    reliability: Reliability
    speaker: str = ""  # "mllm": the words are the pack's own core MLLM's

    @cached_property
    def measured(self) -> dict[str, Any]:
        """Each detector's own calibration file; None where its pack names none."""
        return {
            role: self.models.calibration(role, self.evidence.image)
            if self.models.spec(role) is not None
            else None
            for role in ("detector", "open_vocabulary")
        }

    @cached_property
    def asked(self) -> bool:
        """Whether the text answers a question of yes or no: such a text is turned where it is wrong, others only lose words."""
        return bool(_ANSWER.match(self.found.text))

    @cached_property
    def first(self) -> str:
        """The id of the first claim of existence."""
        return next((c.id for c in self.found.claims if c.kind == "existence"), "")

    @cached_property
    def spare(self) -> Regions:
        """What was seen and the text does not speak of: it may be what was meant, under another name."""
        spoken = {r.id for regions in self.evidence.regions.values() for r in regions}
        return Regions(r for r in self.evidence.detections if r.id not in spoken)

    @cached_property
    def doubtful(self) -> Regions:
        """Places where something is that nobody is sure of, each by its likeliest name: what is there may have any name."""
        kept: list[Region] = []
        for region in sorted((*self.evidence.detections, *self.evidence.glimpsed), key=lambda r: -r.score):
            if region.score >= DOUBT and not any(iou(region.box, other.box) > PLACE for other in kept):
                kept.append(region)
        spoken = {r.id for regions in self.evidence.regions.values() for r in regions}
        return Regions(r for r in kept if r.score < FIRM and r.id not in spoken)

    @cached_property
    def unseen(self) -> int:
        """How many things the text asserts that no detector saw: a doubtful place can be one of them, not all."""
        return sum(
            any(look.covered for look in looks) and not any(look.score > 0 for look in looks)
            for entity, looks in self.evidence.looks.items()
            if not self.found.entities[entity].denied
        )

    def regions(self, entity: int) -> Regions:
        return self.evidence.regions.get(entity, Regions())

    def faint(self, entity: int) -> Regions:
        """What was seen of it too faintly to stand."""
        return self.evidence.faint.get(entity, Regions())

    def looks(self, entity: int) -> tuple[Look, ...]:
        return self.evidence.looks.get(entity, ())

    def color(self, region: Region) -> str:
        """What colour a region has: what its producer saw, else by its pixels; '' for one of many colours."""
        if region.color:
            return region.color if region.color in COLOR_NAMES else ""
        return main_color(self.evidence.image, region)

    def colors_of(self, entity: int) -> set[str]:
        """The colours that the text gives an entity."""
        return {
            color_word(c.value) for c in self.found.claims
            if c.kind == "attribute" and c.aspect == "color" and c.refs[0] == entity and c.polarity
        }  # fmt: skip

    def by_question(self, claim: Claim, regions: Regions) -> Verdict:
        """What only the core MLLM can see."""
        answers = self.evidence.answers.get(claim.id)
        if answers is None:
            return Verdict(claim.id, "unverifiable", 0.5, regions, "nothing could check it")
        told = combine(*answers)
        chance = self.reliability.observed(f"mllm.{told}")
        said = chance if claim.polarity else 1 - chance
        kind = claim.kind if claim.kind != "attribute" else "state"
        label = self.reliability.threshold(kind).label(said)
        return Verdict(claim.id, label, said, regions, f"asked both ways round, the core MLLM says {told}")


def color_word(value: str) -> str:
    """The basic colour term for a colour's word."""
    return _COLOR_OF.get(value, value)


def class_of(name: str) -> str:
    """The class under which what was learnt of a name is kept: its class of COCO where it has one, else the name."""
    known = meaning(name, COCO_CLASSES)
    return known.classes[0] if known.classes and known.relation != "kinds" else canonical(name)


def log_score(score: float) -> float:
    """Natural logarithm of a detector's score, from log(.004) for nothing at all; 0 for 1."""
    return math.log(max(FLOOR, min(1.0, score)))


def logit(p: float) -> float:
    """Log odds, of .001 to .999."""
    p = min(0.999, max(0.001, p))
    return math.log(p / (1 - p))
