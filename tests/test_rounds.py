"""Training turns of the decision maker: taken from programs, in the very words that the agent uses when it runs."""

from __future__ import annotations

import time
from random import Random
from typing import Any

import pytest
import yaml
from agent_desk import Desk, thing
from langchain_core.messages import AIMessage, HumanMessage

from sightline.agent.controllers import starter_rounds as forms
from sightline.agent.controllers.base import Fact
from sightline.agent.controllers.starter import StarterController
from sightline.agent.controllers.starter_chat import turn
from sightline.agent.controllers.starter_conclusions import worked_out
from sightline.agent.errors import CannotError, ControllerError
from sightline.agent.events import Recorder
from sightline.agent.language import language_of
from sightline.agent.planner_data import invented_values, rounds
from sightline.agent.planner_data.stream import FAMILIES, planner_examples
from sightline.agent.prompting import said
from sightline.agent.react import run_react
from sightline.agent.records import Mark, Request
from sightline.mllm.training.stages import text_source
from sightline.programs.checker import check
from sightline.programs.syntax import Name, Program, Step
from sightline.tools.registry import default_registry

TURNS = (rounds.round_turn, rounds.question_round_turn, rounds.parts_turn, rounds.join_turn)
SCENE = (thing("dog", "red", 5, 5), thing("dog", "brown", 60, 5), thing("cat", "black", 90, 60))
RIGHT_OF = """BOX0=LOC(image=IMAGE,object='dog')
BOX1=LOC(image=IMAGE,object='cat')
OBJ0=RELATE(object=BOX0,relation='left',reference=BOX1)
ANSWER0=COUNT(box=OBJ0)
ANSWER1=COUNT(box=BOX1)
ANSWER2=EVAL(expr="'yes' if {ANSWER0} > {ANSWER1} else 'no'")
FINAL_RESULT=RESULT(var=ANSWER2)
"""
COLOR = """BOX0=LOC(image=IMAGE,object='cat')
ANSWER0=COLOR(image=IMAGE,object=BOX0)
FINAL_RESULT=RESULT(var=ANSWER0)
"""
COUNT = """BOX0=LOC(image=IMAGE,object='dog')
OBJ0=FILTER(object=BOX0,where="color == 'red'",image=IMAGE)
ANSWER0=COUNT(box=OBJ0)
FINAL_RESULT=RESULT(var=ANSWER0)
"""


class Taught(StarterController):
    """Says in each round what a training turn says there, and keeps the prompts."""

    def __init__(self, said: list[str]) -> None:
        super().__init__()
        self.said, self.asked = list(said), list[str]()

    def _say(self, texts: Any) -> list[str]:
        self.asked += texts
        return [self.said.pop(0)]

    def _tokens(self, text: str) -> int:
        return len(text.split())

    def plan(self, request: Request, recorder: Recorder, failed: Any = ()) -> str:
        raise CannotError("it plans nothing here")


@pytest.mark.parametrize(
    ("program", "answer", "value"),
    [(RIGHT_OF, "yes", "yes"), (COLOR, "black", "black"), (COUNT, "1", "1"), (COLOR, "ANSWER0", ["black"])],
)
def test_the_agent_reads_what_training_wrote(program: str, answer: str, value: object) -> None:
    """The prompts of a run are those of the training turns with the same calls and values, word for word."""
    desk = Desk("What about the dogs?", SCENE)
    levels, _ = rounds.rounds_of(Program.parse(program))
    said = [
        forms.acting(rounds.thought(level, "en"), [forms.action_of(step) for step in level])
        for level in levels
    ]
    taught = Taught([*said, forms.answering("I know the answer.", answer)])
    outcome = run_react(desk.request, taught, desk.toolbox, desk.limits, desk.recorder)
    assert (outcome.status, outcome.value) == ("done", value)
    done = [
        rounds.Round(tuple(level), tuple(desk.toolbox.values[step.name] for step in level))
        for level in levels
    ]
    expected = [
        forms.round_prompt("en", "What about the dogs?", [told for one in done[:at] for told in one.told])
        for at in range(len(done) + 1)
    ]
    assert taught.asked == expected
    assert outcome.thoughts == tuple(rounds.thought(level, "en") for level in levels)


def test_values_are_told_in_few_words() -> None:
    loc = "LOC(image=IMAGE,object='dog')"
    told = {
        ("BOX0 = 2 x dog: dog at [1, 2, 3, 4]; dog at [5, 6, 7, 8]", loc): "BOX0 = LOC dog: 2 x dog",
        ("BOX0 = nothing found", loc): "BOX0 = LOC dog: 0 found",
        ("failed: E301 no detector", loc): "LOC dog: failed",
        ("IMAGE0 = a picture of 40 x 30 pixels", "CROP(image=IMAGE,box=BOX0)"): "IMAGE0 = CROP BOX0: a picture",
        ("ANSWER0 = 2", "COUNT(box=BOX0)"): "ANSWER0 = COUNT BOX0: 2",
        ("failed: no valid JSON", "LOC(object='dog'"): "LOC: failed",
    }  # fmt: skip
    for (seen, action), wanted in told.items():
        assert forms.step_told(action, seen) == wanted
    assert len(forms.step_told(loc, f"BOX0 = '{'word ' * 80}'")) < 90


def test_several_calls_of_a_turn_are_read() -> None:
    said = forms.acting("Find both.", ["LOC(image=IMAGE,object='dog')", "LOC(image=IMAGE,object='cat')"])
    message = turn(said, {"LOC"}, "t")
    assert [call["args"]["object"] for call in message.tool_calls] == ["dog", "cat"]
    assert len({call["id"] for call in message.tool_calls}) == 2
    half = turn(f"{said} Action: LOC(image=", {"LOC"}, "t")
    assert not half.tool_calls or half.invalid_tool_calls


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_family_is_dealt_into_calls_that_the_checker_takes(family: str) -> None:
    for example, seed in zip(planner_examples(5, "train", 0.3, (family,)), range(6), strict=False):
        program = Program.parse(example.program)
        if any(step.op == "IF" for step in program.steps):
            continue
        levels, result = rounds.rounds_of(program)
        steps = [step for level in levels for step in level]
        whole = Program((*steps, Step("FINAL_RESULT", "RESULT", (("var", Name(result)),))))
        wrong = [p for p in check(whole.text, default_registry()) if p.severity == "error"]
        assert not wrong, whole.text
        done, answer = rounds.played(program, Random(seed))
        assert answer and all(told for one in done for told in one.told)


@pytest.mark.parametrize("make", TURNS)
def test_turns_are_repeatable_and_fast(make: Any) -> None:
    first = [make(Random(f"turn {n}")) for n in range(60)]
    started = time.process_time()
    again = [make(Random(f"turn {n}")) for n in range(60)]
    assert (time.process_time() - started) / 60 < 0.004
    assert first == again
    assert {turn.language for turn in first} == {"en", "zh"} and all(turn.words_only for turn in first)


def test_answers_follow_from_what_is_shown() -> None:
    counted = 0
    for n in range(400):
        made = rounds.question_round_turn(Random(f"check {n}"))
        answer = made.answer.partition("Answer: ")[2]
        last = made.question.rpartition(": ")[2]
        if answer.isdigit() and " x " in last:
            counted += 1
            assert last.startswith(f"{answer} x ")
        elif answer in ("yes", "no") and "EVAL" in made.question:
            assert f"'{answer}'" in last
    assert counted > 5


def test_sub_questions_join_to_the_right_answer() -> None:
    seen = set()
    for n in range(300):
        made = rounds.join_turn(Random(f"join {n}"))
        if made.language == "en" and " than " in made.question and " more " in made.question:
            numbers = [
                int(part.split(".")[0]) for part in made.question.split("? ")[1:3] if part[0].isdigit()
            ]
            if (
                len(numbers) == 2
                and made.answer in ("yes", "no")
                and "how many more" not in made.question.lower()
            ):
                seen.add(made.answer)
    assert seen == {"yes", "no"}
    said = [rounds.parts_turn(Random(f"parts {n}")) for n in range(200)]
    assert {len(forms.parts_in(made.answer)) for made in said} == {0, 2}


def test_numbers_and_failures() -> None:
    drawn = [invented_values.number(Random(n)) for n in range(300)]
    assert min(drawn) == 0 and max(drawn) == 12
    program = Program.parse(
        "TEXT0=OCR(image=IMAGE)\nLIST0=TEXTS(object=TEXT0)\nLIST1=NUMBERS(text=LIST0)\n"
        "ANSWER0=EVAL(expr='max({LIST1})')\nFINAL_RESULT=RESULT(var=ANSWER0)\n"
    )
    played = [rounds.played(program, Random(n)) for n in range(200)]
    lost = [answer for done, answer in played if isinstance(done[-1].values[-1], invented_values.Failed)]
    assert lost and set(lost) == {forms.UNKNOWN}


def test_the_words_tower_learns_from_them() -> None:
    from importlib import resources

    config = yaml.safe_load(
        resources.files("sightline.mllm").joinpath("configs", "starter-words.yaml").read_text("utf-8")
    )
    weights = {**config["texts"], **config["tasks"]}
    assert sum(weights.values()) == pytest.approx(1.0)
    for make in TURNS:
        name = f"{make.__module__}:{make.__name__}"
        assert weights[name] > 0 and text_source(name) is make


def test_things_of_a_chinese_question_are_looked_for_under_their_english_names() -> None:
    said = forms.acting(
        "先找到要看的东西。", ["LOC(image=IMAGE,object='狗')", "LOC(image=IMAGE,object='house')"]
    )
    message = turn(said, {"LOC"}, "t", "狗在猫的左边吗？")
    assert [call["args"]["object"] for call in message.tool_calls] == ["dog", "cat"]
    assert message.additional_kwargs["said"] == said, "what it said stays as it was said"


def test_the_starter_concludes_with_what_is_known() -> None:
    known = [Fact("How many dogs are there?", "2"), Fact("How many cats are there?", "1")]
    desk = Desk("Are there more dogs than cats?")
    for reply in ("yes", "3", "dog"):
        assert Taught([reply]).conclude(desk.request, known, desk.recorder) == reply
    for reply in ("", "compare: bus > bus", "yes, where is the frog? where is the frog? where is the frog?"):
        with pytest.raises(ControllerError, match="no conclusion"):
            Taught([reply]).conclude(desk.request, known, desk.recorder)


def test_a_simple_question_has_no_sub_questions() -> None:
    desk = Desk("How many dogs are there?")
    assert Taught(["none"]).divide(desk.request, (), desk.recorder) == []
    two = Taught([forms.divided("en", ["Is there a dog?", "Is there a cat?"])])
    assert [q.text for q in two.divide(Desk("Is there a dog or a cat?").request, (), desk.recorder)] == [
        "Is there a dog?",
        "Is there a cat?",
    ]


def test_what_is_pointed_at_takes_the_place_of_its_name_in_the_first_round() -> None:
    pictures = Desk("?", SCENE).request.pictures
    request = Request("Is it left of the cat?", pictures, Mark(points=((12.0, 12.0, True),)), marked="dog")
    taught = Taught([forms.acting("Find.", [f"LOC(image=IMAGE,object='{name}')" for name in ("dog", "cat")])])
    reply = taught.chat_model().invoke([HumanMessage(said(request))])
    assert isinstance(reply, AIMessage)
    assert "the dog left of the cat?" in taught.asked[0], "the noun that was seen stands for the mark"
    assert [(c["name"], c["args"].get("point")) for c in reply.tool_calls] == [
        ("SEGMENT", [12, 12]),
        ("LOC", None),
    ]
    elsewhere = Taught([forms.acting("Find.", ["LOC(image=IMAGE,object='cat')"])]).chat_model()
    with pytest.raises(ControllerError, match="pointed at"):
        elsewhere.invoke([HumanMessage(said(request))])


@pytest.mark.parametrize(
    ("question", "ending", "facts", "answer"),
    [
        ("Are there more dogs than cats?", "'yes' if {ANSWER0} > {ANSWER1} else 'no'",
         [("How many dogs are there?", "2"), ("How many cats are there?", "1")], "yes"),
        ("Are there more dogs than cats?", "'yes' if {ANSWER0} > {ANSWER1} else 'no'",
         [("How many cats are there?", "5"), ("How many dogs are there?", "2")], "no"),
        ("Is there a dog but no cat?", "'yes' if {ANSWER0} > 0 and {ANSWER1} == 0 else 'no'",
         [("Is there a dog?", "yes"), ("Is there a cat?", "no")], "yes"),
        ("How many dogs and cats are there?", "{ANSWER0} + {ANSWER1}",
         [("How many dogs are there?", "2"), ("How many cats are there?", "3")], "5"),
        ("狗比猫多吗？", "'yes' if {ANSWER0} > {ANSWER1} else 'no'", [("有多少只猫？", "1"), ("有多少只狗？", "3")], "是"),
    ],
)  # fmt: skip
def test_the_starter_works_out_what_its_expression_says(
    question: str, ending: str, facts: list[tuple[str, str]], answer: str
) -> None:
    program = Program.parse(
        "BOX0=LOC(image=IMAGE,object='dog')\nBOX1=LOC(image=IMAGE,object='cat')\nANSWER0=COUNT(box=BOX0)\n"
        f'ANSWER1=COUNT(box=BOX1)\nANSWER2=EVAL(expr="{ending}")\nFINAL_RESULT=RESULT(var=ANSWER2)\n'
    )
    known = [Fact(asked, found) for asked, found in facts]
    assert worked_out(program, known, language_of(question)) == answer
    assert worked_out(program, known[:1], "en") is None
    assert worked_out(program, [known[0], Fact("?", "a red bus")], "en") is None
    assert worked_out(Program.parse(COLOR), known[:1], "en") is None
