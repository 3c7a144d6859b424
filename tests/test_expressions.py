"""EVAL's evaluator: what values mean, what is refused, and where."""

from __future__ import annotations

import pickle
import timeit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.programs import limits
from sightline.programs.expressions import (
    EvalError,
    ExpressionError,
    compile_expression,
    rename_slots,
    slots,
)
from sightline.tools.values import Image, Region, Regions

BOX = (0.0, 0.0, 1.0, 1.0)
SIGNS = Regions([Region(BOX, text="STOP"), Region(BOX, label="dog"), Region(BOX, text="Total $12.50")])


def run(text: str, **values):
    return compile_expression(text).evaluate(values)


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("'yes' if {A} > 0 else 'no'", {"A": 2}, "yes"),
        ("'yes' if {A} + {B} > 0 else 'no'", {"A": 0, "B": 0}, "no"),
        (" ".join(f"{i} if {{A}} == {i} else" for i in range(60)) + " -1", {"A": 59}, 59),
        ("1 if {A} else 2 if {B} else 3", {"A": False, "B": True}, 2),
        ("{A} + {B} == 4", {"A": "3", "B": "one"}, True),
        ("{A} == {B}", {"A": "Red ", "B": "red"}, True),
        ("{A} == {B}", {"A": "3", "B": "three"}, True),
        ("{A} == {B}", {"A": True, "B": "Yes."}, True),
        ("{A} == 'no'", {"A": False}, True),
        ("{A} != 'red'", {"A": "blue"}, True),
        ("{A} == 'red'", {"A": 3}, False),
        ("{A} == None", {"A": None}, True),
        ("{A} == 'yes'", {"A": None}, False),
        ("0.1 + 0.2 == 0.3", {}, True),
        ("{A} xor {B}", {"A": "yes", "B": "no"}, True),
        ("{A} xor {B}", {"A": "yes", "B": "true"}, False),
        ("{A} xor {B} xor {C}", {"A": True, "B": True, "C": True}, True),
        ("{A} == 1 xor {B} == 1", {"A": 1, "B": 2}, True),
        ("{A} and {B} or not {C}", {"A": "no", "B": "yes", "C": "no"}, True),
        ("True or 1 / 0", {}, True),
        ("False and 1 / 0", {}, False),
        ("1 < {A} < 3", {"A": 2}, True),
        ("1 < {A} < 3", {"A": 3}, False),
        ("1 + 2 * 3 - 4 / 2", {}, 5.0),
        ("-{A} + +2", {"A": "two"}, 0),
        ("7 // 2 * 2 + 7 % 2", {}, 7),
        ("(1 + 2) * 3", {}, 9),
        ("'{A}' == 'red'", {"A": "red"}, True),
        ("'{A} and {B}'", {"A": 3, "B": [1, 2.5]}, "3 and 1, 2.5"),
        ("'{A}'", {"A": True}, "yes"),
        ("'{A}'", {"A": 0.1 + 0.2}, "0.3"),
        ("'a' + 'b'", {}, "ab"),
        ("'3' + '4'", {}, 7),
        ("'it\\'s \"x\"'", {}, 'it\'s "x"'),
        ("{A}[0]", {"A": ["x", "y"]}, "x"),
        ("{A}[-1]", {"A": ["x", "y"]}, "y"),
        ("{A}[{B}]", {"A": ["x", "y"], "B": "1"}, "y"),
        ("{S}[0] == 'stop'", {"S": SIGNS}, True),
        ("{S}[1]", {"S": SIGNS}, "dog"),
        ("'stop' in {S}", {"S": SIGNS}, True),
        ("'cat' not in {S}", {"S": SIGNS}, True),
        ("'TOTAL' in {S}[2]", {"S": SIGNS}, True),
        ("number({S}[2])", {"S": SIGNS}, 12.5),
        ("sum(numbers({S})) == 12.5", {"S": SIGNS}, True),
        ("sum({A})", {"A": [1, "2", 3.5]}, 6.5),
        ("round(sum(numbers({A})), 2) == 15.75", {"A": ["Milk 12,50", "Bread $3.25", "no price"]}, True),
        ("number({A})", {"A": "1,250.50 EUR"}, 1250.5),
        ("number('three')", {}, 3),
        ("max({A}) - min({A}) + abs(-1)", {"A": [3, 9, "five"]}, 7),
        ("max(1, {A}, 3)", {"A": "seven"}, 7),
        ("len({A})", {"A": SIGNS}, 3),
        ("len({A}) > 0 and {A}", {"A": SIGNS}, True),
        ("'none' if not {A} else 'some'", {"A": Regions()}, "none"),
        ("any({A}) and not all({A})", {"A": ["yes", "no"]}, True),
        ("int('7') + float(1) + int(2.9)", {}, 10.0),
        ("round(2.567, 2)", {}, 2.57),
        ("upper(strip(' ab ')) + lower('CD')", {}, "ABcd"),
        ("join({A}, ' / ')", {"A": ["a", "b"]}, "a / b"),
        ("str({A}) + ' dogs'", {"A": 3}, "3 dogs"),
        ("{A} in ['red', 'blue']", {"A": "Blue"}, True),
        ("{A} in ('red', 'blue',)", {"A": "green"}, False),
        ("{A} == ['a', 'b']", {"A": ["A", "b"]}, True),
        ("{ A } > 1", {"A": 2}, True),
        ("true and not false", {}, True),
    ],
)
def test_what_expressions_mean(text: str, values: dict, expected: object) -> None:
    result = run(text, **values)
    assert result == expected and type(result) is type(expected)


@pytest.mark.parametrize(
    ("text", "values", "says"),
    [
        ("{A} > 0", {"A": SIGNS}, "count it: a step COUNT, or len({A})"),
        ("{A} + 1", {"A": "many dogs"}, "number({A}) finds a number"),
        ("{A} and {B}", {"A": "red", "B": True}, "neither yes nor no"),
        ("{A} == 'red'", {"A": ["red"]}, "'red' in {A}"),
        ("1 / {A}", {"A": 0}, "divides by zero"),
        ("1 % {A}", {"A": "zero"}, "divides by zero"),
        ("{A} * {A}", {"A": 1e14}, "beyond EVAL's numbers"),
        ("{A}", {"A": float("nan")}, "beyond EVAL's numbers"),
        ("{A}", {"A": 10**5000}, "beyond EVAL's numbers"),
        ("{A}", {}, "{A} has no value"),
        ("{A}", {"A": ["x"]}, "gives a list"),
        ("{A}", {"A": None}, "gives nothing"),
        ("{A}", {"A": "x" * 9000}, "EVAL takes 8192"),
        ("'{A}{A}'", {"A": "x" * 5000}, "grows beyond"),
        ("{A} + {A}", {"A": "x" * 5000}, "grows beyond"),
        ("upper({A})", {"A": "ß" * 5000}, "EVAL takes 8192"),
        ("{A}[5]", {"A": ["x"]}, "there is no item 5"),
        ("{A}[0.5]", {"A": ["x"]}, "whole number"),
        ("{A}[0]", {"A": "text"}, "not a list"),
        ("sum({A})", {"A": ["x"]}, "not a number"),
        ("max({A})", {"A": []}, "empty"),
        ("len({A})", {"A": 3}, "len takes"),
        ("1 in {A}", {"A": 3}, "looks into a list or a text"),
        ("join({A})", {"A": [["x"]]}, "list of lists"),
        ("{A} == 1", {"A": Image.from_array([[[0, 0, 0]]])}, "is a picture"),
        ("{A} == 1", {"A": b"x"}, "bytes"),
        ("{A} == 1", {"A": object()}, "object"),
        ("len({A})", {"A": [0] * 20_000}, "list of 20000"),
        ("round(1, 99)", {}, "0 to 10"),
        ("number('no digits')", {}, "not a number"),
    ],
)
def test_values_that_do_not_fit_give_one_clear_line(text: str, values: dict, says: str) -> None:
    with pytest.raises(EvalError) as raised:
        run(text, **values)
    assert says in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "offset", "says"),
    [
        ("'yes' if {A} > 0 and else 'no'", 21, "between 'and' and 'else'"),
        ("{A} >", 5, "a value is missing after '>'"),
        ("1 if 2", 6, "else is missing"),
        ("{A} = 1", 4, "write =="),
        ("{A} && {B}", 4, "write and"),
        ("!{A}", 0, "write not"),
        ("2 ** 3", 2, "multiply"),
        ("{A}.upper()", 3, "no attributes"),
        ("().__class__", 2, "no attributes"),
        ("foo(1)", 0, "no function foo"),
        ("lenn({A})", 0, "did you mean len?"),
        ("__import__('os')", 0, "no function __import__"),
        ("ANSWER0 > 1", 0, "write {ANSWER0}"),
        ("yes", 0, "write 'yes'"),
        ("lambda: 1", 6, "definitions"),
        ("[x for x in {A}]", 1, "no value here"),
        ("{A} is 1", 4, "write =="),
        ("f'{A}'", 0, "no value here"),
        ("{A!r}", 0, "write a value as {NAME}"),
        ("'{A!r:{B}}'", 0, "brace in a text"),
        ("'{{A}}'", 0, "brace in a text"),
        ("{A}{B}", 3, "an operator is missing"),
        ("'a' 'b'", 4, "an operator is missing"),
        ("'Tom's'", 6, "not closed"),
        ("'abc", 0, "not closed"),
        ("len()", 0, "takes 1 values, not 0"),
        ("(1, 2", 5, ") is missing"),
        ("{A}[1:2]", 5, "no slices"),
        ("(x := 1)", 3, "no slices"),
        ("1e400", 0, "too large"),
        ("9" * 40, 0, "32 digits"),
        ("1_000", 0, "no number"),
        ("0x10", 0, "no number"),
        ("", 0, "empty"),
        ("'\\x00'", 1, "no character"),
        ("А > 1", 0, "not in the language"),
        ("(" * 40 + "1" + ")" * 40, 16, "levels inside one another"),
        ("not " * 40 + "1", 64, "levels inside one another"),
        ("1" + "+1" * 600, 0, "words and signs"),
        ("x" * 5000, 0, "the limit is"),
    ],
)
def test_what_lies_outside_the_language_is_refused_at_its_place(text: str, offset: int, says: str) -> None:
    with pytest.raises(ExpressionError) as raised:
        compile_expression(text)
    assert says in str(raised.value) and "\n" not in str(raised.value)
    assert abs(raised.value.offset - offset) <= (1 if len(text) > 39 else 0)


def test_a_value_is_never_read_as_an_expression() -> None:
    hostile = "') or __import__('os').system('x') #"
    assert run("{A}", A=hostile) == hostile
    assert run("'{A}' == 'x'", A=hostile) is False
    assert run("'[{A}]'", A="{B}' + '{C}") == "[{B}' + '{C}]"
    assert run("{A}", A="{A}") == "{A}"
    with pytest.raises(EvalError):
        run("{A} + 1", A="1+1")


def test_slots_and_renaming() -> None:
    text = "'{A} {BB}' == { A } + {C9}"
    assert slots(text) == ("A", "BB", "C9")
    assert compile_expression(text).names == ("A", "BB", "C9")
    assert compile_expression("{A} + {B} > {C} == {D}").numeric == {"A", "B", "C"}
    # All at once: the new name of one slot may be the old name of another.
    assert rename_slots("{A} + {B}", {"A": "B", "B": "A"}) == "{B} + {A}"
    assert compile_expression(text) is compile_expression(text)


def test_a_shallow_stack_is_enough_for_the_deepest_expression() -> None:
    """An engine called from deep inside an agent must not die of a legal expression."""
    deepest = "(" * (limits.EXPRESSION_DEPTH - 1) + "{A}" + ")" * (limits.EXPRESSION_DEPTH - 1)

    def below(frames: int) -> object:
        return below(frames - 1) if frames else run(deepest, A=1)

    assert below(500) == 1


def test_errors_survive_the_way_between_processes() -> None:
    with pytest.raises(ExpressionError) as raised:
        compile_expression("1 +")
    again = pickle.loads(pickle.dumps(raised.value))
    assert str(again) == str(raised.value) and again.offset == raised.value.offset


def test_a_typical_evaluation_is_far_below_the_step_budget() -> None:
    expression = compile_expression("'yes' if {A} + {B} > 0 else 'no'")
    values = {"A": 1, "B": 2}
    best = min(timeit.repeat(lambda: expression.evaluate(values), number=200, repeat=20)) / 200
    assert best < 20e-6


NUMBERS = st.integers(-1000, 1000)


@given(NUMBERS, NUMBERS, NUMBERS, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), st.sampled_from("+-*"))
@settings(max_examples=200, deadline=None)
def test_numbers_agree_with_python(a: int, b: int, c: int, compare: str, sign: str) -> None:
    apply = {"+": int.__add__, "-": int.__sub__, "*": int.__mul__}[sign]
    holds = {"<": int.__lt__, "<=": int.__le__, ">": int.__gt__, ">=": int.__ge__, "==": int.__eq__, "!=": int.__ne__}[compare]  # fmt: skip
    assert run(f"{{A}} {sign} {{B}} {compare} {{C}}", A=a, B=b, C=c) is holds(apply(a, b), c)


@given(st.booleans(), st.booleans(), st.booleans())
def test_logic_agrees_with_python(a: bool, b: bool, c: bool) -> None:
    words = {"A": "Yes" if a else "No", "B": b, "C": int(c)}
    assert run("{A} and not {B} or {C}", **words) is ((a and not b) or c)
    assert run("{A} xor {B}", **words) is (a != b)
