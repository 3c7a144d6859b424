"""Decoding that keeps to the picture: visual contrastive decoding with its plausibility mask, as logits processors."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from transformers import LogitsProcessor

from ..errors import InputError

if TYPE_CHECKING:
    from torch import Tensor


class PlausibilityMask(LogitsProcessor):
    """Keeps the tokens whose probability is at least `beta` times that of the likeliest (Li et al. 2023)."""

    def __init__(self, beta: float = 0.1) -> None:
        if not 0 < beta <= 1:
            raise InputError(f"PlausibilityMask: beta must lie in (0, 1], got {beta}")
        self.beta = beta

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        floor = scores.max(-1, keepdim=True).values + math.log(self.beta)
        return scores.masked_fill(scores < floor, -torch.inf)


class VisualContrast(LogitsProcessor):
    """Visual contrastive decoding: (1 + alpha) l(picture) - alpha l(distorted picture), on plausible tokens only.

    Leng et al. 2023, arXiv:2311.16922. It keeps a cache of its own for the distorted picture, so that each step costs one
    more token, not one more prompt. One processor serves one call of `generate`, without beams.

    Args:
        model: the model that generates.
        inputs: the inputs of that `generate`, with the distorted pictures in the place of the right ones.
        alpha: weight of the contrast.
        beta: plausibility: tokens below `beta` times the likeliest are left out.
    """

    def __init__(self, model: Any, inputs: dict[str, Any], alpha: float = 1.0, beta: float = 0.1) -> None:
        if alpha < 0:
            raise InputError(f"VisualContrast: alpha must not be negative, got {alpha}")
        self.model, self.inputs, self.alpha = model, dict(inputs), alpha
        self.plausible = PlausibilityMask(beta)
        self.mask: Tensor | None = None
        self.cache: Any = None
        self.seen = 0

    @torch.no_grad()
    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        if self.mask is None:
            self.mask = self.inputs.get("attention_mask", torch.ones_like(self.inputs["input_ids"]))
            if self.mask.shape[1] != input_ids.shape[1]:
                raise InputError("VisualContrast has served another generation; make a new one for each call")
            kwargs = {**self.inputs, "attention_mask": self.mask}
        else:
            new = input_ids[:, self.seen :]
            self.mask = torch.cat((self.mask, torch.ones_like(new)), 1)
            kwargs = {"input_ids": new, "attention_mask": self.mask}
            for key in ("object_tokens", "object_valid"):
                if key in self.inputs:
                    kwargs[key] = self.inputs[key]
            if "position_ids" in self.inputs:
                last = self.inputs["position_ids"][:, -1:]
                kwargs["position_ids"] = last + torch.arange(
                    self.seen - self.inputs["input_ids"].shape[1] + 1,
                    input_ids.shape[1] - self.inputs["input_ids"].shape[1] + 1,
                )
        out = self.model(**kwargs, past_key_values=self.cache, use_cache=True)
        self.cache, self.seen = out.past_key_values, input_ids.shape[1]
        other = out.logits[:, -1].to(scores.dtype)
        plain = scores.log_softmax(-1)
        contrast = (1 + self.alpha) * plain - self.alpha * other.log_softmax(-1)
        return contrast.masked_fill(torch.isinf(self.plausible(input_ids, plain)), -torch.inf)


def contrast_with(
    model: Any, inputs: dict[str, Any], objects: Any, alpha: float = 1.0, beta: float = 0.1
) -> VisualContrast:
    """`VisualContrast` for a starter: the same prompt with other `objects` (those of a distorted picture)."""
    tokens, valid, mask = model._prepare(inputs["input_ids"], inputs.get("attention_mask"), None, objects)
    prepared = {
        "input_ids": inputs["input_ids"], "attention_mask": mask, "object_tokens": tokens, "object_valid": valid,
        "position_ids": model.positions(inputs["input_ids"], mask),
    }  # fmt: skip
    if inputs.get("region_boxes") is not None:
        prepared["region_boxes"] = inputs["region_boxes"]
    return VisualContrast(model, prepared, alpha, beta)


def diffused(pixels: Tensor, step: int = 500, seed: int = 0) -> Tensor:
    """Pictures [N, 3, H, W] in -1..1 as the forward diffusion leaves them at `step` of 1,000: what VCD contrasts with.

    The variances rise from 1e-5 to 5e-3 along a sigmoid, as in Leng et al. 2023; the noise follows from the seed.
    """
    if not 0 <= step < 1000:
        raise InputError(f"diffused: step {step} is outside 0..999")
    variances = torch.sigmoid(torch.linspace(-6, 6, 1000)) * (5e-3 - 1e-5) + 1e-5
    kept = float((1 - variances[: step + 1]).prod())
    noise = torch.randn(pixels.shape, generator=torch.Generator().manual_seed(seed))
    return (kept**0.5 * pixels + (1 - kept) ** 0.5 * noise).to(pixels.dtype)
