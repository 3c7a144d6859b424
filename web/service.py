"""What all visitors share: the agents (one a pack, made when first asked for), the seats, the traces, and the limits."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..agent.agent import Agent
from ..agent.records import Limits
from ..errors import InputError, SightlineError
from ..tools.registry import default_registry
from .desk import Desk


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
    limits: Limits = field(default_factory=lambda: Limits(seconds=60.0))


class Service:
    """The shared part of the app."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.desk = Desk(settings.folder, settings.lifetime)
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
                    workers=self.settings.at_once,
                )
                self._agents[pack] = made
            return self._agents[pack]

    def warm(self) -> None:
        """Load what the first click and the first question need, so that nobody waits for it."""
        for pack in self.settings.packs:
            models = self.agent(pack).engine.models
            for role in ("segmenter", "detector"):
                if models.has(role):
                    try:
                        models.get(role)
                    except SightlineError:
                        continue  # the first use says why

    def leave(self, visitor: str) -> None:
        """A visitor is gone: pictures, marks and memory of the conversation too."""
        seat = self.desk.leave(visitor)
        if seat is not None:
            for agent in self._agents.values():
                agent.forget(seat.key)

    def close(self) -> None:
        self.desk.close()
        for agent in self._agents.values():
            agent.close()
