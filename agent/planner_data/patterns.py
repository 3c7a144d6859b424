"""The pattern language of the phrasings: one line stands for many sentences.

    [please] (count|tally) {pl} <where>

`(a|b)` chooses, `[a]` is there or not, `{slot}` is filled by the family, `<macro>` by a shared list of patterns. A first
character `!` marks a command, `~` a phrase that takes no opener; a line that ends in `?` is a question.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

from ...errors import InputError

# A node is a literal str, ("slot", name), ("macro", name), ("choice", [sequence, ...]); a sequence is a list of nodes.
Node = str | tuple[str, object]
Sequence_ = list[Node]

OPEN, CLOSE = "\x01", "\x02"  # around a slot's filling, so that noise leaves it alone


@dataclass(frozen=True)
class Pattern:
    """One compiled line: `kind` is "question", "command", "phrase" or "statement"; `id` is family.language.number."""

    id: str
    text: str
    kind: str
    nodes: tuple[Node, ...]

    def slots(self) -> frozenset[str]:
        """The slots it may use (macros are shared and hold none)."""
        return frozenset(_slots(list(self.nodes)))


def compile_pattern(text: str, identifier: str) -> Pattern:
    """Compile one line; InputError names the line and the column of an unbalanced bracket."""
    kind, body = "statement", text
    if text[:1] == "!":
        kind, body = "command", text[1:]
    elif text[:1] == "~":
        kind, body = "phrase", text[1:]
    elif text.endswith(("?", "？")):
        kind = "question"
    return Pattern(identifier, text, kind, tuple(_parse(body)))


@cache
def _parse(body: str) -> list[Node]:
    position = 0

    def sequence(closing: str) -> list[list[Node]]:
        """Alternatives up to one of `closing`, which is left to the caller."""
        nonlocal position
        options: list[list[Node]] = [[]]
        literal = ""

        def flush() -> None:
            nonlocal literal
            if literal:
                options[-1].append(literal)
                literal = ""

        while position < len(body):
            char = body[position]
            if char in closing:
                break
            position += 1
            if char == "|" and closing:
                flush()
                options.append([])
            elif char in "([":
                flush()
                end = ")" if char == "(" else "]"
                inner = sequence(end)
                if body[position : position + 1] != end:
                    raise InputError(
                        f"phrasing pattern {body!r}: {char} at column {position} is never closed"
                    )
                position += 1
                options[-1].append(("choice", [*inner, []] if char == "[" else inner))
            elif char == "{" or (char == "<" and body[position : position + 1].isalpha()):
                flush()
                end_at = body.find("}" if char == "{" else ">", position)
                if end_at < 0:
                    raise InputError(
                        f"phrasing pattern {body!r}: {char} at column {position} is never closed"
                    )
                options[-1].append(("slot" if char == "{" else "macro", body[position:end_at]))
                position = end_at + 1
            elif char in ")]}":
                raise InputError(f"phrasing pattern {body!r}: {char} at column {position} closes nothing")
            else:
                literal += char
        flush()
        return options

    (nodes,) = sequence("")
    return nodes


def _slots(nodes: list[Node]) -> list[str]:
    found: list[str] = []
    for node in nodes:
        if isinstance(node, str):
            continue
        tag, value = node
        if tag == "slot":
            found.append(str(value))
        elif tag == "choice":
            assert isinstance(value, list)
            for option in value:
                found.extend(_slots(option))
    return found


def count_forms(nodes: Sequence_, macros: Mapping[str, list[list[Node]]]) -> int:
    """How many different wordings a sequence has (slots counted as one)."""
    total = 1
    for node in nodes:
        if isinstance(node, str) or node[0] == "slot":
            continue
        options = macros[str(node[1])] if node[0] == "macro" else node[1]
        assert isinstance(options, list)
        total *= sum(count_forms(option, macros) for option in options)
    return total


def render(
    nodes: Sequence_ | tuple[Node, ...],
    slots: Mapping[str, str],
    macros: Mapping[str, list[list[Node]]],
    rng: random.Random,
) -> str:
    """One wording, drawn at random; slots' fillings lie between OPEN and CLOSE."""
    parts: list[str] = []
    _render(nodes, slots, macros, rng.random, parts)
    return "".join(parts)


def _render(
    nodes: Sequence_ | tuple[Node, ...],
    slots: Mapping[str, str],
    macros: Mapping[str, list[list[Node]]],
    draw: Callable[[], float],
    parts: list[str],
) -> None:
    for node in nodes:
        if isinstance(node, str):
            parts.append(node)
            continue
        tag, value = node
        if tag == "slot":
            parts.append(OPEN + slots[str(value)] + CLOSE)
        else:
            options = macros[str(value)] if tag == "macro" else value
            assert isinstance(options, list)
            _render(options[int(draw() * len(options))], slots, macros, draw, parts)
