"""How much hallucination verification takes away, and what it costs in true words: recorded photographs.

    python -m benchmarks.verification recorded [--data ../shared/data/hallucination] [--records FILE] [--half report|calibration|all]

Prints CHAIR and POPE before and after at the learned thresholds, then the trade-off curve, each with 95% intervals over
pictures. `--half report` (the default) takes the pictures that the shipped calibration was not fitted on.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from sightline.agent.verification import measure
from sightline.agent.verification.recorded import PACK, halves, read_rows, recorded_models
from sightline.agent.verification.reliability import Reliability, shipped
from sightline.mllm.evaluation.hallucination.chair import Synonyms
from sightline.programs.engine import Engine

_DATA = Path(os.environ.get("SIGHTLINE_DATA", "../shared/data")) / "hallucination"


def recorded(given: argparse.Namespace) -> dict[str, Any]:
    records = given.records or given.data / "coco_recorded_dev.jsonl"
    rows = read_rows(records)
    reliability = Reliability.load(given.calibration) if given.calibration else shipped(PACK)
    if given.half != "all":
        calibration, report = halves((row["image"] for row in rows), given.seed)
        chosen = set(report if given.half == "report" else calibration)
        rows = [row for row in rows if row["image"] in chosen]
    engine = Engine(recorded_models(records))
    return measure.curve(rows, engine, reliability, Synonyms.read(given.data / "synonyms.txt"), given.seed)


def _ci(pair: Any) -> str:
    return f"[{pair[0]:.1f}, {pair[1]:.1f}]"


def show(found: dict[str, Any]) -> None:
    print(f"{found['pictures']} pictures")
    before, after = found["captions"]["before"], found["captions"]["after"]
    print(f"captions  CHAIRi {before['chair_i']:.2f} -> {after['chair_i']:.2f} ({after['chair_i_left']:.0f}% left {_ci(after['ci_left'])}), "
          f"CHAIRs {before['chair_s']:.1f} -> {after['chair_s']:.1f}, recall {before['recall']:.1f} -> {after['recall']:.1f} "
          f"(kept {after['recall_kept']:.1f}% {_ci(after['ci_kept'])}), {after['changed']} changed")  # fmt: skip
    before, after = found["answers"]["before"], found["answers"]["after"]
    print(f"answers   accuracy {100 * before['accuracy']:.2f} -> {100 * after['accuracy']:.2f} (gain {after['gain']:.2f} "
          f"{_ci(after['ci_gain'])}), yes-recall {100 * before['recall']:.1f} -> {100 * after['recall']:.1f} (lost {after['recall_lost']:.2f} "
          f"{_ci(after['ci_lost'])}), precision {100 * before['precision']:.1f} -> {100 * after['precision']:.1f}")  # fmt: skip
    print("threshold   CHAIRi   left%            kept%            gain             yes-recall lost")
    for p in found["curve"]:
        print(f"  {p['threshold']:.2f}      {p['chair_i']:5.2f}  {p['chair_i_left']:5.0f} {_ci(p['ci_left']):<14} {p['recall_kept']:5.1f} "
              f"{_ci(p['ci_kept']):<14} {p['gain']:5.2f} {_ci(p['ci_gain']):<12} {p['recall_lost']:5.2f} {_ci(p['ci_lost'])}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("recorded", help="LLaVA-1.5's words about photographs with recorded detections")
    one.add_argument(
        "--data", type=Path, default=_DATA, help="folder with the records and CHAIR's synonyms.txt"
    )
    one.add_argument("--records", type=Path, help="another file of recorded pictures")
    one.add_argument("--calibration", type=Path, help="another calibration file")
    one.add_argument("--half", choices=("report", "calibration", "all"), default="report")
    one.add_argument("--seed", type=int, default=0)
    one.add_argument("--json", action="store_true")
    one.set_defaults(run=recorded)
    given = parser.parse_args()
    found = given.run(given)
    if given.json:
        print(json.dumps(found, indent=1))
    else:
        show(found)


if __name__ == "__main__":
    main()
