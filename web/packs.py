"""What visitors read for a pack, and which pack a picture is for."""

from __future__ import annotations

from collections.abc import Sequence

from .examples import Example

PACK_NAMES = {
    "scenes": "a drawn scene",
    "starter": "a photograph or a page",
    "standard": "a photograph (public models)",
}


def pack_choices(packs: Sequence[str]) -> list[tuple[str, str]]:
    """(words, pack) pairs to choose from."""
    return [(PACK_NAMES.get(name, name), name) for name in packs]


def pack_for(packs: Sequence[str], example: Example | None = None) -> str:
    """The pack for an example; for an upload the first that is not for drawings, since most pictures are photographs."""
    if example is not None:
        return example.pack if example.pack in packs else packs[0]
    return next((name for name in packs if name != "scenes"), packs[0])
