"""A trace being written: one line an event, flushed at once; pictures by hash in the background; on disk at the end."""

from __future__ import annotations

import json
import logging
import math
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from io import FileIO
from typing import Any

import numpy as np

from ...errors import SightlineError
from ...tools.values import Image, digest, pixel_hash
from ..events import Event
from .blobs import Blobs
from .index import Index
from .trace import FORMAT, PictureRow

_LOG = logging.getLogger("sightline")
_MOST_WAITING = 16  # pictures that wait for the disk, which bounds the memory that they take


class TraceWriter:
    """The sink of one question (`agent.events.Sink`).

    `close` waits for the pictures and puts everything on disk. Where the disk fails that is said once, in the log
    `sightline`, and the answer goes on without its trace: an answer is worth more than its record.
    """

    def __init__(
        self, trace: str, time: float, file: FileIO, blobs: Blobs, index: Index, pool: ThreadPoolExecutor,
        done: Callable[[TraceWriter], None],
    ) -> None:  # fmt: skip
        self.trace = trace
        self.time = time
        self.usable = True
        self._file = file
        self._blobs = blobs
        self._index = index
        self._pool = pool
        self._done = done
        self._lock = threading.RLock()
        self._rows: dict[str, PictureRow] = {}
        self._originals: dict[str, Image] = {}  # the question's own pictures, which crops are compared with
        self._waiting: list[Future[None]] = []
        self._write({"trace": {"format": FORMAT, "id": trace, "time": round(time, 3)}})

    def receive(self, event: Event, pictures: Iterable[Image]) -> None:
        """Keep one event and the pictures that it speaks of."""
        with self._lock:
            if not self.usable:
                return
            try:
                for image in pictures:
                    if event.kind == "ask":
                        self._originals.setdefault(image.hash, image)
                    if image.hash not in self._rows:
                        self._keep(image)
                self._write(event.to_json())
                if event.kind in ("ask", "end"):
                    self._done(self)
            except (
                OSError,
                RuntimeError,
                sqlite3.Error,
            ) as error:  # RuntimeError: the store was closed meanwhile
                self._give_up(error)

    def close(self) -> None:
        """Everything on disk; may be called more than once."""
        with self._lock:
            if self._file.closed:
                return
            try:
                if self.usable:
                    self._settle(0)
                    os.fsync(self._file.fileno())
            except (OSError, SightlineError) as error:
                self._give_up(error)
            finally:
                self.usable = False
                self._file.close()
                self._originals.clear()

    def __enter__(self) -> TraceWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def blobs(self) -> set[str]:
        """The pixel hashes of the pictures kept so far."""
        return {row.blob for row in self._rows.values()}

    def _keep(self, image: Image) -> None:
        try:
            row = self._row(image)
        except (
            OSError,
            SightlineError,
        ) as error:  # a cached picture that is gone, a file that changed meanwhile
            _LOG.warning("trace %s goes on without the picture %s: %s", self.trace, image.hash[:8], error)
            return
        self._rows[image.hash] = row
        self._write({"picture": row.to_json()})
        if row.window is None:
            self._index.use(self.trace, row.blob)
            self._waiting.append(self._pool.submit(self._blobs.write, row.blob, image.pixels))
            self._settle(_MOST_WAITING)

    def _row(self, image: Image) -> PictureRow:
        """Where the pixels will lie: a crop of one of the question's pictures is a window of its blob."""
        original = self._originals.get(image.picture)
        kept = self._rows.get(original.hash) if original is not None else None
        if original is not None and kept is not None and (window := _window_of(image, original)) is not None:
            return PictureRow(
                image.hash, kept.blob, image.size, image.offset, image.picture, window, image.source
            )  # fmt: skip
        blob = pixel_hash(image.pixels)
        return PictureRow(image.hash, blob, image.size, image.offset, image.picture, None, image.source)

    def _settle(self, most: int) -> None:
        """Wait until at most `most` pictures wait for the disk; raises what writing one raised."""
        while len(self._waiting) > most:
            self._waiting.pop(0).result()

    def _write(self, row: Mapping[str, Any]) -> None:
        try:
            text = json.dumps(row, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        except (TypeError, ValueError):  # a value that is no JSON: kept as text rather than lost
            text = json.dumps(plain(row), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        # half a surrogate pair is no UTF-8; its backslash form is the escape that JSON has for it
        data = memoryview(text.encode("utf-8", "backslashreplace") + b"\n")
        while data:
            data = data[self._file.write(data) :]

    def _give_up(self, error: Exception) -> None:
        if self.usable:
            _LOG.warning("trace %s is not written any further: %s", self.trace, error)
        self.usable = False


def _window_of(image: Image, original: Image) -> tuple[int, int, int, int] | None:
    """The part of `original` whose pixels `image` has; None where it was changed or lies elsewhere."""
    x1, y1, x2, y2 = (int(v) for v in original.local(image.extent))
    if min(x1, y1) < 0 or x2 > original.width or y2 > original.height:
        return None
    if image.hash == digest(
        original.hash, f"crop {x1} {y1} {x2} {y2}"
    ):  # `Image.crop`: no pixel need be looked at
        return x1, y1, x2, y2
    return (x1, y1, x2, y2) if np.array_equal(original.pixels[y1:y2, x1:x2], image.pixels) else None


def plain(value: Any) -> Any:
    """A value as JSON can hold it: infinities and NaN are null, anything unknown is told by its text."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    return str(value)
