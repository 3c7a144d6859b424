"""Boxes as text and back: plain brackets (Shikra), JSON (Qwen), and location tokens. Pixels outside, bins inside.

| style | a box reads | numbers are |
|---|---|---|
| plain | `[0.123,0.456,0.789,0.900]`, `;` joins | parts of the picture's width and height (Chen et al. 2023, Shikra) |
| qwen | `[{"bbox_2d": [123, 456, 789, 900], "label": "dog"}]` | thousandths (Qwen 2 and 3) or pixels (Qwen 2.5) |
| location | `<loc123><loc456><loc789><loc900>` | bins of the picture's width and height |
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..errors import InputError

Box = tuple[float, float, float, float]  # x1, y1, x2, y2 in pixels
Style = Literal["plain", "qwen", "location"]

_NUMBER = r"\s*(-?\d+(?:\.\d+)?)\s*"
_PLAIN = re.compile(rf"\[{_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER}\]")
_GROUP = re.compile(r"\[[\d.,;\s-]*;[\d.,;\s-]*\]")
_LOCATION = re.compile(r"<loc(\d+)>\s*<loc(\d+)>\s*<loc(\d+)>\s*<loc(\d+)>")


@dataclass(frozen=True, slots=True)
class BoxCodec:
    """Writes boxes into text and finds them there.

    Args:
        style: "plain", "qwen" or "location".
        bins: how many steps a side has: 1000 for Qwen 2 and 3, 0 for pixels (Qwen 2.5); bins of location tokens.
        digits: decimals of the plain style.
    """

    style: Style = "plain"
    bins: int = 1000
    digits: int = 3

    def __post_init__(self) -> None:
        if self.style not in ("plain", "qwen", "location"):
            raise InputError(f"BoxCodec: no style {self.style!r}; there are plain, qwen and location")
        if self.bins < 0 or (self.bins < 2 and self.style == "location"):
            raise InputError(f"BoxCodec: {self.bins} bins cannot name places; give 2 or more")

    def encode(
        self, boxes: Sequence[Box], width: float, height: float, labels: Sequence[str] | None = None
    ) -> str:
        """Boxes in pixels of a picture of `width` x `height` -> text. `labels` are written by the qwen style only."""
        _check_size(width, height)
        if labels is not None and len(labels) != len(boxes):
            raise InputError(f"BoxCodec: {len(boxes)} boxes but {len(labels)} labels")
        if self.style == "qwen":
            rows = []
            for i, box in enumerate(boxes):
                row: dict[str, object] = {"bbox_2d": [round(v) for v in self._scaled(box, width, height)]}
                if labels is not None:
                    row["label"] = labels[i]
                rows.append(row)
            return json.dumps(rows, ensure_ascii=False)
        if self.style == "location":
            top = self.bins - 1
            return "".join(
                "".join(f"<loc{min(top, max(0, round(v * top)))}>" for v in _normal(box, width, height))
                for box in boxes
            )
        return (
            "["
            + ";".join(",".join(f"{v:.{self.digits}f}" for v in _normal(box, width, height)) for box in boxes)
            + "]"
        )

    def decode(self, text: str, width: float, height: float) -> list[Box]:
        """All boxes of this style in `text`, in pixels, in order; corners are put right way round and clipped."""
        _check_size(width, height)
        return [_tidy(box, width, height) for _, _, box in self._find(text, width, height)]

    def replace(self, text: str, width: float, height: float, mark: str) -> tuple[str, list[Box]]:
        """`text` with `mark` in the place of every box, and the boxes in pixels."""
        found = self._find(text, width, height)
        out, at = [], 0
        for start, end, _ in found:
            out += [text[at:start], mark]
            at = end
        out.append(text[at:])
        return "".join(out), [_tidy(box, width, height) for _, _, box in found]

    def _scaled(self, box: Box, width: float, height: float) -> list[float]:
        if self.bins == 0:
            return list(box)
        return [v * self.bins for v in _normal(box, width, height)]

    def _find(self, text: str, width: float, height: float) -> list[tuple[int, int, list[float]]]:
        """(start, end, four pixels) of each box."""
        found: list[tuple[int, int, list[float]]] = []
        side = (width, height, width, height)
        if self.style == "location":
            for match in _LOCATION.finditer(text):
                values = [min(int(v), self.bins - 1) / (self.bins - 1) for v in match.groups()]
                found.append((match.start(), match.end(), [v * s for v, s in zip(values, side, strict=True)]))
        elif self.style == "qwen":
            for match in re.finditer(r"\"bbox_2d\"\s*:\s*" + _PLAIN.pattern, text):
                scale = side if self.bins else (1.0,) * 4
                values = [float(v) / (self.bins or 1) for v in match.groups()]
                found.append(
                    (match.start(), match.end(), [v * s for v, s in zip(values, scale, strict=True)])
                )
        else:
            for match in re.finditer(rf"{_GROUP.pattern}|{_PLAIN.pattern}", text):
                for part in match.group().strip("[]").split(";"):
                    try:
                        values = [float(v) for v in part.split(",")]
                    except ValueError:
                        continue
                    if len(values) == 4:
                        found.append(
                            (match.start(), match.end(), [v * s for v, s in zip(values, side, strict=True)])
                        )
        return found


def _check_size(width: float, height: float) -> None:
    if width <= 0 or height <= 0:
        raise InputError(f"BoxCodec: a picture of {width} x {height} pixels has no places")


def _normal(box: Box, width: float, height: float) -> list[float]:
    return [min(1.0, max(0.0, v / s)) for v, s in zip(box, (width, height, width, height), strict=True)]


def _tidy(values: Sequence[float], width: float, height: float) -> Box:
    x1, y1, x2, y2 = values
    x1, x2 = sorted((min(max(x1, 0.0), width), min(max(x2, 0.0), width)))
    y1, y2 = sorted((min(max(y1, 0.0), height), min(max(y2, 0.0), height)))
    return (x1, y1, x2, y2)
