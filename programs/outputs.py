"""Results as files and JSON: pictures and masks go below one folder, everything else stays in the JSON."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from ..tools.imagefile import safe_output, save_image
from ..tools.values import Image, Mask, Region, Regions

NAME_BYTES = 160  # of an output's name; file systems take 255, and "-mask-12.png" follows


def as_text(path: str) -> str:
    """A path as Unicode text: bytes that are no UTF-8 (a file's name may hold any) are written as \\udcNN."""
    return path.encode("utf-8", "backslashreplace").decode()


def file_stem(name: str) -> str:
    """A name for an output, made from an input's: text, and short enough for a file system."""
    return as_text(name).encode()[:NAME_BYTES].decode(errors="ignore")


def to_json(value: Any, folder: Path | None, name: str) -> Any:
    """A value as JSON. With `folder`, pictures are written there as `name.png` and named by their relative path, and
    each region's mask as a black and white `name-mask-N.png`; without it a picture is told by size and hash.

    Boxes are [x1, y1, x2, y2] in the original picture's pixels.
    """
    if isinstance(value, Image):
        return _image(value, folder, f"{name}.png")
    if isinstance(value, Region):
        return _region(value, folder, f"{name}-mask")
    if isinstance(value, Regions):
        return [_region(region, folder, f"{name}-mask-{index}") for index, region in enumerate(value)]
    if isinstance(value, Mask):
        return value.to_json()
    if isinstance(value, list | tuple):
        return [to_json(item, folder, f"{name}-{index}") for index, item in enumerate(value)]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON has no infinity
    return value


def _image(image: Image, folder: Path | None, name: str) -> dict[str, Any]:
    data: dict[str, Any] = {"width": image.width, "height": image.height}
    if image.offset != (0, 0):
        data["offset"] = list(image.offset)
    if folder is None:
        return data | {"hash": image.hash}
    save_image(image, safe_output(folder, name))
    return data | {"file": name}


def _region(region: Region, folder: Path | None, name: str) -> dict[str, Any]:
    data = region.to_json()
    data.pop("picture", None)
    if region.mask is None:
        return data
    x, y, width, height = region.mask.window
    data["mask"] = {"window": [x, y, width, height], "area": region.mask.area}
    if folder is not None and width and height:
        array = region.mask.inside_window().astype(np.uint8) * 255
        file = f"{name}.png"
        save_image(Image.from_array(np.repeat(array[:, :, None], 3, axis=2)), safe_output(folder, file))
        data["mask"]["file"] = file
    return data
