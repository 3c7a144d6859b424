"""The limits of one answer, held against what its trace says was spent so far: time, rounds, calls and tokens."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from ..mllm.cutoff import Cutoff
from .errors import LimitReached
from .events import Event, Recorder
from .records import Limits, Usage
from .steps import CONTROL


def usage_of(events: Iterable[Event]) -> Usage:
    """What a sequence of events cost. A step counts as a call unless it was skipped or needs no tool."""
    usage = Usage()
    for event in events:
        data = event.data
        usage.ms = max(usage.ms, event.ms)
        if event.kind == "thought":
            usage.model_calls += 1
            usage.tokens_in += data.get("tokens_in") or 0
            usage.tokens_out += data.get("tokens_out") or 0
        elif _is_call(event):
            usage.calls += 1
            usage.cached += bool(data.get("cached"))
    return usage


def _is_call(event: Event) -> bool:
    if event.kind == "step":
        return event.data.get("status") != "skipped" and event.data.get("op") not in CONTROL
    return event.kind == "observation"


@dataclass(frozen=True, slots=True)
class Budget:
    """`check()` is asked between two pieces of work; `cutoff()` ends a model call that is under way."""

    limits: Limits
    recorder: Recorder

    @property
    def usage(self) -> Usage:
        """What was spent since the question, by the trace."""
        spent = usage_of(self.recorder.events)
        spent.ms = self.recorder.ms
        return spent

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the cut-off, never below 0; None without a limit."""
        if self.limits.seconds is None:
            return None
        return max(0.0, self.limits.seconds - self.recorder.ms / 1000)

    def cutoff(self) -> Cutoff:
        """Where work must stop in the middle: at the limit of seconds, or where nobody waits any more."""
        left = self.seconds_left
        until = None if left is None else time.monotonic() + left
        return Cutoff(until, self.recorder.stopped, self._over, LimitReached)

    @property
    def _over(self) -> str:
        return f"the limit of {self.limits.seconds or 0:g} seconds is reached; raise Limits.seconds"

    def check(self, calls: int = 0, rounds: int = 0) -> None:
        """Whether `calls` more tool calls, or round number `rounds`, are within the limits.

        Raises:
            LimitReached: a limit is reached; the message names it and how to raise it.
        """
        if self.recorder.stopped is not None and self.recorder.stopped.is_set():
            raise LimitReached("nobody waits for the answer any more")
        limits, spent = self.limits, self.usage
        if limits.seconds is not None and spent.ms >= limits.seconds * 1000:
            raise LimitReached(self._over)
        if spent.calls + calls > limits.calls:
            raise LimitReached(f"the limit of {limits.calls} tool calls is reached; raise Limits.calls")
        if limits.tokens is not None and spent.tokens_in + spent.tokens_out >= limits.tokens:
            raise LimitReached(f"the limit of {limits.tokens} tokens is reached; raise Limits.tokens")
        if rounds > limits.rounds:
            raise LimitReached(f"the limit of {limits.rounds} rounds is reached; raise Limits.rounds")
