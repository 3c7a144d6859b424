"""CHAIR: which objects a caption names that the picture does not have (Rohrbach et al. 2018).

A caption is put in lower case, its words in the singular, two-word names joined, and every name looked up in a table
of synonyms whose first word is the object's own. CHAIRi = hallucinated mentions / mentions; CHAIRs = captions with at
least one / captions; recall = true objects named / true objects, over all captions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ....errors import InputError
from ...nouns import singular
from ..bootstrap import interval, ratio
from .files import field, read_object, read_rows

_WORD = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")  # "person's" names a person; "hot-dog" is a word of its own
# Names of two words that are no object of the one ("home plate" is no plate), and what an adjective leaves as it was.
_APART = {
    "home plate": "home plate",
    "train track": "train track",
    "bow tie": "tie",
    "toilet seat": "toilet",
}
# As the reference's singulariser has it: glasses are of wine, and "ties" become "ty", so that several ties are no tie.
_SINGULAR = {"glasses": "glass", "tvs": "tv", "ties": "ty"}
_ANIMALS = (
    "bird",
    "cat",
    "dog",
    "horse",
    "sheep",
    "cow",
    "elephant",
    "bear",
    "zebra",
    "giraffe",
    "animal",
    "cub",
)
_VEHICLES = ("jet", "train")


class Synonyms:
    """The table: a line for each object, its synonyms separated by commas, its own name first."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.object_of: dict[str, str] = {}
        for line in lines:
            names = [name.strip() for name in line.split(",") if name.strip()]
            for name in names:
                self.object_of.setdefault(name, names[0])
        self.joined = {name: name for name in self.object_of if " " in name}
        self.joined |= _APART
        self.joined |= {f"{age} {animal}": animal for animal in _ANIMALS for age in ("baby", "adult")}
        self.joined |= {f"passenger {vehicle}": vehicle for vehicle in _VEHICLES}

    @classmethod
    def read(cls, path: str | Path) -> Synonyms:
        try:
            lines = Path(path).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path} cannot be read as a table of synonyms: {error}") from error
        return cls(lines)

    def mentions(self, caption: str) -> list[str]:
        """The objects that a caption names, in its order, each as often as it is named."""
        words = [_SINGULAR.get(word) or singular(word) for word in _WORD.findall(caption.lower())]
        names: list[str] = []
        i = 0
        while i < len(words):
            pair = " ".join(words[i : i + 2])
            if i + 1 < len(words) and pair in self.joined:
                names.append(self.joined[pair])
                i += 2
            else:
                names.append(words[i])
                i += 1
        if "toilet" in names:
            names = [name for name in names if name != "seat"]
        return [self.object_of[name] for name in names if name in self.object_of]


@dataclass(frozen=True, slots=True)
class Caption:
    """A caption's mentions against the picture's objects."""

    mentions: int
    hallucinated: tuple[str, ...]
    named: int  # true objects that are named, each once
    objects: int
    words: int


def judge(caption: str, objects: Iterable[str], synonyms: Synonyms) -> Caption:
    """One caption; `objects` are own names of the table."""
    true = set(objects)
    said = synonyms.mentions(caption)
    return Caption(
        len(said), tuple(name for name in said if name not in true), len(true & set(said)), len(true), len(caption.split())
    )  # fmt: skip


def summarise(captions: Sequence[Caption], seed: int = 0) -> dict[str, Any]:
    """`chair_s`, `chair_i` and `recall` in percent with 95% intervals over captions, `length` in words, `n`."""
    if not captions:
        raise InputError("there is no caption to score")
    rows = [
        (1.0, float(bool(c.hallucinated)), len(c.hallucinated), c.mentions, c.named, c.objects, c.words)
        for c in captions
    ]
    sums = [sum(column) for column in zip(*rows, strict=True)]
    columns = {"chair_s": (1, 0), "chair_i": (2, 3), "recall": (4, 5)}
    found: dict[str, Any] = {
        name: round(100 * sums[above] / sums[below], 2) if sums[below] else 0.0
        for name, (above, below) in columns.items()
    }
    found["ci"] = {
        name: interval(rows, ratio(above, below, 100), seed) for name, (above, below) in columns.items()
    }
    return found | {"length": round(sums[6] / sums[0], 1), "mentions": int(sums[3]), "n": len(captions)}


def read_objects(path: str | Path, synonyms: Synonyms) -> dict[str, set[str]]:
    """True objects by image id: {"id": [names]}, or COCO's instances (captions beside them add what people named).

    COCO's rule: an object counts as there if it is annotated or if one of the human captions names it.
    """
    data = read_object(path)
    if "images" not in data:
        return {str(image): {synonyms.object_of.get(n, n) for n in names} for image, names in data.items()}
    true: dict[str, set[str]] = {str(image["id"]): set() for image in data["images"]}
    names = {row["id"]: row["name"] for row in data.get("categories", [])}
    for row in data.get("annotations", []):
        held = true.setdefault(str(row["image_id"]), set())
        if "category_id" in row:
            name = names[row["category_id"]]
            held.add(synonyms.object_of.get(name, name))
        if "caption" in row:
            held.update(synonyms.mentions(row["caption"]))
    return true


def evaluate(
    predictions: str | Path, annotations: Sequence[str | Path], synonyms: Synonyms, seed: int = 0
) -> dict[str, Any]:
    """Score a file of {"image_id", "caption"} rows against one or more annotation files."""
    true: dict[str, set[str]] = {}
    for path in annotations:
        for image, objects in read_objects(path, synonyms).items():
            true.setdefault(image, set()).update(objects)
    return summarise(judge_rows(read_rows(predictions), true, synonyms, str(predictions)), seed)


def judge_rows(
    rows: Iterable[dict[str, Any]], true: Mapping[str, set[str]], synonyms: Synonyms, where: str
) -> list[Caption]:
    """Each row's caption; a row about a picture without annotations is an error, not a silent nought."""
    judged = []
    for number, row in enumerate(rows, 1):
        image = str(field(row, ("image_id", "id"), f"{where}, row {number}"))
        if image not in true:
            raise InputError(f"{where}, row {number}: the annotations have no image {image!r}")
        judged.append(judge(str(field(row, ("caption", "text", "response"), where)), true[image], synonyms))
    return judged
