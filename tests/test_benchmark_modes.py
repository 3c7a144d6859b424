"""The questions of the modes benchmark and of NLVR's split: fixed, balanced, and answered by the programs beside them."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.chinese import PAGES, comes_to, right
from benchmarks.mode_questions import KINDS_ASKED, mode_questions
from benchmarks.modes import Remembering, said
from benchmarks.nlvr import SPLIT, halves, read, scene_of
from sightline.agent.controllers.starter import StarterController
from sightline.agent.controllers.starter_rounds import divide_prompt, round_prompt
from sightline.agent.oracle import Stage, oracle_models
from sightline.agent.planner_data.settings import draw_plainly
from sightline.agent.records import Answer
from sightline.programs.engine import Engine


def test_the_questions_are_balanced_and_their_programs_answer_them() -> None:
    questions = mode_questions(8)
    assert Counter(q.kind for q in questions) == dict.fromkeys(KINDS_ASKED, 8)
    assert questions == mode_questions(8)
    for kind in ("existence", "relation", "compare", "logic", "color_check"):
        answers = Counter(q.answer for q in questions if q.kind == kind)
        assert answers == {"yes": 4, "no": 4}
    stage = Stage()
    engine = Engine(oracle_models(stage))
    for item in questions:
        drawn = tuple(replace(o, color="gray") if o.color == "multicolor" else o for o in item.scene.objects)
        image = draw_plainly(replace(item.scene, objects=drawn))
        stage.add(item.scene, image)
        (result,) = engine.run(item.program, {"IMAGE": image}).results
        told = said(Answer("done", "", "", "program", value=result.value), item.answer)
        assert told == item.answer.lower(), (item.question, item.program)


def test_answers_come_to_what_the_truth_is() -> None:
    def answer(text: str) -> Answer:
        return Answer("done", text, text, "direct")

    assert said(answer("Yes, there is a dog."), "no") == "yes"
    assert said(answer("There are two dogs."), "3") == "2"
    assert said(answer("The bus is red."), "blue") == "red"
    assert said(answer("TWO"), "TWO") == "two"
    assert said(answer("2 dogs and 3 cats"), "2") == "2 dogs and 3 cats"


def test_what_is_said_first_is_said_in_batches_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[int] = []

    def say(self: StarterController, texts: list[str]) -> list[str]:
        batches.append(len(texts))
        return ["none"] * len(texts)

    monkeypatch.setattr(StarterController, "_say", say)
    memory = Remembering()
    memory.prepare_turns(["Is it one?", "Is it two?", "Is it three?"], timed=1)
    assert batches == [1, 2, 1, 2], "the first alone, for its time, the others together"
    memory.saved_ms = 0.0
    for prompt in (round_prompt("en", "Is it three?", []), divide_prompt("en", "Is it one?")):
        assert memory._say([prompt]) == ["none"]
    assert batches == [1, 2, 1, 2] and memory.saved_ms > 0


def test_chinese_pages_hold_sixty_questions() -> None:
    assert sum(len(page.questions) for page in PAGES) == 60
    assert comes_to(Answer("done", "是", "", "program", value="yes")) == "yes"
    assert right(Answer("done", "图中有2只狗。", "", "program", value=2), "2") == (True, True)
    assert right(Answer("done", "two", "", "program", value=2), "2") == (True, False)


def test_nlvrs_halves_share_no_sentence_and_are_written_out(data: Path) -> None:
    rows = read(data / "nlvr")
    split = json.loads(SPLIT.read_text("utf-8"))
    assert halves(rows) == split
    by_id = {row["identifier"]: row["sentence"].lower().split() for row in rows}
    work, report = ({tuple(by_id[i]) for i in split[half]} for half in ("work", "report"))
    assert not work & report and len(split["work"]) + len(split["report"]) == 989
    scene = scene_of(rows[0], (400, 100))
    assert Counter(o.kind for o in scene.objects)["box"] == 3
