"""Where traces are kept: one append-only JSONL file a question, pictures by hash, an index that can be made again."""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ...errors import InputError
from .blobs import Blobs
from .index import Index, Summary
from .trace import RUNNING, UNFINISHED, Trace, number_of, parse_lines
from .writing import TraceWriter

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}")
_SUFFIX = ".jsonl"
_PAUSE = 3600.0  # seconds that a picture without a trace is left alone: its trace may be under way


@dataclass(frozen=True, slots=True)
class Pruned:
    """What `prune` took away and what is left."""

    traces: int
    pictures: int
    bytes: int
    left: int

    def to_json(self) -> dict[str, int]:
        return {"traces": self.traces, "pictures": self.pictures, "bytes": self.bytes, "left": self.left}


def default_traces() -> Path:
    """Where traces are kept if nobody says otherwise: $SIGHTLINE_HOME/traces, else the user's data folder."""
    home = os.environ.get("SIGHTLINE_HOME")
    if home:
        return Path(home) / "traces"
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "sightline" / "traces"


class TraceStore:
    """Traces in a folder that several threads and processes may share.

    Args:
        folder: made if missing, for its owner alone: pictures and questions are private. `default_traces()` if not given.

    `ID.jsonl` are the traces, `pictures/` the pixels by hash, `index.sqlite` what `list` and `search` read; it is brought
    up to date with the files whenever they are listed, so that it may be deleted at any time.
    """

    def __init__(self, folder: Path | str | None = None) -> None:
        self.folder = Path(folder) if folder is not None else default_traces()
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            (self.folder / "pictures").mkdir(exist_ok=True)
        except OSError as error:
            raise InputError(
                f"traces cannot be kept in {self.folder} ({error.strerror}); choose another folder with --traces"
            ) from error
        self.blobs = Blobs(self.folder / "pictures")
        self.index = Index(self.folder / "index.sqlite")
        self._pool = ThreadPoolExecutor(1, "trace-pictures")  # compression off the answering thread
        self._lock = threading.Lock()

    # -- writing ---------------------------------------------------------------------------------------------------

    def open(self, trace: str) -> TraceWriter:
        """A sink for a new trace.

        Raises:
            InputError: the name is not one that a file may have, or there is such a trace already.
        """
        path = self._path(trace)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        except FileExistsError as error:
            raise InputError(
                f"there is a trace {trace} already; every question needs a name of its own"
            ) from error
        except OSError as error:
            raise InputError(f"the trace {path} cannot be written: {error.strerror}") from error
        file = os.fdopen(descriptor, "wb", buffering=0)
        _lock_file(file.fileno())
        return TraceWriter(trace, time.time(), file, self.blobs, self.index, self._pool, self._summarise)

    def _summarise(self, writer: TraceWriter) -> None:
        """Put the row of a trace that is being written into the index."""
        trace = self._read(writer.trace, running=True)
        self.index.put(summary(trace), writer.blobs)

    # -- reading ---------------------------------------------------------------------------------------------------

    def load(self, trace: str) -> Trace:
        """A trace by its name, by the beginning of its name, or "last" for the newest.

        Raises:
            InputError: there is none, or several begin so.
        """
        return self._read(self.resolve(trace))

    def resolve(self, name: str) -> str:
        """The full name of a trace; see `load`."""
        if name == "last":
            found = self.list(limit=1)
            if not found:
                raise InputError(f"no trace is kept in {self.folder}; ask something first (sightline ask)")
            return found[0].id
        if self._path(name).is_file():
            return name
        ids = sorted(trace for trace in self._files() if trace.startswith(name))
        if len(ids) == 1:
            return ids[0]
        if ids:
            raise InputError(
                f"{len(ids)} traces begin with {name!r} ({ids[0]}, {ids[1]} ...); write more of the name"
            )
        raise InputError(f"no trace {name!r} in {self.folder}; see: sightline trace list")

    def list(
        self,
        limit: int | None = None,
        offset: int = 0,
        *,
        status: str | None = None,
        mode: str | None = None,
        session: str | None = None,
        since: float | None = None,
    ) -> Sequence[Summary]:
        """Traces, the newest first."""
        self.refresh()
        return self.index.find(
            status=status, mode=mode, session=session, since=since, limit=-1 if limit is None else limit, offset=offset
        )  # fmt: skip

    def search(self, words: str, limit: int | None = None) -> Sequence[Summary]:
        """Traces whose question or answer holds every one of the words, the newest first."""
        self.refresh()
        return self.index.find(words.split(), limit=-1 if limit is None else limit)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._files(), reverse=True))

    def refresh(self) -> None:
        """Bring the index up to date with the files: traces that it does not know, traces that are gone, killed ones."""
        files = self._files()
        known = self.index.ids()
        for trace in sorted((files - known) | (set(self.index.with_status(RUNNING)) & files)):
            with contextlib.suppress(FileNotFoundError):  # deleted by another process just now
                read = self._read(trace)
                self.index.put(summary(read), {row.blob for row in read.pictures.values()})
        gone = sorted(known - files)
        if gone:
            self.index.drop(gone, self.blobs.remove)

    # -- lifetimes ---------------------------------------------------------------------------------------------------

    def delete(self, trace: str) -> int:
        """Delete a trace and the pictures that no other trace uses; returns how many pictures went.

        Raises:
            InputError: there is none of that name, or it is still being written.
        """
        name = self.resolve(trace)
        path = self._path(name)
        if _is_locked(path):
            raise InputError(f"trace {name} is still being written; delete it when its answer is there")
        self.refresh()
        path.unlink(missing_ok=True)
        return self.index.drop([name], self.blobs.remove)

    def prune(self, older_than_days: float | None = None, max_bytes: int | None = None) -> Pruned:
        """Delete traces older than so many days, then the oldest until all together take at most `max_bytes`.

        Traces that are being written stay. Pictures that no trace uses go too.
        """
        self.refresh()
        before = self.size()[1]
        rows = [row for row in reversed(self.list()) if row.status != RUNNING]
        limit = None if older_than_days is None else time.time() - older_than_days * 86400
        old = [row.id for row in rows if limit is not None and row.time < limit]
        pictures = self._drop(old)
        traces = len(old)
        if max_bytes is not None:
            gone = set(old)
            rest = [row.id for row in rows if row.id not in gone]
            while rest and self.size()[1] > max_bytes:
                some = rest[
                    : max(1, len(rest) // 16)
                ]  # not one by one: a folder of many would be measured as often
                rest = rest[len(some) :]
                pictures += self._drop(some)
                traces += len(some)
        pictures += self._drop_strays()
        count, left = self.size()
        return Pruned(traces, pictures, max(0, before - left), count)

    def _drop(self, traces: Sequence[str]) -> int:
        for trace in traces:
            self._path(trace).unlink(missing_ok=True)
        return self.index.drop(traces, self.blobs.remove) if traces else 0

    def _drop_strays(self) -> int:
        """Pictures that no trace names, as a kill between a picture and its line could leave."""
        count = 0
        strays = [self.blobs.path(blob) for blob in set(self.blobs.sizes()) - self.index.used_blobs()]
        for path in [*strays, *self.blobs.halves()]:
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > _PAUSE:
                    path.unlink()
                    count += 1
        return count

    def size(self) -> tuple[int, int]:
        """(traces, bytes of traces and pictures on disk)."""
        names = self._files()
        total = sum(self.blobs.sizes().values())
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += self._path(name).stat().st_size
        return len(names), total

    def close(self) -> None:
        self._pool.shutdown()
        self.index.close()

    def __enter__(self) -> TraceStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- inside ----------------------------------------------------------------------------------------------------

    def _path(self, trace: str) -> Path:
        if not isinstance(trace, str) or not _ID.fullmatch(trace):
            raise InputError(
                f"{trace!r} is no name of a trace: letters, digits, '.', '_' and '-', not beginning with a sign"
            )
        return self.folder / f"{trace}{_SUFFIX}"

    def _files(self) -> set[str]:
        with os.scandir(self.folder) as entries:
            return {e.name.removesuffix(_SUFFIX) for e in entries if e.name.endswith(_SUFFIX) and e.is_file()}

    def _read(self, trace: str, running: bool | None = None) -> Trace:
        path = self._path(trace)
        data = path.read_bytes()
        read = parse_lines(trace, data.split(b"\n"))
        read.time = read.time or path.stat().st_mtime
        read.read = self.blobs.read
        read.running = _is_locked(path) if running is None else running
        return read


def summary(trace: Trace) -> Summary:
    """The row of a trace in the index."""
    ask, usage = trace.ask, trace.usage
    session = ask.get("session")
    return Summary(
        trace.id, trace.time, trace.question, trace.answer, trace.status, trace.mode, str(ask.get("controller", "")),
        str(ask.get("pack", "")), None if session is None else str(session), round(trace.ms, 2),
        int(number_of(usage.get("calls"))), int(number_of(usage.get("tokens_in")) + number_of(usage.get("tokens_out"))),
    )  # fmt: skip


def _lock_file(descriptor: int) -> None:
    """Hold the file while it is written; the system lets go when the process ends, however it does."""
    try:
        import fcntl
    except ImportError:  # Windows: a trace without an end counts as unfinished while it is written
        return
    with contextlib.suppress(OSError):  # a file system without locks
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_locked(path: Path) -> bool:
    """Whether a process writes the file just now."""
    try:
        import fcntl
    except ImportError:
        return False
    with open(path, "rb") as file:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
    return False


__all__ = ["RUNNING", "UNFINISHED", "Pruned", "Summary", "TraceStore", "default_traces", "summary"]
