"""Ops for pictures of groups: panels and stacks as regions of their own, and which groups hold what."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence

from ...errors import ToolError
from ..color import main_color
from ..declaration import tool
from ..geometry import check_frame, is_touching, lies_in, side_by_side
from ..panels import panels
from ..values import Image, Region, Regions

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_CLAUSE = re.compile(r"\s*(count|colors|colours)\s*(==|!=|<=|>=|<|>)\s*(\d+)\s*")
_FORMS = ("stack", "row", "touching")


@tool
def PANELS(image: Image) -> Regions:
    """Find the panels that a picture is made of, such as framed boxes, a comic's frames or a page's photographs.

    Rectangles on a plain ground, in reading order; a picture that has none is one panel itself.

    Args:
        image: the picture
    Example: OBJ0=PANELS(image=IMAGE)
    """
    left, top = image.offset[0], image.offset[1]
    boxes = [(b[0] + left, b[1] + top, b[2] + left, b[3] + top) for b in panels(image.pixels)]
    return Regions(
        Region(box=box, label="panel", tool="PANELS", picture=image.picture)
        for box in boxes or [image.extent]
    )


@tool(choices={"by": _FORMS})
def GROUP(object: Regions, by: str = "stack") -> Regions:
    """Join regions that belong together into one region each: a tower of blocks, a row of houses, a cluster of coins.

    A region that touches no other is a group by itself. Groups come from left to right, their box around all members.

    Args:
        object: the regions to join
        by: stack joins what touches and lies one above the other, row what touches side by side, touching both
    Example: OBJ0=GROUP(object=BOX0,by='stack')
    """
    if by not in _FORMS:
        raise ToolError(f"GROUP: by is one of {', '.join(_FORMS)}, not {by!r}")
    members = list(object)
    home = list(range(len(members)))

    def root(number: int) -> int:
        while home[number] != number:
            number = home[number]
        return number

    for i, a in enumerate(members):
        for j in range(i):
            if a.picture == members[j].picture and _joined(a, members[j], by):
                home[root(i)] = root(j)
    groups: dict[int, list[Region]] = {}
    for number, region in enumerate(members):
        groups.setdefault(root(number), []).append(region)
    made = [_around(group, by) for group in groups.values()]
    return Regions(sorted(made, key=lambda r: (r.box[0], r.box[1])))


def _joined(a: Region, b: Region, by: str) -> bool:
    if not is_touching(a, b):
        return False
    axes = {"stack": (1,), "row": (0,), "touching": (0, 1)}[by]
    return by == "touching" or any(
        side_by_side(a.box, b.box, axis) or side_by_side(b.box, a.box, axis) for axis in axes
    )


def _around(group: Sequence[Region], by: str) -> Region:
    boxes = [region.box for region in group]
    return Region(
        box=(min(b[0] for b in boxes), min(b[1] for b in boxes), max(b[2] for b in boxes), max(b[3] for b in boxes)),
        label={"stack": "stack", "row": "row"}.get(by, "group"),
        score=min(region.score for region in group),
        tool="GROUP",
        parents=tuple(region.id for region in group),
        picture=group[0].picture,
    )  # fmt: skip


@tool
def HAVING(object: Regions, item: Regions, where: str = "count > 0", image: Image | None = None) -> Regions:
    """Keep the regions by what lies in them: boxes with exactly two balls, towers of one colour, rooms without a chair.

    The condition compares count (how many of the items lie in the region) or colors (how many different colours these
    have) with ==, !=, <, <=, >, >= and joins comparisons with and: "count == 2", "count > 1 and colors == 1".

    Args:
        object: the regions that may hold something: boxes, panels, groups
        item: the regions to look for in each of them
        where: the condition on the items in one region
        image: the picture, for conditions on colors
    Example: OBJ1=HAVING(object=BOX0,item=OBJ0,where='count >= 2')
    """
    tests = _tests(where)
    if image is not None:
        check_frame("HAVING", image, item)
    elif any(field == "colors" for field, _, _ in tests):
        raise ToolError("HAVING: a condition on colors needs the picture; add image=IMAGE")
    kept = []
    for region in object:
        held = [thing for thing in item if lies_in(thing, region)]
        values = {"count": len(held)}
        if image is not None:
            values["colors"] = len({main_color(image, thing) for thing in held})
        if all(_COMPARE[sign](values[field], number) for field, sign, number in tests):
            kept.append(region)
    return Regions(kept)


def _tests(where: str) -> list[tuple[str, str, int]]:
    """(field, sign, number) of each comparison in a HAVING condition."""
    found = []
    for clause in re.split(r"\band\b", where, flags=re.IGNORECASE):
        matched = _CLAUSE.fullmatch(clause.casefold())
        if matched is None:
            raise ToolError(
                f"HAVING: cannot read {clause.strip()!r}; write comparisons such as 'count >= 2' or 'colors == 1', "
                "joined by and"
            )
        found.append((matched[1].replace("colours", "colors"), matched[2], int(matched[3])))
    return found
