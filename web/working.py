"""Work on a thread of its own, its events read as they come: what Programs and Verify show while they run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from ..agent.channel import Channel
from ..agent.events import Event, Recorder
from ..mllm.cutoff import Cutoff, cutting_off

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """What the work came to."""

    value: T


async def events_of(name: str, work: Callable[[Recorder], T]) -> AsyncIterator[Event | Done[T]]:
    """The events that `work` records, then what it came to; what it raises is raised here.

    Closing the iterator cuts the work off: a model stops between two tokens, and no further step begins.
    """
    loop = asyncio.get_running_loop()
    items: asyncio.Queue[Event | None] = asyncio.Queue()
    channel = Channel(lambda item: loop.call_soon_threadsafe(items.put_nowait, item))
    recorder = Recorder(name, (channel,), stopped=channel.stopped)

    def run() -> T:
        try:
            with cutting_off(Cutoff(stopped=channel.stopped)):
                return work(recorder)
        finally:
            channel.end()

    future = loop.run_in_executor(None, run)
    try:
        while (item := await items.get()) is not None:
            yield item
        yield Done(await future)
    finally:
        channel.stopped.set()
        # what cut-off work raises then is for nobody; asyncio would log it as an error that was forgotten
        future.add_done_callback(lambda over: over.cancelled() or over.exception())
