"""From checkpoints to one folder that loads whole: weights in half precision, tokenizer, processor, configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ...errors import ModelFileError
from ..starter import StarterForConditionalGeneration, StarterProcessor
from .checkpoints import load_checkpoint

LIMIT = 48 * 2**20  # bytes of weights that the starter may have


@torch.no_grad()
def load_weights(model: StarterForConditionalGeneration, folder: str | Path) -> dict[str, Any]:
    """Copy what a run trained (and its batch-norm statistics) into the model; returns the checkpoint's facts."""
    tensors, facts = load_checkpoint(Path(folder))
    names = dict(model.named_parameters()) | dict(model.named_buffers())
    trained = {k.removeprefix("opt/master/") for k in tensors if k.startswith("opt/master/")}
    parts = {n.split(".")[0] for n in trained}
    for key, value in tensors.items():
        name = key.removeprefix("opt/master/") if key.startswith("opt/master/") else key.removeprefix("buf/")
        if name == key or (key.startswith("buf/") and name.split(".")[0] not in parts):
            continue
        if name not in names or names[name].shape != value.shape:
            raise ModelFileError(
                f"{folder} holds {name} {list(value.shape)}, which this model has not; check the config"
            )
        names[name].copy_(value)
    return facts


@torch.no_grad()
def load_eyes(model: StarterForConditionalGeneration, folder: str | Path) -> str:
    """Copy perception and word reader out of a pretrain run, or out of a finished starter; returns what was read."""
    path = Path(folder) / "model.safetensors"
    if not path.is_file():
        return f"step {load_weights(model, folder)['step']} of {folder}"
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        found = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelFileError(f"{path} is damaged ({error}); name another folder") from error
    names = dict(model.named_parameters()) | dict(model.named_buffers())
    for name in (n for n in names if n.startswith(("perception.", "reader."))):
        if name not in found or found[name].shape != names[name].shape:
            raise ModelFileError(
                f"{path} has no {name} {list(names[name].shape)}; check `model` in the config"
            )
        names[name].copy_(found[name])
    return f"the eyes of {folder}"


def export(model: StarterForConditionalGeneration, tokenizer: Any, folder: str | Path) -> int:
    """Save model and processor in `folder` with float16 weights; returns the bytes of the weights.

    Raises:
        ModelFileError: the weights are over the limit, or a value does not fit float16.
    """
    folder = Path(folder)
    half = {n: t.half() if t.is_floating_point() else t for n, t in model.state_dict().items()}
    bad = [n for n, t in half.items() if t.is_floating_point() and not bool(torch.isfinite(t).all())]
    if bad:
        raise ModelFileError(f"{bad[0]} has values that float16 cannot hold; the run has diverged")
    model.save_pretrained(folder, state_dict=half)
    StarterProcessor.build(model.config, tokenizer).save_pretrained(folder)
    size = (folder / "model.safetensors").stat().st_size
    if size > LIMIT:
        raise ModelFileError(
            f"{folder}: {size / 2**20:.1f} MiB of weights, over the limit of {LIMIT / 2**20:.0f} MiB"
        )
    return size
