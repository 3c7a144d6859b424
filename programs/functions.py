"""The functions of EVAL: a closed table; each takes bounded values and what the operands are called in messages."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from ..tools.values import Region
from . import limits
from .coercion import EvalError, described, found_numbers, is_list, items, joined, number_of, text_of, truth

_MANY = 99  # more operands than an expression may hold


class Function(NamedTuple):
    """`apply(*values, where=[what each is called])`, for `least` to `most` values."""

    least: int
    most: int
    apply: Callable[..., Any]


def _length(value: Any, *, where: list[str]) -> int:
    if is_list(value) or isinstance(value, str):
        return len(value)
    raise EvalError(f"{where[0]} is {described(value)}; len takes a list or a text")


def _operands(values: tuple[Any, ...], where: list[str]) -> list[Any]:
    """The values of `max(a, b)` or the items of `max(list)`."""
    if len(values) == 1:
        return list(items(values[0], where[0]))
    return list(values)


def _smallest(*values: Any, where: list[str]) -> Any:
    return min(_numbers(values, where))


def _largest(*values: Any, where: list[str]) -> Any:
    return max(_numbers(values, where))


def _numbers(values: tuple[Any, ...], where: list[str]) -> list[int | float]:
    operands = _operands(values, where)
    if not operands:
        raise EvalError(f"{where[0]} is empty and has neither a smallest nor a largest number")
    return [number_of(value, where[min(i, len(where) - 1)]) for i, value in enumerate(operands)]


def _sum(*values: Any, where: list[str]) -> Any:
    numbers = [number_of(value, f"an item of {where[0]}") for value in _operands(values, where)]
    return math.fsum(numbers) if any(isinstance(number, float) for number in numbers) else sum(numbers)


def _any(value: Any, *, where: list[str]) -> bool:
    return any(truth(item, f"an item of {where[0]}") for item in items(value, where[0]))


def _all(value: Any, *, where: list[str]) -> bool:
    return all(truth(item, f"an item of {where[0]}") for item in items(value, where[0]))


def _abs(value: Any, *, where: list[str]) -> Any:
    return abs(number_of(value, where[0]))


def _round(value: Any, digits: Any = None, *, where: list[str]) -> Any:
    number = number_of(value, where[0])
    if digits is None:
        return round(number)
    places = number_of(digits, where[1])
    if places not in range(11):
        raise EvalError(f"{where[1]} is {places}; round takes 0 to 10 decimals")
    return round(number, int(places))


def _int(value: Any, *, where: list[str]) -> int:
    return int(number_of(value, where[0]))


def _float(value: Any, *, where: list[str]) -> float:
    return float(number_of(value, where[0]))


def _number(value: Any, *, where: list[str]) -> Any:
    if not isinstance(value, str | Region):
        return number_of(value, where[0])
    found = found_numbers(text_of(value, where[0]))
    return found[0] if found else number_of(text_of(value, where[0]), where[0])


def _all_numbers(value: Any, *, where: list[str]) -> list[int | float]:
    texts = items(value, where[0]) if is_list(value) else iter([value])
    numbers: list[int | float] = []
    for item in texts:
        if isinstance(item, str | Region):
            numbers.extend(found_numbers(text_of(item, where[0])))
        elif item is not None:
            numbers.append(number_of(item, f"an item of {where[0]}"))
        if len(numbers) > limits.VALUE_ITEMS:
            raise EvalError(f"{where[0]} holds more than {limits.VALUE_ITEMS} numbers")
    return numbers


def _text(value: Any, *, where: list[str]) -> str:
    return text_of(value, where[0])


def _lower(value: Any, *, where: list[str]) -> str:
    return text_of(value, where[0]).lower()


def _upper(value: Any, *, where: list[str]) -> str:
    return text_of(value, where[0]).upper()


def _strip(value: Any, *, where: list[str]) -> str:
    return text_of(value, where[0]).strip()


def _join(value: Any, separator: Any = ", ", *, where: list[str]) -> str:
    if not isinstance(separator, str):
        raise EvalError(f"{where[1]} is {described(separator)}; join takes a text between the items")
    return joined((text_of(item, where[0]) for item in items(value, where[0])), separator)


FUNCTIONS: dict[str, Function] = {
    "len": Function(1, 1, _length),  # items of a list, characters of a text
    "min": Function(1, _MANY, _smallest),
    "max": Function(1, _MANY, _largest),
    "sum": Function(1, _MANY, _sum),
    "abs": Function(1, 1, _abs),
    "round": Function(1, 2, _round),
    "any": Function(1, 1, _any),
    "all": Function(1, 1, _all),
    "int": Function(1, 1, _int),  # towards zero
    "float": Function(1, 1, _float),
    "number": Function(1, 1, _number),  # the first number written in a text
    "numbers": Function(1, 1, _all_numbers),  # every number written in a text or in a list of texts
    "str": Function(1, 1, _text),
    "lower": Function(1, 1, _lower),
    "upper": Function(1, 1, _upper),
    "strip": Function(1, 1, _strip),
    "join": Function(1, 2, _join),  # the items of a list as one text
}
