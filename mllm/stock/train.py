"""The three stages on stock models: pre-training of the connector, instruction tuning, alignment; each resumes exactly."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import InputError, SightlineError
from . import build, checkpoints, pairs, samples
from .config import AlignStage, Stage, StockConfig, TeachStage

if TYPE_CHECKING:
    from transformers import PreTrainedModel, ProcessorMixin, TrainerCallback

STAGES = ("pretrain", "instruct", "align")
_PARTS = (
    (
        "connector",
        ("multi_modal_projector", "connector", "image_newline", "merger", "qformer", "query_tokens"),
    ),
    ("vision", ("vision", "visual")),
    ("language", ("language_model", "text_model", "lm_head", "model.layers", "embed_tokens")),
)


def part_of(name: str) -> str:
    """Which part a parameter belongs to, by its name: "connector", "vision" or "language"."""
    for part, marks in _PARTS:
        if any(mark in name for mark in marks):
            return part
    raise InputError(
        f"the parameter {name} belongs to no known part; this model class cannot be trained here"
    )


def freeze(model: PreTrainedModel, train: Sequence[str], adapters: bool = False) -> str:
    """Lets only the parts in `train` learn; returns a line for each part that says whether it is frozen.

    With `adapters` the language model is frozen too, and low-rank adapters learn beside it.
    """
    if adapters and ("language" not in train or "vision" in train):
        raise InputError(
            f"train: {list(train)} does not go with lora; it may be [language] or [connector, language]"
        )
    counts: dict[str, int] = {"vision": 0, "connector": 0, "language": 0}
    for name, parameter in model.named_parameters():
        part = part_of(name)
        counts[part] += parameter.numel()
        learns = part in train and not (adapters and part == "language")
        parameter.requires_grad_(learns)
    if not train:
        raise InputError("train is empty, so nothing would learn; name connector, language or vision")
    lines = []
    for part, count in counts.items():
        state = "trained" if part in train else "frozen"
        if part == "language" and adapters:
            state = "frozen, with adapters that learn"
        lines.append(f"{part:<10}{count:>15,} parameters  {state}")
    return "\n".join(lines)


def output_of(config: StockConfig, stage: str) -> Path:
    """Where a stage saves its model."""
    return Path(config.output) / stage


def start_of(config: StockConfig, stage: str) -> str | None:
    """What a stage begins from; None: the parts, composed anew."""
    section: Stage | None = getattr(config, stage)
    if section is not None and section.start:
        return section.start
    for earlier in reversed(STAGES[: STAGES.index(stage)]):
        if (output_of(config, earlier) / "config.json").is_file():
            return str(output_of(config, earlier))
        if getattr(config, earlier) is not None:
            raise InputError(
                f"{stage} begins from {output_of(config, earlier)}, which is not there: run {earlier} first, "
                f"or set {stage}.start"
            )
    return None


def run_stage(
    config: StockConfig,
    stage: str,
    resume: bool = False,
    callbacks: Sequence[TrainerCallback] = (),
    say: Any = print,
) -> Path:
    """Runs one stage and saves a whole model; returns its directory.

    Args:
        stage: "pretrain", "instruct" or "align"; the configuration must have its section.
        resume: go on from the last checkpoint under the stage's directory, exactly as if never stopped.
        callbacks: more of transformers' callbacks.
        say: prints lines.
    """
    section: TeachStage | AlignStage | None = getattr(config, stage) if stage in STAGES else None
    if section is None:
        raise InputError(f"the configuration has no section {stage!r}; the stages are {', '.join(STAGES)}")
    _need_train_extra()
    from transformers import set_seed

    set_seed(config.seed)
    folder = output_of(config, stage)
    work = folder / "run"  # what the run needs and the model does not: may be deleted afterwards
    last = _last_checkpoint(work)
    if resume and last is None:
        raise InputError(f"nothing to resume: {work / 'checkpoints'} holds no checkpoint")
    if last is not None and not resume:
        raise InputError(
            f"{work / 'checkpoints'} holds an earlier run: resume it, delete {folder}, or change output"
        )
    work.mkdir(parents=True, exist_ok=True)
    start = start_of(config, stage)
    if start is None:
        start = str(work / "start")
        if not resume:
            build.save(*build.compose(config.model), start)
    model, processor = checkpoints.load(start, four_bit=section.four_bit)
    say(f"{stage} from {start}")
    say(freeze(model, section.train, adapters=section.lora is not None))
    adapter = None if section.lora is None else _lora(model, section)
    if isinstance(section, AlignStage):
        trainer = _align_trainer(config, section, work, model, processor, adapter, start, say)
    else:
        trainer = _teach_trainer(config, section, work, model, processor, adapter, say)
    from .trainers import Journal

    for callback in (Journal(work / "metrics.jsonl", say), *callbacks):
        trainer.add_callback(callback)
    trainer.train(resume_from_checkpoint=str(last) if last else None)
    if trainer.is_world_process_zero():
        if adapter is not None:
            trainer.model.save_pretrained(work / "adapter")
            checkpoints.merge_lora(start, work / "adapter", folder)
        else:
            build.save(trainer.accelerator.unwrap_model(trainer.model), processor, folder)
        say(f"saved {folder}")
    return folder


def _need_train_extra() -> None:
    import importlib.util

    for name in ("trl", "peft", "accelerate", "datasets"):
        if importlib.util.find_spec(name) is None:
            raise SightlineError(
                f"training needs {name}, which is not installed: pip install 'sightline[train]'"
            )


def _last_checkpoint(work: Path) -> Path | None:
    found = [p for p in (work / "checkpoints").glob("checkpoint-*") if (p / "trainer_state.json").is_file()]
    return max(found, key=lambda p: int(p.name.split("-")[1]), default=None)


def _lora(model: PreTrainedModel, section: Stage) -> Any:
    """Adapters on the language model's linear layers; the connector learns whole where it is among the trained parts."""
    import torch
    from peft import LoraConfig

    assert section.lora is not None
    wanted = section.lora.targets
    targets = [
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear)
        and part_of(name) == "language"
        and "lm_head" not in name  # TRL reads the head's own weight, so an adapter on it would never learn
        and (wanted is None or name.rsplit(".", 1)[-1] in wanted)
    ]
    if not targets:
        raise InputError(f"lora.targets {wanted}: the language model has no linear layers of these names")
    whole = None
    if "connector" in section.train:
        whole = [
            n
            for n, _ in model.named_modules()
            if n.rsplit(".", 1)[-1] in ("multi_modal_projector", "connector")
        ]
    return LoraConfig(
        r=section.lora.rank, lora_alpha=section.lora.alpha, lora_dropout=section.lora.dropout,
        target_modules=targets, modules_to_save=whole, task_type="CAUSAL_LM",
    )  # fmt: skip


def _arguments(config: StockConfig, section: Stage, work: Path) -> dict[str, Any]:
    import importlib.util

    import torch

    gpu = torch.cuda.is_available()
    if section.precision == "bfloat16" and not gpu:
        raise InputError("precision: bfloat16 needs a GPU; the CPU trains in float32 (precision: auto)")
    half = gpu and section.precision != "float32" and torch.cuda.is_bf16_supported()
    board = importlib.util.find_spec("tensorboard") is not None
    # The integration reads its folder from here only.
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(work / "tensorboard")
    return {
        "output_dir": str(work / "checkpoints"), "seed": config.seed, "data_seed": config.seed,
        "per_device_train_batch_size": section.batch, "gradient_accumulation_steps": section.accumulate,
        "num_train_epochs": section.epochs, "max_steps": section.steps or -1, "learning_rate": section.rate,
        "warmup_steps": section.warmup if section.warmup < 1 else 0.0, "lr_scheduler_type": section.schedule,
        "weight_decay": section.decay, "max_grad_norm": section.clip, "bf16": half, "use_cpu": not gpu,
        "gradient_checkpointing": section.checkpointing and gpu, "logging_steps": section.log_every,
        "save_strategy": "steps", "save_steps": section.save_every, "save_total_limit": section.keep,
        "dataloader_num_workers": section.workers, "remove_unused_columns": False, "disable_tqdm": True,
        "report_to": ["tensorboard"] if board else [], "max_length": None,
    }  # fmt: skip


def _settings(kind: Any, **options: Any) -> Any:
    """TRL's arguments object. It warns of a name for activation checkpointing that TRL itself still reads."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return kind(**options)


def _kept(
    processor: ProcessorMixin, found: list[Any], section: Stage, last_only: bool, say: Any
) -> list[Any]:
    kept, dropped = samples.check(processor, found, section.max_length, section.too_long, last_only)
    say(
        f"{len(kept):,} {'answers of pairs' if last_only else 'samples'}"
        + (f"; {dropped:,} longer than {section.max_length} tokens left out" if dropped else "")
    )
    return kept


def _teach_trainer(
    config: StockConfig, section: TeachStage, work: Path, model: Any, processor: Any, adapter: Any, say: Any
) -> Any:
    from datasets import Dataset
    from transformers import PrinterCallback
    from trl import SFTConfig

    from .trainers import AnswerCollator, AnswerTrainer

    found = _kept(processor, samples.read_samples(section.data, config.boxes), section, False, say)
    trainer = AnswerTrainer(
        model=model, args=_settings(SFTConfig, **_arguments(config, section, work)), peft_config=adapter,
        train_dataset=Dataset.from_list([s.row() for s in found]), processing_class=processor,
        data_collator=AnswerCollator(processor),
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    return trainer


def _align_trainer(
    config: StockConfig,
    section: AlignStage,
    work: Path,
    model: Any,
    processor: Any,
    adapter: Any,
    start: str,
    say: Any,
) -> Any:
    from datasets import Dataset
    from transformers import PrinterCallback
    from trl import DPOConfig

    from .trainers import PairCollator, SegmentDPOTrainer, samples_of

    if not section.pairs:
        raise InputError("align.pairs is missing: name a .jsonl file of preference pairs")
    root = Path(section.images)
    found = []
    for pair in pairs.read_pairs(section.pairs):
        placed = pairs.Pair(
            pair.id, tuple(str(root / p) for p in pair.images), pair.prompt, pair.chosen, pair.rejected
        )
        found.append(placed)
    both = [sample for pair in found for sample in samples_of(pair)]
    fitting = {s.id for s in _kept(processor, both, section, True, say)}
    rows = [
        {"id": p.id, "images": list(p.images), "pair": json.dumps(p.to_json())}
        for p in found
        if p.id in fitting
    ]
    reference = None
    if adapter is None:
        reference, _ = checkpoints.load(start)
        reference.requires_grad_(False)
    trainer = SegmentDPOTrainer(
        model=model, ref_model=reference, args=_settings(DPOConfig, beta=section.beta, **_arguments(config, section, work)),
        peft_config=adapter, train_dataset=Dataset.from_list(rows), processing_class=processor,
        data_collator=PairCollator(processor, section.gamma),
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    return trainer
