"""Edits for given verdicts: what the editor's tests have in common."""

from __future__ import annotations

from sightline.agent.verification.claims import Claim, Extraction, extract
from sightline.agent.verification.correction import Correction, correct
from sightline.agent.verification.verdicts import Verdict


def told(found: Extraction, wrong: str) -> Claim:
    """The claim that "kind|words or thing" names; AssertionError with all claims where there is none."""
    kind, words = wrong.split("|")[:2]
    for claim in found.claims:
        if claim.kind == kind and (claim.text.lower() == words.lower() or words in claim.entities[:1]):
            return claim
    raise AssertionError(f"no claim {wrong!r} in {[(c.kind, c.text, c.entities) for c in found.claims]}")


def corrected(text: str, wrong: list[str]) -> Correction:
    """The correction of a text of which these claims are contradicted; what leans on a thing that is not there falls too."""
    found = extract(text)
    verdicts: dict[str, Verdict] = {}
    for item in wrong:
        claim = told(found, item)
        instead = [*item.split("|"), ""][2]
        verdicts[claim.id] = Verdict(claim.id, "contradicted", 0.01, instead=instead)
    absent = {
        c.refs[0]: c.id
        for c in found.claims
        if c.kind == "existence" and c.polarity and c.id in verdicts and not verdicts[c.id].instead
    }
    for claim in found.claims:
        fallen = next((absent[r] for r in claim.refs if r in absent), None)
        if fallen is not None and claim.id not in verdicts:
            verdicts[claim.id] = Verdict(claim.id, "contradicted", 0.01, because=fallen)
    return correct(found, verdicts)
