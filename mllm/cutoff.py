"""Where work must stop in the middle: a moment, or a person who no longer waits; in force for whatever is called below.

    with cutting_off(Cutoff(until=time.monotonic() + 5, why="five seconds are over")):
        ...  # a model at work in here stops between two tokens and raises CutOff

It is a context variable, so that no function on the way has to hand it on; whoever starts a thread for such work runs it in a
copy of the context (`contextvars.copy_context().run`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from ..errors import SightlineError

_LOOK = 0.05  # seconds between two looks at whether a wait must end


class CutOff(SightlineError):
    """Work was stopped in the middle, by a limit of time or because nobody waits for it."""


@dataclass(frozen=True, slots=True)
class Cutoff:
    """`until`: a moment of `time.monotonic`; None for no limit. `stopped` is set where nobody waits any more.

    `error` is what is raised, with `why` where the time is over.
    """

    until: float | None = None
    stopped: threading.Event | None = None
    why: str = "the time for it is over"
    error: type[CutOff] = CutOff

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the limit, never below 0; None without one."""
        return None if self.until is None else max(0.0, self.until - time.monotonic())

    @property
    def due(self) -> bool:
        """Whether the work must stop now."""
        return (self.stopped is not None and self.stopped.is_set()) or self.seconds_left == 0.0

    @property
    def open(self) -> bool:
        """Whether it can never be due."""
        return self.until is None and self.stopped is None

    def check(self) -> None:
        """Raises CutOff where the work must stop now."""
        if self.stopped is not None and self.stopped.is_set():
            raise self.error("nobody waits for the answer any more")
        if self.seconds_left == 0.0:
            raise self.error(self.why)

    def wait(self, done: Callable[[float], bool]) -> None:
        """Wait until `done(seconds)`, which itself waits at most so long, says so; raises CutOff where it takes too long."""
        while True:
            self.check()
            left = self.seconds_left
            if done(_LOOK if left is None or (self.stopped is not None and left > _LOOK) else left):
                return


_NEVER = Cutoff()
_current: ContextVar[Cutoff | None] = ContextVar("sightline_cutoff", default=None)


def current() -> Cutoff:
    """The cut-off in force; one that is never due where there is none."""
    return _current.get() or _NEVER


@contextmanager
def cutting_off(cutoff: Cutoff) -> Iterator[Cutoff]:
    """Put a cut-off in force for what is called inside."""
    token = _current.set(cutoff)
    try:
        yield cutoff
    finally:
        _current.reset(token)


@contextmanager
def held(lock: Any) -> Iterator[None]:
    """The lock held inside; raises CutOff where it cannot be had in time."""
    cutoff = current()
    if cutoff.open:
        lock.acquire()
    else:
        cutoff.wait(lambda seconds: bool(lock.acquire(timeout=seconds)))
    try:
        yield
    finally:
        lock.release()


def stopping() -> dict[str, Any]:
    """Arguments for transformers' `generate` that end it between two tokens where the work must stop.

    What it returns then is a piece of a reply: call `current().check()` after it.
    """
    cutoff = current()
    if cutoff.open:
        return {}

    def due(input_ids: Any, scores: Any, **options: Any) -> Any:
        import torch

        return torch.full((input_ids.shape[0],), cutoff.due, dtype=torch.bool, device=input_ids.device)

    return {"stopping_criteria": [due]}
