"""What an agent is made of, by name: the controller that thinks, and where its traces are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from ..tools.registry import Registry
from .controllers.base import Controller
from .events import Sink


class KeptTrace(Sink, Protocol):
    """A sink that puts a trace away; `close` is called once its answer is there, or failed."""

    def close(self) -> None: ...


class Traces(Protocol):
    """Where traces are kept (`agent/tracing`)."""

    def open(self, trace: str) -> KeptTrace: ...


def make_controller(
    given: str | Controller, registry: Registry, weights: str | Path | None = None
) -> Controller:
    """A controller by name; `weights` is another starter's folder.

    Raises:
        InputError: there is no such controller, or what it needs is not there.
    """
    if given == "starter":
        from .controllers.starter import StarterController

        return StarterController(registry=registry, weights=weights)
    from .controllers.named import controller

    return controller(given, registry=registry) if isinstance(given, str) else controller(given)


def traces_in(given: str | Path | Traces | None) -> Traces | None:
    """The store of a folder, or the store that is given; None for None."""
    if given is None or not isinstance(given, str | Path):
        return given
    from .tracing.store import TraceStore

    return TraceStore(Path(given))
