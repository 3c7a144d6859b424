"""What the server holds for each visitor: a seat with its own pictures, marks and folder, gone when the visitor is."""

from __future__ import annotations

import secrets
import shutil
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..agent.records import Mark
from ..errors import InputError
from ..tools.imagefile import Limits, open_image, save_image, write_whole
from ..tools.values import Image, Mask

MOST_PICTURES = 4  # in one conversation
SHOWN_SIDE = 2048  # a larger picture is shown smaller; clicks are in its own pixels all the same


@dataclass(slots=True)
class Picture:
    """A visitor's picture: its pixels, where the shown copy lies, and the masks of the mark on it."""

    image: Image
    url: str
    name: str
    mark: Mark | None = None
    masks: list[str] = field(default_factory=list)
    choice: int = 0


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
    """

    def __init__(
        self, folder: Path, lifetime: float = 3600.0, most: int = 256, limits: Limits | None = None
    ) -> None:
        self.folder, self.lifetime, self.most = folder, lifetime, most
        self.limits = limits or Limits(max_bytes=32 * 2**20, max_pixels=40_000_000)
        self._seats: OrderedDict[str, Seat] = OrderedDict()
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)

    def seat(self, visitor: str) -> Seat:
        """The seat of a visitor, made at the first call."""
        with self._lock:
            self._let_go()
            seat = self._seats.get(visitor)
            if seat is None:
                key = secrets.token_urlsafe(18)
                seat = Seat(key, self.folder / key)
                seat.folder.mkdir(mode=0o700)
                self._seats[visitor] = seat
            self._seats.move_to_end(visitor)
            seat.used = time.monotonic()
            return seat

    def leave(self, visitor: str) -> Seat | None:
        """The visitor closed the page: the seat and its files go."""
        with self._lock:
            seat = self._seats.pop(visitor, None)
        if seat is not None:
            shutil.rmtree(seat.folder, ignore_errors=True)
        return seat

    def close(self) -> None:
        """Let every seat go."""
        for visitor in list(self._seats):
            self.leave(visitor)

    def __len__(self) -> int:
        return len(self._seats)

    def _let_go(self) -> None:
        now = time.monotonic()
        for visitor, seat in list(self._seats.items()):
            if now - seat.used > self.lifetime or len(self._seats) > self.most:
                del self._seats[visitor]
                shutil.rmtree(seat.folder, ignore_errors=True)

    # -- pictures --------------------------------------------------------------------------------------------------

    def take(self, seat: Seat, path: str, name: str = "", add: bool = False) -> Picture:
        """Read an uploaded file, upright and within the limits, and keep the copy that is shown.

        Raises:
            ImageError: the file is no picture, damaged, or over a limit.
            InputError: too many pictures.
        """
        image = open_image(path, self.limits)
        image = Image.from_array(image.pixels, source=name or Path(path).name)
        if not add:
            seat.pictures.clear()
            seat.regions.clear()
        elif len(seat.pictures) >= MOST_PICTURES:
            raise InputError(f"a conversation holds {MOST_PICTURES} pictures at most; start a new one")
        picture = Picture(image, self.show(seat, image), name or Path(path).name)
        seat.pictures.append(picture)
        seat.at = len(seat.pictures) - 1
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

    def mask(self, seat: Seat, mask: Mask, image: Image) -> str:
        """The address of a mask as a picture: white where the thing is, as large as the shown copy."""
        import io

        import PIL.Image

        area = PIL.Image.fromarray(mask.on(image).astype(np.uint8) * 255)
        if max(area.size) > SHOWN_SIDE:
            area.thumbnail((SHOWN_SIDE, SHOWN_SIDE), PIL.Image.Resampling.NEAREST)
        buffer = io.BytesIO()
        area.save(buffer, "PNG", compress_level=1)
        path = seat.folder / f"mask-{secrets.token_hex(8)}.png"
        write_whole(path, buffer.getvalue())
        return address(path)


def address(path: Path) -> str:
    """Where Gradio serves a file of the artefact folder."""
    return f"/gradio_api/file={path}"
