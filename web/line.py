"""The line that visitors stand in: a few questions at work at once, everybody served in turn, and told where they stand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import TracebackType

from ..errors import InputError

_TELL_EVERY = 2.0  # seconds; also how soon somebody who left without a word is noticed
_FIRST_GUESS = 5.0  # seconds a turn takes, before any was measured


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody stands: how many are served before, and about how many seconds that takes."""

    ahead: int
    seconds: float


class Line:
    """Turns for whoever asks, on one event loop.

    Each question gets a round on entering: one more than the round that is being served, or than the last question of the
    same visitor; lower rounds are served first, within a round who came first (start-time fair queueing, Goyal et al.,
    1996). So one visitor with twenty questions does not hold up nineteen others, and nobody waits for ever.

    Args:
        at_once: turns at the same time.
        most: how many may wait.
    """

    def __init__(self, at_once: int, most: int) -> None:
        self.at_once, self.most = at_once, most
        self._working: list[Turn] = []
        self._waiting: list[Turn] = []
        self._usual = _FIRST_GUESS
        self._round = 0
        self._last: dict[str, int] = {}  # the last round of each visitor, while it lies ahead

    def turn(self, visitor: str) -> Turn:
        """A turn, to be entered with `async with`."""
        return Turn(self, visitor)

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def _ordered(self) -> list[Turn]:
        """The waiting, in the order in which they will be served (the sort keeps who came first)."""
        return sorted(self._waiting, key=lambda turn: turn.round)

    def _enter(self, turn: Turn) -> None:
        if len(self._working) >= self.at_once and len(self._waiting) >= self.most:
            raise InputError(
                f"{len(self._waiting)} questions are waiting already; please try again in a minute"
            )
        turn.round = max(self._round, self._last.get(turn.visitor, 0)) + 1
        self._last[turn.visitor] = turn.round
        self._waiting.append(turn)
        self._serve()

    def _leave(self, turn: Turn) -> None:
        if turn in self._waiting:
            self._waiting.remove(turn)
        elif turn in self._working:
            self._working.remove(turn)
            self._usual += 0.2 * (time.monotonic() - turn.began - self._usual)
        self._serve()

    def _serve(self) -> None:
        while self._waiting and len(self._working) < self.at_once:
            first = self._ordered()[0]
            self._waiting.remove(first)
            self._working.append(first)
            first.began = time.monotonic()
            self._round = first.round
            self._last = {who: last for who, last in self._last.items() if last > self._round}
        for turn in (*self._waiting, *self._working):
            turn.moved.set()


class Turn:
    """One question's place in the line, from `async with` to its end, whatever ends it."""

    def __init__(self, line: Line, visitor: str) -> None:
        self.line, self.visitor = line, visitor
        self.began = 0.0
        self.round = 0
        self.moved = asyncio.Event()

    async def __aenter__(self) -> Turn:
        self.line._enter(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.line._leave(self)

    async def places(self) -> AsyncIterator[Place]:
        """Where it stands, at once, at every change and every two seconds; ends when its turn has come."""
        while self in self.line._waiting:
            self.moved.clear()
            ahead = self.line._ordered().index(self)
            rounds = (ahead + self.line.at_once) / self.line.at_once
            yield Place(ahead, rounds * self.line._usual)
            try:
                await asyncio.wait_for(self.moved.wait(), _TELL_EVERY)
            except TimeoutError:
                continue

    async def come(self) -> None:
        """Wait until its turn has come."""
        async for _ in self.places():
            pass
