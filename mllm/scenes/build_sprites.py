"""Rebuild the sprite sheet from free fonts: python -m sightline.mllm.scenes.build_sprites

Needs Debian's fonts-noto-color-emoji and fonts-dejavu-core (apt-get install fonts-noto-color-emoji
fonts-dejavu-core), and writes assets/sprites.png, assets/letters.png and assets/sprites.json. Using the
scenes needs neither font.
"""

from __future__ import annotations

import argparse
import json
import string
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from ...errors import InputError
from . import sprites
from .sprites import ANGLES, ASSETS, CELL, FONTS, LETTER_HEIGHT
from .vocabulary import KINDS

EMOJI = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
DEJAVU = Path("/usr/share/fonts/truetype/dejavu")
FONT_FILES = (
    "DejaVuSans-Bold.ttf",
    "DejaVuSerif-Bold.ttf",
    "DejaVuSansMono-Bold.ttf",
    "DejaVuSansCondensed-Bold.ttf",
)
SHEET_WIDTH = 1280
Cell = tuple[int, int, int, int]


def pictogram(character: str, font: ImageFont.FreeTypeFont) -> Image.Image:
    """One colour glyph, cut tight and scaled so that its longest side is CELL pixels."""
    canvas = Image.new("RGBA", (180, 180), (0, 0, 0, 0))
    ImageDraw.Draw(canvas).text((20, 20), character, font=font, embedded_color=True)
    glyph = sprites.tight(canvas)
    if glyph.size == canvas.size:
        raise InputError(
            f"{EMOJI.name} has no colour glyph for {character!r}; install a newer fonts-noto-color-emoji"
        )
    scale = CELL / max(glyph.size)
    size = (max(1, round(glyph.width * scale)), max(1, round(glyph.height * scale)))
    return sprites.tight(glyph.resize(size, Image.Resampling.LANCZOS))


def letters(path: Path) -> dict[str, tuple[Image.Image, float, float, float]]:
    """Each letter and digit of a font: coverage, left bearing, top relative to the capitals' top, advance."""
    font = ImageFont.truetype(str(path), 100)
    cap = font.getbbox("H", anchor="ls")
    font = ImageFont.truetype(str(path), round(100 * LETTER_HEIGHT / -cap[1]))
    cap_top = font.getbbox("H", anchor="ls")[1]
    out = {}
    for character in string.ascii_letters + string.digits:
        x1, y1, x2, y2 = (int(v) for v in font.getbbox(character, anchor="ls"))
        picture = Image.new("L", (x2 - x1, y2 - y1), 0)
        ImageDraw.Draw(picture).text((-x1, -y1), character, font=font, fill=255, anchor="ls")
        out[character] = (picture, float(x1), float(y1 - cap_top), float(font.getlength(character)))
    return out


def pack(pictures: list[Image.Image], mode: str) -> tuple[Image.Image, list[Cell]]:
    """Place pictures on shelves of one sheet, tallest first; returns it and each picture's (x, y, w, h)."""
    order = sorted(range(len(pictures)), key=lambda i: (-pictures[i].height, i))
    cells: list[Cell] = [(0, 0, 0, 0)] * len(pictures)
    x = y = shelf = 0
    for i in order:
        w, h = pictures[i].size
        if x + w > SHEET_WIDTH:
            x, y, shelf = 0, y + shelf, 0
        cells[i] = (x, y, w, h)
        x, shelf = x + w, max(shelf, h)
    sheet = Image.new(mode, (SHEET_WIDTH, y + shelf))
    for i in order:
        sheet.paste(pictures[i], cells[i][:2])
    return sheet, cells


def build(out: Path) -> None:
    """Write the two sheets and their index into a folder."""
    for needed, package in ((EMOJI, "fonts-noto-color-emoji"), (DEJAVU / FONT_FILES[0], "fonts-dejavu-core")):
        if not needed.is_file():
            raise InputError(f"{needed} is missing: apt-get install {package}")
    out.mkdir(parents=True, exist_ok=True)
    emoji = ImageFont.truetype(str(EMOJI), 109)
    keys = [(k.name, glyph) for k in KINDS.values() for glyph in k.glyphs]
    pictures = [pictogram(glyph, emoji) for _, glyph in keys]
    sheet, cells = pack(pictures, "RGBA")
    sheet.save(out / "sprites.png", optimize=True)
    index: dict[str, dict[str, list[list[object]]]] = {"cells": {}, "aspects": {}, "letters": {}}
    for (name, _), cell in zip(keys, cells, strict=True):
        index["cells"].setdefault(name, []).append(list(cell))
    drawings = [(name, picture) for (name, _), picture in zip(keys, pictures, strict=True)]
    drawings += [(name, sprites.upright(name, 0)) for name in sprites.drawn_kinds() if not KINDS[name].glyphs]
    for name, picture in drawings:
        turned = [sprites.tight(picture.rotate(a, Image.Resampling.BILINEAR, expand=True)) for a in ANGLES]
        index["aspects"].setdefault(name, []).append([round(t.width / t.height, 4) for t in turned])
    tables = [letters(DEJAVU / name) for name in FONT_FILES]
    sheet, places = pack([row[0] for table in tables for row in table.values()], "L")
    sheet.save(out / "letters.png", optimize=True)
    at = iter(places)
    for font, table in zip(FONTS, tables, strict=True):
        index["letters"][font] = [
            [character, *next(at), left, top, round(advance, 2)]
            for character, (_, left, top, advance) in table.items()
        ]
    (out / "sprites.json").write_text(json.dumps(index, separators=(",", ":")), "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Rebuild the sprite sheet from free fonts.")
    parser.add_argument("--out", type=Path, default=ASSETS, help="folder to write, by default the package's")
    build(parser.parse_args().out)


if __name__ == "__main__":
    main()
