"""The starter's stages, each from one YAML file: tokenizer, pretrain (perception), instruct (language), export."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from random import Random
from typing import Any, get_type_hints

import torch

from ...errors import InputError
from ..scenes import vocabulary
from ..scenes.questions import TASKS
from ..scenes.schema import Turn
from ..scenes.world import SceneConfig
from ..starter import StarterConfig, StarterForConditionalGeneration
from ..starter.config import SPECIAL_TOKENS
from ..tokenizer import load_tokenizer, train_tokenizer
from .corpus import corpus
from .export import export, load_eyes, load_weights
from .grid import GridEye, GridStarter
from .instruct import InstructStage
from .loop import LoopOptions, half_precision, train
from .probes import Probe
from .vision import PerceptionStage

STAGES = ("tokenizer", "pretrain", "instruct", "export")


@dataclass
class RunConfig:
    """A run of one stage. Paths are taken from the folder where the command is given."""

    output: str  # folder of checkpoints and metrics; for `export`, of the finished model
    tokenizer: str = ""  # folder of the tokenizer: read by all stages but `tokenizer`, which writes it
    seed: int = 1  # of the initial weights and of the stream of scenes
    threads: int = 1  # two threads were slower than one at this size
    precision: str = "bfloat16"  # what the passes compute in; master weights are float32
    vocabulary: int = 5120  # entries of the tokenizer
    model: dict[str, Any] = field(
        default_factory=dict
    )  # fields of StarterConfig that differ from its defaults
    loop: dict[str, Any] = field(default_factory=dict)  # fields of LoopOptions
    batch: int = 24  # scenes a step
    perception: str = ""  # instruct, export: folder of the pretrain run, or of a starter, whose eyes are used
    language: str = ""  # export: folder of the instruct run
    turns: int = 10  # instruct: questions tried a scene
    think: float = 0.6  # instruct: share of answers that come after their rationale
    seen_share: float = (
        0.0  # instruct: share of scenes that are drawn and looked at instead of given as symbols
    )
    seen_from: int = 0  # instruct: step from which they are
    pair_share: float = 0.08  # instruct: share of rows with two pictures
    ramp: int = 6000  # instruct: rows over which scenes grow to their full number of objects; 0: full at once
    relate: bool = True  # instruct: rationales say what holds between the things that they point at
    match_weight: float = 1.0  # instruct: weight of the supervised matches of words with objects
    grid: bool = (
        False  # ablate: a picture is a grid of its cells' features instead of the objects found in it
    )
    probe_scenes: int = 0  # instruct: held-out scenes on which accuracies are measured on the way; 0: none
    tasks: dict[str, float] = field(default_factory=dict)  # how often each task is asked; empty: all alike
    layouts: dict[str, float] = field(
        default_factory=dict
    )  # instruct: how often each layout; empty: as usual
    forms: dict[str, float] = field(
        default_factory=dict
    )  # instruct: weights of forms of questions; 1 for others
    texts: dict[str, float] = field(
        default_factory=dict
    )  # tokenizer: "module:function" (Random -> Turn) of further texts


def read_values(path: str | Path) -> dict[str, Any]:
    """The keys and values of a YAML file; a missing file, or one of another shape, is one clear line."""
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
    return values


def read_config(path: str | Path, changes: str | Path | None = None) -> RunConfig:
    """Read a YAML file, and one of `changes` to it; an unknown key or a wrong type is one clear line."""
    import difflib

    values = read_values(path)
    hints = get_type_hints(RunConfig)
    for source, given in ((path, values), (changes, read_values(changes) if changes is not None else {})):
        for key, value in given.items():
            if key not in hints:
                near = difflib.get_close_matches(str(key), hints, n=1)
                raise InputError(
                    f"{source}: no option {key!r}" + (f"; did you mean {near[0]!r}?" if near else "")
                )
            wanted = dict if str(hints[key]).startswith("dict") else hints[key]
            if wanted is float and isinstance(value, int) and not isinstance(value, bool):
                value = float(value)
            if not isinstance(value, wanted):
                raise InputError(f"{source}: {key} should be a {wanted.__name__}, not {value!r}")
            values[key] = value
    if "output" not in values:
        raise InputError(f"{path}: `output`, the folder to write to, is missing")
    config = RunConfig(**values)
    known = {f.name for f in fields(LoopOptions)}
    for key in config.loop:
        if key not in known:
            raise InputError(f"{path}: loop has no option {key!r}; it has {', '.join(sorted(known))}")
    for task in config.tasks:
        if task not in TASKS:
            raise InputError(f"{path}: no task {task!r}; there are {', '.join(TASKS)}")
    layouts = [name for name, _ in SceneConfig().layouts]
    for layout in config.layouts:
        if layout not in layouts:
            raise InputError(f"{path}: no layout {layout!r}; there are {', '.join(layouts)}")
    for form, weight in config.forms.items():
        if form.split(".")[0] not in TASKS or weight <= 0:
            raise InputError(
                f"{path}: forms has {form!r}: {weight}; it takes TASK.FORM with a weight above 0"
            )
    if config.precision not in ("bfloat16", "float32"):
        raise InputError(f"{path}: precision is bfloat16 or float32, not {config.precision!r}")
    return config


def text_source(name: str) -> Callable[[Random], Turn]:
    """The function that "module:function" names: it makes a turn of words only from a `Random`."""
    module, _, function = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"texts: {name!r} names no function ({error}); write module:function") from error
    return found


def starter_config(config: RunConfig) -> StarterConfig:
    """The model's configuration: the world's words, and the ids that the tokenizer gave the reserved tokens."""
    shape = StarterConfig(**config.model)
    start = config.vocabulary - 2 * shape.pointers
    return StarterConfig(
        **{
            "kinds": list(vocabulary.KINDS),
            "colors": [*vocabulary.COLORS, vocabulary.MULTICOLOR],
            "sizes": list(vocabulary.SIZES),
            "word_kinds": list(vocabulary.CATEGORIES["text"]),
            "vocab_size": config.vocabulary,
            "pointer_start": start,
            "reading_start": start + shape.pointers,
            **config.model,
        }
    )


def build_tokenizer(config: RunConfig) -> None:
    """Train the tokenizer on the texts of all stages and save it."""
    shape = StarterConfig(**config.model)
    rng = Random(config.seed)
    texts: list[str] = []
    for name, _ in config.texts.items():
        source = text_source(name)
        for _ in range(12000):
            turn = source(rng)
            texts += [turn.question, turn.answer]
    words = [f" {w.capitalize()} {w.lower()} {w}" for w in vocabulary.SIGN_WORDS]
    tokenizer = train_tokenizer(
        corpus(config.seed, 6000, (), [*texts, *words]), config.vocabulary, shape.pointers
    )
    tokenizer.save_pretrained(config.output)


def checked_tokenizer(config: RunConfig, shape: StarterConfig) -> Any:
    """The tokenizer, which must have the reserved ids where the model expects them."""
    tokenizer = load_tokenizer(config.tokenizer)
    got = (
        len(tokenizer),
        tokenizer.convert_tokens_to_ids("<obj0>"),
        tokenizer.convert_tokens_to_ids("<txt0>"),
    )
    want = (shape.vocab_size, shape.pointer_start, shape.reading_start)
    if got != want or tokenizer.convert_tokens_to_ids(list(SPECIAL_TOKENS)) != list(
        range(len(SPECIAL_TOKENS))
    ):
        raise InputError(
            f"{config.tokenizer}: entries and reserved ids are {got}, the config asks for {want}"
        )
    return tokenizer


def run_stage(stage: str, config: RunConfig, say: Callable[[str], None] = print) -> None:
    """Run one stage to its end, or on from its last checkpoint."""
    if stage not in STAGES:
        raise InputError(f"no stage {stage!r}; there are {', '.join(STAGES)}")
    if config.grid:
        raise InputError(
            "`grid` is an arm of python -m sightline.mllm.training.ablate, not a way to make a starter"
        )
    torch.set_num_threads(config.threads)
    if stage == "tokenizer":
        build_tokenizer(config)
        say(f"tokenizer of {config.vocabulary} entries in {config.output}")
        return
    shape = starter_config(config)
    model = StarterForConditionalGeneration(shape)
    model.reset(config.seed)
    if stage == "export":
        for folder in (config.perception, config.language):
            say(f"{folder}: step {load_weights(model, folder)['step']}")
        size = export(model, checked_tokenizer(config, shape), config.output)
        say(f"{config.output}: {size / 2**20:.1f} MiB of weights")
        return
    prepare(model, config)
    options = LoopOptions(**config.loop)
    if stage == "pretrain":
        train(model, PerceptionStage(model, config.seed, config.batch), options, config.output, say=say)
        return
    work = instruct_stage(model, config, shape, say)
    probe = Probe(work, config.probe_scenes) if config.probe_scenes else None
    train(model, work, options, config.output, probe, say, count=work.count)


def prepare(model: StarterForConditionalGeneration, config: RunConfig) -> None:
    """The precision and the layout in memory that a run computes in."""
    half_precision(model, getattr(torch, config.precision))
    model.perception.to(memory_format=torch.channels_last)
    model.reader.to(memory_format=torch.channels_last)


def instruct_stage(
    model: StarterForConditionalGeneration,
    config: RunConfig,
    shape: StarterConfig,
    say: Callable[[str], None] = print,
) -> InstructStage:
    """The instruct stage that a config describes, with the eyes that it names in the model."""
    if config.perception:
        say(f"perception: {load_eyes(model, config.perception)}")
    elif config.seen_share:
        raise InputError("seen_share needs `perception`: the folder of a pretrain run")
    stage = InstructStage(
        model, checked_tokenizer(config, shape), config.seed, config.batch, config.turns, config.think,
        seen_share=config.seen_share, seen_from=config.seen_from, pair_share=config.pair_share,
        ramp=config.ramp, tasks=config.tasks or None, relate=config.relate, match_weight=config.match_weight,
        layouts=config.layouts or None, forms=config.forms or None,
    )  # fmt: skip
    if isinstance(model, GridStarter):
        if config.seen_share or config.pair_share:
            raise InputError("a grid is always seen, and of one picture: set seen_share and pair_share to 0")
        stage.eye = GridEye(model)
    return stage
