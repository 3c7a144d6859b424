"""The starter as a transformers model: every shortcut gives what the long way gives."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tiny_starter import tiny_starter  # noqa: E402

from sightline.errors import ModelFileError  # noqa: E402
from sightline.mllm.answerer import Answerer, Question  # noqa: E402
from sightline.mllm.decoding import PlausibilityMask, contrast_with  # noqa: E402
from sightline.mllm.scenes.render import render  # noqa: E402
from sightline.mllm.scenes.schema import Turn  # noqa: E402
from sightline.mllm.scenes.world import make_scene  # noqa: E402
from sightline.mllm.starter.config import ANSWER, EOS, IMAGE  # noqa: E402
from sightline.mllm.training.data import Row, Vocabulary, collate, encode_turn, pointer_numbers  # noqa: E402
from sightline.mllm.training.instruct import detected_slots  # noqa: E402
from sightline.mllm.training.objective import sequence_inputs  # noqa: E402

TEXTS = [
    "Is there a dog in the picture? yes",
    "How many red cats are there? 3",
    "BOX0=LOC(image=IMAGE,object='dog')\n",
]
SHAPE = {
    "hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 96, "max_objects": 8,
    "match_after": [0, 1], "trunk_channels": [8, 12, 16, 16], "image_size": 64,
}  # fmt: skip


@pytest.fixture(scope="module")
def answerer() -> Answerer:
    return tiny_starter(TEXTS * 30, 400, SHAPE)


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    return [render(make_scene(i)).image for i in (4, 6, 21)]


PROMPTS = [
    "<image><user>Is there a dog?<assistant><think>",
    "<image><user>How many red cats are there here now?<assistant><answer>",
]


def inputs(answerer: Answerer, images: list[np.ndarray]) -> dict[str, torch.Tensor]:
    return dict(answerer.processor(images=images[:2], text=PROMPTS))


def test_cached_is_uncached_and_batched_is_single(answerer: Answerer, images: list[np.ndarray]) -> None:
    both = inputs(answerer, images)
    cached = answerer.model.generate(**both, max_new_tokens=14, do_sample=False)
    assert torch.equal(
        cached, answerer.model.generate(**both, max_new_tokens=14, do_sample=False, use_cache=False)
    )
    for i in range(2):
        one = answerer.processor(images=[images[i]], text=[PROMPTS[i]])
        alone = answerer.model.generate(**one, max_new_tokens=14, do_sample=False)
        new = alone[0, one["input_ids"].shape[1] :]
        assert torch.equal(new, cached[i, both["input_ids"].shape[1] :][: len(new)])


def test_a_picture_encoded_once_serves_many_questions(answerer: Answerer, images: list[np.ndarray]) -> None:
    seen = answerer.look(images)
    questions = [Question("Is there a dog?", (seen[0],)), Question("Is there a dog?", (seen[0], seen[1]))]
    together = answerer.ask(questions, max_new_tokens=10)
    assert [r.ids for r in together] == [answerer.ask([q], max_new_tokens=10)[0].ids for q in questions]


def test_a_thought_keeps_its_words_and_its_boxes(answerer: Answerer, images: list[np.ndarray]) -> None:
    """A rationale that points and says what holds: its boxes are pixels of the picture, its words stay, the answer is apart."""
    (seen,) = answerer.look(images[:1])
    found = seen.found(answerer.processor, answerer.model)
    assert len(found) > 1
    start = answerer.model.config.pointer_start
    say = answerer.processor.tokenizer.encode
    thought = [start, *say(";"), start + 1, *say(" left same larger"), start + 1, ANSWER]
    reply = answerer._reply(Question("Which is larger?", (seen,)), [*thought, *say(" a dog"), EOS])
    assert reply.text == "a dog" and reply.boxes == []
    assert reply.pointed == [found[0]["box"], found[1]["box"], found[1]["box"]]
    assert "left same larger" in reply.thought and reply.thought.count("[") == 3
    at_once = answerer._reply(Question("Where?", (seen,), mode="answer"), [start + 1, EOS])
    assert at_once.thought == "" and at_once.boxes == [found[1]["box"]]


def test_training_sees_what_generation_sees(answerer: Answerer, images: list[np.ndarray]) -> None:
    """The batches of training give the logits that `forward` gives to the same prompt."""
    model, config = answerer.model, answerer.model.config
    scene = make_scene(4)
    found = model.perceive(answerer.processor.image_processor(images[:1])["pixel_values"])
    slots = detected_slots(found, 0, scene)
    numbers = pointer_numbers([slots], [scene], config)
    turn = Turn("region", "What is at <region>?", "a dog", region=(10.0, 20.0, 70.0, 90.0))
    words = Vocabulary(answerer.processor.tokenizer, config)
    sample = encode_turn(turn, [scene], numbers, words, False)
    batch = collate([Row([slots], [sample])], config, 1)[0]
    x, mask, objects, visible = sequence_inputs(model, batch)
    states, _ = model.language(x, batch["positions"], mask, objects, visible)
    trained = model.language.logits(states, objects, visible)[0, -len(sample.ids) :]
    prompt = [IMAGE] * config.picture_tokens + sample.ids
    served = model(
        input_ids=torch.tensor([prompt]),
        pixel_values=answerer.processor.image_processor(images[:1])["pixel_values"],
        region_boxes=torch.tensor(sample.regions),
    ).logits[0, -len(sample.ids) :]
    assert slots.of
    torch.testing.assert_close(trained, served, rtol=1e-3, atol=1e-3)


def test_saved_and_loaded_is_the_same(answerer: Answerer, images: list[np.ndarray], tmp_path: Path) -> None:
    answerer.model.save_pretrained(tmp_path)
    answerer.processor.save_pretrained(tmp_path)
    again = Answerer.load(tmp_path)
    question = "Is there a dog at [0.1,0.2,0.3,0.4]?"
    assert again.processor.max_objects == answerer.processor.max_objects
    for one in (answerer, again):
        prompt = one.processor.apply_chat_template(
            [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}],
            add_generation_prompt=True, tokenize=False,
        )  # fmt: skip
        out = one.model.generate(
            **one.processor(images=[images[0]], text=[prompt]), max_new_tokens=8, do_sample=False
        )
        if one is answerer:
            first = out
    assert torch.equal(first, out)
    assert not list(tmp_path.glob("*.bin"))


def test_a_damaged_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"config\.json is missing"):
        Answerer.load(tmp_path)


def test_beams_and_words_only(answerer: Answerer) -> None:
    plan = answerer.ask([Question("How many cats?", mode="plan")], max_new_tokens=6, num_beams=3)
    assert len(plan) == 1


def test_pictures_must_match_their_marks(answerer: Answerer, images: list[np.ndarray]) -> None:
    from sightline.errors import InputError

    with pytest.raises(InputError, match="1 <image> marks but 2"):
        answerer.processor(images=images[:2], text=PROMPTS[0])
    with pytest.raises(InputError, match="<region> marks"):
        answerer.processor(images=images[:1], text="<image><user>What is at <region>?<assistant><answer>")


def test_visual_contrast_is_its_formula(answerer: Answerer, images: list[np.ndarray]) -> None:
    """With its own cache, step by step, the processor gives (1 + a) l - a l' on plausible tokens."""
    model = answerer.model
    right = dict(answerer.processor(images=images[:1], text=PROMPTS[:1]))
    wrong = dict(answerer.processor(images=images[1:2], text=PROMPTS[:1]))
    processor = contrast_with(model, right, model.perceive(wrong["pixel_values"]), alpha=0.7, beta=0.05)
    ids = right["input_ids"]
    rng = Random(1)
    for _ in range(4):
        extra = {"attention_mask": None}
        plain = model(**{**right, "input_ids": ids, **extra}).logits[:, -1].log_softmax(-1)
        other = model(**{**wrong, "input_ids": ids, **extra}).logits[:, -1].log_softmax(-1)
        want = PlausibilityMask(0.05)(ids, plain)
        want = torch.where(torch.isinf(want), want, 1.7 * plain - 0.7 * other)
        torch.testing.assert_close(processor(ids, plain), want, rtol=1e-3, atol=1e-3)
        ids = torch.cat((ids, torch.tensor([[rng.randrange(20, 100)]])), 1)
