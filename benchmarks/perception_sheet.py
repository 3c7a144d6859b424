"""What perception sees at a glance: scenes and photographs with their detections and masks on one sheet.

    python -m benchmarks.perception_sheet --data ../shared/data --out benchmarks/out/perception.png

Scenes go to pack `scenes`, photographs to `--photo-pack`. Where that pack has no detector, as offline, a photograph shows
what it has: the text read, faces, and the mask of a click in the middle. Masks are the segmenter's, from each box.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from sightline.tools.detection.scenes import draw
from sightline.tools.draw import color_of
from sightline.tools.models import Models
from sightline.tools.roles import Prompt
from sightline.tools.values import Image, Region, Regions

_SIDE, _COLUMNS, _GAP, _LINE, _PAPER, _INK = 240, 8, 8, 16, (248, 246, 242), (30, 30, 34)
_FOLDERS = ("coco_val128", "indoor_home", "misc", "flickr8k")  # below photos/, taken in turn


def seen(models: Models, image: Image, most: int) -> tuple[list[Region], list[Region]]:
    """(what a pack finds in a picture, the masks that it makes of it, `most` at most)."""
    if models.has("detector"):
        found = list(models.get("detector").detect([image])[0])
        prompts = [Prompt(box=r.box) for r in found[:most]]
    else:
        found = [*models.get("ocr").read([image])[0], *models.get("face_detector").detect_faces([image])[0]]
        prompts = [Prompt(points=((image.width / 2, image.height / 2, True),))][:most]
    masks: list[Regions] = models.get("segmenter").segment([image] * len(prompts), prompts) if prompts else []
    return found, [m[0] for m in masks if len(m)]


def tile(image: Image, found: list[Region], masks: list[Region], caption: str) -> PIL.Image.Image:
    """A picture at the sheet's size, masks tinted, boxes named, a caption below."""
    scale = _SIDE / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    pixels = np.asarray(image.pil().resize(size, PIL.Image.Resampling.BICUBIC), np.float32).copy()
    for number, region in enumerate(masks):
        full = PIL.Image.fromarray(region.mask_on(image)).resize(size, PIL.Image.Resampling.NEAREST)
        inside = np.asarray(full, bool)
        tint = np.array(color_of(found[number].label if len(found) > number else "click"), np.float32)
        pixels[inside] = 0.55 * pixels[inside] + 0.45 * tint
    out = PIL.Image.new("RGB", (_SIDE, _SIDE + _LINE), _PAPER)
    out.paste(PIL.Image.fromarray(pixels.astype(np.uint8)), (0, _SIDE - size[1]))
    pen, font = PIL.ImageDraw.Draw(out), PIL.ImageFont.load_default(10)
    for region in found:
        x1, y1, x2, y2 = (v * scale for v in image.local(region.box))
        top, color = _SIDE - size[1], color_of(region.label)
        pen.rectangle((x1, y1 + top, max(x1, x2 - 1), max(y1, y2 - 1) + top), outline=color, width=2)
        words = " ".join(
            part for part in (region.color, region.label, region.text and repr(region.text)) if part
        )
        text = f"{words} {region.score:.2f}"
        wide = pen.textlength(text, font=font)
        left, line = min(max(0, x1), max(0, _SIDE - wide)), max(top, y1 + top - 11)
        pen.rectangle((left, line, left + wide, line + 11), fill=color)
        pen.text((left, line), text, fill=(255, 255, 255), font=font)
    pen.text((0, _SIDE + 2), caption, fill=_INK, font=PIL.ImageFont.load_default(11))
    return out


def photographs(folder: Path) -> Iterator[tuple[str, Image]]:
    """Pictures of the folders in turn, by name."""
    files = [sorted((folder / name).glob("*.jpg"))[::3] for name in _FOLDERS]
    for row in range(max((len(f) for f in files), default=0)):
        for name, own in zip(_FOLDERS, files, strict=True):
            if row < len(own):
                yield f"{name}/{own[row].name}", Image.open(own[row])


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the development data, with photos/")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/out/perception.png"))
    parser.add_argument("--scene-pack", default="scenes")
    parser.add_argument("--photo-pack", default="starter")
    parser.add_argument("--models", type=Path, help="folder with weights files")
    parser.add_argument("--scenes", type=int, default=24)
    parser.add_argument("--photos", type=int, default=24)
    parser.add_argument(
        "--masks", type=int, default=8, help="most masks of a picture; 0 for none, which is quick"
    )
    options = parser.parse_args()
    shown: list[tuple[str, Image, str]] = []
    for i in range(options.scenes):
        drawn = draw("test", 24, i)
        shown.append((f"scene {i}, {drawn.scene.layout}", Image.from_array(drawn.image), options.scene_pack))
    for name, image in islice(photographs(options.data / "photos"), options.photos):
        shown.append((name, image, options.photo_pack))
    packs = {name: Models.from_pack(name, options.models) for name in {pack for _, _, pack in shown}}
    rows = -(-len(shown) // _COLUMNS)
    step = (_SIDE + _GAP, _SIDE + _LINE + _GAP)
    sheet = PIL.Image.new("RGB", (_COLUMNS * step[0] + _GAP, rows * step[1] + _GAP), _PAPER)
    for index, (name, image, pack) in enumerate(shown):
        found, masks = seen(packs[pack], image, options.masks)
        picture = tile(image, found, masks, f"{name}: {len(found)} found")
        sheet.paste(picture, (_GAP + index % _COLUMNS * step[0], _GAP + index // _COLUMNS * step[1]))
        print(f"{pack:<10}{name:<40}{len(found):>4} found{len(masks):>4} masks")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(options.out)
    print(f"{len(shown)} pictures on {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
