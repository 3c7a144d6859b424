"""One trace as it is read back: its events in order, its pictures by hash, and what a reader asks of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...tools.values import Image, Pixels
from ..events import Event
from .blobs import PictureMissing

FORMAT = 1  # of the file; raise it where an old reader could not read a new file
RUNNING, UNFINISHED = "running", "unfinished"  # besides the statuses of an answer


@dataclass(frozen=True, slots=True)
class PictureRow:
    """Where a picture's pixels lie: a blob, or a window (x1, y1, x2, y2) of one.

    `hash` is the Image's own, `frame` the hash of the original that its offset is in.
    """

    hash: str
    blob: str
    size: tuple[int, int]
    offset: tuple[int, int] = (0, 0)
    frame: str = ""
    window: tuple[int, int, int, int] | None = None
    source: str | None = None

    def to_json(self) -> dict[str, Any]:
        data: dict[str, Any] = {"hash": self.hash, "blob": self.blob, "size": list(self.size)}
        if self.offset != (0, 0):
            data["offset"] = list(self.offset)
        if self.frame and self.frame != self.hash:
            data["frame"] = self.frame
        if self.window is not None:
            data["window"] = list(self.window)
        if self.source is not None:
            data["source"] = self.source
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> PictureRow:
        """The inverse of `to_json`; KeyError, TypeError or ValueError where a field is missing or wrong."""
        window = data.get("window")
        width, height = (int(v) for v in data["size"])
        x, y = (int(v) for v in data.get("offset", (0, 0)))
        return cls(
            hash=str(data["hash"]),
            blob=str(data["blob"]),
            size=(width, height),
            offset=(x, y),
            frame=str(data.get("frame", data["hash"])),
            window=None if window is None else _window(window),
            source=data.get("source"),
        )


def _window(values: Sequence[Any]) -> tuple[int, int, int, int]:
    x1, y1, x2, y2 = (int(v) for v in values)
    return x1, y1, x2, y2


@dataclass(slots=True)
class Run:
    """One program as it ran: its text, its graph and its steps, in order. `number` is the program's own in the trace.

    `checking` marks steps that gathered evidence for the claims of a draft; their text is no program that could run again.
    """

    number: int
    seq: int
    text: str
    nodes: Sequence[Mapping[str, Any]] = ()
    edges: Sequence[Sequence[int]] = ()
    notes: Sequence[str] = ()
    steps: list[Mapping[str, Any]] = field(default_factory=list)
    checking: bool = False


@dataclass
class Trace:
    """What was kept of one question.

    `status` is the answer's, or "running" or "unfinished" (the process ended before the answer did). `time` is the wall
    clock at the question, in seconds since 1970. `lost` counts lines that could not be read (the last one of a killed
    process).
    """

    id: str
    time: float
    events: list[Event]
    pictures: dict[str, PictureRow] = field(default_factory=dict)
    read: Callable[[str], Pixels] | None = None
    running: bool = False
    lost: int = 0

    # -- the parts ------------------------------------------------------------------------------------------------

    def of(self, *kinds: str) -> Iterator[Event]:
        """The events of these kinds, in order."""
        return (event for event in self.events if event.kind in kinds)

    def last(self, kind: str) -> Mapping[str, Any]:
        """The data of the last event of a kind; empty where there is none."""
        return next((event.data for event in reversed(self.events) if event.kind == kind), {})

    @property
    def ask(self) -> Mapping[str, Any]:
        return self.last("ask")

    @property
    def question(self) -> str:
        return str(self.ask.get("question", ""))

    @property
    def answer(self) -> str:
        return str(self.last("answer").get("text", ""))

    @property
    def mode(self) -> str:
        """The mode that answered, else the one that was chosen."""
        return str(
            self.last("answer").get("mode") or self.last("mode").get("chosen") or self.ask.get("mode", "")
        )

    @property
    def status(self) -> str:
        end = self.last("end") or self.last("answer")
        return str(end["status"]) if end.get("status") else RUNNING if self.running else UNFINISHED

    @property
    def usage(self) -> Mapping[str, Any]:
        usage = self.last("end").get("usage")
        return usage if isinstance(usage, Mapping) else {}

    @property
    def ms(self) -> float:
        """Milliseconds from the question to the end, or to the last event that is known."""
        return float(number_of(self.usage.get("ms"))) or (self.events[-1].ms if self.events else 0.0)

    def runs(self) -> list[Run]:
        """The programs that ran, in order; each with its steps. Where no graph was told, the plan before the steps."""
        runs: list[Run] = []
        latest: dict[int, Run] = {}
        plan = ""
        checking = False
        for event in self.events:
            data = event.data
            if event.kind == "draft":  # what is looked up from here on is evidence for or against it
                latest.clear()
                plan, checking = "", True
            elif event.kind == "plan" and data.get("ok"):
                plan = str(data.get("program", ""))
            elif event.kind == "graph":
                number = int(number_of(data.get("program")))
                run = Run(
                    number, event.seq, str(data.get("text") or plan), _rows(data.get("nodes")), _rows(data.get("edges")),
                    _rows(data.get("notes")), checking=checking,
                )  # fmt: skip
                latest[number] = run
                runs.append(run)
            elif event.kind == "step":
                number = int(number_of(data.get("program")))
                if number not in latest:
                    latest[number] = Run(number, event.seq, plan, checking=checking)
                    runs.append(latest[number])
                latest[number].steps.append(data)
        return runs

    def image(self, content: str) -> Image:
        """A picture by its hash; its pixels are read when they are looked at.

        Raises:
            PictureMissing: the trace does not hold it (its pixels raise it too, where the file is gone).
        """
        row = self.pictures.get(content)
        if row is None or self.read is None:
            raise PictureMissing(f"trace {self.id} holds no picture {content[:8]}")
        read = self.read

        def load() -> Pixels:
            pixels = read(row.blob)
            if row.window is not None:
                x1, y1, x2, y2 = row.window
                pixels = pixels[y1:y2, x1:x2]
            if (pixels.shape[1], pixels.shape[0]) != row.size:
                raise PictureMissing(f"the kept picture {content[:8]} is not {row.size[0]} x {row.size[1]}")
            return pixels

        return Image(
            size=row.size, load=load, content_hash=row.hash, source=row.source, offset=row.offset,
            picture=row.frame or row.hash,
        )  # fmt: skip

    def asked_pictures(self) -> list[Image]:
        """The pictures of the question, in order; raises PictureMissing where one was not kept."""
        return [self.image(str(told["hash"])) for told in self.ask.get("pictures", ())]


def number_of(value: Any) -> float:
    """A number as it is; 0 for anything else, as a trace of another hand may hold it."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else 0


def _rows(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()


def parse_lines(trace_id: str, lines: Iterable[bytes]) -> Trace:
    """A trace from the lines of its file. A line that is no record is dropped and counted, as a kill leaves the last one."""
    trace = Trace(trace_id, 0.0, [])
    for line in lines:
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            if "seq" in row:
                trace.events.append(Event.from_json(row))
            elif "picture" in row:
                picture = PictureRow.from_json(row["picture"])
                trace.pictures[picture.hash] = picture
            elif "trace" in row:
                trace.time = float(row["trace"]["time"])
        except (ValueError, KeyError, TypeError):
            trace.lost += 1
    trace.events.sort(key=lambda event: event.seq)
    return trace
