"""Commands over the core MLLM: train and eval."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from ..errors import InputError
from . import detection, perception
from .console import print_json

_JSON = typer.Option(False, "--json", help="Print one JSON object.")
_MODEL = typer.Option(None, "--model", help="Folder of a starter MLLM (default: the one inside the package).")

eval_app = typer.Typer(help="Measure a model on held-out data.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command()(train)
    perception.register(eval_app)
    detection.register(eval_app)
    app.add_typer(eval_app, name="eval")


def train(
    stage: str = typer.Argument(
        help="tokenizer, pretrain, instruct, words, export, pairs or align for the starter; pretrain, instruct or align "
        "for public parts; segmenter for the starter's segmenter, detector for its detector."
    ),
    config: Path = typer.Option(
        ...,
        "--config",
        help="YAML file: mllm/configs/starter-*.yaml or stock-*.yaml; tools/detection/configs/*.yaml.",
    ),
    resume: bool = typer.Option(
        False, "--resume", help="Go on from the last checkpoint (the starter always does)."
    ),
) -> None:
    """Train a core MLLM, one stage at a time: the starter from nothing, or one made of public parts."""
    if stage == "detector":
        detection.train_detector(config)
        raise typer.Exit(0)
    if stage == "segmenter":
        perception.train_segmenter(config)
        raise typer.Exit(0)
    if _is_stock(config):
        from ..mllm.stock.__main__ import main as run

        raise typer.Exit(run([stage, "--config", str(config), *(["--resume"] if resume else [])]))
    if stage == "pairs":
        from ..agent.preferences import PairsPlan, write_starter_pairs
        from ..mllm.training.options import read_options

        write_starter_pairs(read_options(config, PairsPlan), typer.echo)
        raise typer.Exit(0)
    from ..mllm.train import main

    raise typer.Exit(main([stage, "--config", str(config)]))


def _is_stock(config: Path) -> bool:
    """Whether a training config composes public parts: it then names a vision encoder."""
    import yaml

    try:
        data = yaml.safe_load(config.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{config} cannot be read as YAML: {error}") from error
    model = data.get("model") if isinstance(data, dict) else None
    return isinstance(model, dict) and "vision" in model


@eval_app.command()
def scenes(
    model: Path = _MODEL,
    seed: int = typer.Option(0, "--seed", help="Stream of held-out scenes."),
    questions: int = typer.Option(2000, "--questions", min=1),
    phrasing: str = typer.Option(
        "train", "--phrasing", help="train: wordings seen; test: wordings held out."
    ),
    mode: str = typer.Option("think", "--mode", help="think: rationale first; answer: the answer at once."),
    as_json: bool = _JSON,
) -> None:
    """Accuracy on held-out scenes by task, beside the majority answer and a wrong picture."""
    from ..agent.starter_planner import WEIGHTS
    from ..mllm.evaluation.scenes import main

    arguments = ["--model", str(model or WEIGHTS), "--seed", str(seed), "--questions", str(questions)]
    arguments += ["--phrasing", phrasing, "--mode", mode] + (["--json"] if as_json else [])
    raise typer.Exit(main(arguments))


@eval_app.command()
def planner(
    model: Path = _MODEL,
    seed: int = typer.Option(0, "--seed", help="Stream of held-out requests."),
    count: int = typer.Option(
        500, "--count", min=1, help="Requests of each split; held_out has its own number."
    ),
    split: list[str] = typer.Option(
        ["test_seen", "test_phrasing", "test_nouns", "held_out"], "--split", help="May be repeated."
    ),
    free: bool = typer.Option(False, "--free", help="Decode without the grammar."),
    scenes: int = typer.Option(
        12, "--scenes", min=1, help="Pairs of scenes on which two programs are compared."
    ),
    as_json: bool = _JSON,
) -> None:
    """Exact, well-formed and execution match on oracle tools, for seen and held-out wordings and nouns."""
    from itertools import islice

    from ..agent.planner_data import planner_examples
    from ..agent.planner_data.evaluate import HELD_OUT, evaluate_planner, read_examples
    from ..agent.starter_planner import StarterPlanner
    from ..mllm.answerer import Answerer

    embedded = StarterPlanner(Answerer.load(model) if model else None)
    report: dict[str, Any] = {}
    for name in split:
        rows = (
            read_examples(HELD_OUT)
            if name == "held_out"
            else list(islice(planner_examples(seed, name), count))
        )
        found = evaluate_planner(
            lambda texts: embedded.plan(texts, constrained=not free), rows, scenes=scenes, seed=seed
        )
        report[name] = {"all": found["all"], **found["groups"]}
    if as_json:
        print_json({"seed": seed, "scenes": scenes, "constrained": not free, "splits": report})
        return
    typer.echo(
        f"{'split':<16}{'language':<10}{'n':>6}{'exact':>8}{'formed':>8}{'execution':>11}{'worded freely':>15}"
    )
    for name, groups in report.items():
        for language, figures in groups.items():
            typer.echo(
                f"{name:<16}{language:<10}{figures['n']:>6}{figures['exact']:>8.3f}{figures['well_formed']:>8.3f}"
                f"{figures['execution']:>11.3f}{figures['worded_freely']:>15.3f}"
            )
