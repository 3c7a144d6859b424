"""Train the starter segmenter, or write its finished weights, from one YAML file.

    sightline train segmenter --config mllm/configs/starter-segmenter.yaml

A run that was stopped goes on from its last checkpoint when the same command is given again; at its end, and whenever the
command is given to a finished run, the weights are written to `weights`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import InputError

if TYPE_CHECKING:
    from .teacher import Teacher


@dataclass
class SegmenterRun:
    """A run. Paths are taken from the folder where the command is given."""

    output: str  # folder of checkpoints and metrics
    weights: str = ""  # file of the finished weights; none is written where it is empty
    seed: int = 1
    threads: int = 1
    precision: str = "bfloat16"  # what the passes compute in; master weights are float32
    photographs: str = ""  # folder of sets with annotations.json; empty: scenes only
    teacher: str = (
        ""  # segmentation weights that outline the boxed things of sets without outlines; empty: none
    )
    scenes: float = 0.4  # share of drawn scenes
    whole: float = 0.45  # share of uncropped pictures
    paste: float = 0.3  # share of photographs with a pasted thing
    batch: int = 8  # pictures a step at the network's own side; more where they are smaller
    sides: dict[int, int] = field(
        default_factory=dict
    )  # first step -> side of the squares; empty: the network's own
    prompts: int = 5  # prompts a picture
    rounds: int = 2  # answers to each prompt: the first, then corrections
    model: dict[str, Any] = field(
        default_factory=dict
    )  # fields of SegmenterShape that differ from its defaults
    loop: dict[str, Any] = field(default_factory=dict)  # fields of LoopOptions


def read_config(path: str | Path) -> SegmenterRun:
    """Read a YAML file; an unknown key, a wrong type or a missing file is one clear line."""
    import difflib

    import yaml

    from ..training.loop import LoopOptions
    from .encoder import SegmenterShape

    path = Path(path)
    if not path.is_file():
        raise InputError(f"no config file {path}")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(values, dict) or "output" not in values:
        raise InputError(f"{path}: `output`, the folder to write to, is missing")

    def check(given: dict[str, Any], record: type, where: str) -> None:
        known = {f.name: f for f in fields(record)}
        for key, value in given.items():
            if key not in known:
                near = difflib.get_close_matches(str(key), known, n=1)
                raise InputError(
                    f"{path}: {where}no option {key!r}" + (f"; did you mean {near[0]!r}?" if near else "")
                )
            wanted = str(known[key].type).split("[")[0]
            kinds = {"str": str, "int": int, "float": (int, float), "dict": dict, "tuple": list}[wanted]
            if not isinstance(value, kinds) or isinstance(value, bool):  # type: ignore[arg-type]
                raise InputError(f"{path}: {where}{key} should be a {wanted}, not {value!r}")

    check(values, SegmenterRun, "")
    run = SegmenterRun(**values)
    check(run.loop, LoopOptions, "loop: ")
    check(run.model, SegmenterShape, "model: ")
    run.model = {k: tuple(v) if isinstance(v, list) else v for k, v in run.model.items()}
    for first, side in run.sides.items():
        if not isinstance(first, int) or not isinstance(side, int) or side % 32 or side < 64:
            raise InputError(
                f"{path}: sides maps a step to a side, a multiple of 32 from 64 up, not {first!r}: {side!r}"
            )
    if run.precision not in ("bfloat16", "float32"):
        raise InputError(f"{path}: precision is bfloat16 or float32, not {run.precision!r}")
    return run


def train_segmenter(
    run: SegmenterRun, say: Callable[[str], None] = print, teacher: Teacher | None = None
) -> dict[str, float]:
    """Run to the end, or on from the last checkpoint; returns the last figures and writes the weights.

    `teacher` is what `run.teacher` names; it is needed once, until its outlines lie in the run's folder.
    """
    import torch

    from ..training.checkpoints import load_checkpoint
    from ..training.loop import LoopOptions, half_precision, train
    from .encoder import SegmenterShape
    from .network import build
    from .pictures import Pictures, read_photographs
    from .stage import SegmenterStage
    from .teacher import complete

    torch.set_num_threads(run.threads)
    torch.manual_seed(run.seed)
    shape = SegmenterShape(**run.model)
    sam = build(shape)
    photographs = []
    if run.photographs:
        folder = Path(run.photographs)
        extra = complete(folder, teacher, outlines_of(run), say) if run.teacher else None
        photographs = read_photographs(folder, extra)
        say(f"{len(photographs)} photographs, {sum(len(p.outlines) for p in photographs)} outlines")
    half_precision(sam.image_encoder, getattr(torch, run.precision))
    half_precision(sam.mask_decoder, getattr(torch, run.precision))
    sam.image_encoder.to(memory_format=torch.channels_last)
    pictures = Pictures(run.seed, photographs, run.scenes, run.whole, run.paste)
    stage = SegmenterStage(
        sam, pictures, run.seed, run.batch, run.prompts, run.rounds, list(run.sides.items())
    )
    figures = train(sam, stage, LoopOptions(**run.loop), run.output, say=say)
    if run.weights:
        tensors, facts = load_checkpoint(Path(run.output))
        size = export(tensors, shape, Path(run.weights), {"step": facts["step"], "run": asdict(run)})
        say(f"{run.weights}: {size / 2**20:.1f} MiB of weights after step {facts['step']}")
    return figures


def outlines_of(run: SegmenterRun) -> Path:
    """The file of a run's teacher's outlines."""
    return Path(run.output) / "teacher.json"


def export(tensors: dict[str, Any], shape: Any, path: Path, facts: dict[str, Any]) -> int:
    """Write a checkpoint's master weights and running means as a weights file; returns its bytes."""
    from .network import build, save

    sam = build(shape)
    state = sam.state_dict()
    for name in state:
        for key in (f"opt/master/{name}", f"buf/{name}"):
            if key in tensors:
                state[name] = tensors[key].to(state[name].dtype)
    sam.load_state_dict(state)
    return save(sam, shape, path, facts)
