"""Plan quality: thought, action, arguments, overall."""

from __future__ import annotations

import pytest
from agent_desk import Desk

from sightline.agent.plan_quality import Act, Handle, acts_of_events, acts_of_program, bleu, report, score
from sightline.errors import InputError

RIGHT = "BOX0=LOC(image=IMAGE,object='dog')\nANSWER0=COUNT(box=BOX0)\nFINAL_RESULT=RESULT(var=ANSWER0)"


def marks(made: str, wanted: str = RIGHT) -> tuple[float, ...]:
    quality = score(acts_of_program(wanted), acts_of_program(made))
    return tuple(round(v, 3) for v in (quality.thought, quality.action, quality.arguments, quality.overall))


def test_names_do_not_count_but_what_they_name_does() -> None:
    assert marks(RIGHT) == (1, 1, 1, 1)
    assert marks(RIGHT.replace("BOX0", "FOUND").replace("ANSWER0", "N")) == (1, 1, 1, 1)
    assert marks(RIGHT.replace("COUNT(box=BOX0)", "COUNT(box=IMAGES)")) == (1, 1, 0.5, 0)
    extra = "BOX9=LOC(image=IMAGE,object='cat')\n" + RIGHT
    assert marks(extra)[:2] == (1, round(2 / 3, 3)) and marks(extra)[3] == 0


def test_a_handle_follows_its_step_where_another_stands_before() -> None:
    wanted = acts_of_program(RIGHT)
    made = acts_of_program("FACES0=FACEDET(image=IMAGE)\n" + RIGHT)
    assert made[2].arguments["box"] == Handle("BOX0", 1)
    assert score(wanted, made).arguments == 1


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        ("", (0, 0, 0, 0)),
        (RIGHT.replace("dog", "cat"), (1, 1, 0.75, 0)),
        (RIGHT.replace("'dog'", "'dog',extra=1"), (1, 1, 0.833, 1)),
        (RIGHT.replace("COUNT", "LABELS").replace("box=", "object="), (1, 0.5, 0.5, 0)),
        ("not a program", (0, 0, 0, 0)),
    ],
)
def test_marks(made: str, expected: tuple[float, ...]) -> None:
    assert marks(made) == expected


def test_texts_count_by_bleu_and_expressions_without_names() -> None:
    wanted = "ANSWER0=VQA(image=IMAGE,question='What is the man holding?')\nFINAL_RESULT=RESULT(var=ANSWER0)"
    assert 0.5 < marks(wanted.replace("the man", "the person"), wanted)[2] < 1
    assert marks(wanted.replace("What is the man holding?", "Is it raining outside now"), wanted)[2] < 0.8
    one = "A=EVAL(expr='{X} + 1')\nR=RESULT(var=A)"
    assert marks(one.replace("{X}", "{Y}"), one) == (1, 1, 1, 1)
    assert bleu("图里有几只猫", "图里有几只狗") > 0.5 and bleu("a", "b") == 0 and bleu("", "b") == 0


def test_no_tools_wanted() -> None:
    assert score([], []).overall == 1 and score([], [Act("LOC", {})]).overall == 0


def test_acts_are_read_from_a_trace() -> None:
    desk = Desk("How many dogs are there?")
    desk.toolbox.call([("LOC", {"image": "IMAGE", "object": "dog"})])
    desk.toolbox.call([("COUNT", {"box": "BOX0"}), ("LOCATE", {})])
    acts = acts_of_events(desk.recorder.events)
    assert [act.tool for act in acts] == ["LOC", "COUNT", "LOCATE"] and acts[1].arguments == {
        "box": Handle("BOX0", 0)
    }
    quality = score(acts_of_program(RIGHT), acts[:2])
    assert quality.overall == 1, quality


def test_reports_are_means() -> None:
    good, bad = score([Act("A", {})], [Act("A", {})]), score([Act("A", {})], [])
    assert report([good, bad]) == {"n": 2, "thought": 0.5, "action": 0.5, "arguments": 0.5, "overall": 0.5}
    with pytest.raises(InputError):
        report([])
