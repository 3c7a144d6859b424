"""What an expression runs as: closures over its operands, each taking the values by slot name.

Compiled once and called often; every operand knows what it is called, so that a failure can name it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from .coercion import EvalError, admit, bounded, contains, described, equal, is_list, joined, number_of, truth

Environment = Mapping[str, Any]
Closure = Callable[[Environment], Any]


class Node(NamedTuple):
    run: Closure
    source: str  # as written, cut short: what messages call this operand
    slot: str = ""  # its name where it is nothing but a slot


def constant(value: Any) -> Closure:
    return lambda values: value


def slot_value(name: str) -> Closure:
    where = f"{{{name}}}"

    def read(values: Environment) -> Any:
        try:
            value = values[name]
        except KeyError:
            raise EvalError(f"{where} has no value") from None
        return admit(value, where)

    return read


def choice(branches: list[tuple[Node, Node]], otherwise: Node) -> Closure:
    """The value of the first branch whose condition holds; nothing else is computed."""
    tests = [(condition.run, condition.source, value.run) for condition, value in branches]
    last = otherwise.run

    def choose(values: Environment) -> Any:
        for test, source, run in tests:
            if truth(test(values), source):
                return run(values)
        return last(values)

    return choose


def any_of(nodes: list[Node]) -> Closure:
    return lambda values: any(truth(node.run(values), node.source) for node in nodes)


def all_of(nodes: list[Node]) -> Closure:
    return lambda values: all(truth(node.run(values), node.source) for node in nodes)


def parity(nodes: list[Node]) -> Closure:
    return lambda values: sum(truth(node.run(values), node.source) for node in nodes) % 2 == 1


def comparison(first: Node, pairs: list[tuple[Callable[..., bool], Node]]) -> Closure:
    run, source = first.run, first.source

    def compare(values: Environment) -> bool:
        left, where = run(values), source
        for holds, node in pairs:
            right = node.run(values)
            if not holds(left, right, where, node.source):
                return False
            left, where = right, node.source
        return True

    return compare


def calculation(first: Node, pairs: list[tuple[Callable[..., Any], Node]]) -> Closure:
    run, source = first.run, first.source

    def calculate(values: Environment) -> Any:
        result = run(values)
        for apply, node in pairs:
            result = apply(result, node.run(values), source, node.source)
        return result

    return calculate


def item_of(node: Node, index: Node) -> Closure:
    def item(values: Environment) -> Any:
        sequence = node.run(values)
        if not is_list(sequence):
            raise EvalError(f"{node.source} is {described(sequence)}, not a list; only a list has items")
        position = number_of(index.run(values), index.source)
        if position != int(position):
            raise EvalError(f"{index.source} is {position}; an index is a whole number")
        if not -len(sequence) <= position < len(sequence):
            raise EvalError(f"{node.source} holds {len(sequence)} items; there is no item {int(position)}")
        return admit(sequence[int(position)], f"an item of {node.source}")

    return item


def _order(test: Callable[[Any, Any], bool]) -> Callable[[Any, Any, str, str], bool]:
    return lambda left, right, where, other: test(number_of(left, where), number_of(right, other))


COMPARISONS: dict[str, Callable[[Any, Any, str, str], bool]] = {
    "==": equal,
    "!=": lambda left, right, where, other: not equal(left, right, where, other),
    "<": _order(operator.lt),
    "<=": _order(operator.le),
    ">": _order(operator.gt),
    ">=": _order(operator.ge),
    "in": lambda left, right, where, other: contains(right, left, other, where),
    "not in": lambda left, right, where, other: not contains(right, left, other, where),
}


def _number_operator(apply: Callable[[Any, Any], Any], name: str) -> Callable[[Any, Any, str, str], Any]:
    def calculate(left: Any, right: Any, where: str, other: str) -> Any:
        first, second = number_of(left, where), number_of(right, other)
        try:
            return bounded(apply(first, second), f"{where} {name} {other}")
        except ZeroDivisionError:
            raise EvalError(
                f"{where} {name} {other} divides by zero; make sure that {other} is not 0"
            ) from None

    return calculate


_add_numbers = _number_operator(operator.add, "+")


def _add(left: Any, right: Any, where: str, other: str) -> Any:
    """Sum of numbers; two texts that are not both numbers are joined."""
    if isinstance(left, str) and isinstance(right, str):
        try:
            return _add_numbers(left, right, where, other)
        except EvalError:
            return joined(iter((left, right)), "")
    return _add_numbers(left, right, where, other)


ARITHMETIC: dict[str, Callable[[Any, Any, str, str], Any]] = {
    "+": _add,
    "-": _number_operator(operator.sub, "-"),
    "*": _number_operator(operator.mul, "*"),
    "/": _number_operator(operator.truediv, "/"),
    "//": _number_operator(operator.floordiv, "//"),
    "%": _number_operator(operator.mod, "%"),
}
