"""Commands that score hallucination by the field's protocols, from files: sightline eval chair, pope, amber, mme, faithscore."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from ..errors import InputError
from .console import print_json

_JSON = typer.Option(False, "--json", help="Print one JSON object.")
_SEED = typer.Option(
    0, "--seed", help="Of the bootstrap, and of the scenes that a live model is asked about."
)
_MODEL = typer.Option(
    "", "--model", help="Ask a model instead of reading predictions: starter, or mllm for that of --pack."
)
_PACK = typer.Option(
    "",
    "--pack",
    help="With --model: which models (default: scenes; on photographs starter, its MLLM told of detections).",
)
_PICTURES = typer.Option(100, "--pictures", help="With --model: how many pictures.")
_ON = typer.Option(
    "scenes", "--on", help="With --model: scenes (held out), or a folder of pictures with COCO annotations."
)
_VERIFY = typer.Option(False, "--verify", help="With --model: verify each response before it is scored.")


def register(app: typer.Typer) -> None:
    """Add the protocols to `sightline eval`."""
    for command in (chair, pope, amber, mme, faithscore):
        app.command()(command)


def chair(
    predictions: Path | None = typer.Option(
        None, "--predictions", help='JSON lines of {"image_id", "caption"}.'
    ),
    annotations: list[Path] = typer.Option(
        None,
        "--annotations",
        help='{"image id": [objects]}, or COCO instances and captions; may be repeated.',
    ),
    synonyms: Path | None = typer.Option(
        None,
        "--synonyms",
        help="CHAIR's table, a line for each object with its synonyms (default: synonyms.txt beside the annotations).",
    ),
    model: str = _MODEL,
    pack: str = _PACK,
    pictures: int = _PICTURES,
    on: str = _ON,
    verify: bool = _VERIFY,
    seed: int = _SEED,
    as_json: bool = _JSON,
) -> None:
    """Objects named in captions that are not in the picture: CHAIRs, CHAIRi and recall, in percent."""
    from ..mllm.evaluation.hallucination import chair as protocol

    if model:
        from ..agent.verification.live import captions

        found = captions(_models(model, pack, on), pictures=pictures, seed=seed, check=verify, on=on)
        _show(found, as_json)
        return
    if predictions is None or not annotations:
        raise InputError("give --predictions and --annotations, or --model to ask one")
    table = protocol.Synonyms.read(synonyms or _beside(annotations[0], "synonyms.txt", "--synonyms"))
    found = protocol.evaluate(predictions, annotations, table, seed)
    _show(found | {"seed": seed}, as_json)


def pope(
    predictions: Path | None = typer.Option(
        None, "--predictions", help='JSON lines of {"question_id", "answer"}.'
    ),
    annotations: Path | None = typer.Option(
        None, "--annotations", help='Question file: {"question_id", "image", "text", "label"} a line.'
    ),
    sampling: str = typer.Option(
        "adversarial", "--sampling", help="With --model: random, popular or adversarial."
    ),
    model: str = _MODEL,
    pack: str = _PACK,
    pictures: int = _PICTURES,
    on: str = _ON,
    verify: bool = _VERIFY,
    seed: int = _SEED,
    as_json: bool = _JSON,
) -> None:
    """Yes/no questions on objects: accuracy, precision, recall, F1 and yes-ratio; "yes" is the positive class."""
    from ..mllm.evaluation.hallucination import pope as protocol

    if model:
        from ..agent.verification import live

        if sampling not in ("random", "popular", "adversarial"):
            raise InputError(f"--sampling is random, popular or adversarial, not {sampling!r}")
        models = _models(model, pack, on)
        found = live.pope(models, sampling=sampling, pictures=pictures, seed=seed, check=verify, on=on)  # type: ignore[arg-type]
        _show(found, as_json)
        return
    if predictions is None or annotations is None:
        raise InputError("give --predictions and --annotations, or --model to ask one")

    _show(protocol.evaluate(predictions, annotations, seed) | {"seed": seed}, as_json)


def amber(
    predictions: Path = typer.Option(..., "--predictions", help='JSON list of {"id", "response"}.'),
    annotations: Path = typer.Option(..., "--annotations", help="AMBER's annotations.json."),
    associations: Path | None = typer.Option(
        None,
        "--associations",
        help="AMBER's table of associated words (default: relation.json beside the annotations).",
    ),
    seed: int = _SEED,
    as_json: bool = _JSON,
) -> None:
    """AMBER: CHAIR, Cover, Hal and Cog of descriptions; accuracy and F1 of yes/no questions ("no" is positive)."""
    from ..mllm.evaluation.hallucination import amber as protocol

    table = associations or _beside(annotations, "relation.json", "--associations")
    _show(protocol.evaluate(predictions, annotations, table, seed) | {"seed": seed}, as_json)


def mme(
    predictions: Path = typer.Option(
        ...,
        "--predictions",
        help="Folder with existence.txt, count.txt, position.txt, color.txt, or some of them.",
    ),
    seed: int = _SEED,
    as_json: bool = _JSON,
) -> None:
    """MME's hallucination subset: 100 x (accuracy + accuracy of pictures with both questions right), a task each."""
    from ..mllm.evaluation.hallucination import mme as protocol

    _show(protocol.evaluate(predictions, seed) | {"seed": seed}, as_json)


def faithscore(
    predictions: Path = typer.Option(
        ..., "--predictions", help='JSON lines of {"facts": [{"text", "entailed": true or false}]}.'
    ),
    seed: int = _SEED,
    as_json: bool = _JSON,
) -> None:
    """FaithScore: the mean over answers of the share of atomic facts that the picture entails."""
    from ..mllm.evaluation.hallucination import faithscore as protocol

    _show(protocol.evaluate(predictions, seed) | {"seed": seed}, as_json)


def _models(model: str, pack: str, on: str) -> Any:
    """The pack whose MLLM is asked; "starter" is the embedded one: pack scenes holds it, and photographs reach it through the
    starter pack's detector."""
    from ..tools.models import Models
    from ..tools.pack import SHIPPED

    if model not in ("mllm", "starter"):
        raise InputError(f"--model is mllm (the one of --pack) or starter, not {model!r}")
    if model == "starter" and not pack and on != "scenes":
        weights = SHIPPED.parents[1] / "mllm" / "weights"
        return Models.from_pack(
            overrides={"mllm": {"backend": "starter-mllm-photos", "weights": str(weights)}}
        )
    return Models.from_pack(pack or "scenes")


def _beside(annotations: Path, name: str, option: str) -> Path:
    """A benchmark's own table, which is not ours to ship, where its files usually lie."""
    path = annotations.parent / name
    if not path.is_file():
        raise InputError(f"there is no {name} beside {annotations}; name the benchmark's table with {option}")
    return path


def _show(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    parts = {name: value for name, value in found.items() if isinstance(value, dict) and name != "ci"}
    for name, value in parts.items():
        if all(isinstance(inner, dict) for inner in value.values()):
            for kind, inner in value.items():
                _table(kind, inner)
        else:
            _table(name, value)
    _table("", {name: value for name, value in found.items() if name not in parts})


def _table(title: str, figures: dict[str, Any]) -> None:
    if title:
        typer.echo(title)
    intervals = figures.get("ci", {})
    for name, value in figures.items():
        if name == "ci":
            continue
        line = f"  {name:<14}{value:>10}"
        if name in intervals:
            low, high = intervals[name]
            line += f"   95% {low:.4g} - {high:.4g}"
        typer.echo(line)
