"""The model card of a trained starter, written from measured figures: nothing in it is typed in by hand but the prose.

python -m sightline.mllm.card --model FOLDER --scenes seen.json held-out.json --perception eyes.json --notes notes.md
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
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

{parameters:.2f} M parameters ({parts}), {size:.1f} MiB of float16 weights in one safetensors file.

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


def _table(result: dict[str, Any]) -> str:
    lines = ["| task | accuracy | 95% interval | majority | wrong picture | n |", "|---|---|---|---|---|---|"]
    for task, t in result["tasks"].items():
        cells = ["-" if t[k] is None else f"{t[k]:.3f}" for k in ("majority", "blind")]
        low, high = t["ci"]
        lines.append(
            f"| {task} | {t['accuracy']:.3f} | {low:.3f} - {high:.3f} | {cells[0]} | {cells[1]} | {t['n']} |"
        )
    return "\n".join(lines)


def make_card(
    config: dict[str, Any], tensors: dict[str, int], size: int, scenes: Sequence[dict[str, Any]],
    perception: dict[str, Any] | None, notes: str,
) -> str:  # fmt: skip
    """The card's text.

    Args:
        config: the model's `config.json`.
        tensors: parameters of each part ("perception", "reader", "connector", "language").
        size: bytes of the weights.
        scenes: results of `mllm.evaluation.scenes --json`.
        perception: the result of `mllm.evaluation.perception --json`.
        notes: Markdown on data, recipe and limits of this very training.
    """
    out = [
        _HEAD.format(
            parameters=sum(tensors.values()) / 1e6, size=size / 2**20, image=config["image_size"],
            parts=", ".join(f"{k} {v / 1e6:.2f} M" for k, v in tensors.items()), objects=config["max_objects"],
            layers=config["num_hidden_layers"], width=config["hidden_size"],
        ),
        notes.strip(),
        "\n## Measured\n",
    ]  # fmt: skip
    for result in scenes:
        words = "wordings seen in training" if result["phrasing"] == "train" else "held-out wordings"
        out += [
            f"\nHeld-out scenes, {words}, mode `{result['mode']}`, from pixels: {result['n']} questions, "
            f"{result['ms_per_answer']:.1f} ms an answer in batches.\n",
            f"    python -m sightline.mllm.evaluation.scenes --model FOLDER --seed {result['seed']} "
            f"--questions {result['n']} --phrasing {result['phrasing']} --mode {result['mode']} --json\n",
            _table(result),
        ]
    if perception is not None:
        names = ("recall", "precision", "iou", "kind", "color", "size", "read")
        out += [
            f"\nPerception alone, {perception['scenes']} held-out scenes, {perception['objects']} objects "
            f"(`python -m sightline.mllm.evaluation.perception`):\n",
            "| " + " | ".join(names) + " |", "|" + "---|" * len(names),
            "| " + " | ".join(f"{perception[n]:.3f}" for n in names) + " |",
        ]  # fmt: skip
    return "\n".join(out) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; exits with 2 on bad input."""
    parser = argparse.ArgumentParser(prog="python -m sightline.mllm.card", description=__doc__)
    parser.add_argument("--model", required=True, help="folder of a starter; README.md is written there")
    parser.add_argument("--scenes", nargs="+", required=True, help="JSON files of the scenes evaluation")
    parser.add_argument("--perception", help="JSON file of the perception evaluation")
    parser.add_argument("--notes", required=True, help="Markdown file on data, recipe and limits")
    options = parser.parse_args(argv)
    try:
        folder = Path(options.model)
        weights = folder / "model.safetensors"
        for path in (weights, folder / "config.json", *map(Path, options.scenes), Path(options.notes)):
            if not path.is_file():
                raise InputError(f"no file {path}")
        from safetensors import safe_open

        parts: dict[str, int] = {}
        with safe_open(str(weights), "np") as f:
            for name in f.keys():  # noqa: SIM118 (not a mapping)
                count = 1
                for n in f.get_slice(name).get_shape():
                    count *= n
                if not name.endswith(("running_mean", "running_var", "num_batches_tracked")):
                    parts[name.split(".")[0]] = parts.get(name.split(".")[0], 0) + count
        text = make_card(
            json.loads((folder / "config.json").read_text(encoding="utf-8")), parts, weights.stat().st_size,
            [json.loads(Path(p).read_text(encoding="utf-8")) for p in options.scenes],
            json.loads(Path(options.perception).read_text(encoding="utf-8")) if options.perception else None,
            Path(options.notes).read_text(encoding="utf-8"),
        )  # fmt: skip
        write_bytes_safely(folder / "README.md", text.encode())
    except SightlineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{folder / 'README.md'} written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
