"""What the picture says to all claims of a text, gathered by one plan: each detector looks once, whatever is claimed.

The plan's programs share their steps: detection (closed vocabulary where it covers every entity, else open vocabulary for
the union of names), masks and colours of the things that a colour is claimed of, the text where text is claimed, and yes/no
questions on what nothing else can see, asked both ways round.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from ...errors import SightlineError
from ...programs.engine import Engine
from ...programs.parser import parse
from ...programs.printer import print_program
from ...programs.syntax import Argument, ListOf, Literal, Name, Program, Step
from ...tools.geometry import intersection, iou
from ...tools.names import Match, matched
from ...tools.roles import vocabulary_for
from ...tools.values import Image, Region, Regions
from .. import steps
from ..events import Recorder
from . import lexical
from .claims import Claim, Entity, Extraction

SAME_IOU = 0.6  # boxes of one kind that overlap so are one thing seen twice
SAME_INSIDE = 0.92  # part of the smaller box within the larger, where both are of one size
SIZE_RATIO = 0.6  # of the areas of two boxes of one size
STRADDLED = 0.85  # part of a box that better ones cover together, from which it is no thing of its own
_GRID = 16  # points across a box by which that part is told
MOST_QUESTIONS = 24  # of one response
MOST_DEPTHS = 4  # things of one name whose depth is looked at
PLANS = 1000  # the plans of evidence are numbered from here in a trace, behind any of the answer's own
_COMPILERS = frozenset(
    {"closed", "faint", "open"}
)  # programs of ops that are not in the language: parsed, not checked


@dataclass(frozen=True, slots=True)
class Look:
    """What one detector says about one name: whether it can know it at all, how its classes relate, its best score."""

    role: str
    covered: bool
    relation: str = "none"  # same, kinds, wider: as `tools.names.Match`
    score: float = 0.0  # 0: looked for and not found
    classes: tuple[str, ...] = ()


@dataclass(slots=True)
class Evidence:
    """What was seen. `regions` by entity id, without doubles; `looks` by entity id; the rest as the plan found it."""

    image: Image
    detections: Regions = field(default_factory=Regions)
    regions: dict[int, Regions] = field(default_factory=dict)
    looks: dict[int, tuple[Look, ...]] = field(default_factory=dict)
    glimpsed: Regions = field(default_factory=Regions)  # seen too faintly to stand
    faint: dict[int, Regions] = field(default_factory=dict)  # of these, by entity
    depths: dict[str, float] = field(default_factory=dict)  # by region: 0 nearest, 1 farthest of the picture
    texts: Regions | None = None  # None: nobody looked for text
    answers: dict[str, tuple[str, str]] = field(
        default_factory=dict
    )  # claim id -> answers to both ways round
    faults: tuple[str, ...] = ()
    passes: int = 0  # detector passes
    programs: tuple[str, ...] = ()


class Gatherer:
    """Gathers evidence about one picture; what its detectors saw is kept, so that a later sentence reuses it.

    Args:
        both: ask the open-vocabulary detector too where the closed one covers every name, and the closed one where it
            does not: two passes, for packs whose second opinion was calibrated.
    """

    def __init__(
        self, image: Image, engine: Engine, recorder: Recorder | None = None, *, both: bool = False
    ) -> None:
        self.image, self.engine, self.recorder, self.both = image, engine, recorder, both
        self.models = engine.models
        self.vocabulary = self._vocabulary()
        self.open = self._has("open_vocabulary")
        self._closed: Regions | None = None
        self._glimpsed = Regions()
        self._opened: dict[str, Regions] = {}  # name -> what the open-vocabulary detector found under it
        self._texts: Regions | None = None
        self._masks: dict[str, Region] = {}
        self.passes = 0
        self.programs: list[str] = []
        self._ran = self._plans = 0
        self.faults: list[str] = []

    def gather(self, found: Extraction, claims: Sequence[Claim] | None = None) -> Evidence:
        """Evidence for the claims of an extraction, or for some of them."""
        wanted = list(found.claims if claims is None else claims)
        ids = sorted({ref for claim in wanted for ref in claim.refs})
        entities = [found.entities[i] for i in ids if found.entities[i].visible]
        evidence = Evidence(self.image)
        with_text = any(claim.kind == "text" for claim in wanted)
        self._see(entities, with_text)
        evidence.detections, evidence.glimpsed = self._closed or Regions(), self._glimpsed
        for entity in entities:
            evidence.looks[entity.id], evidence.regions[entity.id] = self._of(entity)
            classes = meaning(entity.name, self.vocabulary).classes
            evidence.faint[entity.id] = Regions(r for r in self._glimpsed if r.label in classes)
        evidence.texts = self._texts if with_text else None
        self._closer(found, wanted, evidence)
        evidence.faults, evidence.passes = tuple(dict.fromkeys(self.faults)), self.passes
        evidence.programs = tuple(self.programs)
        return evidence

    # -- detection ----------------------------------------------------------------------------------------------

    def _has(self, role: str) -> bool:
        return self.models.has(role) or self.models.spec(role) is not None

    def _vocabulary(self) -> tuple[str, ...]:
        if not self._has("detector"):
            return ()
        try:
            return vocabulary_for(self.models.get("detector", op="DETECT"), self.image)
        except SightlineError as error:
            self.faults = [str(error)]
            return ()

    def _see(self, entities: Sequence[Entity], with_text: bool) -> None:
        """Run what is not known yet: detectors, and the text reader where text is claimed."""
        names = list(dict.fromkeys(e.name for e in entities))
        unknown = [n for n in names if meaning(n, self.vocabulary).relation not in ("same", "kinds")]
        asked = [n for n in (names if self.both else unknown) if n not in self._opened] if self.open else []
        closed = bool(self.vocabulary) and (self.both or not self.open or not unknown or not asked)
        if closed and not self.both and all(not meaning(n, self.vocabulary).classes for n in names):
            closed = False  # it knows nothing of what is claimed
        if asked and not self.both and self._closed is None:
            asked = [
                n for n in names if n not in self._opened
            ]  # one pass: the open-vocabulary detector for all names
        programs = {}
        if closed and self._closed is None:
            programs["closed"] = _program(("DETECT", {"image": Name("IMAGE")}))
            if hasattr(self.models.get("detector", op="GLIMPSE"), "glimpse"):
                programs["faint"] = _program(("GLIMPSE", {"image": Name("IMAGE")}))
        if asked:
            told = ListOf(tuple(Literal(n) for n in asked))
            programs["open"] = _program(("DETECT_OPEN", {"image": Name("IMAGE"), "labels": told}))
        if with_text and self._texts is None and self._has("ocr"):
            programs["text"] = _program(("OCR", {"image": Name("IMAGE")}))
        values = self._run(programs)
        if isinstance(values.get("closed"), Regions):
            self._closed = values["closed"]
        if isinstance(values.get("faint"), Regions):
            self._glimpsed = values["faint"]
        if isinstance(opened := values.get("open"), Regions):
            self._opened.update({n: Regions(r for r in opened if r.label == n) for n in asked})
        if isinstance(values.get("text"), Regions):
            self._texts = values["text"]
        self.passes += ("closed" in programs) + ("open" in programs)

    def _of(self, entity: Entity) -> tuple[tuple[Look, ...], Regions]:
        looks, regions = [], []
        if self._closed is not None:
            known = meaning(entity.name, self.vocabulary)
            own = [r for r in self._closed if r.label in known.classes]
            best = max((r.score for r in own), default=0.0)
            looks.append(Look("detector", bool(known.classes), known.relation, best, known.classes))
            regions += own
        if entity.name in self._opened:
            # a detector gives one place one of the names asked: what it called a man is a person too
            own = [
                r for name, regions_ in self._opened.items() for r in regions_
                if name == entity.name or lexical.kind_of(name, entity.name)
            ]  # fmt: skip
            best = max((r.score for r in own), default=0.0)
            looks.append(Look("open_vocabulary", self._knows(entity.name), "same", best, (entity.name,)))
            regions += own
        return tuple(looks), distinct(regions)

    def _knows(self, name: str) -> bool:
        """Whether the open-vocabulary detector can look for a name at all: some say so, others take any word."""
        knows = getattr(self.models.get("open_vocabulary", op="DETECT_OPEN"), "knows", None)
        return bool(knows(name)) if knows is not None else True

    # -- what needs a closer look ---------------------------------------------------------------------------------

    def _closer(self, found: Extraction, claims: Sequence[Claim], evidence: Evidence) -> None:
        """Masks for colours, and yes/no questions for what only the core MLLM can see: one run for all."""
        programs: dict[str, Program] = {}
        inputs: dict[str, Any] = {}
        painted = {c.refs[0] for c in claims if c.kind == "attribute" and c.aspect == "color" and c.refs}
        segments = self._has("segmenter")
        for ref in sorted(painted):
            bare = [
                r
                for r in evidence.regions.get(ref, ())
                if r.mask is None and not r.color and r.id not in self._masks
            ]
            if bare and segments:
                inputs[f"BOX{ref}"] = Regions(bare)
                programs[f"mask {ref}"] = _program(
                    ("SEG", {"image": Name("IMAGE"), "object": Name(f"BOX{ref}")})
                )
        deep = self._in_depth(claims, evidence)
        for thing in deep:
            inputs[f"DEEP{thing.id}"] = thing
            programs[f"depth {thing.id}"] = _program(
                ("DEPTH", {"image": Name("IMAGE"), "object": Name(f"DEEP{thing.id}")})
            )
        asked = self._questions(found, claims, evidence)
        for number, (claim, region, pair) in enumerate(asked):
            picture: Name | None = Name("IMAGE")
            if region is not None:
                inputs[f"AT{number}"] = region
            for side, question in enumerate(pair):
                made: list[tuple[str, dict[str, Argument]]] = []
                if region is not None:
                    made.append(("CROP", {"image": Name("IMAGE"), "box": Name(f"AT{number}")}))
                    picture = None
                made.append(("VQA", {"image": picture or Name("STEP0"), "question": Literal(question)}))
                programs[f"ask {claim.id} {side}"] = _program(*made)
        values = self._run(programs, inputs)
        for ref in painted:
            masked = values.get(f"mask {ref}")
            if isinstance(masked, Regions):
                for old, new in zip(inputs[f"BOX{ref}"], masked, strict=True):
                    self._masks[old.id] = new
            evidence.regions[ref] = Regions(self._masks.get(r.id, r) for r in evidence.regions.get(ref, ()))
        told = {r.id: values.get(f"depth {r.id}") for r in deep}
        evidence.depths = {name: float(far) for name, far in told.items() if isinstance(far, int | float)}
        for claim, _, _ in asked:
            first, second = (values.get(f"ask {claim.id} {side}") for side in (0, 1))
            if isinstance(first, str) and isinstance(second, str):
                evidence.answers[claim.id] = (first, second)

    def _in_depth(self, claims: Sequence[Claim], evidence: Evidence) -> list[Region]:
        """The things whose distance decides a claim: one said to be in front of or behind another."""
        if not self._has("depth"):
            return []
        refs = {r for c in claims if c.kind == "relation" and geometric(c.value) in DEEP for r in c.refs}
        regions = [r for ref in sorted(refs) for r in evidence.regions.get(ref, ())[:MOST_DEPTHS]]
        return list({r.id: r for r in regions}.values())

    def _questions(
        self, found: Extraction, claims: Sequence[Claim], evidence: Evidence
    ) -> list[tuple[Claim, Region | None, tuple[str, str]]]:
        if not self._has("mllm"):
            return []
        asked: list[tuple[Claim, Region | None, tuple[str, str]]] = []
        for claim in claims:
            if len(asked) >= MOST_QUESTIONS // 2:
                break
            pair = questions_of(claim, found)
            if pair is None:
                continue
            looks = [look for ref in claim.refs for look in evidence.looks.get(ref, ())]
            if claim.kind == "existence" and any(look.score > 0 for look in looks):
                continue  # a detector saw it
            regions = evidence.regions.get(claim.refs[0], Regions()) if claim.refs else Regions()
            decided = geometric(claim.value) if claim.kind == "relation" else None
            if decided is not None and (decided not in DEEP or self._has("depth")):
                continue
            if claim.kind == "attribute" and not regions:
                continue
            asked.append(
                (claim, regions[0] if claim.kind == "attribute" and len(regions) == 1 else None, pair)
            )
        return asked

    def _run(self, programs: dict[str, Program], inputs: dict[str, Any] | None = None) -> dict[str, Any]:
        """The programs as one plan; what fails is noted and has no value."""
        if not programs:
            return {}
        given = {"IMAGE": self.image, **(inputs or {})}
        checked = {}
        for key, program in programs.items():
            try:
                self._ran += 1
                text = print_program(_renamed(program, f"E{self._ran}"))
                checked[key] = parse(text) if key in _COMPILERS else steps.check(self.engine, text, given)
            except SightlineError as error:
                self.faults.append(str(error))
        if not checked:
            return {}
        self._plans += 1
        own = tuple(checked.values())
        try:
            if self.recorder is not None:
                job = steps.run_together(self.engine, own, given, self.recorder, PLANS + self._plans)
            else:
                job = steps.run(self.engine, own, given)
        except SightlineError as error:
            self.faults.append(str(error))
            return {}
        if job.error is not None:
            self.faults.append(job.error.message)
            return {}
        values = {}
        for key, program, result in zip(checked, own, job.results, strict=True):
            self.programs.append(program.text)
            if result.ok:
                values[key] = result.value
            self.faults += [error.message for error in result.errors]
        return values


def _renamed(program: Program, stem: str) -> Program:
    """The same with names of its own, so that it can be told beside others."""
    new = {step.name: f"{stem}_{i}" for i, step in enumerate(program.steps)}

    def argument(value: Argument) -> Argument:
        return Name(new.get(value.id, value.id)) if isinstance(value, Name) else value

    return Program(
        tuple(Step(new[s.name], s.op, tuple((k, argument(v)) for k, v in s.args)) for s in program.steps)
    )


def _program(*made: tuple[str, dict[str, Argument]]) -> Program:
    """Steps one after the other, the last one's value the result."""
    lines = [Step(f"STEP{i}", op, tuple(arguments.items())) for i, (op, arguments) in enumerate(made)]
    lines.append(Step("FINAL_RESULT", "RESULT", (("var", Name(f"STEP{len(made) - 1}")),)))
    return Program(tuple(lines))


@lru_cache(maxsize=4096)
def meaning(name: str, vocabulary: tuple[str, ...]) -> Match:
    """What a name means in a vocabulary: as `tools.names`, else, for a compound, the class that its thing is one of.

    A twin bed is a bed and a tomato sandwich a sandwich; a jet ski is no ski, as the lexicon knows it for another thing.
    """
    found = matched(name, vocabulary)
    if found.classes or " " not in name:
        return found
    head = matched(name.rpartition(" ")[2], vocabulary)
    if head.relation not in ("same", "wider"):
        return found
    known = lexical.senses(lexical.lemma(name))
    fits = not known or any(lexical.kind_of(name, one) for one in head.classes)
    return Match(head.classes, "wider") if fits else found


def distinct(regions: Iterable[Region]) -> Regions:
    """Each thing once: of boxes of one kind (the same, or one a kind of the other) that cover one place, the best.

    Boxes of unlike kinds never suppress each other: a man may hold a dog in front of him.
    """
    kept: list[Region] = []
    for region in sorted(regions, key=lambda r: -r.score):
        if not any(
            lexical.related(region.label, other.label) and _one_place(region, other) for other in kept
        ):
            kept.append(region)
    return Regions(kept)


def apart(regions: Iterable[Region]) -> Regions:
    """Things of one kind without those that only straddle others: a box that two better ones cover together is none more.

    Of blocks that stand on each other a detector likes to see one more, half the upper and half the lower one.
    """
    kept: list[Region] = []
    for region in sorted(regions, key=lambda r: -r.score):
        over = [other.box for other in kept if intersection(region.box, other.box) > 0]
        if len(over) < 2 or _covered(region.box, over) < STRADDLED:
            kept.append(region)
    return Regions(kept)


def _covered(box: Sequence[float], others: Sequence[Sequence[float]]) -> float:
    """The part of a box that lies in others, on a grid of points."""
    steps = (np.arange(_GRID) + 0.5) / _GRID
    x, y = box[0] + steps * (box[2] - box[0]), box[1] + steps * (box[3] - box[1])
    inside = np.zeros((_GRID, _GRID), bool)
    for x1, y1, x2, y2 in others:
        inside |= np.outer((y >= y1) & (y <= y2), (x >= x1) & (x <= x2))
    return float(inside.mean())


def _one_place(a: Region, b: Region) -> bool:
    if iou(a.box, b.box) >= SAME_IOU:
        return True
    small, large = sorted((a.width * a.height, b.width * b.height))
    return small >= SIZE_RATIO * large and intersection(a.box, b.box) >= SAME_INSIDE * small


_GEOMETRY = {
    "left of": "left", "right of": "right", "above": "above", "over": "above", "below": "below", "under": "below",
    "beneath": "below", "underneath": "below", "inside": "inside", "in": "inside", "within": "inside", "on": "on",
    "atop": "on", "next to": "near", "near": "near", "beside": "near", "alongside": "near", "by": "near",
    "in front of": "front", "before": "front", "behind": "behind",
}  # fmt: skip
DEEP = frozenset({"front", "behind"})  # relations that depth decides


def geometric(predicate: str) -> str | None:
    """Which geometry decides a relation, by boxes or by depth; None where none can."""
    return _GEOMETRY.get(predicate)


def questions_of(claim: Claim, found: Extraction) -> tuple[str, str] | None:
    """A yes/no question and its opposite, so that a model which says yes to everything contradicts itself."""
    names = claim.entities
    if claim.kind == "existence":
        article = "an" if names[0][:1] in "aeiou" else "a"
        return (
            f"Is there {article} {names[0]} in the picture?",
            f"Is it true that there is no {names[0]} in the picture?",
        )
    if claim.kind == "attribute" and claim.aspect in ("size", "material", "state"):
        return f"Is the {names[0]} {claim.value}?", f"Is it wrong that the {names[0]} is {claim.value}?"
    if claim.kind == "relation" and len(names) == 2:
        told = f"the {names[0]} {claim.text}"
        return f"Is it true that {told}?", f"Is it wrong that {told}?"
    return None
