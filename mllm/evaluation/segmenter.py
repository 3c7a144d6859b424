"""How well a segmenter answers clicks and boxes: mean IoU with exact masks of scenes or of a folder of photographs.

A segmenter is given as a function: pictures are [H, W, 3] uint8, places are in pixels of the picture, masks are bool [H, W].
`sightline eval segmenter` binds a pack's segmenter to it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError
from ..scenes.render import render
from ..scenes.world import SceneConfig, make_scene, split_seed
from ..segmentation.clicks import correction, innermost

Click = tuple[float, float, bool]  # x, y, and whether it is on the thing
Corners = tuple[float, float, float, float]
Ask = Callable[[Sequence[Click], Corners | None], np.ndarray | None]  # the best mask, or None for nothing
Show = Callable[[np.ndarray], Ask]  # a new picture -> what answers prompts about it

CLICKS = 3
LEAST_VISIBLE = 0.4  # of a scene's object; what is more hidden is not asked for
LEAST_AREA = 64  # pixels of a photographed thing; what is smaller is not asked for
MEASURES = ("miou_click", "miou_box", "miou_3clicks")


@dataclass(frozen=True)
class Case:
    """A picture, and the masks [N, H, W] bool of the things that are asked for."""

    name: str
    picture: np.ndarray
    masks: np.ndarray


def scene_cases(seed: int, count: int, config: SceneConfig | None = None) -> Iterator[Case]:
    """Scenes of the test split, which no training seed can draw."""
    for index in range(count):
        drawn = render(make_scene(split_seed("test", seed, index), config or SceneConfig()))
        kept = [i for i, o in enumerate(drawn.scene.objects) if o.visible >= LEAST_VISIBLE]
        if kept:
            yield Case(f"scene {index}", drawn.image, drawn.masks[kept])


def folder_cases(folder: Path) -> Iterator[Case]:
    """Photographs with masks: `instances.json` or `annotations.json` in COCO form (polygons and run lengths), and `X_mask.png`
    beside a picture X, a grey level for each thing."""
    if not folder.is_dir():
        raise InputError(f"no folder {folder}")
    notes = [folder / name for name in ("instances.json", "annotations.json") if (folder / name).is_file()]
    masks = sorted(folder.glob("*_mask.png"))
    if not notes and not masks:
        raise InputError(f"{folder}: neither instances.json, annotations.json nor *_mask.png with masks")
    if notes:
        yield from _coco_cases(folder, notes[0])
    for path in masks:
        picture = next(
            (
                p
                for end in (".jpg", ".jpeg", ".png")
                if (p := path.with_name(path.name.replace("_mask.png", end))).is_file()
            ),
            None,
        )
        if picture is None:
            raise InputError(f"{path}: no picture of that name beside it")
        labels = _read(path, grey=True)
        things = [labels == level for level in np.unique(labels) if level]
        kept = [m for m in things if m.sum() >= LEAST_AREA]
        if kept:
            yield Case(picture.name, _read(picture), np.stack(kept))


def _coco_cases(folder: Path, notes: Path) -> Iterator[Case]:
    data = json.loads(notes.read_text(encoding="utf-8"))
    by_picture: dict[int, list[Any]] = {}
    for note in data["annotations"]:
        if note.get("segmentation") and not note.get("iscrowd"):
            by_picture.setdefault(note["image_id"], []).append(note["segmentation"])
    for row in data["images"]:
        shapes = by_picture.get(row["id"], [])
        if not shapes:
            continue
        pixels = _read(folder / row["file_name"])
        size = (int(row["height"]), int(row["width"]))
        if pixels.shape[:2] != size:
            raise InputError(f"{folder / row['file_name']}: {pixels.shape[:2]} pixels, annotated as {size}")
        things = [m for m in (coco_mask(shape, size) for shape in shapes) if m.sum() >= LEAST_AREA]
        if things:
            yield Case(row["file_name"], pixels, np.stack(things))


def coco_mask(shape: Any, size: tuple[int, int]) -> np.ndarray:
    """[H, W] bool of a COCO segmentation: polygons or uncompressed runs."""
    from PIL import Image, ImageDraw

    height, width = size
    if isinstance(shape, dict):
        counts = shape["counts"]
        if not isinstance(counts, list):
            raise InputError("a compressed run-length mask; write its counts as a list")
        values = np.arange(len(counts)) % 2 == 1
        return np.repeat(values, counts).reshape(width, height).T
    # Drawn four times as large: a pixel belongs to the thing where most of it does.
    canvas = Image.new("1", (4 * width, 4 * height))
    for polygon in shape:
        if len(polygon) >= 6:
            points = np.array(polygon, np.float64) * 4 - 0.5
            ImageDraw.Draw(canvas).polygon([tuple(p) for p in points.reshape(-1, 2)], fill=1)
    cover = np.asarray(canvas, np.uint8).reshape(height, 4, width, 4).sum((1, 3))
    return np.asarray(cover >= 8)


def _read(path: Path, grey: bool = False) -> np.ndarray:
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as opened:
            return np.asarray(opened if grey else ImageOps.exif_transpose(opened).convert("RGB"))
    except (OSError, UnidentifiedImageError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error


def iou(found: np.ndarray | None, wanted: np.ndarray) -> float:
    """Overlap of two masks; nothing found is 0."""
    if found is None:
        return 0.0
    return float((found & wanted).sum() / max(int((found | wanted).sum()), 1))


def evaluate_segmenter(show: Show, cases: Sequence[Case]) -> dict[str, Any]:
    """Figures over the cases: a click at each thing's innermost pixel, its tight box, and two more clicks where the answer is wrong.

    Returns the means of `MEASURES` with 95% intervals (bootstrap over pictures), `n` things, milliseconds of the first prompt on a
    picture and of later ones (medians), and `rows`: the IoUs of each thing.
    """
    rows: list[dict[str, Any]] = []
    first: list[float] = []
    later: list[float] = []
    for case in cases:
        began = time.perf_counter()
        ask = show(case.picture)
        for number, wanted in enumerate(case.masks):
            clicks: list[Click] = [(*innermost(wanted), True)]
            found = ask(clicks, None)
            took = (time.perf_counter() - began) * 1e3
            (later if number else first).append(took)
            row: dict[str, Any] = {
                "picture": case.name,
                "area": int(wanted.sum()),
                "miou_click": iou(found, wanted),
            }
            for _ in range(CLICKS - 1):
                more = correction(np.zeros_like(wanted) if found is None else found, wanted)
                if more is None:
                    break
                clicks.append(more)
                found = ask(clicks, None)
            row["miou_3clicks"] = iou(found, wanted)
            rows_, columns = np.flatnonzero(wanted.any(1)), np.flatnonzero(wanted.any(0))
            box = (float(columns[0]), float(rows_[0]), float(columns[-1] + 1), float(rows_[-1] + 1))
            row["miou_box"] = iou(ask((), box), wanted)
            rows.append(row)
            began = time.perf_counter()
    if not rows:
        raise InputError("no thing to segment in the cases")
    report: dict[str, Any] = {"n": len(rows), "pictures": len({r["picture"] for r in rows})}
    for name in MEASURES:
        report[name] = float(np.mean([r[name] for r in rows]))
    report["ci"] = {name: interval(rows, name) for name in MEASURES}
    report["ms_first_click"] = float(np.median(first))
    report["ms_later_click"] = float(np.median(later)) if later else None
    report["rows"] = rows
    return report


def interval(
    rows: Sequence[dict[str, Any]], name: str, other: Sequence[dict[str, Any]] | None = None
) -> tuple[float, float]:
    """95% bootstrap interval, over pictures, of a mean or of its difference to `other`'s rows of the same things."""
    values: dict[str, list[float]] = {}
    for index, row in enumerate(rows):
        values.setdefault(row["picture"], []).append(row[name] - (other[index][name] if other else 0.0))
    sums = np.array([sum(v) for v in values.values()])
    counts = np.array([len(v) for v in values.values()])
    rng = np.random.default_rng(0)
    picks = rng.integers(len(sums), size=(2000, len(sums)))
    means = sums[picks].sum(1) / counts[picks].sum(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)
