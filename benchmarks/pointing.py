"""Pointing at a thing and asking: "what is this?", "how many like this?", "is it left of the bus?", by click, box and mask.

    python -m benchmarks.pointing [--scenes 100] [--seed 0] [--pack scenes] [--namers] [--out benchmarks/out/pointing.json]

Every held-out scene gives one thing to point at, well visible and nameable, and the three questions about it; the scenes take
turns with the form of the mark: a click on a pixel of the thing chosen by chance, its box a few pixels off, or its mask. A
relation is asked only where nobody could argue, yes and no in turn. `--namers` also measures, on the same marks, who names the
thing best: the detector's smallest box there, the core MLLM's region skill on the whole picture, the core MLLM's answer about
the crop, and the classifier over the detector's names.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.mode_questions import stands_so
from sightline.agent.agent import Agent
from sightline.agent.records import Answer, Mark, Style
from sightline.mllm.scenes.render import Rendered, render
from sightline.mllm.scenes.schema import SceneObject
from sightline.mllm.scenes.vocabulary import KINDS
from sightline.mllm.scenes.world import SceneConfig, make_scene, split_seed
from sightline.tools.values import Image, Mask

STREAM = 60  # of held-out scenes, and the next ones for other seeds; no other benchmark uses them
CONFIG = SceneConfig(min_objects=3, empty=0.0, layouts=(("scattered", 0.8), ("grid", 0.2)))
FORMS = ("click", "box", "mask")
NAMING = ("What is this?", "What's this?", "What is that?", "what is it?", "What did I click on?")
LIKE = ("How many like this?", "How many like this are there?", "How many things like this are there?", "How many of these are there?",
        "How many things of this kind do you see?")  # fmt: skip
BESIDE = (
    "Is it {rel} the {n}?",
    "Is this {rel} the {n}?",
    "Is this thing {rel} the {n}?",
    "Is that {rel} the {n}?",
)
RELATIONS = ("left of", "right of", "above", "below")


@dataclass(frozen=True, slots=True)
class Asked:
    """One question about a mark; `truth` is a kind, a number, or yes or no."""

    kind: str  # "name", "like" or "beside"
    question: str
    truth: str


@dataclass(frozen=True, slots=True)
class Place:
    """One thing of one scene, marked, with the questions about it."""

    number: int
    form: str
    picture: Image
    mark: Mark
    thing: SceneObject
    asked: tuple[Asked, ...]


def places(scenes: int, seed: int) -> Iterator[Place]:
    """The marks and questions of a seed, the same on every machine."""
    found = 0
    wanted = True  # whether the next relation asked should hold
    for index in range(40 * scenes):
        rng = random.Random(f"pointing {seed} {index}")
        drawn = render(make_scene(split_seed("test", STREAM + seed, index), CONFIG))
        form = FORMS[found % len(FORMS)]
        place = _place(drawn, form, wanted, index, rng)
        if place is not None:
            yield place
            found += 1
            wanted = not wanted
            if found == scenes:
                return


def _place(drawn: Rendered, form: str, wanted: bool, index: int, rng: random.Random) -> Place | None:
    things = drawn.scene.objects
    clear = [n for n, o in enumerate(things) if _nameable(o) and o.visible >= 0.8]
    if len(clear) < 2 or any(_nameable(o) and o.visible < 0.6 for o in things):
        return None
    chosen = rng.choice(clear)
    thing = things[chosen]
    others = [
        o
        for o in things
        if _nameable(o) and sum(p.kind == o.kind for p in things) == 1 and o.kind != thing.kind
    ]
    pairs = [(o, rel) for o in others for rel in RELATIONS if stands_so(thing, o, rel) is wanted]
    if not pairs:
        return None
    other, relation = rng.choice(pairs)
    number = sum(o.kind == thing.kind for o in things)
    asked = (
        Asked("name", rng.choice(NAMING), thing.kind),
        Asked("like", rng.choice(LIKE), str(number)),
        Asked("beside", rng.choice(BESIDE).format(rel=relation, n=other.kind), "yes" if wanted else "no"),
    )
    return Place(index, form, Image.from_array(drawn.image), _mark(drawn, chosen, form, rng), thing, asked)


def _nameable(thing: SceneObject) -> bool:
    return thing.kind in KINDS and thing.kind not in ("sign", "word")


def _mark(drawn: Rendered, chosen: int, form: str, rng: random.Random) -> Mark:
    mask = drawn.masks[chosen]
    if form == "mask":
        return Mark(mask=Mask.from_array(mask))
    if form == "click":
        rows, columns = np.nonzero(mask)
        at = rng.randrange(len(rows))
        return Mark(points=((float(columns[at]) + 0.5, float(rows[at]) + 0.5, True),))
    x1, y1, x2, y2 = drawn.scene.objects[chosen].box
    slip = [rng.randint(-3, 3) for _ in range(4)]
    width, height = drawn.scene.width, drawn.scene.height
    return Mark(
        box=(
            max(0.0, x1 + slip[0]), max(0.0, y1 + slip[1]), min(float(width), x2 + slip[2]),
            min(float(height), y2 + slip[3]),
        )
    )  # fmt: skip


def right(asked: Asked, answer: Answer) -> bool:
    """Whether an answer says the truth, by its words: a name as a whole word, a number or yes and no as the first one."""
    text = answer.text.lower()
    if answer.status != "done":
        return False
    if asked.kind == "name":
        return re.search(rf"\b{re.escape(asked.truth)}\b", text) is not None
    if asked.kind == "like":
        words = "zero one two three four five six seven eight nine".split()
        numbers = re.findall(r"\d+", text) + [
            str(n) for n, w in enumerate(words) if re.search(rf"\b{w}\b", text)
        ]
        numbers += ["0"] if re.search(r"\bno\b|\bnone\b|\bnothing\b", text) else []
        return asked.truth in numbers
    return text.startswith(asked.truth) or text.strip(" .") == {"yes": "true", "no": "false"}[asked.truth]


def namers(agent: Agent, place: Place) -> dict[str, str]:
    """What each of those who could name the marked thing says."""
    from sightline.tools.values import Regions

    engine = agent.engine
    with_mark = {"IMAGE": place.picture}
    mark = place.mark
    if mark.points:
        x, y, _ = mark.points[0]
        segment = f"OBJ0=SEGMENT(image=IMAGE,point=[{x},{y}])"
        spot = (x, y, x, y)
    else:
        box = mark.box or (mark.mask.box if mark.mask is not None else (0.0, 0.0, 1.0, 1.0))
        segment = f"OBJ0=SEGMENT(image=IMAGE,box=[{', '.join(str(v) for v in box)}])"
        spot = box
    program = (
        f"{segment}\nIMAGE0=CROP(image=IMAGE,box=OBJ0)\n"
        "ANSWER0=VQA(image=IMAGE0,question='What is this?')\nFINAL_RESULT=RESULT(var=ANSWER0)\n"
    )
    result = engine.run([program, "ALL0=SEG(image=IMAGE)\nFINAL_RESULT=RESULT(var=ALL0)\n"], with_mark)
    values = {step.name: step.value for ran in result.results for step in ran.steps}
    from sightline.agent.marks import covering

    found = covering(mark, list(values["ALL0"] or ()), place.picture)
    mllm: Any = engine.models.get("mllm", op="benchmarks.pointing")
    said = mllm._answerer.describe(mllm._look([place.picture])[0], spot)
    vocabulary = list(engine.models.get("detector", op="benchmarks.pointing").vocabulary)
    classifier = engine.models.get("classifier", op="benchmarks.pointing")
    region = values["OBJ0"] or Regions()
    crop = place.picture.crop(region.box) if region else place.picture
    (row,) = classifier.classify([crop], [vocabulary])
    return {
        "detector": found.label if found is not None else "", "region skill": said, "crop": str(values["ANSWER0"]),
        "classifier": vocabulary[int(np.argmax(row))],
    }  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", type=int, default=100)
    parser.add_argument(
        "--seed", type=int, default=0, help="0 was looked at while this was built; others were not"
    )
    parser.add_argument("--pack", default="scenes")
    parser.add_argument("--mode", default="auto")
    parser.add_argument("--namers", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/out/pointing.json"))
    options = parser.parse_args(arguments)
    rows: list[dict[str, Any]] = []
    with Agent("starter", options.pack, style=Style(length="sentence")) as agent:
        for place in places(options.scenes, options.seed):
            named = namers(agent, place) if options.namers else {}
            for asked in place.asked:
                answer = agent.ask(place.picture, asked.question, place.mark, options.mode)
                rows.append(
                    {
                        "scene": place.number, "form": place.form, "kind": asked.kind, "question": asked.question,
                        "truth": asked.truth, "text": answer.text, "right": right(asked, answer), "mode": answer.mode,
                        "status": answer.status, "program": answer.program, "error": answer.error, "namers": named,
                    }
                )  # fmt: skip
                if not rows[-1]["right"]:
                    print(
                        f"{place.number} {place.form}: {asked.question}  {asked.truth} != {answer.text or answer.error}"
                    )
    report = summary(rows)
    print(json.dumps(report, indent=1))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({"report": report, "rows": rows}, indent=1), encoding="utf-8")
    return 0


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Right answers by question, and by form of the mark; of those who name the thing, how often each is right."""
    report: dict[str, Any] = {}
    for kind in ("name", "like", "beside"):
        asked = [r for r in rows if r["kind"] == kind]
        by_form = {form: _share([r["right"] for r in asked if r["form"] == form]) for form in FORMS}
        report[kind] = {"all": _share([r["right"] for r in asked])} | by_form
    report["all"] = _share([r["right"] for r in rows])
    named = [r for r in rows if r["kind"] == "name" and r["namers"]]
    for who in named[0]["namers"] if named else ():
        said = [
            re.search(rf"\b{re.escape(r['truth'])}\b", r["namers"][who].lower()) is not None for r in named
        ]
        report[f"named by {who}"] = _share(said)
    return report


def _share(right: Sequence[bool]) -> str:
    return f"{sum(right)} of {len(right)}"


if __name__ == "__main__":
    sys.exit(main())
