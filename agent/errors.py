"""Errors of the agent's own making; each is one line that says what was wrong and what to do."""

from __future__ import annotations

from ..errors import SightlineError


class ControllerError(SightlineError):
    """A language model could not be reached, refused, or sent back nothing usable."""


class CannotError(ControllerError):
    """A controller that lacks an ability was asked for it; the agent goes down its ladder."""


class LimitReached(SightlineError):
    """A limit of rounds, calls, tokens or seconds was reached."""
