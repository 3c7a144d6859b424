"""What names ask of a closed vocabulary: which labels, and in which colour; and the regions that meet it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .color import COLOR_NAMES, color_shares, main_color, told_color
from .names import matched
from .values import Image, Region, Regions

COLOR_SHARE = 0.25  # of a thing's pixels that make it 'a red bus' also where another colour is its main one


@dataclass(frozen=True, slots=True)
class Want:
    """One label as the detector writes it, and the colour that it must have ('' for any)."""

    label: str
    color: str = ""


def wants(names: Iterable[str], vocabulary: Sequence[str], *, exact: bool) -> tuple[Want, ...] | None:
    """What to look for so that all of `names` are found, or None where the vocabulary does not cover one of them.

    'bike' and 'animal' are covered by labels that mean the same or are kinds of it, 'red bus' by its noun and the colour
    of its pixels. With `exact`, a label that is only wider ('person' for 'woman') does not cover: a model that is
    asked in words can do better. The compiler lowers LOC to DETECT and PICK exactly where LOC itself would use this.
    """
    found: dict[Want, None] = {}
    for name in names:
        plan = _wants_of(name, vocabulary, exact)
        if not plan:
            return None
        found.update(dict.fromkeys(plan))
    return tuple(found)


def _wants_of(name: str, vocabulary: Sequence[str], exact: bool) -> tuple[Want, ...]:
    meaning = matched(name, vocabulary)
    if meaning.relation in ("same", "kinds"):
        return tuple(Want(label) for label in meaning.classes)
    color, noun = color_first(name)
    if color:
        inner = matched(noun, vocabulary)
        if inner.relation in ("same", "kinds") or (inner.relation == "wider" and not exact):
            return tuple(Want(label, color) for label in inner.classes)
    if meaning.relation == "wider" and not exact:
        return tuple(Want(label) for label in meaning.classes)
    return ()


def color_first(name: str) -> tuple[str, str]:
    """('red', 'bus') for 'a red bus'; ('', '') where no basic colour term stands in front."""
    words = name.casefold().split()
    if words and words[0] in ("a", "an", "the"):
        words = words[1:]
    color = {"grey": "gray"}.get(words[0], words[0]) if words else ""
    if color in COLOR_NAMES and len(words) > 1:
        return color, " ".join(words[1:])
    return "", ""


def keep_wanted(image: Image, regions: Iterable[Region], wanted: Iterable[Want]) -> Regions:
    """The regions that meet some want, in their order; pixels are looked at only where a colour is asked."""
    colors: dict[str, set[str]] = {}
    for want in wanted:
        colors.setdefault(want.label, set()).add(want.color)
    return Regions(r for r in regions if r.label in colors and _in_color(image, r, colors[r.label]))


def _in_color(image: Image, region: Region, colors: set[str]) -> bool:
    if "" in colors:
        return True
    if told := told_color(image, region):
        return told in colors
    if main_color(image, region) in colors:
        return True
    return any(name in colors and share >= COLOR_SHARE for name, share in color_shares(image, region))
