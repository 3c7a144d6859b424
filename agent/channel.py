"""Events on their way from the thread that answers to whoever reads the stream."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable
from typing import Any

from ..tools.values import Image
from .events import Event


class Channel:
    """A sink that hands events to whoever reads the stream; `stopped` tells the work that nobody reads any more."""

    def __init__(self, deliver: Any = None) -> None:
        self.items: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self.stopped = threading.Event()
        self._deliver = deliver or self.items.put

    def receive(self, event: Event, pictures: Iterable[Image]) -> None:
        self._hand_on(event)

    def end(self) -> None:
        self._hand_on(None)

    def over(self, _future: object) -> None:
        """A future's callback: ends the stream also where the work was cancelled before it began."""
        self.end()

    def _hand_on(self, item: Event | None) -> None:
        if not self.stopped.is_set():  # where nobody reads, the reader's event loop may be closed
            self._deliver(item)
