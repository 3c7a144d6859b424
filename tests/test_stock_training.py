"""The stock path, all the way: SFT, DPO, LoRA merge, save, load, resume, generate, and a server."""

from __future__ import annotations

import base64
import io
import math
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from stock_fakes import (
    KINDS,
    WHY,
    compose,
    configured,
    logged,
    told,
)

from sightline.errors import InputError, ModelFileError
from sightline.mllm.stock import build, checkpoints, sampling, serve
from sightline.mllm.stock.__main__ import main

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
