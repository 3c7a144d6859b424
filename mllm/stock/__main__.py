"""`python -m sightline.mllm.stock STAGE --config F`: build, pretrain, instruct, align, pairs, merge, check or serve.

On a CPU, with parts made on the spot and scenes as data:
    python -m sightline.mllm.stock pretrain --config mllm/configs/stock-tiny.yaml
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ...errors import InputError, SightlineError
from . import serve
from .config import load_config


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status: 0, or 2 with one line on what was wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m sightline.mllm.stock", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, help_text in (
        ("build", "compose the parts and save them, untrained, in OUTPUT/build"),
        ("pretrain", "train the connector"),
        ("instruct", "train on turns of instruction and answer"),
        ("align", "train on preference pairs, by segment-weighted DPO"),
        ("pairs", "sample answers, judge them by the data's own, and write preference pairs"),
    ):
        sub = commands.add_parser(name, help=help_text)
        sub.add_argument(
            "--config", required=True, help="a YAML file, e.g. mllm/configs/stock-siglip-qwen.yaml"
        )
        sub.add_argument(
            "--set",
            action="append",
            default=[],
            metavar="KEY=VALUE",
            help="override, e.g. instruct.rate=1e-4",
        )
        if name in ("pretrain", "instruct", "align"):
            sub.add_argument("--resume", action="store_true", help="go on from the last checkpoint, exactly")
        if name == "pairs":
            sub.add_argument("--model", required=True, help="the directory of the model that answers")
            sub.add_argument("--output", required=True, help="the .jsonl file to write")
            sub.add_argument("--count", type=int, default=4, help="answers sampled for a question")
            sub.add_argument(
                "--with-truth", action="store_true", help="the true answer stands among the sampled ones"
            )
            sub.add_argument("--new-tokens", type=int, default=64, help="most tokens of an answer")
    sub = commands.add_parser("merge", help="add a LoRA adapter to its model and save the whole")
    for option in ("--model", "--adapter", "--output"):
        sub.add_argument(option, required=True)
    sub = commands.add_parser("check", help="load a directory and say what it is, or what is wrong with it")
    sub.add_argument("model")
    sub = commands.add_parser("serve", help="an OpenAI-compatible server for a saved model")
    sub.add_argument("model")
    sub.add_argument("--host", default="127.0.0.1")
    sub.add_argument("--port", type=int, default=8000)
    sub.add_argument("--device", default="auto")
    options = parser.parse_args(arguments)
    try:
        return _run(options)
    except SightlineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _run(options: argparse.Namespace) -> int:
    if options.command == "serve":
        line = serve.command(options.model, options.host, options.port, options.device)
        print(f"serving {options.model} at http://{options.host}:{options.port}/v1", flush=True)
        return subprocess.run(line, env=serve.environment(), check=False).returncode  # noqa: S603
    from . import build, checkpoints, train

    if options.command == "merge":
        print(f"saved {checkpoints.merge_lora(options.model, options.adapter, options.output)}")
        return 0
    if options.command == "check":
        model, processor = checkpoints.load(options.model)
        count = sum(p.numel() for p in model.parameters())
        print(
            f"{options.model}: {type(model).__name__}, {type(processor).__name__}, {count:,} parameters; loads whole"
        )
        return 0
    config = load_config(options.config, options.set)
    if options.command == "build":
        from transformers import set_seed

        set_seed(config.seed)
        print(f"saved {build.save(*build.compose(config.model), Path(config.output) / 'build')}")
        return 0
    if options.command == "pairs":
        return _pairs(options, config)
    train.run_stage(config, options.command, options.resume)
    return 0


def _pairs(options: argparse.Namespace, config: object) -> int:
    from transformers import set_seed

    from . import checkpoints, pairs, samples, sampling
    from .config import StockConfig

    assert isinstance(config, StockConfig)
    if config.instruct is None:
        raise InputError(
            "pairs are sampled for the questions of the section instruct; the configuration has none"
        )
    set_seed(config.seed)
    model, processor = checkpoints.load(options.model)
    records = [
        r
        for section in config.instruct.data
        for r in pairs.prompts_of(samples.conversations(section), section.images)
    ]
    sample = sampling.sampler(model, processor, new_tokens=options.new_tokens)
    found = pairs.pairs_from_samples(
        records, sample, pairs.truth_judge, options.count, with_truth=options.with_truth
    )
    count = pairs.write_pairs(options.output, found)
    print(f"{count:,} pairs from {len(records):,} questions in {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
