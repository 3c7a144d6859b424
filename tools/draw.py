"""Drawing regions onto pictures: boxes with name tags, highlights; and the way to and from `supervision`."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from .retouch import union_mask
from .values import Image, Mask, Pixels, Region, Regions, digest

if TYPE_CHECKING:
    import PIL.Image
    import PIL.ImageDraw
    import PIL.ImageFont

# Far apart in hue and dark enough for white print; after Okabe and Ito's palette for colour-blind readers.
_PALETTE = (
    (0, 114, 178), (213, 94, 0), (0, 140, 100), (170, 68, 153), (180, 30, 50),
    (90, 80, 200), (120, 100, 0), (0, 130, 160), (150, 75, 30), (70, 110, 40),
)  # fmt: skip
_HIGHLIGHT = (255, 214, 10)
_DIMMED = 0.35  # of the brightness that is left outside a highlight
_MOST_LETTERS = 60  # of a tag

# Fonts that may be on the machine, for scripts that Pillow's own font lacks.
_WIDE_FONTS = (
    "NotoSansCJK-Regular.ttc", "NotoSansSC-Regular.otf", "SourceHanSansSC-Regular.otf", "wqy-microhei.ttc",
    "wqy-zenhei.ttc", "DroidSansFallbackFull.ttf", "msyh.ttc", "simhei.ttf", "PingFang.ttc", "Arial Unicode.ttf",
    "NotoSans-Regular.ttf", "DejaVuSans.ttf",
)  # fmt: skip


def color_of(name: str) -> tuple[int, int, int]:
    """The colour that a label is always drawn in."""
    return _PALETTE[int(digest(name)[:8], 16) % len(_PALETTE)]


def caption_of(region: Region) -> str:
    """What a tag says: the label, or of a line of text what was read; and a model's score in percent."""
    said = region.text if region.text and region.label in ("", "text") else region.label
    name = " ".join(said.split())
    if len(name) > _MOST_LETTERS:
        name = name[: _MOST_LETTERS - 1] + "…"
    if region.score >= 1.0:
        return name
    return f"{name} {region.score:.0%}".strip()


def tag(image: Image, regions: Iterable[Region]) -> Pixels:
    """The picture with a box and a name for each region; names keep clear of each other where there is room."""
    import PIL.ImageDraw

    picture = image.pil()
    pen = PIL.ImageDraw.Draw(picture)
    line = max(2, round(min(image.size) / 200))
    size = min(max(11, round(min(image.size) / 28)), 48)
    boxes = [(region, _whole(image, region)) for region in regions]
    for region, box in boxes:
        if box is not None:
            pen.rectangle(box, outline=color_of(region.label), width=line)
    taken: list[tuple[int, int, int, int]] = []
    for region, box in boxes:
        caption = caption_of(region)
        if box is not None and caption:
            _name_tag(pen, image.size, box, caption, size, color_of(region.label), taken)
    return np.asarray(picture)


def _whole(image: Image, region: Region) -> tuple[int, int, int, int] | None:
    """First and last pixel of a region's box on `image`; None where it lies outside."""
    x1, y1, x2, y2 = image.local(region.box)
    left, top = max(int(np.floor(x1)), 0), max(int(np.floor(y1)), 0)
    right, bottom = min(int(np.ceil(x2)), image.width) - 1, min(int(np.ceil(y2)), image.height) - 1
    return (left, top, right, bottom) if left <= right and top <= bottom else None


def _name_tag(
    pen: PIL.ImageDraw.ImageDraw,
    size: tuple[int, int],
    box: tuple[int, int, int, int],
    caption: str,
    points: int,
    color: tuple[int, int, int],
    taken: list[tuple[int, int, int, int]],
) -> None:
    """One filled label: above the box if it fits and is free, else below, else inside at the top."""
    caption, font = fitting_font(caption, points)
    pad = max(2, points // 5)
    left, top, right, bottom = pen.textbbox((0, 0), caption, font=font)
    width, height = int(right - left) + 2 * pad, int(bottom - top) + 2 * pad
    x = min(max(box[0], 0), max(size[0] - width, 0))
    places = [box[1] - height, box[3] + 1, box[1], box[1] + height]
    rectangles = [(x, y, x + width, y + height) for y in places if y >= 0 and y + height <= size[1]]
    free = [r for r in rectangles if not any(_meet(r, other) for other in taken)]
    here = (free or rectangles or [(x, 0, x + width, height)])[0]
    taken.append(here)
    pen.rectangle((here[0], here[1], here[2] - 1, here[3] - 1), fill=color)
    pen.text((here[0] + pad - left, here[1] + pad - top), caption, fill=(255, 255, 255), font=font)


def _meet(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def fitting_font(text: str, size: int) -> tuple[str, PIL.ImageFont.FreeTypeFont | PIL.ImageFont.ImageFont]:
    """The text and a font that has its letters: Pillow's own, else one of the machine's.

    Letters that none of them has are drawn as an empty box, and the rest of the text stays readable.
    """
    own = _own_font(size)
    lacking = [letter for letter in text if not _has(own, letter)]
    if not lacking:
        return text, own
    for name in _WIDE_FONTS:
        font = _system_font(name, size)
        if font is not None and all(_has(font, letter) for letter in text):
            return text, font
    return "".join("□" if letter in lacking and _has(own, "□") else "?" if letter in lacking else letter
                   for letter in text), own  # fmt: skip


@cache
def _own_font(size: int) -> PIL.ImageFont.FreeTypeFont | PIL.ImageFont.ImageFont:
    import PIL.ImageFont

    return PIL.ImageFont.load_default(size)


@cache
def _system_font(name: str, size: int) -> PIL.ImageFont.FreeTypeFont | None:
    import PIL.ImageFont

    try:
        return PIL.ImageFont.truetype(name, size)
    except OSError:  # not installed here
        return None


def _has(font: Any, letter: str) -> bool:
    """Whether the font has its own shape for a letter, and not the one for everything that it lacks."""
    return letter.isspace() or _shape(font, letter) != _shape(font, "\U0010fffd")


@cache
def _shape(font: Any, letter: str) -> tuple[tuple[int, int], bytes]:
    drawn = font.getmask(letter)
    return drawn.size, bytes(drawn)


def highlight(image: Image, regions: Iterable[Region]) -> Pixels:
    """The regions as they are, ringed in yellow; everything else darkened. Pixels inside the regions are unchanged."""
    import cv2

    inside = union_mask(image, regions)
    dimmed = np.rint(image.pixels * _DIMMED).astype(np.uint8)
    width = max(2, round(min(image.size) / 200))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width + 1, 2 * width + 1))
    grown = cv2.dilate(inside.astype(np.uint8), kernel).astype(bool)
    result = np.where(inside[:, :, None], image.pixels, dimmed)
    result[grown & ~inside] = _HIGHLIGHT
    return result


def to_supervision(image: Image, regions: Iterable[Region]) -> Any:
    """`supervision.Detections` in the pixels of `image`, with masks if any region has one.

    `data` holds class_name, text, tool, weights and id. Class ids number the labels in order of appearance.
    """
    import supervision

    items = list(regions)
    if not items:
        return supervision.Detections.empty()
    names = list(dict.fromkeys(region.label for region in items))
    masks = np.stack([r.mask_on(image) for r in items]) if any(r.mask for r in items) else None
    return supervision.Detections(
        xyxy=np.array([image.local(region.box) for region in items], dtype=np.float32),
        mask=masks,
        confidence=np.array([region.score for region in items], dtype=np.float32),
        class_id=np.array([names.index(region.label) for region in items]),
        data={
            "class_name": np.array([region.label for region in items]),
            "text": np.array([region.text or "" for region in items]),
            "tool": np.array([region.tool for region in items]),
            "weights": np.array([region.weights for region in items]),
            "id": np.array([region.id for region in items]),
        },
    )


def from_supervision(image: Image, detections: Any, tool: str, weights: str = "") -> Regions:
    """Regions from `supervision.Detections` in the pixels of `image`; `tool` and `weights` say who found them."""
    found = []
    data = detections.data or {}
    names, texts = data.get("class_name"), data.get("text")
    for index in range(len(detections)):
        x1, y1, x2, y2 = (float(v) for v in detections.xyxy[index])
        class_id = None if detections.class_id is None else int(detections.class_id[index])
        label = str(names[index]) if names is not None else "" if class_id is None else str(class_id)
        mask = None if detections.mask is None else Mask.from_array(detections.mask[index], image.offset)
        found.append(
            Region(
                box=image.outward((x1, y1, x2, y2)),
                label=label,
                score=1.0 if detections.confidence is None else float(detections.confidence[index]),
                mask=mask,
                text=str(texts[index]) if texts is not None and str(texts[index]) else None,
                tool=tool,
                weights=weights,
                picture=image.picture,
            )
        )
    return Regions(found)
