"""How much hallucination verification takes away, and what it costs: on recorded photographs and on drawn scenes.

    python -m benchmarks.verification recorded [--data ../shared/data/hallucination] [--records FILE]
        [--half report|calibration|all|crossed] [--diagram FILE.svg]
    python -m benchmarks.verification scenes [--pictures 100] [--split test] [--stream 0]
    python -m benchmarks.verification cost [--pictures 20]

recorded: CHAIR and POPE before and after at the learned thresholds, then the trade-off curve, with 95% intervals over pictures.
`--half report` (the default) takes the pictures that calibration `recorded_half` was not fitted on; `--half all`, for a file of
other pictures, uses `recorded`, which was fitted on all of them; `--half crossed` judges each fifth of the pictures by a
calibration fitted on the other four. `--diagram` draws reliability, risk-coverage and the trade-off. scenes: false claims a response by kind before and after, for
the starter's own captions and for true captions with one claim made false; and true claims made wrong. cost: calls and
milliseconds beside a plain sequential Woodpecker (Yin et al. 2023) of the same parts, its language-model calls only counted.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from sightline.agent.verification import measure
from sightline.agent.verification.recorded import PACK, halves, read_rows, recorded_models
from sightline.agent.verification.reliability import Reliability, shipped
from sightline.mllm.evaluation.hallucination.chair import Synonyms
from sightline.programs.engine import Engine
from sightline.tools.imagefile import write_whole
from sightline.tools.models import Models
from sightline.tools.values import Image, digest

FOLDS = 5
_DATA = Path(os.environ.get("SIGHTLINE_DATA", "../shared/data")) / "hallucination"


def recorded(given: argparse.Namespace) -> dict[str, Any]:
    records = given.records or given.data / "coco_recorded_dev.jsonl"
    rows = read_rows(records)
    reliability = (
        Reliability.load(given.calibration)
        if given.calibration
        else shipped(PACK if given.half == "all" else f"{PACK}_half")
    )
    if given.half == "crossed":
        found = crossed(rows, given)
        if given.diagram is not None:
            draw(found, None, given.diagram)
        return found
    if given.half != "all":
        calibration, report = halves((row["image"] for row in rows), given.seed)
        chosen = set(report if given.half == "report" else calibration)
        rows = [row for row in rows if row["image"] in chosen]
    engine = Engine(recorded_models(records))
    found = measure.curve(rows, engine, reliability, Synonyms.read(given.data / "synonyms.txt"), given.seed)
    if given.diagram is not None:
        draw(found, reliability, given.diagram)
    return found


def crossed(rows: list[dict[str, Any]], given: argparse.Namespace) -> dict[str, Any]:
    """All pictures, each fifth by a calibration fitted on the other four: its features, thresholds and all."""
    from sightline.agent.verification import fitting
    from sightline.agent.verification.calibrate import base_of, fit

    engine = Engine(recorded_models(given.records or given.data / "coco_recorded_dev.jsonl"))
    base = base_of(rows, given.data / "llava15_greedy_captions.jsonl", given.data / "llava15_objects.json")
    fold = fitting.folds([row["image"] for row in rows], FOLDS, given.seed)
    fits = []
    for k in range(FOLDS):
        fits.append(fit([r for r, f in zip(rows, fold, strict=True) if f != k], base, engine, {})[0])
    return measure.curve(
        rows, engine, lambda row: fits[fold[row]], Synonyms.read(given.data / "synonyms.txt"), given.seed
    )


def draw(found: dict[str, Any], reliability: Reliability | None, path: Path) -> None:
    """The trade-off, and how well the calibration's probabilities hold, as one SVG file."""
    from sightline.agent.verification import diagram

    write_whole(
        path, diagram.page(found, dict(reliability.provenance) if reliability is not None else {}).encode()
    )


def drawn(given: argparse.Namespace) -> dict[str, Any]:
    """On scenes of the test split, which nothing was fitted on; causes are looked for on other streams of the validation split."""
    from sightline.agent.verification.measure_scenes import injected, run, summarise
    from sightline.agent.verification.scene_truth import KINDS, scenes

    engine = Engine(Models.from_pack(given.pack))
    pictures = list(scenes(given.split, given.stream, given.pictures))
    said = dict(
        zip(
            (d.image.hash for d in pictures),
            engine.models.get("mllm").caption([d.image for d in pictures]),
            strict=True,
        )
    )
    found = {
        "starter captions": summarise(
            run(pictures, lambda _: engine, lambda d: said[d.image.hash], speaker="mllm")
        )
    }
    for kind in ("", *KINDS):
        rows = run(pictures, lambda _: engine, injected(kind, given.stream))
        if rows:
            found[f"one false {kind}" if kind else "all true"] = summarise(rows)
    return found


def show_scenes(found: dict[str, Any]) -> None:
    for name, one in found.items():
        told = ", ".join(
            f"{kind} {v['before']:.2f} -> {v['after']:.2f} ({100 * v['reduction']:.0f}% less)"
            for kind, v in one["kinds"].items() if v["before"]
        )  # fmt: skip
        print(f"{name} (n {one['n']}): {told or 'nothing false'}; true claims made wrong {100 * one['mis_corrections']:.2f}% "
              f"[{100 * one['mis_corrections_ci'][0]:.2f}, {100 * one['mis_corrections_ci'][1]:.2f}], struck with what they hang on {100 * one['true_claims_struck']:.2f}%, retained "
              f"{100 * one['true_claims_retained']:.1f}%; {one['passes']:.2f} passes, {one['calls']:.1f} calls, "
              f"{one['ms_per_claim']:.0f} ms a claim")  # fmt: skip


def cost(given: argparse.Namespace) -> dict[str, Any]:
    from sightline.agent.verification.measure_scenes import injected, run, summarise
    from sightline.agent.verification.scene_truth import scenes

    engine = Engine(Models.from_pack(given.pack))
    pictures = list(scenes(given.split, given.stream, given.pictures))
    engine.models.get("mllm").answer(
        [pictures[0].image], ["Is there a dog in the picture?"]
    )  # load before the clock runs
    engine.models.get("detector").detect([pictures[0].image])
    draft = injected("", given.stream)
    plain = [woodpecker(d, draft(d) or "", engine.models) for d in pictures]
    ours = summarise(run(pictures, lambda _: engine, draft))
    claims = sum(row["claims"] for row in plain)
    return {
        "ours": {k: ours[k] for k in ("model_calls", "passes", "calls", "ms", "ms_per_claim", "claims")},
        "woodpecker": {k: round(sum(row[k] for row in plain) / len(plain), 2) for k in ("model_calls", "passes", "calls", "ms")}
        | {"ms_per_claim": round(sum(row["ms"] for row in plain) / max(1, claims), 2)},
    }  # fmt: skip


def woodpecker(one: Any, draft: str, models: Models) -> dict[str, float]:
    """Five stages, one after the other: a detector pass a sentence, questions on every instance's crop, no cache, no batch."""
    from sightline.agent.verification.claims import extract

    started = time.perf_counter()
    found = extract(draft)
    calls = passes = model_calls = 0
    for number in range(len(found.sentences)):
        model_calls += 2  # key concepts, and questions
        names = {c.entities[0] for c in found.claims if c.sentence == number and c.kind == "existence"}
        if not names:
            continue
        fresh = Image.from_array(one.image.pixels + np.uint8(0))
        (regions,) = models.get("detector").detect([_unseen(fresh, passes)])
        passes += 1
        calls += 1
        asked = [c for c in found.claims if c.sentence == number and c.kind == "attribute"]
        for region in [r for r in regions if any(r.label == n for n in names)]:
            for claim in asked or [None]:
                what = (
                    f"Is the {claim.entities[0]} {claim.value}?"
                    if claim is not None
                    else f"What color is the {region.label}?"
                )
                models.get("mllm").answer([one.image.crop(region.box)], [what])
                calls += 1
    model_calls += 2  # claims from answers, and the correction
    return {"model_calls": model_calls, "passes": passes, "calls": calls, "ms": (time.perf_counter() - started) * 1e3,
            "claims": len(found.claims)}  # fmt: skip


def _unseen(image: Image, number: int) -> Image:
    """The same pixels under another hash, so that no back end remembers them: Woodpecker keeps nothing between sentences."""
    return Image(
        size=image.size,
        pixels=image.pixels,
        content_hash=digest(image.hash, str(number)),
        source=image.source,
    )


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
    one.add_argument("--half", choices=("report", "calibration", "all", "crossed"), default="report")
    one.add_argument("--diagram", type=Path, help="write the diagrams to this SVG file")
    one.add_argument("--seed", type=int, default=0)
    one.add_argument("--json", action="store_true")
    one.set_defaults(run=recorded, show=show)
    for name, action, view, count in (
        ("scenes", drawn, show_scenes, 100),
        ("cost", cost, lambda f: print(json.dumps(f, indent=1)), 20),
    ):
        one = commands.add_parser(name, help="drawn scenes, pack scenes")
        one.add_argument("--pictures", type=int, default=count)
        one.add_argument("--stream", type=int, default=0)
        one.add_argument("--split", choices=("test", "val"), default="test")
        one.add_argument("--pack", default="scenes")
        one.add_argument("--json", action="store_true")
        one.set_defaults(run=action, show=view)
    given = parser.parse_args()
    found = given.run(given)
    if given.json:
        print(json.dumps(found, indent=1))
    else:
        given.show(found)


if __name__ == "__main__":
    main()
