"""A byte-level vocabulary as a tree of bytes: which tokens spell a run of plain text, and where they leave it."""

from __future__ import annotations

import json
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


class CharSet(NamedTuple):
    """Printable characters without those `outside`; without letters and digits too where `letters` is False."""

    outside: frozenset[str]
    letters: bool = True

    def holds(self, char: str) -> bool:
        return char.isprintable() and char not in self.outside and (self.letters or not is_word(char))


def is_word(char: str) -> bool:
    """Whether a character is a letter or a decimal digit (`[\\p{L}\\d]`)."""
    return unicodedata.category(char)[0] == "L" or unicodedata.category(char) == "Nd"


@lru_cache(maxsize=2)
def unfinished(letters: bool) -> frozenset[bytes]:
    """Beginnings of the UTF-8 bytes of printable characters beyond ASCII; only signs where `letters` is False."""
    found: set[bytes] = set()
    for code in (*range(0x80, 0xD800), *range(0xF900, 0x33480), *range(0xE0100, 0xE01F0)):
        char = chr(code)
        if char.isprintable() and (letters or not is_word(char)):
            raw = char.encode()
            found.update(raw[:end] for end in range(1, len(raw)))
    return frozenset(found)


def missing(pending: bytes) -> int:
    """How many bytes an unfinished character still needs."""
    if not pending:
        return 0
    lead = pending[0]
    return (2 if lead < 0xE0 else 3 if lead < 0xF0 else 4) - len(pending)


class Node:
    """A place in the tree: tokens that end here, and where each further byte leads."""

    __slots__ = ("children", "ids", "tokens")

    def __init__(self) -> None:
        self.children: dict[int, Node] = {}
        self.tokens: list[int] = []
        self.ids = np.empty(0, np.int64)


class Runs(NamedTuple):
    """What the tokens below a node do to a run of plain text."""

    ids: dict[
        int, np.ndarray
    ]  # by bytes that their last character still needs: ids of tokens that stay in it
    exits: dict[
        int, list[tuple[Node, str]]
    ]  # by next byte: where a token leaves it, and the text up to there


class TokenTrie:
    """All tokens of a byte-level tokenizer but the added ones (special tokens, pointers), by their bytes.

    Raises InputError for a tokenizer of another kind, whose tokens are no byte strings.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        if not any(part.get("type") == "ByteLevel" for part in decoder_parts(tokenizer)):
            raise InputError(
                "constrained decoding needs a byte-level BPE tokenizer (as GPT-2's, Llama 3's, Qwen's)"
            )
        table = _byte_of_char()
        added = set(tokenizer.added_tokens_decoder)
        self.size = len(tokenizer)
        self.bytes: dict[int, bytes] = {}
        self.root = Node()
        for token, index in tokenizer.get_vocab().items():
            if index not in added and all(char in table for char in token):
                self.bytes[index] = bytes(table[char] for char in token)
                self._insert(index)
        lacking = [byte for byte in (*range(0x20, 0x7F), 0x0A, *range(0x80, 0xC0)) if not self._single(byte)]
        if lacking:
            raise InputError(
                f"the tokenizer has no token for byte {lacking[0]:#04x}; not every text can be written with it"
            )
        self._runs: dict[tuple[Node, bytes, CharSet, CharSet], Runs] = {}

    def _insert(self, index: int) -> None:
        node = self.root
        for byte in self.bytes[index]:
            node = node.children.setdefault(byte, Node())
        node.tokens.append(index)
        node.ids = np.array(node.tokens, np.int64)

    def _single(self, byte: int) -> bool:
        child = self.root.children.get(byte)
        return child is not None and bool(child.tokens)

    def greedy(self, raw: bytes) -> int:
        """How many tokens spell these bytes when the longest is taken each time."""
        count = position = 0
        while position < len(raw):
            node, end = self.root, position
            for index in range(position, len(raw)):
                following = node.children.get(raw[index])
                if following is None:
                    break
                node = following
                if node.tokens:
                    end = index + 1
            position = end if end > position else position + 1
            count += 1
        return count

    def runs(self, node: Node, pending: bytes, first: CharSet, rest: CharSet) -> Runs:
        """Tokens below `node` whose text is a character of `first` and then characters of `rest`.

        `pending` are the bytes of an unfinished character that stand before the token; empty inside a token.
        """
        key = (node, pending, first, rest)
        known = self._runs.get(key)
        if known is None:
            known = self._runs[key] = self._find(node, pending, first, rest)
        return known

    def _find(self, node: Node, pending: bytes, first: CharSet, rest: CharSet) -> Runs:
        ids: dict[int, list[int]] = {}
        exits: dict[int, list[tuple[Node, str]]] = {}
        stack = [(node, pending, "")]
        while stack:
            here, before, text = stack.pop()
            members = rest if text else first
            for byte, child in here.children.items():
                raw = before + bytes([byte])
                char = _character(raw)
                if char is None and raw in unfinished(members.letters):
                    ids.setdefault(missing(raw), []).extend(child.tokens)
                    stack.append((child, raw, text))
                elif char is not None and members.holds(char):
                    ids.setdefault(0, []).extend(child.tokens)
                    stack.append((child, b"", text + char))
                elif char is not None and text and not before:
                    exits.setdefault(byte, []).append((here, text))
        return Runs({count: np.array(found, np.int64) for count, found in ids.items() if found}, exits)


def decoder_parts(tokenizer: PreTrainedTokenizerFast) -> list[dict[str, Any]]:
    """The parts of a fast tokenizer's decoder, as in its `tokenizer.json`."""
    decoder = tokenizer.backend_tokenizer.decoder
    state = json.loads(decoder.__getstate__()) if decoder is not None else {}
    parts: list[dict[str, Any]] = state.get("decoders", [state])
    return parts


def _character(raw: bytes) -> str | None:
    """The character of these bytes; None where they are unfinished or none."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None


def _byte_of_char() -> dict[str, int]:
    """The byte that each letter of a byte-level vocabulary stands for (GPT-2's table: printable Latin-1 is itself)."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    table = {chr(byte): byte for byte in plain}
    others = [byte for byte in range(256) if byte not in set(plain)]
    table.update({chr(256 + index): byte for index, byte in enumerate(others)})
    return table
