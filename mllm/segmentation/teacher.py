"""Outlines for training photographs that have boxes only: a segmentation model's, where it agrees with a labelled box."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError
from ..training.checkpoints import write_bytes_safely
from .pictures import decode

AGREE = 0.75  # least IoU of a found thing's box with a labelled one
SURE = 0.35  # least confidence to ask the teacher for, where a label says that something is there
SIDE = 416  # pixels to show it; the training photographs are small

Found = tuple[Sequence[float], np.ndarray]  # a box (x1, y1, x2, y2) and its mask [H, W] bool
Teacher = Callable[[np.ndarray], Sequence[Found]]  # a picture [H, W, 3] uint8 -> what is in it, surest first


def complete(
    folder: Path, teacher: Teacher | None, target: Path, say: Callable[[str], None] = print
) -> dict[str, list[Any]]:
    """Outlines by "set/file", from `target` if it was written before.

    Only the sets without outlines are looked at, and only things that someone has boxed are kept, so that the teacher adds
    shapes and no labels. The outlines are polygons in pixels of the picture, a list for each thing.
    """
    if target.is_file():
        return dict(json.loads(target.read_text(encoding="utf-8")))
    if teacher is None:
        raise InputError(f"no {target}, and no teacher to make it: train with `sightline train segmenter`")
    found: dict[str, list[Any]] = {}
    boxed = kept = 0
    for file in sorted(folder.glob("*/annotations.json")):
        data = json.loads(file.read_text(encoding="utf-8"))
        if any(note.get("segmentation") for note in data["annotations"]):
            continue
        boxes: dict[int, list[list[float]]] = {}
        for note in data["annotations"]:
            boxes.setdefault(note["image_id"], []).append(note["bbox"])
        for row in data["images"]:
            labelled = boxes.get(row["id"], [])
            path = file.parent / row["file_name"]
            if not labelled or not path.is_file():
                continue
            boxed += len(labelled)
            shapes = agreeing(teacher(decode(path.read_bytes())), labelled)
            kept += len(shapes)
            if shapes:
                found[f"{file.parent.name}/{row['file_name']}"] = shapes
        say(f"teacher: {file.parent.name} done, {kept} outlines for {boxed} boxes so far")
    target.parent.mkdir(parents=True, exist_ok=True)
    write_bytes_safely(target, json.dumps(found).encode())
    return found


def agreeing(found: Sequence[Found], labelled: Sequence[Sequence[float]]) -> list[Any]:
    """Polygons of the masks whose box is a labelled one (x, y, width, height), each label used once, surest first."""
    import cv2

    wanted = np.array(labelled, np.float64)
    wanted[:, 2:] += wanted[:, :2]
    free = np.ones(len(wanted), bool)
    shapes = []
    for place, mask in found:
        box = np.asarray(place, np.float64)
        low, high = np.maximum(box[:2], wanted[:, :2]), np.minimum(box[2:], wanted[:, 2:])
        shared = np.clip(high - low, 0, None).prod(1)
        union = (box[2:] - box[:2]).prod() + (wanted[:, 2:] - wanted[:, :2]).prod(1) - shared
        overlap = np.where(free, shared / np.maximum(union, 1e-9), 0)
        best = int(overlap.argmax())
        if overlap[best] < AGREE:
            continue
        contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        polygons = [(c[:, 0] + 0.5).reshape(-1).tolist() for c in contours if cv2.contourArea(c) >= 12]
        if polygons:
            free[best] = False
            shapes.append(polygons)
    return shapes
