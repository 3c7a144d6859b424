"""What all visitors share: the agents (one a pack, made when first asked for), the seats, the traces, and the limits."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..agent.agent import Agent
from ..agent.records import Limits, Mark
from ..agent.tracing.store import TraceStore
from ..errors import InputError, SightlineError
from ..tools.registry import default_registry
from ..tools.values import Image
from .desk import Desk, Seat
from .line import Line
from .segment import masks_of


@dataclass(frozen=True, slots=True)
class Settings:
    """How the operator runs the app.

    Attributes:
        packs: packs that visitors may choose from; the first is chosen at the start.
        controller: the language model that thinks.
        root: below which folders may be worked through in the Batch tab; None offers uploads only.
        traces: where traces are kept; None keeps none.
        all_traces: show every trace of the folder, not the visitor's own alone; for a machine with one user.
        folder: where visitors' pictures lie while they are there; the only folder that browsers may read.
        lifetime: seconds after which an unused seat is let go.
        at_once: questions at work at the same time; more wait in line and are told where they stand.
        line: questions that may wait; more are refused with a line that says so.
        keep_days: traces are deleted after so many days; None keeps them.
        limits: of one answer.
    """

    folder: Path
    packs: Sequence[str] = ("scenes", "starter")
    controller: str = "starter"
    root: Path | None = None
    traces: Path | None = None
    all_traces: bool = False
    cache: Path | None = None
    lifetime: float = 3600.0
    at_once: int = 2
    line: int = 64
    keep_days: float | None = None
    limits: Limits = field(default_factory=lambda: Limits(seconds=60.0))


class Service:
    """The shared part of the app."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.desk = Desk(settings.folder, settings.lifetime, gone=self.forget)
        self.line = Line(settings.at_once, settings.line)
        self.batches = Line(1, settings.line)
        self.registry = default_registry()
        self._agents: dict[str, Agent] = {}
        self._lock = threading.Lock()

    def agent(self, pack: str) -> Agent:
        """The agent of a pack; InputError for one that the operator does not offer. The browser is not trusted."""
        if pack not in self.settings.packs:
            raise InputError(
                f"pack {str(pack)[:60]!r} is not offered here; choose {' or '.join(self.settings.packs)}"
            )
        with self._lock:
            if pack not in self._agents:
                made = Agent(
                    self.settings.controller,
                    pack,
                    cache=self.settings.cache,
                    traces=self.settings.traces,
                    limits=self.settings.limits,
                    workers=self.settings.at_once + 2,  # one that was stopped may still be ending
                )
                self._agents[pack] = made
            return self._agents[pack]

    def warm(self) -> None:
        """Load what the first click and the first question need and use it once, so that nobody waits for it."""
        blank = Image.from_array(np.zeros((64, 64, 3), np.uint8))
        for pack in self.settings.packs:
            engine = self.agent(pack).engine
            try:
                if engine.models.has("detector"):
                    engine.models.get("detector")
                if engine.models.has("segmenter"):
                    masks_of(engine, blank, Mark(points=((32.0, 32.0, True),)))
            except SightlineError:
                continue  # the first use says why

    def leave(self, visitor: str) -> None:
        """A visitor is gone: pictures, marks and memory of the conversation too."""
        self.desk.leave(visitor)

    def forget(self, seat: Seat) -> None:
        """What was said so far is no longer what a question follows up on."""
        for agent in list(self._agents.values()):
            agent.forget(seat.key)

    def tidy(self) -> None:
        """Let go of what has outlived its time: seats that were left, and old traces."""
        self.desk.tidy()
        if self.settings.traces is not None and self.settings.keep_days is not None:
            with TraceStore(self.settings.traces) as store:
                store.prune(older_than_days=self.settings.keep_days)

    def close(self) -> None:
        self.desk.close()
        for agent in self._agents.values():
            agent.close()
