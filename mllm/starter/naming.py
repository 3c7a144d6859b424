"""What a crop shows: perception's own cells over the known box, as probabilities of kinds and colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .model import StarterForConditionalGeneration

MOST_ENLARGED = 2.5
SAME_COLOR = 40  # largest difference of a channel at which the corners are taken for the thing itself
CORE = 0.36  # half width of the part of a box whose cells speak for the object, as in training


def on_canvas(
    crop: np.ndarray, side: int, share: float
) -> tuple[np.ndarray, tuple[float, float, float, float]]:
    """A crop [H, W, 3] uint8 in the middle of a square, `share` of the square long, and its box in 0..1.

    Perception was trained on scenes, where a thing never fills the picture. The square has the corners' median colour, or, where
    that is the thing's own (a square fills its box), the farther of two greys. Few pixels are not blown up to a blur.
    """
    from PIL import Image

    h, w = crop.shape[:2]
    scale = min(side * share / max(h, w), MOST_ENLARGED)
    size = (max(1, round(w * scale)), max(1, round(h * scale)))
    small = np.asarray(
        Image.fromarray(crop).resize(size, Image.Resampling.BOX if scale < 0.5 else Image.Resampling.BILINEAR)
    )
    d = max(1, min(h, w) // 12)
    corners = (crop[:d, :d], crop[:d, -d:], crop[-d:, :d], crop[-d:, -d:])
    rim = np.median(np.concatenate([c.reshape(-1, 3) for c in corners]), axis=0)
    own = np.median(crop[h // 4 : h - h // 4, w // 4 : w - w // 4].reshape(-1, 3), axis=0)
    if np.abs(rim - own).max() < SAME_COLOR:
        rim = np.full(3, 225.0 if own.mean() < 140 else 75.0)
    canvas = np.empty((side, side, 3), np.uint8)
    canvas[:] = rim.astype(np.uint8)
    x, y = (side - size[0]) // 2, (side - size[1]) // 2
    canvas[y : y + size[1], x : x + size[0]] = small
    return canvas, (x / side, y / side, (x + size[0]) / side, (y + size[1]) / side)


@torch.inference_mode()
def name_crops(
    model: StarterForConditionalGeneration, crops: Sequence[np.ndarray], shares: Sequence[float] = (0.3,)
) -> tuple[Tensor, Tensor]:
    """Crops, each one thing from side to side -> probabilities of kinds [N, kinds] and colours [N, colors].

    The kinds of a crop sum to how sure it is that there is a thing of the world at all; the colours sum to 1. Both are means
    over the crop at several sizes (`shares` of the picture's side).
    """
    config, eyes = model.config, model.perception
    made = [on_canvas(crop, config.image_size, share) for crop in crops for share in shares]
    pixels = (
        torch.from_numpy(np.stack([canvas for canvas, _ in made])).permute(0, 3, 1, 2).float() / 127.5 - 1
    )
    training = eyes.training
    eyes.eval()
    out: dict[str, Any] = eyes.cells(
        pixels.to(eyes.kind.weight.dtype).contiguous(memory_format=torch.channels_last)
    )
    eyes.train(training)
    kind, color = out["kind"].float().softmax(1), out["color"].float().softmax(1)
    gy, gx = kind.shape[-2:]
    y, x = (torch.arange(gy) + 0.5) / gy, (torch.arange(gx) + 0.5) / gx
    kinds, colors = [], []
    for i, (_, (x1, y1, x2, y2)) in enumerate(made):
        core = ((y - (y1 + y2) / 2).abs() <= max(CORE * (y2 - y1), 0.5 / gy))[:, None]
        core = core & ((x - (x1 + x2) / 2).abs() <= max(CORE * (x2 - x1), 0.5 / gx))[None]
        cells = kind[i][:, core]  # [kinds + 1, cells]
        there = 1 - cells[-1]
        weight = there.square() / there.square().sum().clamp_min(1e-6)  # cells beside the thing have no say
        kinds.append(cells[:-1] @ weight)
        colors.append(color[i][:, core] @ weight)
    n = len(shares)
    return torch.stack(kinds).view(len(crops), n, -1).mean(1), torch.stack(colors).view(
        len(crops), n, -1
    ).mean(1)
