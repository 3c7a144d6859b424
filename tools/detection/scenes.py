"""The scenes world for a detector: pictures drawn on the fly to train on, and held-out ones to measure with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np

from ...mllm.scenes import vocabulary
from ...mllm.scenes.render import Rendered, render
from ...mllm.scenes.world import SceneConfig, make_scene, split_seed
from .metrics import Found, Truth, mean_ap, score_kinds

KINDS: tuple[str, ...] = tuple(vocabulary.KINDS)
SIDES = ((128, 0.5), (160, 0.2), (192, 0.15), (256, 0.15))  # sizes that scenes are drawn at, and how often
PROBED = 256  # scenes that a run in progress is measured on
CLEAR = 0.4  # part of a thing that must be seen for it to be asked for
_INDEX = {kind: i for i, kind in enumerate(KINDS)}


def draw(split: str, stream: int, index: int, words: float = 0.1, curriculum: float = 1.0) -> Rendered:
    """Scene number `index` of a stream of a split, at one of `SIDES`; every layout and style that the world has."""
    rng = Random(f"detector/{stream}/{index}")
    side = _pick(rng.random())
    layouts = (("words", 1.0),) if rng.random() < words else SceneConfig().layouts
    config = SceneConfig(width=side, height=side, curriculum=curriculum, layouts=layouts)
    return render(make_scene(split_seed(split, stream, index), config))


def _pick(mark: float) -> int:
    for side, share in SIDES:
        mark -= share
        if mark < 0:
            return side
    return SIDES[0][0]


def truth_of(drawn: Rendered) -> Truth:
    """The things of a scene; those that can hardly be seen are ignored."""
    objects = drawn.scene.objects
    return Truth(
        drawn.boxes.astype(np.float64),
        np.array([_INDEX[o.kind] for o in objects], np.int64),
        np.array([o.visible < CLEAR for o in objects], bool),
        np.zeros(len(objects), bool),
    )


class SceneStage:
    """Training batches: a pure function of the step, so that a run resumes exactly."""

    name = "detector on scenes"

    def __init__(self, model: Any, seed: int, batch: int, sizes: Sequence[int], ramp: int) -> None:
        from .network import PartialLoss

        self.model, self.seed, self.batch_size, self.sizes, self.ramp = model, seed, batch, tuple(sizes), ramp
        self._loss = PartialLoss(model.net)

    def parameters(self) -> list[tuple[str, Any]]:
        """What is trained."""
        return [(n, p) for n, p in self.model.named_parameters() if p.requires_grad]

    def batch(self, step: int) -> dict[str, Any]:
        """Scenes number step * batch ... of the training split, fitted to one of the sizes."""
        size = self.sizes[int(Random(f"size/{self.seed}/{step}").random() * len(self.sizes))]
        first = step * self.batch_size
        drawn = [
            draw("train", self.seed, i, curriculum=min(1.0, 0.3 + i / max(1, self.ramp)))
            for i in range(first, first + self.batch_size)
        ]
        return collate(drawn, size)

    def losses(self, batch: dict[str, Any]) -> Iterator[tuple[Any, dict[str, float]]]:
        """The loss of a batch; the average takes in what the step before made of the weights."""
        net = self.model.net
        self.model.update()
        net.train()
        pixels = batch["pixels"].to(next(net.parameters()).dtype)
        yield self._loss(net(pixels), batch)

    def probe(self, net: Any) -> dict[str, float]:
        """Figures of a network in evaluation mode on some scenes of the validation split."""
        from .network import detect

        drawn = [draw("val", self.seed, i) for i in range(PROBED)]
        found: list[Found] = []
        size = max(self.sizes)
        for at in range(0, PROBED, 32):
            part = drawn[at : at + 32]
            batch = detect(net, collate(part, size)["pixels"])
            found += [
                replace(f, boxes=f.boxes * (d.scene.width / size)) for f, d in zip(batch, part, strict=True)
            ]
        truths = [truth_of(d) for d in drawn]
        map50, map50_95 = mean_ap(score_kinds(found, truths, len(KINDS)))
        return {"map50": map50, "map50_95": map50_95}


def collate(drawn: Sequence[Rendered], size: int) -> dict[str, Any]:
    """Square scenes -> pixels [B, 3, size, size] in 0..1 and ultralytics' targets."""
    import cv2
    import torch

    pixels = np.empty((len(drawn), size, size, 3), np.uint8)
    rows, kinds, boxes = [], [], []
    for row, one in enumerate(drawn):
        side = one.scene.width
        pixels[row] = one.image if side == size else cv2.resize(one.image, (size, size))  # as when it is used
        for item in one.scene.objects:
            if item.visible > 0.15:
                x1, y1, x2, y2 = (v / side for v in item.box)
                rows.append(row)
                kinds.append(_INDEX[item.kind])
                boxes.append(((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1))
    return {
        "pixels": torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(255),
        "batch_idx": torch.tensor(rows, dtype=torch.float32),
        "cls": torch.tensor(kinds, dtype=torch.float32).reshape(-1, 1),
        "bboxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
    }
