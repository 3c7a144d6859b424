"""Learning from all that a trained detector says of a training picture, not from its sure boxes alone.

Hinton et al. 2015 (arXiv:1503.02531) for the classes, localisation distillation (Zheng et al. 2022, arXiv:2102.12252) for
the boxes: teacher and student share their strides, so each anchor of one answers to the same anchor of the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ...errors import InputError
from ...mllm.training.loop import half_precision
from ..backends.yolo import load_model
from ..names import canonical


class Distillation:
    """The loss of a student against a frozen teacher of the same strides; it runs on the very pixels of the step.

    Classes that the teacher does not know are left to the labels.
    """

    def __init__(self, student: Any, classes: Sequence[str], teacher: Path, precision: torch.dtype) -> None:
        net: Any = load_model(teacher, torch.device("cpu"))
        net.fuse(verbose=False)
        known = {canonical(str(name)): index for index, name in net.names.items()}
        pairs = [(i, known[canonical(name)]) for i, name in enumerate(classes) if canonical(name) in known]
        if not pairs:
            raise InputError(f"teacher: {teacher} knows none of the classes to learn")
        mine, its = student.model[-1], net.model[-1]
        if mine.stride.tolist() != its.stride.tolist() or mine.reg_max != its.reg_max:
            raise InputError(f"teacher: {teacher} has other strides or box bins than the network to train")
        self._net = half_precision(net, precision).to(memory_format=torch.channels_last)
        self._precision = precision
        self._student, self._teacher = ([p[k] for p in pairs] for k in (0, 1))
        self._bins = int(mine.reg_max)

    def __call__(self, output: dict[str, Any], pixels: Tensor) -> tuple[Tensor, dict[str, float]]:
        """Per-picture loss.

        Args:
            output: of the student in training mode: "scores" logits [B, C, A], "boxes" [B, 4 * bins, A].
            pixels: [B, 3, H, W] in 0..1, what the student saw.
        """
        with torch.inference_mode():
            _, told = self._net(pixels.to(self._precision))
        wanted = told["scores"].float().clone()[:, self._teacher].sigmoid()
        sure = wanted.amax(1)  # [B, A]: how much an anchor is about something
        total = sure.sum().clamp(min=1)
        scores = output["scores"].float()[:, self._student]
        classes = F.binary_cross_entropy_with_logits(scores, wanted, reduction="sum") / total
        sides = (len(pixels), 4, self._bins, -1)
        log_mine = output["boxes"].float().view(sides).log_softmax(2)
        log_its = told["boxes"].float().clone().view(sides).log_softmax(2)
        apart = (log_its.exp() * (log_its - log_mine)).sum(2).mean(1)  # [B, A], in nats
        boxes = (apart * sure).sum() / total
        return classes + boxes, {"distil_cls": float(classes.detach()), "distil_box": float(boxes.detach())}
