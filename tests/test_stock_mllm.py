"""The stock path's parts: configuration, building in the hub's format, words, preferences and broken checkpoints."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from stock_fakes import (
    CONFIGS,
    KINDS,
    SEE,
    TEXT,
    compose,
)

from sightline.errors import ImageError, InputError, ModelFileError
from sightline.mllm.stock import build, checkpoints, dpo, pairs, samples, sampling
from sightline.mllm.stock.__main__ import main
from sightline.mllm.stock.config import ModelSection, load_config
from sightline.mllm.stock.samples import Sample
from sightline.mllm.stock.templates import byte_tokenizer, chat_template

# --- configuration


def test_shipped_configs_are_read() -> None:
    names = sorted(CONFIGS.glob("stock-*.yaml"))
    assert len(names) >= 3
    for path in names:
        config = load_config(path)
        if path.stem.startswith("stock-scenes-"):  # one stage to a figure, from random parts
            assert config.instruct and "vision" in config.instruct.train
            continue
        assert config.pretrain and config.instruct and config.align
        assert config.pretrain.train == ["connector"]
    assert load_config(names[0], ["instruct.rate=1e-4"]).instruct.rate == 1e-4  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ("instruct.learning_rate=1", "unknown key 'learning_rate'"),
        ("model.conector=mlp", "did you mean connector"),
        ("model.connector=linear", "it may be mlp, query"),
        ("instruct.batch=many", "int expected, got 'many'"),
        ("align.four_bit=true", "add a lora section"),
        ("nonsense", "write KEY=VALUE"),
    ],
)
def test_a_wrong_key_is_named(change: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match=line) as caught:
        load_config(CONFIGS / "stock-tiny.yaml", [change])
    assert "\n" not in str(caught.value)
    assert main(["build", "--config", str(CONFIGS / "stock-tiny.yaml"), "--set", change]) == 2
    assert capsys.readouterr().err.startswith("error: ")


# --- building


@pytest.mark.parametrize("kind", KINDS)
def test_each_connector_builds_trains_saves_and_loads(kind: str, eight: Path, tmp_path: Path) -> None:
    model, processor = compose(**KINDS[kind])
    found = [
        Sample("two", (str(eight / "0.png"), str(eight / "1.png")),
               ({"role": "user", "content": "<image>\n<image>\nWhich is red?"}, {"role": "assistant", "content": "The first."})),
        Sample("one", (str(eight / "2.png"),),
               ({"role": "user", "content": "<image>What?"}, {"role": "assistant", "content": "Blue, 蓝."},
                {"role": "user", "content": "Sure?"}, {"role": "assistant", "content": "Yes."})),
    ]  # fmt: skip
    batch = samples.encode(processor, found)
    answers = batch.pop("answers")
    written = [
        processor.tokenizer.decode(ids[row]) for ids, row in zip(batch["input_ids"], answers, strict=True)
    ]
    assert written == ["The first.<|im_end|>", "Blue, 蓝.<|im_end|>Yes.<|im_end|>"]
    labels = batch["input_ids"].masked_fill(~answers, -100)
    optimiser = torch.optim.AdamW(model.parameters(), 3e-3)
    losses = []
    for _ in range(3):
        loss = model.train()(**batch, labels=labels).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[2] < losses[0]
    connector = [p.grad for n, p in model.named_parameters() if "projector" in n or "connector" in n]
    assert connector and all(g is not None and g.abs().sum() > 0 for g in connector)
    folder = build.save(model.eval(), processor, tmp_path / kind)
    again, processor_again = checkpoints.load(folder)
    question = [{"role": "user", "content": "<image>\nWhat?"}]
    out = [sampling.answers(m, p, question, [str(eight / "3.png")], new_tokens=6) for m, p in
           ((model, processor), (again, processor_again))]  # fmt: skip
    assert out[0] == out[1]
    length = int(samples.encode(processor, found[1:])["attention_mask"].sum())
    assert samples.check(processor, found[1:], length) == (found[1:], 0)
    with pytest.raises(InputError, match=f"'one' is {length} tokens long"):
        samples.check(processor, found[1:], length - 1)


def test_published_parts_keep_their_weights(tmp_path: Path) -> None:
    from transformers import CLIPConfig, CLIPModel, LlamaConfig, LlamaForCausalLM, SiglipConfig, SiglipModel

    fields = {k: v for k, v in TEXT.items() if k != "model_type"}
    llama = LlamaForCausalLM(LlamaConfig(**fields, tie_word_embeddings=False))
    llama.save_pretrained(tmp_path / "llama")
    byte_tokenizer().save_pretrained(tmp_path / "llama")
    words = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    seen = {k: v for k, v in SEE.items() if k != "model_type"}
    clip = CLIPModel(CLIPConfig(text_config=words, vision_config=seen))
    clip.save_pretrained(tmp_path / "clip")
    siglip = SiglipModel(SiglipConfig(text_config=words, vision_config=seen))
    siglip.save_pretrained(tmp_path / "siglip")
    language = str(tmp_path / "llama")
    model, _ = build.compose(ModelSection(str(tmp_path / "clip"), language))
    key = "encoder.layers.1.mlp.fc1.weight"
    assert torch.equal(model.model.vision_tower.get_parameter(key), clip.vision_model.get_parameter(key))
    assert torch.equal(model.lm_head.weight[:264], llama.lm_head.weight[:264])
    model, _ = build.compose(
        ModelSection(str(tmp_path / "siglip"), language, connector="query", queries=4, tiles=4)
    )
    assert torch.equal(model.model.vision_model.get_parameter(key), siglip.vision_model.get_parameter(key))
    assert model.model.vision_model.embeddings.position_embedding.weight.shape == (
        64,
        32,
    )  # 4 x 4 became 8 x 8
    with pytest.raises(InputError, match="reads SigLIP"):
        build.compose(ModelSection(str(tmp_path / "clip"), language, connector="query"))
    with pytest.raises(ModelFileError, match=r"language model '.*nowhere' cannot be loaded"):
        build.compose(ModelSection(str(tmp_path / "clip"), str(tmp_path / "nowhere")))
    with pytest.raises(InputError, match="no encoder that we join"):
        build.compose(ModelSection(language, language))


# --- words


def test_templates_supervise_what_follows_the_generation_prompt(eight: Path) -> None:
    _, processor = compose()
    chat = ({"role": "user", "content": "<image>\nQ"}, {"role": "assistant", "content": "A"})
    for style in ("chatml", "vicuna"):
        processor.chat_template, end = chat_template(style, processor.tokenizer)
        text = samples.render(processor, Sample("s", (str(eight / "0.png"),), chat))
        answer = processor.tokenizer.decode([i for i, a in zip(text.ids, text.answers, strict=True) if a])
        assert answer.strip() == f"A{end}"
    with pytest.raises(InputError, match=r"has no <\|start_header_id\|>"):
        chat_template("llama3", processor.tokenizer)
    # A public template without a token that ends a turn: one is added, or the model would never stop.
    processor.chat_template = (
        "{% for m in messages %}{{ m['role'].upper() + ': ' }}{% for c in m['content'] %}"
        "{{ '<image>\n' if c['type'] == 'image' else c['text'] + ' ' }}{% endfor %}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
    )
    text = samples.render(processor, Sample("s", (str(eight / "0.png"),), (*chat, *chat)))
    answer = processor.tokenizer.decode([i for i, a in zip(text.ids, text.answers, strict=True) if a])
    assert answer == " A<|im_end|> A<|im_end|>"


def test_samples_that_cannot_teach_are_refused_by_name(eight: Path) -> None:
    _, processor = compose()
    picture = str(eight / "0.png")
    silent = Sample("silent", (picture,), ({"role": "user", "content": "<image>\nQ"},))
    with pytest.raises(InputError, match="'silent' has no supervised token"):
        samples.check(processor, [silent], 100)
    chat = ({"role": "user", "content": "<image>\nQ"}, {"role": "assistant", "content": "A"})
    one = Sample("one", (picture,), chat)
    length = int(samples.encode(processor, [one])["input_ids"].shape[1])
    assert samples.check(processor, [one], length) == ([one], 0)
    with pytest.raises(InputError, match=f"'one' is {length} tokens long, its 1 pictures included"):
        samples.check(processor, [one], length - 1)
    short = Sample("short", (), ({"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}))
    assert samples.check(processor, [one, short], length - 1, "drop") == ([short], 1)
    with pytest.raises(ImageError, match="no such picture"):
        samples.encode(processor, [Sample("gone", (str(eight / "gone.png"),), chat)])
    with pytest.raises(ImageError, match="is not a picture"):
        samples.encode(processor, [Sample("json", (str(eight / "llava.json"),), chat)])


# --- preferences


def test_segment_scores_by_hand() -> None:
    # "a red dog" corrected to "a blue dog": the middle tokens changed. N = 2 + 5.
    left, right = dpo.segment_weights([1, 2, 3], [1, 9, 3], 5.0)
    assert left == right == [1.0, 5.0, 1.0]
    assert dpo.segment_weights([1, 2, 3], [1, 3], 5.0) == ([1.0, 5.0, 1.0], [1.0, 1.0])
    chosen, rejected = torch.tensor([[-0.1, -2.0, -0.3]]), torch.tensor([[-0.1, -1.0, -0.5]])
    weights = torch.tensor([left])
    score = dpo.segment_scores(chosen, weights)
    assert score.item() == pytest.approx((-0.1 - 0.3 + 5 * -2.0) / 7)
    other = dpo.segment_scores(rejected, weights)
    reference = torch.tensor([-1.2])
    loss, good, bad = dpo.segment_dpo_loss(score, other, reference, reference)
    margin = 0.5 * ((-10.4 / 7) - (-5.6 / 7))
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-margin)))
    assert (good - bad).item() == pytest.approx(margin)
    # With gamma 1 a score is the mean log-probability, whatever changed; padding counts nothing.
    ones = torch.tensor([dpo.segment_weights([1, 2, 3], [1, 9, 3], 1.0)[0] + [0.0]])
    padded = torch.cat((chosen, torch.tensor([[-99.0]])), 1)
    assert dpo.segment_scores(padded, ones).item() == pytest.approx(chosen.mean().item())
    with pytest.raises(InputError, match="gamma is 0"):
        dpo.segment_weights([1], [2], 0.0)


def test_pairs_from_edits_samples_and_trl(tmp_path: Path) -> None:
    ask = [{"role": "user", "content": "<image>\nWhat?"}]
    edited = pairs.pair_from_edits(
        {"id": 1, "images": ["a.png"], "prompt": ask, "answer": "A red dog and a cat.",
         "edits": [{"start": 10, "end": 19, "text": "alone"}, {"start": 2, "end": 5, "text": "blue"}]}
    )  # fmt: skip
    assert (edited.chosen, edited.rejected) == ("A blue dog alone.", "A red dog and a cat.")
    with pytest.raises(InputError, match="overlaps another"):
        pairs.pair_from_edits(
            {
                "id": 1,
                "images": ["a.png"],
                "prompt": ask,
                "answer": "A",
                "edits": [{"start": 0, "end": 9, "text": ""}],
            }
        )
    with pytest.raises(InputError, match="both answers are the same"):
        pairs.Pair("x", (), ({"role": "user", "content": "Q"},), "A", "A")
    records = [
        {"id": n, "images": ["a.png"], "prompt": ask, "answers": [t]} for n, t in enumerate(("yes", "no"))
    ]
    found = list(
        pairs.pairs_from_samples(records, lambda r, n: ["Yes.", "maybe", "Yes."][:n], pairs.truth_judge, 3)
    )
    assert [(p.id, p.chosen, p.rejected) for p in found] == [("0", "Yes.", "maybe")]
    found = list(
        pairs.pairs_from_samples(records[1:], lambda r, n: ["maybe"], pairs.truth_judge, 1, with_truth=True)
    )
    assert [(p.chosen, p.rejected) for p in found] == [("no", "maybe")]
    path = tmp_path / "pairs.jsonl"
    assert pairs.write_pairs(path, [edited]) == 1
    assert pairs.read_pairs(path) == [edited]
    trl = {"images": ["a.png"], "prompt": [{"role": "user", "content": "What?"}],
           "chosen": [{"role": "assistant", "content": "A"}], "rejected": [{"role": "assistant", "content": "B"}]}  # fmt: skip
    path.write_text(json.dumps(trl))
    assert pairs.read_pairs(path)[0].prompt[0]["content"] == "<image>\nWhat?"


# --- broken checkpoints


def _edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_broken_checkpoints_give_their_line(llava: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    def copy(name: str) -> Path:
        return Path(shutil.copytree(llava, tmp_path / name))

    def line(folder: Path) -> str:
        with pytest.raises(ModelFileError) as caught:
            checkpoints.load(folder)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "no such model directory" in line(tmp_path / "nowhere")
    shape = copy("shape")
    weights = load_file(shape / "model.safetensors")
    key = next(k for k in weights if k.endswith("linear_2.weight"))
    save_file({**weights, key: torch.zeros(3, 3)}, shape / "model.safetensors", {"format": "pt"})
    assert "linear_2.weight has shape [3, 3]" in line(shape) and "[48, 48]" in line(shape)
    lacking = copy("lacking")
    save_file({k: v for k, v in weights.items() if k != key}, lacking / "model.safetensors", {"format": "pt"})
    assert "lack the tensor" in line(lacking) and "linear_2.weight" in line(lacking)
    pickled = copy("pickled")
    (pickled / "model.safetensors").unlink()
    assert "model.safetensors is missing" in line(pickled)
    torch.save(weights, pickled / "pytorch_model.bin")
    assert "pytorch_model.bin is a pickle" in line(pickled)
    torn = copy("torn")
    (torn / "model.safetensors").write_bytes((torn / "model.safetensors").read_bytes()[:1000])
    assert "is damaged" in line(torn)
    sharded = copy("sharded")
    (sharded / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"a": "model-00002.safetensors"}})
    )
    assert "model-00002.safetensors is missing" in line(sharded)
    bare = copy("bare")
    (bare / "processor_config.json").unlink()
    assert "has no processor_config.json" in line(bare)
    wordless = copy("wordless")
    (wordless / "tokenizer.json").unlink()
    assert "has no tokenizer.json" in line(wordless)
    remote = copy("remote")
    _edit(remote / "config.json", auto_map={"AutoModel": "evil.Model"})
    assert "asks to run code of its own" in line(remote)
    unset = copy("unset")
    (unset / "config.json").write_text("{nonsense")
    assert "config.json is not JSON" in line(unset)
    assert main(["check", str(unset)]) == 2
    with pytest.raises(ModelFileError, match=r"adapter_config.json is missing"):
        checkpoints.merge_lora(llava, tmp_path, tmp_path / "out")
