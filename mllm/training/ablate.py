"""Short runs that differ in one thing each, from the same seed and on the same questions, as one table.

    python -m sightline.mllm.training.ablate --config mllm/configs/starter-ablation.yaml --turns 20000 \
        --arms mllm/configs/ablations/no-match.yaml mllm/configs/ablations/grid-tokens.yaml

The first arm is the config as it stands. Each arm has a folder of its own under --output, goes on from there if it is
stopped, and is not run again once it is done. Its learning rate falls over its last fifth, so that arms are compared after a
cool-down. In the end each is asked held-out questions about drawn pictures, with its rationale and at once.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ...errors import InputError, SightlineError
from ..starter import StarterForConditionalGeneration
from .checkpoints import write_bytes_safely
from .grid import GridStarter
from .loop import LoopOptions, half_precision, train
from .probes import Probe
from .stages import RunConfig, checked_tokenizer, instruct_stage, prepare, read_config, starter_config
from .vision import PerceptionStage

if TYPE_CHECKING:
    from ..evaluation.scenes import Item

COLUMNS = ("point", "across", "down", "extent", "number")
LONGEST = 40  # tokens that an answer may have; those of short tasks have fewer
SEEN = 32  # scenes a step of the eyes


def run_arm(
    base: str | Path,
    change: str | Path | None,
    turns: int,
    output: Path,
    say: Callable[[str], None] = print,
    items: Sequence[Item] = (),
) -> dict[str, float]:
    """Train one arm on about `turns` questions; returns its last metrics and probes, and the questions seen.

    Args:
        base: YAML of the instruct stage.
        change: YAML with the options in which this arm differs; None: none.
        output: folder of the run.
        items: held-out questions that it is asked afterwards about drawn pictures, with the eyes that it has.
    """
    if turns < 1:
        raise InputError(f"an arm needs turns to learn from, not {turns}")
    done = output / "figures.json"
    if done.is_file():
        figures = json.loads(done.read_text(encoding="utf-8"))
        if figures.get("asked_for") == turns and figures.get("items", 0) == len(items):
            return dict(figures)
    config = read_config(base, change)
    torch.set_num_threads(config.threads)
    shape = starter_config(config)
    model = (GridStarter if config.grid else StarterForConditionalGeneration)(shape)
    model.reset(config.seed)
    prepare(model, config)
    stage = instruct_stage(model, config, shape, say)
    asked = [sum(len(part["tasks"]) for part in stage.batch(step)) for step in range(3)]
    steps = math.ceil(turns * len(asked) / sum(asked))
    options = LoopOptions(**config.loop)
    untrained = options.steps == 0
    options = replace(
        options, steps=steps, cooldown=max(1, steps // 5), warmup=min(options.warmup, max(1, steps // 5))
    )
    if not config.perception and items:
        learn_to_see(model, config, steps, output / "eyes", say)
    metrics = {} if untrained else train(model, stage, options, output, say=say, count=stage.count)
    figures = {**metrics, **Probe(stage, config.probe_scenes or 100)(steps)}
    if items:
        figures |= from_pixels(model, config, items)
    figures |= {
        "turns": 0 if untrained else steps * sum(asked) / len(asked), "asked_for": turns, "items": len(items)
    }  # fmt: skip
    output.mkdir(parents=True, exist_ok=True)
    write_bytes_safely(done, json.dumps(figures).encode())
    return figures


def learn_to_see(
    model: StarterForConditionalGeneration,
    config: RunConfig,
    steps: int,
    folder: Path,
    say: Callable[[str], None],
) -> None:
    """Train random eyes on as many scenes as the arm has; the language model learns from symbols meanwhile."""
    looks = max(1, steps * config.batch // SEEN)
    options = LoopOptions(
        steps=looks,
        warmup=max(1, looks // 10),
        cooldown=max(1, looks // 3),
        adam_lr=2e-3,
        clip=5.0,
        log_every=10,
    )
    train(model, PerceptionStage(model, config.seed, SEEN), options, folder, say=say)


def from_pixels(
    model: StarterForConditionalGeneration, config: RunConfig, items: Sequence[Item]
) -> dict[str, float]:
    """Shares of `items` answered rightly, `pixels/task` with the rationale and `at_once/task` without, and both means over
    tasks; for an arm that was trained without rationales only the latter."""
    from ..answerer import Answerer, Question
    from ..evaluation.scenes import score
    from ..starter import StarterProcessor

    half_precision(model, torch.float32)
    processor = StarterProcessor.build(model.config, checked_tokenizer(config, model.config))
    answerer = Answerer(model, processor)
    shown = {id(i.images[0]): i.images[0] for i in items}
    seen = dict(zip(shown, answerer.look(list(shown.values())), strict=True))
    out: dict[str, float] = {}
    for name, mode in (("pixels", "think"), ("at_once", "answer")):
        if mode == "think" and not config.think:
            continue
        asked = [Question(i.turn.question, (seen[id(i.images[0])],), i.turn.region, mode) for i in items]  # type: ignore[arg-type]
        right: dict[str, list[float]] = defaultdict(list)
        for item, reply in zip(items, answerer.ask(asked, max_new_tokens=LONGEST), strict=True):
            right[item.turn.task].append(score(item.turn, reply))
        out |= {f"{name}/{task}": sum(v) / len(v) for task, v in right.items()}
    return out


def majority(items: Sequence[Item]) -> dict[str, float]:
    """For each task the share of its commonest answer in each language; grounding has none."""
    from collections import Counter

    from ..evaluation.scenes import normal

    counts: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    for i in items:
        counts[i.turn.task][i.turn.language, normal(i.turn.answer)] += 1
    out = {}
    for task, found in counts.items():
        tops: dict[str, int] = {}
        for (language, _), n in found.items():
            tops[language] = max(n, tops.get(language, 0))
        out[task] = 0.0 if task == "ground" else sum(tops.values()) / sum(found.values())
    return out


def mean(figures: dict[str, float], group: str) -> float:
    """The mean of the figures of one group ("think/...")."""
    found = [v for k, v in figures.items() if k.startswith(f"{group}/")]
    return sum(found) / len(found) if found else math.nan


def line(cells: Sequence[str | float | None]) -> str:
    """A row of a Markdown table."""
    shown = [c if isinstance(c, str) else "-" if c is None or math.isnan(c) else f"{c:.2f}" for c in cells]
    return f"| {' | '.join(shown)} |"


def table(arms: dict[str, dict[str, float]]) -> str:
    """One line an arm: loss of the answers, and on scenes as symbols the share right of each field of a rationale and the
    mean over tasks in both modes."""
    names = ["arm", "turns", "answer loss", *COLUMNS, "with rationale", "at once"]
    lines = [line(names), f"|{'---|' * len(names)}"]
    for name, f in arms.items():
        fields = [f.get(f"field/{c}") for c in COLUMNS]
        lines.append(
            line([name, f"{f['turns']:.0f}", f.get("answer"), *fields, mean(f, "think"), mean(f, "answer")])
        )
    return "\n".join(lines)


def table_of_pixels(arms: dict[str, dict[str, float]], items: Sequence[Item]) -> str:
    """One line an arm: on drawn pictures the share right of each task with the rationale (at once, for an arm without),
    their mean, the mean at once, and as a last line what the commonest answer of each task gets."""
    tasks = sorted({i.turn.task for i in items})
    names = ["arm", *tasks, "mean", "mean at once"]
    lines = [line(names), f"|{'---|' * len(names)}"]
    for name, f in arms.items():
        group = "pixels" if any(k.startswith("pixels/") for k in f) else "at_once"
        lines.append(
            line([name, *(f.get(f"{group}/{t}") for t in tasks), mean(f, group), mean(f, "at_once")])
        )
    usual = majority(items)
    lines.append(
        line(["commonest answer", *(usual[t] for t in tasks), sum(usual.values()) / len(usual), None])
    )
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
    parser.add_argument("--turns", type=int, default=20000, help="questions that each arm learns from")
    parser.add_argument(
        "--questions", type=int, default=600, help="held-out questions that each is asked; 0: none"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the held-out questions")
    parser.add_argument("--output", default="runs/ablations", help="folder of the runs")
    parser.add_argument("--no-base", action="store_true", help="leave out the arm that changes nothing")
    options = parser.parse_args(argv)
    try:
        items: Sequence[Item] = ()
        if options.questions:
            from ..evaluation.scenes import make_items

            tasks = list(read_config(options.config).tasks)
            items = make_items(options.seed, options.questions, tasks=tasks)
            items = sorted(items, key=lambda i: i.turn.task)  # like with like: short batches end soon
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
                items,
            )
    except SightlineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(table(found))
    if items:
        print(f"\n{table_of_pixels(found, items)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
