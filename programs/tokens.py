"""Program text to tokens, one statement at a time, so that one bad line never hides the next."""

from __future__ import annotations

import re
from typing import NamedTuple

from .quoting import end_of_text, visible

_PLAIN = re.compile(
    r"(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)(?![\w.])|(?P<name>[A-Za-z_]\w*)|(?P<sign>[=(),\[\]+-])",
    re.ASCII,
)
_START = re.compile(r"[ \t]*[A-Za-z]\w*[ \t]*=[ \t]*[A-Za-z]\w*[ \t]*\(", re.ASCII)
_STEP_START = re.compile(r"[ \t]*[A-Z][A-Z0-9_]*[ \t]*=[ \t]*[A-Z][A-Z0-9_]*[ \t]*\(", re.ASCII)
_CALLED = re.compile(r"[ \t]*([A-Za-z]\w*)[ \t]*=[ \t]*([A-Za-z]\w*)", re.ASCII)
_AFTER_TEXT = re.compile(r"[ \t]*(?:[,)\]#]|$)")
_CLOSES = re.compile(r"[ \t]*(?:\)[ \t\])]*(?:#.*)?$|\][ \t]*[,)]|,[ \t]*[A-Za-z_]\w*[ \t]*=)")
_CURLY = "“”‘’„«»"


class Token(NamedTuple):
    """One token. `kind`: name, number, text, sign, or newline (the end of a statement). Positions count from 1."""

    kind: str
    text: str
    line: int
    column: int

    @property
    def end(self) -> int:
        """The column after its last character."""
        return self.column + len(self.text)


class Fault(Exception):
    """What is wrong at one place; the parser makes a Problem of it and goes on with the next statement."""

    def __init__(self, code: str, message: str, line: int, column: int, suggestion: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.suggestion = code, message, suggestion
        self.line, self.column = line, column


class Tokens:
    """Tokens on demand: `next()` gives one, `peek` looks ahead, `recover()` skips to the next statement."""

    def __init__(self, text: str) -> None:
        self.lines = text.split("\n")
        self.line = 0  # index of the current line
        self.offset = 0  # and of the next character in it
        self.depth = 0  # open brackets
        self.previous = Token("newline", "", 1, 1)
        self._ahead: Token | None = None
        self._depth_at: dict[
            int, int
        ] = {}  # line of this statement (from 1) -> brackets open where it starts

    @property
    def peek(self) -> Token:
        if self._ahead is None:
            self._ahead = self._scan()
        return self._ahead

    def next(self) -> Token:
        token = self.peek
        self._ahead = None
        if token.kind == "sign":
            self.depth += (token.text in "([") - (token.text in ")]")
        self.previous = token
        return token

    def starts_step(self, token: Token) -> bool:
        """Whether an upper-case `NAME=OP(` starts a line at this token: never an argument, whose keyword is lower."""
        line = self.lines[token.line - 1]
        return not line[: token.column - 1].strip() and _STEP_START.match(line) is not None

    def begin(self) -> bool:
        """Go to the next statement, past blank lines and comments; False at the end of the text."""
        self.depth, self._ahead = 0, None
        self._depth_at.clear()
        while self.line < len(self.lines):
            rest = self.lines[self.line][self.offset :].strip(" \t")
            if rest and not rest.startswith("#"):
                return True
            self.line, self.offset = self.line + 1, 0
        return False

    def called(self, line: int) -> tuple[str, str]:
        """(name, op) that the statement starting on `line` (from 1) seems to define; empty texts where unclear."""
        match = _CALLED.match(self.lines[line - 1])
        return (match[1], match[2]) if match else ("", "")

    def recover(self, started: int, line: int) -> None:
        """After a fault on `line` of the statement begun on line `started` (from 1): go to where the next one begins.

        Lines inside brackets that are still open are passed over, up to one that starts a step.
        """
        margin = self._margin(started - 1)
        self.line, self.offset = line, 0  # the line after, since `line` counts from 1
        if self._depth_at.get(line, 0) + self._opened_on(line) <= 0:
            return
        while self.line < len(self.lines):
            text = self.lines[self.line]
            if _STEP_START.match(text) or (_START.match(text) and self._margin(self.line) <= margin):
                return
            self.line += 1

    def _margin(self, index: int) -> int:
        text = self.lines[index]
        return len(text) - len(text.lstrip(" \t"))

    def _opened_on(self, line: int) -> int:
        """Brackets opened less those closed on this line, quoted texts left out."""
        text = self.lines[line - 1]
        depth = position = 0
        while position < len(text):
            char = text[position]
            if char in "'\"":
                end = end_of_text(text, position)
                position = end if end >= 0 else len(text)
            elif char == "#":
                break
            else:
                depth += (char in "([") - (char in ")]")
            position += 1
        return depth

    def _scan(self) -> Token:
        while self.line < len(self.lines):
            text = self.lines[self.line]
            while self.offset < len(text) and text[self.offset] in " \t":
                self.offset += 1
            if self.offset < len(text) and text[self.offset] == "\\" and not text[self.offset + 1 :].strip():
                self.line, self.offset = self.line + 1, 0  # a line continued by a backslash
                continue
            if self.offset >= len(text) or text[self.offset] == "#":
                ended = Token("newline", "", self.line + 1, self.offset + 1)
                self.line, self.offset = self.line + 1, 0
                if self.depth > 0:
                    self._depth_at[self.line + 1] = self.depth
                    continue
                return ended
            return self._token(text)
        return Token("newline", "", len(self.lines), len(self.lines[-1]) + 1)

    def _token(self, text: str) -> Token:
        start, line = self.offset, self.line + 1
        char = text[start]
        if char in "'\"":
            end = end_of_text(text, start)
            if end < 0:
                raise apostrophe(text, start, line) or Fault(
                    "E002",
                    f"the text opened with {char} is not closed on its line",
                    line,
                    start + 1,
                    f"close it with {char}; write a line break inside a text as \\n",
                )
            if not _AFTER_TEXT.match(text, end + 1):
                raise apostrophe(text, start, line) or _after_text(text, end + 1, line)
            self.offset = end + 1
            return Token("text", text[start : end + 1], line, start + 1)
        match = _PLAIN.match(text, start)
        if match is None:
            raise _stranger(text, start, line)
        self.offset = match.end()
        if match.lastgroup == "name" and text[self.offset : self.offset + 1] in ("'", '"'):
            raise Fault(
                "E003",
                f"{visible(match[0])} before a quote",
                line,
                start + 1,
                "a text has no prefix such as r, b or f",
            )
        return Token(match.lastgroup or "", match[0], line, start + 1)


def apostrophe(text: str, start: int, line: int) -> Fault | None:
    """The commonest quoting fault: an apostrophe (or a quote) inside a text quoted with the same character.

    None where the text that opens at `start` does not look like one.
    """
    mark = text[start]
    closing = end_of_text(text, start)
    if closing < 0:
        return None
    last = closing
    while last >= 0 and not _CLOSES.match(text, last + 1):
        last = text.find(mark, last + 1)
    if last <= closing:
        return None
    inside = text[start + 1 : last]
    named = "an apostrophe" if mark == "'" else "a double quote"
    other, other_named = ('"', "double quotes") if mark == "'" else ("'", "single quotes")
    if other not in inside:
        remedy = f"put the text in {other_named}: {other}{visible(inside, 80)}{other}"
    else:
        remedy = f"write \\{mark} for each {mark} inside the text"
    return Fault(
        "E001",
        f"{named} inside the text ends it early, after {visible(text[start : closing + 1])}",
        line,
        closing + 1,
        remedy,
    )


def _after_text(text: str, position: int, line: int) -> Fault:
    while text[position] in " \t":
        position += 1
    if text[position] in "'\"":
        message, remedy = "two texts stand side by side", "put a comma between them, or make them one text"
    else:
        message = f"'{visible(text[position:], 20)}' follows a text"
        remedy = "after an argument comes a comma or the closing bracket"
    return Fault("E003", message, line, position + 1, remedy)


def _stranger(text: str, start: int, line: int) -> Fault:
    """A character that no token starts with."""
    char = text[start]
    if char in _CURLY:
        return Fault("E002", f"{char} is a typographic quote", line, start + 1, "write plain quotes: ' or \"")
    if not char.isascii():
        shown = f"{char} (U+{ord(char):04X})" if char.isprintable() else f"U+{ord(char):04X}"
        return Fault(
            "E003",
            f"{shown} stands outside a text",
            line,
            start + 1,
            "names are written in plain Latin letters; other letters only look alike",
        )
    if char.isdigit():
        return Fault(
            "E004",
            f"'{visible(text[start:], 20)}' is no number",
            line,
            start + 1,
            "write digits with one point",
        )
    remedies = {
        ".": "there are no attributes or methods; call a tool with keyword arguments",
        ";": "write one step on a line",
        "{": "a value's name stands bare; braces are for names inside EVAL's expr",
        "*": "arithmetic belongs into EVAL(expr='...')",
        "`": "leave the code fence out",
    }
    shown = char if char.isprintable() else f"U+{ord(char):04X}"
    return Fault("E003", f"'{shown}' is not in the language", line, start + 1, remedies.get(char, ""))
