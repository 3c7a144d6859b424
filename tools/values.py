"""The values that flow between tools: pictures, masks and regions, all in the original picture's pixels.

Frame: every box and mask is given in pixels of the *original* picture, wherever it was found. A crop knows its
offset in the original, so a tool that works on a crop translates with `Image.local` and `Image.outward`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

import numpy as np

if TYPE_CHECKING:
    import PIL.Image

Box = tuple[float, float, float, float]  # x1, y1, x2, y2 in pixels; x2 and y2 exclusive
Pixels = np.ndarray  # [H, W, 3] uint8 RGB


def digest(*parts: bytes | str) -> str:
    """Hex BLAKE2b-128 of the parts, each preceded by its length so that parts cannot run together."""
    hasher = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        hasher.update(len(data).to_bytes(8, "little"))
        hasher.update(data)
    return hasher.hexdigest()


def pixel_hash(pixels: Pixels) -> str:
    """Content hash of decoded pixels: equal pictures in different files have equal hashes."""
    height, width = pixels.shape[:2]
    return digest(f"{width}x{height}", np.ascontiguousarray(pixels).tobytes())


class Image:
    """A picture: EXIF-upright RGB pixels, decoded once and only when looked at, and its place in the original.

    `hash` identifies the content: for a picture the hash of its pixels, for a crop the hash of its parent's hash and
    its box (so that a cached run need not decode). `picture` is the hash of the original that the frame belongs to.
    """

    __slots__ = ("_hash", "_load", "_pixels", "_whole", "height", "offset", "picture", "source", "width")

    def __init__(
        self,
        *,
        size: tuple[int, int],
        pixels: Pixels | None = None,
        load: Callable[[], Pixels] | None = None,
        content_hash: str | None = None,
        source: str | None = None,
        offset: tuple[int, int] = (0, 0),
        picture: str | None = None,
        whole: Image | None = None,
    ) -> None:
        if pixels is None and (load is None or content_hash is None):
            raise ValueError("an Image needs pixels, or a loader and the content hash")
        self.width, self.height = size
        self._pixels = pixels
        self._load = load
        self._hash = content_hash
        self.source = source
        self.offset = offset
        self._whole = whole
        self.picture = picture if picture is not None else self.hash

    @classmethod
    def from_array(cls, pixels: Pixels, source: str | None = None) -> Image:
        """A new original from an array [H, W, 3] uint8 RGB; the array is copied and made read-only."""
        array = np.array(pixels, dtype=np.uint8, order="C")
        if array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
            raise ValueError(f"pixels must be [H, W, 3] RGB and not empty, not {array.shape}")
        array.setflags(write=False)
        return cls(size=(array.shape[1], array.shape[0]), pixels=array, source=source)

    @classmethod
    def open(cls, source: Any) -> Image:
        """Decode a file path, bytes, or binary file object under the default limits (see `tools.imagefile`)."""
        from .imagefile import open_image

        return open_image(source)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.width, self.height

    @property
    def pixels(self) -> Pixels:
        """[H, W, 3] uint8 RGB, read-only."""
        if self._pixels is None:
            assert self._load is not None
            array = np.ascontiguousarray(self._load())
            array.setflags(write=False)
            self._pixels = array
        return self._pixels

    @property
    def hash(self) -> str:
        """Hex digest of the content; decodes the picture where it is not known yet."""
        if self._hash is None:
            self._hash = pixel_hash(self.pixels)
        return self._hash

    @property
    def original(self) -> Image:
        """The picture that a crop was cut from, where it is at hand (not so for one read from a cache); else the image itself."""
        return self if self._whole is None else self._whole

    @property
    def extent(self) -> Box:
        """This image's own box in the original's pixels."""
        x, y = self.offset
        return (float(x), float(y), float(x + self.width), float(y + self.height))

    def crop(self, box: Box) -> Image:
        """The part inside `box` (original's pixels), clipped to this image; at least one pixel. Pixels stay lazy."""
        x1, y1, x2, y2 = self.clip_pixels(box)
        left, top = x1 - self.offset[0], y1 - self.offset[1]
        right, bottom = x2 - self.offset[0], y2 - self.offset[1]
        if (left, top, right, bottom) == (0, 0, self.width, self.height):
            return self
        return Image(
            size=(right - left, bottom - top),
            load=lambda: self.pixels[top:bottom, left:right],
            content_hash=digest(self.hash, f"crop {left} {top} {right} {bottom}"),
            source=self.source,
            offset=(x1, y1),
            picture=self.picture,
            whole=self.original,
        )

    def clip_pixels(self, box: Box) -> tuple[int, int, int, int]:
        """`box` as whole pixels of the original, clipped to this image and never empty."""
        ox, oy = self.offset
        x1 = min(max(int(np.floor(box[0])), ox), ox + self.width - 1)
        y1 = min(max(int(np.floor(box[1])), oy), oy + self.height - 1)
        x2 = max(min(int(np.ceil(box[2])), ox + self.width), x1 + 1)
        y2 = max(min(int(np.ceil(box[3])), oy + self.height), y1 + 1)
        return x1, y1, x2, y2

    def local(self, box: Box) -> Box:
        """A box in the original's pixels, in this image's own pixels."""
        ox, oy = self.offset
        return (box[0] - ox, box[1] - oy, box[2] - ox, box[3] - oy)

    def outward(self, box: Box) -> Box:
        """A box in this image's own pixels, in the original's pixels."""
        ox, oy = self.offset
        return (box[0] + ox, box[1] + oy, box[2] + ox, box[3] + oy)

    def with_pixels(self, pixels: Pixels) -> Image:
        """An edited version: same frame and original, new pixels [H, W, 3] uint8 of the same size."""
        if pixels.shape != (self.height, self.width, 3):
            raise ValueError(f"an edit keeps the size {(self.height, self.width, 3)}, not {pixels.shape}")
        array = np.array(pixels, dtype=np.uint8, order="C")
        array.setflags(write=False)
        return Image(
            size=self.size, pixels=array, source=self.source, offset=self.offset, picture=self.picture
        )

    def pil(self) -> PIL.Image.Image:
        """A PIL image of the pixels."""
        import PIL.Image

        return PIL.Image.fromarray(self.pixels)

    def __repr__(self) -> str:
        where = f" at {self.offset}" if self.offset != (0, 0) else ""
        return f"Image({self.width}x{self.height}{where}, {self.source or self.hash[:8]})"


@dataclass(frozen=True)
class Mask:
    """A binary mask in the original's pixels, run-length encoded inside its window.

    `counts` are COCO's uncompressed runs: column-major, starting with the number of zeros. `window` is (x, y, width,
    height) of the encoded rectangle in the original's pixels; outside it the mask is empty.
    """

    window: tuple[int, int, int, int]
    counts: tuple[int, ...]

    @classmethod
    def from_array(cls, array: np.ndarray, offset: tuple[int, int] = (0, 0)) -> Mask:
        """Encode a boolean array [H, W] whose top-left pixel lies at `offset` of the original, cut to its extent."""
        mask = np.asarray(array, dtype=bool)
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if rows.size == 0:
            return cls((offset[0], offset[1], 0, 0), ())
        top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
        flat = mask[top:bottom, left:right].T.ravel()  # column-major, as COCO has it
        edges = np.flatnonzero(np.diff(flat)) + 1
        runs = np.diff(np.concatenate([[0], edges, [flat.size]]))
        counts = [int(run) for run in runs]
        if flat[0]:
            counts.insert(0, 0)
        window = (offset[0] + int(left), offset[1] + int(top), int(right - left), int(bottom - top))
        return cls(window, tuple(counts))

    @cached_property
    def area(self) -> int:
        """Number of pixels set."""
        return sum(self.counts[1::2])

    @property
    def box(self) -> Box:
        """The window as [x1, y1, x2, y2] in the original's pixels."""
        x, y, width, height = self.window
        return (float(x), float(y), float(x + width), float(y + height))

    def inside_window(self) -> np.ndarray:
        """Boolean array [height, width] of the window."""
        _, _, width, height = self.window
        values = np.arange(len(self.counts)) % 2 == 1
        return np.repeat(values, self.counts).reshape(width, height).T

    def on(self, image: Image) -> np.ndarray:
        """Boolean array [H, W] of this mask on `image`, which may be a crop or the original."""
        full = np.zeros((image.height, image.width), dtype=bool)
        x, y, width, height = self.window
        left, top = x - image.offset[0], y - image.offset[1]
        x1, y1 = max(left, 0), max(top, 0)
        x2, y2 = min(left + width, image.width), min(top + height, image.height)
        if x1 < x2 and y1 < y2:
            full[y1:y2, x1:x2] = self.inside_window()[y1 - top : y2 - top, x1 - left : x2 - left]
        return full

    def to_json(self) -> dict[str, Any]:
        return {"window": list(self.window), "counts": list(self.counts)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Mask:
        x, y, width, height = (int(v) for v in data["window"])
        counts = tuple(int(v) for v in data["counts"])
        if sum(counts) != width * height or min(counts, default=0) < 0:
            raise ValueError("mask runs do not add up to the window")
        return cls((x, y, width, height), counts)


@dataclass(frozen=True)
class Region:
    """One thing found in a picture. Everything spatial is in the original's pixels.

    `tool` and `weights` say what produced it, `parents` the ids of the regions it was derived from.
    """

    box: Box
    label: str = ""
    score: float = 1.0  # the producer's confidence, 0 to 1
    mask: Mask | None = None
    text: str | None = None  # what was read there, or an attribute in words
    color: str = ""  # its colour in a word, where the producer saw colours itself; '' leaves it to the pixels
    tool: str = ""
    weights: str = ""
    parents: tuple[str, ...] = ()
    picture: str = ""  # hash of the original picture

    @cached_property
    def id(self) -> str:
        """Content id: two equal regions have equal ids."""
        return digest(json.dumps(self.to_json(), sort_keys=True))[:16]

    @property
    def width(self) -> float:
        """Width of the box in pixels."""
        return max(0.0, self.box[2] - self.box[0])

    @property
    def height(self) -> float:
        """Height of the box in pixels."""
        return max(0.0, self.box[3] - self.box[1])

    @property
    def area(self) -> float:
        """Pixels of the mask where there is one, else of the box."""
        return float(self.mask.area) if self.mask is not None else self.width * self.height

    @property
    def center(self) -> tuple[float, float]:
        """(x, y) of the box's centre."""
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2

    def derive(self, tool: str, **changes: Any) -> Region:
        """A copy with changes that names its producer and this region as its parent."""
        return replace(self, tool=tool, parents=(self.id,), **changes)

    def mask_on(self, image: Image) -> np.ndarray:
        """Boolean [H, W] on `image`: the mask where there is one, else the filled box."""
        if self.mask is not None:
            return self.mask.on(image)
        full = np.zeros((image.height, image.width), dtype=bool)
        x1, y1, x2, y2 = image.local(self.box)
        left, top = max(round(x1), 0), max(round(y1), 0)
        full[top : max(round(y2), 0), left : max(round(x2), 0)] = True
        return full

    def to_json(self, *, exact: bool = False) -> dict[str, Any]:
        """Only what is set, so that files stay small; `from_json` restores the rest.

        Boxes are written to a hundredth of a pixel and scores to four digits, or with `exact` to the last bit.
        """
        digits = (17, 17) if exact else (2, 4)
        data: dict[str, Any] = {"box": [round(float(v), digits[0]) for v in self.box]}
        if self.label:
            data["label"] = self.label
        data["score"] = round(float(self.score), digits[1])
        if self.mask is not None:
            data["mask"] = self.mask.to_json()
        if self.text is not None:
            data["text"] = self.text
        for name in ("color", "tool", "weights", "picture"):
            if getattr(self, name):
                data[name] = getattr(self, name)
        if self.parents:
            data["parents"] = list(self.parents)
        return data

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Region:
        """The inverse of `to_json`."""
        x1, y1, x2, y2 = (float(v) for v in data["box"])
        return cls(
            box=(x1, y1, x2, y2),
            label=str(data.get("label", "")),
            score=float(data.get("score", 1.0)),
            mask=Mask.from_json(data["mask"]) if data.get("mask") else None,
            text=None if data.get("text") is None else str(data["text"]),
            color=str(data.get("color", "")),
            tool=str(data.get("tool", "")),
            weights=str(data.get("weights", "")),
            parents=tuple(str(p) for p in data.get("parents", ())),
            picture=str(data.get("picture", "")),
        )


class Regions(Sequence[Region]):
    """An immutable sequence of regions, best first where a score orders them."""

    __slots__ = ("_items",)

    def __init__(self, items: Iterable[Region] = ()) -> None:
        self._items = tuple(items)

    @overload
    def __getitem__(self, index: int) -> Region: ...
    @overload
    def __getitem__(self, index: slice) -> Regions: ...
    def __getitem__(self, index: int | slice) -> Region | Regions:
        return Regions(self._items[index]) if isinstance(index, slice) else self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Region]:
        return iter(self._items)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Regions) and self._items == other._items

    def __hash__(self) -> int:
        return hash(self._items)

    def __repr__(self) -> str:
        names = (f"{region.label or region.text or 'box'} {region.score:.2f}" for region in self._items)
        return f"Regions({', '.join(names)})"

    def to_json(self, *, exact: bool = False) -> list[dict[str, Any]]:
        """Each region's JSON; `exact` keeps coordinates and scores unrounded."""
        return [region.to_json(exact=exact) for region in self._items]

    @classmethod
    def from_json(cls, data: Iterable[dict[str, Any]]) -> Regions:
        """The inverse of `to_json`."""
        return cls(Region.from_json(item) for item in data)
