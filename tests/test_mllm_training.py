"""Training: labels from the template, matches on the right words, and runs that resume as if never stopped."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from random import Random

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from sightline.errors import InputError, ModelFileError  # noqa: E402
from sightline.mllm.scenes.schema import Scene, SceneObject, Turn  # noqa: E402
from sightline.mllm.scenes.world import SceneConfig, make_scene, split_seed  # noqa: E402
from sightline.mllm.starter import StarterForConditionalGeneration  # noqa: E402
from sightline.mllm.starter.config import ANSWER, ASSISTANT, EOS, PLAN, THINK, USER  # noqa: E402
from sightline.mllm.starter.connector import decode_word, encode_words  # noqa: E402
from sightline.mllm.tokenizer import load_tokenizer, train_tokenizer  # noqa: E402
from sightline.mllm.training.checkpoints import load_checkpoint  # noqa: E402
from sightline.mllm.training.data import (  # noqa: E402
    Row,
    SymbolicEye,
    Vocabulary,
    collate,
    compact,
    encode_turn,
    pointer_numbers,
)  # fmt: skip
from sightline.mllm.training.instruct import InstructStage  # noqa: E402
from sightline.mllm.training.loop import LoopOptions, train  # noqa: E402
from sightline.mllm.training.objective import shuffled, starter_loss  # noqa: E402
from sightline.mllm.training.optim import orthogonalize  # noqa: E402
from sightline.mllm.training.stages import RunConfig, read_config, starter_config  # noqa: E402
from sightline.mllm.training.vision import PerceptionStage  # noqa: E402

SHAPE = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48, "max_objects": 12,
    "match_after": [0, 1], "trunk_channels": [8, 8, 12, 12], "image_size": 64,
}  # fmt: skip
SCENE = Scene(
    1, 100, 100,
    (
        SceneObject("dog", "animal", "red", "small", (60.0, 10.0, 80.0, 30.0)),
        SceneObject("cat", "animal", "blue", "large", (10.0, 50.0, 50.0, 90.0)),
        SceneObject("sign", "text", "white", "small", (30.0, 5.0, 55.0, 20.0), word="STOP"),
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def words() -> Vocabulary:
    config = starter_config(RunConfig("unused", vocabulary=420, model=SHAPE))
    tokenizer = train_tokenizer(
        ["Is there a dog? How many wine glasses are there? 狗在哪里？"] * 40, 420, config.pointers
    )
    tokenizer.add_tokens([f"<spare{i}>" for i in range(420 - len(tokenizer))])
    config.pointer_start = tokenizer.convert_tokens_to_ids("<obj0>")
    config.reading_start = tokenizer.convert_tokens_to_ids("<txt0>")
    return Vocabulary(tokenizer, config)


def numbers(words: Vocabulary) -> dict[int, int]:
    slots = SymbolicEye(words.config, miss=0, phantom=0).look(SCENE, Random(1))
    assert slots.of == [1, 2, 0]  # from left to right
    return pointer_numbers([slots], [SCENE], words.config)


def test_only_the_rationale_and_the_answer_are_learned(words: Vocabulary) -> None:
    turn = Turn("count", "How many animals?", "2", rationale="animal: <box:0> <box:1>", objects=(0, 1))
    sample = encode_turn(turn, [SCENE], numbers(words), words, think=True)
    obj = words.pointer
    mode = sample.ids.index(THINK)
    assert sample.ids[0] == USER and sample.ids[mode - 1] == ASSISTANT
    assert sample.ids[mode + 1 :] == [obj(0), obj(2), ANSWER, *words.ids(" 2"), EOS]  # pointers in order
    assert [w > 0 for w in sample.weights] == [i > mode for i in range(len(sample.ids))]
    direct = encode_turn(turn, [SCENE], numbers(words), words, think=False)
    assert direct.ids[direct.ids.index(ANSWER) :] == [ANSWER, *words.ids(" 2"), EOS]
    assert sum(w > 0 for w in direct.weights) == len(words.ids(" 2")) + 1


def test_short_answers_weigh_alike_and_programs_have_their_mode(words: Vocabulary) -> None:
    one = encode_turn(Turn("existence", "Dog?", "yes"), [SCENE], numbers(words), words, False)
    other = encode_turn(Turn("existence", "Dog?", "no"), [SCENE], numbers(words), words, False)
    assert abs(sum(one.weights) - sum(other.weights)) < 1.5
    plan = encode_turn(Turn("plan", "Dogs?", "BOX0=LOC(object='dog')", words_only=True), [], {}, words, True)
    assert PLAN in plan.ids and not plan.sees and plan.evidence is None
    assert words.tokenizer.decode(plan.ids[plan.ids.index(PLAN) + 1 : -1]) == "BOX0=LOC(object='dog')"


def test_an_answer_without_a_token_is_refused(words: Vocabulary) -> None:
    with pytest.raises(InputError, match="no supervised token"):
        encode_turn(Turn("caption", "What?", ""), [SCENE], numbers(words), words, False)
    with pytest.raises(InputError, match="no turns"):
        collate([Row([])], words.config)


def test_mentions_and_regions_are_matched_at_their_last_token(words: Vocabulary) -> None:
    turn = Turn(
        "relation",
        "Is the dog left of the cat?",
        "no",
        mentions=((3, 10, (0,)), (19, 26, (1,))),
        objects=(0, 1),
    )
    sample = encode_turn(turn, [SCENE], numbers(words), words, False)
    assert [found for _, found in sample.matches] == [(2,), (0,)]
    for token, _ in sample.matches:
        assert words.tokenizer.decode([sample.ids[token]]).strip()[-1] in "gt"
    region = Turn("region", "What is at <region>?", "cat", region=(10.0, 50.0, 50.0, 90.0), objects=(1,))
    sample = encode_turn(region, [SCENE], numbers(words), words, False)
    assert sample.regions == [(0.1, 0.5, 0.5, 0.9)] and sample.matches[0][1] == (0,)


def test_a_printed_word_is_answered_by_pointing_at_its_reading(words: Vocabulary) -> None:
    turn = Turn("word", "What does the sign say?", "STOP", objects=(2,))
    sample = encode_turn(turn, [SCENE], numbers(words), words, False)
    assert sample.ids[-2] == words.reading(1)
    assert decode_word(encode_words(["STOP"], 8)[0]) == "STOP"


def test_compact_takes_the_labels_out() -> None:
    assert compact("dog: <box:0> <box:1>; red cat: none") == "<box:0> <box:1>; none"
    assert compact("狗: <box:0>") == "<box:0>"


def test_a_noun_has_the_same_tokens_in_a_request_and_in_a_program(tmp_path: Path, words: Vocabulary) -> None:
    tokenizer = words.tokenizer
    program = (
        "BOX0=LOC(image=IMAGE,object='wine glass')\nANSWER1=EVAL(expr=\"'yes' if {ANSWER0} > 1 else 'no'\")"
    )
    noun = tokenizer(" wine glass")["input_ids"]
    ids = tokenizer(program)["input_ids"]
    assert any(ids[i : i + len(noun)] == noun for i in range(len(ids)))
    tokenizer.save_pretrained(tmp_path)
    for text in (program, "LIST(['a dog', 'b'])", "狗在椅子左边吗？ 12 <obj3>", "it's 'so'", "x='1'"):
        assert load_tokenizer(tmp_path).decode(tokenizer(text)["input_ids"]) == text
    with pytest.raises(InputError, match=r"tokenizer\.json"):
        load_tokenizer(tmp_path / "nowhere")


def instruct(words: Vocabulary) -> tuple[StarterForConditionalGeneration, InstructStage]:
    model = StarterForConditionalGeneration(words.config)
    model.reset(5)
    return model, InstructStage(
        model, words.tokenizer, 5, batch=2, turns=8, seen_share=0.5, pair_share=0.2, parts=2
    )


def test_layouts_and_forms_are_asked_as_often_as_the_config_says(words: Vocabulary) -> None:
    model, usual = instruct(words)
    weighted = InstructStage(
        model, words.tokenizer, 5, batch=2, turns=8, ramp=0,
        layouts={"towers": 1.0}, forms={"logic.exactly": 50.0, "logic.or": 0.02},
    )  # fmt: skip
    counted: dict[bool, Counter[str]] = {}
    for stage in (usual, weighted):
        stage.tasks = {"logic": 1.0}
        rng = Random(3)
        scenes = [make_scene(split_seed("train", 5, i), SceneConfig()) for i in range(40)]
        counted[stage is weighted] = Counter(t.form for s in scenes for t in stage.asked(s, rng))
    share = {k: c["logic.exactly"] / c.total() for k, c in counted.items()}
    assert share[True] > 1.5 * share[False] > 0
    assert counted[True]["logic.or"] < counted[False]["logic.or"]
    assert {
        make_scene(split_seed("train", 5, i), SceneConfig(layouts=weighted.layouts)).layout for i in range(5)
    } == {"towers"}


@pytest.mark.parametrize("stage", ["instruct", "perception"])
def test_a_resumed_run_is_the_same_as_an_uninterrupted_one(
    stage: str, words: Vocabulary, tmp_path: Path
) -> None:
    def run(folder: str, steps: int) -> list[float]:
        if stage == "instruct":
            model, work = instruct(words)
        else:
            model = StarterForConditionalGeneration(words.config)
            model.reset(5)
            work = PerceptionStage(model, 5, batch=2)  # type: ignore[assignment]
        train(model, work, LoopOptions(steps=6, warmup=2, cooldown=3, log_every=1, save_every=2), tmp_path / folder,
              say=lambda _: None) if steps == 6 else train(
            model, work, _Stopped(steps=6, warmup=2, cooldown=3, log_every=1, at=steps), tmp_path / folder, say=lambda _: None
        )  # fmt: skip
        lines = [json.loads(x) for x in (tmp_path / folder / "metrics.jsonl").read_text().splitlines()]
        return [x["loss"] for x in lines]

    whole = run("whole", 6)
    run("parts", 3)
    assert run("parts", 6) == whole
    a, b = load_checkpoint(tmp_path / "whole")[0], load_checkpoint(tmp_path / "parts")[0]
    assert a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


class _Stopped(LoopOptions):
    """Options under which the loop is told to stop, as by SIGTERM, in step `at`."""

    def __init__(self, at: int, **values: int) -> None:
        super().__init__(**values)
        self.at = at

    def scale(self, step: int) -> float:
        if step == self.at - 1:
            import os
            import signal

            os.kill(os.getpid(), signal.SIGTERM)
        return super().scale(step)


def test_the_loss_is_finite_and_blind_loss_differs_only_in_pictures(words: Vocabulary) -> None:
    model, stage = instruct(words)
    batch = stage.batch(0)[0]
    again = stage.batch(0)[0]
    assert torch.equal(batch["ids"], again["ids"])
    loss, parts = starter_loss(model, batch)
    assert bool(torch.isfinite(loss)) and {"answer", "words"} <= parts.keys()
    other = shuffled(batch)
    assert torch.equal(other["ids"], batch["ids"]) and not torch.equal(
        other["objects"]["box"], batch["objects"]["box"]
    )


def test_muon_makes_matrices_nearly_orthogonal() -> None:
    u = orthogonalize(torch.randn(2, 24, 48, generator=torch.Generator().manual_seed(0)))
    values = torch.linalg.svdvals(u.float())
    assert float(values.min()) > 0.4 and float(values.max()) < 1.4


def test_a_config_with_a_slip_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    for text, match in (
        ("outptu: x", "did you mean 'output'"), ("output: x\nloop: {stepz: 1}", "stepz"), ("seed: 1", "missing"),
        ("output: x\ntasks: {dance: 1}", "dance"), ("output: x\nbatch: many", "should be a int"), ("- a", "keys and values"),
        ("output: x\nlayouts: {heap: 1}", "heap"), ("output: x\nforms: {logic.exactly: 0}", "weight above 0"),
        ("output: x\nforms: {riddle.old: 2}", "riddle.old"),
    ):  # fmt: skip
        path.write_text(text)
        with pytest.raises(InputError, match=match):
            read_config(path)
    with pytest.raises(ModelFileError, match="no checkpoint"):
        load_checkpoint(tmp_path)
