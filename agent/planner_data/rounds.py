"""Planner examples taken step by step: the turns from which the core MLLM learns to act in rounds and to join sub-answers.

A program's calls are dealt into rounds (what can run together does), what they give is made up, and the turn is one round:
the calls so far with what they gave, then the next calls, or the answer that follows. Prompts and replies are written by
`controllers/starter_rounds.py` and values are worded by `toolbox.tell`, as when the agent runs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from ...mllm.scenes.schema import Turn
from ...programs.expressions import EvalError, compile_expression, rename_slots
from ...programs.syntax import EXPRESSIONS, Argument, ListOf, Literal, Name, Program, Step
from ...tools.color import COLOR_NAMES
from ...tools.values import Image, Regions
from ..controllers.starter_rounds import (
    UNKNOWN,
    acting,
    action_of,
    answering,
    divide_prompt,
    divided,
    join_prompt,
    round_prompt,
)
from ..language import in_language
from ..quarantine import veil
from ..toolbox import tell
from .builder import KIND_OF
from .invented_values import PICTURE, Failed, number, value_of
from .stream import FAMILIES, INVENTED_SHARE, LOOSE_SHARE, drawn, planner_examples, referents

CHINESE = 0.35  # share of turns in Chinese
CALLS = 4  # most calls of a round
ROUNDS = 6  # most rounds with calls; longer programs are no example
_INPUTS = ("IMAGE", "LEFT", "RIGHT")
_VERDICT = re.compile(r"'yes' if \{(\w+)\} (> 0|== 0) else 'no'")
_FOUND = frozenset(
    {"LOC", "FILTER", "RELATE", "FACEDET", "OCR", "SELECT"}
)  # of these the number told is the count

# What is thought before calls of an op, and before answering.
_THOUGHTS: dict[str, tuple[str, str]] = {
    "LOC": ("Find what is asked about.", "先找到要看的东西。"),
    "FILTER": ("Keep the right ones.", "留下符合的。"),
    "RELATE": ("Check where they are.", "看看位置关系。"),
    "COUNT": ("Count them.", "数一数。"),
    "EVAL": ("Work it out.", "算出结果。"),
    "COLOR": ("Look at the color.", "看看颜色。"),
    "COLORS": ("Look at the colors.", "看看颜色。"),
    "READ": ("Read it.", "读一读文字。"),
    "OCR": ("Read the text.", "读出文字。"),
    "VQA": ("Look and tell.", "看一看再说。"),
    "CAPTION": ("Describe it.", "描述一下。"),
    "MEASURE": ("Measure it.", "量一量。"),
    "DEPTH": ("See how far away it is.", "看看远近。"),
    "SEG": ("See what is there.", "看看都有什么。"),
    "FACEDET": ("Find the faces.", "找到人脸。"),
    "SEGMENT": ("Outline it.", "勾出轮廓。"),
    "CROP": ("Cut it out.", "裁出来。"),
    "ASK": ("This needs knowledge.", "这需要知识。"),
    "LIST": ("Make a list.", "列出名单。"),
}
_OTHER = ("Go on.", "继续。")
_KNOWN = ("I know the answer.", "我知道答案了。")
_LOST = ("This cannot be told.", "看不出来。")


@dataclass(frozen=True, slots=True)
class Round:
    """One round: its calls under the names that the toolbox will give them, and what each gave (Failed: an error)."""

    steps: tuple[Step, ...]
    values: tuple[Any, ...]

    @property
    def told(self) -> list[tuple[str, str]]:
        """(call, what the model is told of it) of each call."""
        return [
            (action_of(s), "failed: no value" if isinstance(v, Failed) else f"{s.name} = {tell(veil(v))}")
            for s, v in zip(self.steps, self.values, strict=True)
        ]


# -- a program in rounds -------------------------------------------------------------------------------------------


def rounds_of(program: Program) -> tuple[list[list[Step]], str]:
    """A program's calls in rounds under the names that the toolbox gives them, and the name of the result.

    A count at the end, and a yes or no by whether anything was found, are left to the reader of the observation.
    """
    steps = program.steps[:-1]
    result = _shown(program)
    needed = {result}
    for step in reversed(steps):
        if step.name in needed:
            needed.update(step.references)
    levels: dict[str, int] = dict.fromkeys(_INPUTS, -1)
    rounds: list[list[Step]] = []
    for step in steps:
        if step.name not in needed:
            continue
        level = 1 + max((levels[name] for name in step.references), default=-1)
        while level < len(rounds) and len(rounds[level]) == CALLS:
            level += 1
        levels[step.name] = level
        rounds += [[] for _ in range(level + 1 - len(rounds))]
        rounds[level].append(step)
    names: dict[str, str] = {}
    taken: dict[str, int] = {}
    for step in (step for one in rounds for step in one):
        kind = KIND_OF.get(step.op, "ANSWER")
        taken[kind] = taken.get(kind, -1) + 1
        names[step.name] = f"{kind}{taken[kind]}"
    return [[_renamed(step, names) for step in one] for one in rounds], names[result]


def _shown(program: Program) -> str:
    """The value that the answer is read from: of a count, or a yes or no that rests on one, the regions themselves."""
    by_name = {step.name: step for step in program.steps}
    end = by_name[program.steps[-1].references[0]]
    verdict = _VERDICT.fullmatch(_expression(end))
    counted = by_name[verdict[1]] if verdict else end
    if counted.op == "COUNT":
        found = by_name.get(counted.references[0])
        if found is not None and found.op in _FOUND:
            return found.name
    return end.name


def _expression(step: Step) -> str:
    value = step.arguments.get("expr")
    return str(value.value) if step.op == "EVAL" and isinstance(value, Literal) else ""


def _renamed(step: Step, names: Mapping[str, str]) -> Step:
    def new(key: str, argument: Argument) -> Argument:
        if isinstance(argument, Name):
            return Name(names.get(argument.id, argument.id))
        if isinstance(argument, ListOf):
            return ListOf(tuple(new(key, item) for item in argument.items))  # type: ignore[misc]
        if key == EXPRESSIONS.get(step.op) and isinstance(argument.value, str):
            return Literal(rename_slots(argument.value, names))
        return argument

    return Step(names[step.name], step.op, tuple((key, new(key, value)) for key, value in step.args))


def played(program: Program, rng: Random) -> tuple[list[Round], str]:
    """The rounds of a program with made-up values, up to the first failure, and the answer in the end."""
    levels, result = rounds_of(program)
    values: dict[str, Any] = dict.fromkeys(_INPUTS, PICTURE)
    strict = any(step.op not in (*_FOUND, "COUNT", "EVAL") for one in levels for step in one)
    done: list[Round] = []
    for steps in levels:
        for step in steps:
            values[step.name] = value_of(step, values, rng, strict and rng.random() < 0.95)
        done.append(Round(tuple(steps), tuple(values[step.name] for step in steps)))
        if any(isinstance(value, Failed) for value in done[-1].values):
            return done, UNKNOWN
    return done, _answer(program, result, values[result])


def _answer(program: Program, handle: str, value: Any) -> str:
    """The answer: a number, a yes or no, a colour or a name as such, anything else by its handle."""
    end = {step.name: step for step in program.steps}[program.steps[-1].references[0]]
    if _shown(program) != end.name:
        verdict = _VERDICT.fullmatch(_expression(end))
        if verdict is None:
            return str(len(value))
        return "yes" if (len(value) > 0) == (verdict[2] == "> 0") else "no"
    if isinstance(value, Regions | Image):
        return handle
    if isinstance(value, list):
        if not value:
            return UNKNOWN
        value = value[0] if len(value) == 1 else value
    if isinstance(value, int) or (isinstance(value, str) and (end.op == "EVAL" or value in COLOR_NAMES)):
        return str(value)
    return handle


def thought(steps: Sequence[Step], language: str) -> str:
    """What is thought before a round's calls."""
    said = dict.fromkeys(_THOUGHTS.get(step.op, _OTHER)[language == "zh"] for step in steps)
    return ("" if language == "zh" else " ").join(list(said)[:2])


# -- turns: Random -> Turn -----------------------------------------------------------------------------------------


def round_turn(rng: Random) -> Turn:
    """One round of any request of the training split."""
    return _round(rng, ())


# Families whose requests ask for what decides: existence, counts, colours, places, comparisons, words.
_QUESTIONS = (
    *("existence", "absence", "count", "count_check", "count_colors", "color_of", "color_check", "relation_check"),
    *("compare_more", "compare_fewer", "compare_same", "both", "either", "without", "neither", "read_on", "extreme"),
    *("nearest", "which_more", "total", "same_color", "all_color", "vqa_thing", "statement"),
)  # fmt: skip


def question_round_turn(rng: Random) -> Turn:
    """One round of a question about things."""
    return _round(rng, tuple(name for name in _QUESTIONS if name in FAMILIES))


def _round(rng: Random, families: tuple[str, ...]) -> Turn:
    for example in planner_examples(rng.getrandbits(40), "train", CHINESE, families):
        program = Program.parse(example.program)
        if any(step.op == "IF" for step in program.steps):
            continue
        done, answer = played(program, rng)
        if len(done) > ROUNDS:
            continue
        language = example.language
        at = rng.randrange(len(done) + 1)
        history = [told for one in done[:at] for told in one.told]
        if at < len(done):
            steps = done[at].steps
            said = acting(thought(steps, language), [action_of(step) for step in steps])
        else:
            said = answering((_LOST if answer == UNKNOWN else _KNOWN)[language == "zh"], answer)
        prompt = round_prompt(language, example.request, history)
        return Turn("react", prompt, said, language=language, words_only=True)
    raise AssertionError("the stream of examples does not end")


# Families whose questions are made of two simple ones, by what these ask for.
_PAIRS = {
    **dict.fromkeys(("compare_more", "compare_fewer", "compare_same", "which_more", "total", "difference"), "count"),
    **dict.fromkeys(("both", "either", "without", "neither"), "exists"),
    "same_color": "color",
}  # fmt: skip
_PARTS = {
    "en": {"count": "How many {pl} are there?", "exists": "Is there {a}?", "color": "What color is {the}?"},
    "zh": {"count": "有多少{m}{n}？", "exists": "有{n}吗？", "color": "{n}是什么颜色？"},
}  # fmt: skip


def parts_turn(rng: Random) -> Turn:
    """A question to its sub-questions, none where it is simple."""
    families = tuple(FAMILIES)
    return _divide(rng, tuple(_PAIRS) if rng.random() < 0.5 else families)


def join_turn(rng: Random) -> Turn:
    """The answers of sub-questions, and the answer that follows from them."""
    while True:
        example, slots = _drawn(rng, tuple(_PAIRS))
        kind, language = _PAIRS[example.family], example.language
        program = Program.parse(example.program)
        last = program.steps[-2]
        if last.op != "EVAL" or len(last.references) != 2:
            continue
        values: list[Any] = [
            [rng.choice(COLOR_NAMES)] if kind == "color" else number(rng) for _ in last.references
        ]
        if rng.random() < 0.3:
            values[1] = values[0]
        try:
            found = compile_expression(_expression(last)).evaluate(
                dict(zip(last.references, values, strict=True))
            )
        except EvalError:
            continue
        facts = [
            (part, _said(kind, value, language))
            for part, value in zip(_parts(example.family, slots, language), values, strict=True)
        ]
        answer = in_language(str(found), language)
        prompt = join_prompt(language, facts, example.request)
        return Turn("subquestion", prompt, answer, language=language, words_only=True)


def _divide(rng: Random, families: tuple[str, ...]) -> Turn:
    example, slots = _drawn(rng, families)
    parts = _parts(example.family, slots, example.language)
    prompt = divide_prompt(example.language, example.request)
    return Turn(
        "subquestion", prompt, divided(example.language, parts), language=example.language, words_only=True
    )


def _drawn(rng: Random, families: tuple[str, ...]) -> tuple[Any, dict[str, str]]:
    language = "zh" if rng.random() < CHINESE else "en"
    family = rng.choices(families, [FAMILIES[name][1] for name in families])[0]
    return drawn(rng, family, language, referents(False, INVENTED_SHARE), False, loose=LOOSE_SHARE)


def _parts(family: str, slots: Mapping[str, str], language: str) -> list[str]:
    kind = _PAIRS.get(family)
    if kind is None:
        return []
    form = _PARTS[language][kind]
    pair = [form, re.sub(r"\{(\w+)\}", r"{\g<1>2}", form)]
    return [one.format(**slots) for one in pair]


def _said(kind: str, value: Any, language: str) -> str:
    if kind == "exists":
        return in_language("yes" if value else "no", language)
    return in_language(value[0], language) if kind == "color" else str(value)
