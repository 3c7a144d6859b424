"""Quoted texts: reading them from a program or an expression, and writing them in one stable way."""

from __future__ import annotations

import re

_WRITTEN = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_READ = {"\\": "\\", "'": "'", '"': '"', "n": "\n", "r": "\r", "t": "\t"}
_HEX = {"x": 2, "u": 4, "U": 8}
_BODY = {mark: re.compile(rf"(?:[^\\{mark}\n]|\\[^\n])*") for mark in "'\""}


class QuotingError(ValueError):
    """A quoted text that cannot be read; `offset` counts from its opening quote, `remedy` says what to do."""

    def __init__(self, message: str, offset: int, remedy: str = "") -> None:
        super().__init__(message)
        self.offset = offset
        self.remedy = remedy


def quote(text: str) -> str:
    """A text in single quotes, or in double quotes where it holds an apostrophe and no double quote."""
    mark = '"' if "'" in text and '"' not in text else "'"
    return mark + "".join(_write(char, mark) for char in text) + mark


def visible(text: str, most: int = 40) -> str:
    """An excerpt of untrusted text for a message: one line, no control characters, at most `most` characters."""
    line = "".join(char if char.isprintable() else " " for char in text[: 4 * most])
    line = " ".join(line.split())
    return line if len(line) <= most and len(text) <= 4 * most else line[: most - 3] + "..."


def end_of_text(source: str, start: int) -> int:
    """Offset of the quote that closes the text opened at `start`; -1 where its line ends first."""
    match = _BODY[source[start]].match(source, start + 1)
    end = match.end() if match else start + 1
    return end if end < len(source) and source[end] == source[start] else -1


def unquote(raw: str) -> str:
    """The text of a quoted literal, quotes included. Escapes: \\\\ \\' \\" \\n \\r \\t \\xHH \\uHHHH \\UHHHHHHHH."""
    if "\\" not in raw:
        return raw[1:-1]
    parts: list[str] = []
    position, end = 1, len(raw) - 1
    while position < end:
        char = raw[position]
        if char == "\\":
            char, length = _read(raw, position, end)
            position += length
        else:
            position += 1
        parts.append(char)
    return "".join(parts)


def source_offset(raw: str, index: int) -> int:
    """Where character `index` of the text stands in its quoted form, which starts with the opening quote."""
    position = 1
    for _ in range(index):
        if position < len(raw) and raw[position] == "\\":
            following = raw[position + 1 : position + 2]
            position += 2 + _HEX.get(following, 0)
        else:
            position += 1
    return position


def _read(raw: str, position: int, end: int) -> tuple[str, int]:
    """The character of the escape at `position` and the escape's length."""
    kind = raw[position + 1]
    if kind in _READ:
        return _READ[kind], 2
    digits = _HEX.get(kind)
    if digits is None:
        raise QuotingError(
            f"\\{kind} is no escape",
            position,
            f"write \\\\{kind} for a backslash, or leave the backslash out",
        )
    code_text = raw[position + 2 : min(position + 2 + digits, end)]
    if not re.fullmatch(rf"[0-9a-fA-F]{{{digits}}}", code_text):
        raise QuotingError(f"\\{kind} needs {digits} hexadecimal digits", position)
    code = int(code_text, 16)
    if code == 0 or 0xD800 <= code <= 0xDFFF or code > 0x10FFFF:
        raise QuotingError(f"\\{kind}{code_text} is no character of a text", position, "leave it out")
    return chr(code), 2 + digits


def _write(char: str, mark: str) -> str:
    if char == mark:
        return "\\" + char
    if char in _WRITTEN:
        return _WRITTEN[char]
    if char.isprintable():
        return char
    code = ord(char)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
