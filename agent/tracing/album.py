"""The pictures of a page: each kept picture embedded once, scaled down; crops are windows of it; boxes lie over it."""

from __future__ import annotations

import base64
import io
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from ...errors import SightlineError
from ...tools.draw import color_of
from ...tools.values import Mask, Pixels
from .blobs import PictureMissing
from .markup import Markup, join, tag
from .trace import PictureRow, Trace

MOST_SIDE = 1024  # pixels of an embedded picture
MOST_BYTES = 6_000_000  # of all embedded pictures together; what comes later is told by its size
_MASK_ROWS = 160  # of an outline; larger masks are drawn more coarsely


@dataclass(frozen=True, slots=True)
class Asked:
    """One of the question's pictures: its place in a page, its name in programs, and the frame that boxes are in."""

    number: int
    name: str
    hash: str
    size: tuple[int, int]
    offset: tuple[int, int]
    frame: str
    source: str | None


@dataclass(frozen=True, slots=True)
class Found:
    """A region as JSON tells it: box in the original's pixels, label, score, mask if one was kept."""

    box: tuple[float, float, float, float]
    label: str = ""
    score: float | None = None
    mask: Mask | None = None
    frame: str = ""
    dashed: bool = False  # a part that was cut out, and no thing that was found


class Album:
    """Embeds what is shown of a trace's pictures."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self._names: dict[str, str] = {}
        self._sizes: dict[str, tuple[int, int]] = {}
        self._defs: list[Markup] = []
        self._bytes = 0
        told = trace.ask.get("pictures") or ()
        names = _names(len(told))
        self.asked: list[Asked] = []
        for number, (name, data) in enumerate(zip(names, told, strict=True)):
            content = str(data.get("hash", ""))
            row = trace.pictures.get(content)
            size = row.size if row else (int(data.get("width") or 1), int(data.get("height") or 1))
            offset, frame = (row.offset, row.frame) if row else ((0, 0), content)
            self.asked.append(Asked(number, name, content, size, offset, frame, data.get("source")))

    def place(self, found: Found) -> Asked | None:
        """The picture of the question that a region lies in; the first where it does not say."""
        for asked in self.asked:
            if found.frame and found.frame in (asked.frame, asked.hash):
                return asked
        return self.asked[0] if self.asked else None

    def picture(self, content: str) -> Markup | None:
        """The picture as drawing instructions in its own pixels from (0, 0); None where it cannot be shown."""
        row = self.trace.pictures.get(content)
        if row is None:
            return None
        name = self._embed(row)
        if name is None:
            return None
        x, y = row.window[:2] if row.window else (0, 0)
        return tag("use", href=f"#{name}", x=-x if x else None, y=-y if y else None)

    def thumbnail(self, content: str, **attributes: Any) -> Markup:
        """A small drawing of a kept picture, or a line that says why there is none."""
        row = self.trace.pictures.get(content)
        drawn = self.picture(content)
        if row is None or drawn is None:
            return tag("span", "the picture was not kept", class_="missing")
        width, height = row.size
        return tag(
            "svg", tag("title", f"picture {width} × {height}"), drawn, class_="thumb", viewBox=f"0 0 {width} {height}",
            role="img", **attributes,
        )  # fmt: skip

    def defs(self) -> Markup:
        """The embedded pictures, once for the page."""
        return tag("svg", tag("defs", self._defs), width=0, height=0, aria_hidden="true", class_="store")

    def _embed(self, row: PictureRow) -> str | None:
        if row.blob not in self._names:
            try:
                if self.trace.read is None:
                    raise PictureMissing("the trace holds no pictures")
                pixels = self.trace.read(row.blob)
            except SightlineError:
                return None  # the page says that it was not kept
            data = _webp(pixels)
            if self._bytes + len(data) > MOST_BYTES:
                return None
            self._bytes += len(data)
            name = f"b{len(self._names)}"
            self._names[row.blob] = name
            told = f"data:image/webp;base64,{base64.b64encode(data).decode()}"
            self._defs.append(
                tag(
                    "image",
                    id=name,
                    width=pixels.shape[1],
                    height=pixels.shape[0],
                    preserveAspectRatio="none",
                    href=told,
                )
            )
        return self._names[row.blob]


def _webp(pixels: Pixels) -> bytes:
    """At most `MOST_SIDE` pixels a side."""
    import PIL.Image

    picture = PIL.Image.fromarray(pixels)
    picture.thumbnail((MOST_SIDE, MOST_SIDE), PIL.Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=86, method=3)
    return file.getvalue()


def _names(count: int) -> tuple[str, ...]:
    """What programs call the pictures (`agent.records.Request`)."""
    if count == 2:
        return ("LEFT", "RIGHT")
    return ("IMAGE",) if count == 1 else tuple(f"IMAGE{i}" for i in range(1, count + 1))


def regions_of(value: Any, data: Mapping[str, Any]) -> list[Found]:
    """The regions in a value as JSON; `data` (a step or an observation) says which picture each lies in."""
    frames = data.get("frames") or []
    masks = data.get("masks") or []
    found = []
    for number, item in enumerate(_dicts(value)):
        frame = item.get("picture") or (
            frames[number] if number < len(frames) else frames[0] if len(frames) == 1 else ""
        )
        mask = masks[number] if number < len(masks) else item.get("mask")
        one = _found(item, str(frame), mask)
        if one is not None:
            found.append(one)
    return found


def _dicts(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        if "box" in value:
            yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _dicts(item)


def _found(item: Mapping[str, Any], frame: str, mask: Any) -> Found | None:
    box = four(item.get("box"))
    if box is None:
        return None
    score = item.get("score")
    return Found(
        box, str(item.get("label") or item.get("text") or ""), float(score) if isinstance(score, int | float) else None,
        _mask(mask), frame,
    )  # fmt: skip


def _mask(data: Any) -> Mask | None:
    if not isinstance(data, Mapping) or "counts" not in data:
        return None
    try:
        return Mask.from_json(dict(data))
    except (KeyError, TypeError, ValueError):  # a trace of another hand: the box is drawn without it
        return None


def four(value: Any) -> tuple[float, float, float, float] | None:
    """Four finite numbers as a box; None for anything else."""
    if not isinstance(value, list | tuple) or len(value) != 4:
        return None
    if not all(isinstance(v, int | float) and not isinstance(v, bool) and abs(v) < 1e9 for v in value):
        return None
    x1, y1, x2, y2 = (float(v) for v in value)
    return x1, y1, x2, y2


def pictures_of(value: Any) -> list[str]:
    """The hashes of the pictures in a value as JSON."""
    if isinstance(value, Mapping):
        return [str(value["hash"])] if "hash" in value and "box" not in value else []
    if isinstance(value, list | tuple):
        return [content for item in value for content in pictures_of(item)]
    return []


def overlay(asked: Asked, regions: Sequence[Found]) -> Markup:
    """Boxes, masks and names of regions, in the pixels of one of the question's pictures."""
    unit = max(asked.size) / 34  # of the letters
    parts = []
    for region in regions:
        x1, y1, x2, y2 = region.box
        x, y = x1 - asked.offset[0], y1 - asked.offset[1]
        width, height = max(0.0, x2 - x1), max(0.0, y2 - y1)
        color = "#{:02x}{:02x}{:02x}".format(*color_of(region.label))
        where: dict[str, Any] = {"x": _n(x), "y": _n(y), "width": _n(width), "height": _n(height)}
        if region.mask is not None:
            parts.append(tag("path", d=outline(region.mask, asked.offset), fill=color, class_="mask"))
        parts.append(tag("rect", **where, class_="case"))
        parts.append(tag("rect", **where, stroke=color, class_="box cut" if region.dashed else "box"))
        name = (
            region.label
            if region.score is None or region.score >= 1
            else f"{region.label} {region.score:.0%}"
        )
        name = " ".join(name.split())[:40]
        if name:
            parts.append(_name(name, x, y, unit, color, asked.size))
    return join(parts)


def _name(name: str, x: float, y: float, unit: float, color: str, size: tuple[int, int]) -> Markup:
    """A filled tag above the box, or inside it at the picture's upper edge."""
    letters = unit * sum(1.0 if unicodedata.east_asian_width(c) in "WF" else 0.6 for c in name)
    width = letters + unit * 0.7
    height = unit * 1.35
    left = min(max(0.0, x), max(0.0, size[0] - width))
    top = y - height if y >= height else y
    return join(
        tag("rect", x=_n(left), y=_n(top), width=_n(width), height=_n(height), fill=color),
        tag(
            "text",
            name,
            x=_n(left + unit * 0.35),
            y=_n(top + unit * 0.98),
            font_size=_n(unit),
            class_="name",
            textLength=_n(letters),
            lengthAdjust="spacingAndGlyphs",
        ),
    )


def outline(mask: Mask, offset: tuple[int, int]) -> str:
    """A mask as an SVG path of horizontal runs, at most `_MASK_ROWS` rows."""
    inside = mask.inside_window()
    x, y, width, height = mask.window
    step = max(1, -(-max(width, height) // _MASK_ROWS))
    parts = []
    for row in range(0, height, step):
        line = inside[row, ::step]
        padded = [False, *line.tolist(), False]
        starts = [i for i in range(len(line)) if padded[i + 1] and not padded[i]]
        ends = [i + 1 for i in range(len(line)) if padded[i + 1] and not padded[i + 2]]
        for start, end in zip(starts, ends, strict=True):
            left = x - offset[0] + start * step
            parts.append(
                f"M{left} {y - offset[1] + row}h{min(end * step, width) - start * step}v{step}H{left}z"
            )
    return "".join(parts)


def mark_overlay(asked: Asked, at: Mapping[str, Any]) -> Markup:
    """What the person pointed at: clicks as rings (a bar through those that say "not this"), a box, a mask."""
    unit = max(asked.size) / 60
    parts = []
    mask = _mask(at.get("mask"))
    if mask is not None:
        parts.append(tag("path", d=outline(mask, asked.offset), class_="pointed mask"))
    box = four(at.get("box"))
    if box is not None:
        x1, y1, x2, y2 = box
        parts.append(
            tag("rect", x=_n(x1 - asked.offset[0]), y=_n(y1 - asked.offset[1]), width=_n(x2 - x1), height=_n(y2 - y1),
                class_="pointed")
        )  # fmt: skip
    for point in at.get("points") or ():
        x, y = float(point[0]) - asked.offset[0], float(point[1]) - asked.offset[1]
        parts.append(tag("circle", cx=_n(x), cy=_n(y), r=_n(unit * 1.3), class_="halo"))
        parts.append(tag("circle", cx=_n(x), cy=_n(y), r=_n(unit * 1.3), class_="pointed"))
        if not point[2]:
            parts.append(
                tag(
                    "path",
                    d=f"M{_n(x - unit)} {_n(y - unit)}L{_n(x + unit)} {_n(y + unit)}",
                    class_="pointed",
                )
            )
        else:
            parts.append(tag("circle", cx=_n(x), cy=_n(y), r=_n(unit * 0.3), class_="pointed dot"))
    return join(parts)


def file_name(source: str | None) -> str:
    """The last part of a path: a page that is passed on need not tell where its maker keeps pictures."""
    return PurePath(source.replace("\\", "/")).name if source else ""


def _n(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")
