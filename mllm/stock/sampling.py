"""Answers of a stock model to a prompt with pictures: the most likely one, or several by chance for a judge to rank."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .samples import open_picture, parts


def prepare(processor: Any, messages: Sequence[Mapping[str, str]], images: Sequence[Any]) -> Any:
    """Model inputs for messages with `<image>` marks and their pictures (paths or RGB pictures), in order."""
    text = processor.apply_chat_template(
        parts([dict(m) for m in messages]), tokenize=False, add_generation_prompt=True
    )
    pictures = [open_picture(i) if isinstance(i, str) else i for i in images]
    bos = processor.tokenizer.bos_token
    return processor(
        images=pictures or None,
        text=[text],
        return_tensors="pt",
        add_special_tokens=not (bos and text.startswith(bos)),
    )


def answers(
    model: Any, processor: Any, messages: Sequence[Mapping[str, str]], images: Sequence[Any], count: int = 0,
    new_tokens: int = 64, temperature: float = 1.0, top_p: float = 1.0,
) -> list[str]:  # fmt: skip
    """The greedy answer (count 0), or `count` sampled ones; chance is torch's (transformers.set_seed)."""
    inputs = prepare(processor, messages, images).to(model.device)
    choice = {
        "do_sample": True,
        "num_return_sequences": count,
        "temperature": temperature,
        "top_p": top_p,
        "top_k": 0,
    }
    out = model.generate(**inputs, max_new_tokens=new_tokens, **(choice if count else {"do_sample": False}))
    texts = processor.batch_decode(out[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    return [t.strip() for t in texts]


def sampler(model: Any, processor: Any, **options: Any) -> Callable[[Mapping[str, Any], int], list[str]]:
    """`sample` for `pairs.pairs_from_samples`."""

    def sample(record: Mapping[str, Any], count: int) -> list[str]:
        return answers(model, processor, record["prompt"], record["images"], count, **options)

    return sample
