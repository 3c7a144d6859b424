"""A starter small enough for tests, with weights that are random everywhere, so that no part of it is silent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from sightline.mllm.answerer import Answerer
from sightline.mllm.starter import StarterForConditionalGeneration, StarterProcessor
from sightline.mllm.tokenizer import train_tokenizer
from sightline.mllm.training.stages import RunConfig, starter_config


def tiny_starter(texts: Sequence[str], vocabulary: int, shape: dict[str, Any]) -> Answerer:
    """One that sees things in any picture.

    Args:
        texts: what its tokenizer learns from.
        vocabulary: tokens that it has, filled up with spare ones.
        shape: fields of its config that differ from the shipped starter's.
    """
    config = starter_config(RunConfig("unused", vocabulary=vocabulary, model=shape))
    tokenizer = train_tokenizer(texts, vocabulary, config.pointers)
    if len(tokenizer) < vocabulary:
        tokenizer.add_tokens([f"<spare{i}>" for i in range(vocabulary - len(tokenizer))])
    config.pointer_start = tokenizer.convert_tokens_to_ids("<obj0>")
    config.reading_start = tokenizer.convert_tokens_to_ids("<txt0>")
    model = StarterForConditionalGeneration(config)
    model.reset(3)
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.ndim == 2 and not bool(p.any()):
                p.normal_(0, p.shape[1] ** -0.5, generator=generator)
            if name == "perception.kind.bias":
                p[-1] = 4.0
    return Answerer(model, StarterProcessor.build(config, tokenizer))
