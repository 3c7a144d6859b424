"""The words for language models: every demonstration is a program that runs; prompts are chosen, ordered and bounded."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from agent_desk import Desk

from sightline import prompts
from sightline.agent.oracle import OracleMLLM, Stage, oracle_models
from sightline.agent.planner_data.evaluate import HELD_OUT
from sightline.agent.planner_data.settings import draw_plainly, scenes_for
from sightline.agent.prompting import Likeness, Prompter, ops_of, signature, tokens
from sightline.agent.records import Mark, Request
from sightline.programs.checker import check, checked
from sightline.programs.engine import Engine
from sightline.tools.registry import Registry, default_registry
from sightline.tools.values import Image

REGISTRY = default_registry()
SHOWN = prompts.demonstrations()


class Certain(OracleMLLM):
    """An oracle that answers a yes-or-no question by yes or no."""

    def answer(self, images: Sequence[Image], questions: Sequence[str]) -> list[str]:
        said = super().answer(images, questions)
        return [
            ("yes", "no")[len(a) % 2] if q.startswith("Is ") else a
            for q, a in zip(questions, said, strict=True)
        ]


def request(question: str, pictures: int = 1, mark: Mark | None = None) -> Request:
    return Request(question, (Desk("?").request.pictures[0],) * pictures, mark)


def test_there_are_enough_demonstrations_of_every_kind() -> None:
    assert len(SHOWN) >= 45 and len({d.id for d in SHOWN}) == len(SHOWN)
    kinds = Counter(d.kind for d in SHOWN)
    wanted = {"question", "comparison", "tagging", "editing", "reading", "counting", "region", "knowledge"}
    assert set(kinds) == wanted
    assert sum(d.language == "zh" for d in SHOWN) >= 10
    assert {d.kind for d in SHOWN if d.pictures == 2} == {"comparison"} and all(
        d.at for d in SHOWN if d.kind == "region"
    )


@pytest.mark.parametrize("shown", SHOWN, ids=lambda d: d.id)
def test_each_demonstration_passes_the_checker_without_a_warning(shown: prompts.Demonstration) -> None:
    assert [str(problem) for problem in check(shown.program, REGISTRY)] == []
    assert checked(shown.program, REGISTRY).text.strip().count("\n") == shown.program.count("\n")


def test_each_demonstration_runs_on_oracle_tools() -> None:
    stage = Stage()
    models = oracle_models(stage)
    models.bind("mllm", Certain(stage))
    engine = Engine(models, REGISTRY)
    failures: list[str] = []
    for shown in SHOWN:
        program = checked(shown.program, REGISTRY)
        ran = 0
        for one, two in scenes_for(program, f"demonstration {shown.id}", 6):
            images = [draw_plainly(one), draw_plainly(two)]
            stage.clear()
            for scene, image in zip((one, two), images, strict=True):
                stage.add(scene, image)
            result = engine.run(program, {"IMAGE": images[0], "LEFT": images[0], "RIGHT": images[1]}).results[
                0
            ]
            ran += result.ok
            last = result
        if ran < 4:
            failures.append(
                f"{shown.id}: {ran} of 6 scenes: {last.errors[0].message if last.errors else last.value!r}"
            )
    assert not failures, failures


def test_no_demonstration_is_a_held_out_request() -> None:
    held = {
        json.loads(line)["request"].strip().lower() for line in Path(HELD_OUT).read_text("utf-8").splitlines()
    }
    assert not held & {d.request.strip().lower() for d in SHOWN}


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("How many red boats lie in the harbour?", {"COUNT", "LOC"}),
        ("Hide all the faces.", {"FACEDET", "BLUR"}),
        ("What does the sign say?", {"READ", "OCR"}),
        ("图里有几只鸟？", {"COUNT", "LOC"}),
        ("Is the cup left of the plate?", {"RELATE"}),
    ],
)
def test_the_ops_that_a_request_needs_are_shown(question: str, expected: set[str]) -> None:
    chosen = Prompter(REGISTRY).choose(request(question))
    assert len(chosen) == 8
    assert expected <= {op for d in chosen for op in ops_of(d.program)}
    assert expected & set(ops_of(chosen[-1].program)), "the nearest stands last"


def test_pictures_and_marks_decide_with_the_words() -> None:
    prompter = Prompter(REGISTRY)
    assert prompter.choose(request("Which has more cups?", pictures=2))[-1].pictures == 2
    pointed = prompter.choose(request("What is it?", mark=Mark(points=((5.0, 6.0, True),))))
    assert pointed[-1].kind == "region"
    plan = prompter.plan(request("What is it?", mark=Mark(points=((5.0, 6.0, True),))))
    assert "SEGMENT(image=IMAGE,point=[5,6])" in plan.request
    assert any("SEGMENT" in user for user, _ in plan.turns)


def test_the_last_four_turns_are_told() -> None:
    history = tuple((f"How many dogs, {n}?", str(n)) for n in range(6))
    prompt = Prompter(REGISTRY).plan(
        replace(request("And the cats?"), history=history, alone="How many cats are there?")
    )
    assert (
        prompt.request.startswith("Earlier: How many dogs, 2? -> 2\n")
        and prompt.request.count("Earlier:") == 4
    )
    assert (
        "Request: How many cats are there?\n" in prompt.request
        and "In the words used: And the cats?" in prompt.request
    )


def test_the_same_request_always_gives_the_same_prompt() -> None:
    asked = request("How many red cups are left of the teapot?")
    first, second = Prompter(default_registry()).plan(asked), Prompter(default_registry()).plan(asked)
    assert first == second
    assert first.demonstrations == (
        "count-boats",
        "count-green-bottles",
        "relation-inside-count",
        "inventory",
        "color-is",
        "count-people-seated",
        "relation-left",
        "count-difference",
    )
    scores = Likeness([d.request for d in SHOWN]).scores(asked.question)
    by_id = {d.id: s for d, s in zip(SHOWN, scores, strict=True)}
    assert by_id[first.demonstrations[-1]] > by_id[first.demonstrations[0]]


@pytest.mark.parametrize("budget", [1500, 2500, 3500, 5000])
def test_the_prompt_keeps_to_its_budget(budget: int) -> None:
    prompt = Prompter(REGISTRY, most=12, budget=budget).plan(
        request("How many red cups are left of the teapot?")
    )
    least = tokens(prompts.text("controller", tools="")) + tokens(prompt.request)
    assert prompt.tokens <= max(budget, prompt.tokens if not prompt.turns else 0) and prompt.tokens > least
    assert len(prompt.turns) == len(prompt.demonstrations) <= 12


def test_more_room_shows_more() -> None:
    asked = request("How many red cups are left of the teapot?")
    shown = [len(Prompter(REGISTRY, most=12, budget=b).plan(asked).turns) for b in (2500, 3000, 5000)]
    assert shown == sorted(shown) and shown[0] < shown[-1] == 12


def test_the_tools_come_from_the_declarations() -> None:
    prompt = Prompter(REGISTRY).plan(request("How many cups?"))
    for item in REGISTRY.visible():
        assert signature(item) in prompt.system
    small = Registry(item for item in REGISTRY if item.name in ("LOC", "COUNT", "EVAL", "RESULT"))
    prompter = Prompter(small)
    assert all(set(ops_of(d.program)) <= {"LOC", "COUNT", "EVAL", "RESULT"} for d in prompter.demonstrations)
    assert "VQA(" not in prompter.plan(request("How many cups?")).system


def test_tools_offered_to_a_decision_maker_are_the_needed_ones() -> None:
    offered = Prompter(REGISTRY).tools_for("Blur every face.", REGISTRY.visible(), 12)
    assert len(offered) == 12 and {"FACEDET", "BLUR", "LOC", "VQA"} <= {item.name for item in offered}


def test_cues_name_real_ops_and_templates_have_their_slots() -> None:
    assert set(prompts.table("cues")) <= {item.name for item in REGISTRY.visible()}
    with pytest.raises(KeyError, match="problems"):
        prompts.text("repair")
    assert "{{tools}}" in prompts.text("repair", problems="{{tools}}"), "a value is never read as a slot"


def test_tokens_are_estimated_by_script() -> None:
    assert tokens("abcdefgh") == 2 and tokens("图里有几只猫？") == 7
    assert tokens("") == 0
    rng = random.Random(0)
    text = "".join(rng.choices("abcde 图片", k=50))
    assert tokens(text) <= tokens(text + "x")
