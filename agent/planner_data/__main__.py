"""Write planner examples as JSON lines: python -m sightline.agent.planner_data --split train --seed 0 --count 1000 --out F"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from itertools import islice
from typing import TextIO

from ...errors import SightlineError
from .stream import CHINESE_SHARE, SPLITS, PlannerExample, planner_examples


def main(arguments: list[str] | None = None) -> int:
    """Write `--count` rows; 0 when done, 2 for bad input."""
    parser = argparse.ArgumentParser(prog="python -m sightline.agent.planner_data", description=__doc__)
    parser.add_argument("--split", default="train", choices=list(SPLITS), help="which examples")
    parser.add_argument("--seed", type=int, default=0, help="the stream's seed")
    parser.add_argument("--count", type=int, default=1000, help="how many rows")
    parser.add_argument(
        "--chinese", type=float, default=CHINESE_SHARE, help="share of Chinese requests, 0 to 1"
    )
    parser.add_argument("--family", action="append", default=[], help="only this family; may be repeated")
    parser.add_argument("--out", default="-", help="the file to write; - for standard output")
    options = parser.parse_args(arguments)
    try:
        rows = islice(
            planner_examples(options.seed, options.split, options.chinese, tuple(options.family)),
            options.count,
        )
        if options.out == "-":
            _write(rows, sys.stdout)
        else:
            with open(options.out, "w", encoding="utf-8") as file:
                _write(rows, file)
    except (SightlineError, OSError) as error:
        print(f"planner data: {error}", file=sys.stderr)
        return 2
    return 0


def _write(rows: Iterable[PlannerExample], file: TextIO) -> None:
    for row in rows:
        file.write(json.dumps(row.to_json(), ensure_ascii=False) + "\n")


if __name__ == "__main__":
    raise SystemExit(main())
