"""Constrained decoding of programs: what the automaton lets through the checker accepts, by characters and by tokens."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sightline.errors import InputError
from sightline.mllm.constrained import Constraint, generate_constrained
from sightline.mllm.tokenizer import train_tokenizer
from sightline.programs import expression_automaton as expression
from sightline.programs.automaton import ProgramState
from sightline.programs.checker import check
from sightline.programs.expression_endings import ending
from sightline.programs.expressions import compile_expression
from sightline.programs.grammar import ProgramAutomaton, grammar_text
from sightline.programs.library import find
from sightline.programs.syntax import Program, errors_of
from sightline.tools import types
from sightline.tools.declaration import tool
from sightline.tools.registry import Registry, builtin_tools
from sightline.tools.values import Image

EXPRESSIONS = 300  # random expressions
LIBRARY = sorted((Path(__file__).resolve().parent.parent / "programs" / "library").glob("*.vp"))
SETTINGS = {
    "X": "Number", "Y": "Number", "LEFT_EDGE": "Number", "TOP_EDGE": "Number", "RIGHT_EDGE": "Number",
    "BOTTOM_EDGE": "Number", "CROWD": "Number", "DIGITS": "Number", "LEAST": "Number", "RELATION": "Text",
    "OBJECT": "Text", "OTHER": "Text", "REFERENCE": "Text", "HALF": "Text", "EMOJI": "Text", "WORD": "Text",
    "COLOR": "Text", "VEHICLE": "Text",
}  # fmt: skip
INPUTS = {
    "IMAGE": types.of("Image"), "LEFT": types.of("Image"), "RIGHT": types.of("Image"), "IMAGES": types.of("Images")
}  # fmt: skip

PUBLISHED_STYLE = [
    "BOX0=LOC(image=IMAGE,object='man')\nIMAGE0=CROP_LEFTOF(image=IMAGE,box=BOX0)\n"
    "BOX1=LOC(image=IMAGE0,object='drawer')\nANSWER0=COUNT(box=BOX1)\n"
    "ANSWER1=EVAL(expr=\"'yes' if {ANSWER0} > 0 else 'no'\")\nFINAL_RESULT=RESULT(var=ANSWER1)",
    "ANSWER0=VQA(image=LEFT,question='How many bears are there?')\n"
    "ANSWER1=VQA(image=RIGHT,question='How many bears are there?')\n"
    "ANSWER2=EVAL(expr='{ANSWER0} + {ANSWER1} == 4')\nFINAL_ANSWER=RESULT(var=ANSWER2)",
    "ANSWER0=VQA(image=LEFT,question='Is it a man\\'s \"hat\"?')\n"
    "ANSWER1=EVAL(expr='({ANSWER0} == 3) xor not {ANSWER0}')\nFINAL_ANSWER=RESULT(var=ANSWER1)",
    "OBJ0=FACEDET(image=IMAGE)\nLIST0=LIST(query='main characters on the show Big Bang Theory',max=7)\n"
    "OBJ1=CLASSIFY(image=IMAGE,object=OBJ0,categories=LIST0)\nIMAGE0=TAG(image=IMAGE,object=OBJ1)\n"
    "FINAL_RESULT=RESULT(var=IMAGE0)",
    "OBJ0=SEG(image=IMAGE)\nOBJ1=SELECT(image=IMAGE,object=OBJ0,query='desert',category=None)\n"
    "IMAGE0=REPLACE(image=IMAGE,object=OBJ1,prompt='lush green grass')\nFINAL_RESULT=RESULT(var=IMAGE0)",
    "OBJ=LOC(image=IMAGE,object=['狗','猫'])\nIMAGE0=EMOJI(image=IMAGE,object=OBJ,emoji='👩\\u200d🚀')\nP=RESULT(var=IMAGE0)\n",
    "B=SEG(image=IMAGE)\nA=MEASURE(object=B,what='area')\nL=LABELS(object=B)\n"
    "C=EVAL(expr=\"{A}[0] + sum({A}) * -2 if 'red' in ['red', '{L}'] and {L} == {L} else join({L}, '; ')\")\n"
    "P=RESULT(var=C)",
]


def registry() -> Registry:
    return Registry(builtin_tools())


@cache
def automaton() -> ProgramAutomaton:
    return ProgramAutomaton(registry())


def states(a: ProgramAutomaton, text: str) -> ProgramState:
    """The state after `text`, every character accepted."""
    state = a.start()
    for index, char in enumerate(text):
        following = state.advance(char)
        assert following is not None, f"refused {char!r} after {text[:index]!r}"
        state = following
    return state


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: path.stem)
def test_library_is_accepted(path: Path) -> None:
    program = Program.parse(path.read_text())
    supplied = {name: types.of(SETTINGS[name]) for name in program.inputs if name not in INPUTS}
    assert states(ProgramAutomaton(registry(), {**INPUTS, **supplied}), program.text).is_complete
    assert states(automaton(), find(path.stem).program().text).is_complete  # its settings bound


@pytest.mark.parametrize("text", PUBLISHED_STYLE)
def test_programs_in_the_published_style_are_accepted(text: str) -> None:
    assert not errors_of(check(text, registry()))
    assert states(automaton(), text).is_complete
    assert states(automaton(), Program.parse(text).text).is_complete


@pytest.mark.parametrize(
    "text",
    [
        "A=LOCK(image=IMAGE,object='x')\nB=RESULT(var=A)",  # no such op
        "A=LOC(image=IMAGE,objekt='x')\nB=RESULT(var=A)",  # no such argument
        "A=LOC(image=IMAGE)\nB=RESULT(var=A)",  # an argument is missing
        "A=LOC(image=IMAGE,object=DOG)\nB=RESULT(var=A)",  # undefined
        "A=LOC(image=IMAGE,image=IMAGE,object='x')\nB=RESULT(var=A)",  # twice
        "A=LOC(image='IMAGE',object='x')\nB=RESULT(var=A)",  # type
        "A=LIST(query='x',max='4')\nB=RESULT(var=A)",
        "A=COUNT(box=A)\nB=RESULT(var=A)",  # in its own definition
        "A=SEG(image=IMAGE)\nA=COUNT(box=A)\nB=RESULT(var=A)",  # defined twice
        "IMAGE=SEG(image=IMAGE)\nB=RESULT(var=IMAGE)",  # an input
        "A=SEG(image=IMAGE)",  # no RESULT
        "A=RESULT(var=IMAGE)\nB=RESULT(var=A)",  # RESULT not last
        "A=SEG(image=IMAGE)\nB=FILTER(object=A,keep='biggest')\nC=RESULT(var=B)",  # no such choice
        "A=EVAL(expr='{X} > 1')\nB=RESULT(var=A)",  # undefined in EVAL
        "A=EVAL(expr='1 ** 2')\nB=RESULT(var=A)",
        "A=EVAL(expr='{IMAGE} == 1')\nB=RESULT(var=A)",  # a picture
        "C=SEG(image=IMAGE)\nA=EVAL(expr='{C} > 1')\nB=RESULT(var=A)",  # a list as a number
        "A=EVAL(expr='print(1)')\nB=RESULT(var=A)",
        "A=DETECT(image=IMAGE)\nB=RESULT(var=A)",  # hidden
        "A=SEG(image=[[IMAGE]])\nB=RESULT(var=A)",
        "A=VQA(image=IMAGE,question='a\\q')\nB=RESULT(var=A)",  # no escape
        "",
        "\n",
    ],
)
def test_what_the_checker_refuses_is_refused(text: str) -> None:
    assert errors_of(check(text, registry()))
    assert not automaton().accepts(text)


def walk(a: ProgramAutomaton, rng: random.Random, most: int) -> str:
    """A random program: any character that may follow, then the completion; checks the completion's promise."""
    state, text = a.start(), ""
    while not (state.is_complete and (not state.chars or rng.random() < 0.3)):
        ending = state.completion if len(text) >= most or rng.random() < 0.2 else ""
        if ending:
            assert state.shortest_completion_length == len(ending)
            following = state.advance(ending[0])
            assert following is not None and following.completion == ending[1:], (text, ending)
        choices = sorted(state.chars)
        if state.open is not None:
            choices += [char for char in "ab é狗👩{}'\"" if char not in state.open]
        if len(text) >= most and ending:
            choices = [ending[0]]
        char = rng.choice(choices)
        moved = state.advance(char)
        assert moved is not None, (text, char)
        for other in "a0'(=,) {Z\n":
            if other not in state.chars and (state.open is None or other in state.open):
                assert state.advance(other) is None
        state, text = moved, text + char
    return text


@settings(max_examples=500, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.randoms(use_true_random=False), st.sampled_from([0, 20, 60, 120, 200]))
def test_every_walk_is_a_program(rng: random.Random, most: int) -> None:
    text = walk(automaton(), random.Random(rng.getrandbits(64)), most)
    assert not errors_of(check(text, registry())), text


def test_limits_hold() -> None:
    short = ProgramAutomaton(registry(), most_steps=2)
    assert short.accepts("A=SEG(image=IMAGE)\nB=RESULT(var=A)")
    assert short.read("A=SEG(image=IMAGE)\nB=SE") is None
    state = states(automaton(), "A=VQA(image=IMAGE,question='")
    while state.open is not None:
        following = state.advance("x")
        assert following is not None
        state = following
    assert state.chars == {"'"}
    with pytest.raises(InputError, match="RESULT"):
        ProgramAutomaton(Registry())
    with pytest.raises(InputError, match="most_steps"):
        ProgramAutomaton(registry(), most_steps=0)
    assert ProgramAutomaton(registry(), {}).read("A=SEG") is None  # no picture: SEG cannot be called


@tool(choices={"unit": ["lux", "烛"]})
def BRIGHTNESS(image: Image, unit: str = "lux") -> float:
    """Mean brightness of a picture.

    Example: ANSWER0=BRIGHTNESS(image=IMAGE)
    """
    return float(image.pixels.mean())


def test_a_tool_added_extends_the_grammar() -> None:
    tools = registry()
    tools.add(BRIGHTNESS)
    text = "A=BRIGHTNESS(unit='烛',image=IMAGES)\nB=EVAL(expr='max({A}) > 3')\nC=RESULT(var=B)"
    assert ProgramAutomaton(tools).accepts(text) and not automaton().accepts(text)
    assert not errors_of(check(text, tools))
    written = grammar_text(tools)
    assert '"BRIGHTNESS("' in written and "BRIGHTNESS" not in grammar_text(registry())


def test_grammar_text_has_a_rule_for_all_it_uses() -> None:
    text = grammar_text(registry())
    rules = {line.split(" ::= ")[0] for line in text.splitlines()}
    assert len(rules) == len(text.splitlines())
    for line in text.splitlines():
        body = line.split(" ::= ", 1)[1]
        bare, position, quoted = "", 0, ""  # what is neither a terminal nor a class
        while position < len(body):
            char = body[position]
            if quoted:
                position += char == "\\"
                quoted = "" if char == quoted else quoted
            elif char in '"[':
                quoted = '"' if char == '"' else "]"
                bare += " "
            else:
                bare += char
            position += 1
        assert {word for word in bare.replace("(", " ").replace(")", " ").split() if word[0].isalpha()} <= {
            *rules
        } | {f"{rule}{sign}" for rule in rules for sign in "?*"}, line
    assert "LEFT" in grammar_text(registry(), INPUTS)


# Tokens


@cache
def tokenizer():  # type: ignore[no-untyped-def]
    texts = [Program.parse(path.read_text()).text for path in LIBRARY] * 3 + PUBLISHED_STYLE * 3
    words = [
        "find the dog",
        "the red car left of a man",
        "有几只狗",
        "把背景弄模糊",
        "窗户旁边的猫",
        "what does the sign say?",
    ]
    return train_tokenizer([*texts, *words * 5], 800, 4)


@cache
def constraint() -> Constraint:
    return Constraint(tokenizer(), automaton())


@pytest.mark.parametrize("seed", range(4))
def test_random_tokens_give_programs_within_their_budget(seed: int) -> None:
    held, rng = constraint(), np.random.default_rng(seed)
    for _ in range(12):
        limit = int(rng.choice([30, 45, 80, 160]))
        cursor, tokens = held.start(), []
        for remaining in range(limit, 0, -1):
            assert held.need(cursor) <= remaining
            ids = held.allowed(cursor, remaining).nonzero()[0]
            assert len(ids)
            token = int(rng.choice(ids))
            moved = held.advance(cursor, token)
            assert moved is not None
            cursor = moved
            if cursor.ended:
                break
            tokens.append(token)
        assert cursor.ended
        text = tokenizer().decode(tokens)
        assert not errors_of(check(text, registry())), text
        assert automaton().accepts(text)


def test_masks_agree_with_trying_every_token() -> None:
    """The tree walk, its shortcuts and its memory against the definition: a token may follow when all its bytes may."""
    held, rng = constraint(), np.random.default_rng(7)
    for _ in range(6):
        cursor = held.start()
        for _ in range(60):
            mask = held.allowed(cursor)
            for token in rng.choice(len(mask), 60):
                moved = held.advance(cursor, int(token))
                if moved is not None and moved.pending:  # an unfinished character must be one that may follow
                    continue
                assert bool(mask[token]) == (moved is not None), (
                    cursor,
                    tokenizer().convert_ids_to_tokens(int(token)),
                )
            moved = held.advance(cursor, int(rng.choice(mask.nonzero()[0])))
            if moved is None or moved.ended:
                break
            cursor = moved


def test_the_tokenizers_own_spelling_is_allowed() -> None:
    held = constraint()
    for text in [Program.parse(text).text for text in PUBLISHED_STYLE]:
        cursor = held.start()
        for token in [*tokenizer()(text, add_special_tokens=False)["input_ids"], tokenizer().eos_token_id]:
            assert held.allowed(cursor)[token], (text, tokenizer().convert_ids_to_tokens(token))
            moved = held.advance(cursor, token)
            assert moved is not None
            cursor = moved
        assert cursor.ended and not held.allowed(cursor).any()


def test_forced_tokens() -> None:
    held = constraint()
    cursor = held.start()
    for token in tokenizer()("A=SEG(image=IMAGE)\nB=RESULT(var=A)\n", add_special_tokens=False)["input_ids"]:
        moved = held.advance(cursor, token)
        assert moved is not None
        cursor = moved
    assert held.forced(cursor) == [tokenizer().eos_token_id]
    assert held.forced(held.start()) == []


@cache
def tiny_model():  # type: ignore[no-untyped-def]
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer()) + 7, hidden_size=32, intermediate_size=32, num_hidden_layers=1,
        num_attention_heads=2, max_position_embeddings=512, pad_token_id=0, eos_token_id=1, initializer_range=0.5,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


@pytest.mark.parametrize(
    "options",
    [
        {"do_sample": False},
        {"do_sample": True, "temperature": 2.0},
        {"do_sample": False, "num_beams": 4, "num_return_sequences": 2},
    ],
    ids=["greedy", "sampled", "beams"],
)
def test_generate(options: dict[str, object]) -> None:
    import torch

    torch.manual_seed(1)
    inputs = dict(
        tokenizer()(
            ["find the dog", "有几只狗", "the red car left of a man"], padding=True, return_tensors="pt"
        )
    )
    texts = generate_constrained(tiny_model(), constraint(), inputs, max_new_tokens=48, **options)
    assert len(texts) == 3 * int(str(options.get("num_return_sequences", 1)))
    for text in texts:
        assert not errors_of(check(text, registry())), text


def test_batched_is_single() -> None:
    requests = ["find the dog", "有几只狗"]
    together = dict(tokenizer()(requests, padding=True, return_tensors="pt"))
    texts = generate_constrained(tiny_model(), constraint(), together, max_new_tokens=40, do_sample=False)
    for request, text in zip(requests, texts, strict=True):
        alone = dict(tokenizer()([request], return_tensors="pt"))
        assert generate_constrained(
            tiny_model(), constraint(), alone, max_new_tokens=40, do_sample=False
        ) == [text]


def test_errors_are_clear() -> None:
    import torch

    with pytest.raises(InputError, match="give at least"):
        constraint().processor(3)
    processor = constraint().processor(40)
    ids, scores = torch.full((1, 4), 20), torch.zeros(1, len(tokenizer()))
    processor(ids, scores)
    with pytest.raises(InputError, match="one call of generate"):
        processor(torch.full((1, 9), 20), scores)


def test_every_expression_compiles_and_can_be_ended() -> None:
    rng, names = random.Random(3), {"N": "N", "T": "T", "F": "F", "R": "R", "L": "L", "A": "A"}
    for _ in range(EXPRESSIONS):
        e, text, most = expression.START, "", rng.choice([5, 30, 120])
        while not (expression.done(e) and rng.random() < 0.1):
            rest = ending(e, names)
            if rest:
                following = expression.step(e, rest[0], names)
                assert following is not None and ending(following, names) == rest[1:], (text, rest)
            choices = sorted(expression.chars(e, names)) + (["x"] if expression.open_text(e) else [])
            char = rest[0] if len(text) >= most and rest else rng.choice(choices) if choices else ""
            if not char:
                break
            moved = expression.step(e, char, names)
            assert moved is not None
            e, text = moved, text + char
            if len(text) >= most and expression.done(e):
                break
        assert "L" not in compile_expression(text).numeric, text
