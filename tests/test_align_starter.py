"""Alignment of the starter: pairs from judged samples and from verification, segment-weighted DPO, and contrastive decoding."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tiny_starter import tiny_starter  # noqa: E402

from sightline.agent import preferences as making  # noqa: E402
from sightline.errors import InputError  # noqa: E402
from sightline.mllm.answerer import Answerer, Question, Reply  # noqa: E402
from sightline.mllm.decoding import diffused  # noqa: E402
from sightline.mllm.scenes.schema import Scene, SceneObject  # noqa: E402
from sightline.mllm.starter.config import ANSWER, ASSISTANT, EOS, IMAGE, PAD, REGION, THINK, USER  # noqa: E402
from sightline.mllm.stock.pairs import Pair, write_pairs  # noqa: E402
from sightline.mllm.training.align import AlignRun, AlignStage, response_scores, run_align  # noqa: E402
from sightline.mllm.training.data import Vocabulary  # noqa: E402
from sightline.mllm.training.loop import LoopOptions, train  # noqa: E402
from sightline.mllm.training.options import read_options  # noqa: E402
from sightline.mllm.training.preferences import encode_pair, open_named, scene_name  # noqa: E402

SHAPE = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48, "max_objects": 8,
    "match_after": [0, 1], "trunk_channels": [8, 8, 12, 12], "image_size": 64,
}  # fmt: skip
TEXTS = ["There is a red dog and a blue cat at the top left. Is there a dog? yes no. two three cats"] * 40


def tiny() -> Answerer:
    return tiny_starter(TEXTS, 400, SHAPE)


@pytest.fixture(scope="module")
def answerer() -> Answerer:
    return tiny()


@pytest.fixture(scope="module")
def words(answerer: Answerer) -> Vocabulary:
    return Vocabulary(answerer.processor.tokenizer, answerer.model.config)


def pair(chosen: str, rejected: str, question: str = "What is there?", picture: str = "") -> Pair:
    return Pair(
        "p", (picture or scene_name(5, 0),), ({"role": "user", "content": f"<image>\n{question}"},), chosen, rejected
    )  # fmt: skip


PAIRS = [pair("There is a red dog.", "There is a blue dog.", picture=scene_name(5, i)) for i in range(3)] + [
    pair("<obj0> 1<answer> two cats", "<obj0> 1<answer> three cats", picture=scene_name(5, 1))
]


# --- a pair as tokens


def test_tokens_that_differ_weigh_more_and_the_prompt_nothing(words: Vocabulary) -> None:
    good, bad = encode_pair(pair("There is a red dog.", "There is a blue dog."), 7, [(128, 128)], words, 5.0)
    start = good.ids.index(ANSWER) + 1
    assert good.ids[0] == USER and good.ids[start - 2] == ASSISTANT and good.ids[-1] == EOS
    assert good.ids[:start] == bad.ids[:start] and not any(good.weights[:start])
    assert good.ids[start] == words.ids(" There")[0]  # the space that a word has inside a sentence
    heavy = [i for i, w in zip(good.ids, good.weights, strict=True) if w == 5.0]
    assert heavy == list(words.ids(" red"))
    assert [i for i, w in zip(bad.ids, bad.weights, strict=True) if w == 5.0] == list(words.ids(" blue"))
    assert set(good.weights[start:]) == {1.0, 5.0} and (good.task, bad.task) == ("7+", "7-")


def test_a_rationale_is_part_of_the_answer_and_boxes_become_regions(words: Vocabulary) -> None:
    good, bad = encode_pair(
        pair("<obj0> 1<answer> a dog", "<obj0> 1<answer>a cat", "What is at [0.500,0.000,1.000,0.250]?"), 0, [(200, 100)], words
    )  # fmt: skip
    assert good.think and THINK in good.ids and REGION in good.ids and ANSWER in good.ids
    assert good.regions == [pytest.approx((0.5, 0.0, 1.0, 0.125))]  # of the longer side
    weighed = [i for i, w in zip(bad.ids, bad.weights, strict=True) if w == 5.0]
    assert weighed == list(words.ids(" cat")) and good.regions == bad.regions


@pytest.mark.parametrize(
    ("made", "match"),
    [
        (pair("<obj0><answer> yes", "no"), "rationale"),
        (pair("<image> yes", "no"), "cannot stand there"),
        (pair("a <answer> b <answer> c", "d <answer> e"), "cannot stand there"),
        (pair("a dog", "a  dog".replace("  ", " ") + " "), "same tokens"),
        (pair("yes", "no", "What is at <region>?"), "without a box"),
        (Pair("p", (), ({"role": "user", "content": "Hello?"},), "yes", "no"), "0 pictures"),
    ],
)
def test_a_pair_that_the_starter_cannot_learn_is_one_line(words: Vocabulary, made: Pair, match: str) -> None:
    with pytest.raises(InputError, match=match):
        encode_pair(made, 0, [(128, 128)], words)


def test_pairs_may_not_name_held_out_scenes() -> None:
    assert open_named(scene_name(5, 0)).shape == (128, 128, 3)
    for name, match in (("scene:test/0/0", "held out"), ("scene:train/x/0", "names no scene")):
        with pytest.raises(InputError, match=match):
            open_named(name)


# --- the stage


def test_a_score_is_the_weighted_mean_of_the_models_own_log_probabilities() -> None:
    answerer = tiny()
    marks = [PAD, IMAGE, REGION, USER, ASSISTANT]  # `generate` may not write them; in training they count
    with torch.no_grad():
        answerer.model.language.head.weight[marks] = 0.0
    stage = AlignStage(answerer.model, answerer.processor.tokenizer, PAIRS, batch=4, gamma=3.0, parts=2)
    config = answerer.model.config
    for batch in stage.batch(0):
        scores = response_scores(answerer.model, batch)
        for row, task in enumerate(batch["tasks"]):
            one = PAIRS[int(task[:-1])]
            sample = stage.rows[int(task[:-1])].samples["+-".index(task[-1])]
            picture = answerer.look([open_named(one.images[0])])[0]
            prompt = answerer.processor.tokenizer("<image>" * answerer.processor.picture_tokens)["input_ids"]
            ids = torch.tensor([prompt + sample.ids])
            tokens, valid, mask = answerer.model._prepare(ids, None, None, picture.objects)
            with torch.no_grad():
                logits = answerer.model(
                    ids, attention_mask=mask, object_tokens=tokens, object_valid=valid
                ).logits[0]
            logits = logits[:, : config.reading_start + config.pointers]  # the test's spare tokens come after
            logits[:, marks] = 0.0
            steps = logits[:-1].log_softmax(-1).gather(1, ids[0, 1:, None])[len(prompt) - 1 :, 0]
            weights = torch.tensor(sample.weights)
            want = (steps * weights).sum() / weights.sum()
            assert scores[row].item() == pytest.approx(want.item(), abs=2e-4)


def test_training_puts_the_chosen_answer_first_and_moves_nothing_frozen(tmp_path: Path) -> None:
    answerer = tiny()
    model = answerer.model
    stage = AlignStage(model, answerer.processor.tokenizer, PAIRS, batch=4, beta=2.0, parts=2, keep=0.1)
    eyes = {n: p.clone() for n, p in model.perception.state_dict().items()}
    reference = stage.reference.clone()
    loss, parts = next(iter(stage.losses(stage.batch(0))))
    # Before the first step nothing is preferred.
    assert parts["dpo"] == pytest.approx(float(np.log(2)), abs=1e-5) and loss.requires_grad
    options = LoopOptions(
        steps=12, warmup=1, cooldown=4, muon_lr=0.01, adam_lr=1e-3, log_every=12, save_every=50
    )
    said: list[str] = []
    metrics = train(model, stage, options, tmp_path, say=said.append, count=stage.count)
    assert "frozen: ['perception', 'reader']" in said[0]
    last = [parts for _, parts in stage.losses(stage.batch(0))]
    assert all(p["order"] == 1.0 and p["chosen"] > p["rejected"] for p in last) and metrics["dpo"] < np.log(2)
    assert all(torch.equal(p, eyes[n]) for n, p in model.perception.state_dict().items())
    assert torch.equal(stage.reference, reference)


def test_every_pair_comes_once_an_epoch_in_an_order_of_the_seed(answerer: Answerer) -> None:
    def order(seed: int) -> list[int]:
        stage = AlignStage(answerer.model, answerer.processor.tokenizer, PAIRS, seed=seed, batch=2)
        return [i for step in range(4) for i in stage.drawn(step)]

    told = order(1)
    assert sorted(told[:4]) == sorted(told[4:]) == [0, 1, 2, 3]
    assert told == order(1) and any(told != order(seed) for seed in range(2, 6))
    with pytest.raises(InputError, match="no preference pairs"):
        AlignStage(answerer.model, answerer.processor.tokenizer, [])


def saved(tmp_path: Path) -> Path:
    answerer = tiny()
    folder = tmp_path / "start"
    answerer.model.save_pretrained(folder)
    answerer.processor.save_pretrained(folder)
    return folder


def config(tmp_path: Path, name: str, steps: int, **more: Any) -> Path:
    values = {
        "output": str(tmp_path / name), "start": str(tmp_path / "start"), "pairs": str(tmp_path / "pairs.jsonl"),
        "export": str(tmp_path / f"{name}-model"), "batch": 2, "parts": 1, "beta": 2, "keep": 0.1,
        "loop": {"steps": steps, "warmup": 1, "cooldown": 2, "log_every": 1, "save_every": 50},
    } | more  # fmt: skip
    path = tmp_path / f"{name}-{steps}.yaml"
    path.write_text(json.dumps(values))
    return path


def test_a_run_resumes_exactly_and_leaves_a_folder_that_loads(tmp_path: Path) -> None:
    folder = saved(tmp_path)
    before = (folder / "model.safetensors").read_bytes()
    write_pairs(tmp_path / "pairs.jsonl", PAIRS)
    said: list[str] = []
    run_align(read_options(config(tmp_path, "whole", 4), AlignRun), said.append)
    stopped = read_options(config(tmp_path, "cut", 4), AlignRun)
    stage_steps(stopped, 2)
    run_align(stopped, said.append)
    whole, cut = (
        [json.loads(x)["loss"] for x in (tmp_path / n / "metrics.jsonl").read_text().splitlines()]
        for n in ("whole", "cut")
    )
    assert len(whole) == 4 and cut == whole
    assert (folder / "model.safetensors").read_bytes() == before
    made, again = (Answerer.load(tmp_path / f"{n}-model") for n in ("whole", "cut"))
    states = made.model.state_dict(), again.model.state_dict()
    assert all(torch.equal(a, b) for a, b in zip(states[0].values(), states[1].values(), strict=True))
    start = Answerer.load(folder).model.state_dict()
    changed = {n.split(".")[0] for n, t in states[0].items() if not torch.allclose(t, start[n], atol=2e-3)}
    assert changed <= {"connector", "language"} and changed


def stage_steps(run: AlignRun, stop: int) -> None:
    """Run a few steps of a run and stop it, as by a signal."""
    import os
    import signal

    def say(line: str) -> None:
        if line.startswith(f"step {stop} "):
            os.kill(os.getpid(), signal.SIGTERM)

    run_align(run, say)


def test_a_run_that_cannot_be_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from sightline.mllm.train import main

    saved(tmp_path)
    capsys.readouterr()
    for path, match in (
        (config(tmp_path, "a", 1), "sightline train pairs"),
        (config(tmp_path, "b", 1, betta=1), "did you mean 'beta'"),
        (config(tmp_path, "c", 1, loop={"stepz": 1}), "no option 'stepz'"),
        (config(tmp_path, "d", 1, batch="many"), "should be a int"),
        (config(tmp_path, "e", 1, pairs=""), "`pairs` is missing"),
    ):
        assert main(["align", "--config", str(path)]) == 2
        told = capsys.readouterr().err
        assert match in told and told.count("\n") == 1
    write_pairs(tmp_path / "pairs.jsonl", PAIRS)
    with pytest.raises(InputError, match="a folder of its own"):
        run_align(read_options(config(tmp_path, "f", 1, export=str(tmp_path / "start")), AlignRun))


# --- making pairs

SCENE = Scene(
    1, 90, 90,
    (
        SceneObject("dog", "animal", "red", "small", (60.0, 5.0, 80.0, 25.0)),
        SceneObject("cat", "animal", "blue", "large", (5.0, 65.0, 25.0, 85.0)),
        SceneObject("cat", "animal", "blue", "large", (35.0, 35.0, 50.0, 50.0)),
    ),
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("There is a dog and two cats in the picture.", 0.0),
        ("There is a red dog and two blue cats in the picture.", 0.0),
        ("There is a dog and a cat in the picture.", 0.5),  # a cat is left out
        ("There is a dog, a cat, a cat and a cat in the picture.", 1.0),  # one too many
        ("There is a blue dog and two cats in the picture.", 1.0),
        ("There is a dog, two cats and a violin in the picture.", 1.0),
        ("There is a dog, two cats and an arrow in the picture.", 1.0),
        ("There is a dog at the top right. There is a cat at the bottom left. There is a cat in the middle.", 0.0),
        ("There is a dog at the top left. There is a cat at the bottom left. There is a cat in the middle.", 1.0),
    ],
)  # fmt: skip
def test_faults_of_a_caption(text: str, faults: float) -> None:
    assert making.caption_faults(text, SCENE) == faults


def test_the_best_is_preferred_to_the_greedy_answer_and_to_the_worse_one_most_like_it() -> None:
    scores = {
        "there is a cat": -1.0,
        "there is a dog and a cat": 0.0,
        "two dogs": -2.0,
        "there is a dog and a bird": -1.0,
    }
    assert making.choose(scores, "there is a cat") == [
        ("there is a dog and a cat", "there is a cat"),
        ("there is a dog and a cat", "there is a dog and a bird"),
    ]
    assert making.choose({"a": 0.0, "b": -1.0}, "a") == [("a", "b")]
    assert making.choose({"a": 0.0, "b": 0.0}, "a") == [] and making.choose({}, "") == []


def test_a_corrected_draft_keeps_its_rationale_and_differs_in_the_edit_alone() -> None:
    raw = "<obj0> 1<answer> There is a red dog."
    assert making.corrected(raw, "There is a red dog.", "There is a dog.") == (
        "<obj0> 1<answer> There is a dog.", "<obj0> 1<answer> There is a red dog.",
    )  # fmt: skip
    # What was read off the picture stands in words on both sides.
    raw = '<obj0><answer> There is a sign that says "<txt0>".'
    told = making.corrected(raw, 'There is a sign that says "GO".', 'There is a word that says "GO".')
    assert told == (
        '<obj0><answer> There is a word that says "GO".', '<obj0><answer> There is a sign that says "GO".',
    )  # fmt: skip
    assert making.corrected(raw, "There is a sign.", " ") is None


class Scripted:
    """Stands in for a starter: greedy captions claim a violin, every second sample tells the truth of its own scene."""

    def __init__(self) -> None:
        self.processor = SimpleNamespace(tokenizer=SimpleNamespace(decode=lambda ids: self.said[ids[0]]))
        self.said: list[str] = []

    def look(self, images: list[Any]) -> list[Any]:
        return [np.asarray(image).tobytes() for image in images]

    def ask(
        self, questions: list[Question], max_new_tokens: int, do_sample: bool = False, **_: Any
    ) -> list[Reply]:
        out = []
        for n, _question in enumerate(questions):
            good = do_sample and n % 2 == 0
            text = (
                "There is nothing in the picture."
                if good
                else "There is a violin and a trumpet in the picture."
            )
            self.said.append(f"<answer> {text}")
            out.append(Reply(text, ids=[len(self.said) - 1]))
        return out


def test_pairs_of_samples_follow_from_the_plan_and_name_training_scenes(tmp_path: Path) -> None:
    plan = making.PairsPlan(
        str(tmp_path / "p.jsonl"), "unused", scenes=5, samples=2, captions=2, questions=1, stream=5
    )
    first, again = (
        [p.to_json() for part in making.sampled_pairs(Scripted(), plan) for p in part]  # type: ignore[arg-type]
        for _ in range(2)
    )
    assert first == again and len(first) >= 5
    captions = [p for p in first if "/1/" in p["id"]]
    assert captions and all(p["chosen"] == "<answer> There is nothing in the picture." for p in captions)
    assert all("violin" in p["rejected"] and p["images"][0].startswith("scene:train/5/") for p in captions)
    assert {p["prompt"][0]["content"].removeprefix("<image>\n") for p in captions} <= set(
        making.caption_prompts()
    )


def test_making_pairs_goes_on_where_it_was_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Answerer, "load", lambda folder: Scripted())
    monkeypatch.setattr(making, "_AT_ONCE", 2)
    path = tmp_path / "p.jsonl"
    plan = making.PairsPlan(str(path), "unused", scenes=4, samples=2, captions=1, questions=0, verified=0)
    said: list[str] = []
    counts = making.write_starter_pairs(plan, said.append)
    whole = path.read_text()
    assert counts == {"truth": len(whole.splitlines())} and len(said) == 3
    assert not Path(f"{path}.part").exists()
    # Stopped in the middle of the second part: the first is not made again.
    lines = whole.splitlines()
    part = [json.dumps({"plan": asdict(plan)}), lines[0], json.dumps({"part": "truth"}), lines[1][:40]]
    lines[0] = lines[0].replace("nothing", "not much")
    part[1] = lines[0]
    Path(f"{path}.part").write_text("\n".join(part))
    making.write_starter_pairs(plan, said.append)
    assert len(said) == 5 and path.read_text().splitlines()[0] == lines[0]
    # Another plan begins anew.
    Path(f"{path}.part").write_text("\n".join([json.dumps({"plan": {}}), *part[1:]]))
    making.write_starter_pairs(plan, said.append)
    assert path.read_text() == whole


def test_a_plan_with_a_slip_is_one_line(tmp_path: Path) -> None:
    for more, match in (({"tasks": {"dance": 1.0}}, "no task 'dance'"), ({"samples": 0}, "`samples` of 1")):
        with pytest.raises(InputError, match=match):
            making.write_starter_pairs(making.PairsPlan("p", "m", **more))  # type: ignore[arg-type]
    path = tmp_path / "p.yaml"
    path.write_text("output: x\nmodle: y")
    with pytest.raises(InputError, match="did you mean 'model'"):
        read_options(path, making.PairsPlan)


# --- contrastive decoding by verbs


def test_contrast_with_the_same_picture_changes_nothing_and_needs_a_likeness(answerer: Answerer) -> None:
    images = [open_named(scene_name(5, i)) for i in range(3)]
    plain, noisy = answerer.look(images), answerer.look(images, noise=500, seed=1)
    texts = ["Is there a dog?", "How many cats?", "Is there a cat?"]

    def asked(against: list[Any]) -> list[Question]:
        return [Question(t, (p,), against=(a,)) for t, p, a in zip(texts, plain, against, strict=True)]

    greedy = [r.ids for r in answerer.ask(asked(plain), max_new_tokens=6)]
    assert [
        r.ids for r in answerer.ask(asked(plain), batch=2, max_new_tokens=6, contrast=(1.0, 0.1))
    ] == greedy
    assert [r.ids for r in answerer.ask(asked(noisy), max_new_tokens=6, contrast=(0.0, 0.1))] == greedy
    with pytest.raises(InputError, match="distorted likeness"):
        answerer.ask([Question("A dog?", (plain[0],))], contrast=(1.0, 0.1))


def test_diffusion_keeps_the_variance_and_follows_its_seed() -> None:
    pixels = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    for step in (0, 500, 999):
        assert float(diffused(pixels, step, 1).std()) == pytest.approx(1.0, abs=0.03)
    assert torch.equal(diffused(pixels, 500, 1), diffused(pixels, 500, 1))
    near, far = (float((diffused(pixels, s, 1) - pixels).abs().mean()) for s in (100, 900))
    assert near < 0.2 < far
    with pytest.raises(InputError, match="outside"):
        diffused(pixels, 1000)
