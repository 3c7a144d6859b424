"""Train the starter core MLLM, one stage at a time.

    python -m sightline.mllm.train tokenizer --config mllm/configs/starter-tokenizer.yaml
    python -m sightline.mllm.train pretrain  --config mllm/configs/starter-pretrain.yaml
    python -m sightline.mllm.train instruct  --config mllm/configs/starter-instruct.yaml
    python -m sightline.mllm.train words     --config mllm/configs/starter-words.yaml
    python -m sightline.mllm.train export    --config mllm/configs/starter-export.yaml
    python -m sightline.mllm.train align     --config mllm/configs/starter-align.yaml

A run that was stopped goes on from its last checkpoint when the same command is given again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ..errors import SightlineError


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; exits with 2 on bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m sightline.mllm.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("stage", choices=("tokenizer", "pretrain", "instruct", "words", "export", "align"))
    parser.add_argument("--config", required=True, help="YAML file of the stage")
    parser.add_argument("--output", help="another folder than the config's")
    options = parser.parse_args(argv)
    try:
        from .training.align import AlignRun, run_align
        from .training.options import read_options
        from .training.stages import read_config, run_stage
        from .training.words_run import read_words_run, run_words

        if options.stage == "align":
            alignment = read_options(options.config, AlignRun)
            alignment.output = options.output or alignment.output
            run_align(alignment, lambda line: print(line, flush=True))
            return 0
        if options.stage == "words":
            run = read_words_run(options.config)
            run.output = options.output or run.output
            run_words(run, lambda line: print(line, flush=True))
            return 0
        config = read_config(options.config)
        if options.output:
            config.output = options.output
        run_stage(options.stage, config, lambda line: print(line, flush=True))
    except SightlineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
