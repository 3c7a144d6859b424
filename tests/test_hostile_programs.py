"""Nothing gets out of the language: hostile programs, EVAL strings and tool outputs change nothing but their own job.

Each is refused with problems, or evaluates within the limits and in bounded time, while an audit hook listens for any
compilation, execution, import, file, process or socket. Only ProgramError, ExpressionError and EvalError may come out.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.programs import Program, ProgramError, check, checked, limits
from sightline.programs.expressions import EvalError, ExpressionError, compile_expression
from sightline.programs.printer import quote
from sightline.tools.registry import Registry, default_registry
from sightline.tools.values import Region, Regions

SECONDS = 2.0  # far above what any takes, far below a hang
_heard: list[str] = []
_listening = False
_FORBIDDEN = (
    "exec",
    "compile",
    "import",
    "open",
    "os.",
    "subprocess.",
    "socket.",
    "ctypes.",
    "shutil.",
    "pickle.",
)


def _listen(event: str, arguments: tuple) -> None:
    if _listening and event.startswith(_FORBIDDEN):
        _heard.append(f"{event} {arguments!r:.200}")


sys.addaudithook(_listen)  # hooks cannot be removed; this one is deaf outside `guarded`


@contextmanager
def guarded() -> Iterator[None]:
    """Fails where the block runs code, opens anything, or takes long."""
    global _listening
    _heard.clear()
    started = time.perf_counter()
    _listening = True
    try:
        yield
    finally:
        _listening = False
    assert not _heard
    assert time.perf_counter() - started < SECONDS


@pytest.fixture(scope="module")
def registry() -> Registry:
    found = default_registry()
    check("A=COUNT(box=[])\nB=EVAL(expr='{A}')\nC=RESULT(var=B)", found)  # everything is imported by now
    return found


CODE = [
    "__import__('os').system('x')",
    "().__class__.__base__.__subclasses__()",
    "''.__class__.__mro__[1].__subclasses__()",
    "(lambda: 1)()",
    "[c for c in ().__class__.__bases__]",
    "{c for c in {1}}",
    "eval('1')",
    "exec('import os')",
    "open('/etc/passwd').read()",
    "compile('1', '', 'eval')",
    "globals()['x']",
    "getattr(1, 'real')",
    "setattr(int, 'x', 1)",
    "vars()",
    "type('X', (), {})",
    "breakpoint()",
    "input()",
    "print(1)",
    "help()",
    "exit()",
    "(yield 1)",
    "await x",
    "x := 1",
    "1 if (y := 2) else 3",
    "f'{1}'",
    "f\"{__import__('os')}\"",
    "'%s' % 1",
    "'{}'.format(1)",
    "'{0.__class__}'.format(1)",
    "b'bytes'",
    "...",
    "1j",
    "a.b.c",
    "a[0].b",
    "a@b",
    "~1",
    "1 << 99999",
    "1 >> 1",
    "1 & 2",
    "1 | 2",
    "2 ** 99999999",
    "9 ** 9 ** 9 ** 9",
    "'a' * 10 ** 9",
    "'a' * 1000000000",
    "[0] * 1000000000",
    "10000000000 * 10000000000 * 10000000000",
    "99999999999999999999999999999999999999",
    "1e308 * 10",
    "1e999 - 1e999",
    "0x7fffffff",
    "0b1",
    "1_000",
    "1 / 0",
    "1 // 0.0",
    "1 % 0",
    "round(1, -9999999)",
    "int('9' * 5000)",
    "range(10 ** 9)",
    "max([])",
    "min()",
    "sum(1)",
    "sum([[1], [2]])",
    "len(len)",
    "str(str)",
    "import os",
    "from os import system",
    "del x",
    "assert 0",
    "raise SystemExit",
    "while True: pass",
    "for i in [1]: pass",
    "def f(): pass",
    "class X: pass",
    "global x",
    "try: 1",
    "with x: pass",
    "return 1",
    "*args",
    "**kwargs",
    "a = b",
    "a == b",
    "a;b",
    "a\nb",
    "a\\\nb",
    "`a`",
    "$HOME",
    "a?b",
    "#",
    "'#'",
    "'''a'''",
    '"""a"""',
    "'",
    '"',
    "'\\'",
    "\\",
    "'\\N{BULLET}'",
    "'\\x0'",
    "'\\x00'",
    "'\\ud800'",
    "'\\U00110000'",
    "'\\777'",
    "\x00",
    "'\x00'",
    "\ud800",
    "'\ud800'",
    "\u2028",
    "'\u2028'",
    "\u202e",
    "'\u202e'",
    "\x1b[31m",
    "'\x1b[31m'",
    "\ufeff",
    "\x0c",
    "\x85",
    "１＋１",
    "ｅｖａｌ('1')",
    "еval('1')",  # a Cyrillic e
    "ＡＮＳＷＥＲ0",
    "ℯ",
    "́",
    "😀",
    "'😀'",
    "“a”",
    "{",
    "}",
    "{}",
    "{{}}",
    "{A",
    "A}",
    "{A!r}",
    "{A!r:{B}}",
    "{A:>999999999}",
    "'{A:>999999999}'",
    "{A.__class__}",
    "{A[0]}",
    "'{A.__class__.__init__.__globals__}'",
    "{A}{A}",
    "{0}",
    "{_A}",
    "{__import__}",
    "{A B}",
    "{A\n}",
    "{'A'}",
    "{A}[{A}]",
    "{A}[-1]",
    "{A}[99999999999999]",
    "{A}[1:2]",
    "{A}[::]",
    "{A}[[0]]",
    "{A}({A})",
    "{A}.x",
    "len({A})({A})",
    "'{A}' * 99",
    "'{A}{A}{A}{A}'",
    "{A} + {A}",
    "{A} in {A}",
    "{A} == {A} == {A}",
    "not not not {A}",
    "{A} if {A} else {A} if {A} else {A}",
    "join({A}, {A})",
    "sum(numbers({A}))",
    "number({A}) ** 2",
    "max({A}, {A})",
    "upper({A})",
    "round({A}, {A})",
    "abs({A}) / {A}",
    "{A} // {A} % {A}",
    "[{A}, {A}] == [{A}, {A}]",
    "any([{A}]) xor all([{A}])",
    "and",
    "or or",
    "not",
    "if",
    "1 if",
    "1 if 2",
    "1 if 2 else",
    "else",
    "in",
    "1 in",
    "xor",
    "()",
    "(,)",
    "(1,)",
    "[",
    "]",
    "[,]",
    "[1,,2]",
    "(",
    ")",
    "((1)",
    "(1))",
    "1 1",
    "1 +",
    "+ + + +",
    "< 1",
    "1 < > 2",
    "!= 1",
    "1 = = 1",
    "",
    " ",
    "\t\n",
]
BIG = {
    "brackets": "(" * 60_000,
    "closed brackets": "(" * 1_500 + "1" + ")" * 1_500,
    "lists": "[" * 30_000 + "]" * 30_000,
    "signs": "-" * 4_000 + "1",
    "many signs": "-" * 60_000 + "1",
    "nots": "not " * 1_000 + "1",
    "sums": "1" + "+1" * 2_000,
    "comparisons": "1" + "<1" * 1_300,
    "ands": "1" + " and 1" * 600,
    "ifs": "1 if 1 else " * 300 + "1",
    "indices": "{A}" + "[0]" * 1_000,
    "calls": "len(" * 1_000 + "1" + ")" * 1_000,
    "attributes": "a" + ".a" * 30_000,
    "commas": "(" + "1," * 1_900 + ")",
    "digits": "9" * 60_000,
    "decimals": "0." + "1" * 4_000,
    "name": "A" * 60_000,
    "slots": "{A}+" * 900 + "1",
    "open slots": "{" * 60_000,
    "slot of blanks": "{" + " " * 60_000,
    "slots of blanks": ("{" + " " * 50) * 80,
    "quotes": "'" * 60_000,
    "escapes": "'" + "\\" * 59_998 + "'",
    "texts": "'a'" * 1_300,
    "text": "'" + "a" * 60_000 + "'",
    "apostrophes": "'" + " it's" * 10_000 + "'",
    "closers": "'" + "')" * 20_000,
    "combining": "'" + "é" * 20_000 + "'",
    "lines": "A\n" * 30_000,
    "comments": "#\n" * 30_000,
    "blanks": " " * 65_000,
    "equals": "A=" * 30_000,
    "slotted text": "'" + "{A}" * 1_300 + "'",
}
VALUES = [
    "') or __import__('os').system('x') #",
    "{A}",
    "{A!r:{B}}",
    "%s%n%x",
    "'; DROP TABLE cache; --",
    "yes\x00no",
    "\ud800",
    "x" * 8_000,
    "9" * 8_000,
    "-" * 8_000 + "1",
    "1," * 4_000,
    "1.1" * 2_000,
    10**14,
    -1e-300,
    float("inf"),
    float("nan"),
    10**6000,
    True,
    None,
    [],
    [[]],
    [["a"], ["b"]],
    ["x" * 8_000] * 200,
    [1] * 9_999,
    [None, True, 1, "a"],
    Regions([Region((0, 0, 1, 1), label="a", text="1 + 1")]),
    Region((0, 0, 1, 1), text="x" * 20_000),
    object(),
    {"A": 1},
    b"bytes",
    int,
]


def evaluate(text: str, values: dict) -> None:
    """Compile and evaluate; what comes out is a small value or one of the language's own errors, in one line."""
    try:
        result = compile_expression(text).evaluate(values)
    except (ExpressionError, EvalError) as error:
        message = str(error)
        assert "\n" not in message and len(message) < 1_000
        return
    assert type(result) in (str, bool, int, float)
    if isinstance(result, str):
        assert len(result) <= limits.TEXT_CHARS
    else:
        assert abs(result) < limits.NUMBER


def examine(text: str, registry: Registry) -> Program | None:
    """Parse and check; the program, or None where it was refused with problems that point into the text."""
    problems = check(text, registry)
    assert len(problems) <= limits.PROBLEMS + 1
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for problem in problems:
        assert 1 <= problem.line <= len(lines)
        assert 1 <= problem.column <= len(lines[problem.line - 1]) + 2
        assert "\n" not in str(problem) and "\x1b" not in str(problem) and len(str(problem)) < 1_000
    try:
        return checked(text, registry)
    except ProgramError as error:
        assert error.problems and "\n" not in str(error)
        return None


def test_the_listener_hears() -> None:
    with pytest.raises(AssertionError), guarded():
        compile("1", "", "eval")


def test_there_are_enough_of_them() -> None:
    assert len(CODE) + len(BIG) >= 200 and len(set(CODE)) == len(CODE)


@pytest.mark.parametrize("text", [*CODE, *BIG.values()], ids=[*map(ascii, CODE), *BIG])
def test_hostile_expressions_stay_inside(text: str) -> None:
    with guarded():
        for value in ("3", [1, "a"], Regions(), VALUES[0]):
            evaluate(text, {"A": value, "B": value})


@pytest.mark.parametrize("text", [*CODE, *BIG.values()], ids=[*map(ascii, CODE), *BIG])
def test_hostile_programs_stay_inside(text: str, registry: Registry) -> None:
    """Each fragment as a whole program, a value, an op, a name, a keyword, a list item, a text, and EVAL's expression."""
    with guarded():
        for program in (
            text,
            f"A=VQA(image=IMAGE,question={text})\nB=RESULT(var=A)",
            f"A={text}\nB=RESULT(var=A)",
            f"{text}=SEG(image=IMAGE)\nB=RESULT(var=A)",
            f"A=SEG({text}=IMAGE)\nB=RESULT(var=A)",
            f"A=COUNT(box=['a',{text}])\nB=RESULT(var=A)",
            f"A=COUNT(box=SEG(image=IMAGE){text})\nB=RESULT(var=A)",
        ):
            examine(program, registry)
        for program in (
            f"A=VQA(image=IMAGE,question={quote(text)})\nB=RESULT(var=A)",
            f"A=COUNT(box=SEG(image=IMAGE))\nB=EVAL(expr={quote(text)})\nC=RESULT(var=B)",
            f"A=EVAL(expr='{text}')\nC=RESULT(var=A)",
        ):
            accepted = examine(program, registry)
            if accepted is not None:
                assert Program.parse(accepted.text) == accepted
                for step in accepted.steps:
                    if step.op == "EVAL":
                        evaluate(step.arguments["expr"].value, {"A": 3})


@pytest.mark.parametrize("index", range(len(VALUES)))
def test_hostile_tool_outputs_are_only_values(index: int) -> None:
    """Whatever a tool gives, every operator and function takes it as a value or refuses it in one line."""
    value = VALUES[index]
    with guarded():
        for text in (
            "{A}", "'{A}'", "'{A}{A}'", "{A} == {B}", "{A} == 'yes'", "{A} + {B}", "{A} + 1", "{A} * {A} * {A}", "{A} / 3",
            "{A} > 1", "{A} in {B}", "{B} in {A}", "{A} xor {B}", "not {A}", "{A} if {A} else {B}", "{A}[0]", "{A}[{B}]",
            "len({A})", "max({A})", "sum({A})", "any({A})", "abs({A})", "round({A}, 1)", "int({A})", "number({A})",
            "sum(numbers({A}))", "str({A})", "upper({A})", "join({A})", "join({A}, {B})", "[{A}] == [{B}]", "-{A}",
        ):  # fmt: skip
            for other in ("yes", 2, value):
                evaluate(text, {"A": value, "B": other})


def test_the_worst_that_an_expression_can_ask_for_is_bounded() -> None:
    """The dearest operation on the largest values, as often as the limits allow, ends in time."""
    big = ["x" * 4_000] * 60
    with guarded():
        evaluate(" or ".join(["'y' in {A}"] * 200), {"A": big})
        evaluate(" + ".join(["len(numbers({A}))"] * 100), {"A": ["1 " * 2_000] * 60})


def test_statements_that_fail_by_the_thousand_are_cut_short(registry: Registry) -> None:
    with guarded():
        for line in ("A=B(c=", "A=B(c='", "A=B(c=d,e=f)", "x", "A=B([", "A=VQA(image=NOPE,question='a')"):
            text = (line + "\n") * (limits.SOURCE_BYTES // (len(line) + 1))
            assert 1 <= len(check(text, registry)) <= limits.PROBLEMS + 1
    wide = "\n".join(f"N{i}=COUNT(box=[{','.join(f'X{j}' for j in range(40))}])" for i in range(250))
    with guarded():
        assert len(check(wide, registry)) <= limits.PROBLEMS + 1


ALPHABET = st.sampled_from(
    [*"{}()[]'\"\\=,.+-*/%<>!:;#_ \n\t01A", "{A}", "{B}", " if ", " else ", " and ", " or ", " xor ", "not ", " in ",
     "len", "sum", "numbers", "join", "EVAL", "RESULT", "LOC", "image=", "IMAGE", "expr=", "A=", "__class__", "é", "\0"]
)  # fmt: skip
SOUP = st.lists(ALPHABET, max_size=60).map("".join)
ANY_VALUE = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=30), SOUP),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=8,
)


@given(st.one_of(SOUP, st.text(max_size=80)), ANY_VALUE, ANY_VALUE)
@settings(max_examples=300, deadline=None)
def test_any_expression_over_any_values(text: str, a: object, b: object) -> None:
    evaluate(text, {"A": a, "B": b})


@given(st.one_of(SOUP, st.text(max_size=200)))
@settings(max_examples=300, deadline=None)
def test_any_text_as_a_program(text: str) -> None:
    examine(text, default_registry_once())
    examine(f"A={text}\nB=RESULT(var=A)", default_registry_once())
    examine(f"A=EVAL(expr={text})\nB=RESULT(var=A)", default_registry_once())


_REGISTRY: list[Registry] = []


def default_registry_once() -> Registry:
    """The default registry, made once: hypothesis forbids fixtures of function scope, and making it reads metadata."""
    if not _REGISTRY:
        _REGISTRY.append(default_registry())
    return _REGISTRY[0]
