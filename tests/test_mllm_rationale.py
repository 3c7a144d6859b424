"""Rationales: what holds between the things pointed at is true, said one way round, and measured field by field."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from sightline.mllm.scenes.ask_space import CLOSER, LARGER  # noqa: E402
from sightline.mllm.scenes.pairs import make_pair, make_pair_turns  # noqa: E402
from sightline.mllm.scenes.questions import make_turns  # noqa: E402
from sightline.mllm.scenes.relations import area, center, distance  # noqa: E402
from sightline.mllm.scenes.schema import Scene, SceneObject, Turn  # noqa: E402
from sightline.mllm.scenes.world import SceneConfig, make_scene, split_seed  # noqa: E402
from sightline.mllm.starter import StarterForConditionalGeneration  # noqa: E402
from sightline.mllm.starter.config import ANSWER, THINK  # noqa: E402
from sightline.mllm.tokenizer import train_tokenizer  # noqa: E402
from sightline.mllm.training.data import (  # noqa: E402
    SymbolicEye,
    Vocabulary,
    cuts,
    encode_turn,
    pointer_numbers,
)  # fmt: skip
from sightline.mllm.training.instruct import InstructStage  # noqa: E402
from sightline.mllm.training.loop import LoopOptions, train  # noqa: E402
from sightline.mllm.training.probes import Probe  # noqa: E402
from sightline.mllm.training.rationale import FIELDS, distance_step, steps  # noqa: E402
from sightline.mllm.training.stages import RunConfig, read_config, starter_config  # noqa: E402

SHAPE = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48, "max_objects": 12,
    "match_after": [0, 1], "trunk_channels": [8, 8, 12, 12], "image_size": 64,
}  # fmt: skip
SCENE = Scene(
    1, 100, 100,
    (
        SceneObject("dog", "animal", "red", "small", (60.0, 10.0, 80.0, 30.0)),
        SceneObject("cat", "animal", "blue", "large", (10.0, 50.0, 50.0, 90.0)),
        SceneObject("cup", "kitchenware", "red", "small", (12.0, 12.0, 30.0, 28.0)),
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def words() -> Vocabulary:
    config = starter_config(RunConfig("unused", vocabulary=420, model=SHAPE))
    tokenizer = train_tokenizer(["Is the dog left of the cat? 狗在哪里？"] * 40, 420, config.pointers)
    tokenizer.add_tokens([f"<spare{i}>" for i in range(420 - len(tokenizer))])
    config.pointer_start = tokenizer.convert_tokens_to_ids("<obj0>")
    config.reading_start = tokenizer.convert_tokens_to_ids("<txt0>")
    return Vocabulary(tokenizer, config)


def said(turn: Turn, scenes: list[Scene], relate: bool = True) -> list[str]:
    """Steps in short: objects as numbers, words as they are."""
    return [
        step.word or "".join(map(str, step.objects if step.ordered else sorted(step.objects)))
        for step in steps(turn, scenes, relate)
    ]


def asked(
    form: str, rationale: str, objects: tuple[int, ...], answer: str = "yes", language: str = "en"
) -> Turn:
    return Turn(
        form.split(".")[0], "?", answer, rationale=rationale, objects=objects, form=form, language=language
    )


def test_a_pair_is_described_in_one_direction() -> None:
    turn = asked("relation.yesno", "dog: <box:0>; cat: <box:1>", (0, 1))
    assert said(turn, [SCENE]) == ["0", "1", "right", "above", "smaller"]
    turned = asked("relation.yesno", "cat: <box:0>; dog: <box:1>", (1, 0))
    assert said(turned, [SCENE]) == ["1", "0", "left", "below", "larger"]
    assert said(turned, [SCENE], relate=False) == ["1", "0"]
    level = asked("relation.which", "狗: <box:0>; 杯子: <box:1>", (0, 2), language="zh")
    assert said(level, [SCENE]) == ["0", "2", "右", "同", "同"]
    larger = asked("compare.larger", "dog: <box:0>; cat: <box:1>", (0, 1), "cat")
    assert said(larger, [SCENE])[-1] == "1"


def test_groups_have_their_numbers_and_their_order() -> None:
    turn = asked("compare.more", "animal: <box:0> <box:1>; cup: <box:2>", (0, 1, 2))
    assert said(turn, [SCENE]) == ["01", "2", "2", "1", "more"]
    none = asked("compare.same", "bird: none; cup: <box:0>", (2,))
    assert said(none, [SCENE]) == ["none", "2", "1", "fewer"]
    assert said(asked("attribute.color", "dog: <box:0>", (0,)), [SCENE]) == ["0", "red"]
    assert said(asked("logic.all", "animal: <box:0> <box:1>", (0, 1)), [SCENE]) == ["1", "blue", "0", "red"]
    assert said(asked("ground.all", "animal: <box:0> <box:1>", (0, 1)), [SCENE]) == []
    assert said(asked("existence", "bird: none", ()), [SCENE]) == ["none"]


def test_distances_grow_in_steps_and_end_with_the_nearest() -> None:
    boxes = [o.box for o in SCENE.objects]
    turn = asked("relation.what", "dog: <box:0>; cup: <box:1>", (0, 2), "cup")
    near, far = (distance_step(boxes[i], boxes[0], 100.0) for i in (2, 1))
    assert said(turn, [SCENE]) == ["0", "2", str(near), "1", str(far), "2"] and near < far
    closer = asked("compare.closer", "cat: <box:0>; dog: <box:1>; cup: <box:2>", (1, 0, 2), "cat")
    assert said(closer, [SCENE])[:3] == ["1", "0", "2"] and said(closer, [SCENE])[-1] == "0"
    assert (
        distance_step((0, 0, 2, 2), (0, 0, 2, 2), 100.0) == 0
        and distance_step((0, 0, 2, 2), (900, 0, 902, 2), 100.0) == 9
    )


def test_every_statement_of_a_rationale_is_true_of_its_scene() -> None:
    """The words are checked against the boxes again, over many scenes, and each answer can be looked up in them."""
    met = set()
    for i in range(250):
        rng = Random(i)
        scene = make_scene(split_seed("train", 5, i), SceneConfig(max_objects=8))
        scenes = [scene]
        turns = make_turns(scene, rng, language="en")
        if i % 5 == 0:
            scenes = list(make_pair(scene, rng))
            turns = make_pair_turns(scenes[0], scenes[1], rng, language="en")
        objects = [o for s in scenes for o in s.objects]
        for turn in turns:
            if turn.words_only:
                continue
            got = steps(turn, scenes)
            met.add(turn.form)
            assert all(step.field in FIELDS and (step.objects or step.word) for step in got)
            fields = {step.field: step for step in got}
            if "across" in fields:
                a, b = (objects[s.objects[0]].box for s in got[:2])
                (ax, ay), (bx, by) = center(a), center(b)
                assert fields["across"].word in ("same", "left" if ax < bx else "right")
                assert fields["down"].word in ("same", "above" if ay < by else "below")
                ratio = area(a) / area(b)
                assert fields["extent"].word == (
                    "same" if 1 / LARGER < ratio < LARGER else "larger" if ratio > 1 else "smaller"
                )
            if turn.form == "relation.which":
                assert fields["across"].word == turn.answer
            if turn.form == "relation.level":
                assert fields["down"].word == turn.answer
            if turn.form in ("compare.more", "compare.fewer"):
                assert (fields["order"].word == turn.form.split(".")[1]) == (turn.answer == "yes")
            if turn.form == "count" and turn.answer != "0":
                assert fields["number"].word == turn.answer
            if turn.form == "relation.what":
                assert objects[got[-1].objects[0]].kind == turn.answer
            if turn.form == "compare.closer":
                a, b, c = (objects[s.objects[0]].box for s in got[:3])
                chosen = objects[got[-1].objects[0]].box
                assert distance(chosen, c) * CLOSER <= max(distance(a, c), distance(b, c)) + 1e-6
            if turn.form == "statement.box_touch":
                assert (turn.answer == "true") == any(s.word == "yes" for s in got)
            if turn.form == "statement.tower_number":
                assert int(got[-1].word) == sum(s.field == "point" for s in got)
    assert {"relation.which", "relation.what", "compare.closer", "pair.more", "statement.relation"} <= met


def test_steps_become_tokens_with_a_field_each(words: Vocabulary) -> None:
    slots = SymbolicEye(words.config, miss=0, phantom=0).look(SCENE, Random(1))
    numbers = pointer_numbers([slots], [SCENE], words.config)  # cup, cat, dog from left to right
    turn = asked("compare.more", "animal: <box:0> <box:1>; cup: <box:2>", (0, 1, 2))
    sample = encode_turn(turn, [SCENE], numbers, words, True)
    at = sample.ids.index(THINK) + 1
    cat, dog, cup = (words.pointer(numbers[i]) for i in (1, 0, 2))
    assert sample.ids[at : at + 2] == sorted([cat, dog]) and cup in sample.ids
    assert len(sample.ids) == len(sample.fields) == len(sample.weights)
    assert all((w > 0) == (f > 0) for w, f in zip(sample.weights, sample.fields, strict=True))
    assert (
        words.tokenizer.decode(sample.ids[at : sample.ids.index(ANSWER)])
        == f"<obj{numbers[1]}><obj{numbers[0]}> 2<obj{numbers[2]}> 1 more"
    )
    pair = encode_turn(
        asked("relation.yesno", "dog: <box:0>; cat: <box:1>", (0, 1)), [SCENE], numbers, words, True
    )
    assert words.tokenizer.decode(pair.ids).count(";") == 1
    # Of what was not seen nothing is said: the rationale only points.
    blind = {i: n for i, n in numbers.items() if i != 2}
    what = asked("relation.what", "dog: <box:0>; cat: <box:1>", (0, 1), "cat")
    unseen = encode_turn(what, [SCENE], blind, words, True)
    assert FIELDS.index("distance") not in unseen.fields
    assert FIELDS.index("distance") in encode_turn(what, [SCENE], numbers, words, True).fields
    mute = encode_turn(turn, [SCENE], numbers, words, True, relate=False)
    assert set(mute.fields) <= {FIELDS.index(f) for f in ("", "point", "stop", "answer", "end")}


def test_ranks_begin_on_a_line(words: Vocabulary) -> None:
    model = StarterForConditionalGeneration(words.config)
    model.reset(5)
    for table in (model.connector.index, model.connector.level, model.connector.extent):
        w = table.weight
        line = w[-1] - w[0]
        assert bool(((w[1:] - w[:-1]) @ line > 0).float().mean() > 0.7)


def test_probes_are_the_same_twice_and_the_run_tells_its_speed(words: Vocabulary, tmp_path: Path) -> None:
    model = StarterForConditionalGeneration(words.config)
    model.reset(5)
    stage = InstructStage(model, words.tokenizer, 5, batch=2, turns=8, think=0.6, parts=2)
    probe = Probe(stage, 6)
    first = probe(0)
    assert first == probe(1) and stage.think == 0.6
    assert {"field/point", "field/stop"} <= first.keys() and any(k.startswith("answer/") for k in first)
    assert all(0.0 <= v <= 1.0 for v in first.values())
    lines: list[str] = []
    train(
        model, stage, LoopOptions(steps=2, log_every=1, probe_every=2), tmp_path, probe, lines.append, count=stage.count
    )  # fmt: skip
    assert any("tokens/s" in line and "min left" in line for line in lines)
    assert any(line.startswith("probe at 2: ") for line in lines)
    pytest.importorskip("tensorboard")
    assert list((tmp_path / "tensorboard").glob("events.*"))


def test_the_stage_asks_of_pictures_only(words: Vocabulary) -> None:
    model = StarterForConditionalGeneration(words.config)
    stage = InstructStage(model, words.tokenizer, 5, batch=2, turns=40)
    rng = Random(3)
    scene = make_scene(split_seed("train", 5, 3), SceneConfig(max_objects=8))
    row = stage.row([scene], [stage.eye.look(scene, rng)], rng)
    assert row.samples and all(s.sees for s in row.samples)
    assert not {s.task for s in row.samples} & {"claims", "compose"}


def test_the_committed_configs_can_be_read() -> None:
    folder = Path(__file__).parents[1] / "mllm" / "configs"
    for path in sorted(folder.glob("starter-*.yaml")):
        if path.stem in ("starter-pretrain", "starter-instruct", "starter-tokenizer", "starter-export"):
            read_config(path)


def test_ablation_arms_are_changes_to_the_config(words: Vocabulary, tmp_path: Path) -> None:
    from sightline.errors import InputError
    from sightline.mllm.training.ablate import main, run_arm, table

    configs = Path(__file__).parents[1] / "mllm" / "configs"
    arms = sorted((configs / "ablations").glob("*.yaml"))
    plain = read_config(configs / "starter-instruct.yaml")
    assert len(arms) >= 3 and all(
        read_config(configs / "starter-instruct.yaml", arm) != plain for arm in arms
    )
    words.tokenizer.save_pretrained(tmp_path / "words")
    base = tmp_path / "base.yaml"
    shape = {
        **SHAPE,
        "pointer_start": words.config.pointer_start,
        "reading_start": words.config.reading_start,
    }
    base.write_text(
        f"output: unused\ntokenizer: {tmp_path}/words\nvocabulary: 420\nbatch: 2\nturns: 6\nprobe_scenes: 2\nmodel: {shape}\n"
    )
    figures = run_arm(base, configs / "ablations" / "no-geometry.yaml", 12, tmp_path / "run", lambda _: None)
    assert figures["turns"] >= 12 and "field/point" in figures and "field/across" not in figures
    assert table({"no-geometry": figures}).count("\n") == 2
    with pytest.raises(InputError, match="turns"):
        run_arm(base, None, 0, tmp_path / "none")
    (tmp_path / "bad.yaml").write_text("matches: 2")
    assert main(["--config", str(base), "--arms", str(tmp_path / "bad.yaml"), "--no-base"]) == 2


def test_sequences_are_cut_where_the_least_is_padded() -> None:
    lengths = [3, 3, 3, 9, 9, 40]
    assert cuts(lengths, 3) == [0, 3, 5, 6] and cuts(lengths, 1) == [0, 6]
    assert cuts([5, 7], 8) == [0, 1, 2]
    rng = Random(2)
    for _ in range(20):
        some = sorted(rng.randrange(1, 60) for _ in range(9))
        best = min(
            sum((b - a) * some[b - 1] for a, b in pairwise((0, i, j, 9)))
            for i in range(1, 8)
            for j in range(i + 1, 9)
        )
        assert sum((b - a) * some[b - 1] for a, b in pairwise(cuts(some, 3))) == best
