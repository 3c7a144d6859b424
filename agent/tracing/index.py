"""The index over traces: one row each in SQLite (WAL), and which pictures each uses. Made again from the files if lost."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from ...errors import InputError
from ...programs.cache import patiently

T = TypeVar("T")

_VERSION = 1  # raise it with the tables; an index of another version is made anew from the files
_SCHEMA = """
CREATE TABLE IF NOT EXISTS traces (
    id TEXT PRIMARY KEY, time REAL NOT NULL, question TEXT NOT NULL, answer TEXT NOT NULL, status TEXT NOT NULL,
    mode TEXT NOT NULL, controller TEXT NOT NULL, pack TEXT NOT NULL, session TEXT, ms REAL NOT NULL,
    calls INTEGER NOT NULL, tokens INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS traces_time ON traces (time);
CREATE TABLE IF NOT EXISTS uses (trace TEXT NOT NULL, blob TEXT NOT NULL, PRIMARY KEY (trace, blob)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS uses_blob ON uses (blob);
"""


@dataclass(frozen=True, slots=True)
class Summary:
    """One trace in a list. `time` in seconds since 1970; `tokens` in and out together."""

    id: str
    time: float
    question: str
    answer: str
    status: str
    mode: str
    controller: str
    pack: str
    session: str | None
    ms: float
    calls: int
    tokens: int

    def to_json(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self)}


_COLUMNS = ", ".join(f.name for f in fields(Summary))


class Index:
    """The rows of `path`; one object may be used from several threads, one file by several processes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        try:
            self._db = self._open()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise InputError(f"the index of traces {path} cannot be used ({error})") from error
            for suffix in ("", "-wal", "-shm"):  # no database, or a damaged one: the files hold everything
                Path(f"{path}{suffix}").unlink(missing_ok=True)
            self._db = self._open()

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=30, check_same_thread=False, isolation_level=None)
        patiently(lambda: db.execute("PRAGMA journal_mode=WAL"))
        db.execute("PRAGMA synchronous=NORMAL")
        if patiently(lambda: db.execute("PRAGMA user_version").fetchone()[0]) != _VERSION:
            patiently(
                lambda: db.executescript(
                    f"BEGIN IMMEDIATE; DROP TABLE IF EXISTS traces; DROP TABLE IF EXISTS uses; {_SCHEMA}"
                    f"PRAGMA user_version = {_VERSION}; COMMIT;"
                )
            )
        db.execute("SELECT count(*) FROM traces").fetchone()
        return db

    def write(self, action: Callable[[sqlite3.Connection], T]) -> T:
        """Run `action` in one write transaction, which other threads and processes wait for."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                result = action(self._db)
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
            return result

    def put(self, summary: Summary, blobs: Iterable[str] = ()) -> None:
        """Keep or replace a trace's row, and note the pictures that it uses."""
        row = [_text(getattr(summary, f.name)) for f in fields(Summary)]
        uses = [(summary.id, blob) for blob in blobs]

        def action(db: sqlite3.Connection) -> None:
            marks = ", ".join("?" * len(row))
            db.execute(f"INSERT OR REPLACE INTO traces ({_COLUMNS}) VALUES ({marks})", row)  # noqa: S608
            db.executemany("INSERT OR IGNORE INTO uses VALUES (?, ?)", uses)

        self.write(action)

    def use(self, trace: str, blob: str) -> None:
        """Note that a trace uses a picture, before it is written: from then on no deletion takes the file away."""
        self.write(lambda db: db.execute("INSERT OR IGNORE INTO uses VALUES (?, ?)", (trace, blob)))

    def ids(self) -> set[str]:
        with self._lock:
            return {row[0] for row in self._db.execute("SELECT id FROM traces")}

    def with_status(self, status: str) -> list[str]:
        with self._lock:
            return [row[0] for row in self._db.execute("SELECT id FROM traces WHERE status = ?", (status,))]

    def get(self, trace: str) -> Summary | None:
        with self._lock:
            row = self._db.execute(f"SELECT {_COLUMNS} FROM traces WHERE id = ?", (trace,)).fetchone()  # noqa: S608
        return None if row is None else Summary(*row)

    def find(
        self,
        words: Sequence[str] = (),
        *,
        status: str | None = None,
        mode: str | None = None,
        session: str | None = None,
        since: float | None = None,
        limit: int = -1,
        offset: int = 0,
    ) -> list[Summary]:
        """Rows that hold every word in the question or the answer (case aside), the newest first."""
        wanted: list[str] = []
        values: list[Any] = []
        for word in words:
            escaped = word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
            wanted.append("(question LIKE ? ESCAPE '\\' OR answer LIKE ? ESCAPE '\\')")
            values += [f"%{escaped}%"] * 2
        for column, value in (("status", status), ("mode", mode), ("session", session)):
            if value is not None:
                wanted.append(f"{column} = ?")
                values.append(value)
        if since is not None:
            wanted.append("time >= ?")
            values.append(since)
        where = f"WHERE {' AND '.join(wanted)} " if wanted else ""
        query = f"SELECT {_COLUMNS} FROM traces {where}ORDER BY time DESC, id DESC LIMIT ? OFFSET ?"  # noqa: S608
        with self._lock:
            return [Summary(*row) for row in self._db.execute(query, (*values, limit, offset))]

    def drop(self, traces: Sequence[str], remove_blob: Callable[[str], None]) -> int:
        """Forget traces; `remove_blob` is called for each picture that none of the rest uses, under the write lock, so
        that no trace that is being written at the same time loses one. Returns how many pictures went.
        """

        def action(db: sqlite3.Connection) -> int:
            mine: set[str] = set()
            for trace in traces:
                mine.update(r[0] for r in db.execute("SELECT blob FROM uses WHERE trace = ?", (trace,)))
                db.execute("DELETE FROM uses WHERE trace = ?", (trace,))
                db.execute("DELETE FROM traces WHERE id = ?", (trace,))
            gone = [b for b in mine if not db.execute("SELECT 1 FROM uses WHERE blob = ?", (b,)).fetchone()]
            for blob in gone:
                remove_blob(blob)
            return len(gone)

        return self.write(action)

    def blobs_of(self, trace: str) -> set[str]:
        with self._lock:
            return {r[0] for r in self._db.execute("SELECT blob FROM uses WHERE trace = ?", (trace,))}

    def used_blobs(self) -> set[str]:
        with self._lock:
            return {row[0] for row in self._db.execute("SELECT DISTINCT blob FROM uses")}

    def close(self) -> None:
        with self._lock:
            self._db.close()


def _text(value: Any) -> Any:
    """A text as SQLite takes it: half a surrogate pair, which is no Unicode, is written as an escape."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
