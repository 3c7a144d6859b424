"""`sightline train detector` and `sightline eval detector`: the detector of our own, and how well a pack's detector sees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from ..errors import InputError
from .console import print_json


def register(eval_app: typer.Typer) -> None:
    """Add `sightline eval detector`."""
    eval_app.command()(detector)


def train_detector(config: Path) -> None:
    """`sightline train detector`: it goes on from its last checkpoint."""
    from ..tools.detection.train import read_config, run

    run(read_config(config), typer.echo)


def detector(
    on: str = typer.Option(
        "scenes",
        "--on",
        help="scenes, a folder with instances.json in COCO's form, or the training photographs that a config (.yaml) "
        "holds back.",
    ),
    pack: str = typer.Option("scenes", "--pack", help="A pack's name, or a YAML file."),
    seed: int = typer.Option(0, "--seed", help="Stream of held-out scenes."),
    split: str = typer.Option("test", "--split", help="Scenes: test, or val, which calibration files use."),
    count: int = typer.Option(500, "--count", min=1, help="Scenes to draw."),
    models_dir: Path = typer.Option(None, "--models", help="Folder with weights files."),
    calibration: Path = typer.Option(
        None, "--calibration", help="Also write precision and recall by threshold here."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """mAP, recall where nine in ten detections are right, and exact counts of a pack's detector, class by class."""
    import json

    from ..tools.detection.evaluate import evaluate
    from ..tools.detection.pictures import folder, held_back, scenes
    from ..tools.models import Models

    if split not in ("test", "val"):
        raise InputError(f"--split is test or val, not {split!r}")
    if on == "scenes":
        pictures = scenes(seed, count, split)
    else:
        pictures = held_back(Path(on)) if Path(on).suffix in (".yaml", ".yml") else folder(Path(on))
    figures, worth = evaluate(Models.from_pack(pack, models_dir), pictures)
    if calibration is not None:
        from ..mllm.training.checkpoints import write_bytes_safely

        if not calibration.parent.is_dir():
            raise InputError(f"--calibration: no folder {calibration.parent}")
        write_bytes_safely(calibration, (json.dumps(worth.to_json()) + "\n").encode())
    if as_json:
        print_json(figures)
    else:
        _show(figures)


def _show(figures: dict[str, Any]) -> None:
    plain = [
        "map50",
        "map50_95",
        "map50_all",
        "recall_at_p90",
        "recall",
        "precision",
        "count_exact",
        "kinds_exact",
    ]
    typer.echo(
        f"{figures['pack']} on {figures['on']}: {figures['pictures']} pictures, {figures['objects']} things, "
        f"{figures['classes']} classes known of {figures['classes_all']}; {figures['ms_per_picture']} ms a picture"
    )
    for name in plain:
        typer.echo(f"{name:<16}{_number(figures[name]):>8}")
    typer.echo(f"\n{'class':<20}{'n':>6}{'ap50':>8}{'ap50_95':>9}{'recall at .9':>14}")
    rows = sorted(figures["kinds"].items(), key=lambda item: -item[1]["n"])
    sparse = figures["sparse"]
    for name, row in [*rows, (f"({sparse['classes']} sparse ones)", sparse)]:
        typer.echo(
            f"{name:<20}{row['n']:>6}{_number(row['ap50']):>8}{_number(row['ap50_95']):>9}{_number(row['recall_at_p90']):>14}"
        )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
