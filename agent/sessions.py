"""Memory by session: the turns so far and the pictures last spoken of, never shared, and bounded."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict, deque
from dataclasses import dataclass, field

from ..tools.values import Image

TURNS = 16  # turns that a session remembers
SESSIONS = 1024  # sessions that an agent remembers; the one unused for longest is forgotten


@dataclass(frozen=True, slots=True)
class Turn:
    """One question and its answer; `alone` is the question with what it left open filled in, `things` what it was about."""

    question: str
    answer: str
    alone: str = ""
    things: tuple[str, ...] = ()


@dataclass
class Session:
    """One conversation. `lock` keeps its questions in order; different sessions do not wait for each other."""

    id: str
    turns: deque[Turn] = field(default_factory=lambda: deque(maxlen=TURNS))
    pictures: tuple[Image, ...] = ()
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def history(self) -> tuple[tuple[str, str], ...]:
        """(question, answer) of each turn, oldest first."""
        return tuple((turn.question, turn.answer) for turn in self.turns)

    @property
    def last(self) -> Turn | None:
        return self.turns[-1] if self.turns else None


class Sessions:
    """An agent's sessions by id."""

    def __init__(self, most: int = SESSIONS) -> None:
        self._most = most
        self._kept: OrderedDict[str, Session] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str | None) -> Session:
        """The session of that id, made if new; without an id, one of its own that nobody can name again."""
        if key is None:
            return Session(secrets.token_hex(8))
        with self._lock:
            if key not in self._kept:
                self._kept[key] = Session(key)
                while len(self._kept) > self._most:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
            return self._kept[key]

    def forget(self, key: str) -> None:
        """Drop a session's turns and pictures."""
        with self._lock:
            self._kept.pop(key, None)

    def __len__(self) -> int:
        return len(self._kept)
