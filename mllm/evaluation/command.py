"""The frame of the evaluation commands: the options that they share, one line for bad input, a table or one JSON object."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any

from ...errors import SightlineError


def parser(name: str, description: str | None, *, model: bool = True) -> argparse.ArgumentParser:
    """A parser with --seed, --threads and --json, and --model where the command takes a starter's folder.

    Args:
        name: of the module below `mllm.evaluation`.
        description: the module's docstring.
    """
    made = argparse.ArgumentParser(
        prog=f"python -m sightline.mllm.evaluation.{name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if model:
        made.add_argument("--model", required=True, help="folder of a starter")
    made.add_argument("--seed", type=int, default=0, help="stream of held-out scenes")
    made.add_argument("--threads", type=int, default=0, help="CPU threads; 0: torch's own choice")
    made.add_argument("--json", action="store_true", help="one JSON object on standard output")
    return made


def run(
    options: argparse.Namespace, measure: Callable[[], dict[str, Any]], table: Callable[[dict[str, Any]], str]
) -> int:
    """Measure under the shared options and print what was found; the exit status, 2 for bad input."""
    import torch

    if options.threads:
        torch.set_num_threads(options.threads)
    try:
        result = measure()
    except SightlineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(json.dumps(result, ensure_ascii=False) if options.json else table(result))
    return 0
