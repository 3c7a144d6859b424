"""Batch results on disk: one Parquet row per picture, written in whole parts so that a killed run loses no written row.

    OUT/manifest.json      what was run: program text and digest, pack, tool versions
    OUT/parts/*.parquet    rows of a run under way, each part written whole (temp file, fsync, rename)
    OUT/results.parquet    all rows, once the run is complete; the parts are then removed

A reader takes `results.parquet` and whatever parts there are; a row in both is one row.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..tools.imagefile import write_whole

if TYPE_CHECKING:
    import pyarrow

COLUMNS = (
    ("path", "string"),  # relative to the folder that was read
    ("pixel_hash", "string"),
    ("status", "string"),  # done or failed
    ("kind", "string"),  # kind of the result: text, number, flag, regions, image, ...
    ("result", "string"),  # the result as JSON; pictures are named by their file below OUT
    ("error", "string"),
    ("error_kind", "string"),
    ("ms", "double"),
    ("steps", "string"),  # JSON: name, op, status, ms, cached, batch of every step
    ("program", "string"),  # digest of the program's canonical text
)


@dataclass(frozen=True)
class Manifest:
    """What a batch folder holds; a run resumes only the same program with the same pack on the same folder."""

    program: str
    digest: str
    pack: str
    folder: str  # the pictures', absolute; rows name them relative to it
    version: str

    def write(self, folder: Path) -> None:
        text = json.dumps(self.__dict__, indent=2, ensure_ascii=False)
        write_whole(folder / "manifest.json", text.encode())

    @classmethod
    def read(cls, folder: Path) -> Manifest | None:
        path = folder / "manifest.json"
        if not path.exists():
            return None
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            return cls(**{name: str(data[name]) for name in cls.__dataclass_fields__})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} is no manifest of a batch ({error}); choose another --out") from error


class RowStore:
    """Rows of one batch folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.parts = folder / "parts"

    @property
    def complete(self) -> Path:
        return self.folder / "results.parquet"

    def write_part(self, rows: list[dict[str, Any]]) -> None:
        """Write rows as a new part, whole or not at all."""
        if rows:
            self.parts.mkdir(parents=True, exist_ok=True)
            write_whole(self.parts / f"part-{secrets.token_hex(8)}.parquet", _encode(rows))

    def files(self) -> list[Path]:
        found = sorted(self.parts.glob("part-*.parquet")) if self.parts.is_dir() else []
        return ([self.complete] if self.complete.exists() else []) + found

    def finished(self, *, retry_failed: bool = False) -> set[str]:
        """Paths that have a row; with `retry_failed` only those whose row is not a failure."""
        return {
            row["path"]
            for row in self.rows(columns=["path", "status"])
            if not (retry_failed and row["status"] == "failed")
        }

    def rows(self, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
        """All rows, later parts last; a path may come more than once until `finish`."""
        import pyarrow.parquet as parquet

        for path in self.files():
            try:
                table = parquet.read_table(path, columns=columns)
            except (OSError, ValueError) as error:
                raise InputError(
                    f"{path} cannot be read as Parquet ({error}); remove it and resume"
                ) from error
            yield from table.to_pylist()

    def finish(self, order: Iterable[str]) -> int:
        """Merge everything into `results.parquet`, one row per path in the given order; returns the number of rows.

        The merged file replaces the old one before the parts go, so a kill in between loses and doubles nothing.
        """
        latest: dict[str, dict[str, Any]] = {}
        for row in self.rows():
            before = latest.get(row["path"])
            if before is None or before["status"] == "failed":  # a retry's success wins over the failure
                latest[row["path"]] = row
        ordered = [latest.pop(path) for path in order if path in latest] + list(latest.values())
        parts = [path for path in self.files() if path != self.complete]
        write_whole(self.complete, _encode(ordered))
        for path in parts:
            path.unlink()
        if self.parts.is_dir() and not any(
            self.parts.iterdir()
        ):  # a file browser may have left something of its own
            self.parts.rmdir()
        return len(ordered)


def _schema() -> pyarrow.Schema:
    import pyarrow

    return pyarrow.schema(
        [(name, getattr(pyarrow, "float64" if kind == "double" else kind)()) for name, kind in COLUMNS]
    )


def _encode(rows: list[dict[str, Any]]) -> bytes:
    import pyarrow
    import pyarrow.parquet as parquet

    sink = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.Table.from_pylist(rows, schema=_schema()), sink, compression="zstd")
    return bytes(sink.getvalue())
