"""How values meet inside EVAL: what counts as a number, a flag or a text, and when two values are equal.

Answers of a model are texts: 'yes' must count as a flag and 'three' as a number, or no program could compare them. No
value is ever parsed as an expression: a text read off a picture stays a text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

from ..errors import ToolError
from ..tools.numerals import numbers_in
from ..tools.values import Image, Region
from . import limits


class EvalError(ToolError):
    """An expression that cannot be evaluated with the values it was given; one line says why."""


_FLAGS = {"yes": True, "true": True, "no": False, "false": False}
_UNITS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_WORDS = {word: value for value, word in enumerate(_UNITS)}
_WORDS |= {ten: 20 + 10 * index for index, ten in enumerate(_TENS)}
_WORDS |= {
    f"{ten}{joint}{_UNITS[unit]}": 20 + 10 * index + unit
    for index, ten in enumerate(_TENS)
    for unit in range(1, 10)
    for joint in "- "
}
_NUMERIC = re.compile(r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?", re.ASCII)
_LIST_CHARS = 32 * limits.TEXT_CHARS  # characters of all items that one operation may look at


def is_list(value: Any) -> bool:
    """Whether a value is several values: Regions, or a list of texts, numbers, pictures."""
    return isinstance(value, Sequence) and not isinstance(value, str)


def admit(value: Any, where: str) -> Any:
    """`value` where it is one that the language knows and within the limits; else EvalError naming `where`."""
    kind = type(value)
    if kind is bool or value is None:
        return value
    if kind is str:
        if len(value) > limits.TEXT_CHARS:
            raise EvalError(f"{where} is a text of {len(value)} characters; EVAL takes {limits.TEXT_CHARS}")
        return value
    if kind is int or kind is float:
        return bounded(value, where)
    if isinstance(value, bytes | bytearray | memoryview):
        raise EvalError(f"{where} is bytes, which EVAL cannot use")
    if is_list(value):
        if len(value) > limits.VALUE_ITEMS:
            raise EvalError(f"{where} is a list of {len(value)} items; EVAL takes {limits.VALUE_ITEMS}")
        return value
    if isinstance(value, Region):
        return value
    if isinstance(value, Image):
        raise EvalError(f"{where} is a picture; ask VQA or COLOR about it and compare the answer")
    if isinstance(value, int | float):  # subclasses, such as NumPy's float64
        return bounded(float(value), where)
    raise EvalError(f"{where} is a {kind.__name__}, which EVAL cannot use")


def bounded(number: int | float, where: str) -> int | float:
    """`number` where it is finite and small enough to be exact; else EvalError."""
    if -limits.NUMBER < number < limits.NUMBER:
        return number
    raise EvalError(f"{where} is beyond EVAL's numbers (below {limits.NUMBER:.0e}, and finite)")


def items(value: Any, where: str) -> Iterator[Any]:
    """The items of a list, each admitted; EvalError for what is no list, and for lists inside a list."""
    if not is_list(value):
        raise EvalError(f"{where} is {described(value)}, not a list")
    total = 0
    for item in value:
        if is_list(item):
            raise EvalError(f"{where} is a list of lists; take one of them with [0]")
        item = admit(item, f"an item of {where}")
        if isinstance(item, str):
            total += len(item)
            if total > _LIST_CHARS:
                raise EvalError(f"the texts of {where} are longer than {_LIST_CHARS} characters together")
        yield item


def described(value: Any) -> str:
    """A value in a few words, for messages."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "a flag"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return repr(value if len(value) <= 40 else value[:37] + "...")
    if isinstance(value, Region):
        return "a region"
    return f"a list of {len(value)}" if is_list(value) else f"a {type(value).__name__}"


def numeric(value: Any) -> int | float | None:
    """The number that a value is or spells ('3', '1,250.5', 'three'); None where it is none. A flag is none."""
    kind = type(value)
    if kind is int or kind is float:
        return value
    if kind is str and len(value) <= 40:
        text = value.strip().casefold()
        if text in _WORDS:
            return _WORDS[text]
        if _NUMERIC.fullmatch(text):
            return _within(text.replace(",", ""))
    return None


def number_of(value: Any, where: str) -> int | float:
    """A value as a number for arithmetic and order; a flag counts 0 or 1, a list never."""
    kind = type(value)
    if kind is int or kind is float:
        return value
    if kind is bool:
        return int(value)
    number = numeric(value)
    if number is not None:
        return number
    if is_list(value):
        remedy = f"count it: a step COUNT, or len({where})"
    elif isinstance(value, str):
        remedy = f"number({where}) finds a number inside a text"
    elif isinstance(value, Region):
        remedy = f"number({where}) reads the number written in it"
    else:
        remedy = "check the step that made it"
    raise EvalError(f"{where} is {described(value)}, not a number; {remedy}")


def flag_word(value: Any) -> bool | None:
    """The flag that a value is or spells (yes, no, true, false, in any case, a full stop allowed); else None."""
    if isinstance(value, bool):
        return value
    if type(value) is str and len(value) <= 16:
        return _FLAGS.get(value.strip().rstrip(".!").casefold())
    return None


def truth(value: Any, where: str) -> bool:
    """A value as a condition: flags and their words, a number that is not 0, a list that is not empty."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return value != 0
    if value is None or value == "":
        return False
    if is_list(value):
        return len(value) > 0
    flag = flag_word(value)
    if flag is not None:
        return flag
    if isinstance(value, Region):
        return True
    raise EvalError(f"{where} is {described(value)}, neither yes nor no; compare it, as in {where} == 'red'")


def text_of(value: Any, where: str) -> str:
    """A value as a text: a flag is yes or no, a region what was read in it or its label, a list its items."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return f"{value:.15g}"
    if isinstance(value, Region):
        return admit(value.text if value.text is not None else value.label, where)
    if value is None:
        return ""
    return joined((text_of(item, where) for item in items(value, where)), ", ")


def joined(parts: Iterator[str], separator: str) -> str:
    """The parts with a separator between them; EvalError where that grows beyond a text's limit."""
    found: list[str] = []
    total = 0
    for part in parts:
        total += len(part) + (len(separator) if found else 0)
        if total > limits.TEXT_CHARS:
            raise EvalError(f"the text grows beyond {limits.TEXT_CHARS} characters")
        found.append(part)
    return separator.join(found)


def equal(left: Any, right: Any, where: str, where_right: str) -> bool:
    """Numbers where both look like numbers, flags where both look like flags, else texts without case and margins."""
    kinds = (type(left), type(right))
    if kinds == (int, int):
        return bool(left == right)
    if is_list(left) or is_list(right):
        if not (is_list(left) and is_list(right)):
            name, other = (where, where_right) if is_list(left) else (where_right, where)
            raise EvalError(f"{name} is a list; write {other} in {name}, or compare len({name})")
        mine, theirs = list(items(left, where)), list(items(right, where_right))
        return len(mine) == len(theirs) and all(
            equal(a, b, where, where_right) for a, b in zip(mine, theirs, strict=True)
        )
    if left is None or right is None:
        return left is right
    flags = flag_word(left), flag_word(right)
    if flags[0] is not None and flags[1] is not None:
        return flags[0] == flags[1]
    first = int(left) if isinstance(left, bool) else numeric(left)
    second = int(right) if isinstance(right, bool) else numeric(right)
    if first is not None and second is not None:
        # Sums of prices must equal their total: binary fractions are compared with a tolerance.
        return math.isclose(first, second, rel_tol=1e-9, abs_tol=1e-9)
    return _folded(left, where) == _folded(right, where_right)


def contains(container: Any, item: Any, where: str, where_item: str) -> bool:
    """Whether a list has an equal item, or a text holds the other text, both without case."""
    if is_list(container):
        return any(equal(other, item, where, where_item) for other in items(container, where))
    if isinstance(container, str | Region):
        return _folded(item, where_item) in _folded(container, where)
    raise EvalError(f"{where} is {described(container)}; `in` looks into a list or a text")


def found_numbers(text: str) -> list[float]:
    """Every number written in a text, as on a receipt (see `tools.numerals`); those beyond the limit are left out."""
    return [number for number in numbers_in(text) if -limits.NUMBER < number < limits.NUMBER]


def _within(text: str) -> int | float | None:
    """The number of a plain numeral, None where it is beyond the limit (a serial number stays a text)."""
    if len(text) > 32:
        return None
    number = float(text) if "." in text else int(text)
    return number if -limits.NUMBER < number < limits.NUMBER else None


def _folded(value: Any, where: str) -> str:
    return text_of(value, where).strip().casefold()
