"""Answers and captions by a public image-text-to-text checkpoint (Qwen-VL, LLaVA, SmolVLM, ...) with a chat template."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ...errors import InputError, ModelFileError
from ...mllm.cutoff import current, held, stopping
from ..values import Image
from .common import from_folder, torch_device, use_quiet_transformers, whole

_DTYPES = ("auto", "float32", "bfloat16", "float16")


class ImageTextModel:
    """Greedy decoding, so that an answer can be kept and is the same tomorrow."""

    batch = 4

    def __init__(
        self,
        weights: Path,
        digest: str,
        answer_tokens: int = 64,
        caption_tokens: int = 128,
        answer_style: str = "Answer with a word or a short phrase.",
        caption_prompt: str = "Describe the picture in one or two sentences.",
        dtype: str = "auto",
        device: str = "auto",
    ) -> None:
        """`answer_style` follows every question; the token counts bound the length of a reply."""
        from transformers import AutoModelForImageTextToText, AutoProcessor

        use_quiet_transformers()
        if dtype not in _DTYPES:
            raise InputError(f"option dtype: {dtype!r} is none of {', '.join(_DTYPES)}")
        self._digest = digest
        self._answer_tokens = whole("answer_tokens", answer_tokens, 1, 4096)
        self._caption_tokens = whole("caption_tokens", caption_tokens, 1, 4096)
        self._style, self._caption_prompt = answer_style, caption_prompt
        self._device = torch_device(device)
        self._model = from_folder(AutoModelForImageTextToText, weights, dtype=dtype).to(self._device).eval()
        self._processor = from_folder(AutoProcessor, weights)
        if not getattr(self._processor, "chat_template", None):
            raise ModelFileError(
                f"{weights}: the processor has no chat template; use an instruction-tuned checkpoint"
            )
        self._processor.tokenizer.padding_side = "left"  # replies start where the prompts end
        if self._processor.tokenizer.pad_token is None:
            self._processor.tokenizer.pad_token = self._processor.tokenizer.eos_token
        self._lock = threading.Lock()

    def answer(self, images: Sequence[Image], questions: Sequence[str]) -> list[str]:
        prompts = [f"{question.strip()} {self._style}".strip() for question in questions]
        return self._reply(images, prompts, self._answer_tokens)

    def stream(self, image: Image, question: str) -> Iterator[str]:
        """The answer that `answer` gives, in pieces as it is written."""
        import torch

        from ...mllm.streaming import streamed

        inputs = self._inputs([image], [f"{question.strip()} {self._style}".strip()])

        def generate(streamer: Any) -> None:
            with held(self._lock), torch.inference_mode():
                self._model.generate(**inputs, **self._greedy(self._answer_tokens), streamer=streamer)

        decode = self._processor.tokenizer.decode
        return streamed(generate, lambda ids, whole: str(decode(ids, skip_special_tokens=True)).strip())

    def caption(self, images: Sequence[Image]) -> list[str]:
        return self._reply(images, [self._caption_prompt] * len(images), self._caption_tokens)

    def _reply(self, images: Sequence[Image], prompts: Sequence[str], tokens: int) -> list[str]:
        import torch

        if not images:
            return []
        with held(self._lock), torch.inference_mode():
            inputs = self._inputs(images, prompts)
            start = inputs["input_ids"].shape[1]
            output = self._model.generate(**inputs, **self._greedy(tokens), **stopping())
            current().check()
            replies = self._processor.batch_decode(output[:, start:], skip_special_tokens=True)
        return [reply.strip() for reply in replies]

    def _greedy(self, tokens: int) -> dict[str, Any]:
        """The settings of `generate`: no sampling, whatever the checkpoint's own say."""
        return {
            "max_new_tokens": tokens, "do_sample": False, "num_beams": 1, "temperature": None, "top_p": None, "top_k": None,
            "pad_token_id": self._processor.tokenizer.pad_token_id,
        }  # fmt: skip

    def _inputs(self, images: Sequence[Image], prompts: Sequence[str]) -> Any:
        """Token ids and pixels, padded to the left. The question is the user's turn, never part of the template."""
        texts = [
            self._processor.apply_chat_template(
                [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": prompt}]}],
                add_generation_prompt=True,
                tokenize=False,
            )
            for prompt in prompts
        ]
        pictures = [[image.pil()] for image in images]
        inputs = self._processor(images=pictures, text=texts, padding=True, return_tensors="pt").to(
            self._device
        )
        for name, value in inputs.items():
            if value.is_floating_point():
                inputs[name] = value.to(self._model.dtype)
        return inputs
