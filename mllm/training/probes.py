"""Accuracies on the way: what each field of a rationale gets right, and each task, on held-out scenes given as symbols."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from random import Random
from typing import TYPE_CHECKING, Any

import torch

from ..scenes.world import SceneConfig, make_scene, split_seed
from .data import collate
from .objective import supervised
from .rationale import FIELDS

if TYPE_CHECKING:
    from .instruct import InstructStage

# Distances are coarse: one that is a step off need not make the answer wrong.
_LOOSE = (FIELDS.index("end"), FIELDS.index("distance"))


class Probe:
    """One forward pass over fixed questions, each with and without its rationale.

    A word is right if the model would write it after the right words before it. A `think/task` is right if all words of
    rationale and answer are, so that greedy decoding gives just this answer; `answer/task` likewise, without rationale.

    Args:
        stage: whose model, questions and wordings are probed.
        scenes: how many scenes of the validation split.
    """

    def __init__(self, stage: InstructStage, scenes: int) -> None:
        self.stage, self.scenes = stage, scenes

    def batches(self) -> Iterator[dict[str, Any]]:
        """The same questions at every call."""
        stage = self.stage
        usual = stage.think
        try:
            for stage.think in (1.0, 0.0):
                rows = []
                for i in range(self.scenes):
                    rng = Random(f"probe/{i}")
                    scene = make_scene(split_seed("val", stage.seed, i), SceneConfig(max_objects=8))
                    rows.append(stage.row([scene], [stage.eye.look(scene, rng)], rng))
                yield from collate(rows, stage.model.config, 8)
        finally:
            stage.think = usual

    @torch.no_grad()
    def __call__(self, step: int) -> dict[str, float]:
        """Accuracies by field (with the rationale) and by mode and task."""
        hits: dict[str, list[float]] = defaultdict(list)
        for batch in self.batches():
            logits, goal, rows, columns, _, _ = supervised(self.stage.model, batch)
            right = logits.argmax(-1) == goal
            fields = batch["fields"][rows, columns]
            for name in set(fields.tolist()) - {FIELDS.index("end"), FIELDS.index("answer")}:
                hits[f"field/{FIELDS[name]}"] += right[fields == name].float().tolist()
            passed = right.clone()
            for name in _LOOSE:
                passed |= fields == name
            whole = torch.ones(len(batch["tasks"]), dtype=torch.long).scatter_reduce(
                0, rows, passed.long(), "amin"
            )
            for task, think, ok in zip(batch["tasks"], batch["think"], whole.tolist(), strict=True):
                hits[f"{'think' if think else 'answer'}/{task}"].append(float(ok))
        return {k: sum(v) / len(v) for k, v in sorted(hits.items())}
