"""Ops that cut a part out of a picture: the thing itself, or one side of it, with VisProg's rules."""

from __future__ import annotations

from ...errors import ToolError
from ..declaration import tool
from ..geometry import SIDES, beside, check_frame, expand, half
from ..values import Box, Image, Regions

CONTEXT = 1.5  # VisProg cuts a box half as large again, so that a model sees what the thing is part of


def _first_box(op: str, image: Image, regions: Regions) -> Box | None:
    """The best region's box. A later region is not looked at: VisProg's crops are about one thing."""
    check_frame(op, image, regions[:1], inside=True)
    return regions[0].box if regions else None


def _side(op: str, image: Image, regions: Regions, side: str) -> Image:
    box = _first_box(op, image, regions)
    return image.crop(half(image, side) if box is None else beside(image, box, side))


def _surroundings(op: str, image: Image, regions: Regions, factor: float = CONTEXT) -> Image:
    if not 0 < factor <= 100:
        raise ToolError(f"{op}: expand is a factor above 0 and at most 100, not {factor:g}")
    box = _first_box(op, image, regions)
    if box is None:
        return image
    exact = regions[0].label in SIDES and regions[0].tool == "LOC"  # half a picture is meant as it is
    return image.crop(box if exact else expand(box, factor))


@tool
def CROP(image: Image, box: Regions, expand: float = CONTEXT) -> Image:
    """Cut out the best region with some of its surroundings; the whole picture where there is no region.

    As in VisProg, the cut is 1.5 times as wide and high as the box, about its centre, within the picture; halves found
    by LOC(object='LEFT') and the like are cut exactly. CROPS cuts every region exactly.

    Args:
        box: regions; the first one is cut
        expand: size of the cut as a multiple of the box; 1 cuts the box exactly
    Example: IMAGE0=CROP(image=IMAGE,box=BOX0)
    """
    return _surroundings("CROP", image, box, expand)


@tool
def CROPS(image: Image, box: Regions) -> list[Image]:
    """Cut out every region exactly, one picture each, in their order; none where there are no regions.

    Args:
        box: the regions to cut
    Example: IMAGES0=CROPS(image=IMAGE,box=BOX0)
    """
    check_frame("CROPS", image, box, inside=True)
    return [image.crop(region.box) for region in box]


@tool
def CROP_LEFTOF(image: Image, box: Regions) -> Image:
    """Cut out everything left of the best region's centre; the left half where there is no region.

    Args:
        box: regions; the first one counts
    Example: IMAGE0=CROP_LEFTOF(image=IMAGE,box=BOX0)
    """
    return _side("CROP_LEFTOF", image, box, "LEFT")


@tool
def CROP_RIGHTOF(image: Image, box: Regions) -> Image:
    """Cut out everything right of the best region's centre; the right half where there is no region.

    Args:
        box: regions; the first one counts
    Example: IMAGE0=CROP_RIGHTOF(image=IMAGE,box=BOX0)
    """
    return _side("CROP_RIGHTOF", image, box, "RIGHT")


@tool
def CROP_ABOVE(image: Image, box: Regions) -> Image:
    """Cut out everything above the best region's centre; the top half where there is no region.

    Args:
        box: regions; the first one counts
    Example: IMAGE0=CROP_ABOVE(image=IMAGE,box=BOX0)
    """
    return _side("CROP_ABOVE", image, box, "TOP")


@tool
def CROP_BELOW(image: Image, box: Regions) -> Image:
    """Cut out everything below the best region's centre; the bottom half where there is no region.

    Args:
        box: regions; the first one counts
    Example: IMAGE0=CROP_BELOW(image=IMAGE,box=BOX0)
    """
    return _side("CROP_BELOW", image, box, "BOTTOM")


@tool
def CROP_FRONTOF(image: Image, box: Regions) -> Image:
    """Cut out the best region with its surroundings, where what stands in front of it shows.

    A flat picture has no side for 'in front': VisProg cuts the surroundings, as CROP does, and so does this op.
    DEPTH tells which of two things is nearer.

    Args:
        box: regions; the first one counts
    Example: IMAGE0=CROP_FRONTOF(image=IMAGE,box=BOX0)
    """
    return _surroundings("CROP_FRONTOF", image, box)


@tool
def CROP_INFRONTOF(image: Image, box: Regions) -> Image:
    """Cut out the best region with its surroundings, where what stands in front of it shows (as CROP_FRONTOF).

    Args:
        box: regions; the first one counts
    Example: IMAGE0=CROP_INFRONTOF(image=IMAGE,box=BOX0)
    """
    return _surroundings("CROP_INFRONTOF", image, box)


@tool
def CROP_INFRONT(image: Image, box: Regions) -> Image:
    """Cut out the best region with its surroundings, where what stands in front of it shows (as CROP_FRONTOF).

    Args:
        box: regions; the first one counts
    Example: IMAGE0=CROP_INFRONT(image=IMAGE,box=BOX0)
    """
    return _surroundings("CROP_INFRONT", image, box)


@tool
def CROP_BEHIND(image: Image, box: Regions) -> Image:
    """Cut out the best region with its surroundings, where what stands behind it shows (as CROP_FRONTOF).

    Args:
        box: regions; the first one counts
    Example: IMAGE0=CROP_BEHIND(image=IMAGE,box=BOX0)
    """
    return _surroundings("CROP_BEHIND", image, box)


@tool
def CROP_AHEAD(image: Image, box: Regions) -> Image:
    """Cut out the best region with its surroundings, where what lies ahead of it shows (as CROP_FRONTOF).

    Args:
        box: regions; the first one counts
    Example: IMAGE0=CROP_AHEAD(image=IMAGE,box=BOX0)
    """
    return _surroundings("CROP_AHEAD", image, box)
