"""The program language: parsing, printing, checking, and faults reported all at once in the right place."""

from __future__ import annotations

import ast
import keyword
import pickle
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.programs import Program, ProgramError, check, checked, limits
from sightline.programs.printer import print_argument
from sightline.programs.syntax import ListOf, Literal, Name, Step
from sightline.tools import types
from sightline.tools.declaration import tool
from sightline.tools.registry import Registry, default_registry
from sightline.tools.values import Image, Regions


@pytest.fixture(scope="module")
def registry() -> Registry:
    return default_registry()


def codes(text: str, registry: Registry, **options) -> list[str]:
    return [problem.code for problem in check(text, registry, **options)]


def places(text: str, registry: Registry) -> list[tuple[str, int, int]]:
    return [(problem.code, problem.line, problem.column) for problem in check(text, registry)]


# Programs in the manner of VisProg's four tasks, with all argument orders, quotes and variable names it uses.
GOOD = [
    """BOX0=LOC(image=IMAGE,object='TOP')
IMAGE0=CROP_BEHIND(image=IMAGE,box=BOX0)
BOX1=LOC(image=IMAGE0,object='bicycle')
ANSWER0=COUNT(box=BOX1)
ANSWER1=EVAL(expr="'yes' if {ANSWER0} > 0 else 'no'")
FINAL_RESULT=RESULT(var=ANSWER1)""",
    """BOX0=LOC(image=IMAGE,object='kettle')
IMAGE0=CROP_RIGHTOF(image=IMAGE,box=BOX0)
ANSWER0=VQA(image=IMAGE0,question='What colour is the cup?')
FINAL_RESULT=RESULT(var=ANSWER0)""",
    """BOX0=LOC(image=IMAGE,object='dog')
BOX1=LOC(image=IMAGE,object='cat')
ANSWER0=COUNT(box=BOX0)
ANSWER1=COUNT(box=BOX1)
ANSWER2=EVAL(expr="'yes' if {ANSWER0} + {ANSWER1} > 0 else 'no'")
FINAL_RESULT=RESULT(var=ANSWER2)""",
    """ANSWER0=VQA(image=LEFT,question='Is a door open?')
ANSWER1=VQA(image=RIGHT,question='Is a door open?')
ANSWER2=EVAL(expr='{ANSWER0} xor {ANSWER1}')
FINAL_ANSWER=RESULT(var=ANSWER2)""",
    """ANSWER0=VQA(image=LEFT,question='How many boats are there?')
ANSWER1=VQA(image=RIGHT,question='How many boats are there?')
ANSWER2=EVAL(expr='{ANSWER0} == 2 and {ANSWER1} >= 2')
ANSWER3=EVAL(expr='{ANSWER0} + {ANSWER1} == 4')
ANSWER4=EVAL(expr='{ANSWER2} or {ANSWER3}')
FINAL_ANSWER=RESULT(var=ANSWER4)""",
    """OBJ0=FACEDET(image=IMAGE)
LIST0=LIST(query='painters of the Renaissance',max=4)
OBJ1=CLASSIFY(image=IMAGE,object=OBJ0,categories=LIST0)
IMAGE0=TAG(image=IMAGE,object=OBJ1)
FINAL_RESULT=RESULT(var=IMAGE0)""",
    """OBJ0=SEG(image=IMAGE)
OBJ1=SELECT(image=IMAGE,object=OBJ0,query='girl,umbrella',category=None)
IMAGE0=COLORPOP(image=IMAGE,object=OBJ1)
FINAL_RESULT=RESULT(var=IMAGE0)""",
    """OBJ0=SEG(image=IMAGE)
OBJ1=SELECT(image=IMAGE,object=OBJ0,query='bus',category='bus')
IMAGE0=REPLACE(image=IMAGE,object=OBJ1,prompt='blue bus')
FINAL_RESULT=RESULT(var=IMAGE0)""",
    """OBJ0=FACEDET(image=IMAGE)
OBJ1=SELECT(query="the singer's face",image=IMAGE,object=OBJ0,category=None)
IMAGE0=BGBLUR(image=IMAGE,object=OBJ1)
OBJ2=FACEDET(image=IMAGE0)
IMAGE1=EMOJI(image=IMAGE0,object=OBJ2,emoji='winking_face')
FINAL_RESULT=RESULT(var=IMAGE1)""",
]


@pytest.mark.parametrize("text", GOOD)
def test_programs_in_visprogs_manner_pass(text: str, registry: Registry) -> None:
    assert check(text, registry) == []
    assert checked(text, registry).text.count("\n") == text.count("\n") + 1


def test_the_apostrophe_and_the_capital_argument_are_both_reported(registry: Registry) -> None:
    text = """ANSWER0=VQA(image=LEFT,question='Is this Disney's Frozen castle?')
ANSWER1=VQA(Image=RIGHT,question='Is it snowing?')
ANSWER2=EVAL(expr='{ANSWER0} and {ANSWER1}')
FINAL_ANSWER=RESULT(var=ANSWER2)"""
    first, second = check(text, registry)
    assert (first.code, first.line, first.column) == ("E001", 1, 48)
    assert "apostrophe" in first.message
    assert first.suggestion == 'put the text in double quotes: "Is this Disney\'s Frozen castle?"'
    assert (second.code, second.line, second.column) == ("E102", 2, 13)
    assert "image=" in second.suggestion


def test_a_result_of_a_name_that_only_exists_with_a_number(registry: Registry) -> None:
    text = """ANSWER0=VQA(image=LEFT,question='a?')
ANSWER1=VQA(image=RIGHT,question='a?')
ANSWER2=EVAL(expr='{ANSWER0} and {ANSWER1}')
FINAL_ANSWER=RESULT(var=ANSWER)"""
    (problem,) = check(text, registry)
    assert (problem.code, problem.line, problem.column) == ("E201", 4, 25)
    assert problem.suggestion == "did you mean ANSWER2?"


def test_a_condition_that_breaks_off_before_else(registry: Registry) -> None:
    text = """BOX0=LOC(image=IMAGE,object='car')
ANSWER0=COUNT(box=BOX0)
ANSWER1=EVAL(expr="'yes' if {ANSWER0} > 0 and else 'no'")
FINAL_RESULT=RESULT(var=ANSWER1)"""
    (problem,) = check(text, registry)
    assert (problem.code, problem.line, problem.column) == ("E501", 3, 47)
    assert text.splitlines()[2][46:].startswith("else")
    assert "between 'and' and 'else'" in problem.message


def test_every_line_reports_its_own_fault() -> None:
    text = "\n".join(
        [
            "A=LOC(image=IMAGE object='dog')",  # a comma is missing
            "B=LOC(image=IMAGE,object='dog'",  # a bracket is missing
            "C=LOC(IMAGE)",  # no keyword
            "this is prose",
            "D=x.y(a=1)",
            "E=LOC(image=IMAGE,object=“dog”)",
            "F=LOC(image=007)",
            "G=COUNT(box=A);H=COUNT(box=A)",
            "I=COUNT(box=1,box=2)",
            "J=COUNT(box='\\d')",
            "K=COUNT(box=B[0])",
            "L=COUNT(box=1+2)",
            "M=COUNT(box=Βox)",  # a Greek beta
            "N=COUNT(box=[[1]])",
            "lambda=COUNT(box=1)",
            "O=COUNT(box=f'x')",
            "P=RESULT(var=A",
        ]
    )
    with pytest.raises(ProgramError) as raised:
        Program.parse(text)
    found = [(problem.line, problem.column) for problem in raised.value.problems]
    assert found == [
        (1, 19), (2, 31), (3, 7), (4, 6), (5, 4), (6, 26), (7, 13), (8, 15), (9, 15),
        (10, 14), (11, 14), (12, 14), (13, 13), (14, 14), (15, 1), (16, 13), (17, 15),
    ]  # fmt: skip
    assert str(raised.value).startswith("line 1, column 19: E003") and "(and 16 more problems)" in str(
        raised.value
    )


def test_a_fault_inside_a_call_over_several_lines_costs_that_call_only() -> None:
    text = "A=LOC(\n  image=IMAGE\n  object='dog'\n)\nB=COUNT(box=A)\nC=COUNT(box=)\nD=RESULT(var=B)"
    with pytest.raises(ProgramError) as raised:
        Program.parse(text)
    assert [(p.line, p.column) for p in raised.value.problems] == [(2, 14), (6, 13)]


def test_layout_comments_and_line_ends_do_not_matter() -> None:
    plain = Program.parse("A=LOC(image=IMAGE,object='dog')\nB=RESULT(var=A)\n")
    loose = Program.parse(
        '\ufeff# find it\r\n  A = LOC( image = IMAGE , # here\r\n\r\n   object = "dog",\r\n)\r\n\tB=RESULT(var=\\\r\n A)'
    )
    assert plain == loose and plain.digest == loose.digest and hash(plain) == hash(loose)
    assert plain.text == "A=LOC(image=IMAGE,object='dog')\nB=RESULT(var=A)\n"
    assert loose.steps[0].line == 2 and loose.steps[1].line == 6


def test_nested_calls_become_steps_under_free_names(registry: Registry) -> None:
    text = (
        "ANSWER_1=COUNT(box=LOC(image=IMAGE,object='dog'))\n"
        "ANSWER=EVAL(expr='{ANSWER_1} > 1')\n"
        "X=RESULT(var=COUNT(box=FILTER(object=LOC(image=IMAGE,object='cat'),where='score > 0.5')))"
    )
    program = checked(text, registry)
    assert program.text == (
        "ANSWER_1_1=LOC(image=IMAGE,object='dog')\n"
        "ANSWER_1=COUNT(box=ANSWER_1_1)\n"
        "ANSWER=EVAL(expr='{ANSWER_1} > 1')\n"
        "X_1_1_1=LOC(image=IMAGE,object='cat')\n"
        "X_1_1=FILTER(object=X_1_1_1,where='score > 0.5')\n"
        "X_1=COUNT(box=X_1_1)\n"
        "X=RESULT(var=X_1)\n"
    )
    clash = Program.parse("A=COUNT(box=LOC(image=A_1,object='{A_2}'))\nB=EVAL(expr='{A_3}')")
    assert clash.steps[0].name == "A_4"


def test_references_and_inputs() -> None:
    program = Program.parse(
        "A=LOC(image=LEFT,object='{NOT_A_SLOT}')\nB=TAG(image=[LEFT,IMAGE1],object=A)\n"
        "C=EVAL(expr=\"'{B}' if {A} == { D } else {A}\")\nE=RESULT(var=C)"
    )
    assert [step.references for step in program.steps] == [
        ("LEFT",),
        ("LEFT", "IMAGE1", "A"),
        ("B", "A", "D"),
        ("C",),
    ]
    assert program.inputs == ("LEFT", "IMAGE1", "D")
    assert program.result == "E"


def test_literals_keep_their_types() -> None:
    assert Literal(1) != Literal(True) and Literal(1) != Literal(1.0) and Literal(0) != Literal(False)
    assert len({Literal(1), Literal(1.0), Literal(True), Literal(1)}) == 3
    program = Program.parse("A=OP(a=-1,b=1.5,c=True,d=None,e=(1,2),f=(3),g=[],h=+2,i=1e-3,j=(4,),k=-0)")
    values = [print_argument(value) for _, value in program.steps[0].args]
    assert values == ["-1", "1.5", "True", "None", "[1,2]", "3", "[]", "2", "0.001", "[4]", "0"]


CASES = [
    ("A=LOCK(image=IMAGE,object='x')\nB=RESULT(var=A)", [("E101", 1, 3)], "did you mean LOC?"),
    ("A=loc(image=IMAGE,object='x')\nB=RESULT(var=A)", [("E101", 1, 3)], "did you mean LOC?"),
    ("A=LOC(image=IMAGE,objekt='x')\nB=RESULT(var=A)", [("E102", 1, 19)], "did you mean object="),
    ("A=LOC(image=IMAGE)\nB=RESULT(var=A)", [("E103", 1, 3)], "as in "),
    ("A=LOC(image=IMAGE,object=dog)\nB=RESULT(var=A)", [("E201", 1, 26)], "write 'dog'"),
    ("A=LOC(image='IMAGE',object='x')\nB=RESULT(var=A)", [("E301", 1, 13)], "write IMAGE without quotes"),
    ("A=LIST(query='x',max='4')\nB=RESULT(var=A)", [("E301", 1, 22)], "write 4 without quotes"),
    ("A=VQA(image=IMAGE,question=3)\nB=RESULT(var=A)", [("E301", 1, 28)], "write '3' in quotes"),
    ("A=COUNT(box=B)\nB=RESULT(var=A)", [("E203", 1, 13)], "move line 2 above"),
    ("A=COUNT(box=A)\nB=RESULT(var=A)", [("E203", 1, 13)], ""),
    ("A=SEG(image=IMAGE)\nA=COUNT(box=A)\nB=RESULT(var=A)", [("E202", 2, 1)], "call this step A0"),
    ("IMAGE=COLORPOP(image=IMAGE,object=SEG(image=IMAGE))\nB=RESULT(var=IMAGE)", [("E202", 1, 1)], "IMAGE0"),
    ("A=SEG(image=IMAGE)", [("E401", 1, 1)], "end with FINAL_RESULT=RESULT(var=A)"),
    ("A=RESULT(var=IMAGE)\nB=RESULT(var=A)", [("E402", 1, 3)], "remove"),
    ("B=RESULT(var=IMAGE)\nA=SEG(image=IMAGE)", [("E402", 1, 3)], "move it to the end"),
    ("A=EVAL(expr='{X} > 1')\nB=RESULT(var=A)", [("E502", 1, 15)], ""),
    ("A=EVAL(expr='1 ** 2')\nB=RESULT(var=A)", [("E501", 1, 16)], "multiply"),
    ("A=EVAL(expr='\\'a\\' == x')\nB=RESULT(var=A)", [("E501", 1, 23)], "'x' for a text"),
    ("A=EVAL(expr='{IMAGE} == 1')\nB=RESULT(var=A)", [("E301", 1, 15)], "VQA"),
    ("C=SEG(image=IMAGE)\nA=EVAL(expr='{C} > 1')\nB=RESULT(var=A)", [("E301", 2, 15)], "COUNT(box=C)"),
    ("C=OCR(image=IMAGE)\nA=EVAL(expr=C)\nB=RESULT(var=A)", [("E501", 2, 13)], "write it in quotes"),
    (
        "C=SEG(image=IMAGE)\nA=RELATE(object=C,relation='lift',reference=C)\nB=RESULT(var=A)",
        [("E302", 2, 28)],
        "'left'",
    ),
    ("A=COUNT(box=['a',SEG(image=IMAGE)])\nB=RESULT(var=A)", [("E301", 1, 13)], "single values"),
    ("A=VQA(image=IMAGE,question='x'\nB=RESULT(var=A)", [("E003", 1, 31)], "add )"),
]


@pytest.mark.parametrize(
    ("text", "expected", "suggestion"), CASES, ids=[c[1][0][0] + f"-{i}" for i, c in enumerate(CASES)]
)
def test_each_error_has_its_code_place_and_suggestion(
    text: str, expected: list[tuple[str, int, int]], suggestion: str, registry: Registry
) -> None:
    problems = check(text, registry)
    assert [(p.code, p.line, p.column) for p in problems] == expected
    assert suggestion in problems[0].suggestion
    assert "\n" not in str(problems[0])
    with pytest.raises(ProgramError):
        checked(text, registry)


def test_warnings_do_not_stop_a_program(registry: Registry) -> None:
    text = """A=SEG(image=IMAGE)
N=COUNT(box=A)
C=VQA(image=IMAGE,question='Are there {N} dogs?')
B=RESULT(var=A)"""
    problems = check(text, registry)
    assert [(p.code, p.line, p.severity) for p in problems] == [("W501", 3, "warning")]
    assert checked(text, registry).result == "B"
    dead = check(text.replace("{N}", "two"), registry)
    assert [(p.code, p.line) for p in dead] == [("W201", 2), ("W201", 3)]


def test_inputs_are_what_the_caller_says(registry: Registry) -> None:
    text = "A=SEG(image=IMAGE1)\nB=RESULT(var=A)"
    assert codes(text, registry) == ["E201"]
    assert codes(text, registry, inputs={"IMAGE1": types.of("Image")}) == []
    assert codes(text, registry, inputs={"IMAGE1": types.of("Text")}) == ["E301"]
    assert codes(text.replace("A=", "IMAGE1=").replace("var=A", "var=IMAGE1"), registry, inputs={"IMAGE1": types.of("Image")}) == ["E202"]  # fmt: skip
    # A default name that a step defines before anything uses it is that step's, not an input.
    own = "LEFT=CROP_LEFTOF(image=IMAGE,box=LOC(image=IMAGE,object='x'))\nB=RESULT(var=LEFT)"
    assert codes(own, registry) == []
    assert Program.parse(own).inputs == ("IMAGE",)


def test_broadcasting_and_both_branches_of_if_decide_types() -> None:
    @tool
    def FIND(image: Image) -> Regions:
        """Find things.

        Example: A=FIND(image=IMAGE)
        """

    @tool
    def CUT(image: Image, number: int) -> Image:
        """Cut a picture.

        Example: A=CUT(image=IMAGE,number=1)
        """

    @tool
    def IF(condition: types.Any, then: types.Any, otherwise: types.Any) -> types.Any:
        """Choose.

        Example: A=IF(condition=1,then=2,otherwise=3)
        """

    @tool
    def RESULT(var: types.Any) -> types.Any:
        """End.

        Example: A=RESULT(var=B)
        """

    small = Registry([FIND, CUT, IF, RESULT])
    assert codes("A=CUT(image=IMAGES,number=1)\nB=CUT(image=A,number=2)\nC=RESULT(var=B)", small) == []
    assert codes("A=CUT(image=IMAGES,number=1)\nB=CUT(image=IMAGE,number=A)\nC=RESULT(var=B)", small) == [
        "E301"
    ]
    chosen = "A=IF(condition=1,then={},otherwise={})\nB=CUT(image=A,number=1)\nC=RESULT(var=B)"
    assert codes(chosen.format("IMAGE", "FIND(image=IMAGE)"), small) == []
    assert codes(chosen.format("'a'", "2"), small) == ["E301"]


def test_parse_problems_do_not_set_off_others(registry: Registry) -> None:
    text = "A=SEG(image=IMAGE\nB=COUNT(box=A)\nC=RESULT(var=B"
    assert places(text, registry) == [("E003", 1, 18), ("E003", 3, 15)]


def test_limits_are_reported() -> None:
    def code(text: str) -> str:
        with pytest.raises(ProgramError) as raised:
            Program.parse(text)
        return raised.value.problems[0].code

    assert code("#" * (limits.SOURCE_BYTES + 1)) == "E601"
    assert (
        code("A=B(c='" + "\x01" * 8000 + "')\n" + "\n".join(f"A{i}=B(c='{chr(1) * 8000}')" for i in range(6)))
        == "E601"
    )
    assert code("A=B(c=1)\n" * (limits.STEPS + 1)) == "E602"
    assert code("A=" + "B(c=" * 17 + "1" + ")" * 17) == "E603"
    assert code(f"A=B(c=[{','.join('1' * 257)}])") == "E604"
    assert code(f"A=B(c='{'x' * 8193}')") == "E605"
    assert code("A" * 65 + "=B(c=1)") == "E606"
    assert code(f"A=B({','.join(f'a{i}=1' for i in range(65))})") == "E607"
    assert code("A=B(c=1e15)") == code("A=B(c=" + "9" * 5000 + ")") == "E004"
    assert code("") == code("# nothing") == "E401"
    assert Program.parse("A=" + "B(c=" * 16 + "1" + ")" * 16).steps[-1].name == "A"


def test_problems_survive_the_way_between_processes() -> None:
    with pytest.raises(ProgramError) as raised:
        Program.parse("A=1")
    again = pickle.loads(pickle.dumps(raised.value))
    assert again.problems == raised.value.problems and str(again) == str(raised.value)


def test_a_program_is_parsed_and_checked_in_milliseconds(registry: Registry) -> None:
    text = (
        "\n".join(f"A{i}=VQA(image=IMAGE,question='How many {i}?')" for i in range(250))
        + "\nB=RESULT(var=A0)"
    )
    started = time.perf_counter()
    problems = check(text, registry)
    assert time.perf_counter() - started < 2
    assert {p.severity for p in problems} <= {"warning"}


# Properties

NAMES = st.from_regex(r"[A-Z][A-Z0-9_]{0,8}", fullmatch=True)
KEYS = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True).filter(lambda key: key not in keyword.kwlist)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
LITERALS = st.one_of(
    TEXTS,
    st.integers(-(10**15) + 1, 10**15 - 1),
    st.floats(-9e14, 9e14).map(lambda x: x + 0.0 if x else 0.0),
    st.booleans(),
    st.none(),
).map(Literal)
ITEMS = st.one_of(LITERALS, NAMES.map(Name))
ARGUMENTS = st.one_of(ITEMS, st.lists(ITEMS, max_size=5).map(lambda items: ListOf(tuple(items))))
STEPS = st.builds(
    Step,
    NAMES,
    NAMES,
    st.dictionaries(KEYS, ARGUMENTS, max_size=4).map(lambda args: tuple(args.items())),
)
PROGRAMS = st.lists(STEPS, min_size=1, max_size=6).map(lambda steps: Program(tuple(steps)))


@given(PROGRAMS)
@settings(max_examples=200, deadline=None)
def test_parsing_the_canonical_text_gives_the_program_again(program: Program) -> None:
    again = Program.parse(program.text)
    assert again == program and again.text == program.text and again.digest == program.digest


@given(PROGRAMS)
@settings(max_examples=100, deadline=None)
def test_python_reads_the_same_structure(program: Program) -> None:
    """The language is a subset of Python's syntax: `ast` agrees on every name, keyword and value."""

    def value(node: ast.expr) -> object:
        if isinstance(node, ast.Name):
            return Name(node.id)
        if isinstance(node, ast.List):
            return ListOf(tuple(value(item) for item in node.elts))
        return Literal(ast.literal_eval(node))

    for step, node in zip(program.steps, ast.parse(program.text).body, strict=True):
        assert isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
        assert (node.targets[0].id, node.value.func.id) == (step.name, step.op)
        assert tuple((given.arg, value(given.value)) for given in node.value.keywords) == step.args
