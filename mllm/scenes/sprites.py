"""What each kind looks like before placing: pictograms from the shipped sheet, and shapes drawn by code."""

from __future__ import annotations

import json
import math
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from .vocabulary import KINDS, SHAPES, kind

if TYPE_CHECKING:
    from PIL import Image

ASSETS = Path(__file__).parent / "assets"
CELL = 96  # longest side of a pictogram in the sheet, in pixels
# What `SceneObject.angle` may be: degrees, counter-clockwise.
ANGLES: tuple[int, ...] = (-45, -30, -15, 0, 15, 30, 45)
LETTER_HEIGHT = 40  # height of a capital letter in the letter sheet, in pixels
FONTS: tuple[str, ...] = ("sans", "serif", "mono", "condensed")  # `SceneObject.variant` of a sign or word


@lru_cache(maxsize=1)
def index() -> dict[str, dict[str, list[list[float]]]]:
    """The sheet's index: `cells` kind -> per variant [x, y, w, h]; `aspects` kind -> per variant the width
    over height at each of ANGLES; `letters` font -> rows of a character and its `letter_metrics`."""
    loaded: dict[str, dict[str, list[list[float]]]] = json.loads((ASSETS / "sprites.json").read_text("utf-8"))
    return loaded


@lru_cache(maxsize=1)
def _sheet() -> Image.Image:
    from PIL import Image

    with Image.open(ASSETS / "sprites.png") as sheet:
        return sheet.convert("RGBA")


@lru_cache(maxsize=1)
def _letter_sheet() -> Image.Image:
    from PIL import Image

    with Image.open(ASSETS / "letters.png") as sheet:
        return sheet.convert("L")


def aspect(name: str, variant: int, angle: float) -> float:
    """Width over height of a kind's tight extent turned by one of ANGLES (for a flipped sprite: minus it)."""
    return index()["aspects"][name][variant][ANGLES.index(int(angle))]


@cache
def upright(name: str, variant: int) -> Image.Image:
    """The kind's tight RGBA picture: pictograms CELL pixels long, shapes twice that, in white."""
    if name in SHAPES or name == "block":
        return draw_shape(name, 2 * CELL)
    x, y, w, h = (int(v) for v in index()["cells"][name][variant])
    return _sheet().crop((x, y, x + w, y + h))


@lru_cache(maxsize=768)
def turned(name: str, variant: int, angle: float, flip: bool) -> Image.Image:
    """The picture mirrored if `flip`, then turned counter-clockwise, cut to its tight extent."""
    from PIL import Image

    picture = upright(name, variant)
    if flip:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if angle:
        picture = picture.rotate(angle, Image.Resampling.BILINEAR, expand=True)
    return tight(picture)


def tight(picture: Image.Image) -> Image.Image:
    """Cut to the pixels that are at least half opaque."""
    box = picture.getchannel("A").point(lambda a: 255 if a >= 128 else 0).getbbox()
    return picture.crop(box) if box else picture


def _polygon(name: str) -> list[tuple[float, float]]:
    """Corners of a polygonal shape in the unit square, y down."""
    if name in ("square", "block"):
        return [(0, 0), (1, 0), (1, 1), (0, 1)]
    if name == "rectangle":
        return [(0, 0.22), (1, 0.22), (1, 0.78), (0, 0.78)]
    if name == "triangle":
        return [(0.5, 0.05), (1, 0.92), (0, 0.92)]
    if name == "diamond":
        return [(0.5, 0), (0.85, 0.5), (0.5, 1), (0.15, 0.5)]
    if name == "pentagon":
        return [
            (0.5 + 0.5 * math.sin(k * 0.4 * math.pi), 0.5 - 0.5 * math.cos(k * 0.4 * math.pi))
            for k in range(5)
        ]
    if name == "star":
        radius = (0.5, 0.2)
        return [
            (
                0.5 + radius[k % 2] * math.sin(k * 0.2 * math.pi),
                0.5 - radius[k % 2] * math.cos(k * 0.2 * math.pi),
            )
            for k in range(10)
        ]
    if name == "cross":
        a, b = 0.33, 0.67
        return [
            (a, 0),
            (b, 0),
            (b, a),
            (1, a),
            (1, b),
            (b, b),
            (b, 1),
            (a, 1),
            (a, b),
            (0, b),
            (0, a),
            (a, a),
        ]
    if name == "arrow":
        return [(0, 0.36), (0.55, 0.36), (0.55, 0.12), (1, 0.5), (0.55, 0.88), (0.55, 0.64), (0, 0.64)]
    if name == "heart":  # the parametric heart curve x = 16 sin^3 t, scaled into the unit square
        corners = []
        for k in range(72):
            t = k * math.pi / 36
            y = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)
            corners.append((0.5 + 16 * math.sin(t) ** 3 / 33, 0.46 - y / 33))
        return corners
    raise KeyError(name)


def draw_shape(name: str, side: int) -> Image.Image:
    """One of SHAPES, or a block, white on transparent, its longest side `side` pixels; drawn large, then
    shrunk."""
    from PIL import Image, ImageDraw

    big = 4 * side
    mask = Image.new("L", (big, big), 0)
    pen = ImageDraw.Draw(mask)
    if name in ("circle", "ring"):
        pen.ellipse((0, 0, big - 1, big - 1), fill=255)
        if name == "ring":
            rim = int(0.24 * big)
            pen.ellipse((rim, rim, big - 1 - rim, big - 1 - rim), fill=0)
    else:
        pen.polygon([(x * (big - 1), y * (big - 1)) for x, y in _polygon(name)], fill=255)
    mask = mask.resize((side, side), Image.Resampling.BOX)
    picture = Image.new("RGBA", (side, side), (255, 255, 255, 0))
    picture.putalpha(mask)
    return tight(picture)


# ---- printed words -------------------------------------------------------------------------------


def letter_metrics(font: int) -> dict[str, list[float]]:
    """Per character: [x, y, w, h in the letter sheet, left bearing, top below the capitals' top, advance]."""
    table = index()["letters"][FONTS[font]]
    return {str(row[0]): row[1:] for row in table}


@lru_cache(maxsize=4)
def _metrics(font: int) -> dict[str, list[float]]:
    return letter_metrics(font)


def printable(word: str) -> bool:
    """Whether the letter sheet has every character of the word (A-Z, a-z, 0-9)."""
    return bool(word) and all(c in _metrics(0) for c in word)


@lru_cache(maxsize=4096)
def word_extent(word: str, font: int) -> tuple[float, float, float, float]:
    """Tight extent (x1, y1, x2, y2) of a printed word in sheet pixels; pen and capitals' top start at 0."""
    table, pen = _metrics(font), 0.0
    x1 = y1 = math.inf
    x2 = y2 = -math.inf
    for character in word:
        _, _, w, h, left, top, advance = table[character]
        x1, y1 = min(x1, pen + left), min(y1, top)
        x2, y2 = max(x2, pen + left + w), max(y2, top + h)
        pen += advance
    return x1, y1, x2, y2


@lru_cache(maxsize=1024)
def word_mask(word: str, font: int) -> Image.Image:
    """The word as a tight coverage mask (mode L), capitals LETTER_HEIGHT pixels high."""
    from PIL import Image, ImageChops

    table, (x1, y1, x2, y2) = _metrics(font), word_extent(word, font)
    canvas = Image.new("L", (math.ceil(x2 - x1), math.ceil(y2 - y1)), 0)
    pen, sheet = 0.0, _letter_sheet()
    for character in word:
        x, y, w, h, left, top, advance = table[character]
        glyph = sheet.crop((int(x), int(y), int(x + w), int(y + h)))
        at = (round(pen + left - x1), round(top - y1))
        place = (at[0], at[1], at[0] + glyph.width, at[1] + glyph.height)
        # Neighbours may overlap by a pixel.
        canvas.paste(ImageChops.lighter(canvas.crop(place), glyph), place)
        pen += advance
    return canvas


def drawn_kinds() -> tuple[str, ...]:
    """Kinds with a picture of their own (all but signs and words)."""
    return tuple(name for name in KINDS if kind(name).category != "text")
