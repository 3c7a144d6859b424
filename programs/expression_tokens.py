"""An EVAL expression as tokens; everything outside the language is refused here, at its place."""

from __future__ import annotations

import re
from typing import NamedTuple

from ..errors import InputError
from .quoting import end_of_text

SLOT = re.compile(r"\{\s*([A-Za-z][A-Za-z0-9_]*)\s*\}")
_TOKEN = re.compile(
    r"(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)(?![\w.])|(?P<word>[A-Za-z_]\w*)"
    r"|(?P<sign>==|!=|<=|>=|//|[-+*/%<>()\[\],])",
    re.ASCII,
)
_REMEDIES = {
    "=": "write == to compare",
    "!": "write not, or != to compare",
    "&": "write and",
    "|": "write or",
    "^": "write xor",
    ".": "there are no attributes or methods; use lower(x), upper(x), strip(x)",
    ":": "there are no slices, dictionaries or definitions; index with one number, as in {LIST0}[0]",
    "{": "write a value as {NAME}",
    "}": "write a value as {NAME}",
    "“": "write a plain quote: ' or \"",
    "”": "write a plain quote: ' or \"",
    "‘": "write a plain quote: ' or \"",
    "’": "write a plain quote: ' or \"",
}


class ExpressionError(InputError):
    """An expression outside the language; `offset` counts from its first character, `suggestion` says what to do."""

    def __init__(self, message: str, offset: int, suggestion: str = "") -> None:
        super().__init__(message, offset, suggestion)
        self.offset = offset
        self.suggestion = suggestion

    def __str__(self) -> str:
        tail = f"; {self.suggestion}" if self.suggestion else ""
        return f"character {self.offset + 1}: {self.args[0]}{tail}"


class Token(NamedTuple):
    kind: str  # number, word, sign, text, slot, end
    text: str
    offset: int


def tokens(text: str) -> list[Token]:
    """The tokens of an expression, ending with one of kind `end`."""
    found: list[Token] = []
    position = 0
    while position < len(text):
        char = text[position]
        if char in " \t\r\n":
            position += 1
        elif char in "'\"":
            end = end_of_text(text, position)
            if end < 0:
                raise ExpressionError(
                    f"the text opened with {char} is not closed",
                    position,
                    "close it; a text that holds an apostrophe needs \\' there",
                )
            found.append(Token("text", text[position : end + 1], position))
            position = end + 1
        elif match := SLOT.match(text, position):
            found.append(Token("slot", match[1], position))
            position = match.end()
        elif text.startswith("**", position):
            raise ExpressionError("** is not in the language", position, "multiply with *")
        elif match := _TOKEN.match(text, position):
            found.append(Token(match.lastgroup or "", match[0], position))
            position = match.end()
        elif char.isascii() and char.isdigit():
            raise ExpressionError("this is no number", position, "write digits with at most one point")
        else:
            shown = char if char.isprintable() else f"U+{ord(char):04X}"
            raise ExpressionError(f"{shown} is not in the language", position, _REMEDIES.get(char, ""))
    found.append(Token("end", "the end", len(text)))
    return found
