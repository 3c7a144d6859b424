"""Ops that change pixels: what lies outside (or inside) the regions stays byte for byte as each op says."""

from __future__ import annotations

import numpy as np

from ...errors import ToolError
from .. import draw, retouch
from ..columns import ModelSource, prepare, settle
from ..declaration import Column, tool
from ..emoji import draw_emoji
from ..geometry import check_frame
from ..values import Image, Regions

_FACE_COVER = (
    1.3  # diameter of an emoji as a multiple of the longer side: it covers the face to its corners, nearly
)


@tool(cost=5.0)
def COLORPOP(image: Image, object: Regions) -> Image:
    """Keep the regions in colour and turn everything else gray; pixels inside the regions are unchanged.

    Without regions the whole picture turns gray. Regions without a mask count with their whole box.

    Args:
        object: the regions to keep in colour
    Example: IMAGE0=COLORPOP(image=IMAGE,object=OBJ0)
    """
    check_frame("COLORPOP", image, object)
    return image.with_pixels(retouch.gray_outside(image.pixels, retouch.union_mask(image, object)))


@tool(cost=15.0)
def BGBLUR(image: Image, object: Regions) -> Image:
    """Blur everything but the regions; pixels inside the regions are unchanged. This flatters, it does not hide: see BLUR.

    Without regions the whole picture is blurred. Regions without a mask count with their whole box.

    Args:
        object: the regions to keep sharp
    Example: IMAGE0=BGBLUR(image=IMAGE,object=OBJ0)
    """
    check_frame("BGBLUR", image, object)
    return image.with_pixels(retouch.blur_outside(image.pixels, retouch.union_mask(image, object)))


@tool(cost=5.0)
def BLUR(image: Image, object: Regions, strength: float = 0.5) -> Image:
    """Redact the regions so that nobody can restore them; pixels outside the regions are unchanged.

    Each region is averaged over cells at least 12 pixels wide and then smoothed. Nothing changes without regions.

    Args:
        object: the regions to hide
        strength: width of a cell as a share of the region's shorter side, above 0 up to 1
    Example: IMAGE0=BLUR(image=IMAGE,object=OBJ0)
    """
    if not 0 < strength <= 1:
        raise ToolError(f"BLUR: strength is above 0 and at most 1, not {strength:g}")
    check_frame("BLUR", image, object)
    return image.with_pixels(retouch.redact(image, object, strength)) if object else image


@tool(cost=5.0)
def HIGHLIGHT(image: Image, object: Regions) -> Image:
    """Ring the regions and darken everything else; pixels inside the regions are unchanged.

    Nothing changes without regions.

    Args:
        object: the regions to show
    Example: IMAGE0=HIGHLIGHT(image=IMAGE,object=OBJ0)
    """
    check_frame("HIGHLIGHT", image, object)
    return image.with_pixels(draw.highlight(image, object)) if object else image


@tool(cost=10.0)
def TAG(image: Image, object: Regions) -> Image:
    """Draw a box around each region with its label (or the text read there) and its score, if a model gave one.

    Nothing changes without regions.

    Args:
        object: the regions to tag
    Example: IMAGE0=TAG(image=IMAGE,object=OBJ0)
    """
    check_frame("TAG", image, object)
    return image.with_pixels(draw.tag(image, object)) if object else image


@tool(cost=10.0)
def EMOJI(image: Image, object: Regions, emoji: str) -> Image:
    """Cover each region with an emoji face, as for hiding people; pixels outside the faces drawn are unchanged.

    Nothing changes without regions. A face is a disc about the region's centre, 1.3 times its longer side wide.

    Args:
        object: the regions to cover, such as FACEDET gives
        emoji: its name: smiling_face, winking_face, face_with_tongue, smiling_face_with_sunglasses, grinning_face...
    Example: IMAGE0=EMOJI(image=IMAGE,object=OBJ0,emoji='smiling_face')
    """
    check_frame("EMOJI", image, object)
    draw_emoji(emoji, 8)  # a wrong name is an error also where there is nothing to cover
    if not object:
        return image
    picture = image.pil()
    for region in object:
        x1, y1, x2, y2 = image.local(region.box)
        size = max(4, round(_FACE_COVER * max(x2 - x1, y2 - y1)))
        left, top = round((x1 + x2 - size) / 2), round((y1 + y2 - size) / 2)
        if left < image.width and top < image.height and left + size > 0 and top + size > 0:
            face = draw_emoji(emoji, size)
            picture.paste(face, (left, top), face)
    return image.with_pixels(np.asarray(picture))


@tool(roles="inpainter", batch=4, cost=5000.0)
def REPLACE(
    image: Column[Image], object: Column[Regions], prompt: Column[str], *, models: ModelSource
) -> Column[Image]:
    """Repaint the regions so that they show what the prompt says; pixels outside the regions are unchanged.

    Nothing changes without regions. Regions without a mask are repainted as boxes.

    Args:
        object: the regions to repaint
        prompt: what to paint there, such as 'a blue bus'
    Example: IMAGE0=REPLACE(image=IMAGE,object=OBJ0,prompt='a blue bus')
    """

    def job(i: int) -> np.ndarray:
        if not prompt[i].strip():
            raise ToolError("REPLACE: the prompt is empty; say what to paint")
        check_frame("REPLACE", image[i], object[i])
        return retouch.union_mask(image[i], object[i])

    masks, failed = prepare(len(image), job)
    todo = [i for i, mask in masks.items() if mask.any()]
    results: dict[int, Image] = {i: image[i] for i in masks}
    if todo:
        inpainter = models.get("inpainter", op="REPLACE")
        repainted = inpainter.inpaint(
            [image[i] for i in todo], [masks[i] for i in todo], [prompt[i] for i in todo]
        )
        for i, picture in zip(todo, repainted, strict=True):
            results[i] = image[i].with_pixels(retouch.paste(image[i].pixels, picture.pixels, masks[i]))
    return settle(len(image), failed, results)
