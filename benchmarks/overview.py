"""An overview sheet: what every kind of op does on photographs with real detector weights, one captioned tile each.

    python -m benchmarks.overview --data ../shared/data --out benchmarks/out/overview.png

The pack is `starter` with a YOLOv8 segmentation network in the detector's role. Every tile is one program; where its
result is regions or words, they are drawn onto the photograph. Exits with 1 if a program fails.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from sightline.programs.engine import Engine
from sightline.programs.results import ProgramResult, show
from sightline.tools.models import Models
from sightline.tools.values import Image

WEIGHTS = "yolov8n-seg_from_int8.pt"


@dataclass(frozen=True)
class Tile:
    """One program on one photograph; `click` is marked on the result."""

    op: str
    photo: str  # below the data folder's photos/
    program: str
    click: tuple[int, int] | None = None


TILES = (
    Tile("LOC", "coco_val128/000000011197.jpg",
         "OBJ0=LOC(image=IMAGE,object='traffic light')\nOUT=TAG(image=IMAGE,object=OBJ0)\nR=RESULT(var=OUT)"),
    Tile("LOC a colour", "coco_val128/000000002006.jpg",
         "OBJ0=LOC(image=IMAGE,object='purple bus')\nOUT=TAG(image=IMAGE,object=OBJ0)\nR=RESULT(var=OUT)"),
    Tile("SEG", "flickr8k/1001773457_577c3a7d70.jpg",
         "OBJ0=SEG(image=IMAGE)\nOUT=HIGHLIGHT(image=IMAGE,object=OBJ0)\nR=RESULT(var=OUT)"),
    Tile("SEGMENT a click", "misc/fruit_15.jpg",
         "OBJ0=SEGMENT(image=IMAGE,point=[{x},{y}])\nOUT=HIGHLIGHT(image=IMAGE,object=OBJ0)\nR=RESULT(var=OUT)",
         (170, 200)),
    Tile("OCR", "coco_val128/000000002006.jpg",
         "TEXT0=OCR(image=IMAGE)\nOUT=TAG(image=IMAGE,object=TEXT0)\nR=RESULT(var=OUT)"),
    Tile("FILTER", "coco_val128/000000001000.jpg",
         "BOX0=LOC(image=IMAGE,object='person')\nOBJ0=FILTER(object=BOX0,where=\"x < 50% and height > 30%\",image=IMAGE)\n"
         "OUT=TAG(image=IMAGE,object=OBJ0)\nR=RESULT(var=OUT)"),
    Tile("RELATE", "coco_val128/000000004134.jpg",
         "BOX0=LOC(image=IMAGE,object='person')\nBOX1=LOC(image=IMAGE,object='tie')\n"
         "OBJ0=RELATE(object=BOX1,relation='inside',reference=BOX0)\n"
         "OUT=TAG(image=IMAGE,object=OBJ0)\nR=RESULT(var=OUT)"),
    Tile("COLOR", "coco_val128/000000006471.jpg",
         "OBJ0=SEG(image=IMAGE)\nLIST0=COLOR(image=IMAGE,object=OBJ0)\nOBJ1=LABEL(object=OBJ0,label=LIST0)\n"
         "OUT=TAG(image=IMAGE,object=OBJ1)\nR=RESULT(var=OUT)"),
    Tile("TAG", "misc/dog_0.jpg",
         "OBJ0=LOC(image=IMAGE,object=['person','dog'])\nOUT=TAG(image=IMAGE,object=OBJ0)\nR=RESULT(var=OUT)"),
    Tile("COLORPOP", "coco_val128/000000001584.jpg",
         "BOX0=LOC(image=IMAGE,object='red bus')\nOBJ0=SEG(image=IMAGE,object=BOX0)\n"
         "OUT=COLORPOP(image=IMAGE,object=OBJ0)\nR=RESULT(var=OUT)"),
    Tile("BGBLUR", "coco_val128/000000000785.jpg",
         "BOX0=LOC(image=IMAGE,object='person')\nOBJ0=SEG(image=IMAGE,object=BOX0)\n"
         "OUT=BGBLUR(image=IMAGE,object=OBJ0)\nR=RESULT(var=OUT)"),
    Tile("BLUR", "ocr_plates/eu_test_006.jpg",
         "BOX0=LOC(image=IMAGE,object='vehicle')\nTEXT0=OCR(image=IMAGE,object=BOX0)\n"
         "OBJ0=FILTER(object=TEXT0,where=\"digits >= 2\")\nOUT=BLUR(image=IMAGE,object=OBJ0)\nR=RESULT(var=OUT)"),
    Tile("EMOJI", "coco_val128/000000006763.jpg",
         "FACE0=FACEDET(image=IMAGE)\nOBJ0=FILTER(object=FACE0,where=\"score > 0.6\")\nOUT=EMOJI(image=IMAGE,object=OBJ0,emoji='grinning_face')\nR=RESULT(var=OUT)"),
    Tile("CROPS", "coco_val128/000000006954.jpg",
         "OBJ0=FACEDET(image=IMAGE)\nOUT=CROPS(image=IMAGE,box=OBJ0)\nR=RESULT(var=OUT)"),
    Tile("RELATE nearest", "coco_val128/000000011149.jpg",
         "BOX0=LOC(image=IMAGE,object='bicycle')\nBOX1=LOC(image=IMAGE,object='motorcycle')\n"
         "OBJ0=RELATE(object=BOX0,relation='nearest',reference=BOX1)\n"
         "OUT=TAG(image=IMAGE,object=OBJ0)\nR=RESULT(var=OUT)"),
    Tile("HIGHLIGHT", "coco_val128/000000007108.jpg",
         "BOX0=LOC(image=IMAGE,object='elephant')\nOBJ0=FILTER(object=BOX0,keep='largest')\n"
         "OUT=HIGHLIGHT(image=IMAGE,object=OBJ0)\nR=RESULT(var=OUT)"),
)  # fmt: skip

_COLUMNS, _WIDTH, _HEIGHT, _LINE, _MARGIN = 4, 480, 340, 16, 12
_CAPTION_LINES = 6
_INK, _PAPER, _FAULT, _CLICK = (25, 25, 25), (255, 255, 255), (190, 20, 20), (255, 0, 200)


def main() -> int:
    """Make the sheet; how many tiles failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with photos/ and weights/")
    parser.add_argument("--out", type=Path, required=True, help="the PNG to write")
    options = parser.parse_args()
    detector = {"backend": "ultralytics", "weights": WEIGHTS, "license": "AGPL-3.0"}
    engine = Engine(Models.from_pack("starter", options.data / "weights", {"detector": detector}))
    tiles, failed = [], 0
    for tile in TILES:
        photo = Image.open(options.data / "photos" / tile.photo)
        text = tile.program
        if tile.click is not None:
            text = text.format(x=tile.click[0], y=tile.click[1])
        (result,) = engine.run(text, {"IMAGE": photo}).results
        failed += not result.ok
        print(f"{tile.op:<16} {result.status:<7} {result.ms:>8.0f} ms  {tile.photo}  {_found(result)}")
        tiles.append(_draw(tile, photo, text, result))
    rows = -(-len(tiles) // _COLUMNS)
    height = _HEIGHT + (_CAPTION_LINES + 1) * _LINE + 2 * _MARGIN
    sheet = PIL.Image.new("RGB", (_COLUMNS * (_WIDTH + _MARGIN) + _MARGIN, rows * height + _MARGIN), _PAPER)
    for index, picture in enumerate(tiles):
        sheet.paste(
            picture, (_MARGIN + index % _COLUMNS * (_WIDTH + _MARGIN), _MARGIN + index // _COLUMNS * height)
        )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(options.out)
    print(f"{len(TILES) - failed} of {len(TILES)} programs done; the sheet is {options.out}")
    return failed


def _found(result: ProgramResult) -> str:
    """The regions or words that the last step but two found."""
    if not result.ok:
        return "; ".join(error.message for error in result.errors)
    values = [step.value for step in result.steps[:-2] if step.value is not None]
    return show(values[-1], 120) if values else ""


def _draw(tile: Tile, photo: Image, text: str, result: ProgramResult) -> PIL.Image.Image:
    """The result (or the photograph, where the program failed) with the program below it."""
    picture = PIL.Image.new("RGB", (_WIDTH, _HEIGHT + (_CAPTION_LINES + 1) * _LINE + _MARGIN), _PAPER)
    pen = PIL.ImageDraw.Draw(picture)
    shown = _picture_of(result.value if result.ok else photo)
    if tile.click is not None:
        x, y = tile.click
        reach = max(4, photo.width // 50)
        ring = PIL.ImageDraw.Draw(shown)
        for grow, color in ((2, _PAPER), (0, _CLICK)):  # two rings, so that one of them shows on any ground
            part = reach + grow
            ring.ellipse((x - part, y - part, x + part, y + part), outline=color, width=4)
    shown.thumbnail((_WIDTH, _HEIGHT))
    picture.paste(shown, (0, _HEIGHT - shown.height))
    pen.text((0, _HEIGHT + 3), tile.op, fill=_INK, font=PIL.ImageFont.load_default(15))
    small = PIL.ImageFont.load_default(12)
    for number, line in enumerate(text.splitlines()[:_CAPTION_LINES]):
        pen.text(
            (0, _HEIGHT + _LINE * (number + 1) + 5), line, fill=_INK if result.ok else _FAULT, font=small
        )
    return picture


def _picture_of(value: Any) -> PIL.Image.Image:
    """A picture, or several beside each other at one height."""
    if isinstance(value, Image):
        return value.pil()
    parts = [part.pil() for part in value]
    height = min(180, max((part.height for part in parts), default=1))
    parts = [part.resize((max(1, part.width * height // part.height), height)) for part in parts]
    row = PIL.Image.new("RGB", (max(1, sum(part.width + 4 for part in parts)), height), _PAPER)
    x = 0
    for part in parts:
        row.paste(part, (x, 0))
        x += part.width + 4
    return row


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
