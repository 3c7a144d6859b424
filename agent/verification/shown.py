"""Pictures whose things are known, to be asked about: drawn scenes, or a folder annotated in COCO's form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from ...mllm.scenes import vocabulary
from ...mllm.scenes.view import View
from ...tools.values import Image
from .scene_truth import Drawn, scenes

SCENES = "scenes"  # the name of the drawn ones; everything else is a folder


@dataclass(frozen=True)
class Shown:
    """A picture with the kinds in plain view (from the left), and all those that may be there."""

    image: Image
    kinds: tuple[str, ...]
    present: frozenset[str]


@dataclass(frozen=True)
class Collection:
    """Pictures, and every name that may be asked about."""

    name: str
    shown: tuple[Shown, ...]
    names: tuple[str, ...]


def kinds_of(drawn: Drawn) -> list[str]:
    """The kinds in plain view, from the left."""
    view = View(drawn.scene)
    order = sorted(view.sure, key=lambda i: view.objects[i].box[0])
    return list(dict.fromkeys(view.objects[i].kind for i in order if view.objects[i].category != "text"))


def of_scenes(drawn: Sequence[Drawn], name: str = SCENES) -> Collection:
    """Drawn scenes; words that are printed in them are not asked about."""
    return Collection(
        name,
        tuple(Shown(d.image, tuple(kinds_of(d)), frozenset(o.kind for o in d.scene.objects)) for d in drawn),
        tuple(k for k in vocabulary.KINDS if vocabulary.KINDS[k].category != "text"),
    )


def of_folder(path: Path, count: int, seed: int) -> Collection:
    """`count` pictures of a folder with COCO annotations, drawn by `seed`, and the classes of its file."""
    from ...tools.detection.pictures import folder

    whole = folder(path)
    chosen = sorted(Random(f"shown/{seed}").sample(range(len(whole.images)), min(count, len(whole.images))))
    shown = []
    for i in chosen:
        truth = whole.truths[i]
        order = sorted(range(len(truth.kinds)), key=lambda j: float(truth.boxes[j][0]))
        present = [whole.classes[int(truth.kinds[j])] for j in order]
        plain = (whole.classes[int(truth.kinds[j])] for j in order if not truth.ignore[j])
        shown.append(Shown(whole.images[i], tuple(dict.fromkeys(plain)), frozenset(present)))
    return Collection(whole.name, tuple(shown), whole.classes)


def collection(on: str, count: int, seed: int) -> Collection:
    """By name: "scenes" of the test split, or the path of a folder."""
    if on == SCENES:
        return of_scenes(list(scenes("test", seed, count)), f"scenes test/{seed}")
    return of_folder(Path(on), count, seed)
