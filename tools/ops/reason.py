"""Ops that reason over what was found: counting, filtering, spatial relations, and the control of a program."""

from __future__ import annotations

from typing import Any

from ...errors import ToolError
from ..conditions import MEASURES, measure, parse_condition
from ..declaration import tool
from ..geometry import RELATIONS, check_frame, lies_in, nearest, same_place
from ..numerals import numbers_in
from ..values import Image, Region, Regions

_KEEP = {
    "best": lambda r: -r.score,
    "largest": lambda r: -r.area,
    "smallest": lambda r: r.area,
    "leftmost": lambda r: r.center[0],
    "rightmost": lambda r: -r.center[0],
    "topmost": lambda r: r.center[1],
    "bottommost": lambda r: -r.center[1],
    "tallest": lambda r: -r.height,
    "widest": lambda r: -r.width,
}


@tool
def COUNT(box: Regions | list[Image] | list[str] | list[float] | list[bool]) -> int:
    """Count regions, pictures, texts or numbers.

    Args:
        box: what to count
    Example: ANSWER0=COUNT(box=BOX0)
    """
    return 1 if isinstance(box, str | int | float | Region | Image) else len(box)


@tool(choices={"keep": ("all", *_KEEP)})
def FILTER(
    object: Regions,
    where: str = "",
    keep: str = "all",
    image: Image | None = None,
    within: Regions | None = None,
    rank: int = 1,
) -> Regions:
    """Keep the regions that meet a condition, in their order; and of those, if asked, only the best, largest, leftmost...

    Conditions compare label, text, color, score, area, width, height, aspect (width over height), digits (in the text), x,
    y, left, top, right or bottom with ==, !=, <, <=, >, >= or contains, and combine with and, or, not and parentheses:
    "label == 'dog' and score > 0.5", "text contains 'exit'", "color == 'red'", "area > 5%". Percentages are of the
    picture; they and color need image. With within, keep chooses in each of those regions: the topmost block of each tower.

    Args:
        object: the regions
        where: the condition; every region meets an empty one
        keep: all of them, or the single best, largest, smallest, leftmost, rightmost, topmost, bottommost, tallest or
            widest one
        image: the picture, for conditions on color and in percent
        within: regions such as boxes or groups, for keep to choose one in each
        rank: which one keep takes: 1 the largest, 2 the second largest...
    Example: OBJ1=FILTER(object=OBJ0,where="label == 'cup' and color == 'red'",keep='largest',image=IMAGE)
    """
    if image is not None:
        check_frame("FILTER", image, object)
    kept = list(object)
    if where.strip():
        test = parse_condition(where)
        kept = [region for region in kept if test(region, image)]
    if keep != "all":
        if keep not in _KEEP:
            raise ToolError(f"FILTER: keep is one of all, {', '.join(_KEEP)}, not {keep!r}")
        if rank < 1:
            raise ToolError(f"FILTER: rank counts from 1, not {rank}")
        ordered = sorted(kept, key=_KEEP[keep])
        fields = [ordered] if within is None else [[r for r in ordered if lies_in(r, g)] for g in within]
        chosen = {field[rank - 1].id for field in fields if len(field) >= rank}
        kept = [region for region in ordered if region.id in chosen]
    elif within is not None or rank != 1:
        raise ToolError("FILTER: within and rank choose what keep orders; add keep, such as keep='largest'")
    return Regions(kept)


@tool(choices={"relation": (*RELATIONS, "nearest")})
def RELATE(object: Regions, relation: str, reference: Regions) -> Regions:
    """Keep the regions that stand in a relation to some reference region, by geometry.

    left, right, above, below: the centre lies on that side of the reference's centre, and the boxes share at most half
    of the narrower one's extent in that direction. inside: at least 90% of the box lies in the reference's larger box.
    touching: they overlap, or the gap is at most 5% of the smaller box's shorter side (2 pixels at least), between
    masks where both have one. beside: in one row, sharing at least half of the lower one's height, as words of one line
    do. on, under: one rests on the other, edge at edge or overlapping, as stacked blocks do. edge, corner, left edge,
    right edge, top edge, bottom edge: it lies in the reference and reaches its border there. nearest: for each reference the one region with the smallest gap to it.

    Args:
        object: the regions to choose from
        relation: how they must stand to a reference
        reference: the regions to compare with
    Example: OBJ0=RELATE(object=BOX0,relation='left',reference=BOX1)
    """
    _same_picture("RELATE", object, reference)
    if relation == "nearest":
        chosen = {best.id for target in reference if (best := nearest(object, target)) is not None}
        return Regions(region for region in object if region.id in chosen)
    if relation not in RELATIONS:
        raise ToolError(f"RELATE: relation is one of {', '.join(RELATIONS)}, nearest, not {relation!r}")
    holds = RELATIONS[relation]
    return Regions(
        r for r in object if any(holds(r, other) for other in reference if not same_place(r, other))
    )


def _same_picture(op: str, *groups: Regions) -> None:
    pictures = {region.picture for group in groups for region in group if region.picture}
    if len(pictures) > 1:
        raise ToolError(f"{op}: the regions come from {len(pictures)} pictures; relations hold within one")


@tool
def LABELS(object: Regions) -> list[str]:
    """Give the label of every region, in their order.

    Args:
        object: the regions
    Example: LIST0=LABELS(object=OBJ0)
    """
    return [region.label for region in object]


@tool
def TEXTS(object: Regions) -> list[str]:
    """Give the text that was read in every region, in their order; an empty text where nothing was read.

    Args:
        object: the regions, such as OCR gives
    Example: LIST0=TEXTS(object=TEXT0)
    """
    return [region.text or "" for region in object]


@tool
def TALLY(text: list[str]) -> list[str]:
    """Count how often each text occurs: '3 person', '1 bus', the most frequent first and equals in the order met.

    Case and spaces at the ends do not count; empty texts are left out.

    Args:
        text: the texts, such as LABELS or COLOR gives
    Example: LIST1=TALLY(text=LIST0)
    """
    counts: dict[str, int] = {}
    written: dict[str, str] = {}
    for piece in [text] if isinstance(text, str) else text:
        if piece.strip():
            key = piece.strip().casefold()
            counts[key] = counts.get(key, 0) + 1
            written.setdefault(key, piece.strip())
    return [f"{counts[key]} {written[key]}" for key in sorted(counts, key=lambda key: -counts[key])]


@tool
def LABEL(object: Regions, label: list[str]) -> Regions:
    """Give regions new labels, one a region: what COLOR, READ or VQA said of each, ready for TAG.

    Args:
        object: the regions
        label: as many labels as regions, or one for all of them
    Example: OBJ1=LABEL(object=OBJ0,label=LIST0)
    """
    names = [label] if isinstance(label, str) else list(label)
    if len(names) == 1:
        names *= len(object)
    if len(names) != len(object):
        raise ToolError(
            f"LABEL: {len(names)} labels for {len(object)} regions; give one a region, or one for all"
        )
    return Regions(
        region.derive("LABEL", label=" ".join(name.split()))
        for region, name in zip(object, names, strict=True)
    )


@tool
def JOIN(text: list[str], separator: str = ", ") -> str:
    """Join texts into one.

    Args:
        text: the texts, in order
        separator: what to put between them
    Example: ANSWER0=JOIN(text=LIST0,separator=' ')
    """
    return text if isinstance(text, str) else separator.join(text)


@tool
def NUMBERS(text: list[str]) -> list[float]:
    """Give the numbers written in texts, in their order: '2 x $1,234.50' holds 2 and 1234.5.

    Both 1,234.50 and 1.234,50 are understood; a sign or currency beside a number is no part of it, except a minus.

    Args:
        text: the texts, such as TEXTS gives
    Example: LIST1=NUMBERS(text=LIST0)
    """
    return [number for piece in ([text] if isinstance(text, str) else text) for number in numbers_in(piece)]


@tool(choices={"what": MEASURES})
def MEASURE(object: Region, what: str = "area") -> float:
    """Measure a region, in pixels of the original picture.

    Its area, width, height, centre (x, y) or edges (left, top, right, bottom); or its score, its aspect (width over
    height), or how many digits its text has.

    Args:
        object: the region
        what: what to measure
    Example: ANSWER0=MEASURE(object=BOX0,what='height')
    """
    if what not in MEASURES:
        raise ToolError(f"MEASURE: what is one of {', '.join(MEASURES)}, not {what!r}")
    return measure(object, what)


@tool(control=True)
def EVAL(expr: str) -> str | float | bool:
    """Evaluate a small expression; {NAME} stands for the value of an earlier step.

    Numbers, texts, comparisons, + - * / // %, and, or, not, xor, in, and 'a if condition else b'.

    Args:
        expr: the expression
    Example: ANSWER1=EVAL(expr="'yes' if {ANSWER0} > 1 else 'no'")
    """
    raise ToolError("EVAL is run by the engine; run it as a step of a program")


@tool(control=True)
def IF(condition: Any, then: Any, otherwise: Any) -> Any:
    """Give one of two values; what only the other one needs is not computed.

    Args:
        condition: a flag, 'yes' or 'no', or regions (true when there are any)
        then: the value when it holds
        otherwise: the value when it does not
    Example: IMAGE1=IF(condition=ANSWER0,then=IMAGE0,otherwise=IMAGE)
    """
    raise ToolError("IF is run by the engine; run it as a step of a program")


@tool(control=True)
def RESULT(var: Any) -> Any:
    """Name the value that the program gives as its result.

    Args:
        var: the value
    Example: FINAL_RESULT=RESULT(var=ANSWER0)
    """
    raise ToolError("RESULT is run by the engine; run it as a step of a program")
