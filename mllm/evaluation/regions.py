"""What is at a region, when the same thing is marked by a box, a point, its mask, or a stroke of a pen across it.

    python -m sightline.mllm.evaluation.regions --model FOLDER --seed 0 --questions 300

`mask box` is the box of the mask alone, and `stroke box` that of the stroke: what is gained by looking which thing a mask
lies on is the difference to `mask` and `stroke`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import pairwise
from random import Random
from typing import Any

import numpy as np

from ...errors import SightlineError
from ..answerer import Answerer, Question
from ..regions import Region, mask_box
from ..scenes.questions import make_turns
from ..scenes.render import render
from ..scenes.world import SceneConfig, make_scene, split_seed
from . import command
from .scenes import interval, score

WAYS = ("box", "point", "mask", "mask box", "stroke", "stroke box")
PEN = 2  # pixels of a stroke's half width


def stroke(mask: np.ndarray, rng: Random) -> np.ndarray:
    """A free-hand line between two pixels of a mask [H, W], as a person draws across a thing: it may leave it a little."""
    rows, columns = mask.nonzero()
    ends = [(int(rows[i]), int(columns[i])) for i in (rng.randrange(len(rows)) for _ in range(3))]
    out = np.zeros(mask.shape, bool)
    for (y1, x1), (y2, x2) in pairwise(ends):
        for t in np.linspace(0.0, 1.0, 40):
            y, x = round(y1 + t * (y2 - y1)), round(x1 + t * (x2 - x1))
            out[max(0, y - PEN) : y + PEN + 1, max(0, x - PEN) : x + PEN + 1] = True
    return out


def evaluate(answerer: Answerer, seed: int, questions: int) -> dict[str, Any]:
    """Accuracy of questions about one region, by how it is marked; each with its 95% interval and n."""
    rng = Random(f"regions/{seed}")
    marked: list[tuple[Any, Any, dict[str, Region]]] = []
    index = 0
    while len(marked) < questions:
        drawn = render(make_scene(split_seed("test", seed, index), SceneConfig()))
        index += 1
        if index > 50 * questions:
            raise SightlineError(f"the scenes of seed {seed} give too few questions about regions")
        for turn in make_turns(drawn.scene, rng, tasks=["region"]):
            if turn.region is None or len(turn.objects) != 1:
                continue
            mask = drawn.masks[turn.objects[0]]
            if mask.sum() < 40:
                continue
            x1, y1, x2, y2 = drawn.scene.objects[turn.objects[0]].box
            line = stroke(mask, rng)
            rows, columns = mask.nonzero()
            at = rng.randrange(len(rows))
            point = (float(columns[at]), float(rows[at]), float(columns[at]), float(rows[at]))
            ways: dict[str, Region] = {
                "box": (x1, y1, x2, y2), "point": point, "mask": mask, "mask box": mask_box(mask), "stroke": line,
                "stroke box": mask_box(line),
            }  # fmt: skip
            marked.append((turn, drawn.image, ways))
    marked = sorted(marked[:questions], key=lambda m: len(m[0].answer))
    seen = answerer.look([image for _, image, _ in marked])
    figures: dict[str, Any] = {}
    for way in WAYS:
        asked = [Question(t.question, (s,), ways[way]) for (t, _, ways), s in zip(marked, seen, strict=True)]
        right = [
            score(t, r) for (t, _, _), r in zip(marked, answerer.ask(asked, max_new_tokens=40), strict=True)
        ]
        figures[way] = {"accuracy": round(float(np.mean(right)), 4), "ci": interval(right), "n": len(right)}
    return figures


def table(result: dict[str, Any]) -> str:
    """A Markdown table, a row for each way of marking."""
    lines = ["| marked by | accuracy | 95% interval | n |", "|---|---|---|---|"]
    for way, f in result["regions"].items():
        lines.append(f"| {way} | {f['accuracy']:.3f} | {f['ci'][0]:.3f} - {f['ci'][1]:.3f} | {f['n']} |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; exits with 2 on bad input."""
    parser = command.parser("regions", __doc__)
    parser.add_argument("--questions", type=int, default=300)
    options = parser.parse_args(argv)

    def measure() -> dict[str, Any]:
        figures = evaluate(Answerer.load(options.model), options.seed, options.questions)
        return {"regions": figures, "seed": options.seed, "model": str(options.model)}

    return command.run(options, measure, table)


if __name__ == "__main__":
    sys.exit(main())
