"""What the blocks of a trace's page are made of: values, crops, marks of status and time, and boxes on the pictures."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .album import Album, Found, overlay
from .markup import Markup, escape, join, tag

_MOST_THUMBS = 12  # of one value; the rest is a number
_CODE = re.compile(
    r"(?P<text>\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')|(?P<number>\b\d+(?:\.\d+)?\b)|(?P<op>\b[A-Z][A-Z_]*(?=\())|(?P<name>\b[A-Z][A-Z_]*\d*\b)"
)


@dataclass
class Stage:
    """What the blocks of a page put on the pictures: for each key the regions that light up with it."""

    album: Album
    boxes: dict[str, tuple[list[Found], str, list[str]]] = field(default_factory=dict)
    default: str = ""  # the key whose boxes are shown while nothing is pointed at

    def put(self, key: str, regions: Sequence[Found], says: str, lights: Sequence[str]) -> bool:
        """Note the regions of a key, what they are in words, and what lights up with them; whether there are any."""
        if not regions:
            return False
        self.boxes[key] = (list(regions), says, list(lights))
        return True

    def overlays(self, number: int) -> Markup:
        """All groups of boxes on one of the question's pictures."""
        asked = self.album.asked[number]
        parts = []
        for key, (regions, says, lights) in self.boxes.items():
            here = [r for r in regions if self.album.place(r) is asked]
            if here:
                parts.append(
                    tag("g", overlay(asked, here), data_key=key, data_lights=" ".join([key, *lights]), data_says=says,
                        class_="boxes default" if key == self.default else "boxes")
                )  # fmt: skip
        return join(parts)


def value_of(step: Mapping[str, Any]) -> Markup | None:
    """What a step gave, in a line; a long value is folded."""
    shown = str(step.get("shown") or "")
    if not shown:
        return None
    long = len(shown) > 200
    if not long:
        return tag("span", shown, class_="value", dir="auto")
    return tag("details", tag("summary", tag("span", f"{shown[:160]} …", class_="value", dir="auto")),
               tag("pre", json.dumps(step.get("value"), ensure_ascii=False, indent=1)[:20_000], class_="said"))  # fmt: skip


def thumbs(hashes: Sequence[str], stage: Stage, lights: Sequence[str]) -> Markup | None:
    """The pictures among a value, small; pointing at them lights up what made them."""
    if not hashes:
        return None
    drawn = [stage.album.thumbnail(content) for content in hashes[:_MOST_THUMBS]]
    more = (
        tag("span", f"and {len(hashes) - _MOST_THUMBS} more", class_="soft")
        if len(hashes) > _MOST_THUMBS
        else None
    )
    return tag("span", drawn, more, class_="thumbs", data_lights=" ".join(lights))


def cut_out(content: str, stage: Stage) -> Found | None:
    """Where a picture was cut out of the original, as a dashed box."""
    row = stage.album.trace.pictures.get(content)
    if row is None:
        return None
    whole = next((asked for asked in stage.album.asked if row.frame in (asked.frame, asked.hash)), None)
    if whole is None or row.size == whole.size:
        return None
    x, y = row.offset
    box = (float(x), float(y), float(x + row.size[0]), float(y + row.size[1]))
    return Found(box, frame=row.frame, dashed=True)


def chips_of(step: Mapping[str, Any]) -> Markup:
    """How a step ended, how long it took, and whether the cache held it."""
    status = str(step.get("status", ""))
    chips = [tag("span", status, class_=f"chip {status}")]
    if step.get("cached") and status != "cached":
        chips.append(tag("span", "from the cache", class_="chip cached"))
    elif status not in ("skipped", "cached"):
        chips.append(tag("span", milliseconds(step.get("ms")), class_="chip"))
    if isinstance(step.get("batch"), int) and step["batch"] > 1:
        chips.append(tag("span", f"batch of {step['batch']}", class_="chip"))
    return tag("span", chips, class_="chips")


def code_block(text: str) -> Markup:
    """A program's text."""
    return tag("pre", highlight(text), class_="said code")


def highlight(text: str) -> Markup:
    """Program text with its strings, numbers, ops and names marked."""
    parts: list[Markup] = []
    at = 0
    for match in _CODE.finditer(text):
        parts.append(escape(text[at : match.start()]))
        parts.append(tag("i", match[0], class_=f"t-{match.lastgroup}"))
        at = match.end()
    return join(parts, escape(text[at:]))


def seconds(ms: float) -> str:
    """A moment since the question."""
    return f"{ms / 1000:.2f} s" if ms < 100_000 else f"{ms / 1000:.0f} s"


def milliseconds(ms: Any) -> str:
    """A duration in as many digits as matter."""
    if not isinstance(ms, int | float):
        return "– ms"
    if ms >= 10_000:
        return f"{ms / 1000:.1f} s"
    return f"{ms:.0f} ms" if ms >= 10 else f"{ms:.1f} ms" if ms >= 0.05 else "0 ms"


def percent(probability: float) -> str:
    """A probability; what is nearly certain is not told as certain."""
    if 0.99 < probability < 1:
        return "over 99%"
    return "under 1%" if 0 < probability < 0.01 else f"{probability:.0%}"
