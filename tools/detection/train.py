"""Training a detector from one YAML file: build, train or go on, and write the averaged weights."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

from ...errors import InputError

DATA = ("scenes", "photos")
HELD = 20  # of so many photographs, one is held back for the probe


@dataclass
class RunConfig:
    """One run. Paths are taken from the folder where the command is given."""

    output: str  # folder of checkpoints, metrics and the finished weights
    data: str = "scenes"  # one of DATA
    seed: int = 1  # of the initial weights and of the stream of pictures
    shape: str = "yolo11n.yaml"  # a model file of ultralytics
    sizes: list[int] = field(
        default_factory=lambda: [160]
    )  # pixels of a side that steps are drawn at, all alike
    batch: int = 32  # pictures a step
    threads: int = 1  # two threads were slower than one at this size
    precision: str = "bfloat16"  # what the passes compute in; master weights and batch norms are float32
    mosaic: float = (
        1.0  # photos: part of the steps in which pictures are put together by four; then each stands alone
    )
    average: float = 0.995  # decay of the average of the weights, which is what ships
    ramp: int = 16000  # scenes: pictures until they are as hard as they get
    photos: str = ""  # photos: folder of the training sets
    classes: list[str] = field(default_factory=list)  # photos: what is learned, in the order of the output
    teacher: str = ""  # photos: weights of a detector that completes the missing labels of training pictures
    distil: float = 0.0  # photos: weight of what the teacher says at every anchor, beside the labels
    start: str = ""  # weights (.pt) to start from, where they fit; '' starts from nothing
    loop: dict[str, Any] = field(default_factory=dict)  # fields of mllm.training.loop.LoopOptions


def read_config(path: str | Path) -> RunConfig:
    """Read a YAML file; an unknown key, a wrong type or a missing file is one clear line."""
    import yaml

    path = Path(path)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(values, dict):
        raise InputError(f"{path} should hold keys and values, not a {type(values).__name__}")
    hints = get_type_hints(RunConfig)
    for key, value in values.items():
        if key not in hints:
            near = difflib.get_close_matches(str(key), hints, n=1)
            raise InputError(f"{path}: no option {key!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
        wanted = getattr(hints[key], "__origin__", hints[key])
        if wanted is float and isinstance(value, int) and not isinstance(value, bool):
            value = values[key] = float(value)
        if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
            raise InputError(f"{path}: {key} should be a {wanted.__name__}, not {value!r}")
    if "output" not in values:
        raise InputError(f"{path}: `output`, the folder to write to, is missing")
    config = RunConfig(**values)
    _check(config, path)
    return config


def _check(config: RunConfig, path: Path) -> None:
    from ...mllm.training.loop import LoopOptions

    known = {f.name for f in fields(LoopOptions)}
    for key in config.loop:
        if key not in known:
            raise InputError(f"{path}: loop has no option {key!r}; it has {', '.join(sorted(known))}")
    if config.data == "photos" and not (config.photos and config.classes):
        raise InputError(f"{path}: data photos needs `photos`, the folder of the sets, and `classes`")
    if config.distil < 0 or (config.distil and not config.teacher):
        raise InputError(f"{path}: distil is a weight of 0 or more, and needs `teacher`")
    if config.data not in DATA:
        raise InputError(f"{path}: data is {' or '.join(DATA)}, not {config.data!r}")
    if config.precision not in ("bfloat16", "float32"):
        raise InputError(f"{path}: precision is bfloat16 or float32, not {config.precision!r}")
    if not config.sizes or any(not isinstance(s, int) or s < 64 or s % 32 for s in config.sizes):
        raise InputError(f"{path}: sizes are multiples of 32 from 64 up, not {config.sizes}")
    if not 0 <= config.mosaic <= 1:
        raise InputError(f"{path}: mosaic is a part of the steps, from 0 to 1, not {config.mosaic}")
    if not 0 <= config.average < 1:
        raise InputError(f"{path}: average is a decay from 0 to below 1, not {config.average}")


def run(config: RunConfig, say: Callable[[str], None] = print) -> Path:
    """Train to the end, or on from the last checkpoint; returns the weights file, averaged, in ultralytics' format."""
    import torch

    from ...mllm.training.loop import LoopOptions, half_precision, train
    from .network import Averaged, build, save_weights, start_from
    from .scenes import KINDS

    torch.set_num_threads(config.threads)
    kinds = KINDS if config.data == "scenes" else tuple(config.classes)
    net = build(kinds, config.shape, config.sizes[0], config.seed)
    if config.start:
        say(f"{start_from(net, Path(config.start))} tensors from {config.start}")
    plain = build(kinds, config.shape, config.sizes[0], config.seed)  # takes the average when it is looked at
    half_precision(net, getattr(torch, config.precision))
    net.to(memory_format=torch.channels_last)
    model = Averaged(net, config.average)
    stage = scene_stage(config, model) if config.data == "scenes" else photo_stage(config, model, say)
    options = LoopOptions(**config.loop)

    def probe(step: int) -> dict[str, float]:
        return stage.probe(model.settle(plain))

    train(model, stage, options, config.output, probe=probe, say=say, facts={"kinds": list(kinds)})
    target = Path(config.output) / "weights.safetensors"
    size = save_weights(model.settle(plain), target, config.shape, {"config": vars(config)})
    say(f"{target}: {size / 2**20:.1f} MiB of weights")
    return target


def scene_stage(config: RunConfig, model: Any) -> Any:
    """The stage that draws scenes."""
    from .scenes import SceneStage

    return SceneStage(model, config.seed, config.batch, config.sizes, config.ramp)


def photo_stage(config: RunConfig, model: Any, say: Callable[[str], None]) -> Any:
    """The stage that varies photographs; every twentieth is held back for the probe."""
    import torch

    from ..backends.ultralytics_detector import UltralyticsDetector
    from .distil import Distillation
    from .photos import PhotoStage, complete, read_sets

    photos = read_sets(Path(config.photos), config.classes)
    if config.teacher:
        teacher = UltralyticsDetector(Path(config.teacher), "", confidence=0.1, image_size=384)
        photos = complete(photos, config.classes, teacher, Path(config.output) / "teacher.json", say)
    held = photos[HELD - 1 :: HELD]
    kept = [p for i, p in enumerate(photos) if (i + 1) % HELD]
    say(f"{len(kept)} photographs, {sum(len(p.kinds) for p in kept)} boxes; {len(held)} held back")
    mosaic_until = int(config.loop.get("steps", 1000) * config.mosaic)
    distillation = None
    if config.distil:
        precision = getattr(torch, config.precision)
        distillation = Distillation(model.net, config.classes, Path(config.teacher), precision)
    return PhotoStage(
        model, kept, len(config.classes), config.seed, config.batch, config.sizes, mosaic_until, held,
        distillation, config.distil,
    )  # fmt: skip
