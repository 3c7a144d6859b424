"""Oracle tools: every model role filled from the ground truth of a scene, so that a plan alone decides the result.

What a scene does not say (an open question's answer, what a language model knows) is a fixed function of the words asked
and of the things in view: two programs that ask the same of the same part of a picture hear the same answer.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import numpy as np

from ..mllm.scenes.schema import Scene, SceneObject
from ..mllm.scenes.vocabulary import COLORS, KINDS, SIZES, hypernyms
from ..tools.models import Models
from ..tools.names import match
from ..tools.pack import Pack
from ..tools.roles import Prompt
from ..tools.values import Box, Image, Mask, Region, Regions

_ANSWERS = ("yes", "no", "one", "two", "on the table", "outdoors", "a person", "running", "wood", "in the morning",
            "green", "nothing", "summer", "old", "a ball", "smiling")  # fmt: skip
_KNOWN = tuple(
    "alpha bravo charlie delta echo foxtrot golf hotel india juliet kilo lima mike november".split()
)
_ANYTHING = ("thing", "object", "item")
_STOP = frozenset(
    "a an the is are was were do does did please in of on at this that it there picture image photo".split()
)


def number_of(*parts: str) -> int:
    """A fixed number for some texts, the same on every machine."""
    return int.from_bytes(hashlib.blake2b("\x1f".join(parts).encode(), digest_size=8).digest(), "big")


def normalise(text: str) -> str:
    """The words that carry a question's meaning: lower case, sorted, without articles and politeness."""
    tokens = re.findall(r"[a-z0-9]+|[一-鿿]", text.lower())
    return " ".join(sorted(t for t in tokens if t not in _STOP))


class Stage:
    """The scenes in play, found again from any picture, crop or edit of one by the hash of its original."""

    def __init__(self) -> None:
        self._scenes: dict[str, Scene] = {}

    def add(self, scene: Scene, image: Image) -> None:
        """Say that `image` shows `scene` (boxes in its pixels)."""
        self._scenes[image.picture] = scene

    def scene(self, image: Image) -> Scene:
        """The scene of a picture; KeyError for a picture that was never added."""
        return self._scenes[image.picture]

    def visible(self, image: Image) -> list[tuple[int, SceneObject]]:
        """(number, object) of everything whose centre lies in the picture or crop."""
        x1, y1, x2, y2 = image.extent
        shown = []
        for number, item in enumerate(self.scene(image).objects):
            x, y = (item.box[0] + item.box[2]) / 2, (item.box[1] + item.box[3]) / 2
            if x1 <= x <= x2 and y1 <= y <= y2:
                shown.append((number, item))
        return shown

    def clear(self) -> None:
        self._scenes.clear()


def face_box(scene: Scene, number: int) -> Box | None:
    """Where the oracle sees a face on an object: people have one, and every second other thing (so that any may be asked)."""
    item = scene.objects[number]
    if item.kind != "person" and number_of("face", str(scene.seed), str(number)) % 2:
        return None
    x1, y1, x2, y2 = item.box
    width, height = x2 - x1, y2 - y1
    return (x1 + 0.3 * width, y1 + 0.1 * height, x1 + 0.7 * width, y1 + 0.5 * height)


def is_called(item: SceneObject, name: str) -> bool:
    """Whether a name fits an object: its kind, a plural, synonym or wider class of it, perhaps with its colour before."""
    name = " ".join(name.lower().split()).removeprefix("the ")
    color, _, rest = name.partition(" ")
    color = {"grey": "gray"}.get(color, color)
    if rest and item.kind.lower() != name:
        if color in COLORS:
            return item.color == color and is_called(item, rest)
        if color in SIZES:
            return item.size == color and is_called(item, rest)
    if name.removesuffix("s") in _ANYTHING:
        return True
    kind = item.kind.lower()
    names = {kind, item.category, *(hypernyms(item.kind) if item.kind in KINDS else ())}
    if name in names or any(_plural(n) == name for n in names):
        return True
    return bool(match(name, [item.kind]))


def _plural(name: str) -> str:
    from .planner_data.lexicon import english_plural  # the one place that knows irregular plurals of any noun

    return english_plural(name)


class _Oracle:
    def __init__(self, stage: Stage) -> None:
        self.stage = stage


def _region(item: SceneObject, label: str, number: int) -> Region:
    score = round(
        0.99 - 0.005 * (number % 80), 4
    )  # distinct, so that "best first" is the same order everywhere
    return Region(box=item.box, label=label, score=score)


class OracleDetector(_Oracle):
    """Closed vocabulary: sees every object. The vocabulary is empty, so that names go to the open-vocabulary oracle."""

    vocabulary: tuple[str, ...] = ()

    def detect(self, images: Sequence[Image]) -> list[Regions]:
        return [Regions(_region(o, o.kind, n) for n, o in self.stage.visible(image)) for image in images]


class OracleOpenVocabulary(_Oracle):
    """Finds what a name fits; a label is the name asked."""

    def detect(self, images: Sequence[Image], labels: Sequence[Sequence[str]]) -> list[Regions]:
        found = []
        for image, names in zip(images, labels, strict=True):
            seen = self.stage.visible(image)
            found.append(
                Regions(_region(o, name, n) for name in names for n, o in seen if is_called(o, name))
            )
        return found


class OracleSegmenter(_Oracle):
    """The object under a click, or the one that a box fits best; the whole box as mask."""

    def segment(self, images: Sequence[Image], prompts: Sequence[Prompt]) -> list[Regions]:
        return [Regions([self._one(i, p)]) for i, p in zip(images, prompts, strict=True)]

    def _one(self, image: Image, prompt: Prompt) -> Region:
        boxes = [item.box for _, item in self.stage.visible(image)]
        chosen: Box | None = None
        for x, y, positive in prompt.points:
            under = [b for b in boxes if b[0] <= x < b[2] and b[1] <= y < b[3]]
            if positive and under:
                chosen = min(under, key=lambda b: (b[2] - b[0]) * (b[3] - b[1]))
        box = prompt.box or (prompt.mask.box if prompt.mask is not None else None)
        if chosen is None and box is not None:
            best = max(boxes, key=lambda b: _overlap(b, box), default=None)
            chosen = best if best is not None and _overlap(best, box) >= 0.5 else box
        if chosen is None:
            x, y, _ = prompt.points[0]
            chosen = (x - 4, y - 4, x + 4, y + 4)
        x1, y1, x2, y2 = image.clip_pixels(chosen)
        return Region(
            box=(x1, y1, x2, y2), mask=Mask.from_array(np.ones((y2 - y1, x2 - x1), dtype=bool), (x1, y1))
        )


def _overlap(a: Box, b: Box) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


class OracleReader(_Oracle):
    """Reads the words that the scene's objects carry, from top to bottom."""

    def read(self, images: Sequence[Image]) -> list[Regions]:
        pages = []
        for image in images:
            worded = [(n, o) for n, o in self.stage.visible(image) if o.word]
            worded.sort(key=lambda pair: (pair[1].box[1], pair[1].box[0]))
            pages.append(Regions(Region(box=o.box, text=o.word, score=0.99) for _, o in worded))
        return pages


class OracleFaces(_Oracle):
    def detect_faces(self, images: Sequence[Image]) -> list[Regions]:
        found = []
        for image in images:
            scene = self.stage.scene(image)
            boxes = [face_box(scene, number) for number, _ in self.stage.visible(image)]
            found.append(
                Regions(Region(box=box, label="face", score=0.98) for box in boxes if box is not None)
            )
        return found


class OracleClassifier(_Oracle):
    """Certain where a label names the thing in the crop's middle; else a fixed choice by label and thing."""

    def classify(self, images: Sequence[Image], labels: Sequence[Sequence[str]]) -> list[list[float]]:
        return [self._scores(image, names) for image, names in zip(images, labels, strict=True)]

    def _scores(self, image: Image, names: Sequence[str]) -> list[float]:
        objects = self.stage.scene(image).objects
        number = max(range(len(objects)), key=lambda n: _overlap(objects[n].box, image.extent), default=None)
        if number is None:
            return [0.0] * len(names)
        hits = [n for n, name in enumerate(names) if is_called(objects[number], name)]
        chosen = hits[0] if hits else max(
            range(len(names)), key=lambda n: number_of("class", str(number), normalise(names[n]))
        )  # fmt: skip
        return [0.9 if n == chosen else 0.05 / len(names) for n in range(len(names))]


class OracleDepth(_Oracle):
    """Every object at a fixed depth of its own, the background farthest."""

    def depth(self, images: Sequence[Image]) -> list[np.ndarray]:
        maps = []
        for image in images:
            scene = self.stage.scene(image)
            full = np.ones((image.height, image.width), dtype=np.float32)
            for number, item in enumerate(scene.objects):
                x1, y1, x2, y2 = (round(v) for v in image.local(item.box))
                near = (number_of("depth", str(scene.seed), str(number)) % 900) / 1000
                full[max(y1, 0) : max(y2, 0), max(x1, 0) : max(x2, 0)] = near
            maps.append(full)
        return maps


class OracleInpainter(_Oracle):
    """Fills the mask with a colour that stands for the prompt."""

    def inpaint(
        self, images: Sequence[Image], masks: Sequence[np.ndarray], prompts: Sequence[str]
    ) -> list[Image]:
        made = []
        for image, mask, prompt in zip(images, masks, prompts, strict=True):
            number = number_of("paint", normalise(prompt))
            pixels = image.pixels.copy()
            pixels[mask] = (number & 255, (number >> 8) & 255, (number >> 16) & 255)
            made.append(image.with_pixels(pixels))
        return made


class OracleMLLM(_Oracle):
    """Answers by a fixed function of the question's words and the things in view."""

    def answer(self, images: Sequence[Image], questions: Sequence[str]) -> list[str]:
        return [
            _ANSWERS[number_of("vqa", normalise(question), self._view(image)) % len(_ANSWERS)]
            for image, question in zip(images, questions, strict=True)
        ]

    def caption(self, images: Sequence[Image]) -> list[str]:
        return [f"A picture of {self._view(image) or 'nothing'}." for image in images]

    def _view(self, image: Image) -> str:
        return ", ".join(f"{o.color} {o.kind} {n}" for n, o in self.stage.visible(image))


class OracleController:
    """Knows a fixed list of names, or one name, for every prompt."""

    def complete(self, prompts: Sequence[str]) -> list[str]:
        replies = []
        for prompt in prompts:
            start = number_of("know", normalise(prompt))
            replies.append(", ".join(_KNOWN[(start >> (4 * i)) % len(_KNOWN)] for i in range(5)))
        return replies


def oracle_models(stage: Stage) -> Models:
    """Models whose every role is an oracle over the scenes of `stage`."""
    models = Models(Pack("oracle", "ground truth of procedural scenes", {}, {}))
    for role, filler in {
        "detector": OracleDetector(stage),
        "open_vocabulary": OracleOpenVocabulary(stage),
        "segmenter": OracleSegmenter(stage),
        "ocr": OracleReader(stage),
        "classifier": OracleClassifier(stage),
        "face_detector": OracleFaces(stage),
        "depth": OracleDepth(stage),
        "inpainter": OracleInpainter(stage),
        "mllm": OracleMLLM(stage),
        "controller": OracleController(),
    }.items():
        models.bind(role, filler)
    return models
