"""One run of the words tower from one YAML file: training with its probes, then the finished folder."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any, get_type_hints

import torch

from ...errors import InputError, ModelFileError
from ..scenes.questions import TASKS
from ..tokenizer import load_tokenizer
from ..words import WordsConfig, WordsForCausalLM
from .checkpoints import load_checkpoint
from .loop import LoopOptions, half_precision, train
from .stages import text_source
from .words import TextSource, WordsStage, exact_share, scene_turn

LIMIT = 16 * 2**20  # bytes of weights that the tower may have


@dataclass
class WordsRun:
    """A run of the stage `words`. Paths are taken from the folder where the command is given."""

    output: str  # folder of checkpoints and metrics
    export: str = ""  # folder of the finished tower, written at the end of the run; empty: none
    tokenizer: str = ""  # folder of the starter's tokenizer
    seed: int = 1  # of the initial weights and of the stream of turns
    threads: int = 1  # two threads were slower than one at this size
    precision: str = "bfloat16"  # what the passes compute in; master weights are float32
    batch: int = 128  # turns a step
    parts: int = 4  # batches of like length that a step is made of
    model: dict[str, Any] = field(default_factory=dict)  # fields of WordsConfig that differ from its defaults
    loop: dict[str, Any] = field(default_factory=dict)  # fields of LoopOptions
    texts: dict[str, float] = field(default_factory=dict)  # "module:function" (Random -> Turn) -> weight
    tasks: dict[str, float] = field(default_factory=dict)  # words-only tasks of the scenes -> weight
    probes: dict[str, str] = field(
        default_factory=dict
    )  # name -> "module:function" (Random -> Turn), exact match
    probe_count: int = 32  # turns of a probe


def read_words_run(path: str | Path) -> WordsRun:
    """Read a YAML file; an unknown key, a wrong type or a missing file is one clear line."""
    import yaml

    path = Path(path)
    if not path.is_file():
        raise InputError(f"no config file {path}")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(values, dict):
        raise InputError(f"{path} should hold keys and values, not a {type(values).__name__}")
    hints = get_type_hints(WordsRun)
    for key, value in values.items():
        if key not in hints:
            near = difflib.get_close_matches(str(key), hints, n=1)
            raise InputError(f"{path}: no option {key!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
        wanted = dict if str(hints[key]).startswith("dict") else hints[key]
        if not isinstance(value, wanted):
            raise InputError(f"{path}: {key} should be a {wanted.__name__}, not {value!r}")
    for key in ("output", "tokenizer"):
        if not values.get(key):
            raise InputError(f"{path}: `{key}`, a folder, is missing")
    run = WordsRun(**values)
    known = {f.name for f in fields(LoopOptions)}
    for key in run.loop:
        if key not in known:
            raise InputError(f"{path}: loop has no option {key!r}; it has {', '.join(sorted(known))}")
    for task in run.tasks:
        if task not in TASKS:
            raise InputError(f"{path}: no task {task!r}; there are {', '.join(TASKS)}")
    if not run.texts and not run.tasks:
        raise InputError(f"{path}: nothing to learn from; give `texts` or `tasks`")
    if run.precision not in ("bfloat16", "float32"):
        raise InputError(f"{path}: precision is bfloat16 or float32, not {run.precision!r}")
    return run


def run_words(run: WordsRun, say: Callable[[str], None] = print) -> None:
    """Train to the end, or on from the last checkpoint, and write the finished folder."""
    torch.set_num_threads(run.threads)
    tokenizer = load_tokenizer(run.tokenizer)
    model = WordsForCausalLM(WordsConfig(vocab_size=len(tokenizer), **run.model))
    model.reset(run.seed)
    half_precision(model, getattr(torch, run.precision))
    sources: list[tuple[float, TextSource]] = [(w, text_source(name)) for name, w in run.texts.items()]
    sources += [(w, scene_turn(task)) for task, w in run.tasks.items()]
    stage = WordsStage(model, tokenizer, run.seed, sources, run.batch, run.parts)
    asked = {
        name: list(islice(_turns(text_source(source), f"probe {name}"), run.probe_count))
        for name, source in run.probes.items()
    }

    def probe(step: int) -> dict[str, float]:
        return {name: exact_share(stage.tower, turns) for name, turns in asked.items()}

    options = LoopOptions(**run.loop)
    train(
        model, stage, options, run.output, probe=probe if asked else None, say=say,
        count=lambda batches: sum(batch["tokens"] for batch in batches),
    )  # fmt: skip
    done = load_checkpoint(Path(run.output))[1]["step"]
    if run.export and done >= options.steps:
        size = export_words(run, run.export)
        say(f"{run.export}: {size / 2**20:.1f} MiB of weights")


def _turns(source: TextSource, seed: str) -> Any:
    rng = Random(seed)
    while True:
        yield source(rng)


@torch.no_grad()
def export_words(run: WordsRun, folder: str | Path) -> int:
    """Save what a run has trained so far as a tower with float16 weights; returns the bytes of the weights.

    Raises:
        ModelFileError: no checkpoint, another shape, weights over the limit, or a value that float16 cannot hold.
    """
    tensors, _ = load_checkpoint(Path(run.output))
    model = WordsForCausalLM(WordsConfig(vocab_size=len(load_tokenizer(run.tokenizer)), **run.model))
    state = {k.removeprefix("opt/master/"): v for k, v in tensors.items() if k.startswith("opt/master/")}
    shapes = {name: p.shape for name, p in model.named_parameters()}
    if {name: t.shape for name, t in state.items()} != shapes:
        raise ModelFileError(f"{run.output} holds weights of another shape than the config's; check `model`")
    half = {name: t.half() for name, t in state.items()}
    buffers = {name: tensors[f"buf/{name}"] for name, _ in model.named_buffers()}
    bad = [name for name, t in half.items() if not bool(torch.isfinite(t).all())]
    if bad:
        raise ModelFileError(f"{bad[0]} has values that float16 cannot hold; the run has diverged")
    folder = Path(folder)
    model.save_pretrained(folder, state_dict=half | buffers)
    size = (folder / "model.safetensors").stat().st_size
    if size > LIMIT:
        raise ModelFileError(
            f"{folder}: {size / 2**20:.1f} MiB of weights, over the limit of {LIMIT / 2**20:.0f} MiB"
        )
    return size
