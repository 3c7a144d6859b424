"""What the server holds for each visitor: a seat with its own pictures, marks and folder, gone when the visitor is."""

from __future__ import annotations

import secrets
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..agent.records import Mark
from ..errors import ImageError, InputError
from ..tools.imagefile import Limits, open_image, save_image
from ..tools.values import Image, Mask, Regions

MOST_PICTURES = 4  # in one conversation
_KEPT_PIXELS = (
    12  # files of pixels on a seat: its pictures', and some for questions still at work on those before
)
_KEPT_SHOWN = 256  # copies that a browser may still show
SHOWN_SIDE = 2048  # a larger picture is shown smaller; clicks are in its own pixels all the same


@dataclass(slots=True)
class Picture:
    """A visitor's picture: its pixels, where the shown copy lies, and the masks of the mark on it."""

    image: Image
    url: str
    name: str
    mark: Mark | None = None
    masks: list[str] = field(
        default_factory=list
    )  # of what the mark may mean, the likeliest first, as data URLs
    found: Regions = field(default_factory=Regions)  # the same as regions
    choice: int = 0

    def take(self, found: Regions) -> None:
        """Put the masks that a mark may mean beside the picture, in place of those before."""
        self.found = Regions(region for region in found if region.mask is not None)
        self.masks = [_shown(region.mask, self.image) for region in self.found if region.mask]
        self.choice = 0

    @property
    def asked(self) -> Mark | None:
        """What a question is about: the mark, with the mask that was chosen where it is not the likeliest one."""
        if self.mark is None or not self.choice or self.choice >= len(self.found):
            return self.mark
        return replace(self.mark, mask=self.found[self.choice].mask)


@dataclass(slots=True)
class Seat:
    """One visitor. `key` names the agent's session; nobody else can know it."""

    key: str
    folder: Path
    pictures: list[Picture] = field(default_factory=list)
    at: int = 0  # which picture is shown
    regions: list[dict[str, Any]] = field(default_factory=list)  # boxes of the last answer
    used: float = field(default_factory=time.monotonic)
    lock: threading.RLock = field(default_factory=threading.RLock)
    notes: dict[str, Any] = field(default_factory=dict)  # what a tab keeps between events

    @property
    def picture(self) -> Picture:
        """The picture that is shown; InputError where there is none."""
        if not self.pictures:
            raise InputError("there is no picture yet; upload one or choose an example")
        return self.pictures[self.at]


class Desk:
    """Seats by Gradio's session hash, at most `most`, each let go after `lifetime` seconds without use.

    Args:
        folder: below which every seat has a folder of its own with a name that cannot be guessed; nothing else is
            served to browsers.
        lifetime: seconds.
        most: seats; the one unused for longest is let go.
        limits: of an uploaded picture.
        gone: told of every seat that was let go.
    """

    def __init__(
        self,
        folder: Path,
        lifetime: float = 3600.0,
        most: int = 256,
        limits: Limits | None = None,
        gone: Callable[[Seat], None] = lambda seat: None,
    ) -> None:
        self.folder, self.lifetime, self.most, self.gone = folder, lifetime, most, gone
        self.limits = limits or Limits(max_bytes=32 * 2**20, max_pixels=40_000_000)
        self._seats: OrderedDict[str, Seat] = OrderedDict()
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)

    def seat(self, visitor: str) -> Seat:
        """The seat of a visitor, made at the first call."""
        with self._lock:
            seat = self._seats.get(visitor)
            if seat is None:
                key = secrets.token_urlsafe(18)
                seat = Seat(key, self.folder / key)
                seat.folder.mkdir(mode=0o700)
                self._seats[visitor] = seat
            self._seats.move_to_end(visitor)
            seat.used = time.monotonic()
        self.tidy()
        return seat

    def leave(self, visitor: str) -> None:
        """The visitor closed the page: the seat and its files go."""
        with self._lock:
            seat = self._seats.pop(visitor, None)
        if seat is not None:
            self._drop(seat)

    def tidy(self) -> None:
        """Let go of seats that were left, and of those unused for longest where there are too many."""
        now, left = time.monotonic(), []
        with self._lock:
            for visitor, seat in list(self._seats.items()):
                if now - seat.used > self.lifetime or len(self._seats) > self.most:
                    left.append(self._seats.pop(visitor))
        for seat in left:
            self._drop(seat)

    def close(self) -> None:
        """Let every seat go."""
        for visitor in list(self._seats):
            self.leave(visitor)

    def __len__(self) -> int:
        return len(self._seats)

    def _drop(self, seat: Seat) -> None:
        shutil.rmtree(seat.folder, ignore_errors=True)
        self.gone(seat)

    # -- pictures --------------------------------------------------------------------------------------------------

    def take(self, seat: Seat, path: str, name: str = "", add: bool = False) -> Picture:
        """Read an uploaded file, upright and within the limits, and keep the copy that is shown.

        Raises:
            ImageError: the file is no picture, damaged, or over a limit.
            InputError: too many pictures.
        """
        if add and len(seat.pictures) >= MOST_PICTURES:
            raise InputError(f"a conversation holds {MOST_PICTURES} pictures at most; start a new one")
        name = name or Path(path).name
        image = _on_disk(open_upload(path, name, self.limits), seat.folder)
        picture = Picture(image, self.show(seat, image), name)
        if not add:
            seat.at, seat.regions = 0, []
        # not emptied in between: an event beside this one finds a picture at any moment
        seat.pictures = [*seat.pictures, picture] if add else [picture]
        seat.at = len(seat.pictures) - 1
        _sweep(seat)
        return picture

    def show(self, seat: Seat, image: Image) -> str:
        """The address of a copy that a browser can show, at most SHOWN_SIDE pixels long."""
        return address(Path(self.keep(seat, image)))

    def keep(self, seat: Seat, image: Image) -> str:
        """The file of that copy, on the seat's own folder."""
        path = seat.folder / f"{image.hash}.png"
        if not path.exists():
            shown = image
            if max(image.size) > SHOWN_SIDE:
                scale = SHOWN_SIDE / max(image.size)
                small = image.pil().resize(
                    (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
                )
                shown = Image.from_array(np.asarray(small))
            save_image(shown, path)
        return str(path)


def _shown(mask: Mask, image: Image) -> str:
    """A mask as a picture, white where the thing is, as large as the shown copy. It goes with the answer to the click: a
    file of its own would cost the page another request."""
    import base64
    import io

    import PIL.Image

    area = PIL.Image.fromarray(mask.on(image).astype(np.uint8) * 255)
    if max(area.size) > SHOWN_SIDE:
        area.thumbnail((SHOWN_SIDE, SHOWN_SIDE), PIL.Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    area.convert("1").save(buffer, "PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def open_upload(path: str, name: str, limits: Limits) -> Image:
    """A picture by the visitor's name for it: messages and traces do not say where the server put it.

    Raises:
        ImageError: the file is no picture, damaged, or over a limit.
    """
    shown = name if len(name) <= 80 else f"{name[:60]}…{name[-16:]}"
    try:
        image = open_image(path, limits)
    except ImageError as error:
        raise ImageError(str(error).replace(str(path), shown, 1)) from error
    return Image(size=image.size, pixels=image.pixels, source=shown)


def _on_disk(image: Image, folder: Path) -> Image:
    """The same picture with its pixels in a file that the system reads in and lets go of as memory allows."""
    path = folder / f"{image.hash}.npy"
    if path.exists():
        path.touch()  # in use again: see `_sweep`
    else:
        np.save(path, image.pixels)
    load = partial(np.load, path, mmap_mode="r", allow_pickle=False)
    return Image(size=image.size, load=load, content_hash=image.hash, source=image.source)


def _sweep(seat: Seat) -> None:
    """Delete the oldest files of pictures that the seat no longer has: its folder does not grow with every upload."""
    current = {picture.image.hash for picture in seat.pictures}
    for kind, most in (("*.npy", _KEPT_PIXELS), ("*.png", _KEPT_SHOWN)):
        newest = sorted(seat.folder.glob(kind), key=lambda path: path.stat().st_mtime_ns, reverse=True)
        for path in newest[most:]:
            if path.stem not in current:
                path.unlink(missing_ok=True)


def address(path: Path) -> str:
    """Where Gradio serves a file of the artefact folder."""
    return f"/gradio_api/file={path}"
