"""Emoji faces drawn from circles, arcs and polygons at any size: no font, no picture files.

Names are those of Unicode CLDR with underscores, as VisProg writes them. Coordinates run from -1 to 1 with the face as
the unit circle and y downwards. Drawn four times as large and shrunk, so that edges are smooth.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..errors import ToolError

if TYPE_CHECKING:
    import PIL.Image

_OVERSAMPLE = 4
_MOST_PIXELS = 2048  # of the drawing; a larger face is enlarged from it

_SKIN, _EDGE, _DARK = (255, 204, 51), (226, 160, 24), (74, 46, 14)
_WHITE, _TONGUE, _RED = (255, 255, 255), (240, 98, 120), (228, 40, 60)
_TEAR, _ANGRY, _MASK = (80, 168, 240), (240, 92, 54), (226, 236, 244)

Color = tuple[int, int, int]


class _Canvas:
    """A square RGBA drawing in face coordinates."""

    def __init__(self, size: int) -> None:
        import PIL.Image
        import PIL.ImageDraw

        self.size = size
        self.image = PIL.Image.new("RGBA", (size, size), (0, 0, 0, 0))
        self.pen = PIL.ImageDraw.Draw(self.image)

    def at(self, x: float, y: float) -> tuple[float, float]:
        half = self.size / 2
        return half + x * half * 0.99, half + y * half * 0.99

    def width(self, share: float) -> int:
        return max(1, round(share * self.size / 2))

    def disc(self, x: float, y: float, rx: float, ry: float, fill: Color) -> None:
        self.pen.ellipse([*self.at(x - rx, y - ry), *self.at(x + rx, y + ry)], fill=fill)

    def stroke(self, points: Sequence[tuple[float, float]], share: float = 0.09, fill: Color = _DARK) -> None:
        """A line through points with round joints and ends."""
        pixels = [self.at(*point) for point in points]
        self.pen.line(pixels, fill=fill, width=self.width(share), joint="curve")
        radius = self.width(share) / 2
        for x, y in (pixels[0], pixels[-1]):
            self.pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=fill)

    def arc(
        self, x: float, y: float, rx: float, ry: float, start: float, end: float, share: float = 0.09
    ) -> None:
        """An arc from `start` to `end` degrees, clockwise from the right."""
        steps = [math.radians(start + (end - start) * i / 40) for i in range(41)]
        self.stroke([(x + rx * math.cos(t), y + ry * math.sin(t)) for t in steps], share)

    def shape(self, points: Sequence[tuple[float, float]], fill: Color) -> None:
        self.pen.polygon([self.at(*point) for point in points], fill=fill)

    def bowl(self, x: float, y: float, rx: float, ry: float, fill: Color) -> None:
        """The lower half of an ellipse: an open mouth."""
        steps = [math.radians(180 * i / 40) for i in range(41)]
        self.shape([(x + rx * math.cos(t), y + ry * math.sin(t)) for t in steps], fill)

    def heart(self, x: float, y: float, size: float, fill: Color) -> None:
        steps = [2 * math.pi * i / 60 for i in range(61)]
        outline = [
            (
                16 * math.sin(t) ** 3,
                -(13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)),
            )
            for t in steps
        ]
        self.shape([(x + size * px / 16, y + size * py / 16) for px, py in outline], fill)


def _skin(c: _Canvas, fill: Color = _SKIN, edge: Color = _EDGE) -> None:
    c.disc(0, 0, 1, 1, edge)
    c.disc(0, 0, 0.95, 0.95, fill)


def _eyes(c: _Canvas, y: float = -0.22) -> None:
    for x in (-0.34, 0.34):
        c.disc(x, y, 0.11, 0.17, _DARK)


def _happy_eyes(c: _Canvas) -> None:
    for x in (-0.36, 0.36):
        c.arc(x, -0.12, 0.19, 0.2, 200, 340)


def _closed_eyes(c: _Canvas) -> None:
    for x in (-0.36, 0.36):
        c.arc(x, -0.28, 0.19, 0.16, 20, 160)


def _smile(c: _Canvas) -> None:
    c.arc(0, 0.08, 0.52, 0.46, 20, 160)


def _grin(c: _Canvas) -> None:
    c.bowl(0, 0.18, 0.58, 0.56, _DARK)
    c.shape([(-0.56, 0.18), (0.56, 0.18), (0.53, 0.34), (-0.53, 0.34)], _WHITE)


def _frown(c: _Canvas, y: float = 0.72) -> None:
    c.arc(0, y, 0.42, 0.36, 210, 330)


def _tongue(c: _Canvas) -> None:
    c.shape([(-0.06, 0.44), (0.38, 0.44), (0.38, 0.68), (-0.06, 0.68)], _TONGUE)
    c.disc(0.16, 0.68, 0.22, 0.2, _TONGUE)
    c.stroke([(0.16, 0.48), (0.16, 0.7)], 0.04, (196, 60, 88))


def _brows(c: _Canvas, slope: float) -> None:
    """Eyebrows; a positive slope sinks towards the nose (angry), a negative one rises (sad)."""
    for side in (-1, 1):
        c.stroke([(side * 0.54, -0.5 - slope / 2), (side * 0.18, -0.5 + slope / 2)], 0.08)


def _sunglasses(c: _Canvas) -> None:
    c.stroke([(-0.88, -0.3), (0.88, -0.3)], 0.09, (24, 24, 32))
    for side in (-1, 1):
        points = [(0.08, -0.34), (0.74, -0.34), (0.72, -0.06), (0.56, 0.1), (0.28, 0.1), (0.12, -0.06)]
        c.shape([(side * x, y) for x, y in points], (24, 24, 32))
        c.shape(
            [(side * 0.4 - 0.14, -0.28), (side * 0.4 + 0.02, -0.28), (side * 0.4 - 0.14, -0.1)], (92, 96, 116)
        )


def _smiling_face(c: _Canvas) -> None:
    _skin(c)
    _happy_eyes(c)
    _smile(c)


def _slightly_smiling_face(c: _Canvas) -> None:
    _skin(c)
    _eyes(c)
    _smile(c)


def _grinning_face(c: _Canvas) -> None:
    _skin(c)
    _eyes(c)
    _grin(c)


def _winking_face(c: _Canvas) -> None:
    _skin(c)
    c.disc(-0.34, -0.22, 0.11, 0.17, _DARK)
    c.arc(0.36, -0.12, 0.2, 0.16, 195, 345)
    _smile(c)


def _face_with_tongue(c: _Canvas) -> None:
    _skin(c)
    _eyes(c)
    _tongue(c)
    c.arc(0, 0.08, 0.52, 0.4, 20, 160)


def _winking_face_with_tongue(c: _Canvas) -> None:
    _skin(c)
    c.disc(-0.34, -0.22, 0.11, 0.17, _DARK)
    c.arc(0.36, -0.12, 0.2, 0.16, 195, 345)
    _tongue(c)
    c.arc(0, 0.08, 0.52, 0.4, 20, 160)


def _smiling_face_with_sunglasses(c: _Canvas) -> None:
    _skin(c)
    _sunglasses(c)
    _smile(c)


def _smiling_face_with_heart_eyes(c: _Canvas) -> None:
    _skin(c)
    for x in (-0.38, 0.38):
        c.heart(x, -0.24, 0.3, _RED)
    _grin(c)


def _face_with_tears_of_joy(c: _Canvas) -> None:
    _skin(c)
    _happy_eyes(c)
    _grin(c)
    for side in (-1, 1):
        c.disc(side * 0.74, 0.14, 0.17, 0.15, _TEAR)
        c.shape([(side * 0.86, 0.22), (side * 0.58, 0.18), (side * 0.56, -0.06)], _TEAR)


def _crying_face(c: _Canvas) -> None:
    _skin(c)
    _eyes(c)
    _frown(c)
    c.disc(0.4, 0.28, 0.14, 0.16, _TEAR)
    c.shape([(0.27, 0.24), (0.53, 0.24), (0.4, -0.02)], _TEAR)


def _frowning_face(c: _Canvas) -> None:
    _skin(c)
    _eyes(c)
    _frown(c)


def _neutral_face(c: _Canvas) -> None:
    _skin(c)
    _eyes(c)
    c.stroke([(-0.42, 0.42), (0.42, 0.42)])


def _angry_face(c: _Canvas) -> None:
    _skin(c, _ANGRY, (196, 56, 30))
    _brows(c, 0.24)
    _eyes(c, -0.12)
    _frown(c)


def _face_with_open_mouth(c: _Canvas) -> None:
    _skin(c)
    _brows(c, 0.0)
    _eyes(c, -0.16)
    c.disc(0, 0.46, 0.2, 0.26, _DARK)


def _sleeping_face(c: _Canvas) -> None:
    _skin(c)
    _closed_eyes(c)
    c.disc(0, 0.42, 0.16, 0.18, _DARK)
    for x, y, s in ((0.06, -0.72, 0.22), (0.36, -0.62, 0.3)):
        c.stroke(
            [(x, y - s / 2), (x + s * 0.7, y - s / 2), (x, y + s / 2), (x + s * 0.7, y + s / 2)], 0.06, _TEAR
        )


def _relieved_face(c: _Canvas) -> None:
    _skin(c)
    _closed_eyes(c)
    _smile(c)


def _face_with_medical_mask(c: _Canvas) -> None:
    _skin(c)
    _eyes(c)
    for side in (-1, 1):
        c.stroke([(side * 0.56, 0.2), (side * 0.93, 0.02)], 0.05, _WHITE)
        c.stroke([(side * 0.52, 0.66), (side * 0.8, 0.52)], 0.05, _WHITE)
    c.shape([(-0.6, 0.14), (0.6, 0.14), (0.58, 0.58), (0.3, 0.84), (-0.3, 0.84), (-0.58, 0.58)], _MASK)
    for y in (0.32, 0.48, 0.64):
        c.stroke([(-0.46, y), (0.46, y)], 0.03, (168, 188, 204))


_FACES: dict[str, Callable[[_Canvas], None]] = {
    "face_with_tongue": _face_with_tongue,
    "smiling_face_with_sunglasses": _smiling_face_with_sunglasses,
    "smiling_face": _smiling_face,
    "winking_face": _winking_face,
    "slightly_smiling_face": _slightly_smiling_face,
    "grinning_face": _grinning_face,
    "winking_face_with_tongue": _winking_face_with_tongue,
    "smiling_face_with_heart_eyes": _smiling_face_with_heart_eyes,
    "face_with_tears_of_joy": _face_with_tears_of_joy,
    "crying_face": _crying_face,
    "frowning_face": _frowning_face,
    "neutral_face": _neutral_face,
    "angry_face": _angry_face,
    "face_with_open_mouth": _face_with_open_mouth,
    "sleeping_face": _sleeping_face,
    "relieved_face": _relieved_face,
    "face_with_medical_mask": _face_with_medical_mask,
}
EMOJI_NAMES = tuple(_FACES)


def draw_emoji(name: str, size: int) -> PIL.Image.Image:
    """The face `name` as a square RGBA picture `size` pixels wide, transparent outside its circle."""
    import PIL.Image

    key = name.strip().casefold().replace(" ", "_").replace("-", "_").strip(":")
    if key not in _FACES:
        near = difflib.get_close_matches(key, EMOJI_NAMES, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(EMOJI_NAMES)}"
        raise ToolError(f"EMOJI: no emoji '{name}'; {hint}")
    canvas = _Canvas(min(size * _OVERSAMPLE, _MOST_PIXELS))
    _FACES[key](canvas)
    return canvas.image.resize((size, size), PIL.Image.Resampling.BOX)
