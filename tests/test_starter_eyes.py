"""The starter's eyes as detector, open-vocabulary detector and reader of the scenes pack."""

from __future__ import annotations

import logging

import pytest

from sightline.errors import ModelFileError
from sightline.mllm.scenes import vocabulary
from sightline.mllm.scenes.render import render
from sightline.mllm.scenes.world import SceneConfig, make_scene, split_seed
from sightline.programs.engine import Engine
from sightline.tools.asked import Ask, ask_of
from sightline.tools.backends.starter_perception import Eyes
from sightline.tools.models import Models
from sightline.tools.names import matched
from sightline.tools.values import Image

KINDS = tuple(vocabulary.KINDS)
ODD = {"toy"}  # a kite is a toy to most people and a sports item in the scenes world


@pytest.fixture(scope="module")
def models() -> Models:
    return Models.from_pack("scenes")


def drawn(index: int, **config: object) -> tuple[Image, tuple]:
    one = render(make_scene(split_seed("test", 91, index), SceneConfig(**config)))  # type: ignore[arg-type]
    return Image.from_array(one.image), one.scene.objects


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_the_world_means_itself(kind: str) -> None:
    for name in (kind, vocabulary.plural(kind)):
        assert matched(name, KINDS).classes == (kind,)


@pytest.mark.parametrize("category", [c for c in vocabulary.CATEGORIES if c not in KINDS and c not in ODD])
def test_every_category_covers_its_members(category: str) -> None:
    for name in (category, vocabulary.plural(category)):
        assert set(matched(name, KINDS).classes) == set(vocabulary.members(category))


def test_a_mouse_is_an_animal_where_there_is_no_keyboard() -> None:
    assert matched("animal", ("mouse", "dog")).classes == ("mouse", "dog")
    assert matched("animal", ("mouse", "dog", "keyboard")).classes == ("dog",)
    assert (
        matched("mice", ("mouse", "dog")).classes
        == matched("mice", ("mouse", "keyboard")).classes
        == ("mouse",)
    )


def test_names_with_colour_and_size_words() -> None:
    colors, sizes = tuple(vocabulary.COLORS), vocabulary.SIZES

    def ask(name: str) -> Ask | None:
        return ask_of(name, KINDS, colors, sizes)

    assert ask("the small red dogs") == Ask(frozenset({"dog"}), "red", "small")
    assert ask("big grey elephant") == Ask(frozenset({"elephant"}), "gray", "large")
    assert ask("hot dog") == Ask(frozenset({"hot dog"}))
    assert ask("red things") == Ask(frozenset(KINDS), "red")
    fruit = ask("yellow fruit")
    assert (
        fruit is not None and fruit.color == "yellow" and "banana" in fruit.kinds and "dog" not in fruit.kinds
    )
    for unsure in ("unicorn", "puppy", "dog on a chair", "red", "", "wooden dog"):
        assert ask(unsure) is None, unsure


def test_the_detector_finds_what_was_drawn_in_the_originals_pixels(models: Models) -> None:
    detector = models.get("detector")
    assert set(KINDS) <= set(detector.vocabulary)
    found = there = 0
    for index in range(6):
        image, objects = drawn(index, layouts=(("scattered", 1.0),), width=192, height=192)
        clear = [o for o in objects if o.visible > 0.8]
        (regions,) = detector.detect([image])
        for region in regions:
            x1, y1, x2, y2 = region.box
            assert 0 <= x1 < x2 <= 192 and 0 <= y1 < y2 <= 192 and region.picture == image.picture
        there += len(clear)
        found += sum(
            any(r.label == o.kind and abs(r.center[0] - (o.box[0] + o.box[2]) / 2) < 8 for r in regions)
            for o in clear
        )
    assert there > 10 and found / there > 0.7


def test_results_do_not_hang_on_the_batch_or_on_what_was_seen_before(models: Models) -> None:
    detector = models.get("detector")
    pictures = [drawn(i)[0] for i in range(4)]
    together = detector.detect(pictures)
    fresh = Models.from_pack("scenes").get("detector")
    for picture, regions in zip(pictures, together, strict=True):
        (alone,) = fresh.detect([picture])
        assert [(r.label, round(r.score, 3)) for r in alone] == [
            (r.label, round(r.score, 3)) for r in regions
        ]


def test_open_names_are_kept_and_unknown_ones_are_not_guessed(
    models: Models, caplog: pytest.LogCaptureFixture
) -> None:
    opened, closed = models.get("open_vocabulary"), models.get("detector")
    image, _ = drawn(3, min_objects=4)
    (every,) = opened.detect([image], [["thing"]])
    assert len(every) == len(closed.detect([image])[0]) > 0 and {r.label for r in every} == {"thing"}
    with caplog.at_level(logging.WARNING, logger="sightline"):
        (none,) = opened.detect([image], [["unicorn"]])
    assert not none and "not sure about 'unicorn'" in caplog.text
    assert opened.knows("small red car") and not opened.knows("unicorn")


def test_programs_on_scenes_find_count_and_read(models: Models) -> None:
    engine = Engine(models)
    right = asked = 0
    for index in range(12):
        image, objects = drawn(index, layouts=(("words", 1.0),))
        printed = [o for o in objects if o.word and o.visible > 0.9]
        if not printed:
            continue
        result = engine.run("T=READ(image=IMAGE)\nR=RESULT(var=T)", {"IMAGE": image}).results[0]
        assert result.ok
        asked += len(printed)
        right += sum(o.word in result.value.split("\n") for o in printed)
    assert asked >= 8 and right / asked > 0.8


def test_a_damaged_folder_is_named(tmp_path) -> None:
    with pytest.raises(ModelFileError, match="no starter"):
        Eyes(tmp_path)
