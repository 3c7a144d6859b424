"""The model card of a trained starter: its measured figures, replaced in place from the evaluations' JSON; the prose stays.

python -m sightline.mllm.card --model FOLDER seen.json held-out.json eyes.json planner.json

A figure's place in the card is a block between `<!-- measured: NAME -->` and `<!-- end -->`; a folder without a card gets one.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError, SightlineError
from .training.checkpoints import write_bytes_safely

_HEAD = """---
library_name: transformers
pipeline_tag: image-text-to-text
license: agpl-3.0
language: [en, zh]
---
# The starter core MLLM

A small multimodal model trained from nothing on Sightline's procedural scenes. It answers questions about pictures of
pictograms, shapes and printed words in English and Chinese, and points at what it speaks of. Where `words/` holds its words
tower, it plans Sightline programs too. It needs no network and no GPU. It is not a model for photographs: there, Sightline's
programs use detectors, and the starter plans.

<!-- measured: weights -->
<!-- end -->

## Use

```python
from sightline.mllm.answerer import Answerer, Question

model = Answerer.load("FOLDER")
picture, = model.look([image])  # once for many questions
print(model.ask([Question("How many red dogs are there?", (picture,))])[0].text)
```

`AutoProcessor`, `AutoModelForImageTextToText`, `generate` and `save_pretrained` work after
`import sightline.mllm.starter`. Objects in an answer are tokens `<objN>`; `StarterProcessor.expand` writes them as boxes.

## How it is built

Picture (fitted into {image} x {image} pixels) -> convolutional trunk with dense heads (kind, colour, size, box) ->
at most {objects} object tokens (expected class, colour and size embeddings, Fourier features of the box, printed
characters from a CTC word reader) and one global token -> causal LM ({layers} layers of {width}, RoPE, QK-norm, squared
ReLU, untied head), in which words look for the objects they name by supervised gates, and object tokens are answered
through a pointer head. Answers come after a rationale (`think`) or at once (`answer`). A rationale points, and then says
what holds between the things pointed at, always the same way round: `<obj3>;<obj0> right above smaller`,
`<obj1><obj4> 2<obj0> 1 more`. The answer is looked up in it.
"""


_BLOCK = "<!-- measured: {} -->\n{}\n<!-- end -->"


def _columns(header: str, rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, "|" + "---|" * (header.count("|") - 1)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def _scenes(result: dict[str, Any]) -> str:
    """What `mllm.evaluation.scenes --json` found."""
    words = "wordings seen in training" if result["phrasing"] == "train" else "held-out wordings"
    rows = []
    for task, t in result["tasks"].items():
        cells = ["-" if t[k] is None else f"{t[k]:.3f}" for k in ("majority", "blind")]
        low, high = t["ci"]
        rows.append([task, f"{t['accuracy']:.3f}", f"{low:.3f} - {high:.3f}", *cells, str(t["n"])])
    return (
        f"Held-out scenes, {words}, mode `{result['mode']}`, from pixels: {result['n']} questions, "
        f"{result['ms_per_answer']:.1f} ms an answer in batches.\n\n"
        f"    python -m sightline.mllm.evaluation.scenes --model FOLDER --seed {result['seed']} "
        f"--questions {result['n']} --phrasing {result['phrasing']} --mode {result['mode']} --json\n\n"
        + _columns("| task | accuracy | 95% interval | majority | wrong picture | n |", rows)
    )


def _perception(result: dict[str, Any]) -> str:
    """What `mllm.evaluation.perception --json` found."""
    names = ("recall", "precision", "iou", "kind", "color", "size", "read")
    return (
        f"Perception alone, {result['scenes']} held-out scenes, {result['objects']} objects "
        "(`python -m sightline.mllm.evaluation.perception`):\n\n"
        + _columns("| " + " | ".join(names) + " |", [[f"{result[n]:.3f}" for n in names]])
    )


def _planner(result: dict[str, Any]) -> str:
    """What `sightline eval planner --json` found."""
    rows = []
    for split, groups in result["splits"].items():
        for language, f in groups.items():
            low, high = f["ci"]
            rows.append(
                [split, language, str(f["n"]), f"{f['exact']:.3f}", f"{f['execution']:.3f}",
                 f"{low:.3f} - {high:.3f}", f"{f['worded_freely']:.3f}", f"{f['well_formed']:.2f}"]
            )  # fmt: skip
    header = "| split | language | n | exact | execution | 95% interval | worded freely | well formed |"
    count = result["splits"].get("test_seen", {}).get("all", {}).get("n", "N")
    return (
        f"`sightline eval planner --seed {result['seed']} --count {count} --scenes {result['scenes']}`:\n\n"
        + _columns(header, rows)
    )


def block_of(result: dict[str, Any]) -> tuple[str, str]:
    """The name and the text of the block that an evaluation's JSON fills.

    Raises:
        InputError: it is of none of the evaluations that a card holds.
    """
    if "tasks" in result and "phrasing" in result:
        return f"scenes {result['phrasing']} {result['mode']}", _scenes(result)
    if "iou" in result and "objects" in result:
        return "perception", _perception(result)
    if "splits" in result:
        return "planner", _planner(result)
    raise InputError("it is no result of `eval scenes`, `eval planner` or mllm.evaluation.perception")


def filled(card: str, blocks: Mapping[str, str]) -> str:
    """The card with each of its blocks that is named in `blocks` replaced; those that it lacks go to its end."""
    for name, text in blocks.items():
        place = re.compile(rf"<!-- measured: {re.escape(name)} -->\n.*?<!-- end -->", re.DOTALL)
        whole = _BLOCK.format(name, text)
        card = (
            place.sub(lambda _, whole=whole: whole, card)  # type: ignore[misc]
            if place.search(card)
            else f"{card.rstrip()}\n\n{whole}\n"
        )
    return card


def _weights(folder: Path) -> str:
    """How many parameters each part has, and the file's size."""
    from safetensors import safe_open

    file = folder / "model.safetensors"
    parts: dict[str, int] = {}
    with safe_open(str(file), "np") as tensors:
        for name in tensors.keys():  # noqa: SIM118 (not a mapping)
            if not name.endswith(("running_mean", "running_var", "num_batches_tracked")):
                part = name.split(".")[0]
                parts[part] = parts.get(part, 0) + math.prod(tensors.get_slice(name).get_shape())
    told = ", ".join(f"{k} {v / 1e6:.2f} M" for k, v in parts.items())
    size = file.stat().st_size / 2**20
    return (
        f"{sum(parts.values()) / 1e6:.2f} M parameters ({told}), {size:.1f} MiB of float16 weights in one"
        " safetensors file."
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(value, dict):
        raise InputError(f"{path}: holds no JSON object")
    return value


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; exits with 2 on bad input."""
    parser = argparse.ArgumentParser(prog="python -m sightline.mllm.card", description=__doc__)
    parser.add_argument("--model", required=True, help="folder of a starter; its README.md is the card")
    parser.add_argument("results", nargs="*", help="JSON files of evaluations")
    options = parser.parse_args(argv)
    folder = Path(options.model)
    try:
        for name in ("model.safetensors", "config.json"):
            if not (folder / name).is_file():
                raise InputError(f"no file {folder / name}")
        blocks = {"weights": _weights(folder)}
        for path in map(Path, options.results):
            try:
                name, text = block_of(_read(path))
            except (KeyError, TypeError, AttributeError) as error:
                raise InputError(f"{path}: an evaluation's JSON lacks {error}") from error
            blocks[name] = text
        card = folder / "README.md"
        config = _read(folder / "config.json")
        old = card.read_text(encoding="utf-8") if card.is_file() else _HEAD.format(
            image=config["image_size"], objects=config["max_objects"],
            layers=config["num_hidden_layers"], width=config["hidden_size"],
        )  # fmt: skip
        write_bytes_safely(card, filled(old, blocks).encode())
    except SightlineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{card}: {', '.join(blocks)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
