"""Recorded detections as a pack: the whole verifier over pictures that are not there, for calibration and benchmarks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError
from ...programs.engine import Engine
from ...tools.backends.recorded import RecordedDetector, RecordedTags
from ...tools.models import Models
from ...tools.names import COCO_CLASSES
from ...tools.pack import Pack
from ...tools.values import Image, digest
from .claims import Claim, extract
from .evidence import Gatherer
from .reliability import Reliability
from .verdicts import Judge, class_of

PACK = "recorded"


def recorded_models(path: Path) -> Models:
    """A pack of two recorded detectors: closed vocabulary (`detr`) and tags (`ram`)."""
    models = Models(Pack(PACK, "detections recorded elsewhere", {}, {}))
    models.bind("detector", RecordedDetector(path, digest(f"detr {path.name}")), f"recorded detr {path.name}")
    models.bind(
        "open_vocabulary", RecordedTags(path, digest(f"ram {path.name}")), f"recorded ram {path.name}"
    )
    return models


def blank(name: str) -> Image:
    """A stand-in for a picture that is known by its file name only; two of them never have one hash."""
    return Image(
        size=(8, 8), pixels=np.zeros((8, 8, 3), np.uint8), content_hash=digest("recorded", name), source=name
    )


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a file of recorded pictures; InputError where one is none."""
    rows = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if line.strip():
            row = json.loads(line)
            if not isinstance(row, dict) or not {"image", "caption", "objects", "pope"} <= set(row):
                raise InputError(f"{path}, line {number}: a row needs image, caption, objects and pope")
            rows.append(row)
    return rows


def halves(images: Iterable[str], seed: int = 0) -> tuple[list[str], list[str]]:
    """(calibration, report): the pictures divided in two by seed."""
    names = sorted(set(images))
    order = np.random.default_rng(seed).permutation(len(names))
    chosen = {names[i] for i in order[: len(names) // 2]}
    return [n for n in names if n in chosen], [n for n in names if n not in chosen]


@dataclass(frozen=True, slots=True)
class Sample:
    """One claim of existence with its features and the truth."""

    image: str
    source: str  # caption or answer
    name: str
    polarity: bool
    features: Mapping[str, float]
    true: bool  # whether the thing is there


def samples(rows: Sequence[Mapping[str, Any]], engine: Engine, reliability: Reliability) -> Iterator[Sample]:
    """Every claim of existence about one of COCO's classes: in captions all, in answers the one that was asked."""
    for row in rows:
        gatherer = Gatherer(blank(row["image"]), engine, both=reliability.both)
        told: list[tuple[str, str, bool | None]] = [("caption", row["caption"], None)]
        told += [("answer", q["answer"], q["label"] == "yes") for q in row["pope"]]
        for source, text, label in told:
            found = extract(text)
            claims = [c for c in found.claims if c.kind == "existence"]
            evidence = gatherer.gather(found, claims)
            judge = Judge(found, evidence, engine.models, reliability)
            chosen: list[Claim] = claims if label is None else claims[:1]
            for claim in chosen:
                name = class_of(claim.entities[0])
                if name in COCO_CLASSES:
                    true = name in row["objects"] if label is None else label
                    yield Sample(row["image"], source, name, claim.polarity, judge.features(claim), true)
