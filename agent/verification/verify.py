"""Every claim of a text held against its picture, and the text mended where the picture contradicts it.

    from sightline import verify
    result = verify("street.jpg", "Two dogs chase a red car.")
    result.text, result.verdicts, result.grounded

One plan gathers the evidence for all claims; at most one call of a language model finds the claims (rules do it without).
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...errors import InputError, SightlineError
from ...programs.engine import Engine
from ...tools.models import Models
from ...tools.values import Image, Regions
from ..asking import pictures_of
from ..events import Recorder
from ..records import Style, Usage
from . import lexical
from .asked import extract_answer
from .claims import Claim, Extraction, extract
from .correction import Correction, Edit, correct
from .evidence import Evidence, Gatherer, Look, distinct
from .grounding import grounded
from .reliability import Reliability, reliability_for
from .verdicts import Judge, Verdict

if TYPE_CHECKING:
    from ..controllers.base import Controller, Fact

MOST_CHARACTERS = 20_000  # of a text


@dataclass(frozen=True, slots=True)
class Verification:
    """What came of it. `text` is the corrected text, `draft` the one given; boxes are in the picture's pixels.

    `regions` holds, by the id of a claim, what was seen of it; `usage.calls` are tool calls, `usage.model_calls` calls of a
    language model, `passes` detector passes.
    """

    text: str
    grounded: str
    draft: str
    claims: tuple[Claim, ...]
    verdicts: tuple[Verdict, ...]
    edits: tuple[Edit, ...]
    regions: Regions = field(default_factory=Regions)
    usage: Usage = field(default_factory=Usage)
    passes: int = 0
    faults: tuple[str, ...] = ()

    def count(self, label: str) -> int:
        """How many claims have this verdict."""
        return sum(v.label == label for v in self.verdicts)

    def to_json(self) -> dict[str, Any]:
        """The fields of `sightline verify --json`."""
        by_claim = {v.claim: v for v in self.verdicts}
        return {
            "status": "done", "text": self.text, "grounded": self.grounded, "draft": self.draft,
            "claims": [c.to_json() | {k: v for k, v in by_claim[c.id].to_json().items() if k != "claim"} for c in self.claims],
            "edits": [e.to_json() for e in self.edits], "regions": self.regions.to_json(),
            "usage": self.usage.to_json(), "passes": self.passes, "faults": list(self.faults),
        }  # fmt: skip

    def html(self, image: Image) -> str:
        """A page that stands alone: the picture, each claim with its verdict, its evidence and its edit."""
        from .page import page

        return page(self, image)


def verify(
    image: Any,
    text: str,
    *,
    controller: Controller | None = None,
    engine: Engine | None = None,
    models: Models | None = None,
    pack: str = "starter",
    recorder: Recorder | None = None,
    facts: Sequence[Fact] = (),
    question: str = "",
    speaker: str = "",
    refine: Style | None = None,
    reliability: Reliability | None = None,
) -> Verification:
    """Check every claim of `text` against the picture and take back what it contradicts.

    Args:
        image: anything that `Agent.ask` takes for one picture.
        controller: a language model that finds the claims, in one call; by rule where it is None or cannot.
        engine: runs the evidence plan; else one is made of `models`, or of the pack named.
        facts: what was found about the picture already; regions among their values count as seen.
        question: what the text answers, for answers that say only yes or no.
        speaker: "mllm" where the text is the pack's own core MLLM's: what it says it has seen, or made up, with the same eyes.
        refine: word the corrected text anew in this style, by the controller; thrown away where it adds a claim.
        reliability: what evidence is worth; the pack's own calibration if not given.

    Raises:
        InputError: an empty or overlong text, or more than one picture.
        ImageError: a picture that cannot be read.
    """
    started = time.perf_counter()
    session = Session(
        image, controller=controller, engine=engine, models=models, pack=pack, recorder=recorder, facts=facts,
        question=question, speaker=speaker, reliability=reliability,
    )  # fmt: skip
    result = session.check(_checked(text), final=True)
    if refine is not None and controller is not None:
        result = session.refined(result, controller, refine)
    result.usage.ms = (time.perf_counter() - started) * 1000
    return result


def _checked(text: Any) -> str:
    if not isinstance(text, str) or not text.strip():
        raise InputError("there is no text to verify; give the words that are to be checked")
    if len(text) > MOST_CHARACTERS:
        raise InputError(
            f"the text has {len(text)} characters; {MOST_CHARACTERS} are the most, so verify it in parts"
        )
    return text


class Session:
    """One picture under verification: what was seen of it is kept, so that a text may come sentence by sentence."""

    def __init__(
        self, image: Any, *, controller: Controller | None = None, engine: Engine | None = None,
        models: Models | None = None, pack: str = "starter", recorder: Recorder | None = None,
        facts: Sequence[Fact] = (), question: str = "", speaker: str = "", reliability: Reliability | None = None,
    ) -> None:  # fmt: skip
        pictures = pictures_of(image)
        if len(pictures) != 1:
            raise InputError(f"{len(pictures)} pictures are given; a text is verified against one")
        self.image = pictures[0]
        self.engine = engine or Engine(models if models is not None else Models.from_pack(pack))
        self.reliability = reliability or reliability_for(self.engine.models)
        self.recorder = recorder or Recorder(f"verify-{secrets.token_hex(6)}")
        if speaker not in ("", "mllm"):
            raise InputError(
                f"speaker {speaker!r}: give 'mllm' for words of the pack's own core MLLM, nothing for others'"
            )
        self.controller, self.question, self.speaker = controller, question, speaker
        self.known = Regions(r for fact in facts for r in _regions(fact.value))
        self.gatherer = Gatherer(self.image, self.engine, self.recorder, both=self.reliability.both)
        self.first_event = len(self.recorder.events)
        self.told: set[str] = set()
        self.judged: set[str] = set()
        self.emitted: set[tuple[int, int, str]] = set()

    def check(self, text: str, *, final: bool = True) -> Verification:
        """Claims, evidence, verdicts and edits of a text, in that order; each is told to the recorder."""
        found = self._claims(text) if final else extract_answer(text, self.question)
        for claim in found.claims:  # at once, so that whoever watches sees what is being looked into
            if claim.id not in self.told:
                self.told.add(claim.id)
                self.recorder.emit("claim", **claim.to_json())
        evidence = self.gatherer.gather(found)
        self._add_known(found, evidence)
        verdicts = Judge(found, evidence, self.engine.models, self.reliability, self.speaker).judge(
            found.claims
        )
        corrected = correct(found, verdicts)
        return self._result(found, evidence, verdicts, corrected)

    def _claims(self, text: str) -> Extraction:
        found = extract_answer(text, self.question)
        if self.controller is not None:
            from ..errors import ControllerError
            from .raw import merge

            try:
                merge(found, self.controller.claims(text, self.recorder))
            except ControllerError as error:
                self.recorder.emit("error", message=str(error), traceback=None, where="verifier")
        return found

    def _add_known(self, found: Extraction, evidence: Evidence) -> None:
        """Regions that the answer rests on are seen, whatever the detector says now."""
        if not self.known:
            return
        for entity in found.entities:
            own = [r for r in self.known if r.label and lexical.kind_of(r.label, entity.name)]
            if own and not evidence.regions.get(entity.id):
                evidence.regions[entity.id] = distinct(own)
                best = max(r.score for r in own)
                evidence.looks[entity.id] = (Look("detector", True, "same", best, (own[0].label,)),)

    def _result(
        self, found: Extraction, evidence: Evidence, verdicts: Mapping[str, Verdict], corrected: Correction
    ) -> Verification:
        for claim in found.claims:
            if claim.id not in self.judged:
                self.judged.add(claim.id)
                self.recorder.emit("verdict", **verdicts[claim.id].to_json())
        for edit in corrected.edits:
            key = (*edit.span, edit.after)
            if key not in self.emitted:
                self.emitted.add(key)
                self.recorder.emit("edit", **edit.to_json())
        from ..budget import usage_of

        usage = usage_of(self.recorder.events[self.first_event :])
        shown: dict[str, Any] = {}
        for regions in evidence.regions.values():
            shown.update({r.id: r for r in regions})
        return Verification(
            corrected.text, grounded(found, corrected, evidence.regions), found.text, tuple(found.claims),
            tuple(verdicts[c.id] for c in found.claims), corrected.edits, Regions(shown.values()), usage,
            self.gatherer.passes, evidence.faults,
        )  # fmt: skip

    def refined(self, result: Verification, controller: Controller, style: Style) -> Verification:
        """The corrected text in other words, where these claim nothing that it does not."""
        from ..controllers.base import Fact

        facts = [Fact("what the picture shows", result.text, result.text)]
        try:
            said = controller.compose(
                self.question or "Describe the picture.", facts, style, self.recorder
            ).strip()
        except SightlineError as error:
            self.recorder.emit("error", message=str(error), traceback=None, where="refiner")
            return result
        kept = signatures(extract(result.text))
        new = signatures(extract(said)) - kept if said else {("nothing", "", "", True)}
        if new:
            what = "; ".join(sorted(" ".join(str(p) for p in item if p) for item in new)[:3])
            self.recorder.emit("error", message=f"the refiner's wording was thrown away: it claims {what}", traceback=None,
                               where="refiner")  # fmt: skip
            return result
        usage = result.usage
        usage.model_calls += 1
        return Verification(
            said, result.grounded, result.draft, result.claims, result.verdicts, result.edits, result.regions, usage,
            result.passes, result.faults,
        )  # fmt: skip


def signatures(found: Extraction) -> set[tuple[str, str, str, bool]]:
    """What a text claims, without regard to where and in which words: (kind, entities, value, polarity)."""
    from ...tools.names import canonical

    told: set[tuple[str, str, str, bool]] = set()
    for claim in found.claims:
        names = "/".join(canonical(n) for n in claim.entities)
        told.add((claim.kind, names, claim.value if claim.kind != "existence" else "", claim.polarity))
    return told


class Stream:
    """A text that is still being written: sentences are verified as they end.

        stream = Stream(image, pack="scenes")
        for piece in pieces:
            for sentence in stream.feed(piece):
                print(sentence)
        print(stream.end())

    What one sentence had looked up serves the next: a closed-vocabulary detector looks once for the whole text.
    """

    def __init__(self, image: Any, **options: Any) -> None:
        """Options as for `verify`, without `refine` and `controller`: claims are found by rule while the text grows."""
        if "controller" in options or "refine" in options:
            raise TypeError("a stream finds claims by rule; it takes no controller and no refine")
        self.session = Session(image, **options)
        self.text = ""
        self.done = 0
        self.result: Verification | None = None

    def feed(self, piece: str) -> Iterator[str]:
        """Add a piece of the text; gives each sentence that it ends, corrected, with the space before it."""
        self.text += piece
        end = self._ended()
        if end > self.done:
            yield self._part(end)

    def end(self) -> str:
        """The corrected rest of the text."""
        return self._part(len(self.text)) if len(self.text) > self.done else ""

    def _ended(self) -> int:
        """Where the last sentence ends that something follows."""
        matches = [m.end() for m in re.finditer(r"[.!?][\"'”’)]*(?=\s)|[。！？]|\n", self.text)]
        return matches[-1] if matches else 0

    def _part(self, end: int) -> str:
        if not self.text[:end].strip():
            self.done = end
            return ""
        self.result = self.session.check(self.text[:end], final=False)
        piece = self.text[self.done : end]
        for edit in reversed(self.result.edits):
            low, high = edit.span
            if low >= self.done and high <= end:
                piece = piece[: low - self.done] + edit.after + piece[high - self.done :]
        self.done = end
        return piece


def _regions(value: Any) -> Iterable[Any]:
    from ..steps import regions_in

    return regions_in(value)
