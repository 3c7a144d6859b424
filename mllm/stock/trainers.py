"""What is added to TRL's trainers: batches from our samples, segment-weighted DPO, and metrics in lines a tool can read."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, TrainerCallback
from trl import DPOTrainer, SFTTrainer

from ...errors import ModelFileError
from . import dpo
from .pairs import Pair
from .samples import Sample, encode


class AnswerCollator:
    """Rows of `Sample.row` -> a batch whose labels are the answers' ids, -100 elsewhere."""

    def __init__(self, processor: Any) -> None:
        self.processor = processor

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        batch = encode(self.processor, [Sample.of(r) for r in rows])
        batch["labels"] = batch["input_ids"].masked_fill(~batch.pop("answers"), -100)
        return batch


def samples_of(pair: Pair) -> tuple[Sample, Sample]:
    """A pair as two conversations, the chosen answer's first."""
    both = [
        Sample(pair.id, pair.images, (*pair.prompt, {"role": "assistant", "content": answer}))
        for answer in (pair.chosen, pair.rejected)
    ]
    return both[0], both[1]


class PairCollator:
    """Rows of two samples -> a batch [2B, T], the chosen first, with `segment_weights` (0 outside the answers)."""

    def __init__(self, processor: Any, gamma: float) -> None:
        self.processor, self.gamma = processor, gamma

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        pairs = [samples_of(Pair(**json.loads(r["pair"]))) for r in rows]
        batch = encode(self.processor, [p[0] for p in pairs] + [p[1] for p in pairs], last_only=True)
        answers = batch.pop("answers")
        weights = torch.zeros(answers.shape)
        for n in range(len(pairs)):
            rejected = n + len(pairs)
            found = [batch["input_ids"][row][answers[row]].tolist() for row in (n, rejected)]
            left, right = dpo.segment_weights(found[0], found[1], self.gamma)
            weights[n, answers[n]] = torch.tensor(left)
            weights[rejected, answers[rejected]] = torch.tensor(right)
        batch["segment_weights"] = weights
        return batch


class ExactResume:
    """Puts a checkpoint's weights back under the names that it was saved with.

    `Trainer` reads a checkpoint without the renaming that `save_pretrained` did for Llava, finds no name that it knows,
    and goes on from the first weights with a warning (seen in transformers 5.23).
    """

    def _load_from_checkpoint(self, checkpoint: str, model: Any = None) -> None:
        model = model if model is not None else self.model  # type: ignore[attr-defined]
        whole = isinstance(model, PreTrainedModel)
        if not whole or self.is_deepspeed_enabled or self.is_fsdp_enabled:  # type: ignore[attr-defined]
            super()._load_from_checkpoint(checkpoint, model)  # type: ignore[misc]  # adapters keep their names
            return
        saved, facts = type(model).from_pretrained(
            checkpoint, dtype=model.dtype, use_safetensors=True, output_loading_info=True
        )
        if facts["missing_keys"]:
            raise ModelFileError(
                f"{checkpoint} lacks the tensor {sorted(facts['missing_keys'])[0]}; it cannot be resumed"
            )
        model.load_state_dict(saved.state_dict())


class AnswerTrainer(ExactResume, SFTTrainer):
    """TRL's trainer on answers, resuming exactly."""


class SegmentDPOTrainer(ExactResume, DPOTrainer):
    """TRL's DPO trainer with RLHF-V's segment-weighted scores; `args.beta` is its beta, the weights come with a batch."""

    def _scores(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        """Segment scores [2B]; the head reads only the columns that some answer needs."""
        weights = inputs["segment_weights"]
        given = {k: v for k, v in inputs.items() if k != "segment_weights"}
        columns = (weights > 0).any(0).nonzero()[:, 0] - 1  # the state before a token predicts it
        logits = model(**given, use_cache=False, logits_to_keep=columns).logits
        log_probs = dpo.token_log_probs(logits, inputs["input_ids"][:, columns + 1])
        return dpo.segment_scores(log_probs, weights[:, columns + 1])

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        scores = self._scores(model, inputs)
        with torch.no_grad():
            if self.ref_model is not None:
                reference = self._scores(self.ref_model, inputs)
            else:  # an adapter is trained: without it the model is the reference
                with self.accelerator.unwrap_model(model).disable_adapter():
                    reference = self._scores(model, inputs)
        (chosen, rejected), (ref_chosen, ref_rejected) = scores.chunk(2), reference.chunk(2)
        losses, good, bad = dpo.segment_dpo_loss(chosen, rejected, ref_chosen, ref_rejected, self.beta)
        found = self._metrics["train" if model.training else "eval"]
        for name, value in (
            ("rewards/chosen", good), ("rewards/rejected", bad), ("rewards/margins", good - bad),
            ("rewards/accuracies", (good > bad).float()), ("logps/chosen", chosen), ("logps/rejected", rejected),
        ):  # fmt: skip
            found[name].append(self.accelerator.gather(value.detach()).float().mean().item())
        self._total_train_tokens += int(self.accelerator.gather(inputs["attention_mask"].sum()).sum())
        found["num_tokens"] = [self._total_train_tokens]
        loss = losses.mean()
        return (loss, {"scores": scores}) if return_outputs else loss


class Journal(TrainerCallback):
    """Writes each log as a line of metrics.jsonl, and a line to read: loss, accuracy, tokens a second, time left."""

    def __init__(self, path: Path, say: Any = print) -> None:
        self.path, self.say = path, say
        self.began, self.first = time.monotonic(), 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.began, self.first = time.monotonic(), state.global_step

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any
    ) -> None:
        logs = logs or {}
        if not state.is_world_process_zero:
            return
        spent = max(1e-9, time.monotonic() - self.began)
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"step": state.global_step, "seconds": round(spent, 3), **logs}) + "\n")
        if "loss" not in logs:
            return
        done = state.global_step - self.first
        left = spent / max(1, done) * (state.max_steps - state.global_step)
        line = f"step {state.global_step}/{state.max_steps}  loss {float(logs['loss']):.4f}"
        for key, name in (("mean_token_accuracy", "token accuracy"), ("rewards/accuracies", "pairs right")):
            if key in logs:
                line += f"  {name} {float(logs[key]):.3f}"
        tokens = float(logs.get("num_tokens", 0.0))
        if tokens:
            line += f"  {tokens / spent:.0f} tokens/s"
        self.say(f"{line}  {int(left // 60)}:{int(left % 60):02d} left", flush=True)
