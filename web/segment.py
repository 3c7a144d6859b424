"""From a mark to masks, at once: the segmenter is asked directly, and its answer kept for the question that follows."""

from __future__ import annotations

from ..agent.records import Mark
from ..programs.engine import Engine
from ..tools.roles import Prompt
from ..tools.values import Image, Regions


def masks_of(engine: Engine, image: Image, mark: Mark) -> Regions:
    """The masks of what was marked, the likeliest first, empty ones left out.

    Raises:
        RoleError: nothing fills the role of the segmenter.
        ToolError: the mark means nothing to it.
    """
    segmenter = engine.models.get("segmenter", op="SEGMENT")
    with engine.role_lock("segmenter"):
        (found,) = segmenter.segment([image], [Prompt(mark.points, mark.box, mark.mask)])
    return Regions(region for region in found if region.mask is not None and region.mask.area > 0)
