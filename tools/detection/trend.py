"""What more time and more photographs would bring a detector, read off what it has had: two fitted trends.

    python -m sightline.tools.detection.trend --run runs/detector/photos-kd --config tools/detection/configs/photos.yaml \\
        [--run ANOTHER] [--figures figures.json]

Time: mAP50 of the probes of a run against the photographs seen, as c - a * seen^-b (a power law with a ceiling), fitted to the
steps before the rate falls and read at two and four times as many. Photographs: AP50 of each class (`sightline eval detector
--json`) against the binary logarithm of its training boxes, with a 95% interval of the slope (bootstrap over classes).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError, SightlineError
from .photos import read_sets
from .train import RunConfig, read_config

_POWERS = np.linspace(0.05, 2.0, 79)  # exponents that are tried
_FEW = 5  # probes or classes below which nothing is fitted
_DRAWS = 2000
LEAST = 3  # things of a class that its AP50 must rest on


def probes(run: Path) -> list[tuple[int, float]]:
    """(step, mAP50) of a run's probes."""
    try:
        lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        return [(int(r["step"]), float(r["probe"]["map50"])) for r in rows if "probe" in r]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{run}: no metrics.jsonl of a detector's run ({type(error).__name__}: {error})"
        ) from error


def power_law(seen: Sequence[float], values: Sequence[float]) -> tuple[float, float, float]:
    """(c, a, b) of c - a * seen^-b by least squares, with a not below 0 and c not above 1."""
    if len(seen) < _FEW:
        raise InputError(f"{len(seen)} probes; a trend needs {_FEW}")
    x, y = np.asarray(seen, float), np.asarray(values, float)
    best: tuple[float, float, float] = (float(y.mean()), 0.0, 1.0)
    least = float(((y - y.mean()) ** 2).sum())
    for b in _POWERS:
        basis = np.stack([np.ones(len(x)), -(x ** -float(b))], 1)
        (c, a), *_ = np.linalg.lstsq(basis, y, rcond=None)
        error = float(((basis @ (c, a) - y) ** 2).sum())
        if error < least and a >= 0 and c <= 1:
            best, least = (float(c), float(a), float(b)), error
    return best


def of_time(run: Path, config: RunConfig) -> dict[str, Any]:
    """The trend of one run: fitted before the rate falls, read where it stands and at two and four times as many photographs."""
    rows = probes(run)
    if len(rows) < _FEW:
        raise InputError(f"{run}: {len(rows)} probes; a trend needs {_FEW}")
    fall = int(config.loop.get("steps", rows[-1][0])) - int(config.loop.get("cooldown", 0))
    early = [(step * config.batch, value) for step, value in rows if step <= fall]
    c, a, b = power_law([s for s, _ in early], [v for _, v in early])
    last = early[-1][0]
    told = {f"at {k} x": round(c - a * (k * last) ** -b, 3) for k in (1, 2, 4)}
    return {
        "run": run.name, "photographs seen": last, "probes": len(early), "ceiling": round(c, 3), "power": round(b, 2),
        **told, "end": round(rows[-1][1], 3), "end seen": rows[-1][0] * config.batch,
    }  # fmt: skip


def of_boxes(figures: Path, config: RunConfig, seed: int = 0) -> dict[str, Any]:
    """AP50 gained with each doubling of a class's training boxes, over the classes of a report with `LEAST` things or more."""
    try:
        kinds = json.loads(figures.read_text(encoding="utf-8"))["kinds"]
        aps = {name: float(row["ap50"]) for name, row in kinds.items() if row["n"] >= LEAST}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{figures}: no report of sightline eval detector --json ({error})") from error
    counts = Counter(
        config.classes[k] for p in read_sets(Path(config.photos), config.classes) for k in p.kinds
    )
    rows = np.array([(np.log2(counts[name]), ap) for name, ap in aps.items() if counts[name]])
    if len(rows) < _FEW:
        raise InputError(f"{figures}: {len(rows)} classes with {LEAST} things or more; a trend needs {_FEW}")
    rng = np.random.default_rng(seed)
    draws = []
    for _ in range(_DRAWS):
        some = rows[rng.integers(0, len(rows), len(rows))]
        if np.ptp(some[:, 0]) > 0:
            draws.append(float(np.polyfit(some[:, 0], some[:, 1], 1)[0]))
    low, high = np.quantile(draws, [0.025, 0.975])
    return {
        "classes": len(rows), "AP50 per doubling of boxes": round(float(np.polyfit(rows[:, 0], rows[:, 1], 1)[0]), 3),
        "ci": [round(float(low), 3), round(float(high), 3)],
    }  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; prints a JSON object a line and exits with 2 on bad input."""
    parser = argparse.ArgumentParser(
        prog="trend", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, action="append", required=True, help="a run's output folder")
    parser.add_argument("--config", type=Path, required=True, help="the config of the runs")
    parser.add_argument("--figures", type=Path, help="what sightline eval detector --json printed")
    options = parser.parse_args(argv)
    try:
        config = read_config(options.config)
        for run in options.run:
            print(json.dumps(of_time(run, config)))
        if options.figures:
            print(json.dumps(of_boxes(options.figures, config)))
    except SightlineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


__all__ = ["of_boxes", "of_time", "power_law", "probes"]

if __name__ == "__main__":
    sys.exit(main())
