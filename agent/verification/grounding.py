"""Corrected text with boxes: every seen entity carries those of the evidence behind its first mention that still stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...tools.values import Region
from .claims import Extraction
from .correction import Correction, Edit

BOXES = 12  # boxes written behind one mention


def grounded(found: Extraction, corrected: Correction, regions: Mapping[int, Sequence[Region]]) -> str:
    """The corrected text with the boxes of every seen entity behind its first mention that is still there."""
    inserts: dict[int, str] = {}
    for entity in found.entities:
        boxes = list(regions.get(entity.id, ()))[:BOXES]
        if not boxes or entity.denied:
            continue
        for mention in entity.mentions:
            if mention.pronoun:
                continue
            at = moved(mention.span[1], corrected.edits)
            if at is not None:
                told = " ".join(f"[{', '.join(f'{v:.0f}' for v in r.box)}]" for r in boxes)
                inserts.setdefault(at, f" {told}")
                break
    text = corrected.text
    for at in sorted(inserts, reverse=True):
        text = text[:at] + inserts[at] + text[at:]
    return text


def moved(at: int, edits: Sequence[Edit]) -> int | None:
    """Where a character's place lies after the edits; None inside a removed part."""
    shift = 0
    for edit in edits:
        low, high = edit.span
        if high <= at:
            if at == high and not edit.after and edit.before:
                return None
            shift += len(edit.after) - len(edit.before)
        elif low < at:
            return None
    return at + shift
