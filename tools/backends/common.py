"""What the adapters share: the device, safe loading of transformers checkpoints, and one-line errors."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError, ModelFileError
from ..values import Box, Image


def one_line(error: BaseException, limit: int = 200) -> str:
    """An error's first line that says something, for use inside one of ours."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:limit]


def torch_device(name: str) -> Any:
    """The torch device of an option value: 'auto' is CUDA where there is one, else the CPU."""
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"option device: {name!r} is no device; use auto, cpu or cuda") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(f"option device: {name!r} is not available here; use auto or cpu")
    return device


def from_folder(loader: Any, folder: Path, **options: Any) -> Any:
    """`loader.from_pretrained` of a local folder: no network, no code from the folder, no pickles."""
    try:
        return loader.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, use_safetensors=True, **options
        )
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, ImportError, AttributeError) as error:
        if is_out_of_memory(error):
            raise
        kind = getattr(loader, "__name__", "checkpoint")
        raise ModelFileError(
            f"{folder}: not a {kind} checkpoint in safetensors ({one_line(error)})"
        ) from error
    except Exception as error:  # safetensors raises its own kind on a damaged file
        if type(error).__name__ == "SafetensorError":
            raise ModelFileError(f"{folder}: damaged safetensors file ({one_line(error)})") from error
        raise


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the engine should answer by halving the batch: MemoryError, torch's class, or the words of a library."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text)


def use_quiet_transformers() -> None:
    """No progress bars or advice on stderr while a checkpoint loads, and no look at the network."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def checked(name: str, value: Any, low: float, high: float) -> float:
    """A numeric option within its range; InputError names it."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise InputError(f"option {name}: a number from {low:g} to {high:g} is expected, not {value!r}")
    return float(value)


def whole(name: str, value: Any, low: int, high: int) -> int:
    """A whole-number option within its range; InputError names it."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InputError(f"option {name}: a whole number from {low} to {high} is expected, not {value!r}")
    return value


def clipped(box: Iterable[float], image: Image) -> Box | None:
    """A box in `image`'s own pixels, cut to it and moved to the original's; None where nothing is left."""
    x1, y1, x2, y2 = (float(v) for v in box)
    x1, x2 = max(x1, 0.0), min(x2, float(image.width))
    y1, y2 = max(y1, 0.0), min(y2, float(image.height))
    return image.outward((x1, y1, x2, y2)) if x2 - x1 >= 1e-3 and y2 - y1 >= 1e-3 else None


def chunks(items: Sequence[Any], most: int) -> Iterable[Sequence[Any]]:
    """`items` in runs of at most `most`."""
    for start in range(0, len(items), most):
        yield items[start : start + most]


def suppress(boxes: np.ndarray, scores: np.ndarray, iou: float) -> np.ndarray:
    """Greedy non-maximum suppression: indices kept, best first. boxes [N, 4], scores [N]."""
    order = np.argsort(-scores, kind="stable")
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept = []
    while order.size:
        best, rest = order[0], order[1:]
        kept.append(best)
        low = np.maximum(boxes[best, :2], boxes[rest, :2])
        high = np.minimum(boxes[best, 2:], boxes[rest, 2:])
        shared = np.prod(np.clip(high - low, 0, None), axis=1)
        union = areas[best] + areas[rest] - shared
        order = rest[shared <= iou * np.maximum(union, 1e-9)]
    return np.array(kept, dtype=np.int64)


__all__ = [
    "checked",
    "chunks",
    "clipped",
    "from_folder",
    "is_out_of_memory",
    "one_line",
    "suppress",
    "torch_device",
    "use_quiet_transformers",
    "whole",
]
