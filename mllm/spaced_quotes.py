"""An automaton's texts as our tokenizer spells them: with a space between an opening quote and a word.

`mllm.tokenizer` puts that space in on the way in and takes it out on the way back, wherever a quote follows `=`, `[`, `,`
or `, `. A model trained on the spelled form must write it; the automaton never sees it.
"""

from __future__ import annotations

from .automata import Prefix
from .token_trie import CharSet, is_word


def _tail(before: str, char: str) -> str:
    """What matters of the text so far: `e` after a sign that a quote may follow, `c` a comma, `o` that quote itself."""
    if char == ",":
        return "c"
    if char in "=[" or (char == " " and before == "c"):
        return "e"
    return "o" if char == "'" and before in ("c", "e") else ""


class SpacedPrefix:
    """A prefix in spelled form: the automaton's own prefix, the last characters, and a space not yet decided upon."""

    __slots__ = ("_after_space", "inner", "space", "tail")

    def __init__(self, inner: Prefix, tail: str = "", space: bool = False) -> None:
        self.inner = inner
        self.tail = tail
        self.space = space  # a space stands after the quote: taken out when a letter or digit follows
        self._after_space = inner.advance(" ") if space else None

    def __hash__(self) -> int:
        return hash((self.inner, self.tail, self.space))

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, SpacedPrefix)
            and (self.tail, self.space) == (other.tail, other.space)
            and self.inner == other.inner
        )

    @property
    def chars(self) -> frozenset[str]:
        inner = self.inner
        outside = inner.open
        if self.space:
            found = {char for char in inner.chars if is_word(char)}
            if self._after_space is not None:
                found |= {char for char in self._after_space.chars if not is_word(char)}
        elif self.tail == "o":
            found = {char for char in inner.chars if not is_word(char) and char != " "}
            if outside is not None or SpacedPrefix(inner, "o", True).chars:
                found.add(" ")
        else:
            found = set(inner.chars)
        if outside is not None and "'" not in outside:
            found.add("'")
        if "'" in found and not self._may_quote():
            found.discard("'")
        return frozenset(found)

    @property
    def open(self) -> tuple[CharSet, CharSet] | None:
        """Inside a text: the characters that may come next, and those that may come after them; else None."""
        outside = self.inner.open
        if outside is None:
            return None
        rest = CharSet(outside | {"'"})
        return (
            (CharSet(rest.outside | {" "}, letters=False), rest)
            if self.tail == "o" and not self.space
            else (rest, rest)
        )

    @property
    def is_complete(self) -> bool:
        return self.inner.is_complete and not self.space

    @property
    def completion(self) -> str:
        inner, tail, spelled = self.inner, self.tail, ""
        if not self.space and inner.open is not None and not self._may_quote():
            following = inner.advance("0")  # the text must not end here: what follows it would lose its space
            assert following is not None
            inner, tail, spelled = following, "", "0"
        rest = inner.completion
        if self.space:
            if rest[:1] and is_word(rest[0]):
                spelled, tail, rest = rest[0], "", rest[1:]
            else:
                assert self._after_space is not None
                rest, tail = self._after_space.completion, ""
        for char in rest:
            spelled += " " + char if tail == "o" and is_word(char) else char
            tail = _tail(tail, char)
        return spelled

    def advance(self, char: str) -> SpacedPrefix | None:
        if self.space:
            if is_word(char):
                following = self.inner.advance(char)
                return None if following is None else SpacedPrefix(following)
            if self._after_space is None or (char == "'" and char not in self.chars):
                return None
            following = self._after_space.advance(char)
            return None if following is None else SpacedPrefix(following, _tail("", char))
        if self.tail == "o":
            if is_word(char):
                return None
            if char == " ":
                return SpacedPrefix(self.inner, "o", True) if " " in self.chars else None
        if char == "'" and not self._may_quote():
            return None
        following = self.inner.advance(char)
        return None if following is None else SpacedPrefix(following, _tail(self.tail, char))

    def _may_quote(self) -> bool:
        """Whether a quote may follow; not where it ends a text and must be followed by a space that would be taken out."""
        if self.tail not in ("c", "e") or self.space or self.inner.open is None:
            return True
        following = self.inner.advance("'")
        if following is None or following.open is not None:
            return True
        rest = following.completion
        return not (rest[:1] == " " and rest[1:2] and is_word(rest[1]))


class PlainPrefix:
    """A prefix whose spelled form is its own text."""

    __slots__ = ("inner",)

    def __init__(self, inner: Prefix) -> None:
        self.inner = inner

    def __hash__(self) -> int:
        return hash(self.inner)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PlainPrefix) and self.inner == other.inner

    @property
    def chars(self) -> frozenset[str]:
        return self.inner.chars

    @property
    def open(self) -> tuple[CharSet, CharSet] | None:
        outside = self.inner.open
        return None if outside is None else (CharSet(outside), CharSet(outside))

    @property
    def is_complete(self) -> bool:
        return self.inner.is_complete

    @property
    def completion(self) -> str:
        return self.inner.completion

    def advance(self, char: str) -> PlainPrefix | None:
        following = self.inner.advance(char)
        return None if following is None else PlainPrefix(following)
