"""Commands that measure a pack's perception: the segmenter by clicks and boxes, the classifier by crops."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..errors import InputError
from .console import print_json

if TYPE_CHECKING:
    import numpy as np

    from ..mllm.evaluation.segmenter import Ask, Click, Corners, Show
    from ..tools.models import Models

_JSON = typer.Option(False, "--json", help="Print one JSON object.")
_PACK = typer.Option("starter", "--pack", help="A pack's name, or a YAML file.")
_MODELS = typer.Option(None, "--models", help="Folder with weights files.")


def register(app: typer.Typer) -> None:
    """Add this module's commands to `sightline eval`."""
    app.command()(segmenter)
    app.command()(classifier)


def train_segmenter(config: Path) -> None:
    """Train the segmenter that a config describes; its teacher is a detector with masks."""
    from ..mllm.segmentation.teacher import SIDE, SURE
    from ..mllm.segmentation.train import outlines_of, read_config
    from ..mllm.segmentation.train import train_segmenter as run_training
    from ..tools.models import Models
    from ..tools.values import Image

    run = read_config(config)
    teacher = None
    if run.teacher and not outlines_of(run).is_file():
        spec = {
            "backend": "ultralytics",
            "weights": str(Path(run.teacher).resolve()),
            "options": {"confidence": SURE, "image_size": SIDE},
        }
        detector = Models.from_pack(overrides={"detector": spec}).get("detector", "sightline train segmenter")

        def teacher(picture: np.ndarray) -> list[Any]:
            (found,) = detector.detect([Image.from_array(picture)])
            return [(r.box, r.mask_on(Image.from_array(picture))) for r in found if r.mask is not None]

    run_training(run, typer.echo, teacher)


def segmenter(
    on: str = typer.Option("scenes", "--on", help="scenes, or a folder with instances.json or *_mask.png."),
    pack: str = _PACK,
    against: str = typer.Option(
        "",
        "--against",
        help="Another pack, or a back end without weights such as grabcut, on the same prompts.",
    ),
    seed: int = typer.Option(0, "--seed", help="Stream of held-out scenes."),
    count: int = typer.Option(150, "--count", min=1, help="Scenes, or the most pictures of the folder."),
    models_dir: Path = _MODELS,
    as_json: bool = _JSON,
) -> None:
    """Mean IoU of masks from one click, from a box and from three clicks, with intervals and times."""
    from itertools import islice

    from ..mllm.evaluation.segmenter import MEASURES, evaluate_segmenter, folder_cases, interval, scene_cases
    from ..tools.models import Models

    cases = list(islice(scene_cases(seed, count) if on == "scenes" else folder_cases(Path(on)), count))
    report = evaluate_segmenter(shown(Models.from_pack(pack, models_dir)), cases)
    rows = report.pop("rows")
    result: dict[str, Any] = {"on": on, "pack": pack, **report}
    if against:
        other = evaluate_segmenter(shown(_rival(against, pack, models_dir)), cases)
        theirs = other.pop("rows")
        result["against"] = {"pack": against, **other}
        result["better_by"] = {
            name: {"mean": report[name] - other[name], "ci": interval(rows, name, theirs)}
            for name in MEASURES
        }
    if as_json:
        print_json(result)
        return
    typer.echo(
        f"{'segmenter':<24}{'things':>7}{'click':>8}{'box':>8}{'3 clicks':>10}{'first ms':>10}{'later ms':>10}"
    )
    for line in (result, result.get("against")):
        if line:
            later = line["ms_later_click"]
            typer.echo(
                f"{line['pack']:<24}{line['n']:>7}{line['miou_click']:>8.3f}{line['miou_box']:>8.3f}"
                f"{line['miou_3clicks']:>10.3f}{line['ms_first_click']:>10.0f}{'-' if later is None else f'{later:.0f}':>10}"
            )
    for name, gain in result.get("better_by", {}).items():
        typer.echo(
            f"{name}: better by {gain['mean']:+.3f}, 95% interval {gain['ci'][0]:+.3f} to {gain['ci'][1]:+.3f}"
        )


def classifier(
    pack: str = typer.Option("scenes", "--pack", help="A pack's name, or a YAML file."),
    seed: int = typer.Option(0, "--seed", help="Stream of held-out scenes."),
    count: int = typer.Option(100, "--count", min=1, help="Scenes whose things are cut out."),
    models_dir: Path = _MODELS,
    as_json: bool = _JSON,
) -> None:
    """How often crops of held-out scenes get their right name, a wrong one, or 'not sure'."""
    from ..mllm.evaluation.classifier import evaluate_classifier, scene_crops
    from ..tools.models import Models
    from ..tools.values import Image

    back_end = Models.from_pack(pack, models_dir).get("classifier", "sightline eval classifier")
    report = evaluate_classifier(
        lambda crops, labels: back_end.classify([Image.from_array(crop) for crop in crops], labels),
        scene_crops(seed, count),
    )
    if as_json:
        print_json({"pack": pack, "seed": seed, "scenes": count, "tasks": report})
        return
    typer.echo(f"{'asked':<12}{'n':>6}{'right':>8}{'wrong':>8}{'not sure':>10}   95% interval of right")
    for task, row in report.items():
        low, high = row["ci"]
        figures = f"{row['n']:>6}{row['right']:>8.3f}{row['wrong']:>8.3f}{row['not_sure']:>10.3f}"
        typer.echo(f"{task:<12}{figures}   {low:.3f} - {high:.3f}")


def shown(models: Models) -> Show:
    """The pack's segmenter as the evaluation asks it: the best mask of each prompt."""
    from ..tools.roles import Prompt
    from ..tools.values import Image

    back_end = models.get("segmenter", "sightline eval segmenter")

    def show(picture: np.ndarray) -> Ask:
        image = Image.from_array(picture)

        def ask(clicks: Sequence[Click], box: Corners | None) -> np.ndarray | None:
            (found,) = back_end.segment([image], [Prompt(points=tuple(clicks), box=box)])
            return found[0].mask_on(image) if found else None

        return ask

    return show


def _rival(name: str, pack: str, models_dir: Path | None) -> Models:
    """Models of another pack, or of this one with its segmenter replaced by a back end that needs no weights."""
    from ..tools.backends import backends
    from ..tools.models import Models

    known = backends().get(name)
    if known is None:
        return Models.from_pack(name, models_dir)
    if known.weights != "package" or "segmenter" not in known.roles:
        raise InputError(f"--against: back end {name} is no segmenter without weights; give a pack instead")
    return Models.from_pack(pack, models_dir, {"segmenter": {"backend": name}})
