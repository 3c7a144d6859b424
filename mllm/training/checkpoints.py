"""Checkpoints of a training run: one safetensors file and one JSON file, written so that a crash leaves the last one whole."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ...errors import ModelFileError


def write_bytes_safely(path: Path, data: bytes) -> None:
    """Write to a temporary file, flush it to disk, and move it into place."""
    temporary = path.with_name(path.name + ".part")
    with open(temporary, "wb") as f:
        f.write(data)
        f.flush()
        os.fsync(f.fileno())
    os.replace(temporary, path)


def save_checkpoint(folder: Path, tensors: dict[str, Any], facts: dict[str, Any]) -> None:
    """Write `state.safetensors` (weights, buffers, optimiser) with `facts` (step, seen, config) in its header."""
    from safetensors.torch import save

    folder.mkdir(parents=True, exist_ok=True)
    data = save({k: v.contiguous() for k, v in tensors.items()}, {"facts": json.dumps(facts)})
    write_bytes_safely(folder / "state.safetensors", data)


def load_checkpoint(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read what `save_checkpoint` wrote; raises `ModelFileError` where there is none or it is damaged."""
    from safetensors import SafetensorError, safe_open

    path = folder / "state.safetensors"
    if not path.is_file():
        raise ModelFileError(f"no checkpoint in {folder}: it should hold state.safetensors")
    try:
        with safe_open(str(path), "pt") as f:
            tensors = {k: f.get_tensor(k) for k in f.keys()}  # noqa: SIM118 (not a mapping)
            facts = json.loads((f.metadata() or {})["facts"])
    except (SafetensorError, KeyError, ValueError) as error:
        raise ModelFileError(f"{path} is damaged ({error}); start again or name another folder") from error
    return tensors, facts
