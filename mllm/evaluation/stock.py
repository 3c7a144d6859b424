"""A stock model on scenes that it was not trained on: accuracy, the commonest answer, and the same with a wrong picture.

    python -m sightline.mllm.evaluation.stock --config mllm/configs/stock-scenes-query.yaml --seed 0 --questions 300

The scenes and tasks are those of the config's first `scenes` source, from the test split.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from ...errors import InputError
from ..scenes.questions import make_turns
from ..scenes.render import render
from ..scenes.schema import Turn
from ..scenes.world import SceneConfig, make_scene, split_seed
from ..stock.config import DataSection, StockConfig, load_config
from . import command
from .scenes import interval, normal

Asked = tuple[Turn, Any]  # a question about one picture (uint8 [H, W, 3])


def scenes_of(config: StockConfig) -> DataSection:
    """The source of scenes that a config trains on."""
    stages = (config.instruct, config.pretrain)
    for section in (s for stage in stages if stage is not None for s in stage.data if s.format == "scenes"):
        return section
    raise InputError("this config trains on no scenes: its data has no source with `format: scenes`")


def questions_of(section: DataSection, seed: int, count: int) -> list[Asked]:
    """`count` questions about scenes of the test split, in English, whose answer has no box."""
    out: list[Asked] = []
    shape = SceneConfig(curriculum=section.curriculum)
    index = 0
    while len(out) < count:
        drawn = render(make_scene(split_seed("test", seed, index), shape))
        turns = make_turns(drawn.scene, Random(f"stock/{seed}/{index}"), section.tasks, "en")
        out += [
            (t, drawn.image)
            for t in turns
            if not t.words_only and "<box" not in t.answer and t.region is None
        ]
        index += 1
        if index > 50 * count:
            raise InputError("the tasks of this config give too few questions with short answers")
    return out[:count]


def evaluate(answer: Callable[[str, Any], str], asked: Sequence[Asked]) -> dict[str, Any]:
    """Ask everything with the right picture and with that of another scene.

    Args:
        answer: (question, picture) -> the model's answer.

    Returns:
        For each task and for "all": `accuracy` with its 95% interval `ci`, `majority`, `blind` and `n`.
    """
    pictures = [image for _, image in asked]
    step = max(1, len(asked) // 2)
    right = [float(normal(answer(t.question, image)) == normal(t.answer)) for t, image in asked]
    blind = [
        float(normal(answer(t.question, pictures[(i + step) % len(asked)])) == normal(t.answer))
        for i, (t, _) in enumerate(asked)
    ]
    groups = {
        task: [i for i, (t, _) in enumerate(asked) if t.task == task]
        for task in dict.fromkeys(t.task for t, _ in asked)
    }
    tops = {
        task: Counter(normal(asked[i][0].answer) for i in at).most_common(1)[0][1]
        for task, at in groups.items()
    }
    figures: dict[str, Any] = {}
    for name, at in [*groups.items(), ("all", list(range(len(asked))))]:
        top = sum(tops.values()) if name == "all" else tops[name]
        values = [right[i] for i in at]
        figures[name] = {
            "accuracy": round(float(np.mean(values)), 4), "ci": interval(values), "majority": round(top / len(at), 4),
            "blind": round(float(np.mean([blind[i] for i in at])), 4), "n": len(at),
        }  # fmt: skip
    return figures


def table(result: dict[str, Any]) -> str:
    """A Markdown table, a row for each task and one for all."""
    lines = ["| task | accuracy | 95% interval | majority | wrong picture | n |", "|---|---|---|---|---|---|"]
    for name, f in result["tasks"].items():
        low, high = f["ci"]
        cells = f"{f['accuracy']:.3f} | {low:.3f} - {high:.3f} | {f['majority']:.3f} | {f['blind']:.3f} | {f['n']}"
        lines.append(f"| {name} | {cells} |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; exits with 2 on bad input."""
    parser = command.parser("stock", __doc__, model=False)
    parser.add_argument("--config", required=True, help="the YAML file that the model was trained by")
    parser.add_argument(
        "--model", help="folder of the model; default: what the config's instruct stage saved"
    )
    parser.add_argument("--questions", type=int, default=300)
    options = parser.parse_args(argv)

    def measure() -> dict[str, Any]:
        from PIL import Image as Pictures

        from ..stock import checkpoints, sampling

        config = load_config(options.config)
        folder = options.model or str(Path(config.output) / "instruct")
        asked = questions_of(scenes_of(config), options.seed, options.questions)
        model, processor = checkpoints.load(folder)

        def answer(question: str, image: Any) -> str:
            messages = [{"role": "user", "content": f"<image>\n{question}"}]
            return sampling.answers(model, processor, messages, [Pictures.fromarray(image)], new_tokens=6)[0]

        return {"tasks": evaluate(answer, asked), "seed": options.seed, "model": folder}

    return command.run(options, measure, table)


if __name__ == "__main__":
    sys.exit(main())
