"""EVAL's expressions character by character: which character may come next, and how to end from here.

What it writes is a part of what `expressions` reads: one space around an operator and after a comma, no chains of
comparisons, an index is a whole number. Sorts keep it from writing what must fail: a picture in an expression, a list in
arithmetic or as the result, a quoted text as a condition. A prefix that it lets through can always be ended.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from ..tools import types
from ..tools.types import ValueType

# Sorts: N number, T text (it may spell a number), S quoted text, F flag, R region, L list, A any of these.
_ALL = "NTSFRLA"
_NUMERIC = "NTFA"
_CONTAINER = "TSRLA"
# With these no expression passes limits.EXPRESSION_DEPTH: in the deepest list (10) there may be `not` and a sign (2), the
# indices so far (3, never given back by the parser) and one being written (1).
_OPEN_DEPTH = 7  # brackets, `not` and signs inside one another at which a bracket may still be opened
_INDICES = 3  # `[0]` in one expression
_ITEMS = 32  # items of a list, operands of a function
_ARITHMETIC = (" + ", " - ", " * ", " / ", " // ", " % ")
_ORDER = (" > ", " < ", " >= ", " <= ")
_EQUAL = (" == ", " != ")
_MEMBER = (" in ", " not in ")
_LOGIC = (" and ", " or ", " xor ")
_NUMBER = re.compile(r"(?:0|[1-9][0-9]{0,8})(?:\.[0-9]{0,4})?")
_INDEX = re.compile(r"-?(?:0|[1-9][0-9]{0,2})?")
_ESCAPED = "\\'\"nt"
BRACES = frozenset("{}")


class _Function(NamedTuple):
    gives: str
    takes: tuple[str, ...]  # sorts of each operand; the last repeats where `more`
    more: bool = False


FUNCTIONS: dict[str, _Function] = {
    "len": _Function("N", ("TSLA",)),
    "min": _Function("N", ("NTFLA", _NUMERIC), more=True),
    "max": _Function("N", ("NTFLA", _NUMERIC), more=True),
    "sum": _Function("N", ("NTFLA", _NUMERIC), more=True),
    "abs": _Function("N", (_NUMERIC,)),
    "round": _Function("N", (_NUMERIC, "N")),
    "any": _Function("F", ("LA",)),
    "all": _Function("F", ("LA",)),
    "int": _Function("N", (_NUMERIC,)),
    "float": _Function("N", (_NUMERIC,)),
    "number": _Function("N", ("NTSRA",)),
    "numbers": _Function("L", ("TSRLA",)),
    "str": _Function("S", (_ALL,)),
    "lower": _Function("S", (_ALL,)),
    "upper": _Function("S", (_ALL,)),
    "strip": _Function("S", (_ALL,)),
    "join": _Function("S", ("LA", "S")),
}


def sort_of(type_: ValueType) -> str:
    """The sort of a step's value in an expression; '' for pictures, which no expression may hold."""
    atoms = type_.atoms
    if atoms <= {"Image", "Images"}:
        return ""
    if atoms <= types.SINGULAR.keys():
        return "L"
    return (
        {"Number": "N", "Text": "T", "Flag": "F", "Region": "R"}.get(next(iter(atoms)), "A")
        if len(atoms) == 1
        else "A"
    )


class Frame(NamedTuple):
    """An open bracket, or the whole: what it may hold, and how far it has come."""

    kind: str  # top, group, list, or a function's name
    wants: str  # sorts that it takes
    depth: int = 1  # brackets, `not` and signs around it, and itself
    nth: int = 0  # values before this one
    sort: str = ""  # of the sum that stands before the cursor; '' where an operand is awaited
    need: str = ""  # sorts that the awaited operand must have; '' for any
    condition: bool = False  # between `if` and `else`
    branched: bool = False  # after an `else`
    truth: bool = False  # the operand counts as yes or no
    compared: bool = False  # a comparison sign stands in this operand
    negated: bool = False  # after `not`
    signed: bool = False  # after `-`
    reserved: bool = False  # an index for the list that this bracket gives is already counted
    paid: bool = False  # so is one for the list before the cursor

    @property
    def strict(self) -> bool:
        """Whether it takes no flag, so that nothing may be compared in it."""
        return "F" not in self.wants

    @property
    def indexing(self) -> bool:
        """Whether the list before the cursor must be indexed next."""
        return self.need in ("index", "number index")

    @property
    def inner_depth(self) -> int:
        """The depth of a bracket opened here, less one."""
        return self.depth + self.negated + self.signed

    @property
    def value(self) -> str:
        """The sort of the value, were it to end here."""
        if self.truth or self.compared:
            return "F"
        return "A" if self.branched and self.sort != "L" else self.sort


class Expression(NamedTuple):
    """A prefix of an expression: its open frames and the word, number or text that is being written."""

    frames: tuple[Frame, ...]
    at: str = "start"  # start, word, number, slot, text, escape, inner (a slot in a text), after, sign, index, comma
    written: str = ""  # of that word
    mark: str = ""  # the quote of that text
    indices: int = 0

    @property
    def frame(self) -> Frame:
        return self.frames[-1]


START = Expression((Frame("top", "NTSFRA"),))
Names = Mapping[str, str]  # slot -> sort; pictures left out


def fits(e: Expression, sort: str) -> bool:
    """Whether an operand of this sort may stand here; a list may where it is taken as such or can be indexed."""
    frame = e.frame
    if frame.need:
        allowed = frame.need
    elif frame.strict:
        allowed = frame.wants
    else:
        return sort != "L" or e.indices < _INDICES
    return sort in allowed or (sort == "L" and "A" in allowed and e.indices < _INDICES)


@lru_cache(maxsize=8192)
def words(e: Expression) -> tuple[str, ...]:
    """What may stand where an operand is awaited and starts with a letter."""
    frame = e.frame
    found = []
    if frame.inner_depth <= _OPEN_DEPTH:
        found = [f"{name}(" for name, function in FUNCTIONS.items() if fits(e, function.gives)]
    if not frame.need and fits(e, "F"):
        found += ["True", "False"]
        if not frame.negated:
            found.append("not ")
    return tuple(found)


@lru_cache(maxsize=8192)
def signs(frame: Frame) -> tuple[str, ...]:
    """The operators that may follow the value before the cursor."""
    if frame.indexing:
        return ()
    found: list[str] = []
    if frame.sort in _NUMERIC and (not frame.strict or "N" in frame.wants):
        found += _ARITHMETIC
    if not frame.strict:
        if not frame.compared:
            if frame.sort in _NUMERIC:
                found += _ORDER
            found += _EQUAL
            if frame.sort != "L":
                found += _MEMBER
        if frame.compared or frame.sort != "S":
            found += _LOGIC
            if frame.condition:
                found.append(" else ")
        plain = frame.truth or frame.compared or frame.sort != "L"
        if not frame.condition and plain and not (frame.truth and not frame.compared and frame.sort == "S"):
            found.append(" if ")
    return tuple(found)


def closes(frame: Frame) -> bool:
    """Whether the frame's last value may end here."""
    if frame.condition or frame.indexing or (frame.truth and not frame.compared and frame.sort == "S"):
        return False
    value = frame.value
    if value not in frame.wants or (frame.branched and value == "L"):
        return False
    return not (frame.kind in ("min", "max", "sum") and frame.nth == 0 and value not in "LA")


def _continues(frame: Frame) -> bool:
    """Whether a comma and another value may follow."""
    if frame.condition or frame.indexing or (frame.truth and not frame.compared and frame.sort == "S"):
        return False
    function = FUNCTIONS.get(frame.kind)
    if frame.value not in frame.wants or (frame.branched and frame.value == "L") or frame.nth >= _ITEMS:
        return False
    if function is None:
        return frame.kind == "list"
    if frame.kind in ("min", "max", "sum") and frame.value == "L":
        return False
    return function.more or frame.nth + 1 < len(function.takes)


def _indexable(e: Expression) -> bool:
    return e.frame.sort == "L" and (e.frame.paid or e.indices < _INDICES)


def done(e: Expression) -> bool:
    """Whether the expression may end here."""
    if e.at == "number":
        e = number_ended(e) or e
    return e.at == "after" and len(e.frames) == 1 and closes(e.frame)


def chars(e: Expression, names: Names) -> frozenset[str]:
    """The characters that may follow, those of an open text (see `open_text`) left out."""
    at, written = e.at, e.written
    if at == "start":
        found = {word[0] for word in words(e)}
        need = e.frame.need
        if fits(e, "N"):
            found.update("0123456789")
            if not e.frame.signed and (not e.frame.strict or "N" in e.frame.wants):
                found.add("-")
        if fits(e, "S"):
            found.update("'\"")
        if any(fits(e, sort) for sort in names.values()):
            found.add("{")
        if e.frame.inner_depth <= _OPEN_DEPTH and e.frame.wants != "S":
            found.add("(")
        if e.frame.inner_depth <= _OPEN_DEPTH + 2 and fits(e, "L") and (not need or "L" in need):
            found.add("[")
        return frozenset(found)
    if at == "word":
        return frozenset(word[len(written)] for word in words(e) if word.startswith(written))
    if at == "number":
        found = {char for char in "0123456789." if _NUMBER.fullmatch(written + char)}
        ended = number_ended(e)
        return frozenset(found) | (chars(ended, names) if ended else frozenset())
    if at in ("slot", "inner"):
        fitting = [f"{name}}}" for name, sort in names.items() if at == "inner" or fits(e, sort)]
        return frozenset(name[len(written)] for name in fitting if name.startswith(written))
    if at == "text":
        return frozenset((e.mark, "\\", "{") if names else (e.mark, "\\"))
    if at == "escape":
        return frozenset(_ESCAPED)
    if at == "index":
        found = {char for char in "-0123456789" if _INDEX.fullmatch(written + char)}
        return frozenset(found | {"]"} if written[-1:].isdigit() else found)
    if at == "comma":
        return frozenset(" ")
    if at == "sign":
        return frozenset(sign[len(written)] for sign in signs(e.frame) if sign.startswith(written))
    found = {" "} if signs(e.frame) else set()
    if _indexable(e):
        found.add("[")
    if len(e.frames) > 1 and closes(e.frame):
        found.add("]" if e.frame.kind == "list" else ")")
    if _continues(e.frame):
        found.add(",")
    return frozenset(found)


def open_text(e: Expression) -> frozenset[str] | None:
    """In a quoted text: the printable characters that are not simply part of it; None elsewhere."""
    return BRACES | {e.mark, "\\"} if e.at == "text" else None


def step(e: Expression, char: str, names: Names) -> Expression | None:
    """The prefix with one more character; None where it may not follow."""
    if e.at == "text" and char.isprintable() and char not in BRACES and char not in (e.mark, "\\"):
        return e
    return _step(e, char, names) if char in chars(e, names) else None


def _step(e: Expression, char: str, names: Names) -> Expression:
    at, written = e.at, e.written + char
    if at == "start":
        if char in "0123456789":
            return e._replace(at="number", written=char)
        if char in "'\"":
            return e._replace(at="text", mark=char)
        if char == "{":
            return e._replace(at="slot")
        if char == "-":
            return _refine(e, need=_NUMERIC, signed=True)
        if char in "([":
            return _opened(e, char)
        return _word(e, char)
    if at == "word":
        return _word(e, written)
    if at == "number":
        if char in "0123456789.":
            return e._replace(written=written)
        ended = number_ended(e)
        assert ended is not None
        return _step(ended, char, names)
    if at == "slot":
        return _operand(e, names[e.written]) if char == "}" else e._replace(written=written)
    if at == "inner":
        return e._replace(at="text", written="") if char == "}" else e._replace(written=written)
    if at == "text":
        if char == e.mark:
            return _operand(e, "S")
        return e._replace(at="escape" if char == "\\" else "inner", written="")
    if at == "escape":
        return e._replace(at="text")
    if at == "index":
        if char != "]":
            return e._replace(written=written)
        sort = "N" if e.frame.need == "number index" else "A"
        frame = e.frame._replace(sort=sort, need="", paid=False)
        return Expression((*e.frames[:-1], frame), "after", indices=e.indices + (not e.frame.paid))
    if at == "comma":
        return e._replace(at="start")
    if at == "sign":
        return _signed(e, written) if written in signs(e.frame) else e._replace(written=written)
    if char == " ":
        return e._replace(at="sign", written=" ")
    if char == "[":
        return e._replace(at="index", written="")
    if char == ",":
        frame, function = e.frame, FUNCTIONS.get(e.frame.kind)
        wants = function.takes[min(frame.nth + 1, len(function.takes) - 1)] if function else frame.wants
        return Expression(
            (*e.frames[:-1], Frame(frame.kind, wants, frame.depth, frame.nth + 1, reserved=frame.reserved)),
            "comma",
            indices=e.indices,
        )
    closed = e.frame
    gives = (
        FUNCTIONS[closed.kind].gives
        if closed.kind in FUNCTIONS
        else "L"
        if closed.kind == "list"
        else closed.value
    )
    outer = e.frames[-2]._replace(paid=closed.reserved)
    return _operand(Expression((*e.frames[:-2], outer), indices=e.indices), gives)


def _refine(e: Expression, **changes: object) -> Expression:
    """The expression with its innermost frame changed, an operand awaited."""
    changes["paid"] = False
    return Expression((*e.frames[:-1], e.frame._replace(**changes)), indices=e.indices)  # type: ignore[arg-type]


def _word(e: Expression, written: str) -> Expression:
    if written not in words(e):
        return e._replace(at="word", written=written)
    if written == "not ":
        return _refine(e, negated=True, truth=True)
    if written in ("True", "False"):
        return _operand(e, "F")
    name = written[:-1]
    return _pushed(e, name, FUNCTIONS[name].takes[0], FUNCTIONS[name].gives)


def _opened(e: Expression, char: str) -> Expression:
    frame = e.frame
    kind, wants = "list", "NTSFRA"
    if char == "(":
        kind, wants = "group", frame.need or (frame.wants if frame.strict else "NTSFRA")
    return _pushed(e, kind, wants, "L" if kind == "list" else "")


def _pushed(e: Expression, kind: str, wants: str, gives: str) -> Expression:
    """In a new bracket. One that gives a list counts the index that may have to follow it at once."""
    frame = e.frame
    direct = "L" in frame.need if frame.need else frame.strict and "L" in frame.wants
    reserved = gives == "L" and not direct
    opened = Frame(kind, wants, frame.inner_depth + 1, reserved=reserved)
    return Expression((*e.frames, opened), indices=e.indices + reserved)


def _operand(e: Expression, sort: str) -> Expression:
    """After an operand of this sort; a list where a single value is needed must be indexed next."""
    frame = e.frame
    allowed = frame.need or (frame.wants if frame.strict else "")
    index = ""
    if sort == "L" and allowed and "L" not in allowed:
        index = "number index" if frame.need == _NUMERIC else "index"
    summed = "N" if frame.need == _NUMERIC and not index and sort != "L" else sort
    return Expression(
        (*e.frames[:-1], frame._replace(sort=summed, need=index, signed=False)), "after", indices=e.indices
    )


def number_ended(e: Expression) -> Expression | None:
    return None if e.written.endswith(".") else _operand(e, "N")


def _signed(e: Expression, sign: str) -> Expression:
    """After an operator: what its right-hand operand must be."""
    if sign in _ARITHMETIC:
        return _refine(e, sort="", need=_NUMERIC)
    if sign in _ORDER:
        return _refine(e, sort="", need=_NUMERIC, compared=True)
    if sign in _EQUAL:
        return _refine(e, sort="", need="LA" if e.frame.sort == "L" else "NTSFRA", compared=True)
    if sign in _MEMBER:
        return _refine(e, sort="", need=_CONTAINER, compared=True)
    if sign in _LOGIC:
        return _refine(e, sort="", truth=True, compared=False, negated=False)
    if sign == " if ":
        return _refine(e, sort="", condition=True, truth=True, compared=False, negated=False)
    return _refine(e, sort="", condition=False, branched=True, truth=False, compared=False, negated=False)
