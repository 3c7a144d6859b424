"""The embedded core MLLM behind the roles of the `scenes` pack, and as a planner: on pictures that it was made for."""

from __future__ import annotations

import pytest

from sightline.agent.starter_planner import WEIGHTS, StarterPlanner
from sightline.mllm.scenes.render import render
from sightline.mllm.scenes.world import SceneConfig, make_scene, split_seed
from sightline.programs.checker import check
from sightline.programs.engine import Engine
from sightline.programs.syntax import errors_of
from sightline.tools.models import Models
from sightline.tools.registry import default_registry
from sightline.tools.values import Image


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(Models.from_pack("scenes"))


def test_it_answers_about_drawn_scenes_far_above_guessing(engine: Engine) -> None:
    right = asked = 0
    for index in range(24):
        drawn = render(make_scene(split_seed("test", 77, index), SceneConfig(layouts=(("scattered", 1.0),))))
        clear = [o for o in drawn.scene.objects if o.visible > 0.7 and o.color != "multicolor" and not o.word]
        kinds = [o.kind for o in drawn.scene.objects]
        single = [o for o in clear if kinds.count(o.kind) == 1]
        if not single:
            continue
        program = f"A=VQA(image=IMAGE,question='What color is the {single[0].kind}?')\nR=RESULT(var=A)"
        result = engine.run(program, {"IMAGE": Image.from_array(drawn.image)}).results[0]
        asked += 1
        right += result.ok and result.value == single[0].color
    assert asked >= 10 and right / asked > 0.6, (
        right,
        asked,
    )  # eleven colours: guessing gets about one in ten


def test_captions_come_as_words(engine: Engine) -> None:
    drawn = render(make_scene(split_seed("test", 78, 1), SceneConfig()))
    result = engine.run(
        "A=CAPTION(image=IMAGE)\nR=RESULT(var=A)", {"IMAGE": Image.from_array(drawn.image)}
    ).results[0]
    assert result.ok and len(result.value.split()) >= 3


def test_the_planner_writes_nothing_but_programs_that_check() -> None:
    planner = StarterPlanner()
    requests = [
        "How many dogs are there?",
        "blur all faces",
        "图中有几只猫？",
        "read the sign",
        "is the zorb left of the quux?",
    ]
    for program in planner.plan(requests):
        assert not errors_of(check(program, default_registry())), program


def test_the_weights_keep_to_their_cap() -> None:
    assert sum(path.stat().st_size for path in WEIGHTS.iterdir()) <= 48 * 2**20
