"""What a name in words asks of a detector with a closed vocabulary that also sees colours and sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from .names import canonical, matched

_ANYTHING = frozenset({"thing", "object", "item"})
_SAME_WORD = {"grey": "gray", "little": "small", "tiny": "small", "big": "large", "huge": "large"}


@dataclass(frozen=True)
class Ask:
    """The kinds that a name covers, the colour and the size that it adds ('' for any)."""

    kinds: frozenset[str]
    color: str = ""
    size: str = ""

    def fits(self, kind: str, color: str, size: str) -> bool:
        """Whether a thing of this kind, colour and size is called so."""
        return kind in self.kinds and self.color in ("", color) and self.size in ("", size)


def ask_of(name: str, vocabulary: Sequence[str], colors: Sequence[str], sizes: Sequence[str]) -> Ask | None:
    """'a small red dog' -> dog, red, small; 'red things' -> every kind, red; None for what it has no words for.

    None too where only a wider kind is known ('puppy', 'dog on a chair'): a dog is no proof of a puppy.
    """
    return _ask_of(name, tuple(vocabulary), frozenset(colors), frozenset(sizes))


@lru_cache(maxsize=4096)
def _ask_of(
    name: str, vocabulary: tuple[str, ...], colors: frozenset[str], sizes: frozenset[str]
) -> Ask | None:
    words = name.casefold().split()
    color = size = ""
    while words:
        meaning = matched(" ".join(words), vocabulary)
        if meaning.relation in ("same", "kinds"):
            return Ask(frozenset(meaning.classes), color, size)
        first = _SAME_WORD.get(words[0], words[0])
        if first in colors and not color:
            color = first
        elif first in sizes and not size:
            size = first
        elif first not in ("a", "an", "the", "all", "every"):
            return (
                Ask(frozenset(vocabulary), color, size) if canonical(" ".join(words)) in _ANYTHING else None
            )
        words = words[1:]
    return None


__all__ = ["Ask", "ask_of"]
