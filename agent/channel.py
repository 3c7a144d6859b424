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
        self._deliver(event)

    def end(self) -> None:
        self._deliver(None)
