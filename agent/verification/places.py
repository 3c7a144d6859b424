"""Whether two things stand to each other as the text says: by their boxes, and by depth where one is before the other."""

from __future__ import annotations

from collections.abc import Sequence

from ...tools.geometry import RELATIONS, gap, intersection
from ...tools.values import Region, Regions
from .case import Case, Verdict
from .claims import Claim
from .evidence import geometric

OPPOSITE = {
    "left": "right",
    "right": "left",
    "above": "below",
    "below": "above",
    "front": "behind",
    "behind": "front",
}
_LOOSE = frozenset(
    "with of for from around down".split()
)  # no place: boxes that lie apart say nothing against them
MOST = 8  # things of each name that are paired
DEEPER = 0.06  # of the picture's range of depth, by which one thing must be farther away to be behind another


def judge(case: Case, claim: Claim) -> Verdict:
    """The verdict on one claim of a relation; what no geometry decides is asked of the core MLLM."""
    one, two = (case.regions(r) for r in claim.refs)
    pairs = [(a, b) for a in one[:MOST] for b in two[:MOST] if a.id != b.id]
    shown = Regions(list(one[:1]) + list(two[:1]))
    if not pairs:
        return Verdict(claim.id, "unverifiable", 0.5, shown, "one of the two is not seen")
    predicate = geometric(claim.value)
    by = "their boxes"
    if predicate in ("front", "behind"):
        depths = case.evidence.depths
        if not all(r.id in depths for pair in pairs for r in pair):
            return case.by_question(claim, shown)
        observed, instead = _in_depth(predicate, pairs, depths)
        by = "their depth"
    elif predicate is None:
        if claim.value in _LOOSE or not all(_far(a, b) for a, b in pairs):
            return case.by_question(claim, shown)
        observed, instead = "apart", ""
    else:
        observed, instead = _by_boxes(predicate, pairs)
    chance = case.reliability.observed(f"relation.{observed}")
    said = chance if claim.polarity else 1 - chance
    label = case.reliability.threshold("relation").label(said)
    return Verdict(
        claim.id, label, said, shown, f"by {by}: {observed}", instead if label == "contradicted" else "",
        observed=f"relation.{observed}",
    )  # fmt: skip


def _in_depth(
    predicate: str, pairs: Sequence[tuple[Region, Region]], depths: dict[str, float]
) -> tuple[str, str]:
    """(what is observed, what holds instead) of "in front of" and "behind"; depths are larger the farther away."""
    sign = 1 if predicate == "front" else -1
    ahead = [sign * (depths[b.id] - depths[a.id]) for a, b in pairs]
    if max(ahead) >= DEEPER:
        return "holds", ""
    return ("opposite", OPPOSITE[predicate]) if max(ahead) <= -DEEPER else ("unclear", "")


def _by_boxes(predicate: str, pairs: Sequence[tuple[Region, Region]]) -> tuple[str, str]:
    """(what is observed, the relation that holds instead) over the pairs of regions that may be meant."""
    if predicate in OPPOSITE:
        if any(_beyond(predicate, a, b) for a, b in pairs):
            return "holds", ""
        if all(RELATIONS[OPPOSITE[predicate]](a, b) for a, b in pairs):
            return "opposite", OPPOSITE[predicate]
        return "unclear", ""
    if predicate == "near":
        if any(not _far(a, b) for a, b in pairs):
            return "holds", ""
        close = any(gap(a.box, b.box) < 4 * min(_side(a), _side(b)) for a, b in pairs)
        return ("unclear", "") if close else ("apart", "")
    if any(_rests(a, b) for a, b in pairs):  # on, inside
        return "holds", ""
    return ("apart", _place(pairs[0])) if all(_far(a, b) for a, b in pairs) else ("unclear", "")


def _side(region: Region) -> float:
    return max(1.0, min(region.width, region.height))


def _far(a: Region, b: Region) -> bool:
    """Whether two things stand clearly apart: by more than half of the smaller one's shorter side."""
    return gap(a.box, b.box) > 0.5 * min(_side(a), _side(b))


def _beyond(side: str, a: Region, b: Region) -> bool:
    """Whether a's centre lies on that side of b's."""
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
    return next((side for side in ("left", "right", "above", "below") if RELATIONS[side](a, b)), "near")
