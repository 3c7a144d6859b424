"""How long a click waits: the first on a picture, which encodes it, and later ones, which find it encoded.

    python -m benchmarks.clicks [--pack starter] [--against grabcut] [--picture examples/bus.jpg] [--side 1024] [--threads 2]

Pictures are made `side` pixels long. Writes medians in milliseconds, and two ratios that do not depend on the machine: a later
click to a first one, and the pack's segmenter to `--against`, measured in turn so that other load meets both alike.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sightline.errors import SightlineError
from sightline.tools.models import Models
from sightline.tools.roles import Prompt
from sightline.tools.values import Image

ROOT = Path(__file__).resolve().parent.parent


def enlarged(path: Path, side: int, shade: int) -> Image:
    """The picture `side` pixels long and a little darker, so that each round has a new one."""
    pixels = Image.open(path).pil()
    scale = side / max(pixels.size)
    resized = pixels.resize((round(pixels.width * scale), round(pixels.height * scale)))
    return Image.from_array(np.asarray(resized) - np.minimum(np.asarray(resized), shade))


def measure(segmenter: Any, picture: Image) -> tuple[float, list[float], float]:
    """Milliseconds of a first click, of three more about the same thing, and of a box."""
    w, h = picture.size
    places = [(0.5, 0.5, True), (0.55, 0.6, True), (0.1, 0.1, False), (0.45, 0.4, True)]
    clicks = tuple((w * x, h * y, on) for x, y, on in places)
    took = []
    for n in range(1, 5):
        began = time.perf_counter()
        segmenter.segment([picture], [Prompt(points=clicks[:n])])
        took.append((time.perf_counter() - began) * 1e3)
    began = time.perf_counter()
    segmenter.segment([picture], [Prompt(box=(0.3 * w, 0.3 * h, 0.7 * w, 0.7 * h))])
    return took[0], took[1:], (time.perf_counter() - began) * 1e3


def run(names: Sequence[str], path: Path, side: int, rounds: int) -> dict[str, Any]:
    """The report for one or two packs (or weightless back ends) by name."""
    from sightline.tools.backends import backends

    held: dict[str, Any] = {}
    for name in names:
        bare = name in backends() and backends()[name].weights == "package"
        models = (
            Models.from_pack("starter", overrides={"segmenter": {"backend": name}})
            if bare
            else Models.from_pack(name)
        )
        held[name] = models.get("segmenter", "benchmarks.clicks")
        measure(held[name], enlarged(path, side, 60))  # the first call of all loads libraries
    table: dict[str, dict[str, list[float]]] = {name: {"first": [], "later": [], "box": []} for name in names}
    for round_ in range(rounds):
        picture = enlarged(path, side, round_)
        for name, segmenter in held.items():
            first, later, box = measure(segmenter, picture)
            table[name]["first"].append(first)
            table[name]["later"] += later
            table[name]["box"].append(box)
    report: dict[str, Any] = {
        name: {f"{kind}_ms": round(statistics.median(values), 1) for kind, values in rows.items()}
        for name, rows in table.items()
    }
    for rows in report.values():
        rows["later_to_first"] = round(rows["later_ms"] / rows["first_ms"], 3)
    if len(names) == 2:
        one, other = (report[name] for name in names)
        report["ratio"] = {
            kind: round(one[f"{kind}_ms"] / other[f"{kind}_ms"], 3) for kind in ("first", "later", "box")
        }
    return {"side": side, "rounds": rounds, **report}


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; exits with 2 on bad input."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.clicks", description=__doc__)
    parser.add_argument("--pack", default="starter")
    parser.add_argument("--against", default="")
    parser.add_argument("--picture", type=Path, default=ROOT / "examples" / "bus.jpg")
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "out" / "clicks.json")
    options = parser.parse_args(argv)
    import torch

    torch.set_num_threads(options.threads)
    try:
        names = [options.pack, *([options.against] if options.against else [])]
        report = {"threads": options.threads, **run(names, options.picture, options.side, options.rounds)}
    except SightlineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
