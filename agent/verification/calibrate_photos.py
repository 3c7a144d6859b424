"""Fits the default calibration, for packs that nobody has measured, on photographs that people described.

    python -m sightline.agent.verification.calibrate_photos --photos DIR --detector yolox_nano.onnx [--words DIR] [--records FILE]

What people wrote about a photograph is taken as true; the same with one word exchanged (the colour, the side, the thing that it
stands to), and classes that are neither annotated nor named, as false. One closed detector looks, colours come from the middle of
its boxes: a modest pack, so that a better one is trusted too little and not too much. Answers of a core MLLM are worth what those
of LLaVA-1.5 were (`--records`), words read what those of pack `starter` were (`--words`).
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from ...mllm.evaluation.hallucination.pope import said_yes
from ...programs.engine import Engine
from ...tools.color import COLOR_NAMES
from ...tools.models import Models
from ...tools.values import Image
from . import fitting
from .claims import Claim, extract
from .evidence import Gatherer
from .recorded import read_rows
from .reliability import Reliability, Thresholds
from .verdicts import Judge, class_of

PRIOR = 0.85  # of the claims of a caption by a model, true
LOST = 0.03  # of the true claims of a kind that a threshold may cost
MOST_SURE = 0.3  # no claim is contradicted that is likelier true than this
UNMEASURED = (
    0.2  # the threshold of a kind of which nothing was observed: one true claim is worth four false ones
)
ABSENT = 6  # classes a picture that are not there
SIDES = {"left": "right", "right": "left", "above": "below", "below": "above"}


@dataclass(frozen=True)
class Photo:
    """A photograph with what people wrote of it and the boxes of its things by class."""

    image: Image
    captions: tuple[str, ...]
    things: dict[str, list[tuple[float, float, float, float]]]


def photos(folder: Path) -> Iterator[Photo]:
    """From a folder with `instances.json` (COCO) and `captions.json` ({file: [captions]})."""
    data = json.loads((folder / "instances.json").read_text("utf-8"))
    captions = json.loads((folder / "captions.json").read_text("utf-8"))
    names = {c["id"]: c["name"] for c in data["categories"]}
    for row in data["images"]:
        things: dict[str, list[tuple[float, float, float, float]]] = {}
        for one in data["annotations"]:
            if one["image_id"] == row["id"]:
                x, y, w, h = one["bbox"]
                things.setdefault(names[one["category_id"]], []).append((x, y, x + w, y + h))
        if (told := captions.get(row["file_name"])) and things:
            yield Photo(Image.open(folder / row["file_name"]), tuple(told), things)


class Counts:
    """What was observed of true and of false claims."""

    def __init__(self, base: Reliability, models: Models) -> None:
        self.base, self.engine = base, Engine(models)
        self.kinds: Counter[tuple[str, bool]] = Counter()
        self.looks: Counter[tuple[bool, bool]] = Counter()  # (seen, there)
        self.doubles = self.places = 0

    def look(self, photo: Photo, absent: Sequence[str], rng: Random) -> None:
        """Everything that one photograph tells."""
        gatherer = Gatherer(photo.image, self.engine)
        present = sorted(photo.things)
        listed = "There is " + ", ".join(f"a {name}" for name in (*present, *absent)) + "."
        found = extract(listed)
        evidence = gatherer.gather(found)
        for entity in found.entities:
            name = class_of(entity.name)
            for look in evidence.looks.get(entity.id, ()):
                if look.covered and name in (*present, *absent):
                    self.looks[look.score > 0, name in present] += 1
            if name in present and (seen := evidence.regions.get(entity.id)):
                self.doubles += max(0, len(seen) - len(photo.things[name]))
                self.places += 1
        for text, true in texts_of(photo, rng):
            told = extract(text)
            looked = gatherer.gather(told)
            verdicts = Judge(told, looked, self.engine.models, self.base).judge(told.claims)
            for claim in told.claims:
                observed = verdicts[claim.id].observed
                if observed.startswith(("color.", "relation.")) and exchanged(claim, true):
                    self.kinds[observed, true is None] += 1

    def read(self, image: Image, word: str, true: bool) -> None:
        """One word held against the picture of a word."""
        told = extract(f'The sign says "{word}".')
        looked = Gatherer(image, self.engine).gather(told)
        verdicts = Judge(told, looked, self.engine.models, self.base).judge(told.claims)
        for claim in told.claims:
            if claim.kind == "text" and (observed := verdicts[claim.id].observed or "text.none"):
                self.kinds[observed, true] += 1


def exchanged(claim: Claim, word: str | None) -> bool:
    """Whether a claim is the one that was made false; any, of a text that holds."""
    return word is None or claim.value == word or word in claim.text


def texts_of(photo: Photo, rng: Random) -> Iterator[tuple[str, str | None]]:
    """(text, the word that makes it false, or None where it holds)."""
    for caption in photo.captions:
        yield caption, None
        colors = [c for c in extract(caption).claims if c.kind == "attribute" and c.value in COLOR_NAMES]
        said = {c.value for c in colors}
        if colors:
            other = rng.choice([c for c in COLOR_NAMES if c not in said])
            low, high = rng.choice(colors).span
            yield caption[:low] + other + caption[high:], other
    single = [name for name, boxes in photo.things.items() if len(boxes) == 1]
    for one, two in [(a, b) for a in single for b in single if a < b][:4]:
        (a,), (b,) = photo.things[one], photo.things[two]
        side = (
            "left"
            if a[2] < b[0]
            else "right"
            if b[2] < a[0]
            else "above"
            if a[3] < b[1]
            else "below"
            if b[3] < a[1]
            else ""
        )
        if side:
            for word, wrong in ((side, None), (SIDES[side], SIDES[side])):
                where = f"to the {word} of" if word in ("left", "right") else word
                yield f"The {one} is {where} the {two}.", wrong
        near = rng.choice(("on", "next to"))
        if not any(one in c and two in c for c in photo.captions):
            yield f"The {one} is {near} the {two}.", near


def chances(kinds: Counter[tuple[str, bool]]) -> tuple[dict[str, float], dict[str, float]]:
    """(chance of a claim by observation, the largest threshold of each group)."""
    observations: dict[str, float] = {}
    thresholds: dict[str, float] = {}
    for group, kind in (("color", "attribute"), ("relation", "relation"), ("text", "text")):
        names = sorted({n for n, _ in kinds if n.startswith(f"{group}.")})
        sums = {t: sum(kinds[n, t] for n in names) + len(names) * 0.5 for t in (True, False)}
        for name in names:
            true, false = ((kinds[name, t] + 0.5) / sums[t] for t in (True, False))
            observations[name] = round(PRIOR * true / (PRIOR * true + (1 - PRIOR) * false), 4)
        rows = [(observations[n], float(t)) for n in names for t in (True, False) for _ in range(kinds[n, t])]
        if rows:
            p, y = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
            thresholds[kind] = round(min(MOST_SURE, fitting.largest(p, y, LOST * y.sum())), 4)
    return observations, thresholds


def answers_of(records: Path) -> dict[str, float]:
    """What an answer of yes or no is worth by LLaVA-1.5's to POPE's questions: of existence at even odds, else at the prior."""
    table = Counter(
        (said_yes(q["answer"]), q["label"] == "yes") for row in read_rows(records) for q in row["pope"]
    )
    worth = {}
    for name, said in (("yes", True), ("no", False)):
        true, false = (table[said, t] / max(1, table[True, t] + table[False, t]) for t in (True, False))
        worth[f"exists.{name}"] = round(true / (true + false), 4)
        worth[f"mllm.{name}"] = round(PRIOR * true / (PRIOR * true + (1 - PRIOR) * false), 4)
    return worth


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--photos", type=Path, required=True, help="folder with instances.json, captions.json"
    )
    parser.add_argument("--detector", type=Path, required=True, help="YOLOX weights over COCO's classes")
    parser.add_argument("--words", type=Path, help="folder of pictures of words with a TextRecogDataset file")
    parser.add_argument("--records", type=Path, help="recorded answers to POPE's questions")
    parser.add_argument("--most-words", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "calibration" / "default.json")
    given = parser.parse_args()
    rng = Random(given.seed)
    base = Reliability(
        "default", 0.0, {}, {}, {}, {}, {}, {k: Thresholds(0.0, 0.75) for k in ("count", "attribute", "relation", "text", "other")},
    )  # fmt: skip
    models = Models.from_pack(
        "starter", overrides={"detector": {"backend": "onnx-yolox", "weights": str(given.detector.resolve())}}
    )
    counts = Counts(base, models)
    shown = list(photos(given.photos))
    usual = [n for n, _ in Counter(n for p in shown for n in p.things).most_common()]
    for photo in shown:
        named = {class_of(c.entities[0]) for t in photo.captions for c in extract(t).claims if c.entities}
        counts.look(photo, [n for n in usual if n not in photo.things and n not in named][:ABSENT], rng)
    if given.words is not None:
        read_words(counts, given.words, given.most_words, rng)
    observations, learned = chances(counts.kinds)
    seen = counts.looks
    recall = round(seen[True, True] / max(1, seen[True, True] + seen[False, True]), 4)
    false = round((seen[True, False] + 1) / (seen[True, False] + seen[False, False] + 2), 4)
    thresholds = {k: Thresholds(learned.get(k, UNMEASURED), 0.75) for k in ("existence", "answer", "denied", "count", "attribute",
                                                                              "relation", "text", "other")}  # fmt: skip
    fitted = Reliability(
        "default", round(math.log(PRIOR / (1 - PRIOR)), 4), {"detector": 1.0, "open_vocabulary": 1.0, "mllm": 1.0},
        {"detector": {"": recall}, "open_vocabulary": {"": recall}}, {"detector": false, "open_vocabulary": false}, {},
        observations | (answers_of(given.records) if given.records else {}), thresholds,
        doubles=round((counts.doubles + 0.5) / (counts.places + 1), 4),
        provenance={
            "what": "for packs that nobody has measured: a detector's own calibration file, where its pack names one, comes first",
            "fitted_on": "nothing of this pack",
            "photographs": f"{len(shown)} of {given.photos.name}, their captions as written and with one word exchanged",
            "command": "python -m sightline.agent.verification.calibrate_photos",
            "detector": given.detector.name, "prior": PRIOR, "allowed_loss": LOST, "most_sure": MOST_SURE,
            "observations": {f"{n} {'true' if t else 'false'}": k for (n, t), k in sorted(counts.kinds.items())},
            "looks": {f"{'seen' if s else 'unseen'} {'there' if t else 'absent'}": k for (s, t), k in sorted(seen.items())},
            "answers": given.records.name if given.records else "",
        },
    )  # fmt: skip
    given.out.write_text(json.dumps(fitted.to_json(), indent=1) + "\n", "utf-8")
    print(json.dumps(fitted.to_json(), indent=1))


def read_words(counts: Counts, folder: Path, most: int, rng: Random) -> None:
    """Pictures of single words, each with its own word and with another's."""
    rows: list[dict[str, Any]] = [
        row
        for file in sorted(folder.glob("*.json"))
        for row in json.loads(file.read_text("utf-8"))["data_list"]
    ]
    chosen = [(r["img_path"], r["instances"][0]["text"]) for r in rows if (folder / r["img_path"]).is_file()][
        :most
    ]
    words = [word for _, word in chosen]
    for path, word in chosen:
        image = Image.open(folder / path)
        counts.read(image, word, True)
        counts.read(image, rng.choice([w for w in words if w.casefold() != word.casefold()]), False)


if __name__ == "__main__":
    main()
