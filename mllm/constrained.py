"""Decoding held to a grammar: at each step only tokens after which the text can still be ended, within the tokens left.

    constraint = Constraint(tokenizer, automaton)
    model.generate(**inputs, max_new_tokens=160, logits_processor=[constraint.processor(160)])

or `generate_constrained(model, constraint, inputs, max_new_tokens=160)`, which returns the texts. The automaton works on
characters and knows no tokenizer; here its answers become masks over a byte-level vocabulary, remembered by state. A token
may end inside a character (Chinese, emoji): what is left of it is owed by the next one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import InputError
from .automata import Automaton
from .spaced_quotes import PlainPrefix, SpacedPrefix
from .token_trie import Node, TokenTrie, decoder_parts, missing
from .tokenizer import OPENED

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerFast

Spelled = SpacedPrefix | PlainPrefix
_MEMORY = 32 * 1024 * 1024  # bytes of remembered masks


class Cursor(NamedTuple):
    """Where a row stands: its text's prefix, and the bytes of a character that is not finished yet."""

    prefix: Spelled
    pending: bytes = b""
    ended: bool = False  # the end token was written


class _Mask:
    """The tokens that may follow a cursor, grouped by the prefix that they lead to."""

    def __init__(
        self, groups: dict[tuple[Spelled, int], list[np.ndarray]], size: int, end: int, complete: bool
    ) -> None:
        self.groups = groups
        self.complete = complete
        self.allowed = np.zeros(size, bool)
        for parts in groups.values():
            for ids in parts:
                self.allowed[ids] = True
        self.allowed[end] = complete
        # An upper bound of the tokens that any of them leaves to be written, the end token included.
        self.longest = max((owed + len(p.completion.encode()) + 1 for p, owed in groups), default=1)


class Constraint:
    """An automaton over a tokenizer's vocabulary. Make one and keep it: its masks are remembered.

    Args:
        tokenizer: byte-level BPE, with an end token; InputError for another.
        automaton: see `automata`.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, automaton: Automaton) -> None:
        self.tokenizer = tokenizer
        self.automaton = automaton
        if tokenizer.eos_token_id is None:
            raise InputError("constrained decoding needs a tokenizer with an end token; set eos_token")
        self.end = int(tokenizer.eos_token_id)
        self.trie = TokenTrie(tokenizer)
        self.spaced = any(part.get("pattern", {}).get("Regex") == OPENED for part in decoder_parts(tokenizer))
        self._masks: OrderedDict[Cursor, _Mask] = OrderedDict()
        self._most_masks = max(64, _MEMORY // self.trie.size)
        self._needs: dict[str, int] = {}

    def start(self) -> Cursor:
        """The cursor before the first token."""
        prefix = self.automaton.start()
        return Cursor(SpacedPrefix(prefix) if self.spaced else PlainPrefix(prefix))

    def advance(self, cursor: Cursor, token: int) -> Cursor | None:
        """The cursor after one more token; None where the token may not follow."""
        if token == self.end:
            return cursor._replace(ended=True) if self._complete(cursor) else None
        raw = self.trie.bytes.get(token)
        if raw is None or cursor.ended:
            return None
        raw = cursor.pending + raw
        text = raw.decode(errors="ignore")
        rest = raw[len(text.encode()) :]
        prefix: Spelled | None = cursor.prefix
        for char in text:
            prefix = prefix.advance(char) if prefix is not None else None
        return None if prefix is None or len(rest) > 3 else Cursor(prefix, rest)

    def need(self, cursor: Cursor) -> int:
        """Tokens that suffice to end the text from here, the end token included."""
        return missing(cursor.pending) + self._need(cursor.prefix)

    def allowed(self, cursor: Cursor, remaining: int | None = None) -> np.ndarray:
        """Whether each token may follow: bool [vocabulary]. `remaining` tokens may still be written, this one included."""
        mask = self._mask(cursor)
        if remaining is None or mask.longest <= remaining - 1:
            return mask.allowed
        held = np.zeros_like(mask.allowed)
        for (prefix, owed), parts in mask.groups.items():
            if owed + self._need(prefix) <= remaining - 1:
                for ids in parts:
                    held[ids] = True
        held[self.end] = mask.complete
        return held

    def forced(self, cursor: Cursor) -> list[int]:
        """The tokens that must follow, as long as there is only one each time; a caller may append them unasked."""
        tokens: list[int] = []
        while not cursor.ended:
            (ids,) = self._mask(cursor).allowed.nonzero()
            following = self.advance(cursor, int(ids[0])) if len(ids) == 1 else None
            if following is None:
                break
            tokens.append(int(ids[0]))
            cursor = following
        return tokens

    def processor(self, max_new_tokens: int) -> ConstrainedLogits:
        """A logits processor for one call of `generate` with this `max_new_tokens`."""
        return ConstrainedLogits(self, max_new_tokens)

    def _complete(self, cursor: Cursor) -> bool:
        return cursor.prefix.is_complete and not cursor.pending and not cursor.ended

    def _need(self, prefix: Spelled) -> int:
        ending = prefix.completion
        known = self._needs.get(ending)
        if known is None:
            if len(self._needs) >= 100_000:
                self._needs.clear()
            known = self._needs[ending] = self.trie.greedy(ending.encode()) + 1
        return known

    def _mask(self, cursor: Cursor) -> _Mask:
        known = self._masks.get(cursor)
        if known is not None:
            self._masks.move_to_end(cursor)
            return known
        groups: dict[tuple[Spelled, int], list[np.ndarray]] = {}
        if not cursor.ended:
            self._walk(cursor.prefix, self.trie.root, cursor.pending, groups)
        known = _Mask(groups, self.trie.size, self.end, self._complete(cursor))
        self._masks[cursor] = known
        if len(self._masks) > self._most_masks:
            self._masks.popitem(last=False)
        return known

    def _walk(
        self, prefix: Spelled, node: Node, pending: bytes, groups: dict[tuple[Spelled, int], list[np.ndarray]]
    ) -> None:
        """Collect the tokens below `node` that may follow a prefix, at the border of two characters."""
        sets = prefix.open
        if sets is not None:
            runs = self.trie.runs(node, pending, *sets)
            inside = self._sample(prefix)
            for owed, ids in runs.ids.items():
                groups.setdefault((inside, owed), []).append(ids)
            for char in prefix.chars | inside.chars:
                for leaf, text in runs.exits.get(char.encode()[0], ()):
                    # Of a long run only its last two characters matter (see SpacedPrefix).
                    here: Spelled | None = prefix if len(text) <= 2 else inside
                    for piece in text[-2:]:
                        here = here.advance(piece) if here is not None else None
                    if here is not None:
                        self._walk_char(here, leaf, char, b"", groups)
        chars = prefix.chars
        if pending or len(chars) <= len(node.children):
            for char in chars:
                self._walk_char(prefix, node, char, pending, groups)
        else:
            for byte in node.children:
                if byte < 0x80 and chr(byte) in chars:
                    self._walk_char(prefix, node, chr(byte), b"", groups)
            for char in chars:
                if not char.isascii():
                    self._walk_char(prefix, node, char, b"", groups)

    def _walk_char(
        self,
        prefix: Spelled,
        node: Node,
        char: str,
        pending: bytes,
        groups: dict[tuple[Spelled, int], list[np.ndarray]],
    ) -> None:
        """Go on with one character that has a meaning of its own."""
        raw = char.encode()
        if not raw.startswith(pending) or char not in prefix.chars:
            return
        raw = raw[len(pending) :]
        if raw[0] not in node.children:
            return
        following = prefix.advance(char)
        assert following is not None, char
        for index, byte in enumerate(raw):
            child = node.children.get(byte)
            if child is None:
                return
            node = child
            if node.tokens:
                groups.setdefault((following, len(raw) - index - 1), []).append(node.ids)
        if node.children:
            self._walk(following, node, b"", groups)

    @staticmethod
    def _sample(prefix: Spelled) -> Spelled:
        """The prefix inside its open text, after some character of it that has no meaning of its own."""
        following = next((found for char in "x%~" if (found := prefix.advance(char)) is not None), None)
        assert following is not None
        return following


class ConstrainedLogits:
    """A logits processor for one `generate`: batches, sampling and beams; every row ends within `max_new_tokens`.

    Raises InputError where `max_new_tokens` cannot hold the shortest text, and where it is used for a second call.
    """

    def __init__(self, constraint: Constraint, max_new_tokens: int) -> None:
        need = constraint.need(constraint.start())
        if max_new_tokens < need:
            raise InputError(
                f"max_new_tokens={max_new_tokens} cannot hold the shortest text; give at least {need}"
            )
        self.constraint = constraint
        self.max_new_tokens = max_new_tokens
        self._prompt: int | None = None
        self._rows: dict[tuple[int, ...], Cursor | None] = {}

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores [rows, vocabulary] with those of forbidden tokens at -inf. input_ids: [rows, length]."""
        import torch

        if self._prompt is None:
            self._prompt = input_ids.shape[1]
            self._rows = {(): self.constraint.start()}
        written = input_ids[:, self._prompt :].tolist() if input_ids.shape[1] >= self._prompt else [None]
        rows: dict[tuple[int, ...], Cursor | None] = {}
        allowed = np.zeros(tuple(scores.shape), bool)
        remaining = self.max_new_tokens - (input_ids.shape[1] - self._prompt)
        for index, tokens in enumerate(written):
            key = tuple(tokens) if tokens is not None else None
            if key is None or (key and key[:-1] not in self._rows):
                raise InputError(
                    "a constrained processor serves one call of generate; make another for the next"
                )
            if key not in rows:
                before = self._rows[key[:-1]]
                rows[key] = self.constraint.advance(before, key[-1]) if key and before is not None else before
            cursor = rows[key]
            if (
                cursor is None or cursor.ended
            ):  # a finished row, or a beam that none of the live ones left room for
                allowed[index, self.constraint.end] = True
            else:
                held = self.constraint.allowed(cursor, remaining)
                allowed[index, : len(held)] = held
        self._rows = rows
        return scores.masked_fill(~torch.from_numpy(allowed).to(scores.device), float("-inf"))


def generate_constrained(
    model: Any,
    constraint: Constraint,
    inputs: Mapping[str, Any],
    max_new_tokens: int = 256,
    **options: Any,
) -> list[str]:
    """Texts of the automaton's language, one for each row that `generate` gives.

    Args:
        model: any causal model of transformers, our starter among them.
        constraint: for the model's tokenizer.
        inputs: what the processor made of the prompts (`input_ids`, `attention_mask`, pictures), padded on the left.
        max_new_tokens: tokens of a text, the end token included; every text ends within them.
        options: further options of `generate` (num_beams, do_sample, temperature ...).
    """
    processors = [*options.pop("logits_processor", ()), constraint.processor(max_new_tokens)]
    tokenizer = constraint.tokenizer
    options.setdefault(
        "pad_token_id", tokenizer.pad_token_id if tokenizer.pad_token_id is not None else constraint.end
    )
    ids = model.generate(
        **inputs,
        max_new_tokens=max_new_tokens,
        eos_token_id=constraint.end,
        logits_processor=processors,
        **options,
    )
    new = ids[:, inputs["input_ids"].shape[1] :]
    texts: list[str] = tokenizer.batch_decode(
        new, skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    return texts
