"""Photographs to train on: several sets in COCO form, each of which labels some classes only, mixed and varied.

A picture of the training is a mosaic of four (YOLOv4, arXiv:2004.10934) of one set, or one alone; each is scaled, shifted,
mirrored and tinted, and cut-outs of things are pasted onto it where the set has their outlines (Ghiasi et al. 2021,
arXiv:2012.07177). What a set does not label is left open, or filled in by a teacher: see `complete`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from ...errors import InputError
from ...mllm.training.checkpoints import write_bytes_safely
from ..backends.yolo import Letterbox
from ..imagefile import open_image
from ..names import canonical
from ..roles import Detector
from .metrics import Truth, mean_ap, score_kinds
from .pictures import picture_file, read_coco

_SURE, _MAYBE = (
    0.4,
    0.1,
)  # a teacher's detection is a label from the first on; below the second there is nothing
_GREY = 114


@dataclass(frozen=True)
class Photo:
    """One labelled photograph. boxes [N, 4] x1 y1 x2 y2 in pixels, kinds [N]; `known` are the classes that its labels tell all
    of; outlines[i] is a polygon [K, 2] or None."""

    file: Path
    set: str
    boxes: np.ndarray
    kinds: np.ndarray
    known: frozenset[int]
    outlines: tuple[np.ndarray | None, ...]


def read_sets(folder: Path, classes: Sequence[str]) -> list[Photo]:
    """Every photograph of the sets below `folder`, with the boxes of `classes` (synonyms count as one)."""
    index = {canonical(name): i for i, name in enumerate(classes)}
    if len(index) != len(classes):
        raise InputError("classes: two of them mean the same")
    photos: list[Photo] = []
    files = sorted(folder.glob("*/annotations.json"))
    if not files:
        raise InputError(f"{folder}: no set with an annotations.json in it")
    for file in files:
        data = read_coco(file)
        kinds = {c["id"]: index.get(canonical(str(c["name"]))) for c in data["categories"]}
        # COCO's categories are all looked for in each of its pictures; so are those of the other sets in theirs
        known = frozenset(k for k in kinds.values() if k is not None)
        boxes: dict[Any, list[dict[str, Any]]] = {}
        for item in data["annotations"]:
            if kinds[item["category_id"]] is not None and not item.get("iscrowd"):
                boxes.setdefault(item["image_id"], []).append(item)
        for entry in data["images"]:
            items = boxes.get(entry["id"], [])
            corners = np.array([i["bbox"] for i in items], np.float32).reshape(-1, 4)
            corners[:, 2:] += corners[:, :2]
            photos.append(
                Photo(
                    picture_file(file.parent, entry["file_name"]), file.parent.name, corners,
                    np.array([kinds[i["category_id"]] for i in items], np.int64), known,
                    tuple(_outline(i.get("segmentation")) for i in items),
                )
            )  # fmt: skip
    return photos


def _outline(parts: Any) -> np.ndarray | None:
    """A thing's only polygon [K, 2]; None where it has none, or several."""
    if not isinstance(parts, list) or len(parts) != 1 or len(parts[0]) < 6:
        return None
    return np.array(parts[0], np.float32).reshape(-1, 2)


def class_list(folder: Path, least: int = 50) -> dict[str, int]:
    """Classes with at least `least` boxes over all sets, the most frequent first; synonyms are counted together."""
    counts: Counter[str] = Counter()
    for file in sorted(folder.glob("*/annotations.json")):
        data = read_coco(file)
        names = {c["id"]: canonical(str(c["name"])) for c in data["categories"]}
        counts.update(names[a["category_id"]] for a in data["annotations"] if not a.get("iscrowd"))
    return {name: n for name, n in counts.most_common() if n >= least}


def complete(photos: Sequence[Photo], classes: Sequence[str], teacher: Detector, store: Path,
             say: Callable[[str], None]) -> list[Photo]:  # fmt: skip
    """Labels that the sets left open, from a teacher over COCO's classes; kept in `store` so that they are made once.

    A class that the teacher knows becomes known in a picture where it is sure of each of its detections; one that it half
    sees stays open there.
    """
    index = {canonical(name): i for i, name in enumerate(classes)}
    can = {label: index[canonical(label)] for label in teacher.vocabulary if canonical(label) in index}
    if store.is_file():
        rows = json.loads(store.read_text(encoding="utf-8"))
    else:
        rows = []
        for at in range(0, len(photos), 16):
            images = [open_image(p.file) for p in photos[at : at + 16]]
            for regions in teacher.detect(images):
                rows.append(
                    [[*map(float, r.box), float(r.score), can[r.label]] for r in regions if r.label in can]
                )
            if at % 320 == 0:
                say(f"teacher: {at + len(images)} of {len(photos)} photographs")
        store.parent.mkdir(parents=True, exist_ok=True)
        write_bytes_safely(store, json.dumps(rows).encode())
    if len(rows) != len(photos):
        raise InputError(f"{store}: made from other photographs; remove it and start again")
    done = []
    for photo, found in zip(photos, rows, strict=True):
        unsure = {int(r[5]) for r in found if _MAYBE <= r[4] < _SURE}
        new = [r for r in found if r[4] >= _SURE and int(r[5]) not in photo.known]
        seen = frozenset(k for k in can.values() if k not in photo.known and k not in unsure)
        done.append(
            replace(
                photo,
                boxes=np.concatenate(
                    [photo.boxes, np.array([r[:4] for r in new], np.float32).reshape(-1, 4)]
                ),
                kinds=np.concatenate([photo.kinds, np.array([r[5] for r in new], np.int64)]),
                known=photo.known | seen,
                outlines=(*photo.outlines, *(None for _ in new)),
            )
        )
    return done


def truth_of(photo: Photo, classes: int) -> Truth:
    """What is in a photograph; classes that nobody looked for are open."""
    none = np.zeros(len(photo.kinds), bool)
    return Truth(photo.boxes.astype(float), photo.kinds, none, none, frozenset(range(classes)) - photo.known)


def torch_pixels(pixels: np.ndarray) -> Any:
    """One picture [3, H, W] uint8 -> [1, 3, H, W] in 0..1."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(pixels))[None].float().div_(255)


class PhotoStage:
    """Training batches of photographs: a pure function of the step."""

    name = "detector on photographs"

    def __init__(self, model: Any, photos: Sequence[Photo], classes: int, seed: int, batch: int, sizes: Sequence[int],
                 mosaic_until: int, held: Sequence[Photo],
                 distillation: Callable[[Any, Any], tuple[Any, dict[str, float]]] | None = None,
                 distil: float = 0.0) -> None:  # fmt: skip
        from .network import PartialLoss

        self.model, self.photos, self.classes = model, list(photos), classes
        self.seed, self.batch_size, self.sizes, self.mosaic_until = seed, batch, tuple(sizes), mosaic_until
        self._held = held
        self._by_set: dict[str, list[int]] = {}
        for i, photo in enumerate(self.photos):
            self._by_set.setdefault(photo.set, []).append(i)
        self._cut = [
            (i, j) for i, p in enumerate(self.photos) for j, o in enumerate(p.outlines) if o is not None
        ]
        self._loss = PartialLoss(model.net)
        self._distillation, self._distil = distillation, distil

    def parameters(self) -> list[tuple[str, Any]]:
        """What is trained."""
        return [(n, p) for n, p in self.model.named_parameters() if p.requires_grad]

    def batch(self, step: int) -> dict[str, Any]:
        """Pictures for one step, all of one size, each with its boxes and the classes that they tell all of."""
        import torch

        rng = Random(f"photos/{self.seed}/{step}")
        size = self.sizes[int(rng.random() * len(self.sizes))]
        epoch, at = divmod(step * self.batch_size, len(self.photos))
        order = _order(self.seed, epoch, len(self.photos)) + _order(self.seed, epoch + 1, len(self.photos))
        pixels = np.empty((self.batch_size, size, size, 3), np.uint8)
        known = np.zeros((self.batch_size, 1, self.classes), np.float32)
        rows, kinds, boxes = [], [], []
        for row in range(self.batch_size):
            first = order[at + row]
            many = step < self.mosaic_until and rng.random() < 0.6
            pixels[row], corners, what, told = self._compose(first, size, rng, many)
            known[row, 0, sorted(told)] = 1
            for (x1, y1, x2, y2), kind in zip(corners / size, what, strict=True):
                rows.append(row)
                kinds.append(kind)
                boxes.append(((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1))
        return {
            "pixels": torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(255),
            "batch_idx": torch.tensor(rows, dtype=torch.float32),
            "cls": torch.tensor(kinds, dtype=torch.float32).reshape(-1, 1),
            "bboxes": torch.tensor(np.array(boxes, np.float32).reshape(-1, 4)),
            "known": torch.from_numpy(known),
        }

    def losses(self, batch: dict[str, Any]) -> Iterator[tuple[Any, dict[str, float]]]:
        """The loss of a batch over what its labels tell."""
        net = self.model.net
        self.model.update()
        net.train()
        output = net(batch["pixels"].to(next(net.parameters()).dtype))
        loss, parts = self._loss(output, batch)
        if self._distillation is not None:
            more, told = self._distillation(output, batch["pixels"])
            loss, parts = loss + self._distil * more, {**parts, **told}
        yield loss, parts

    def probe(self, net: Any) -> dict[str, float]:
        """Figures of a network in evaluation mode on training photographs that were held back."""
        from .network import detect

        size, found = max(self.sizes), []
        for photo in self._held:
            image = open_image(photo.file)
            box = Letterbox.of(image, size, 32)
            (one,) = detect(net, torch_pixels(box.apply(image)))
            found.append(replace(one, boxes=box.back(one.boxes)))
        truths = [truth_of(photo, self.classes) for photo in self._held]
        map50, map50_95 = mean_ap(score_kinds(found, truths, self.classes))
        return {"map50": map50, "map50_95": map50_95}

    def _compose(
        self, first: int, size: int, rng: Random, many: bool
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, frozenset[int]]:
        canvas = np.full((size, size, 3), _GREY, np.uint8)
        mates = self._by_set[self.photos[first].set]
        chosen = [first] + [mates[int(rng.random() * len(mates))] for _ in range(3 if many else 0)]
        x, y = (int(size * rng.uniform(0.35, 0.65)) for _ in "xy") if many else (size, size)
        cells = [(0, 0, x, y), (x, 0, size, y), (0, y, x, size), (x, y, size, size)][: len(chosen)]
        corners, kinds = [], []
        told = frozenset(range(self.classes))
        for photo, cell in zip((self.photos[i] for i in chosen), cells, strict=True):
            told &= photo.known
            part, boxes, what = self._vary(photo, cell[2] - cell[0], cell[3] - cell[1], rng)
            canvas[cell[1] : cell[3], cell[0] : cell[2]] = part
            corners.append(boxes + np.array([cell[0], cell[1]] * 2, np.float32))
            kinds.append(what)
        return canvas, np.concatenate(corners), np.concatenate(kinds), told

    def _vary(self, photo: Photo, w: int, h: int, rng: Random) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A photograph cut or padded to w x h pixels at some scale, mirrored or not, tinted, with a thing pasted in."""
        import cv2

        pixels = open_image(photo.file).pixels
        boxes, kinds = photo.boxes.copy(), photo.kinds
        if self._cut and rng.random() < 0.3:
            pixels, boxes, kinds = self._paste(pixels, boxes, kinds, photo.known, rng)
        scale = max(w, h) / max(pixels.shape[:2]) * rng.uniform(0.6, 1.5)
        side = 1.0 if rng.random() < 0.5 else -1.0
        wide = pixels.shape[1] * scale
        left = rng.uniform(min(0.0, w - wide), max(0.0, w - wide))
        tall = pixels.shape[0] * scale
        top = rng.uniform(min(0.0, h - tall), max(0.0, h - tall))
        affine = np.array([[side * scale, 0, left + (wide if side < 0 else 0)], [0, scale, top]], np.float32)
        out = cv2.warpAffine(pixels, affine, (w, h), borderMode=cv2.BORDER_CONSTANT, borderValue=(_GREY,) * 3)
        x = boxes[:, [0, 2]] * side * scale + affine[0, 2]
        y = boxes[:, [1, 3]] * scale + top
        moved = np.stack([x.min(1), y[:, 0], x.max(1), y[:, 1]], 1)
        area = np.prod(np.maximum(moved[:, 2:] - moved[:, :2], 1e-6), 1)
        moved[:, [0, 2]] = moved[:, [0, 2]].clip(0, w)
        moved[:, [1, 3]] = moved[:, [1, 3]].clip(0, h)
        sides = moved[:, 2:] - moved[:, :2]
        keep = (np.prod(sides, 1) > 0.25 * area) & (sides.min(1) >= 3) if len(moved) else np.zeros(0, bool)
        return _tint(out, rng), moved[keep].astype(np.float32), kinds[keep]

    def _paste(
        self, pixels: np.ndarray, boxes: np.ndarray, kinds: np.ndarray, known: frozenset[int], rng: Random
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Lay the cut-out of a thing of another photograph onto this one; things that it mostly covers go."""
        import cv2

        i, j = self._cut[int(rng.random() * len(self._cut))]
        donor = self.photos[i]
        if int(donor.kinds[j]) not in known:
            return pixels, boxes, kinds
        source, outline = open_image(donor.file).pixels, donor.outlines[j]
        assert outline is not None
        x1, y1 = np.maximum(np.floor(outline.min(0)).astype(int), 0)
        x2, y2 = np.minimum(np.ceil(outline.max(0)).astype(int), (source.shape[1], source.shape[0]))
        h, w = pixels.shape[:2]
        if x2 - x1 < 12 or y2 - y1 < 12 or x2 - x1 >= w or y2 - y1 >= h:
            return pixels, boxes, kinds
        mask = np.zeros((y2 - y1, x2 - x1), np.uint8)
        cv2.fillPoly(mask, [np.round(outline - (x1, y1)).astype(np.int32)], 1)
        left, top = int(rng.random() * (w - (x2 - x1))), int(rng.random() * (h - (y2 - y1)))
        pixels = pixels.copy()
        window = pixels[top : top + y2 - y1, left : left + x2 - x1]
        window[mask > 0] = source[y1:y2, x1:x2][mask > 0]
        new = np.array([[left, top, left + x2 - x1, top + y2 - y1]], np.float32)
        shared = np.clip(np.minimum(boxes[:, 2:], new[:, 2:]) - np.maximum(boxes[:, :2], new[:, :2]), 0, None)
        bare = np.prod(shared, 1) < 0.6 * np.prod(boxes[:, 2:] - boxes[:, :2], 1)
        return pixels, np.concatenate([boxes[bare], new]), np.append(kinds[bare], donor.kinds[j])


def _tint(pixels: np.ndarray, rng: Random) -> np.ndarray:
    """Hue, saturation and brightness changed a little, as ultralytics does (.015, .7, .4)."""
    import cv2

    gain = [1 + rng.uniform(-1, 1) * most for most in (0.015, 0.6, 0.4)]
    hsv = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)
    levels = np.arange(256, dtype=np.float32)
    tables = [(levels * gain[0]) % 180, np.clip(levels * gain[1], 0, 255), np.clip(levels * gain[2], 0, 255)]
    planes = [cv2.LUT(hsv[..., k], table.astype(np.uint8)) for k, table in enumerate(tables)]
    return np.asarray(cv2.cvtColor(np.dstack(planes), cv2.COLOR_HSV2RGB))


def _order(seed: int, epoch: int, count: int) -> list[int]:
    """The order of an epoch."""
    order = list(range(count))
    Random(f"order/{seed}/{epoch}").shuffle(order)
    return order


__all__ = ["Photo", "PhotoStage", "class_list", "complete", "read_sets"]
