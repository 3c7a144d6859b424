"""The training loop: a schedule, a progress line, metrics as JSON lines, and checkpoints that resume exactly.

A stage gives batches as a pure function of the step, so that weights, optimiser and step number are the whole state:
a resumed run has the same losses as one never interrupted.
"""

from __future__ import annotations

import importlib.util
import json
import math
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from .checkpoints import load_checkpoint, save_checkpoint
from .optim import MuonAdamW


class Stage(Protocol):
    """What a stage of training is to the loop."""

    name: str
    batch_size: int

    def parameters(self) -> list[tuple[str, nn.Parameter]]: ...
    def batch(self, step: int) -> Any: ...
    def losses(self, batch: Any) -> Iterator[tuple[Tensor, dict[str, float]]]: ...


@dataclass
class LoopOptions:
    """How long and how fast to train."""

    steps: int = 1000  # optimiser steps in all
    warmup: int = 100  # steps of linear warm-up
    cooldown: int = 300  # last steps, over which the rate falls linearly
    floor: float = 0.02  # the rate at the end, as a part of its peak
    muon_lr: float = 0.01
    adam_lr: float = 2e-3
    decay: float = 0.0
    clip: float = 1.0
    log_every: int = 20
    probe_every: int = 1000
    save_every: int = 500

    def scale(self, step: int) -> float:
        """The rate's factor: warm-up, plateau, linear fall; a plateau, so that a run can be made longer later."""
        warm = min(1.0, (step + 1) / max(1, self.warmup))
        left = min(1.0, (self.steps - step) / max(1, self.cooldown))
        return warm * max(self.floor, left)


def tensorboard(folder: Path) -> Callable[[str, int, dict[str, float]], None]:
    """What writes figures for TensorBoard into `folder`/tensorboard; where tensorboard is not installed it does nothing."""
    if importlib.util.find_spec("tensorboard") is None:
        return lambda group, step, figures: None
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder / "tensorboard"))

    def write(group: str, step: int, figures: dict[str, float]) -> None:
        for name, value in figures.items():
            writer.add_scalar(f"{group}/{name}", value, step)
        writer.flush()

    return write


def half_precision(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Compute in `dtype`, but keep batch norms in float32: their running means would not move in bfloat16."""
    model.to(dtype)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.float()
    return model


def train(
    model: nn.Module,
    stage: Stage,
    options: LoopOptions,
    folder: str | Path,
    probe: Callable[[int], dict[str, float]] | None = None,
    say: Callable[[str], None] = print,
    facts: dict[str, Any] | None = None,
    count: Callable[[Any], int] | None = None,
    unit: str = "tokens",
) -> dict[str, float]:
    """Run a stage from its last checkpoint in `folder`, or from the start.

    Metrics go to `metrics.jsonl` in the folder and, where tensorboard is installed, to its `tensorboard` folder.
    SIGTERM and SIGINT end the run after the step in hand, with a checkpoint. Returns the last metrics.

    Args:
        probe: accuracies on held-out scenes, measured every `probe_every` steps.
        count: how many `unit` a batch holds; the progress line then tells how many a second are learned from.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    optimiser = MuonAdamW(stage.parameters(), options.muon_lr, options.adam_lr, decay=options.decay)
    trained = {n for n, _ in optimiser.named}
    frozen = sorted({n.split(".")[0] for n, _ in model.named_parameters() if n not in trained})
    size = sum(p.numel() for _, p in optimiser.named)
    say(
        f"{stage.name}: training {size / 1e6:.2f} M parameters in {sorted({n.split('.')[0] for n in trained})}; frozen: {frozen}"
    )
    step, spent = 0, 0.0
    if (folder / "state.safetensors").is_file():
        tensors, saved = load_checkpoint(folder)
        step, spent = int(saved["step"]), float(saved["seconds"])
        optimiser.load_state_dict({k[4:]: v for k, v in tensors.items() if k.startswith("opt/")})
        buffers = dict(model.named_buffers())
        with torch.no_grad():
            for key, value in tensors.items():
                if key.startswith("buf/"):
                    buffers[key[4:]].copy_(value)
        say(f"resumed at step {step} after {spent:.0f} s")

    def save() -> None:
        tensors = {f"opt/{k}": v for k, v in optimiser.state_dict().items()}
        tensors |= {f"buf/{n}": b for n, b in model.named_buffers()}
        save_checkpoint(
            folder, tensors, {"step": step, "seconds": spent, "options": asdict(options), **(facts or {})}
        )

    def add(parts: dict[str, float]) -> None:
        for k, v in parts.items():
            if math.isfinite(v):
                sums[k] = sums.get(k, 0.0) + v
                sums[f"#{k}"] = sums.get(f"#{k}", 0.0) + 1

    stop = [False]
    old = {s: signal.signal(s, lambda *_: stop.__setitem__(0, True)) for s in (signal.SIGTERM, signal.SIGINT)}
    sums: dict[str, float] = {}
    board = tensorboard(folder)
    units = 0
    seen, began, last = 0, time.perf_counter(), time.perf_counter()
    metrics: dict[str, float] = {}
    try:
        with open(folder / "metrics.jsonl", "a", encoding="utf-8") as lines:
            while not stop[0] and step < options.steps:
                batch = stage.batch(step)
                units += count(batch) if count is not None else 0
                optimiser.zero_grad()
                total = 0.0
                for loss, parts in stage.losses(batch):
                    if loss.requires_grad:
                        loss.backward()
                    total += float(loss.detach())
                    add(parts)
                add({"loss": total, "norm": optimiser.step(options.scale(step), options.clip)})
                step += 1
                seen += 1
                now = time.perf_counter()
                spent, last = spent + now - last, now
                if step % options.log_every == 0:
                    metrics = {k: v / sums[f"#{k}"] for k, v in sums.items() if k[0] != "#"}
                    rate = (now - began) / seen
                    left = (options.steps - step) * rate
                    line = {"step": step, "seconds": round(spent, 1), "s_per_step": round(rate, 4), **metrics}
                    lines.write(json.dumps(line) + "\n")
                    lines.flush()
                    board("train", step, metrics | {"s_per_step": rate})
                    shown = " ".join(f"{k} {v:.3f}" for k, v in metrics.items())
                    speed = f"{units / (now - began):.0f} {unit}/s, " if units else ""
                    say(f"step {step} {shown} | {speed}{rate * 1e3:.0f} ms/step, {left / 60:.1f} min left")
                    sums.clear()
                if probe is not None and step % options.probe_every == 0:
                    paused = time.perf_counter()
                    figures = probe(step)
                    board("probe", step, figures)
                    began += time.perf_counter() - paused  # the rate is that of training
                    lines.write(json.dumps({"step": step, "probe": figures}) + "\n")
                    lines.flush()
                    say(f"probe at {step}: " + " ".join(f"{k} {v:.3f}" for k, v in figures.items()))
                if step % options.save_every == 0:
                    save()
                last = time.perf_counter()
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
    save()
    return metrics
