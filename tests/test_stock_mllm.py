"""The stock path: a tiny Llava in the hub's format through SFT, DPO, LoRA merge, save, load, generate and a server."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import math
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from sightline.errors import ImageError, InputError, ModelFileError
from sightline.mllm.stock import build, checkpoints, dpo, pairs, samples, sampling, serve
from sightline.mllm.stock.__main__ import main
from sightline.mllm.stock.config import ModelSection, StockConfig, load_config, read
from sightline.mllm.stock.samples import Sample
from sightline.mllm.stock.templates import byte_tokenizer, chat_template

WHY = "needs the train extra: pip install 'sightline[train]'"
CONFIGS = Path(__file__).resolve().parent.parent / "mllm" / "configs"
TEXT = {
    "model_type": "qwen2", "vocab_size": 264, "hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 2048,
}  # fmt: skip
SEE = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32,
    "patch_size": 8,
}  # fmt: skip
CLIP, SIGLIP = ({"model_type": f"{kind}_vision_model", **SEE} for kind in ("clip", "siglip"))
KINDS = {
    "mlp-clip": {"vision": CLIP}, "mlp-siglip": {"vision": SIGLIP},
    "tiles-clip": {"vision": CLIP, "tiles": 4}, "tiles-siglip": {"vision": SIGLIP, "tiles": 4},
    "query": {"vision": SIGLIP, "connector": "query"}, "query-tiles": {"vision": SIGLIP, "connector": "query", "tiles": 4},
}  # fmt: skip
COLORS = {"red": (220, 30, 30), "green": (30, 180, 60), "blue": (40, 60, 220), "white": (250, 250, 250)}


def section(**changes: Any) -> ModelSection:
    return ModelSection(
        **{"vision": CLIP, "language": TEXT, "tokenizer": "bytes", "queries": 4, "query_depth": 1, **changes}
    )


def compose(**changes: Any) -> tuple[Any, Any]:
    torch.manual_seed(0)
    return build.compose(section(**changes))


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny LlavaForConditionalGeneration with random weights, saved as the hub has them."""
    return build.save(*compose(), tmp_path_factory.mktemp("hub") / "tiny-llava")


@pytest.fixture(scope="module")
def eight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight conversations about plain pictures, in LLaVA's format, and eight preference pairs."""
    folder = tmp_path_factory.mktemp("data")
    records, found = [], []
    for n in range(8):
        name = list(COLORS)[n % 4]
        other = list(COLORS)[(n + 1) % 4]
        Image.new("RGB", (40 + n, 32), COLORS[name]).save(folder / f"{n}.png")
        turns = [
            ("human", "<image>\nWhat colour?"),
            ("gpt", f"It is {name}."),
            ("human", "Sure?"),
            ("gpt", "Yes."),
        ]
        records.append(
            {"id": f"c{n}", "image": f"{n}.png", "conversations": [{"from": f, "value": v} for f, v in turns]}
        )
        prompt = [{"role": "user", "content": "<image>\nWhat colour?"}]
        found.append({"id": f"p{n}", "images": [f"{n}.png"], "prompt": prompt, "answer": f"It is {other}.",
                      "edits": [{"start": 6, "end": 6 + len(other), "text": name}]})  # fmt: skip
    (folder / "llava.json").write_text(json.dumps(records))
    (folder / "pairs.jsonl").write_text("".join(json.dumps(r) + "\n" for r in found))
    return folder


def configured(output: Path, eight: Path, start: Path | None, **stages: dict[str, Any]) -> StockConfig:
    data = [{"path": str(eight / "llava.json"), "format": "llava", "images": str(eight)}]
    common = {"batch": 4, "log_every": 1, "save_every": 100, "warmup": 0.0, "schedule": "constant"}
    value: dict[str, Any] = {"output": str(output), "model": dataclasses.asdict(section())}
    for name, changes in stages.items():
        own = (
            {"pairs": str(eight / "pairs.jsonl"), "images": str(eight)} if name == "align" else {"data": data}
        )
        value[name] = {**common, **own, **({"start": str(start)} if start else {}), **changes}
    return read(StockConfig, value, "test")


def logged(output: Path, stage: str, key: str = "loss") -> list[float]:
    lines = (output / stage / "run" / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)[key] for line in lines if key in json.loads(line)]


def told(folder: Path, eight: Path) -> str:
    """The greedy answer of a saved model about the first picture."""
    model, processor = checkpoints.load(folder)
    question = [{"role": "user", "content": "<image>\nWhat colour?"}]
    return sampling.answers(model, processor, question, [str(eight / "0.png")], new_tokens=12)[0]


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


# --- the whole way


def test_sft_dpo_merge_save_load_generate(
    llava: Path, eight: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("trl", reason=WHY)
    from sightline.mllm.stock.train import run_stage

    lora = {"rank": 4, "alpha": 8, "dropout": 0.0}
    stages = {
        "pretrain": {"start": str(llava), "train": ["connector"], "rate": 1e-2, "steps": 2},
        "instruct": {"rate": 1e-2, "steps": 16},
        "align": {"rate": 2e-2, "steps": 6, "lora": lora, "train": ["language"]},
    }
    config = configured(tmp_path, eight, None, **stages)
    run_stage(config, "pretrain")
    said = capsys.readouterr().out
    assert "language" in said and "frozen" in said and "tokens/s" in said and "left" in said
    before, after = checkpoints.load(llava)[0], checkpoints.load(tmp_path / "pretrain")[0]
    for (name, old), new in zip(before.named_parameters(), after.parameters(), strict=True):
        assert torch.equal(old, new) == ("projector" not in name), name
    folder = run_stage(config, "instruct")
    losses = logged(tmp_path, "instruct")
    assert losses[-1] < 0.6 * losses[0], losses
    assert list((folder / "run" / "tensorboard").rglob("events.*"))
    aligned = run_stage(config, "align")
    margins, rewards = logged(tmp_path, "align", "rewards/margins"), logged(tmp_path, "align")
    assert margins[0] == pytest.approx(0, abs=1e-5) and rewards[0] == pytest.approx(math.log(2), abs=1e-5)
    assert margins[-1] > 0 and rewards[-1] < rewards[0]
    assert (aligned / "run" / "adapter" / "adapter_model.safetensors").is_file()
    # Merged equals the model with its adapter beside it, and saved equals loaded.
    from peft import PeftModel

    model, processor = checkpoints.load(folder)
    beside = PeftModel.from_pretrained(model, str(aligned / "run" / "adapter")).eval()
    merged, _ = checkpoints.load(aligned)
    inputs = sampling.prepare(
        processor, [{"role": "user", "content": "<image>\nWhat colour?"}], [str(eight / "0.png")]
    )
    with torch.no_grad():
        one, two = beside(**inputs).logits, merged(**inputs).logits
    assert torch.allclose(one, two, atol=1e-4)
    again = build.save(merged, processor, tmp_path / "again")
    assert told(aligned, eight) == told(again, eight)
    assert main(["check", str(again)]) == 0
    assert "LlavaForConditionalGeneration" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["tiles-siglip", "query-tiles"])
def test_other_connectors_go_the_same_way(kind: str, eight: Path, tmp_path: Path) -> None:
    pytest.importorskip("trl", reason=WHY)
    from sightline.mllm.stock.train import run_stage

    start = build.save(*compose(**KINDS[kind]), tmp_path / "start")
    options = {"rate": 1e-2, "steps": 2, "batch": 8}
    instruct = {**options, "lora": {"rank": 2, "alpha": 4, "dropout": 0.0}}
    config = configured(tmp_path, eight, None, instruct={**instruct, "start": str(start)}, align=options)
    run_stage(config, "instruct")
    losses = logged(tmp_path, "instruct")
    assert losses[1] < losses[0]
    run_stage(config, "align")  # all weights, against a second model as the reference
    assert logged(tmp_path, "align", "rewards/margins")[1] > 0
    changed = checkpoints.load(tmp_path / "instruct")[0].state_dict()
    before = checkpoints.load(start)[0].state_dict()
    parts = {
        "vision": False,
        "projector" if "tiles-s" in kind else "connector": True,
        "layers.0.self_attn.q_proj": True,
    }
    for part, learns in parts.items():
        keys = [k for k in changed if part in k and ("vision" in k) == (part == "vision")]
        assert keys and any(not torch.equal(changed[k], before[k]) for k in keys) == learns, part


@pytest.mark.parametrize("stage", ["instruct", "align"])
def test_a_resumed_run_equals_an_uninterrupted_one(
    stage: str, llava: Path, eight: Path, tmp_path: Path
) -> None:
    pytest.importorskip("trl", reason=WHY)
    from transformers import TrainerCallback

    from sightline.mllm.stock.train import run_stage

    class Stop(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            control.should_training_stop = state.global_step == 3

    options = {"rate": 1e-2, "steps": 5, "batch": 2, "save_every": 3, "schedule": "cosine"}
    if stage == "align":
        options |= {"lora": {"rank": 2, "alpha": 4, "dropout": 0.1}}
    straight, broken = (configured(tmp_path / name, eight, llava, **{stage: options}) for name in ("a", "b"))
    quiet = lambda *_, **__: None  # noqa: E731
    one = run_stage(straight, stage, say=quiet)
    run_stage(broken, stage, callbacks=[Stop()], say=quiet)
    with pytest.raises(InputError, match="holds an earlier run"):
        run_stage(broken, stage, say=quiet)
    two = run_stage(broken, stage, resume=True, say=quiet)
    assert logged(tmp_path / "a", stage) == logged(tmp_path / "b", stage)
    ends = [checkpoints.load(folder)[0].state_dict() for folder in (one, two)]
    assert all(torch.equal(ends[0][k], ends[1][k]) for k in ends[0])


def test_wrong_stages_say_so(llava: Path, eight: Path, tmp_path: Path) -> None:
    pytest.importorskip("trl", reason=WHY)
    from sightline.mllm.stock.train import run_stage

    config = configured(tmp_path, eight, None, pretrain={}, instruct={})
    with pytest.raises(InputError, match="run pretrain first"):
        run_stage(config, "instruct")
    with pytest.raises(InputError, match="no section 'align'"):
        run_stage(config, "align")
    lora = {"rank": 2, "alpha": 2}
    config = configured(tmp_path / "b", eight, llava, instruct={"lora": {**lora, "targets": ["nothing"]}})
    with pytest.raises(InputError, match="no linear layers of these names"):
        run_stage(config, "instruct")
    config = configured(tmp_path / "c", eight, llava, instruct={"lora": lora, "four_bit": True})
    if not torch.cuda.is_available():
        with pytest.raises(ModelFileError, match="four_bit needs"):
            run_stage(config, "instruct")


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


# --- serving


def test_an_openai_server_answers_about_a_picture(llava: Path, eight: Path) -> None:
    for name in ("fastapi", "uvicorn", "openai"):
        pytest.importorskip(name, reason="needs transformers' server: pip install 'transformers[serving]'")
    httpx = pytest.importorskip("httpx", reason="needs an HTTP client: pip install httpx")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = io.BytesIO()
    Image.open(eight / "0.png").save(data, "PNG")
    url = f"data:image/png;base64,{base64.b64encode(data.getvalue()).decode()}"
    content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "What colour?"}]
    body = {
        "model": str(llava.resolve()),
        "messages": [{"role": "user", "content": content}],
        "max_tokens": 8,
        "temperature": 0,
    }
    with serve.serving(llava, port, device="cpu") as address:
        answer = httpx.post(f"{address}/chat/completions", json=body, timeout=120)
    assert answer.status_code == 200, answer.text
    choice = answer.json()["choices"][0]
    assert choice["message"]["role"] == "assistant" and isinstance(choice["message"]["content"], str)
