"""A picture of panels, looked at panel by panel: a wide figure shown whole to a small network shows it nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..names import canonical
from ..panels import panels
from ..values import Box, Image

if TYPE_CHECKING:
    from .starter_perception import Sighting

_LARGER = 2.0  # times as large as in the whole picture, for a panel to be looked at by itself
_LOOK_ALIKE = (frozenset({"block", "square"}),)  # names of things that look the same by themselves
_SAME_SIZE = 0.15  # by which the sides of like things may differ
_FRAMES = frozenset({"box", "panel", "frame", "cell"})  # what the parts of such a picture are called


def worth_a_look(image: Image) -> list[Box]:
    """The panels of a picture that are worth a look each; none where that would hardly show them larger."""
    boxes = panels(image.pixels)
    longest = max((max(b[2] - b[0], b[3] - b[1]) for b in boxes), default=0.0)
    return boxes if max(image.size) >= _LARGER * longest else []


def part_of(image: Image, box: Box) -> Image:
    """A panel of a picture, as a picture of its own pixels."""
    left, top = image.offset
    return image.crop((box[0] + left, box[1] + top, box[2] + left, box[3] + top))


def together(whole: list[Sighting], boxes: list[Box], closer: list[list[Sighting]]) -> list[Sighting]:
    """What the panels show, seen close, and what the whole picture shows between them; best first."""
    if not boxes:
        return whole
    found = [
        replace(one, box=(one.box[0] + x, one.box[1] + y, one.box[2] + x, one.box[3] + y))
        for (x, y, _, _), seen in zip(boxes, closer, strict=True)
        for one in seen
    ]
    found = _one_look_one_name(found)
    for one in whole:
        x, y = (one.box[0] + one.box[2]) / 2, (one.box[1] + one.box[3]) / 2
        if not any(b[0] <= x <= b[2] and b[1] <= y <= b[3] for b in boxes):
            found.append(one)
    return sorted(found, key=lambda one: -one.score)


def _one_look_one_name(found: list[Sighting]) -> list[Sighting]:
    """Things as large as each other whose names look alike share the name that was surest in all: one block alone is a square."""
    named = []
    for one in found:
        names = next((alike for alike in _LOOK_ALIKE if one.kind in alike), frozenset({one.kind}))
        votes: dict[str, float] = {}
        for other in found:
            if other.kind in names and _as_large(one, other):
                votes[other.kind] = votes.get(other.kind, 0.0) + other.score
        named.append(replace(one, kind=max(sorted(votes), key=lambda kind: votes[kind])))
    return named


def _as_large(a: Sighting, b: Sighting) -> bool:
    sides = [(one.box[2] - one.box[0], one.box[3] - one.box[1]) for one in (a, b)]
    return all(abs(p - q) <= _SAME_SIZE * max(p, q) for p, q in zip(*sides, strict=True))


def frames(image: Image, names: Sequence[str]) -> dict[str, list[Box]]:
    """Boxes of the panels, in the original's pixels, by each of the names that means them ('box', 'gray boxes')."""
    asked = [name for name in dict.fromkeys(names) if canonical(name).rpartition(" ")[2] in _FRAMES]
    boxes = [part_of(image, box).extent for box in panels(image.pixels)] if asked else []
    return dict.fromkeys(asked, boxes) if boxes else {}
