"""FILTER's conditions on regions: a small closed grammar, parsed by hand and never evaluated as code.

    or      := and ('or' and)*
    and     := not ('and' not)*
    not     := 'not' not | '(' or ')' | field op value
    field   := label | text | color | score | area | width | height | aspect | digits | x | y | left | top | right | bottom
    op      := == | != | < | <= | > | >= | contains
    value   := 'quoted' | "quoted" | number | number%

Texts compare without regard to case. `x` and `y` are the centre, `aspect` is width over height, `digits` counts the
digits in the region's text. A percentage is of the picture (area, width, height; x, left, right of its width from its
left edge; y, top, bottom of its height from its top edge) or of 1 (score).
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import LimitError, ToolError
from .color import COLOR_NAMES, main_color
from .values import Image, Region

MOST_CHARACTERS = 1000
MOST_DEPTH = 20

Test = Callable[[Region, "Image | None"], bool]

_TEXT_FIELDS = ("label", "text", "color")
_NUMBER_FIELDS: dict[str, Callable[[Region], float]] = {
    "score": lambda r: r.score,
    "area": lambda r: r.area,
    "width": lambda r: r.width,
    "height": lambda r: r.height,
    "aspect": lambda r: r.width / r.height if r.height > 0 else 0.0,
    "digits": lambda r: sum(character.isdigit() for character in r.text or ""),
    "x": lambda r: r.center[0],
    "y": lambda r: r.center[1],
    "left": lambda r: r.box[0],
    "top": lambda r: r.box[1],
    "right": lambda r: r.box[2],
    "bottom": lambda r: r.box[3],
}
FIELDS = (*_TEXT_FIELDS, *_NUMBER_FIELDS)
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_TOKEN = re.compile(
    r"\s*(?:(?P<text>'[^']*'|\"[^\"]*\")|(?P<number>[-+]?\d+(?:\.\d+)?%?|[-+]?\.\d+%?)"
    r"|(?P<op>==|!=|<=|>=|<|>)|(?P<paren>[()])|(?P<word>[A-Za-z_]+))"
)


@dataclass(frozen=True)
class _Token:
    kind: str  # text, number, op, paren, word, end
    value: str
    at: int  # column, from 1


def measure(region: Region, field: str) -> float:
    """A region's number by its name, in the original's pixels (`score`: 0 to 1)."""
    return float(_NUMBER_FIELDS[field](region))


MEASURES = tuple(_NUMBER_FIELDS)


def parse_condition(source: str) -> Test:
    """The condition as a test of a region (and the picture, which colours and percentages need)."""
    if len(source) > MOST_CHARACTERS:
        raise LimitError(f"FILTER: the condition has {len(source)} characters, {MOST_CHARACTERS} are allowed")
    parser = _Parser(_tokens(source), source)
    test = parser.either(0)
    parser.end()
    return test


def _tokens(source: str) -> list[_Token]:
    found: list[_Token] = []
    position = 0
    while source[position:].strip():
        matched = _TOKEN.match(source, position)
        if matched is None:
            rest = source[position:].lstrip()
            at = len(source) - len(rest) + 1
            hint = " (a text ends with the quote that it began with)" if rest[0] in "'\"" else ""
            hint = " (write == for equality)" if rest[0] == "=" else hint
            raise ToolError(f"FILTER: cannot read {rest[0]!r} at character {at} of the condition{hint}")
        kind = matched.lastgroup or ""
        found.append(_Token(kind, matched[kind], matched.start(kind) + 1))
        position = matched.end()
    found.append(_Token("end", "", len(source) + 1))
    return found


class _Parser:
    """Recursive descent over the tokens; each method returns the test that it read."""

    def __init__(self, tokens: list[_Token], source: str) -> None:
        self.tokens = tokens
        self.source = source
        self.index = 0

    @property
    def token(self) -> _Token:
        return self.tokens[self.index]

    def take(self) -> _Token:
        token = self.token
        self.index += 1
        return token

    def word(self, value: str) -> bool:
        if self.token.kind == "word" and self.token.value.casefold() == value:
            self.index += 1
            return True
        return False

    def fail(self, expected: str) -> ToolError:
        token = self.token
        found = "the end" if token.kind == "end" else repr(token.value)
        return ToolError(
            f"FILTER: expected {expected} at character {token.at} of the condition, found {found}"
        )

    def end(self) -> None:
        if self.token.kind != "end":
            raise self.fail("'and', 'or' or the end")

    def either(self, depth: int) -> Test:
        tests = [self.both(depth)]
        while self.word("or"):
            tests.append(self.both(depth))
        return tests[0] if len(tests) == 1 else lambda region, image: any(t(region, image) for t in tests)

    def both(self, depth: int) -> Test:
        tests = [self.negated(depth)]
        while self.word("and"):
            tests.append(self.negated(depth))
        return tests[0] if len(tests) == 1 else lambda region, image: all(t(region, image) for t in tests)

    def negated(self, depth: int) -> Test:
        if depth > MOST_DEPTH:
            raise LimitError(f"FILTER: the condition nests deeper than {MOST_DEPTH} levels")
        if self.word("not"):
            inner = self.negated(depth + 1)
            return lambda region, image: not inner(region, image)
        if self.token.value == "(" and self.token.kind == "paren":
            self.take()
            test = self.either(depth + 1)
            if self.token.value != ")" or self.token.kind != "paren":
                raise self.fail("')'")
            self.take()
            return test
        return self.comparison()

    def comparison(self) -> Test:
        field = self.token.value.casefold()
        if self.token.kind != "word" or field not in (*FIELDS, "colour"):
            raise self.fail(f"one of {', '.join(FIELDS)}")
        self.take()
        field = "color" if field == "colour" else field
        if field in _TEXT_FIELDS:
            return self.text_comparison(field)
        if self.token.kind != "op":
            raise self.fail(f"a comparison such as > after {field}")
        compare = _COMPARE[self.take().value]
        if self.token.kind != "number":
            raise self.fail(f"a number to compare {field} with")
        return _number_test(field, compare, self.take().value)

    def text_comparison(self, field: str) -> Test:
        contains = self.word("contains")
        if not contains and self.token.value not in ("==", "!="):
            raise self.fail(f"==, != or contains after {field}")
        negative = not contains and self.take().value == "!="
        if self.token.kind != "text":
            raise self.fail(f"a text in quotes to compare {field} with")
        wanted = self.take().value[1:-1].strip().casefold()
        if field == "color":
            wanted = {"grey": "gray"}.get(wanted, wanted)
            if wanted not in COLOR_NAMES:
                raise ToolError(f"FILTER: no colour {wanted!r}; the colours are {', '.join(COLOR_NAMES)}")

        def test(region: Region, image: Image | None) -> bool:
            value = _text_of(region, field, image).strip().casefold()
            return wanted in value if contains else (value == wanted) != negative

        return test


def _text_of(region: Region, field: str, image: Image | None) -> str:
    if field == "label":
        return region.label
    if field == "text":
        return region.text or ""
    if image is None:
        raise ToolError("FILTER: a condition on color needs the picture; add image=IMAGE")
    return main_color(image, region)


def _number_test(field: str, compare: Callable[[float, float], bool], written: str) -> Test:
    number = float(written.rstrip("%"))
    if not written.endswith("%"):
        return lambda region, image: compare(measure(region, field), number)
    if field in ("aspect", "digits"):
        raise ToolError(f"FILTER: {field} is a plain number; write {written.rstrip('%')} without the %")
    if field == "score":
        return lambda region, image: compare(region.score, number / 100)

    def test(region: Region, image: Image | None) -> bool:
        if image is None:
            raise ToolError(f"FILTER: {field} in % needs the picture; add image=IMAGE")
        whole = {
            "area": image.width * image.height,
            "width": image.width,
            "x": image.width,
            "left": image.width,
            "right": image.width,
        }.get(field, image.height)
        start = {"x": 0, "left": 0, "right": 0, "y": 1, "top": 1, "bottom": 1}.get(field)
        origin = image.offset[start] if start is not None else 0
        return compare(measure(region, field) - origin, whole * number / 100)

    return test


def fields_read(source: str) -> frozenset[str]:
    """The fields that a condition looks at; the same errors as `parse_condition` for one that is malformed."""
    parse_condition(source)
    return frozenset(t.value for t in _tokens(source) if t.kind == "word" and t.value in FIELDS)
