"""The network: an ultralytics YOLO of nano size, its loss where pictures are labelled in part, and its running average."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import InputError
from ...mllm.training.checkpoints import write_bytes_safely
from ..backends.yolo import keep_best, load_model, prepare_ultralytics
from .metrics import Found

_RAMP = 200  # updates in which the average comes to forget as slowly as it should; ultralytics takes 2,000
GAINS = {"box": 7.5, "cls": 1.0, "dfl": 1.5}  # ultralytics' own, but for the kinds: ours are many and alike


def build(kinds: Sequence[str], shape: str, size: int, seed: int) -> nn.Module:
    """An untrained network over `kinds` from one of ultralytics' model files (`yolo11n.yaml`).

    The bias of a kind starts at how seldom an anchor of a picture of `size` pixels carries it; ultralytics starts from
    pictures of 640 pixels, which at 160 is e^-3 too low.
    """
    prepare_ultralytics()
    from ultralytics.nn.tasks import DetectionModel

    torch.manual_seed(seed)
    try:
        net: Any = DetectionModel(shape, ch=3, nc=len(kinds), verbose=False)
    except FileNotFoundError as error:
        raise InputError(f"shape: {shape!r} is no model file of ultralytics; yolo11n.yaml is one") from error
    net.names = dict(enumerate(kinds))
    head = net.model[-1]
    with torch.no_grad():
        for branch, stride in zip(head.cv3, head.stride.tolist(), strict=True):
            branch[-1].bias.fill_(math.log(5 / len(kinds) / (size / stride) ** 2))
    return net


@torch.no_grad()
def start_from(net: nn.Module, path: Path) -> int:
    """Copy into `net` every tensor of ultralytics weights that has its name and shape; returns how many did."""
    given = load_model(path, torch.device("cpu")).state_dict()
    taken = 0
    for name, tensor in net.state_dict().items():
        if name in given and given[name].shape == tensor.shape:
            tensor.copy_(given[name])
            taken += 1
    if not taken:
        raise InputError(f"start: {path} has no part in common with the network")
    return taken


class PartialLoss:
    """ultralytics' detection loss (task-aligned assignment, CIoU, DFL, BCE) in which a picture may leave kinds open.

    A kind that nobody looked for in a picture is neither right nor wrong there.
    """

    def __init__(self, net: Any, gains: dict[str, float] | None = None) -> None:
        from ultralytics.utils.loss import v8DetectionLoss

        net.args = SimpleNamespace(**(gains or GAINS))
        self._loss = v8DetectionLoss(net)
        del net.args

    def __call__(self, output: dict[str, Any], batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """Per-picture loss of the network's training output.

        batch: "batch_idx" [N], "cls" [N, 1], "bboxes" [N, 4] (centre, width, height in 0..1), and, where some kinds of
        some pictures are open, "known" [B, 1 or anchors, kinds], 1 where the labels say all and 0 where they do not.
        """
        self._loss.class_weights = batch.get("known")
        output = {k: v.float() if isinstance(v, Tensor) else v for k, v in output.items()}
        total, parts = self._loss(output, batch)
        return total.sum() / output["scores"].shape[0], {k: float(v) for k, v in parts.items()}


class Averaged(nn.Module):
    """A network in training with the exponential average of its weights, as buffers, so that a checkpoint holds both."""

    updates: Tensor

    def __init__(self, net: nn.Module, decay: float) -> None:
        super().__init__()
        self.net, self.decay = net, decay
        self.register_buffer("updates", torch.zeros((), dtype=torch.long))
        self._names = {n: f"mean_{n.replace('.', '_')}" for n, _ in self._live()}
        for name, tensor in self._live():
            self.register_buffer(self._names[name], tensor.detach().float().clone())

    def _live(self) -> list[tuple[str, Tensor]]:
        found = [*self.net.named_parameters(), *self.net.named_buffers()]
        return [(n, t) for n, t in found if t.is_floating_point()]

    @torch.no_grad()
    def update(self) -> None:
        """Take the weights in; young averages forget faster."""
        self.updates += 1
        weight = 1 - self.decay * (1 - math.exp(-int(self.updates) / _RAMP))
        for name, tensor in self._live():
            getattr(self, self._names[name]).lerp_(tensor.float(), weight)

    @torch.no_grad()
    def settle(self, net: nn.Module) -> nn.Module:
        """Write the average into `net`, a network of the same shape in float32; it is put into evaluation mode."""
        for name, tensor in [*net.named_parameters(), *net.named_buffers()]:
            if name in self._names:
                tensor.copy_(getattr(self, self._names[name]))
        return net.float().eval()


@torch.inference_mode()
def detect(net: Any, pixels: Tensor, confidence: float = 0.01, iou: float = 0.7) -> list[Found]:
    """What a network in evaluation mode finds: pixels [B, 3, H, W] in 0..1 -> detections in those pixels."""
    kept, _ = keep_best(
        net, net(pixels), len(net.names), False, confidence=confidence, iou=iou, agnostic=False, most=100
    )
    rows = [k.double().numpy() for k in kept]
    return [Found(r[:, :4], r[:, 5].astype(int), r[:, 4]) for r in rows]


def save_weights(net: Any, path: Path, shape: str, facts: dict[str, Any]) -> int:
    """Write a network's tensors in half precision, with its model file's name and its kinds; returns the file's bytes."""
    from safetensors.torch import save

    tensors = {
        name: (t.half() if t.is_floating_point() else t).contiguous() for name, t in net.state_dict().items()
    }
    names = json.dumps([net.names[i] for i in range(len(net.names))])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes_safely(
        path, save(tensors, {"shape": shape, "names": names, "facts": json.dumps(facts, default=str)})
    )
    return path.stat().st_size
