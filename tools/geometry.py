"""Where boxes stand to each other: overlap, distance, and the spatial relations that RELATE and the crops use."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from ..errors import ToolError
from .values import Box, Image, Region

SIDES = ("TOP", "BOTTOM", "LEFT", "RIGHT")  # VisProg's names for the halves of a picture

INSIDE_SHARE = 0.9  # of a region's box that must lie in the other to be inside it
OVERLAP_SHARE = 0.5  # of the narrower extent that two boxes may share on an axis and still lie side by side
TOUCH_SHARE = 0.05  # gap, as a share of the smaller box's shorter side, that still counts as touching
TOUCH_PIXELS = 2.0  # and the least such gap
EDGE_SHARE = (
    0.02  # gap to an edge from within, as a share of the box's shorter side, that still counts as reaching it
)
EDGE_PIXELS = 1.0  # and the least such gap: a border is exact where a neighbour's outline is not
SAME_PIXELS = 0.5  # by which corners may differ where two regions are one thing: stored boxes are rounded
LEVEL_SHARE = 0.5  # of the lower box's height that two boxes must share to stand in one row


def box_area(box: Box) -> float:
    """Pixels of the box; 0 where it is empty."""
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def intersection(a: Box, b: Box) -> float:
    """Pixels that both boxes cover."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return max(0.0, width) * max(0.0, height)


def iou(a: Box, b: Box) -> float:
    """Intersection over union, 0 to 1; 0 where both are empty."""
    shared = intersection(a, b)
    union = box_area(a) + box_area(b) - shared
    return shared / union if union > 0 else 0.0


def gap(a: Box, b: Box) -> float:
    """Pixels between the nearest points of two boxes; 0 where they touch or overlap."""
    dx = max(0.0, b[0] - a[2], a[0] - b[2])
    dy = max(0.0, b[1] - a[3], a[1] - b[3])
    return float(np.hypot(dx, dy))


def center_distance(a: Box, b: Box) -> float:
    """Pixels between the centres of two boxes."""
    return float(np.hypot((a[0] + a[2] - b[0] - b[2]) / 2, (a[1] + a[3] - b[1] - b[3]) / 2))


def expand(box: Box, factor: float) -> Box:
    """The box scaled about its centre; it may leave the picture (`Image.crop` clips)."""
    cx, cy = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    half_width, half_height = (box[2] - box[0]) * factor / 2, (box[3] - box[1]) * factor / 2
    return (cx - half_width, cy - half_height, cx + half_width, cy + half_height)


def half(image: Image, side: str) -> Box:
    """One half of a picture: `side` is TOP, BOTTOM, LEFT or RIGHT. Opposite halves meet without overlap."""
    x1, y1, x2, y2 = image.extent
    middle_x, middle_y = x1 + max(1, image.width // 2), y1 + max(1, image.height // 2)
    halves: dict[str, Box] = {
        "TOP": (x1, y1, x2, middle_y),
        "BOTTOM": (x1, middle_y if image.height > 1 else y1, x2, y2),
        "LEFT": (x1, y1, middle_x, y2),
        "RIGHT": (middle_x if image.width > 1 else x1, y1, x2, y2),
    }
    return halves[side]


def beside(image: Image, box: Box, side: str) -> Box:
    """The part of the picture from the centre of `box` to one edge: VisProg's meaning of 'left of' and the others."""
    x1, y1, x2, y2 = image.extent
    cx, cy = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    parts: dict[str, Box] = {
        "TOP": (x1, y1, x2, cy),
        "BOTTOM": (x1, cy, x2, y2),
        "LEFT": (x1, y1, cx, y2),
        "RIGHT": (cx, y1, x2, y2),
    }
    return parts[side]


def check_frame(op: str, image: Image, regions: Iterable[Region], *, inside: bool = False) -> None:
    """Refuse regions that were found in another picture: their boxes would point at the wrong pixels.

    With `inside`, refuse also those of which nothing lies in this picture when it is a crop.
    """
    for region in regions:
        name = region.label or region.text or "box"
        if region.picture and region.picture != image.picture:
            raise ToolError(
                f"{op}: the region '{name}' was found in another picture than the one given; "
                "find it in this picture first"
            )
        box, extent = region.box, image.extent
        apart = box[2] <= extent[0] or box[0] >= extent[2] or box[3] <= extent[1] or box[1] >= extent[3]
        if inside and apart:
            raise ToolError(f"{op}: the region '{name}' lies outside the part of the picture that was given")


def side_by_side(a: Box, b: Box, axis: int) -> bool:
    """Whether a's centre comes before b's on the axis (0: x, 1: y) and they share at most half of the narrower one."""
    low, high = axis, axis + 2
    if a[low] + a[high] >= b[low] + b[high]:
        return False
    shared = min(a[high], b[high]) - max(a[low], b[low])
    return shared <= OVERLAP_SHARE * min(a[high] - a[low], b[high] - b[low])


def is_left(a: Region, b: Region) -> bool:
    """a's centre is left of b's, and at most half of the narrower box's width is shared."""
    return side_by_side(a.box, b.box, 0)


def is_right(a: Region, b: Region) -> bool:
    """b is left of a."""
    return side_by_side(b.box, a.box, 0)


def is_above(a: Region, b: Region) -> bool:
    """a's centre is above b's, and at most half of the lower box's height is shared."""
    return side_by_side(a.box, b.box, 1)


def is_below(a: Region, b: Region) -> bool:
    """b is above a."""
    return side_by_side(b.box, a.box, 1)


def is_inside(a: Region, b: Region) -> bool:
    """At least 90% of a's box lies in b's, which is the larger."""
    area = box_area(a.box)
    return 0 < area < box_area(b.box) and intersection(a.box, b.box) >= INSIDE_SHARE * area


def lies_in(item: Region, group: Region) -> bool:
    """At least 90% of the item's box lies in the group's; a thing that is a group by itself (see GROUP) lies in that."""
    return is_inside(item, group) or (group.tool == "GROUP" and same_place(item, group))


def is_on(a: Region, b: Region) -> bool:
    """a rests on b: above it, its lower edge at b's upper edge or within b, over at least half of the narrower one."""
    reach = max(TOUCH_PIXELS, TOUCH_SHARE * min(a.width, a.height, b.width, b.height))
    shared = min(a.box[2], b.box[2]) - max(a.box[0], b.box[0])
    return (
        is_above(a, b)
        and b.box[1] - reach <= a.box[3] <= b.box[3]
        and shared >= OVERLAP_SHARE * min(a.width, b.width)
    )


def is_under(a: Region, b: Region) -> bool:
    """b rests on a."""
    return is_on(b, a)


def edges(a: Region, b: Region) -> frozenset[str]:
    """The edges of b (left, top, right, bottom) that a, which lies in b, reaches up to 2% of its shorter side (a pixel at least)."""
    if not is_inside(a, b):
        return frozenset()
    reach = max(EDGE_PIXELS, EDGE_SHARE * min(a.width, a.height))
    gaps = (a.box[0] - b.box[0], a.box[1] - b.box[1], b.box[2] - a.box[2], b.box[3] - a.box[3])
    return frozenset(
        side for side, gap_ in zip(("left", "top", "right", "bottom"), gaps, strict=True) if gap_ <= reach
    )


def _at(side: str) -> Callable[[Region, Region], bool]:
    return lambda a, b: side in edges(a, b)


def at_corner(a: Region, b: Region) -> bool:
    """a lies in b and reaches two of its edges that meet."""
    reached = edges(a, b)
    return bool(reached & {"left", "right"}) and bool(reached & {"top", "bottom"})


def is_touching(a: Region, b: Region) -> bool:
    """They overlap, or the gap is at most 5% of the smaller box's shorter side (2 pixels at least).

    Between masks where both have one, else between boxes.
    """
    reach = max(TOUCH_PIXELS, TOUCH_SHARE * min(a.width, a.height, b.width, b.height))
    if gap(a.box, b.box) > reach:
        return False
    if a.mask is None or b.mask is None or not a.mask.area or not b.mask.area:
        return True
    return _masks_within(a, b, reach)


def is_beside(a: Region, b: Region) -> bool:
    """They stand in one row, as words of one line do: they share at least half of the lower box's height."""
    shared = min(a.box[3], b.box[3]) - max(a.box[1], b.box[1])
    return shared > 0 and shared >= LEVEL_SHARE * min(a.height, b.height)


def _masks_within(a: Region, b: Region, reach: float) -> bool:
    """Whether some set pixels of the two masks lie at most `reach` pixels apart (pixel edges, not centres)."""
    import cv2

    assert a.mask is not None and b.mask is not None
    margin = int(np.ceil(reach)) + 2
    ax, ay, aw, ah = a.mask.window
    frame = (ax - margin, ay - margin, aw + 2 * margin, ah + 2 * margin)
    blank = np.zeros((frame[3], frame[2], 3), np.uint8)
    canvas = Image(size=(frame[2], frame[3]), pixels=blank, offset=(frame[0], frame[1]), picture="")
    near, other = a.mask.on(canvas), b.mask.on(canvas)
    if not other.any():
        return False
    distance = cv2.distanceTransform((~near).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return bool((distance[other].min() - 1.0) <= reach)


def same_place(a: Region, b: Region) -> bool:
    """Whether two regions are one thing seen twice, as LOC's and SEG's of one detection are: their boxes agree."""
    return all(abs(p - q) <= SAME_PIXELS for p, q in zip(a.box, b.box, strict=True))


RELATIONS: dict[str, Callable[[Region, Region], bool]] = {
    "left": is_left,
    "right": is_right,
    "above": is_above,
    "below": is_below,
    "inside": is_inside,
    "touching": is_touching,
    "beside": is_beside,
    "on": is_on,
    "under": is_under,
    "edge": lambda a, b: bool(edges(a, b)),
    "corner": at_corner,
    "left edge": _at("left"),
    "right edge": _at("right"),
    "top edge": _at("top"),
    "bottom edge": _at("bottom"),
}  # "nearest" is not here: it compares candidates, see `nearest`


def nearest(candidates: Iterable[Region], reference: Region) -> Region | None:
    """The candidate with the smallest gap to the reference, and of equal ones the nearest centre; never itself."""
    others = [c for c in candidates if not same_place(c, reference)]
    return min(
        others,
        key=lambda c: (gap(c.box, reference.box), center_distance(c.box, reference.box)),
        default=None,
    )
