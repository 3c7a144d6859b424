"""Detections that were recorded elsewhere, played back by the picture's file name: names only, each over the whole picture.

For measuring what rests on detections (verification, above all) where the pictures themselves are not at hand. The file has
a JSON object a line: {"image": file name, KEY: [names]} with a list of names for each detector that was recorded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...errors import ModelFileError, ToolError
from ..names import COCO_CLASSES, canonical, matched
from ..values import Image, Region, Regions
from .common import checked

_EXACT, _TAIL, _WIDER = (
    1.0,
    0.9,
    0.5,
)  # of the score: the same or a kind of it, a compound with it, a wider class


def read_recorded(path: Path, key: str) -> dict[str, list[str]]:
    """Names by picture; ModelFileError where the file is none of these."""
    found: dict[str, list[str]] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ModelFileError(f"{path} cannot be read as recorded detections: {error}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row: Mapping[str, Any] = json.loads(line)
            names = row[key]
            if not isinstance(names, list):
                raise TypeError(f"{key} is no list")
            found[Path(str(row["image"])).name] = [str(name) for name in names]
        except (ValueError, KeyError, TypeError) as error:
            raise ModelFileError(
                f"{path}, line {number}: no recorded picture with 'image' and a list under {key!r} ({error})"
            ) from error
    return found


class _Recorded:
    batch = 64

    def __init__(self, weights: Path, digest: str, key: str, score: float) -> None:
        self._names, self._digest, self._key = read_recorded(weights, key), digest, key
        self._score = checked("score", score, 0, 1)

    def _of(self, image: Image) -> list[str]:
        name = Path(image.source or "").name
        if name not in self._names:
            raise ToolError(
                f"nothing is recorded for {name or 'a picture without a file name'} under {self._key!r}"
            )
        return self._names[name]

    def _region(self, image: Image, label: str, share: float = 1.0) -> Region:
        return Region(box=image.extent, label=label, score=self._score * share, tool=f"recorded {self._key}",
                      weights=self._digest, picture=image.picture)  # fmt: skip


class RecordedDetector(_Recorded):
    """A closed-vocabulary detector's names (COCO's 80 classes), as often as it gave them."""

    def __init__(self, weights: Path, digest: str, key: str = "detr", score: float = 0.95) -> None:
        super().__init__(weights, digest, key, score)
        self.vocabulary: tuple[str, ...] = COCO_CLASSES

    def detect(self, images: Sequence[Image]) -> list[Regions]:
        return [Regions(self._region(image, name) for name in self._of(image)) for image in images]


class RecordedTags(_Recorded):
    """A tagger's names, asked by name: found where a tag means the name, is a kind of it, or ends with it.

    A tag of a wider class ("table" for "dining table") is found with half of the score.
    """

    def __init__(self, weights: Path, digest: str, key: str = "ram", score: float = 0.9) -> None:
        super().__init__(weights, digest, key, score)

    def detect(self, images: Sequence[Image], labels: Sequence[Sequence[str]]) -> list[Regions]:
        found = []
        for image, names in zip(images, labels, strict=True):
            tags = tuple(dict.fromkeys(tag.lower() for tag in self._of(image)))
            scores = {name: share_of(name, tags) for name in dict.fromkeys(names)}
            found.append(Regions(self._region(image, n, s) for n, s in scores.items() if s))
        return found


def share_of(name: str, tags: Sequence[str]) -> float:
    """How far some tag speaks for a name: 1 for the same or a kind of it, 0 where none does."""
    wanted = canonical(name)
    meaning = matched(name, tuple(tags))
    if meaning.relation in ("same", "kinds") or wanted in {canonical(tag) for tag in tags}:
        return _EXACT
    last = wanted.rpartition(" ")[2]
    for tag in tags:
        own = canonical(tag)
        if own.endswith(f" {wanted}") or (last != wanted and own == last):
            return _TAIL if own.endswith(f" {wanted}") else _WIDER
    return _WIDER if meaning.relation == "wider" else 0.0


__all__ = ["RecordedDetector", "RecordedTags", "read_recorded", "share_of"]
