"""How well perception sees: recall and precision of detections, their kinds, colours, sizes, boxes, and words read.

python -m sightline.mllm.evaluation.perception --model FOLDER --seed 0 --scenes 500 --json
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..scenes.render import render
from ..scenes.schema import SceneObject
from ..scenes.world import SceneConfig, make_scene, split_seed
from . import command
from .scenes import CORRECT, iou

if TYPE_CHECKING:
    from ..answerer import Answerer

ASKED = 0.5  # an object of which less can be seen need not be found, nor does finding it count against


def evaluate_perception(answerer: Answerer, seed: int, scenes: int) -> dict[str, float]:
    """Figures over `scenes` scenes of the test split; every rate is a part of the objects matched by box."""
    drawn = [render(make_scene(split_seed("test", seed, i), SceneConfig())) for i in range(scenes)]
    seen = answerer.look([d.image for d in drawn])
    truths = found_all = matched = 0
    kind, color, size, overlap, read = [], [], [], [], []
    for d, s in zip(drawn, seen, strict=True):
        found = s.found(answerer.processor, answerer.model)
        objects = list(d.scene.objects)
        pairs = sorted(
            ((iou(f["box"], o.box), i, j) for i, f in enumerate(found) for j, o in enumerate(objects)),
            reverse=True,
        )
        used_f: set[int] = set()
        used_o: set[int] = set()
        for value, i, j in pairs:
            if value < CORRECT or i in used_f or j in used_o:
                continue
            used_f.add(i)
            used_o.add(j)
            o: SceneObject = objects[j]
            if o.visible < ASKED:
                continue
            matched += 1
            overlap.append(value)
            kind.append(found[i]["kind"] == o.kind)
            color.append(found[i]["color"] == o.color)
            size.append(found[i]["size"] == o.size)
            if o.word:
                read.append(found[i]["word"] == o.word)
        truths += sum(o.visible >= ASKED for o in objects)
        found_all += len(found) - sum(objects[j].visible < ASKED for j in used_o)
    return {
        "recall": matched / max(1, truths), "precision": matched / max(1, found_all), "iou": float(np.mean(overlap)),
        "kind": float(np.mean(kind)), "color": float(np.mean(color)), "size": float(np.mean(size)),
        "read": float(np.mean(read)) if read else float("nan"), "objects": truths, "words": len(read), "scenes": scenes,
    }  # fmt: skip


def table(figures: dict[str, Any]) -> str:
    """A line for each figure."""
    return "\n".join(f"{k:<10}{v:.4f}" if isinstance(v, float) else f"{k:<10}{v}" for k, v in figures.items())


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; exits with 2 on bad input."""
    from ..answerer import Answerer

    parser = command.parser("perception", __doc__)
    parser.add_argument("--scenes", type=int, default=500)
    options = parser.parse_args(argv)
    return command.run(
        options,
        lambda: evaluate_perception(Answerer.load(options.model), options.seed, options.scenes),
        table,
    )


if __name__ == "__main__":
    sys.exit(main())
