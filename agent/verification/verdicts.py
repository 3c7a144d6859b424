"""From evidence to verdicts: supported, contradicted or unverifiable, with the probability that the claim is true.

Each kind of claim has a judge of its own: `existence`, `counting`, `colours`, `places`; texts are held against what was read.
Where a claim is contradicted, the verdict says what is seen instead, so that the text can be mended.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence

from ...tools.models import Models
from ...tools.values import Regions
from . import colours, counting, existence, places
from .case import Case, Verdict, class_of
from .claims import Claim, Extraction
from .evidence import Evidence
from .reliability import Reliability

_JUDGES: dict[str, Callable[[Case, Claim], Verdict]] = {
    "count": counting.judge, "attribute": colours.judge, "relation": places.judge,
}  # fmt: skip


class Judge:
    """Judges the claims of one extraction."""

    def __init__(
        self,
        found: Extraction,
        evidence: Evidence,
        models: Models,
        reliability: Reliability,
        speaker: str = "",
    ) -> None:
        self.case = Case(found, evidence, models, reliability, speaker)

    def judge(self, claims: Sequence[Claim]) -> dict[str, Verdict]:
        """Verdicts by claim id; existence first, since the others lean on it."""
        verdicts: dict[str, Verdict] = {}
        absent: dict[int, str] = {}  # entity -> the existence claim that was contradicted
        for claim in claims:
            if claim.kind == "existence":
                verdicts[claim.id] = existence.judge(self.case, claim)
                if verdicts[claim.id].label == "contradicted" and claim.polarity:
                    absent[claim.refs[0]] = claim.id
        for claim in claims:
            if claim.kind == "existence":
                continue
            fallen = next((absent[r] for r in claim.refs if r in absent), None)
            if fallen is not None:
                told = verdicts[fallen]
                verdicts[claim.id] = Verdict(
                    claim.id, "contradicted", told.probability, why=told.why, because=fallen
                )
            elif claim.kind not in self.case.reliability.kinds:
                verdicts[claim.id] = _unchecked(claim)
            elif claim.kind == "text":
                verdicts[claim.id] = _text(self.case, claim)
            else:
                judge = _JUDGES.get(claim.kind)
                verdicts[claim.id] = judge(self.case, claim) if judge is not None else _unchecked(claim)
        return verdicts

    def features(self, claim: Claim) -> dict[str, float]:
        """What the existence model looks at."""
        return existence.features(self.case, claim)


def _unchecked(claim: Claim) -> Verdict:
    return Verdict(claim.id, "unverifiable", 0.5, why="nothing could check it")


def _text(case: Case, claim: Claim) -> Verdict:
    if case.evidence.texts is None:
        return Verdict(claim.id, "unverifiable", 0.5, why="nothing reads text")
    wanted = _plain(claim.value)
    lines = [r for r in case.evidence.texts if _plain(r.text or "")]
    if not wanted or not lines:
        return Verdict(
            claim.id, "unverifiable", case.reliability.observed("text.none"), why="no text was read"
        )
    joined = _plain(" ".join(r.text or "" for r in lines))
    likeness = [difflib.SequenceMatcher(None, wanted, _plain(r.text or "")).ratio() for r in lines]
    best = max(range(len(lines)), key=likeness.__getitem__)
    top = 1.0 if wanted in joined else likeness[best]
    observed = "same" if top >= 0.85 else "near" if top >= 0.5 else "other"
    if observed == "other" and len(lines) > 3:
        observed = "none"  # many words, some of them perhaps not read
    chance = case.reliability.observed(f"text.{observed}")
    said = chance if claim.polarity else 1 - chance
    label = case.reliability.threshold("text").label(said)
    instead = (lines[best].text or "") if label == "contradicted" and len(lines) == 1 else ""
    return Verdict(
        claim.id, label, said, Regions([lines[best]]), f"read: {lines[best].text}", instead, observed=f"text.{observed}",
    )  # fmt: skip


def _plain(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.casefold())


__all__ = ["Judge", "Verdict", "class_of"]
