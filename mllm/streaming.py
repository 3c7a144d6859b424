"""Words as they are written: a model at work on a thread of its own, its reply handed on piece by piece."""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

from .cutoff import current


class _Gone(Exception):
    """Whoever read the words has left."""


class _Ids:
    """A streamer of transformers' `generate` that hands on the ids of the reply, one at a time, without the prompt's.

    It also ends the work: an exception here goes through `generate`.
    """

    def __init__(self, deliver: Callable[[int], None], gone: threading.Event) -> None:
        self._deliver, self._gone = deliver, gone
        self._prompt = True

    def put(self, value: Any) -> None:
        if self._gone.is_set():
            raise _Gone
        current().check()
        if self._prompt:
            self._prompt = False
            return
        for number in value.flatten().tolist():
            self._deliver(number)

    def end(self) -> None:
        pass


def streamed(generate: Callable[[Any], object], read: Callable[[list[int], bool], str]) -> Iterator[str]:
    """The pieces of one reply; together they are the text of the whole.

    Closing the iterator, or the cut-off in force at its first step (`cutoff`), ends the work between two tokens.

    Args:
        generate: given a streamer, calls transformers' `generate` with it, for one prompt.
        read: the text so far of the reply's ids, and whether they are all; '' while nothing is to be shown yet.
    """
    items: queue.SimpleQueue[int | BaseException | None] = queue.SimpleQueue()
    gone = threading.Event()
    context = contextvars.copy_context()

    def work() -> None:
        try:
            context.run(generate, _Ids(items.put, gone))
            items.put(None)
        except BaseException as error:  # handed on to whoever reads
            items.put(error)

    threading.Thread(target=work, name="sightline-words", daemon=True).start()
    ids: list[int] = []
    sent = ""
    try:
        while True:
            item = items.get()
            if isinstance(item, BaseException):
                raise item
            if item is not None:
                ids.append(item)
            text = read(ids, item is None)
            if item is not None:
                text = text.rstrip("\ufffd")  # the first bytes of a character whose rest is still to come
            if len(text) > len(sent) and text.startswith(sent):
                yield text[len(sent) :]
                sent = text
            if item is None:
                return
    finally:
        gone.set()
