"""A tiny Llava in the hub's format, conversations and pairs to train it on, for the tests of the stock path."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from sightline.mllm.stock import build, checkpoints, sampling
from sightline.mllm.stock.config import ModelSection, StockConfig, read

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


def tiny_llava(folder: Path) -> Path:
    """A tiny LlavaForConditionalGeneration with random weights, saved as the hub has them."""
    return build.save(*compose(), folder / "tiny-llava")


def eight_conversations(folder: Path) -> Path:
    """Eight conversations about plain pictures, in LLaVA's format, and eight preference pairs."""
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
