"""Where a program may stand, which characters may come next there, and where each leads."""

from __future__ import annotations

import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from ..tools.declaration import Argument, Tool
from ..tools.types import ValueType
from . import expression_automaton as expression
from . import limits
from .quoting import quote
from .scope import SINGLES, Scope, Value
from .syntax import EXPRESSIONS

_UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_DIGITS = "0123456789"
_NAME = frozenset(_UPPER + _DIGITS + "_")
_ESCAPED = "\\nrt"
NAME_CHARS = limits.NAME_CHARS - 8  # an ending may have to add digits to make a name new
LIST_ITEMS = 64


@lru_cache(maxsize=1)
def escapes() -> tuple[frozenset[str], frozenset[str]]:
    """How the printer writes each format or control character (as in an emoji), without its backslash; their prefixes."""
    ranges = (range(1, 0xD800), range(0xF900, 0x10000), range(0xE0000, 0xE0100))
    found = set()
    for span in ranges:
        for code in span:
            char = chr(code)
            if not char.isprintable() and unicodedata.category(char) in ("Cc", "Cf", "Zs", "Zl", "Zp"):
                found.add(quote(char)[2:-1])
    found.add("\\")
    return frozenset(found), frozenset(text[:end] for text in found for end in range(1, len(text)))


class Call(NamedTuple):
    """The call being written: its step's name, its tool, the arguments given, and what they make of its result."""

    name: str
    op: str
    given: tuple[str, ...] = ()  # sorted: their order does not matter to what may follow
    broadcasts: bool = False
    branches: frozenset[str] = frozenset()  # atoms of IF's branches and RESULT's value


class Literal(NamedTuple):
    """The text being written: its quote, its choices' prefix, and the list it stands in."""

    mark: str
    written: str = ""  # where it must be one of some choices: so far
    escape: str | None = None  # after a backslash: so far
    inner: expression.Expression | None = None  # EVAL's


class State(NamedTuple):
    """Where a program stands. `place` says which fields are in use."""

    scope: Scope
    place: str = (
        "name"  # name, op, first, key, value, word, number, text, item, next, after, end, complete, done
    )
    written: str = ""  # of a name, an op, a keyword, a word, a number
    call: Call = Call("", "")
    key: str = ""  # the argument being written
    literal: Literal | None = None
    items: int = -1  # items before this one of the list being written; -1: no list
    atoms: frozenset[str] = frozenset()  # types of those items
    full: bool = False  # a soft limit is passed: only what ends the text or program may follow


class Places(ABC):
    """The rules of canonical programs: what may follow a state, and the state after it."""

    @abstractmethod
    def scope(self, steps: tuple[tuple[str, ValueType], ...]) -> Scope:
        """The scope after these steps."""

    @abstractmethod
    def completion(self, s: State) -> str:
        """Text that ends the program from here."""

    def tool(self, s: State) -> Tool:
        """The tool being called."""
        return s.scope.registry[s.call.op]

    # What may follow

    def chars(self, s: State) -> frozenset[str]:
        """The characters that may follow, those of an open text left out."""
        if s.full:
            return frozenset(self.completion(s)[:1])
        return frozenset(getattr(self, f"_{s.place}_chars")(s))

    def open_text(self, s: State) -> frozenset[str] | None:
        if s.literal is None or s.full or s.literal.escape is not None:
            return None
        if s.literal.inner is not None:
            outside = expression.open_text(s.literal.inner)
            return None if outside is None else outside | {s.literal.mark, "\\"}
        return None if self.choices(s) else frozenset((s.literal.mark, "\\"))

    def value(self, s: State) -> Value:
        tool = self.tool(s)
        argument = tool.argument(s.key)
        assert argument is not None
        return s.scope.value(tool, argument)

    def choices(self, s: State) -> tuple[str, ...]:
        return self.value(s).choices

    def _name_chars(self, s: State) -> set[str] | frozenset[str]:
        if not s.written:
            return set(_UPPER)
        found: set[str] | frozenset[str] = _NAME if len(s.written) < NAME_CHARS else set()
        if s.written in s.scope.names:
            return found or set(_DIGITS)
        return found | {"="}

    def _op_chars(self, s: State) -> set[str]:
        found = {op[len(s.written)] for op in s.scope.ops if op.startswith(s.written) and op != s.written}
        return found | {"("} if s.written in s.scope.ops else found

    def keys(self, s: State) -> list[str]:
        """Keywords that may still be given, the required ones first."""
        tool = self.tool(s)
        left = [a for a in tool.arguments if a.name not in s.call.given and s.scope.possible(tool, a)]
        return [a.name for a in left if a.required] + [a.name for a in left if not a.required]

    def missing(self, s: State) -> list[Argument]:
        return [a for a in self.tool(s).arguments if a.required and a.name not in s.call.given]

    def _first_chars(self, s: State) -> set[str]:
        found = {key[0] for key in self.keys(s)}
        return found if self.missing(s) else found | {")"}

    def _key_chars(self, s: State) -> set[str]:
        keys = self.keys(s)
        found = {key[len(s.written)] for key in keys if key.startswith(s.written) and key != s.written}
        return found | {"="} if s.written in keys else found

    def _is_expression(self, s: State) -> bool:
        return EXPRESSIONS.get(s.call.op) == s.key

    def _value_chars(self, s: State) -> set[str]:
        if self._is_expression(s):
            return {"'", '"'}
        value = self.value(s)
        listed = s.items >= 0
        found = {word[0] for word in (value.items if listed else value.words)}
        if value.text_items if listed else value.text:
            found |= {quote(choice)[0] for choice in value.choices} if value.choices else {"'", '"'}
        if value.number_items if listed else value.number:
            found |= {*_DIGITS, "-"}
        if value.list and not listed:
            found.add("[")
        return found

    def _word_chars(self, s: State) -> set[str]:
        words = self.words(s)
        found = {word[len(s.written)] for word in words if word.startswith(s.written) and word != s.written}
        return found | self._after_chars(self._ended(s)) if s.written in words else found

    def words(self, s: State) -> Mapping[str, ValueType]:
        return self.value(s).items if s.items >= 0 else self.value(s).words

    def _number_chars(self, s: State) -> set[str]:
        found = {char for char in _DIGITS + "." if _number_prefix(s.written + char)}
        return found | self._after_chars(self._ended(s)) if is_number(s.written) else found

    def _text_chars(self, s: State) -> set[str] | frozenset[str]:
        literal = s.literal
        assert literal is not None
        if literal.escape is not None:
            ends, prefixes = escapes()
            marks = {literal.mark, *_ESCAPED}
            if literal.inner is not None:  # only what the expression takes there, decoded
                within = expression.chars(literal.inner, s.scope.sorts)
                found = {char for char in (literal.mark, "\\") if char in within}
                return found | ({literal.mark} if self._marks_inside(literal) else set())
            texts = ends | prefixes
            return {t[-1] for t in texts if t[:-1] == literal.escape and t} | (
                marks if not literal.escape else set()
            )
        if literal.inner is not None:
            within = expression.chars(literal.inner, s.scope.sorts)
            found = {char for char in within if char not in (literal.mark, "\\")}
            if literal.mark in within or "\\" in within or self._marks_inside(literal):
                found.add("\\")
            return found | {literal.mark} if expression.done(literal.inner) else found
        choices = self.choices(s)
        if not choices:
            return {literal.mark, "\\"}
        quoted = [quote(choice)[1:] for choice in choices if quote(choice)[0] == literal.mark]
        return {choice[len(literal.written)] for choice in quoted if choice.startswith(literal.written)}

    @staticmethod
    def _marks_inside(literal: Literal) -> bool:
        """Whether the expression stands in a text of its own that may hold the outer quote."""
        outside = expression.open_text(literal.inner) if literal.inner is not None else None
        return outside is not None and literal.mark not in outside

    def _after_chars(self, s: State) -> set[str]:
        """After a value."""
        if s.items >= 0:
            return {"]", ","} if s.items < LIST_ITEMS else {"]"}
        missing = self.missing(s)
        found = {","} if self.keys(s) else set()
        return found if missing else found | {")"}

    def _end_chars(self, s: State) -> set[str]:
        return {"\n"}

    _complete_chars = _end_chars

    def _done_chars(self, s: State) -> set[str]:
        return set()

    # Steps

    def step(self, s: State, char: str) -> State:
        """The state after a character that may follow."""
        place, written = s.place, s.written + char
        if place == "name":
            if char == "=":
                return s._replace(place="op", written="", call=Call(s.written, ""))
            return s._replace(written=written)
        if place == "op":
            if char == "(":
                return s._replace(place="first", written="", call=s.call._replace(op=s.written))
            return s._replace(written=written)
        if place == "first" and char == ")":
            return self._closed(s)
        if place in ("first", "key"):
            if char == "=":
                return s._replace(place="value", written="", key=s.written)
            return s._replace(place="key", written=written)
        if place == "value":
            return self._begun(s, char)
        if place in ("word", "number"):
            if char in ",)]":
                return self._followed(self._ended(s), char)
            return s._replace(written=written)
        if place == "text":
            return self._quoted(s, char)
        if place == "after":
            return self._followed(s, char)
        return State(s.scope, "done") if place == "complete" else State(s.scope)

    def _begun(self, s: State, char: str) -> State:
        if char in "'\"":
            inner = expression.START if self._is_expression(s) else None
            return s._replace(place="text", literal=Literal(char, inner=inner))
        if char == "[":
            return s._replace(items=0, atoms=frozenset())
        return s._replace(place="number" if char in _DIGITS + "-" else "word", written=char)

    def _quoted(self, s: State, char: str) -> State:
        literal = s.literal
        assert literal is not None
        if literal.escape is not None:
            if literal.inner is not None:
                inner = expression.step(literal.inner, char, s.scope.sorts)
                return s._replace(literal=literal._replace(escape=None, inner=inner))
            escape = literal.escape + char
            whole = escape in escapes()[0] or (not literal.escape and char in (literal.mark, *_ESCAPED))
            return s._replace(literal=literal._replace(escape=None if whole else escape))
        if literal.inner is not None:
            if char == literal.mark:
                return self._given(s, None)
            if char == "\\":
                return s._replace(literal=literal._replace(escape=""))
            return s._replace(
                literal=literal._replace(inner=expression.step(literal.inner, char, s.scope.sorts))
            )
        choices = self.choices(s)
        if choices:
            quoted = literal.mark + literal.written + char
            if any(quote(choice) == quoted for choice in choices):
                return self._given(s, SINGLES["Text"])
            return s._replace(literal=literal._replace(written=literal.written + char))
        if char == literal.mark:
            return self._given(s, SINGLES["Text"])
        return s._replace(literal=literal._replace(escape=""))

    def _ended(self, s: State) -> State:
        """After the word or number before the cursor."""
        return self._given(s, SINGLES["Number"] if s.place == "number" else self.words(s)[s.written])

    def _given(self, s: State, type_: ValueType | None) -> State:
        """After a value of this type; None for EVAL's expression."""
        if s.items >= 0 and type_ is not None:
            atoms = s.atoms | type_.plural().atoms
            return s._replace(place="after", written="", literal=None, items=s.items + 1, atoms=atoms)
        return self.after_argument(s, type_)

    def after_argument(self, s: State, type_: ValueType | None) -> State:
        """After the whole value of an argument."""
        call, argument = s.call, self.tool(s).argument(s.key)
        assert argument is not None
        branches = call.branches
        if type_ is not None and (call.op, s.key) in (("IF", "then"), ("IF", "otherwise"), ("RESULT", "var")):
            branches |= type_.atoms
        call = call._replace(
            given=tuple(sorted((*call.given, s.key))),
            broadcasts=call.broadcasts or (type_ is not None and argument.type.broadcasts(type_)),
            branches=branches,
        )
        return State(s.scope, "after", call=call, full=s.full)

    def _followed(self, s: State, char: str) -> State:
        if char == "]":
            return self.after_argument(s._replace(items=-1), ValueType(s.atoms))
        if char == ")":
            return self._closed(s)
        return s._replace(place="value" if s.items >= 0 else "key", written="")

    def _closed(self, s: State) -> State:
        call, tool = s.call, self.tool(s)
        if call.op == "RESULT":
            return State(s.scope, "complete")
        if call.op == "IF":
            type_ = ValueType(call.branches)
        else:
            type_ = tool.returns.plural() if call.broadcasts else tool.returns
        return State(self.scope((*s.scope.steps, (call.name, type_))), "end")


def _number_prefix(text: str) -> bool:
    """Whether a number in the printer's form may start so: up to 9 digits, a point and up to 4 decimals."""
    digits = text.removeprefix("-")
    whole, point, decimals = digits.partition(".")
    if len(whole) > 9 or (len(whole) > 1 and whole[0] == "0") or (not whole and point):
        return False
    if "." in decimals or len(decimals) > 4:
        return False
    return not (len(decimals) == 4 and decimals[-1] == "0")


def is_number(text: str) -> bool:
    """Whether it is a whole number in the printer's form: no -0, no zeros at the end of decimals."""
    whole, point, decimals = text.removeprefix("-").partition(".")
    if (
        not _number_prefix(text)
        or not whole
        or (point and not decimals)
        or (len(decimals) > 1 and decimals[-1] == "0")
    ):
        return False
    return not (text[0] == "-" and not (whole + decimals).strip("0"))
