"""The starter's own eyes as a detector, an open-vocabulary detector and a text reader: for drawn scenes.

Its perception finds every kind of the scenes world with a colour and a size word, and reads the words printed there. The
three adapters share one copy of the weights and look at a picture once.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from ...errors import ModelFileError
from ..asked import Ask, ask_of
from ..values import Image, Region, Regions
from .common import checked, clipped, one_line
from .merging import Candidates, joined, opinion, settle
from .panelwise import frames, part_of, together, worth_a_look
from .reading import reading_order

FINDER = "detector/weights.safetensors"  # in the starter folder: an ultralytics network over the kinds of the scenes world
SIZES = (160, 192)  # pixels of a side that it looks at; it was trained at the first
_TRUST = (
    0.6  # weight of the detector's opinion against the eyes', by mAP50 on 300 scenes of the validation split
)
_MOST = 100  # things of a picture
_KEPT = 64  # pictures whose sightings are kept; a few kilobytes each
_SURE = 0.8  # of every character, for a whole crop to be read as a word
_FLOOR = 0.005  # least score of a sighting
_AT_ONCE = 16  # pictures in one pass


@dataclass(frozen=True)
class Sighting:
    """One thing that was seen: box in the image's own pixels, its likeliest kind, and what it looks like."""

    box: tuple[float, float, float, float]
    kind: str
    score: float  # that there is a thing, times that it is of this kind
    color: str
    size: str
    word: str  # '' where no word is printed on it
    read: float  # confidence of the word's least sure character


@dataclass(frozen=True)
class Finding:
    """A thing's box in 0..1 of the square that perception looks at, its kind and score."""

    place: tuple[float, ...]
    kind: str
    score: float


class Eyes:
    """Perception and word reader of a starter; where its folder holds a detector too, both say where and what things are.

    Colours and sizes are perception's, words the reader's.
    """

    def __init__(self, folder: Path) -> None:
        import torch
        from safetensors import SafetensorError, safe_open

        from ...mllm.starter.config import StarterConfig
        from ...mllm.starter.perception import Perception
        from ...mllm.starter.processor import StarterImageProcessor
        from ...mllm.starter.reader import WordReader

        try:
            self.config = StarterConfig.from_pretrained(folder, local_files_only=True)
            with safe_open(str(folder / "model.safetensors"), "pt") as file:
                weights = {k: file.get_tensor(k).float() for k in file.keys()}  # noqa: SIM118 (not a mapping)
        except (OSError, ValueError, SafetensorError) as error:
            raise ModelFileError(f"{folder}: no starter that can be read ({one_line(error)})") from error
        parts = (("perception.", Perception(self.config)), ("reader.", WordReader(self.config)))
        for prefix, part in parts:
            own = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
            try:
                part.load_state_dict(own)
            except RuntimeError as error:
                raise ModelFileError(
                    f"{folder}: its {prefix[:-1]} does not fit ({one_line(error)})"
                ) from error
            part.eval().to(memory_format=torch.channels_last)
        self._perception: Any = parts[0][1]
        self._reader: Any = parts[1][1]
        self._fit = StarterImageProcessor(self.config.image_size)
        self._lock = threading.Lock()
        self._finders = _finders(folder / FINDER)
        self._seen: OrderedDict[str, list[Sighting]] = OrderedDict()

    def see(self, images: Sequence[Image]) -> list[list[Sighting]]:
        """What is in each picture, best first; equal pictures are looked at once, a picture of panels panel by panel."""
        with self._lock:
            new = {image.hash: image for image in images if image.hash not in self._seen}
            parts = {key: worth_a_look(image) for key, image in new.items()}
            views = list(new.items())
            views += [(key, part_of(image, box)) for key, image in new.items() for box in parts[key]]
            seen: dict[str, list[list[Sighting]]] = {key: [] for key in new}
            for at in range(0, len(views), _AT_ONCE):
                some = views[at : at + _AT_ONCE]
                for (key, _), found in zip(some, self._look([view for _, view in some]), strict=True):
                    seen[key].append(found)
            for key, (whole, *closer) in seen.items():
                self._seen[key] = together(whole, parts[key], closer)
            result = []
            for image in images:
                self._seen.move_to_end(image.hash)
                result.append(self._seen[image.hash])
            while len(self._seen) > _KEPT:
                self._seen.popitem(last=False)
            return result

    def read_whole(self, image: Image) -> tuple[str, float]:
        """The word that fills a crop, with the least probability of its characters."""
        import torch

        with torch.inference_mode():
            side = max(image.size)
            pixels = torch.from_numpy(image.pixels.astype("float32")).permute(2, 0, 1) / 127.5 - 1
            canvas = torch.zeros(3, side, side)
            canvas[:, : image.height, : image.width] = pixels
            place = (0.0, 0.0, image.width / side, image.height / side)
            return self._read(canvas, [place])[0]

    def _look(self, images: Sequence[Image]) -> list[list[Sighting]]:
        import torch

        with torch.inference_mode():
            pixels = self._fit([image.pixels for image in images])["pixel_values"]
            out = self._perception.cells(pixels.contiguous(memory_format=torch.channels_last))
            cells = {k: v.flatten(2).transpose(1, 2).softmax(-1) for k, v in out.items() if k != "sides"}
            boxes = self._perception.boxes(out["sides"])
            found = [self._by_cells(kind, box) for kind, box in zip(cells["kind"], boxes, strict=True)]
            if self._finders:
                ways = zip(*(finder.detect(images) for finder in self._finders), strict=True)
                found = [
                    self._agreed(image, own, [r for way in regions for r in way], kind)
                    for image, own, regions, kind in zip(images, found, ways, cells["kind"], strict=True)
                ]
            return [
                self._sightings(image, pixels[i], {k: v[i] for k, v in cells.items()}, found[i])
                for i, image in enumerate(images)
            ]

    def _by_cells(self, kinds: Any, boxes: Any) -> list[Finding]:
        """What perception itself finds in one picture: kinds [cells, kinds + 1], boxes [cells, 4] in 0..1."""
        likely = (1 - kinds[:, -1] > _THRESHOLD).nonzero().squeeze(1)
        weight, named = 1 - kinds[likely, -1], kinds[likely, :-1]
        voted = self._perception.vote(weight, boxes[likely], named, len(kinds), self.config.max_objects)
        findings = []
        for place, votes in voted:
            chance, kind = (votes @ named).max(0)
            if float(chance) >= _FLOOR:
                findings.append(Finding(tuple(place.tolist()), self.config.kinds[int(kind)], float(chance)))
        return findings

    def _agreed(self, image: Image, own: list[Finding], regions: list[Region], kinds: Any) -> list[Finding]:
        """What the eyes and the detector see in one picture together; kinds [cells, kinds + 1] is what the eyes say where."""
        side, names = float(max(image.size)), self.config.kinds
        mine = Candidates.of([(one.place, names.index(one.kind), one.score) for one in own])
        theirs = Candidates.of(
            [(tuple(v / side for v in image.local(r.box)), names.index(r.label), r.score) for r in regions]
        )
        weights = _cores(theirs.boxes, len(kinds)) * (1.001 - kinds[:, -1])  # [N, cells]
        told = (weights @ kinds / weights.sum(1, keepdim=True)).numpy()
        opinions = told[np.arange(len(theirs.kinds)), theirs.kinds].astype(float)
        rated = replace(theirs, scores=joined(theirs.scores, opinions, _TRUST))
        mine = replace(mine, scores=joined(mine.scores, opinion(theirs, mine), 1 - _TRUST))
        best = settle(rated + mine)
        rows = zip(best.boxes.tolist(), best.kinds.tolist(), best.scores.tolist(), strict=True)
        return [Finding(tuple(place), names[kind], score) for place, kind, score in rows if score >= _FLOOR][
            :_MOST
        ]

    def _sightings(
        self, image: Image, pixels: Any, cells: dict[str, Any], found: list[Finding]
    ) -> list[Sighting]:
        """One picture: pixels [3, S, S], and distributions [cells, C] of its cells over kinds, colours and sizes."""
        c, side = self.config, float(max(image.size))
        printed = [i for i, one in enumerate(found) if one.kind in c.word_kinds]
        texts = dict(zip(printed, self._read(pixels, [found[i].place for i in printed]), strict=True))
        weights = _cores(np.array([one.place for one in found]), len(cells["kind"])) * (
            1.001 - cells["kind"][:, -1]
        )
        colors, sizes = ((weights @ cells[name]).argmax(1).tolist() for name in ("color", "size"))
        sightings = []
        for i, one in enumerate(found):
            x1, y1, x2, y2 = (v * side for v in one.place)
            word, read = texts.get(i, ("", 0.0))
            sightings.append(
                Sighting(
                    (x1, y1, x2, y2), one.kind, one.score, c.colors[colors[i]], c.sizes[sizes[i]], word, read
                )
            )
        return sorted(sightings, key=lambda s: -s.score)

    def _read(self, pixels: Any, places: list[tuple[float, ...]]) -> list[tuple[str, float]]:
        """The words printed in boxes of one picture, with the least probability of their characters."""
        import torch

        from ...mllm.starter.config import CHARSET
        from ...mllm.starter.reader import crop_words

        if not places:
            return []
        crops = crop_words(pixels[None].expand(len(places), -1, -1, -1), torch.tensor(places))
        chances, codes = self._reader(crops).exp().max(-1)  # [steps, N]
        words = []
        for line, sure in zip(codes.T.tolist(), chances.T.tolist(), strict=True):
            letters: list[tuple[int, float]] = []
            before = 0
            for code, chance in zip(line, sure, strict=True):
                if code and code == before:
                    letters[-1] = (code, max(letters[-1][1], chance))
                elif code:
                    letters.append((code, chance))
                before = code
            letters = letters[: self.config.max_word]
            words.append(
                ("".join(CHARSET[k - 1] for k, _ in letters), min((p for _, p in letters), default=0.0))
            )
        return words


_THRESHOLD = 0.5  # of a cell that may speak for a thing
_CORE = 0.6  # part of a box's width and height whose cells tell its colour


def _cores(places: np.ndarray, count: int) -> Any:
    """[N, cells]: 1 for the cells of a square grid whose middle lies in the core of each box in 0..1; at least one cell."""
    import torch

    grid = round(count**0.5)
    x1, y1, x2, y2 = torch.from_numpy(places.reshape(-1, 4)).float().unbind(1)
    middle = (torch.arange(grid) + 0.5) / grid
    near_x = (middle - (x1 + x2)[:, None] / 2).abs() <= ((x2 - x1) * _CORE).clamp_min(1 / grid)[:, None] / 2
    near_y = (middle - (y1 + y2)[:, None] / 2).abs() <= ((y2 - y1) * _CORE).clamp_min(1 / grid)[:, None] / 2
    return (near_y[:, :, None] & near_x[:, None]).flatten(1).float()


def _finders(path: Path) -> list[Any]:
    """The detector beside the starter, at each of `SIZES`; none where there is no file."""
    from .ultralytics_detector import UltralyticsDetector

    if not path.is_file():
        return []
    return [
        UltralyticsDetector(path, "", confidence=0.01, iou=0.6, image_size=size, device="cpu")
        for size in SIZES
    ]


_open: WeakValueDictionary[str, Eyes] = WeakValueDictionary()
_opening = threading.Lock()


def eyes(weights: Path, digest: str) -> Eyes:
    """The eyes of a starter's folder; adapters over one folder share them."""
    key = str(weights.resolve())
    with _opening:
        found = _open.get(key)
        if found is None:
            found = _open[key] = Eyes(weights)
        return found


def _region(one: Sighting, image: Image, label: str, tool: str, weights: str) -> Region | None:
    box = clipped(one.box, image)
    if box is None:
        return None
    return Region(
        box=box, label=label, score=min(one.score, 1.0), text=one.word or None, color=one.color, tool=tool,
        weights=weights, picture=image.picture,
    )  # fmt: skip


class StarterDetector:
    """Every kind of the scenes world; signs and words carry what is printed on them as their text."""

    batch = 32

    def __init__(self, weights: Path, digest: str, confidence: float = 0.12) -> None:
        self._eyes, self._digest = eyes(weights, digest), digest
        self._confidence = checked("confidence", confidence, 0, 1)
        self.vocabulary: tuple[str, ...] = tuple(self._eyes.config.kinds)

    def detect(self, images: Sequence[Image]) -> list[Regions]:
        return self._between(images, self._confidence, float("inf"))

    def glimpse(self, images: Sequence[Image]) -> list[Regions]:
        """What is seen below the score from which a detection stands; the picture is not looked at again."""
        return self._between(images, 0.0, self._confidence)

    def _between(self, images: Sequence[Image], low: float, high: float) -> list[Regions]:
        return [
            Regions(
                region
                for one in seen
                if low <= one.score < high
                and (region := _region(one, image, one.kind, "starter-perception", self._digest))
            )
            for image, seen in zip(images, self._eyes.see(images), strict=True)
        ]


class StarterOpen:
    """Names in words over the same eyes: kinds and what they are kinds of, with colour and size words in front.

    A name that it has no words for gives nothing, and the log says that nothing was looked for: it does not guess.
    """

    batch = 32

    def __init__(self, weights: Path, digest: str, confidence: float = 0.12) -> None:
        self._eyes, self._digest = eyes(weights, digest), digest
        self._confidence = checked("confidence", confidence, 0, 1)
        self.vocabulary: tuple[str, ...] = tuple(self._eyes.config.kinds)
        self._sizes, self._colors = tuple(self._eyes.config.sizes), tuple(self._eyes.config.colors)

    def knows(self, name: str) -> bool:
        """Whether finding nothing under this name says something."""
        return self._ask(name) is not None

    def detect(self, images: Sequence[Image], labels: Sequence[Sequence[str]]) -> list[Regions]:
        results = []
        for image, seen, names in zip(images, self._eyes.see(images), labels, strict=True):
            framed = frames(image, names)
            names = [name for name in names if name not in framed]
            asks = {name: ask for name in dict.fromkeys(names) if (ask := self._ask(name)) is not None}
            unknown = [name for name in dict.fromkeys(names) if name.strip() and name not in asks]
            if unknown:
                logging.getLogger("sightline").warning(
                    "starter-open: not sure about %s: outside the %d kinds of the scenes world; not looked for",
                    ", ".join(map(repr, unknown)), len(self.vocabulary),
                )  # fmt: skip
            found = [
                Region(box=box, label=name, tool="starter-open", weights=self._digest, picture=image.picture)
                for name, boxes in framed.items()
                for box in boxes
            ]
            for one in seen:
                name = next((n for n, ask in asks.items() if ask.fits(one.kind, one.color, one.size)), None)
                if name is not None and one.score >= self._confidence:
                    region = _region(one, image, name, "starter-open", self._digest)
                    found += [region] if region else []
            results.append(Regions(found))
        return results

    def _ask(self, name: str) -> Ask | None:
        return ask_of(name, self.vocabulary, self._colors, self._sizes)


class StarterReader:
    """The words printed in scenes: short, Latin letters and digits, one region a word."""

    batch = 32

    def __init__(self, weights: Path, digest: str, confidence: float = 0.12, legible: float = 0.3) -> None:
        """`confidence`: floor of a sign's or word's detection; `legible`: of its least sure character."""
        self._eyes, self._digest = eyes(weights, digest), digest
        self._confidence = checked("confidence", confidence, 0, 1)
        self._legible = checked("legible", legible, 0, 1)

    def read(self, images: Sequence[Image]) -> list[Regions]:
        results = []
        for image, seen in zip(images, self._eyes.see(images), strict=True):
            words = []
            if image.picture != image.hash:
                seen = self._whole(image) or seen
            for one in seen:
                if one.word and one.score >= self._confidence and one.read >= self._legible:
                    region = _region(one, image, "text", "starter-reader", self._digest)
                    words += [region] if region else []
            results.append(reading_order(words))
        return results

    def _whole(self, image: Image) -> list[Sighting]:
        """A crop is mostly that of a word: read as one where every character is sure, else looked at as a picture.

        On 126 crops of words and 120 of other things, 96% were read right, and 11% of the others as some word.
        """
        word, sure = self._eyes.read_whole(image)
        extent = (0.0, 0.0, float(image.width), float(image.height))
        return [Sighting(extent, "word", sure, "", "", word, sure)] if word and sure >= _SURE else []
