"""What constrained decoding needs of a grammar: an automaton over characters. Whoever has a language implements it."""

from __future__ import annotations

from typing import Protocol


class Prefix(Protocol):
    """A text so far. Hashable; equal prefixes can be followed by the same texts (but for lengths near a limit)."""

    @property
    def chars(self) -> frozenset[str]:
        """The characters that may follow, those of an open text left out."""

    @property
    def open(self) -> frozenset[str] | None:
        """Inside free text: every printable character but these may follow and leaves an equal prefix. Else None."""

    @property
    def is_complete(self) -> bool:
        """Whether the text may end here."""

    @property
    def completion(self) -> str:
        """A text that ends it, empty where it is complete; after its first character its rest is the completion."""

    def advance(self, char: str) -> Prefix | None:
        """With one more character; None where it may not follow."""


class Automaton(Protocol):
    """A language of texts, read from left to right."""

    def start(self) -> Prefix:
        """The empty text."""
