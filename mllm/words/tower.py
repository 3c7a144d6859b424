"""The words tower as verbs: requests in, texts out, many at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...errors import ModelFileError
from ..starter.config import ANSWER, ASSISTANT, EOS, PAD, PLAN, USER
from .model import WordsForCausalLM
from .spelling import Speller

FOLDER = "words"  # where a starter's folder holds its tower
FILES = ("config.json", "model.safetensors")


class WordsTower:
    """A tower and its spelling."""

    def __init__(self, model: WordsForCausalLM, speller: Speller) -> None:
        self.model, self.speller = model, speller

    @classmethod
    def load(cls, folder: str | Path, tokenizer: Any) -> WordsTower:
        """Load a tower saved by `save_pretrained`, in float32; the tokenizer is that of the starter around it.

        Raises:
            ModelFileError: a missing or damaged file, weights of another shape, or another tokenizer's.
        """
        import torch
        from safetensors import SafetensorError
        from transformers import AutoModelForCausalLM

        folder = Path(folder)
        for name in FILES:
            if not (folder / name).is_file():
                raise ModelFileError(
                    f"{folder} is no words tower: {name} is missing; make one with `save_pretrained`"
                )
        try:
            model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        except (OSError, RuntimeError, ValueError, KeyError, SafetensorError) as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise ModelFileError(f"{folder} does not load as a words tower: {reason}") from error
        if not isinstance(model, WordsForCausalLM):
            raise ModelFileError(f"{folder} holds a {type(model).__name__}, not a words tower")
        if model.config.vocab_size != len(tokenizer):
            raise ModelFileError(
                f"{folder} was trained on {model.config.vocab_size} tokens, the starter around it has {len(tokenizer)}"
            )
        return cls(model.eval(), Speller(tokenizer))

    def prompt(self, text: str, plan: bool) -> list[int]:
        """Ids of a prompt: a request to plan, or another question in words."""
        return [USER, *self.speller.request(text), ASSISTANT, PLAN if plan else ANSWER]

    def write(
        self,
        texts: Sequence[str],
        *,
        plan: bool,
        batch: int = 64,
        max_new_tokens: int = 240,
        **generation: Any,
    ) -> list[str]:
        """What the tower writes for each text; further arguments go to `generate` (logits processors, sampling, beams)."""
        return [
            self.speller.decode(ids).strip()
            for ids in self.write_ids(
                texts, [plan] * len(texts), batch=batch, max_new_tokens=max_new_tokens, **generation
            )
        ]

    def write_ids(
        self,
        texts: Sequence[str],
        plans: Sequence[bool],
        *,
        batch: int,
        max_new_tokens: int,
        **generation: Any,
    ) -> list[list[int]]:
        """As `write`, but token ids without padding and end, and each text with its own mode."""
        import torch

        self.model.eval()
        generation.setdefault("do_sample", False)
        out: list[list[int]] = []
        prompts = [self.prompt(text, plan) for text, plan in zip(texts, plans, strict=True)]
        for at in range(0, len(prompts), batch):
            part = prompts[at : at + batch]
            longest = max(map(len, part))
            ids = torch.tensor([[PAD] * (longest - len(p)) + p for p in part])
            mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in part])
            made = self.model.generate(ids, attention_mask=mask, max_new_tokens=max_new_tokens, **generation)
            rows = made[:, longest:].tolist()
            per = len(rows) // len(part)  # beams and samples return several a text; the first is the answer
            for row in rows[::per]:
                row = row[: row.index(EOS)] if EOS in row else row
                out.append([i for i in row if i != PAD])
        return out
