"""Errors of the agent's own making; each is one line that says what was wrong and what to do."""

from __future__ import annotations

from ..errors import SightlineError
from ..mllm.cutoff import CutOff


class ControllerError(SightlineError):
    """A language model could not be reached, refused, or sent back nothing usable."""


class Unreachable(ControllerError):
    """The language model cannot be had at all (no server, key, quota or model there): asking it again would not help."""


class CannotError(ControllerError):
    """A controller that lacks an ability was asked for it; the agent goes down its ladder."""


class LimitReached(CutOff):
    """A limit of rounds, calls, tokens or seconds was reached, or nobody waits for the answer any more."""
