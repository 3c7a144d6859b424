"""What the segmenter learns from: scenes drawn on the spot, photographs with outlines, and things pasted on photographs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError
from ..scenes.backgrounds import PhotoPool
from ..scenes.render import render
from ..scenes.world import SceneConfig, make_scene, split_seed

Outline = list[np.ndarray]  # closed polygons [N, 2] float64, in pixels of the picture
LEAST = 12  # cells of the target grid below which a thing is not asked for
_SUBPIXEL = 4  # bits of a polygon's corners after the point


@dataclass(frozen=True)
class Sample:
    """A picture in the network's square, and what may be asked for in it."""

    picture: np.ndarray  # [S, S, 3] uint8; below and right of `seen` it is padding
    masks: np.ndarray  # [N, S/2, S/2] bool
    seen: tuple[int, int]  # (height, width) of the part that is picture


@dataclass(frozen=True)
class Photograph:
    """A training photograph: its JPEG bytes, decoded when it is shown, and the outlines of things in it."""

    data: bytes
    outlines: tuple[Outline, ...]


def decode(data: bytes) -> np.ndarray:
    """[H, W, 3] uint8 RGB of an image file's bytes."""
    import cv2

    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        raise InputError("a training photograph is not a picture that OpenCV reads")
    return np.ascontiguousarray(pixels[..., ::-1])


def read_photographs(folder: str | Path, extra: dict[str, list[Any]] | None = None) -> list[Photograph]:
    """The photographs below `folder` that have outlines: COCO-form `annotations.json` files, polygons only.

    `extra` gives outlines for pictures by "set/file" (see `teacher`); they are added where a picture has none of its own.
    """
    root = Path(folder)
    files = sorted(root.glob("*/annotations.json"))
    if not files:
        raise InputError(f"photographs: no */annotations.json below {root}")
    found = []
    for file in files:
        data = json.loads(file.read_text(encoding="utf-8"))
        outlines: dict[int, list[Outline]] = {}
        for note in data["annotations"]:
            shapes = note.get("segmentation")
            if isinstance(shapes, list) and shapes and not note.get("iscrowd"):
                polygons = [np.array(s, np.float64).reshape(-1, 2) for s in shapes if len(s) >= 6]
                if polygons:
                    outlines.setdefault(note["image_id"], []).append(polygons)
        for row in data["images"]:
            own = outlines.get(row["id"], [])
            if not own and extra:
                shapes = extra.get(f"{file.parent.name}/{row['file_name']}", [])
                own = [[np.array(p, np.float64).reshape(-1, 2) for p in thing] for thing in shapes]
            path = file.parent / row["file_name"]
            if own and path.is_file():
                found.append(Photograph(path.read_bytes(), tuple(own)))
    return found


def fit(width: int, height: int, side: int) -> tuple[int, int]:
    """(width, height) of a picture fitted into a square, as SAM's ResizeLongestSide rounds it."""
    scale = side / max(width, height)
    return int(width * scale + 0.5), int(height * scale + 0.5)


def square(pixels: np.ndarray, side: int) -> tuple[np.ndarray, tuple[int, int]]:
    """[H, W, 3] -> [S, S, 3] with the picture at the top left, and the (height, width) it takes there."""
    import cv2

    h, w = pixels.shape[:2]
    size = fit(w, h, side)
    method = cv2.INTER_AREA if max(w, h) > side else cv2.INTER_LINEAR
    out = np.zeros((side, side, 3), np.uint8)
    out[: size[1], : size[0]] = cv2.resize(pixels, size, interpolation=method)
    return out, (size[1], size[0])


def halve(mask: np.ndarray) -> np.ndarray:
    """[S, S] 0 or 1 -> [S/2, S/2] bool: cells that are covered by half or more."""
    s = mask.shape[0] // 2
    return np.asarray(mask.reshape(s, 2, s, 2).sum((1, 3), dtype=np.uint16) >= 2)


class Window:
    """A part of a picture, fitted into the square, perhaps mirrored; it carries outlines and masks along."""

    def __init__(self, box: tuple[int, int, int, int], side: int, flip: bool = False) -> None:
        self.box, self.side, self.flip = box, side, flip
        x1, y1, x2, y2 = box
        self.size = fit(x2 - x1, y2 - y1, side)
        self.scale = (self.size[0] / (x2 - x1), self.size[1] / (y2 - y1))

    def picture(self, pixels: np.ndarray) -> np.ndarray:
        x1, y1, x2, y2 = self.box
        part = pixels[y1:y2, x1:x2]
        return square(part[:, ::-1] if self.flip else part, self.side)[0]

    def outline(self, polygons: Outline) -> np.ndarray:
        """The filled outline [S, S] uint8, drawn twice as large: `fillPoly` fills every pixel that it touches."""
        import cv2

        out = np.zeros((2 * self.side, 2 * self.side), np.uint8)
        for polygon in polygons:
            points = (polygon - self.box[:2]) * self.scale
            if self.flip:
                points[:, 0] = self.size[0] - points[:, 0]
            cv2.fillPoly(
                out, [np.rint((2 * points - 0.5) * 2**_SUBPIXEL).astype(np.int32)], 1, shift=_SUBPIXEL
            )
        small = out[::2, ::2] + out[1::2, ::2] + out[::2, 1::2] + out[1::2, 1::2] > 2
        small[self.size[1] :], small[:, self.size[0] :] = False, False
        return small.astype(np.uint8)

    def mask(self, mask: np.ndarray) -> np.ndarray:
        """A mask [H, W] bool of the whole picture -> [S, S] uint8."""
        import cv2

        x1, y1, x2, y2 = self.box
        part = mask[y1:y2, x1:x2].astype(np.uint8) * 255
        if self.flip:
            part = part[:, ::-1]
        out = np.zeros((self.side, self.side), np.uint8)
        out[: self.size[1], : self.size[0]] = (
            cv2.resize(part, self.size, interpolation=cv2.INTER_LINEAR) > 127
        )
        return out


def around(
    box: Sequence[float], width: int, height: int, rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """A random window about a thing: 1.3 to 5 times its longer side, off centre, cut to the picture."""
    x1, y1, x2, y2 = box
    long = max(x2 - x1, y2 - y1, 6.0)
    reach = long * np.exp(rng.uniform(np.log(1.3), np.log(5.0))) / 2
    slack = max(reach - long / 2, 0) * 0.8
    cx, cy = (x1 + x2) / 2 + rng.uniform(-slack, slack), (y1 + y2) / 2 + rng.uniform(-slack, slack)
    left, top = int(max(cx - reach, 0)), int(max(cy - reach, 0))
    right, bottom = int(min(cx + reach + 1, width)), int(min(cy + reach + 1, height))
    return left, top, max(right, left + 4), max(bottom, top + 4)


def tint(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Random brightness, contrast and colour cast; now and then grey or a little blurred."""
    import cv2

    gain = rng.uniform(0.75, 1.25) * rng.uniform(0.9, 1.1, 3)
    levels = np.arange(256, dtype=np.float64)[:, None]
    middle = 127 + rng.uniform(-25, 25)
    table = np.clip((levels - 127) * gain + middle, 0, 255).astype(np.uint8)  # [256, 3]
    out = np.asarray(cv2.LUT(picture, table[None]))
    if rng.random() < 0.06:
        out = np.repeat(out.mean(-1, keepdims=True).astype(np.uint8), 3, -1)
    if rng.random() < 0.1:
        out = np.asarray(cv2.GaussianBlur(out, (0, 0), rng.uniform(0.4, 1.2)))
    return out


class Pictures:
    """Samples as a pure function of a random generator: `draw(rng, number, side)`."""

    def __init__(
        self,
        seed: int,
        photographs: Sequence[Photograph] = (),
        scenes: float = 0.4,
        whole: float = 0.45,
        paste: float = 0.3,
    ) -> None:
        """`scenes` is the share of drawn pictures, `whole` that of uncropped ones, `paste` that of photographs that get
        a thing of another photograph."""
        self.seed, self.photographs = seed, photographs
        self.scenes = scenes if photographs else 1.0
        self.whole, self.paste = whole, paste
        # A picture of many things teaches more than one of a single thing, but not as many times more.
        share = np.sqrt([len(p.outlines) for p in photographs]) if photographs else np.ones(1)
        self.until = np.cumsum(share / share.sum())

    def draw(self, rng: np.random.Generator, number: int, side: int) -> Sample:
        """One sample in a square of `side` pixels; `number` is the scene's place in the training stream."""
        for attempt in range(20):
            made = (
                self._scene(rng, number + attempt * 7_000_003, side)
                if rng.random() < self.scenes
                else self._photograph(rng, side)
            )
            if made is not None:
                return made
        raise InputError("no picture with a thing large enough in 20 tries; are the outlines right?")

    def _scene(self, rng: np.random.Generator, number: int, side: int) -> Sample | None:
        roll = rng.random()
        width = 128 if roll < 0.7 else int(rng.integers(96, 257))
        backs = SceneConfig().backgrounds
        pool = None
        if self.photographs and rng.random() < 0.35:
            behind = self.photographs[int(rng.integers(len(self.photographs)))]
            pool, backs = PhotoPool([decode(behind.data)]), (("photo", 1.0),)
        config = SceneConfig(width=width, height=width, min_objects=1, backgrounds=backs)
        drawn = render(make_scene(split_seed("train", self.seed, number % (1 << 28)), config), pool)
        kept = [i for i, o in enumerate(drawn.scene.objects) if o.visible > 0.15]
        boxes = [drawn.scene.objects[i].box for i in kept]
        window = self._window(boxes, width, width, side, rng)
        if window is None:
            return None
        return self._sample(window, drawn.image, [window.mask(drawn.masks[i]) for i in kept])

    def _photograph(self, rng: np.random.Generator, side: int) -> Sample | None:
        taken = self.photographs[
            min(int(np.searchsorted(self.until, rng.random())), len(self.photographs) - 1)
        ]
        pixels = decode(taken.data)
        h, w = pixels.shape[:2]
        boxes = [_extent(outline) for outline in taken.outlines]
        window = self._window(boxes, w, h, side, rng)
        if window is None:
            return None
        picture = window.picture(pixels)
        masks = [window.outline(outline) for outline in taken.outlines]
        if rng.random() < self.paste:
            picture, masks = self._pasted(picture, masks, window, rng)
        return self._sample(window, tint(picture, rng), masks, ready=True)

    def _window(
        self, boxes: Sequence[Sequence[float]], width: int, height: int, side: int, rng: np.random.Generator
    ) -> Window | None:
        if not boxes:
            return None
        if rng.random() < self.whole:
            box = (0, 0, width, height)
        else:
            box = around(boxes[int(rng.integers(len(boxes)))], width, height, rng)
        return Window(box, side, flip=bool(rng.random() < 0.5))

    def _pasted(
        self, picture: np.ndarray, masks: list[np.ndarray], window: Window, rng: np.random.Generator
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        """The picture with a thing of another photograph on it, which hides what is below (Ghiasi et al. 2021,
        arXiv:2012.07177)."""
        import cv2

        other = self.photographs[int(rng.integers(len(self.photographs)))]
        outline = other.outlines[int(rng.integers(len(other.outlines)))]
        x1, y1, x2, y2 = _extent(outline)
        pixels = decode(other.data)
        h, w = pixels.shape[:2]
        box = (max(int(x1), 0), max(int(y1), 0), min(int(x2) + 1, w), min(int(y2) + 1, h))
        if min(box[2] - box[0], box[3] - box[1]) < 12:
            return picture, masks
        size = int(window.side * rng.uniform(0.15, 0.6))
        piece = Window(box, size, flip=bool(rng.random() < 0.5))
        shape = piece.outline(outline)
        left = int(rng.integers(-size // 4, max(window.size[0] - size // 2, 1)))
        top = int(rng.integers(-size // 4, max(window.size[1] - size // 2, 1)))
        move = np.array([[1, 0, left], [0, 1, top]], np.float64)
        target = (window.side, window.side)
        thing = cv2.warpAffine(piece.picture(pixels), move, target, flags=cv2.INTER_NEAREST)
        cover = cv2.warpAffine(shape, move, target, flags=cv2.INTER_NEAREST)
        cover[window.size[1] :], cover[:, window.size[0] :] = 0, 0
        soft = cv2.GaussianBlur(cover.astype(np.float32), (0, 0), 0.8)[..., None]
        mixed = (picture + (thing.astype(np.float32) - picture) * soft).astype(np.uint8)
        return mixed, [*(m * (1 - cover) for m in masks), cover]

    def _sample(
        self, window: Window, pixels: np.ndarray, masks: list[np.ndarray], ready: bool = False
    ) -> Sample | None:
        small = [halve(m) for m in masks]
        kept = [m for m in small if m.sum() >= LEAST]
        if not kept:
            return None
        picture = pixels if ready else window.picture(pixels)
        return Sample(picture, np.stack(kept), (window.size[1], window.size[0]))


def _extent(outline: Outline) -> tuple[float, float, float, float]:
    points = np.concatenate(outline)
    x1, y1 = points.min(0)
    x2, y2 = points.max(0)
    return float(x1), float(y1), float(x2), float(y2)
