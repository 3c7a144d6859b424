"""The picture that a person marks: points, boxes and brush strokes in, masks and lit boxes out, in the picture's pixels."""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from ..agent.records import Mark
from ..errors import InputError
from ..tools.values import Mask

ASSETS = Path(__file__).resolve().parent / "assets"
MOST_PAINT = (
    24_000_000  # characters of a painted mask; a PNG of two colours of the largest picture is far smaller
)


@dataclass(frozen=True, slots=True)
class View:
    """What the board shows: a picture by its address, boxes on it, those of them that are lit, and masks to choose from."""

    url: str = ""
    width: int = 0
    height: int = 0
    alt: str = ""
    regions: Sequence[dict[str, Any]] = ()  # {"id", "box", "label"}
    lit: Sequence[str] = ()
    masks: Sequence[str] = ()  # addresses, the likeliest first
    said: str = ""
    extra: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The component's value."""
        return {
            "url": self.url, "width": self.width, "height": self.height, "alt": self.alt, "regions": list(self.regions),
            "lit": list(self.lit), "masks": [{"url": url} for url in self.masks], "said": self.said, **self.extra,
        }  # fmt: skip


def board(marking: bool = True, **options: Any) -> gr.HTML:
    """A picture to mark, or (without `marking`) to light boxes on. Its `mark` event carries what was marked; see `read_mark`.

    A function and no subclass: Gradio writes a stub file beside the module of every subclass.
    """
    return gr.HTML(
        value=View().to_json(),
        html_template=(ASSETS / "board.html").read_text("utf-8").replace("$MARKING", str(marking).lower()),
        css_template=(ASSETS / "board.css").read_text("utf-8"),
        js_on_load=(ASSETS / "board.js").read_text("utf-8"),
        apply_default_css=False,
        **options,
    )


def read_mark(data: dict[str, Any], size: tuple[int, int], picture: int = 0) -> Mark | None:
    """What the browser sent, as a mark; None where nothing is marked.

    Args:
        data: {"points": [[x, y, belongs]], "box": [x1, y1, x2, y2] or null, "paint": a PNG as data URL or null}.
        size: width and height of the picture in pixels.
        picture: which of the pictures it is.

    Raises:
        InputError: something else, or a place outside the picture. The browser is not trusted.
    """
    width, height = size
    try:
        points = tuple((float(x), float(y), bool(belongs)) for x, y, belongs in data.get("points") or ())
        box = data.get("box")
        corners = tuple(float(v) for v in box) if box else None
        paint = data.get("paint")
    except (TypeError, ValueError, AttributeError) as error:
        raise InputError(f"the mark cannot be read: {error}") from error
    if any(not (0 <= x < width and 0 <= y < height) for x, y, _ in points):
        raise InputError(f"a point lies outside the picture, which is {width} x {height} pixels")
    area = None
    if corners is not None:
        if len(corners) != 4:
            raise InputError("a box is four numbers: x1, y1, x2, y2")
        checked = Mark.of(corners, size)
        area = checked.box if checked else None
    mask = _painted(paint, size) if paint else None
    if not points and area is None and mask is None:
        return None
    return Mark(points=points, box=area, mask=mask, picture=picture)


def _painted(url: Any, size: tuple[int, int]) -> Mask:
    """A brush stroke's PNG as a mask: wherever it is not transparent."""
    import PIL.Image

    head = "data:image/png;base64,"
    if not isinstance(url, str) or not url.startswith(head) or len(url) > MOST_PAINT:
        raise InputError("the painted mask must be a PNG of at most 18 MB")
    try:
        raw = base64.b64decode(url[len(head) :], validate=True)
        with PIL.Image.open(io.BytesIO(raw), formats=("PNG",)) as image:
            if image.size != size:
                raise InputError(
                    f"the painted mask is {image.size[0]} x {image.size[1]} pixels, the picture {size[0]} x {size[1]}"
                )
            alpha = np.asarray(image.convert("RGBA"))[..., 3] > 32
    except (binascii.Error, OSError, ValueError) as error:
        raise InputError(f"the painted mask cannot be read: {error}") from error
    if not alpha.any():
        raise InputError("nothing was painted")
    return Mask.from_array(alpha)
