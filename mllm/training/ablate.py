"""Short runs that differ in one thing each, from the same seed and on the same questions, as one table.

    python -m sightline.mllm.training.ablate --config mllm/configs/starter-instruct.yaml \
        --arms mllm/configs/ablations/no-match.yaml mllm/configs/ablations/no-geometry.yaml --turns 25000

The first arm is the config as it stands. Each arm has a folder of its own under --output, and goes on from there if it is
stopped. Its learning rate falls over its last fifth, so that arms are compared after a cool-down.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ...errors import InputError, SightlineError
from ..starter import StarterForConditionalGeneration
from .loop import LoopOptions, train
from .probes import Probe
from .stages import instruct_stage, prepare, read_config, starter_config

COLUMNS = ("point", "across", "down", "extent", "number", "distance")


def run_arm(
    base: str | Path, change: str | Path | None, turns: int, output: Path, say: Callable[[str], None] = print
) -> dict[str, float]:
    """Train one arm on about `turns` questions; returns its last metrics and probes, and the questions seen.

    Args:
        base: YAML of the instruct stage.
        change: YAML with the options in which this arm differs; None: none.
        output: folder of the run.
    """
    if turns < 1:
        raise InputError(f"an arm needs turns to learn from, not {turns}")
    config = read_config(base, change)
    torch.set_num_threads(config.threads)
    shape = starter_config(config)
    model = StarterForConditionalGeneration(shape)
    model.reset(config.seed)
    prepare(model, config)
    stage = instruct_stage(model, config, shape, say)
    asked = [sum(len(part["tasks"]) for part in stage.batch(step)) for step in range(3)]
    steps = math.ceil(turns * len(asked) / sum(asked))
    options = LoopOptions(**config.loop)
    options = replace(
        options, steps=steps, cooldown=max(1, steps // 5), warmup=min(options.warmup, max(1, steps // 5))
    )
    metrics = train(model, stage, options, output, say=say, count=stage.count)
    return {
        **metrics,
        **Probe(stage, config.probe_scenes or 100)(steps),
        "turns": steps * sum(asked) / len(asked),
    }


def mean(figures: dict[str, float], group: str) -> float:
    """The mean of the figures of one group ("think/...")."""
    found = [v for k, v in figures.items() if k.startswith(f"{group}/")]
    return sum(found) / len(found) if found else math.nan


def table(arms: dict[str, dict[str, float]]) -> str:
    """One line an arm: loss of the answers, share right of each field of a rationale, mean over tasks in both modes."""
    lines = [
        f"| arm | turns | answer loss | {' | '.join(COLUMNS)} | with rationale | at once |",
        f"|---|{'---|' * (4 + len(COLUMNS))}",
    ]
    for name, figures in arms.items():
        cells: list[Any] = [figures.get(f"field/{c}") for c in COLUMNS]
        cells += [mean(figures, "think"), mean(figures, "answer")]
        shown = " | ".join("-" if v is None or math.isnan(v) else f"{v:.2f}" for v in cells)
        lines.append(f"| {name} | {figures['turns']:.0f} | {figures.get('answer', math.nan):.3f} | {shown} |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; exits with 2 on bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m sightline.mllm.training.ablate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", required=True, help="YAML file of the instruct stage")
    parser.add_argument("--arms", nargs="*", default=(), help="YAML files with what each arm changes")
    parser.add_argument("--turns", type=int, default=25000, help="questions that each arm learns from")
    parser.add_argument("--output", default="runs/ablations", help="folder of the runs")
    parser.add_argument("--no-base", action="store_true", help="leave out the arm that changes nothing")
    options = parser.parse_args(argv)
    try:
        found: dict[str, dict[str, float]] = {}
        for change in [*([] if options.no_base else [None]), *options.arms]:
            name = "as it is" if change is None else Path(change).stem
            folder = Path(options.output) / name.replace(" ", "-")
            found[name] = run_arm(
                options.config,
                change,
                options.turns,
                folder,
                lambda line: print(line, file=sys.stderr, flush=True),
            )
    except SightlineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
