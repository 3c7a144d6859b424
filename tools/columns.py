"""What columnar tools share: running a model once per distinct item, in bounded batches, with errors kept to their call."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from ..errors import SightlineError
from .values import Image

In = TypeVar("In")
Out = TypeVar("Out")

CROPS_AT_ONCE = 32  # crops of one call that a model takes in one forward


class ModelSource(Protocol):
    """Where a tool gets the back end that fills a role; `op` names the tool in the error when none does."""

    def get(self, role: str, op: str = "") -> Any: ...

    def has(self, role: str) -> bool: ...

    def weights(self, role: str, op: str = "") -> str: ...


def at_once(back_end: Any, most: int = CROPS_AT_ONCE) -> int:
    """How many items to hand a back end in one call: its own `batch` where it says one, and never more than `most`."""
    return max(1, min(most, int(getattr(back_end, "batch", most))))


def chunks(items: Sequence[In], size: int) -> Iterator[Sequence[In]]:
    """Consecutive pieces of at most `size` items."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def once_each(
    items: Sequence[In],
    key: Callable[[In], Hashable],
    run: Callable[[Sequence[In]], Sequence[Out]],
    size: int = CROPS_AT_ONCE,
) -> list[Out]:
    """`run` over the distinct items, at most `size` at a time; every item gets the result of its key."""
    first: dict[Hashable, In] = {}
    for item in items:
        first.setdefault(key(item), item)
    done: dict[Hashable, Out] = {}
    keys = list(first)
    for piece in chunks(keys, size):
        results = run([first[k] for k in piece])
        if len(results) != len(piece):
            raise ValueError(f"a back end gave {len(results)} results for {len(piece)} inputs")
        done.update(zip(piece, results, strict=True))
    return [done[key(item)] for item in items]


def frame_key(image: Image) -> tuple[str, str, tuple[int, int]]:
    """Identity of a picture for models: its content and its place (an edited crop may equal another picture)."""
    return image.hash, image.picture, image.offset


def prepare(count: int, make: Callable[[int], Out]) -> tuple[dict[int, Out], dict[int, SightlineError]]:
    """`make(i)` for every call of a batch: what worked by index, and the errors of the calls that are wrong in themselves.

    Out-of-memory and bugs are not caught: they reach the engine.
    """
    ready: dict[int, Out] = {}
    failed: dict[int, SightlineError] = {}
    for index in range(count):
        try:
            ready[index] = make(index)
        except SightlineError as error:
            failed[index] = error
    return ready, failed


def settle(count: int, *parts: Mapping[int, Any]) -> list[Any]:
    """One column from results and errors by index; together the parts must cover every call once."""
    merged: dict[int, Any] = {}
    for part in parts:
        merged.update(part)
    return [merged[index] for index in range(count)]
