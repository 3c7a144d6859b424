"""What verification did to a text: its claims and edits by place, or a word diff where no edits were told."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise
from typing import Any

# words, or single letters of scripts that are written without spaces
_TOKENS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|\w+|\s+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text: "same", "gone" (of the draft alone) or "new" (of the answer alone), and the claims about it."""

    text: str
    change: str = "same"
    claims: tuple[str, ...] = ()


def word_diff(before: str, after: str) -> list[Piece]:
    """What a text became, word by word."""
    old, new = _TOKENS.findall(before), _TOKENS.findall(after)
    pieces: list[Piece] = []
    for op, a1, a2, b1, b2 in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if op == "equal":
            pieces.append(Piece("".join(old[a1:a2])))
            continue
        if a2 > a1:
            pieces.append(Piece("".join(old[a1:a2]), "gone"))
        if b2 > b1:
            pieces.append(Piece("".join(new[b1:b2]), "new"))
    return pieces


def edited(
    draft: str, claims: Sequence[Mapping[str, Any]], edits: Sequence[Mapping[str, Any]]
) -> list[Piece]:
    """The draft in pieces, each with the claims made there, and every edit where it was made.

    Spans that do not lie in the text, and edits that overlap an earlier one, are left out.
    """
    spans = [
        (span, str(c.get("id", ""))) for c in claims if (span := _span(c.get("span"), draft)) is not None
    ]
    changes: list[tuple[tuple[int, int], str, tuple[str, ...]]] = []
    end = 0
    for edit in sorted(edits, key=lambda e: _span(e.get("span"), draft) or (0, 0)):
        span = _span(edit.get("span"), draft)
        if span is not None and span[0] >= end:
            changes.append(
                (span, str(edit.get("after", "")), tuple(str(c) for c in edit.get("claims") or ()))
            )
            end = span[1]
    cuts = {0, len(draft)}
    for place in [*(span for span, _ in spans), *(change[0] for change in changes)]:
        cuts.update(place)
    places = sorted(cuts)
    pieces: list[Piece] = []
    for start, stop in pairwise(places):
        about = tuple(name for (a, b), name in spans if a <= start and stop <= b)
        gone = next((c for c in changes if c[0][0] <= start and stop <= c[0][1]), None)
        about = tuple(dict.fromkeys((*about, *(gone[2] if gone else ()))))
        pieces.append(Piece(draft[start:stop], "gone" if gone else "same", about))
        if gone and stop == gone[0][1] and gone[1]:
            pieces.append(Piece(gone[1], "new", gone[2]))
        pieces += [Piece(c[1], "new", c[2]) for c in changes if c[0] == (stop, stop) and c[1]]
    if changes and changes[0][0] == (0, 0) and changes[0][1]:
        pieces.insert(0, Piece(changes[0][1], "new", changes[0][2]))
    return pieces


def _span(value: Any, text: str) -> tuple[int, int] | None:
    """Two places in the text, in order; None for anything else."""
    if not isinstance(value, list | tuple) or len(value) != 2:
        return None
    start, end = value
    good = isinstance(start, int) and isinstance(end, int) and 0 <= start <= end <= len(text)
    return (start, end) if good else None
