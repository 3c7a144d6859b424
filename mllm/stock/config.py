"""What a stock run is: the parts of the model, and each stage's data and hyper-parameters, read from one YAML file."""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from ...errors import InputError

T = TypeVar("T")
Part = Literal["vision", "connector", "language"]


@dataclass(frozen=True, slots=True)
class ModelSection:
    """The parts that a model is composed of, and how they are joined."""

    vision: (
        str | dict[str, Any]
    )  # a CLIP or SigLIP checkpoint (hub name or folder), or a config: random weights
    language: str | dict[str, Any]  # a causal LM (Qwen, Llama, ...), or a config: random weights
    tokenizer: str | None = (
        None  # default: the language model's own; "bytes": one token a byte, nothing to fetch
    )
    connector: Literal["mlp", "query"] = "mlp"  # LLaVA's two layers, or a perceiver resampler
    queries: int = 64  # tokens that the query connector makes of a view
    query_depth: int = 3  # its layers
    tiles: int = (
        0  # 0: one view; n: up to n tiles and a thumbnail (the query connector: 4 tiles and a thumbnail)
    )
    feature_layer: int = -2  # the encoder layer that the MLP connector reads (LLaVA-1.5: the last but one)
    chat: Literal["auto", "chatml", "llama3", "vicuna"] = (
        "auto"  # how turns are written; auto: by the vocabulary
    )


@dataclass(frozen=True, slots=True)
class DataSection:
    """One source of conversations."""

    path: str  # the file; for scenes the folder that the pictures are drawn into
    format: Literal["conversations", "llava", "shikra", "coco", "vqa", "scienceqa", "scenes"] = (
        "conversations"
    )
    images: str = "."  # folder that picture names are relative to
    annotations: str | None = None  # the second file: VQA's annotations, COCO's captions
    limit: int | None = None  # only so many conversations; how many scenes are drawn
    seed: int = 0  # of phrasings (coco) and of scenes
    tasks: list[str] | None = None  # scenes: which questions; default all
    curriculum: float = 1.0  # scenes: 0 is one or two clear objects, 1 everything


@dataclass(frozen=True, slots=True)
class LoraSection:
    """Low-rank adapters on the language model's linear layers (Hu et al. 2021)."""

    rank: int = 128
    alpha: int = 256
    dropout: float = 0.05
    targets: list[str] | None = (
        None  # names of linear layers, e.g. q_proj; default: all of the language model's
    )


@dataclass(frozen=True, slots=True)
class Stage:
    """What every stage has. Defaults are LLaVA-1.5's where it has them."""

    start: str | None = None  # a checkpoint to begin from; default: what the stage before saved
    train: list[Part] = field(default_factory=lambda: ["connector", "language"])  # the rest is frozen
    rate: float = 2e-5  # learning rate
    batch: int = 16  # samples a step and device
    accumulate: int = 1  # steps whose gradients are added up
    epochs: float = 1.0
    steps: int | None = None  # optimiser steps; overrides epochs
    warmup: float = 0.03  # part of the steps
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    decay: float = 0.0  # weight decay
    clip: float = 1.0  # gradient norm
    max_length: int = 2048  # tokens of a sample, its pictures' included; nothing is ever cut
    too_long: Literal["refuse", "drop"] = "refuse"  # what happens to a longer sample; drop says how many
    lora: LoraSection | None = None
    four_bit: bool = False  # the frozen weights in 4 bits (QLoRA); needs lora, bitsandbytes and a GPU
    precision: Literal["auto", "float32", "bfloat16"] = "auto"  # auto: bfloat16 where a GPU has it
    checkpointing: bool = True  # recompute activations; on GPUs only
    log_every: int = 10
    save_every: int = 500
    keep: int = 2  # checkpoints kept to resume from
    workers: int = 0  # processes that prepare batches


@dataclass(frozen=True, slots=True)
class TeachStage(Stage):
    """Pre-training of the connector, or instruction tuning, on conversations."""

    data: list[DataSection] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class AlignStage(Stage):
    """Segment-weighted DPO on preference pairs (Yu et al. 2023, RLHF-V)."""

    pairs: str = ""  # a .jsonl file of pairs, see mllm.stock.pairs
    images: str = "."  # folder that picture names are relative to
    beta: float = 0.5
    gamma: float = 5.0  # weight of a changed token; an unchanged one weighs 1
    rate: float = 5e-7


@dataclass(frozen=True, slots=True)
class StockConfig:
    """One run: `output`/STAGE holds what STAGE made."""

    output: str
    model: ModelSection
    seed: int = 0
    boxes: Literal["plain", "qwen"] = "plain"  # how boxes are written in text
    pretrain: TeachStage | None = None
    instruct: TeachStage | None = None
    align: AlignStage | None = None

    def __post_init__(self) -> None:
        for name in ("pretrain", "instruct", "align"):
            stage = getattr(self, name)
            if stage is not None and stage.four_bit and stage.lora is None:
                raise InputError(
                    f"{name}.four_bit: 4-bit weights cannot be trained themselves; add a lora section"
                )


def load_config(path: str | Path, changes: typing.Sequence[str] = ()) -> StockConfig:
    """Read a YAML file. `changes` are `a.b=value` and override it; an unknown key is an InputError that names it."""
    import yaml

    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such configuration file")
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(value, dict):
        raise InputError(f"{path}: a mapping with the keys output and model expected")
    for change in changes:
        name, equals, text = change.partition("=")
        if not equals:
            raise InputError(f"{change!r}: write KEY=VALUE, e.g. instruct.rate=1e-4")
        *above, last = name.split(".")
        at = value
        for key in above:
            at = at.setdefault(key, {})
            if not isinstance(at, dict):
                raise InputError(f"{change!r}: {key} is not a section of {path}")
        at[last] = yaml.safe_load(text)
    return read(StockConfig, value, str(path))


def read(cls: type[T], value: Any, where: str) -> T:
    """A mapping -> the dataclass `cls`; InputError names the key that is unknown, missing or of a wrong type."""
    if not isinstance(value, dict):
        raise InputError(f"{where}: a mapping expected, got {value!r}")
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in value:
        if key not in fields:
            near = difflib.get_close_matches(str(key), list(fields), 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(fields)}"
            raise InputError(f"{where}: unknown key {key!r}; {hint}")
    for name, f in fields.items():
        if (
            name not in value
            and f.default is dataclasses.MISSING
            and f.default_factory is dataclasses.MISSING
        ):
            raise InputError(f"{where}: {name} is missing")
    return cls(**{key: _typed(hints[key], item, f"{where}: {key}") for key, item in value.items()})


def _typed(hint: Any, value: Any, where: str) -> Any:
    """`value` as the type `hint`, or an InputError."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        options = [a for a in arguments if a is not type(None)]
        chosen = next((a for a in options if isinstance(value, typing.get_origin(a) or a)), options[0])
        return _typed(chosen, value, where)
    if origin is Literal:
        if value not in arguments:
            raise InputError(f"{where} is {value!r}; it may be {', '.join(map(str, arguments))}")
        return value
    if origin is list:
        if not isinstance(value, list):
            raise InputError(f"{where}: a list expected, got {value!r}")
        return [_typed(arguments[0], item, f"{where}[{n}]") for n, item in enumerate(value)]
    if dataclasses.is_dataclass(hint):
        return read(typing.cast(type, hint), value, where)
    wanted = origin or hint
    if wanted is float and isinstance(value, int | str) and not isinstance(value, bool):
        try:
            return float(value)  # YAML reads 1e-4 as text
        except ValueError:
            pass
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        raise InputError(f"{where}: {wanted.__name__} expected, got {value!r}")
    return value
