"""Stage "perception": dense targets from exact masks, their losses, and printed words for the reader."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..scenes.render import Rendered, render
from ..scenes.world import SceneConfig, make_scene, split_seed
from ..starter.config import StarterConfig
from ..starter.connector import encode_words
from ..starter.model import StarterForConditionalGeneration
from ..starter.perception import STRIDE
from ..starter.reader import crop_words

CORE = 0.36  # half width of the part of a box whose cells speak for the object
READ_LIMIT = 16  # words read in one step


def to_pixels(images: list[np.ndarray]) -> Tensor:
    """uint8 pictures [H, W, 3] of one size -> [N, 3, H, W] in -1..1."""
    stack = torch.from_numpy(np.stack(images))
    return stack.permute(0, 3, 1, 2).float().div_(127.5).sub_(1).contiguous(memory_format=torch.channels_last)


def targets(drawn: Rendered, config: StarterConfig) -> tuple[np.ndarray, np.ndarray]:
    """What each cell should say: owner [G, G] (object index, -1 nothing, -2 no matter) and its weight [G, G].

    A cell speaks for an object where it is covered by it to a third and lies in the middle part of its box; outside
    that part it should be silent (left free, such cells made a third of all detections false). Every object weighs as
    the square root of its cells, and every visible one has a cell. No matter are the cells of hardly visible objects.
    """
    n, h, w = drawn.masks.shape
    gy, gx = h // STRIDE, w // STRIDE
    owner, weight = np.full((gy, gx), -1, np.int64), np.zeros((gy, gx), np.float32)
    if not n:
        return owner, weight
    cover = drawn.masks.reshape(n, gy, STRIDE, gx, STRIDE).mean((2, 4))  # [N, G, G]
    y, x = (np.arange(gy) + 0.5) * STRIDE, (np.arange(gx) + 0.5) * STRIDE
    for i, item in enumerate(drawn.scene.objects):
        top = float(cover[i].max())
        if top <= 0.0:
            continue
        if item.visible < 0.15:
            owner[cover[i] > 0.1] = -2
            continue
        x1, y1, x2, y2 = item.box
        near = np.abs(y - (y1 + y2) / 2)[:, None] <= CORE * (y2 - y1)
        near = near & (np.abs(x - (x1 + x2) / 2)[None] <= CORE * (x2 - x1))
        mine = (cover[i] >= 0.33) & near & (cover[i] >= cover.max(0))
        if not mine.any():
            mine = cover[i] == top
        owner[mine] = i
        weight[mine] = 1.0 / mine.sum() ** 0.5
    return owner, weight


class PerceptionStage:
    """Renders scenes on the fly and trains the trunk, its heads and the word reader."""

    name = "perception"

    def __init__(
        self,
        model: StarterForConditionalGeneration,
        seed: int,
        batch: int = 32,
        words: float = 0.15,
        ramp: int = 8000,
    ) -> None:
        self.model, self.seed, self.batch_size, self.words, self.ramp = model, seed, batch, words, ramp
        c = model.config
        self.kinds = {k: i for i, k in enumerate(c.kinds)}
        self.colors = {k: i for i, k in enumerate(c.colors)}
        self.sizes = {k: i for i, k in enumerate(c.sizes)}

    def parameters(self) -> list[tuple[str, torch.nn.Parameter]]:
        """What this stage trains."""
        m = self.model
        return [(n, p) for n, p in m.named_parameters() if n.startswith(("perception.", "reader."))]

    def batch(self, step: int) -> dict[str, Any]:
        """Scenes number step * batch ... of the training split, drawn."""
        c, size = self.model.config, self.model.config.image_size
        drawn = []
        for i in range(step * self.batch_size, (step + 1) * self.batch_size):
            rng = Random(f"{self.seed}/{i}")
            hard = min(1.0, 0.3 + i / self.ramp)
            layouts = (("words", 1.0),) if rng.random() < self.words else SceneConfig().layouts
            config = SceneConfig(width=size, height=size, curriculum=hard, layouts=layouts)
            drawn.append(render(make_scene(split_seed("train", self.seed, i), config)))
        return collate_scenes(
            drawn, c, self.kinds, self.colors, self.sizes, Random(f"{self.seed}/words/{step}")
        )

    def losses(self, batch: dict[str, Any]) -> Iterator[tuple[Tensor, dict[str, float]]]:
        """The sum of the dense losses and the reader's CTC loss."""
        m = self.model
        m.perception.train()
        pixels = batch["pixels"].to(m.perception.kind.weight.dtype)
        out = m.perception.cells(pixels)
        loss, parts = dense_loss(out, batch)
        if len(batch["read_words"]):
            m.reader.train()
            crops = crop_words(batch["pixels"][batch["read_rows"]], batch["read_boxes"])
            ctc = m.reader.loss(crops, batch["read_words"])
            parts["ctc"] = float(ctc.detach())
            loss = loss + 0.3 * ctc
        yield loss, parts


def collate_scenes(
    drawn: list[Rendered],
    config: StarterConfig,
    kinds: dict[str, int],
    colors: dict[str, int],
    sizes: dict[str, int],
    rng: Random,
) -> dict[str, Any]:
    """Drawn scenes -> pixels, per-cell targets, and up to READ_LIMIT jittered boxes of printed words."""
    pixels = to_pixels([d.image for d in drawn])
    none = len(config.kinds)
    kind, color, size, box, weight, read = [], [], [], [], [], []
    for row, d in enumerate(drawn):
        owner, w = targets(d, config)
        objects = d.scene.objects
        table = np.array(
            [[kinds[o.kind], colors[o.color], sizes[o.size]] for o in objects] + [[none, 0, 0]] * 2
        )
        at = np.where(owner >= 0, owner, len(objects))
        kind.append(np.where(owner == -2, -100, table[at, 0]))
        color.append(table[at, 1])
        size.append(table[at, 2])
        scale = np.array([d.scene.width, d.scene.height] * 2, np.float32)
        box.append(np.vstack([d.boxes / scale, np.zeros((1, 4), np.float32)])[at])
        weight.append(w)
        for o in objects:
            if o.word and o.visible > 0.9:
                ww, hh = o.box[2] - o.box[0], o.box[3] - o.box[1]
                jitter = [v + rng.gauss(0, 0.025) * s for v, s in zip(o.box, (ww, hh, ww, hh), strict=True)]
                read.append((row, [v / s for v, s in zip(jitter, scale, strict=True)], o.word))
    read = rng.sample(read, min(READ_LIMIT, len(read)))
    return {
        "pixels": pixels,
        "kind": torch.from_numpy(np.stack(kind)).flatten(1),
        "color": torch.from_numpy(np.stack(color)).flatten(1),
        "size": torch.from_numpy(np.stack(size)).flatten(1),
        "box": torch.from_numpy(np.stack(box)).float().flatten(1, 2),
        "weight": torch.from_numpy(np.stack(weight)).flatten(1),
        "read_rows": torch.tensor([r[0] for r in read], dtype=torch.long),
        "read_boxes": torch.tensor([r[1] for r in read], dtype=torch.float32).reshape(-1, 4),
        "read_words": encode_words([r[2] for r in read], config.max_word),
    }


def dense_loss(out: dict[str, Tensor], batch: dict[str, Any]) -> tuple[Tensor, dict[str, float]]:
    """Cross-entropy of kind (focal on empty cells), colour and size, and GIoU plus L1 of the box, on the cells that
    speak for an object."""
    from torchvision.ops import generalized_box_iou_loss

    kind = out["kind"].flatten(2).transpose(1, 2).float()  # [B, G*G, kinds + 1]
    grid = out["kind"].shape[-1]
    weight = batch["weight"]
    on = weight > 0
    w = weight[on]
    total = w.sum().clamp_min(1.0)
    log = kind.log_softmax(-1)
    own = batch["kind"][on]
    loss_kind = -(log[on].gather(1, own[:, None])[:, 0] * w).sum() / total
    empty = (batch["kind"] == kind.shape[-1] - 1) & ~on
    none = log[..., -1][empty]
    loss_none = -((1 - none.exp()).square() * none).sum() / total
    color = out["color"].flatten(2).transpose(1, 2)[on].float()
    size = out["size"].flatten(2).transpose(1, 2)[on].float()
    loss_color = (F.cross_entropy(color, batch["color"][on], reduction="none") * w).sum() / total
    loss_size = (F.cross_entropy(size, batch["size"][on], reduction="none") * w).sum() / total
    cells = torch.arange(grid * grid).expand(len(weight), -1)[on]
    x, y = (cells % grid + 0.5), (cells // grid + 0.5)
    left, top, right, bottom = out["sides"].flatten(2).transpose(1, 2)[on].unbind(-1)
    box = torch.stack((x - left, y - top, x + right, y + bottom), -1) / grid
    goal = batch["box"][on]
    giou = (generalized_box_iou_loss(box, goal) * w).sum() / total
    l1 = ((box - goal).abs().sum(-1) * w).sum() / total
    loss = loss_kind + loss_none + 0.5 * loss_color + 0.3 * loss_size + 1.5 * giou + 2.0 * l1
    with torch.no_grad():
        parts = {
            "kind": float(loss_kind), "none": float(loss_none), "color": float(loss_color), "size": float(loss_size),
            "giou": float(giou), "kind_acc": float(((kind[on].argmax(-1) == own) * w).sum() / total),
            "color_acc": float(((color.argmax(-1) == batch["color"][on]) * w).sum() / total),
        }  # fmt: skip
    return loss, parts
