"""Held-out pictures with their ground truth: scenes of the test split, or a folder in COCO form."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError
from ..imagefile import open_image
from ..names import COCO_CLASSES, canonical, matched
from ..values import Image
from .metrics import Truth
from .scenes import KINDS, draw
from .scenes import truth_of as drawn_truth

_FILES = ("instances.json", "annotations.json")


@dataclass(frozen=True)
class Pictures:
    """Pictures with what is in them; `classes` are the names that the kinds of the truths count in."""

    name: str
    classes: tuple[str, ...]
    images: tuple[Image, ...]
    truths: tuple[Truth, ...]


def scenes(seed: int, count: int, split: str = "test") -> Pictures:
    """`count` scenes of a stream of a split: no seed of training draws one of them."""
    drawn = [draw(split, seed, i) for i in range(count)]
    images = tuple(Image.from_array(d.image) for d in drawn)
    return Pictures(f"scenes {split}/{seed}", KINDS, images, tuple(drawn_truth(d) for d in drawn))


def folder(path: Path) -> Pictures:
    """A folder with `instances.json` or `annotations.json` in COCO's form and its pictures beside it, or in `images/`."""
    file = next((path / name for name in _FILES if (path / name).is_file()), None)
    if file is None:
        raise InputError(f"{path}: no {' or '.join(_FILES)} in this folder")
    data = read_coco(file)
    order = {c["id"]: i for i, c in enumerate(data["categories"])}
    by_image: dict[Any, list[dict[str, Any]]] = {}
    for item in data["annotations"]:
        by_image.setdefault(item["image_id"], []).append(item)
    images, truths = [], []
    for entry in data["images"]:
        images.append(open_image(picture_file(path, entry["file_name"])))
        truths.append(_truth(by_image.get(entry["id"], []), order))
    return Pictures(
        path.name, tuple(str(c["name"]) for c in data["categories"]), tuple(images), tuple(truths)
    )


def held_back(config: Path) -> Pictures:
    """The training photographs that a config of `sightline train detector` holds back, with what people labelled in them.

    A class that nobody looked for in a picture is open there; what the teacher says is left out. Classes that no set of all kinds
    of photographs labels (balloons, camels ...) are taken to be absent elsewhere, else their false detections would not count.
    """
    from .photos import read_sets, truth_of
    from .train import HELD, read_config

    run = read_config(config)
    if run.data != "photos":
        raise InputError(f"{config}: trains on {run.data}; only photographs are held back")
    photos = read_sets(Path(run.photos), run.classes)[HELD - 1 :: HELD]
    usual = {canonical(name) for name in COCO_CLASSES}
    rare = frozenset(i for i, name in enumerate(run.classes) if canonical(name) not in usual)
    photos = [replace(photo, known=photo.known | rare) for photo in photos]
    return Pictures(
        f"held-back photographs of {config.name}",
        tuple(run.classes),
        tuple(open_image(photo.file) for photo in photos),
        tuple(truth_of(photo, len(run.classes)) for photo in photos),
    )


def read_coco(file: Path) -> dict[str, Any]:
    """A COCO file with images, annotations and categories; InputError where it is none."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        for key, needs in (("images", "file_name"), ("annotations", "bbox"), ("categories", "name")):
            for item in data[key]:
                item[needs], item["category_id" if key == "annotations" else "id"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file}: not in COCO's form ({type(error).__name__}: {error})") from error
    return dict(data)


def picture_file(path: Path, name: str) -> Path:
    """Where a picture of a COCO folder lies; names may not lead out of the folder."""
    for place in (path / name, path / "images" / name):
        if place.is_file() and place.resolve().is_relative_to(path.resolve()):
            return place
    raise InputError(f"{path}: its annotations name {name}, which is not in the folder")


def _truth(items: Sequence[dict[str, Any]], order: dict[Any, int]) -> Truth:
    boxes = np.array([item["bbox"] for item in items], np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    crowd = np.array([bool(item.get("iscrowd", 0)) for item in items], bool)
    return Truth(boxes, np.array([order[i["category_id"]] for i in items], np.int64), crowd, crowd)


def same_names(vocabulary: Sequence[str], classes: Sequence[str]) -> dict[str, int]:
    """A detector's label -> index of the class that means the same ('tvmonitor', 'tv'); other labels are left out."""
    found: dict[str, int] = {}
    for index, name in enumerate(classes):
        meaning = matched(name, vocabulary)
        if meaning.relation == "same":
            found.update(dict.fromkeys(meaning.classes, index))
    return found


__all__ = ["Pictures", "folder", "held_back", "picture_file", "read_coco", "same_names", "scenes"]
