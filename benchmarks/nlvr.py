"""Human-written statements about pictures (NLVR v1 dev, Suhr et al. 2017), answered from pixels by the starter.

    python -m benchmarks.nlvr [--data ../shared/data/nlvr] [--half report] [--modes program,direct,auto] [--limit 0]

The 989 statements are split by sentence, so that no sentence is in both halves: `work` may be looked at, `report` is what is
told. The halves are fixed by SEED and written out in `nlvr_split.json`. A statement counts as right where the answer is yes
(or true) and its label is true, or no and false; anything else is wrong. With oracle tools the same plans see what the
dataset says is in each picture: grey boxes, shapes, blocks, towers.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.modes import LIMITS, Remembering, said
from sightline.agent.agent import Agent
from sightline.agent.language import NO, YES
from sightline.agent.oracle import Stage, oracle_models
from sightline.agent.records import Answer, Style
from sightline.errors import InputError
from sightline.mllm.evaluation.bootstrap import interval, paired, ratio
from sightline.mllm.scenes.schema import Scene, SceneObject
from sightline.tools.models import Models
from sightline.tools.values import Image

SEED = 20262
FRAME = "True or false: {0}"  # how a statement is put to the agent, in every mode
SPLIT = Path(__file__).with_name("nlvr_split.json")
_COLORS = {"yellow": "yellow", "black": "black", "#0099ff": "blue"}
_SIZES = {10: "small", 20: "medium", 30: "large"}
_STRIDE, _SIDE = 150, 100  # pixels from one grey box to the next, and of its side


def read(folder: Path) -> list[dict[str, Any]]:
    """The rows of dev.json; InputError where the folder does not hold the dataset."""
    path = folder / "dev.json"
    if not path.is_file():
        raise InputError(f"{path} is missing; give the folder of NLVR's dev split with --data")
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]


def halves(rows: Sequence[Mapping[str, Any]], seed: int = SEED) -> dict[str, list[str]]:
    """The identifiers of each half, split by sentence (case and spaces ignored)."""
    sentences = sorted({" ".join(r["sentence"].lower().split()) for r in rows})
    random.Random(seed).shuffle(sentences)
    work = set(sentences[: len(sentences) // 2])
    found: dict[str, list[str]] = {"work": [], "report": []}
    for row in rows:
        half = "work" if " ".join(row["sentence"].lower().split()) in work else "report"
        found[half].append(row["identifier"])
    return {half: sorted(ids) for half, ids in found.items()}


def scene_of(row: Mapping[str, Any], size: tuple[int, int]) -> Scene:
    """What the dataset says is in the picture, as a scene: shapes or blocks, the grey boxes, and towers."""
    objects: list[SceneObject] = []
    for number, items in enumerate(row["structured_rep"]):
        left = number * _STRIDE
        objects.append(SceneObject("box", "container", "gray", "large", (left, 0, left + _SIDE, _SIDE)))
        tower = bool(items) and all(
            i["type"] == "square" and i["x_loc"] == 40 and i["size"] == 20 for i in items
        )
        boxes = [
            (left + i["x_loc"], i["y_loc"], left + i["x_loc"] + i["size"], i["y_loc"] + i["size"])
            for i in items
        ]
        for item, box in zip(items, boxes, strict=True):
            kind = "block" if tower else item["type"]
            color = _COLORS.get(item["color"].lower(), "gray")
            objects.append(
                SceneObject(kind, "shape", color, _SIZES.get(item["size"], "medium"), tuple(map(round, box)))
            )
    return Scene(int(row["identifier"].split("-")[0]), *size, tuple(objects))


def verdict(answer: Answer) -> str:
    """ "true", "false", or '' where the answer is neither."""
    text = said(answer, "yes")
    return "true" if text in YES else "false" if text in NO else ""


def measure(
    agent: Agent,
    memory: Remembering,
    mode: str,
    rows: Sequence[Mapping[str, Any]],
    pictures: Mapping[str, Image],
) -> list[dict[str, Any]]:
    found = []
    for row in rows:
        memory.saved_ms = 0.0
        answer = agent.ask(
            pictures[row["identifier"]], FRAME.format(row["sentence"].strip()), mode=mode, verify=False, style=Style(length="short"),
            limits=LIMITS, fall_back=mode == "auto",
        )  # fmt: skip
        told = verdict(answer)
        found.append(
            {
                "id": row["identifier"], "sentence": row["sentence"], "label": row["label"], "said": said(answer),
                "right": told == row["label"], "why": _why(answer, told, row["label"]), "program": answer.program,
                "mode": answer.mode, "error": answer.error, "ms": answer.usage.ms + memory.saved_ms,
            }
        )  # fmt: skip
    return found


def _why(answer: Answer, told: str, label: str) -> str:
    """What kind of outcome it is."""
    if told == label:
        return "right"
    if answer.status == "failed":
        return "no plan or a failed step"
    return "answered the opposite" if told else "the plan answers another question"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = Path(os.environ.get("SIGHTLINE_DATA", "../shared/data")) / "nlvr"
    parser.add_argument("--data", type=Path, default=default)
    parser.add_argument("--half", choices=("work", "report"), default="report")
    parser.add_argument("--modes", default="program,direct,auto")
    parser.add_argument("--tools", default="real,oracle")
    parser.add_argument("--pack", default="scenes")
    parser.add_argument(
        "--limit", type=int, default=0, help="statements, drawn by the seed; 0: all of the half"
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks/out/nlvr.json"))
    options = parser.parse_args(arguments)
    rows = read(options.data)
    chosen = set(json.loads(SPLIT.read_text("utf-8"))[options.half])
    rows = [r for r in rows if r["identifier"] in chosen]
    if options.limit:
        rows = sorted(
            random.Random(SEED).sample(rows, min(options.limit, len(rows))), key=lambda r: r["identifier"]
        )
    pictures = {
        r["identifier"]: Image.open(options.data / "images" / f"dev-{r['identifier']}-0.png") for r in rows
    }
    memory = Remembering()
    if set(options.modes.split(",")) - {"direct"}:
        memory.prepare([FRAME.format(r["sentence"].strip()) for r in rows])
    found: dict[str, list[dict[str, Any]]] = {}
    for tools in options.tools.split(","):
        agent = _agent(tools, memory, options.pack, rows, pictures)
        for mode in options.modes.split(","):
            if tools == "oracle" and mode != "program":
                continue  # an oracle for whole statements would only repeat the labels
            started = time.perf_counter()
            name = f"{mode} {tools}"
            found[name] = measure(agent, memory, mode, rows, pictures)
            share = sum(r["right"] for r in found[name]) / len(rows)
            print(f"{name:<16}{share:.3f} of {len(rows)}  {time.perf_counter() - started:.0f} s", flush=True)
            _write(options.out, options.half, found)
    print(json.dumps(summary(found), indent=1))
    return 0


def _agent(
    tools: str,
    memory: Remembering,
    pack: str,
    rows: Sequence[Mapping[str, Any]],
    pictures: Mapping[str, Image],
) -> Agent:
    if tools == "real":
        return Agent(memory, Models.from_pack(pack))
    stage = Stage()
    for row in rows:
        image = pictures[row["identifier"]]
        stage.add(scene_of(row, image.size), image)
    return Agent(memory, oracle_models(stage))


def summary(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """Accuracy with its interval (statements resampled), beside the majority; what the wrong ones are; paired gaps."""
    report: dict[str, Any] = {}
    for name, rows in found.items():
        right = [float(r["right"]) for r in rows]
        low, high = interval([[r, 1.0] for r in right], ratio(0, 1))
        labels = Counter(r["label"] for r in rows)
        report[name] = {
            "accuracy": sum(right) / len(right), "low": low, "high": high, "n": len(right),
            "majority": max(labels.values()) / len(right), "outcomes": dict(Counter(r["why"] for r in rows)),
        }  # fmt: skip
    if {"program real", "program oracle"} <= set(found):
        report["program by cause"] = causes(found["program real"], found["program oracle"])
        report["program by construction"] = by_construction(found["program real"])
    if {"program real", "direct real"} <= set(found):
        first, second = ([float(r["right"]) for r in found[n]] for n in ("program real", "direct real"))
        mean, low, high = paired(first, second)
        report["program - direct"] = {"mean": mean, "low": low, "high": high}
    return report


def causes(real: Sequence[Mapping[str, Any]], oracle: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Why answers are wrong: the same plan is wrong on the truth too (planning), or right there (perception)."""
    truth = {row["id"]: row["right"] for row in oracle}
    counts = Counter(
        ("right" if truth[row["id"]] else "right in spite of its plan")
        if row["right"]
        else ("perception" if truth[row["id"]] else "planning")
        for row in real
    )
    return dict(counts)


CONSTRUCTIONS = {
    "stacks": ("GROUP(",), "edges": ("edge'", "corner'"), "held in boxes": ("HAVING(",),
    "on one another": ("relation='on'", "relation='under'"), "counts": ("COUNT(",),
}  # fmt: skip


def by_construction(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Accuracy by what the plan is made of: the first of CONSTRUCTIONS that it has."""
    kinds: dict[str, list[float]] = {}
    for row in rows:
        plan = row["program"] or ""
        kind = next(
            (k for k, marks in CONSTRUCTIONS.items() if any(m in plan for m in marks)), "none of them"
        )
        kinds.setdefault(kind, []).append(float(row["right"]))
    return {k: {"n": len(v), "accuracy": sum(v) / len(v)} for k, v in sorted(kinds.items())}


def _write(out: Path, half: str, found: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Figures, and rows without the sentences, which are the dataset's."""
    out.parent.mkdir(parents=True, exist_ok=True)
    rows = {
        name: [{k: v for k, v in r.items() if k != "sentence"} for r in many] for name, many in found.items()
    }
    report = {"half": half, "seed": SEED, "report": summary(found), "rows": rows}
    out.write_text(json.dumps(report, ensure_ascii=False, indent=1), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
