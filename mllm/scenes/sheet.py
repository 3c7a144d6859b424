"""An overview picture of scenes or kinds: python -m sightline.mllm.scenes.sheet OUT.png --seed 0 --boxes"""

from __future__ import annotations

import argparse
from pathlib import Path

from .backgrounds import PhotoPool
from .layouts import LAYOUTS, extent
from .render import render
from .schema import Scene, SceneObject
from .vocabulary import COLORS, KINDS, MULTICOLOR
from .world import STYLES, SceneConfig, make_scene, split_seed


def kinds_page(style: str, color: str, columns: int = 16, cell: int = 80) -> Scene:
    """One scene with every kind that can wear a style and colour, one a cell."""
    able = [
        k for k in KINDS.values()
        if k.glyphs and (color == MULTICOLOR or (k.colorable and (style != "flat" or k.silhouette)))
    ]  # fmt: skip
    objects = []
    for i, (entry, variant) in enumerate((k, v) for k in able for v in range(k.variants)):
        x, y = (i % columns) * cell + 8, (i // columns) * cell + 8
        w, h = extent(entry.name, variant, 0, cell - 16)
        box = (x, y, x + w, y + h)
        objects.append(SceneObject(entry.name, entry.category, color, "medium", box, style, variant=variant))
    rows = -(-len(objects) // columns)
    return Scene(0, columns * cell, rows * cell, tuple(objects))


def main() -> None:
    from PIL import Image, ImageDraw

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="PNG file to write")
    parser.add_argument("--seed", type=int, default=0, help="stream of the training split to show")
    parser.add_argument("--columns", type=int, default=8)
    parser.add_argument("--rows", type=int, default=6)
    parser.add_argument("--size", type=int, default=128, help="side of a scene in pixels")
    parser.add_argument("--zoom", type=int, default=2, help="enlarge each scene so many times")
    parser.add_argument("--layout", choices=tuple(LAYOUTS), help="only this layout")
    parser.add_argument("--curriculum", type=float, default=1.0)
    parser.add_argument("--photos", type=Path, help="folder of photographs for backgrounds")
    parser.add_argument("--boxes", action="store_true", help="draw visible boxes and names")
    parser.add_argument("--kinds", choices=STYLES, help="instead of scenes, every kind in this style")
    parser.add_argument("--color", choices=(*COLORS, MULTICOLOR), default=MULTICOLOR, help="for --kinds")
    args = parser.parse_args()
    if args.kinds:
        Image.fromarray(render(kinds_page(args.kinds, args.color)).image).save(args.out)
        return
    config = SceneConfig(width=args.size, height=args.size, curriculum=args.curriculum)
    if args.layout:
        config = SceneConfig(
            width=args.size, height=args.size, curriculum=args.curriculum, layouts=((args.layout, 1.0),)
        )
    pool = PhotoPool.from_folder(args.photos) if args.photos else None
    step = args.size * args.zoom + 4
    page = Image.new("RGB", (args.columns * step, args.rows * step), (255, 255, 255))
    for i in range(args.columns * args.rows):
        drawn = render(make_scene(split_seed("train", args.seed, i), config), pool)
        tile = Image.fromarray(drawn.image).resize((args.size * args.zoom,) * 2, Image.Resampling.NEAREST)
        if args.boxes:
            pen = ImageDraw.Draw(tile)
            for item in drawn.scene.objects:
                x1, y1, x2, y2 = (v * args.zoom for v in item.box)
                pen.rectangle((x1, y1, x2 - 1, y2 - 1), outline=(255, 0, 255))
                label = item.word or (item.kind if item.color == MULTICOLOR else f"{item.color} {item.kind}")
                pen.text((x1 + 2, y1 + 1), label, fill=(255, 255, 255), stroke_width=1, stroke_fill=(0, 0, 0))
        page.paste(tile, ((i % args.columns) * step, (i // args.columns) * step))
    page.save(args.out)


if __name__ == "__main__":
    main()
