"""Fake back ends for the ops' tests: they know what stands in synthetic pictures and count their calls."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from sightline.errors import RoleError
from sightline.tools.declaration import Tool
from sightline.tools.registry import default_registry
from sightline.tools.values import Image, Mask, Region, Regions

TOOLS = default_registry()


def call(name: str, models: Any = None, **given: Any) -> Any:
    """One call of a tool with its defaults filled in; an error is raised."""
    (result,) = batch(name, [given], models)
    if isinstance(result, Exception):
        raise result
    return result


def batch(name: str, calls: list[dict[str, Any]], models: Any = None) -> list[Any]:
    """A batch of calls, errors as items."""
    item: Tool = TOOLS[name]
    complete = [{a.name: given.get(a.name, a.default) for a in item.arguments} for given in calls]
    return item.run(complete, models)


def blank(width: int = 100, height: int = 80, color: tuple[int, int, int] = (200, 200, 200)) -> Image:
    return Image.from_array(np.full((height, width, 3), color, np.uint8))


def noise(width: int = 100, height: int = 80, seed: int = 0) -> Image:
    return Image.from_array(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def region(image: Image | None, box: tuple[float, ...], label: str = "thing", **fields: Any) -> Region:
    x1, y1, x2, y2 = (float(v) for v in box)
    return Region(box=(x1, y1, x2, y2), label=label, picture=image.picture if image else "", **fields)


def disc(image: Image, x: int, y: int, radius: int, label: str = "thing", **fields: Any) -> Region:
    """A region with a round mask, in the original's pixels."""
    rows, columns = np.mgrid[: image.height, : image.width]
    mask = Mask.from_array((columns - x) ** 2 + (rows - y) ** 2 <= radius**2, image.offset)
    return region(image, mask.box, label, mask=mask, **fields)


class FakeModels:
    """Roles filled by keyword; the rest fail as a pack's open roles do."""

    def __init__(self, **roles: Any) -> None:
        self.roles = roles

    def get(self, role: str, op: str = "") -> Any:
        if role not in self.roles:
            raise RoleError(f"{op} needs role {role}, and pack test has none: fill it")
        return self.roles[role]

    def has(self, role: str) -> bool:
        return role in self.roles

    def weights(self, role: str, op: str = "") -> str:
        self.get(role, op)
        return f"weights-of-{role}"


class FakeDetector:
    """Finds what it is told stands in the original, cut to the part of it that it is shown."""

    vocabulary = ("person", "dog", "cat", "bus", "bicycle")

    def __init__(self, things: list[Region]) -> None:
        self.things = things
        self.passes: list[int] = []

    def detect(self, images: Any) -> list[Regions]:
        self.passes.append(len(images))
        found = []
        for image in images:
            x1, y1, x2, y2 = image.extent
            inside = [t for t in self.things if x1 <= t.center[0] < x2 and y1 <= t.center[1] < y2]
            found.append(Regions(replace(t, tool="", picture="", weights="det-1") for t in inside))
        return found


class FakeOpenDetector:
    """Finds one thing a label, as wide as the label is long."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []

    def detect(self, images: Any, labels: Any) -> list[Regions]:
        self.asked += [tuple(names) for names in labels]
        return [
            Regions(
                Region(box=i.outward((0, 0, len(n), 5)), label=n, score=0.4, weights="open-1") for n in names
            )
            for i, names in zip(images, labels, strict=True)
        ]


class FakeSegmenter:
    """Fills the prompt's box, or a disc of 5 pixels about the first point, or gives nothing at (0, 0)."""

    def __init__(self) -> None:
        self.prompts: list[Any] = []

    def segment(self, images: Any, prompts: Any) -> list[Regions]:
        self.prompts += list(prompts)
        return [self._one(image, prompt) for image, prompt in zip(images, prompts, strict=True)]

    def _one(self, image: Image, prompt: Any) -> Regions:
        if prompt.points and prompt.points[0][:2] == (0.0, 0.0):
            return Regions()
        if prompt.box is not None:
            filled = Region(box=prompt.box).mask_on(image)
            mask = Mask.from_array(filled, image.offset)
        else:
            mask = disc(image, int(prompt.points[0][0]), int(prompt.points[0][1]), 5).mask
        return Regions([Region(box=mask.box, score=0.8, mask=mask, weights="seg-1")])


class FakeReader:
    """Reads 'W x H' of whatever it is shown, in a line across it."""

    def __init__(self) -> None:
        self.passes: list[int] = []

    def read(self, images: Any) -> list[Regions]:
        self.passes.append(len(images))
        return [
            Regions([Region(box=i.extent, text=f"{i.width}x{i.height}", score=0.9, weights="ocr-1")])
            for i in images
        ]


class FakeClassifier:
    """Sure of 'bright' or 'dark' by mean brightness; of any other label not at all."""

    def __init__(self) -> None:
        self.passes: list[int] = []

    def classify(self, images: Any, labels: Any) -> list[list[float]]:
        self.passes.append(len(images))
        rows = []
        for image, names in zip(images, labels, strict=True):
            light = float(image.pixels.mean()) / 255
            rows.append([{"bright": light, "dark": 1 - light}.get(name, 0.01) for name in names])
        return rows


class FakeFaces:
    def detect_faces(self, images: Any) -> list[Regions]:
        return [
            Regions([Region(box=i.outward((10, 10, 30, 30)), score=0.7, weights="face-1")]) for i in images
        ]


class FakeDepth:
    """Depth grows from left to right."""

    def depth(self, images: Any) -> list[np.ndarray]:
        return [np.tile(np.linspace(0, 1, i.width, dtype=np.float32), (i.height, 1)) for i in images]


class FakeInpainter:
    """Paints everything green, inside the mask and out."""

    def inpaint(self, images: Any, masks: Any, prompts: Any) -> list[Image]:
        return [i.with_pixels(np.full((i.height, i.width, 3), (0, 255, 0), np.uint8)) for i in images]


class FakeMLLM:
    def __init__(self) -> None:
        self.passes: list[int] = []

    def answer(self, images: Any, questions: Any) -> list[str]:
        self.passes.append(len(images))
        return [f"{q} {i.width}" for i, q in zip(images, questions, strict=True)]

    def caption(self, images: Any) -> list[str]:
        return [f"a picture {i.width} wide" for i in images]


class FakeChat:
    """Replies from a list, and keeps the prompts."""

    def __init__(self, *replies: str) -> None:
        self.replies = list(replies)
        self.prompts: list[str] = []

    def complete(self, prompts: Any) -> list[str]:
        self.prompts += list(prompts)
        return [self.replies.pop(0) for _ in prompts]
