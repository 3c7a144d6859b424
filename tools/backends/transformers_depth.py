"""Monocular depth by transformers checkpoints (Depth Anything V2 and others)."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...errors import InputError
from ..values import Image
from .common import from_folder, torch_device, use_quiet_transformers

_KINDS = ("inverse", "distance")


class Depth:
    """Relative depth, 0 the nearest and 1 the farthest of each picture.

    Depth Anything and MiDaS give inverse depth, large where near (`kind: inverse`); metric checkpoints such as ZoeDepth
    give distance (`kind: distance`). Inverse depth is turned round linearly, which keeps the order.
    """

    batch = 4

    def __init__(self, weights: Path, digest: str, kind: str = "inverse", device: str = "auto") -> None:
        from transformers import AutoImageProcessor, AutoModelForDepthEstimation

        use_quiet_transformers()
        if kind not in _KINDS:
            raise InputError(f"option kind: {kind!r} is none of {', '.join(_KINDS)}")
        self._inverse = kind == "inverse"
        self._device = torch_device(device)
        self._model = from_folder(AutoModelForDepthEstimation, weights).to(self._device).eval()
        self._processor = from_folder(AutoImageProcessor, weights)
        self._lock = threading.Lock()

    def depth(self, images: Sequence[Image]) -> list[np.ndarray]:
        """Pictures of one size go through together; others in turn, since the network keeps their shape."""
        results: list[np.ndarray | None] = [None] * len(images)
        by_size: dict[tuple[int, int], list[int]] = {}
        for index, image in enumerate(images):
            by_size.setdefault(image.size, []).append(index)
        for indices in by_size.values():
            for index, values in zip(indices, self._forward([images[i] for i in indices]), strict=True):
                results[index] = values
        return [values for values in results if values is not None]

    def _forward(self, images: list[Image]) -> list[np.ndarray]:
        import torch

        with self._lock, torch.inference_mode():
            inputs = self._processor(images=[image.pixels.copy() for image in images], return_tensors="pt")
            predicted = self._model(**inputs.to(self._device)).predicted_depth.float()
            size = (images[0].height, images[0].width)
            full = torch.nn.functional.interpolate(
                predicted[:, None], size=size, mode="bicubic", align_corners=False
            )
        return [self._scaled(values) for values in full[:, 0].cpu().numpy()]

    def _scaled(self, values: np.ndarray) -> np.ndarray:
        low, high = float(values.min()), float(values.max())
        share = (values - low) / (high - low) if high > low else np.zeros_like(values)
        return np.clip(1 - share if self._inverse and high > low else share, 0, 1).astype(np.float32)
