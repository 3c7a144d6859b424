"""The colour of a thing: each pixel of its mask gets the nearest of a fixed palette in CIELAB; names are counted.

The names are the eleven basic colour terms of English (Berlin and Kay, 1969). Each has several swatches, because people
call a wide range of lightness 'blue' but only dark orange 'brown'; a pixel takes the name of the swatch at the smallest
CIE76 distance (D65 white, sRGB). The palette is `SWATCHES`.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from ..errors import ToolError
from .values import Image, Region

SWATCHES: dict[str, tuple[str, ...]] = {
    "black": ("000000", "161616", "26262a", "2b2520", "1c2024"),
    "white": ("ffffff", "f2f2f2", "e6e6e6", "f5f0e6", "e6ecf2", "d2d2d2", "d7d2c8", "ccd2d8"),
    "gray": ("808080", "404040", "5a5a5a", "a0a0a0", "c0c0c0", "6e7378", "8c8780", "b4b8bc", "46494e"),
    "red": ("ff0000", "dc143c", "b01218", "8b0000", "e03c31", "c83232", "a02c2c", "640a0f", "7d2d32", "96323c", "5a1414",
            "461012", "781e28", "aa4650", "bc5a5a"),
    "orange": ("ffa500", "ff8c00", "ff7518", "f28020", "e2711d", "ff9f45", "d9761e"),
    "yellow": ("ffff00", "ffd700", "f5e050", "e6c819", "fff08c", "d8c82c", "c8b41e"),
    "green": ("008000", "00ff00", "228b22", "006400", "32cd32", "90ee90", "556b2f", "6b8e23", "2e8b57", "8fbc5a", "1e321e", "283c28", "46553c",
              "9acd32", "3c5a32", "78965a", "00a878"),
    "blue": ("0000ff", "00008b", "4169e1", "1e90ff", "87ceeb", "4682b4", "000046", "add8e6", "00bfff", "2a4b7c",
             "6488b4", "00ffff", "0a6e82", "20b2c8", "2d3c5f", "1e2846", "3c5078", "0f1941", "14324b", "5a7896",
             "788ca5", "1e3cdc", "3c46dc", "0a28f0"),
    "purple": ("800080", "9400d3", "8a2be2", "4b0082", "9370db", "6a3d9a", "b57edc", "502864", "8c508c", "6e64a0", "8278aa", "5f5587",
               "a096c8"),
    "pink": ("ffc0cb", "ff69b4", "ff1493", "f4a6b8", "ffb6c1", "e75480", "ff00ff", "f0a0d0", "d86e9a"),
    "brown": ("8b4513", "654321", "a0522d", "7b3f00", "5c4033", "96693c", "462814", "b4824b", "78553c"),
}  # fmt: skip
COLOR_NAMES = tuple(SWATCHES)

# How much a name's share says about a thing: shade is black, glare and dirt are gray, and dim warm light is brown,
# whatever colour the thing has.
_WEIGHTS = {"gray": 0.4, "black": 0.5, "brown": 0.7}
_SHADE = 30  # percent of a thing's pixels, the darkest, that do not vote on its main colour
_LEVELS = 32  # a channel of the look-up table: steps of 8, below what a name could hang on
_CORE = (
    0.6  # of a box's width and height that is looked at where there is no mask: its corners are background
)
_MOST_PIXELS = 40_000  # looked at a region; more change no share by a percent


def srgb_to_lab(rgb: np.ndarray) -> np.ndarray:
    """CIELAB [..., 3] (L 0-100, a, b) of sRGB [..., 3] in 0-255, white point D65 (IEC 61966-2-1, CIE 15)."""
    unit = np.asarray(rgb, dtype=np.float64) / 255.0
    linear = np.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [
            [0.4124564, 0.3575761, 0.1804375],
            [0.2126729, 0.7151522, 0.0721750],
            [0.0193339, 0.1191920, 0.9503041],
        ]
    )
    xyz = linear @ to_xyz.T / np.array([0.95047, 1.0, 1.08883])
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


@cache
def _table() -> np.ndarray:
    """Index of the colour name [32, 32, 32] by the top five bits of R, G and B."""
    names = [index for index, name in enumerate(COLOR_NAMES) for _ in SWATCHES[name]]
    swatches = srgb_to_lab(
        np.array([list(bytes.fromhex(code)) for name in COLOR_NAMES for code in SWATCHES[name]])
    )
    axis = np.arange(_LEVELS) * 255.0 / (_LEVELS - 1)
    grid = srgb_to_lab(np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)).reshape(-1, 3)
    nearest = np.empty(len(grid), dtype=np.uint8)
    for start in range(0, len(grid), 4096):
        part = grid[start : start + 4096]
        distance = ((part[:, None, :] - swatches[None, :, :]) ** 2).sum(axis=2)
        nearest[start : start + 4096] = np.array(names, dtype=np.uint8)[distance.argmin(axis=1)]
    return nearest.reshape(_LEVELS, _LEVELS, _LEVELS)


def name_color(rgb: tuple[int, int, int]) -> str:
    """The name of one colour."""
    r, g, b = (round(v * (_LEVELS - 1) / 255) for v in rgb)
    return COLOR_NAMES[int(_table()[r, g, b])]


def shares_of(pixels: np.ndarray) -> list[tuple[str, float]]:
    """(name, share) of pixels [N, 3] uint8, the largest share first; shares sum to 1, absent colours are left out."""
    levels = ((pixels.astype(np.uint16) * (_LEVELS - 1) + 127) // 255).astype(np.intp)
    counts = np.bincount(_table()[levels[:, 0], levels[:, 1], levels[:, 2]], minlength=len(COLOR_NAMES))
    order = np.argsort(-counts, kind="stable")
    return [(COLOR_NAMES[i], float(counts[i] / len(pixels))) for i in order if counts[i]]


def main_of(pixels: np.ndarray) -> str:
    """The colour that a person would call a thing with these pixels [N, 3]: the heaviest vote of its lit part."""
    light = pixels @ np.array([0.2126, 0.7152, 0.0722])
    lit = pixels[light >= np.percentile(light, _SHADE)]
    return max(shares_of(lit), key=lambda item: item[1] * _WEIGHTS.get(item[0], 1.0))[0]


def main_color(image: Image, region: Region) -> str:
    """The name of a region's colour: what its producer saw in this very picture, else what its pixels say.

    A detector with a colour of its own knows which pixels of the box are the thing: on drawn scenes it is right for 99.6%
    of them, the middle of the box for 80%.
    """
    if told := told_color(image, region):
        return told
    return main_of(_pixels_of(image, region))


def told_color(image: Image, region: Region) -> str:
    """The colour that a region's producer saw; '' where it saw none, or where `image` is a crop or an edit of its picture."""
    return region.color if region.color in SWATCHES and image.hash == image.picture == region.picture else ""


def color_shares(image: Image, region: Region) -> list[tuple[str, float]]:
    """(name, share) of a region's colours, the largest first."""
    return shares_of(_pixels_of(image, region))


def _pixels_of(image: Image, region: Region) -> np.ndarray:
    """Pixels [N, 3] of a region's mask, else of the middle of its box; thinned out where there are very many."""
    if region.mask is not None and region.mask.area:
        window = image.crop(region.mask.box)
        chosen = window.pixels[region.mask.on(window)]
    else:
        x1, y1, x2, y2 = region.box
        dx, dy = (x2 - x1) * (1 - _CORE) / 2, (y2 - y1) * (1 - _CORE) / 2
        chosen = image.crop((x1 + dx, y1 + dy, x2 - dx, y2 - dy)).pixels.reshape(-1, 3)
    if not len(chosen):
        raise ToolError("COLOR: the region holds no pixel of this picture")
    step = max(1, len(chosen) // _MOST_PIXELS)
    return chosen[::step]
