"""Results kept across runs: SQLite (WAL) for values, content-addressed files for pictures. Nothing is pickled.

A result's key is a digest of the tool, its version, the digests of the weights behind it and its arguments; an argument
that is another step's value enters by *that* step's key. So the key of a whole program is known before anything runs,
and a cached program costs one look-up.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ..errors import InputError, SightlineError
from ..tools.values import Image, Region, Regions

T = TypeVar("T")

CODE_VERSION = 2  # raise it when the engine's own ops (EVAL, IF, PICK ...) or the codec change what they give

_SUFFIX = ".rgb.zst"
_SCHEMA_VERSION = 3  # raise it with the tables; a cache of another version starts empty
_PICTURE = re.compile(r'"image":\["([0-9a-f]+)"')
_SCHEMA = """
CREATE TABLE IF NOT EXISTS results (key TEXT PRIMARY KEY, value TEXT NOT NULL, made INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS files (
    path TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime INTEGER NOT NULL, seen INTEGER NOT NULL,
    hash TEXT NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS costs (tool TEXT PRIMARY KEY, calls INTEGER NOT NULL, ms REAL NOT NULL) WITHOUT ROWID;
"""


class BlobMissing(SightlineError):
    """A cached picture's file is gone or damaged; the entry counts as not cached."""


class ResultCache:
    """A cache in a folder that several processes may share.

    Args:
        folder: where `results.sqlite` and `blobs/` lie; made if missing.

    Values written are visible to later look-ups of the same object at once, and on disk after `flush` (called by the
    engine at the end of each batch of work); a killed process loses at most what was not flushed. Where the disk is full
    or the database damaged, that is said once (a warning in the log `sightline`), and work goes on without the cache.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.folder / "results.sqlite", timeout=30, check_same_thread=False)
            patiently(lambda: self._db.execute("PRAGMA journal_mode=WAL"))
            self._db.execute("PRAGMA synchronous=NORMAL")
            if self._db.execute("PRAGMA user_version").fetchone()[0] != _SCHEMA_VERSION:
                self._db.executescript("DROP TABLE IF EXISTS results; DROP TABLE IF EXISTS files;")
                self._db.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
            self._db.executescript(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise InputError(
                f"the cache in {self.folder} cannot be used ({error}); choose another with --cache, or delete it"
            ) from error
        self._lock = threading.Lock()
        self._pending: dict[str, str] = {}
        self._pending_files: dict[str, tuple[Any, ...]] = {}
        self._pending_costs: dict[str, tuple[int, float]] = {}
        self._writer = ThreadPoolExecutor(1, "cache-writer")  # compression off the main thread
        self._writes: list[Future[None]] = []
        self._writes_lock = threading.Lock()
        self.usable = True  # False once it could not be written or read

    # -- values -----------------------------------------------------------------------------------------------

    def get_many(self, keys: Sequence[str]) -> dict[str, str]:
        """The stored texts of those keys that are there; `decode` makes a value of one."""
        found: dict[str, str] = {}
        with self._lock:
            if not self.usable:
                return found
            found.update({key: self._pending[key] for key in keys if key in self._pending})
            missing = [key for key in keys if key not in found]
            try:
                for start in range(0, len(missing), 500):  # old builds of SQLite take 999 variables at most
                    part = missing[start : start + 500]
                    marks = ",".join("?" * len(part))
                    rows = self._db.execute(f"SELECT key, value FROM results WHERE key IN ({marks})", part)  # noqa: S608
                    found.update(rows.fetchall())
            except sqlite3.Error as error:
                self._give_up(error)
        return found

    def put(self, key: str, value: Any) -> None:
        """Keep a value. Pictures go to blob files in the background."""
        text = json.dumps(self._encode(value), separators=(",", ":"))
        with self._lock:
            if self.usable:
                self._pending[key] = text

    def _encode(self, value: Any) -> Any:
        if isinstance(value, Image):
            self._write_blob(value)
            return {"image": [value.hash, *value.size, *value.offset, value.picture, value.source]}
        if isinstance(value, Regions):
            return {"regions": value.to_json(exact=True)}
        if isinstance(value, Region):
            return {"region": value.to_json(exact=True)}
        if isinstance(value, list | tuple):
            return {"list": [self._encode(item) for item in value]}
        if value is None or isinstance(value, bool | int | float | str):
            return value
        raise TypeError(f"a {type(value).__name__} cannot be cached")

    def decode(self, text: str) -> Any:
        """The value of a stored text. Raises BlobMissing where a picture's file is gone."""
        return self._decode(json.loads(text))

    def _decode(self, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        if "regions" in data:
            return Regions.from_json(data["regions"])
        if "region" in data:
            return Region.from_json(data["region"])
        if "list" in data:
            return [self._decode(item) for item in data["list"]]
        content, width, height, x, y, picture, source = data["image"]
        path = self._blob_path(content)
        if not path.exists():
            self._finish_writes()
            if not path.exists():
                raise BlobMissing(f"cached picture {content[:8]} is gone")
        return Image(
            size=(width, height),
            load=lambda: _read_blob(path, (width, height)),
            content_hash=content,
            source=source,
            offset=(x, y),
            picture=picture,
        )

    def _blob_path(self, content: str) -> Path:
        return self.folder / "blobs" / content[:2] / f"{content[2:]}{_SUFFIX}"

    def _write_blob(self, image: Image) -> None:
        path = self._blob_path(image.hash)
        if not self.usable or path.exists():
            return
        pixels = image.pixels
        with self._writes_lock:
            self._writes.append(self._writer.submit(_write_pixels, path, pixels))
            many = len(self._writes) > 64  # bounds the pixels that wait for the writer
        if many:
            self._finish_writes()

    def _finish_writes(self) -> None:
        with self._writes_lock:
            writes, self._writes = self._writes, []
        for write in writes:
            try:
                write.result()
            except OSError as error:
                with self._lock:
                    self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        """Go on without the cache, the lock being held: results are worth more than keeping them."""
        if self.usable:
            logging.getLogger("sightline").warning(
                "the cache in %s is not used any more: %s", self.folder, error
            )
        self.usable = False
        self._pending.clear()
        self._pending_files.clear()
        self._pending_costs.clear()

    # -- files ------------------------------------------------------------------------------------------------

    def known_file(self, path: Path) -> tuple[str, int, int] | None:
        """(pixel hash, width, height) of a file seen before, without decoding it.

        Trusted only where size and modification time are unchanged *and* the file had been left alone for two seconds
        when it was hashed; a file that was still being written could otherwise change unseen.
        """
        try:
            stat = os.stat(path)
        except OSError:
            return None
        with self._lock:
            name = os.path.abspath(path)
            row = self._pending_files.get(name)
            if row is None and self.usable and _is_text(name):
                query = "SELECT path, size, mtime, seen, hash, width, height FROM files WHERE path = ?"
                try:
                    row = self._db.execute(query, (name,)).fetchone()
                except sqlite3.Error as error:
                    self._give_up(error)
        if row is None or row[1] != stat.st_size or row[2] != stat.st_mtime_ns:
            return None
        return (row[4], row[5], row[6]) if row[3] - row[2] > 2_000_000_000 else None

    def remember_file(self, path: Path, stat: os.stat_result, image: Image) -> None:
        """Note the pixel hash of a decoded file; `stat` is from before it was read."""
        name = os.path.abspath(path)
        row = (name, stat.st_size, stat.st_mtime_ns, time.time_ns(), image.hash, image.width, image.height)
        with self._lock:
            if self.usable and _is_text(name):
                self._pending_files[name] = row

    # -- costs ------------------------------------------------------------------------------------------------

    def add_cost(self, tool: str, calls: int, ms: float) -> None:
        """Note that `calls` calls of a tool took `ms` milliseconds; `explain` shows the mean."""
        with self._lock:
            before = self._pending_costs.get(tool, (0, 0.0))
            self._pending_costs[tool] = (before[0] + calls, before[1] + ms)

    def costs(self) -> dict[str, float]:
        """Mean milliseconds a call, by tool, over everything this cache has seen run."""
        with self._lock:
            totals: dict[str, tuple[int, float]] = {}
            try:
                totals.update(
                    {tool: (calls, ms) for tool, calls, ms in self._db.execute("SELECT * FROM costs")}
                )
            except sqlite3.Error as error:
                self._give_up(error)
            for tool, (calls, ms) in self._pending_costs.items():
                old = totals.get(tool, (0, 0.0))
                totals[tool] = (old[0] + calls, old[1] + ms)
        return {tool: ms / calls for tool, (calls, ms) in totals.items() if calls}

    # -- life -------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Write everything to disk; pictures first, so that no entry names a file that is not there."""
        self._finish_writes()
        with self._lock:
            if not (self._pending or self._pending_files or self._pending_costs):
                return
            try:
                self._write_pending()
            except (sqlite3.Error, OSError) as error:
                self._give_up(error)
            self._pending.clear()
            self._pending_files.clear()
            self._pending_costs.clear()

    def _write_pending(self) -> None:
        """One transaction: either all of it is on disk or none."""
        now = int(time.time())
        with self._db:
            self._db.executemany(
                "INSERT OR REPLACE INTO results VALUES (?, ?, ?)",
                [(key, text, now) for key, text in self._pending.items()],
            )
            self._db.executemany(
                "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?)", self._pending_files.values()
            )
            self._db.executemany(
                "INSERT INTO costs VALUES (?, ?, ?) ON CONFLICT (tool) DO UPDATE "
                "SET calls = calls + excluded.calls, ms = ms + excluded.ms",
                [(tool, *total) for tool, total in self._pending_costs.items()],
            )

    def prune(self, days: float = 0.0) -> tuple[int, int]:
        """Forget results made more than `days` ago, and pictures that no result names any more.

        Returns how many results and how many picture files went. A run that works at the same time loses nothing that it
        has made since: it makes again what it misses.
        """
        self.flush()
        before = int(time.time() - days * 86400)
        with self._lock, self._db:
            gone = self._db.execute("DELETE FROM results WHERE made <= ?", (before,)).rowcount
            named: set[str] = set()
            for (text,) in self._db.execute("SELECT value FROM results WHERE value LIKE '%\"image\"%'"):
                named.update(_PICTURE.findall(text))
        removed = 0
        for path in self.folder.glob(f"blobs/*/*{_SUFFIX}"):
            fresh = path.stat().st_mtime > before and days > 0  # its entry may not be flushed yet
            if path.parent.name + path.name.removesuffix(_SUFFIX) not in named and not fresh:
                path.unlink(missing_ok=True)
                removed += 1
        self._db.execute("VACUUM")
        return gone, removed

    def size(self) -> tuple[int, int]:
        """(results, bytes on disk of results and pictures)."""
        with self._lock:
            (count,) = self._db.execute("SELECT count(*) FROM results").fetchone()
        return int(count), sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())

    def close(self) -> None:
        self.flush()
        self._writer.shutdown()
        self._db.close()

    def __enter__(self) -> ResultCache:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _is_text(name: str) -> bool:
    """Whether a file's name is Unicode, as SQLite wants its keys; on POSIX it may be any bytes."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def patiently(action: Callable[[], T], seconds: float = 30.0) -> T:
    """Run `action` again while another process holds the database: SQLite does not wait by itself for a change to WAL."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return action()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _write_pixels(path: Path, pixels: np.ndarray) -> None:
    """Raw RGB under zstd, which costs a tenth of PNG's time at half more of its size; whole or not at all."""
    import pyarrow

    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}.tmp")
    data = pyarrow.compress(np.ascontiguousarray(pixels).tobytes(), codec="zstd", asbytes=True)
    with open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def _read_blob(path: Path, size: tuple[int, int]) -> np.ndarray:
    """A blob's pixels [H, W, 3], which must be of the size that the entry says."""
    import pyarrow

    width, height = size
    try:
        data = pyarrow.decompress(path.read_bytes(), width * height * 3, codec="zstd", asbytes=True)
        problem = "" if len(data) == width * height * 3 else f"it is not {width}x{height}"
    except (OSError, ValueError) as error:  # pyarrow's own errors are both
        problem = str(error) or type(error).__name__
    if problem:
        path.unlink(missing_ok=True)  # the entry then counts as absent, so the next run makes it anew
        raise BlobMissing(f"cached picture {path} was damaged ({problem}) and is removed; run again")
    return np.frombuffer(data, np.uint8).reshape(height, width, 3)
