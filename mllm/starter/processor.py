"""The starter's processor: pictures to tensors, messages to prompts, and generated tokens back to words and boxes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from transformers import BatchFeature, ProcessorMixin
from transformers.image_processing_utils import BaseImageProcessor

from ...errors import InputError
from ..boxes import Box, BoxCodec
from ..regions import mask_box
from .config import StarterConfig
from .connector import Objects, decode_word

# One turn: its pictures, the question, and the mode token after which the model writes.
CHAT_TEMPLATE = (
    "{%- for m in messages -%}"
    "{%- if m['role'] == 'user' -%}"
    "{%- if m['content'] is string -%}{{- '<user>' + m['content'] -}}"
    "{%- else -%}"
    "{%- for c in m['content'] if c['type'] == 'image' -%}{{- '<image>' -}}{%- endfor -%}{{- '<user>' -}}"
    "{%- for c in m['content'] if c['type'] == 'text' -%}{{- c['text'] -}}{%- endfor -%}"
    "{%- endif -%}"
    "{%- elif m['role'] == 'assistant' -%}"
    "{%- set text = m['content'] if m['content'] is string else m['content'][0]['text'] -%}"
    "{{- '<assistant><' + (mode or 'answer') + '>' + text + '<eos>' -}}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<assistant><' + (mode or 'think') + '>' -}}{%- endif -%}"
)
_POINTER = re.compile(r"<obj(\d+)>")
_READING = re.compile(r"<txt(\d+)>")


class StarterImageProcessor(BaseImageProcessor):
    """Fits a picture into a square of `side` pixels, top left, grey beyond; values in -1..1.

    A box in 0..1 of the square times the picture's longer side is the box in the picture's pixels.
    """

    model_input_names: ClassVar[list[str]] = ["pixel_values"]

    def __init__(self, side: int = 128, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.side = side

    def __call__(self, images: Any, return_tensors: str | None = "pt", **_: Any) -> BatchFeature:
        pictures = [self.fit(image) for image in flatten(images)]
        stack = np.stack(pictures).astype(np.float32).transpose(0, 3, 1, 2) / 127.5 - 1
        return BatchFeature({"pixel_values": stack}, tensor_type=return_tensors)

    def fit(self, image: Any) -> np.ndarray:
        """A PIL picture or an RGB array [H, W, 3] -> uint8 [side, side, 3]."""
        from PIL import Image

        picture = (image if isinstance(image, Image.Image) else Image.fromarray(np.asarray(image))).convert(
            "RGB"
        )
        width, height = picture.size
        scale = self.side / max(width, height)
        if scale != 1.0:
            new = (max(1, round(width * scale)), max(1, round(height * scale)))
            picture = picture.resize(new, Image.Resampling.BOX if scale < 0.5 else Image.Resampling.BILINEAR)
        out = np.full((self.side, self.side, 3), 128, np.uint8)
        out[: picture.height, : picture.width] = np.asarray(picture)
        return out


def flatten(images: Any) -> list[Any]:
    """One picture, a list of pictures, or a list of lists of them -> a flat list."""
    if isinstance(images, list | tuple):
        return [picture for item in images for picture in flatten(item)]
    return [images]


def picture_size(image: Any) -> tuple[int, int]:
    """Width and height of a PIL picture or an array [H, W, 3]."""
    return (
        image.size if hasattr(image, "getbands") else (np.asarray(image).shape[1], np.asarray(image).shape[0])
    )


class StarterProcessor(ProcessorMixin):
    """Image processor and tokenizer in one.

    Args:
        image_processor, tokenizer: the parts.
        picture_tokens, max_objects, pointer_start: as in the model's configuration.
    """

    def __init__(
        self, image_processor: Any = None, tokenizer: Any = None, chat_template: str | None = None,
        max_objects: int = 12, **kwargs: Any,
    ) -> None:  # fmt: skip
        self.max_objects = max_objects
        super().__init__(image_processor, tokenizer, chat_template=chat_template or CHAT_TEMPLATE)

    @classmethod
    def build(cls, config: StarterConfig, tokenizer: Any) -> StarterProcessor:
        """The processor that goes with a configuration and a tokenizer."""
        return cls(StarterImageProcessor(config.image_size), tokenizer, max_objects=config.max_objects)

    @property
    def picture_tokens(self) -> int:
        return 1 + self.max_objects

    @property
    def model_input_names(self) -> list[str]:
        return ["input_ids", "attention_mask", "pixel_values", "region_boxes"]

    def __call__(
        self,
        images: Any = None,
        text: str | Sequence[str] | None = None,
        regions: Sequence[Sequence[Box | np.ndarray]] | None = None,
        return_tensors: str | None = "pt",
        padding: bool | str = True,
        **kwargs: Any,
    ) -> BatchFeature:
        """Prompts (made by the chat template) and their pictures -> model inputs.

        Args:
            images: a picture, a list, or a list of lists (one a prompt); as many as there are <image> marks.
            text: one prompt or several.
            regions: for each prompt the boxes, in pixels of its last picture, that its <region> marks stand for; a mask
                [height, width] stands for its box (`Answerer` also looks which thing it lies on).
                Boxes written in the text, in any of the three notations, are found without being given.
        """
        if text is None:
            raise InputError("the starter's processor needs a text: a prompt with one <image> mark a picture")
        prompts = [text] if isinstance(text, str) else list(text)
        pictures = flatten(images) if images is not None else []
        marks = sum(p.count("<image>") for p in prompts)
        if marks != len(pictures):
            raise InputError(
                f"the prompts have {marks} <image> marks but {len(pictures)} pictures were given"
            )
        boxes: list[Box] = []
        at = 0
        for i, prompt in enumerate(prompts):
            count = prompt.count("<image>")
            size = picture_size(pictures[at + count - 1]) if count else None
            at += count
            given: list[Box] = [
                mask_box(r) if isinstance(r, np.ndarray) else r
                for r in (regions[i] if regions is not None else [])
            ]
            if size is not None:
                for codec in (BoxCodec("qwen"), BoxCodec("location"), BoxCodec("plain")):
                    if prompt.count("<region>") == len(
                        given
                    ):  # order between given and written boxes is not known
                        prompt, found = (
                            codec.replace(prompt, *size, "<region>") if not given else (prompt, [])
                        )
                        given = given or found
                side = max(size)
                boxes += [tuple(v / side for v in box) for box in given]
            if prompt.count("<region>") != len(given):
                raise InputError(
                    f"prompt {i} has {prompt.count('<region>')} <region> marks but {len(given)} boxes; give `regions`"
                )
            prompts[i] = prompt.replace("<image>", "<image>" * self.picture_tokens)
        out = dict(
            self.tokenizer(prompts, padding=padding, add_special_tokens=False, return_tensors=return_tensors)
        )
        out.pop("token_type_ids", None)
        if pictures:
            out |= self.image_processor(pictures, return_tensors=return_tensors)
        if boxes:
            out["region_boxes"] = torch.tensor(boxes, dtype=torch.float32)
        return BatchFeature(out)

    def expand(
        self,
        text: str,
        objects: Objects,
        sizes: Sequence[tuple[int, int]],
        codec: BoxCodec | None = None,
    ) -> tuple[str, list[Box]]:
        """Decoded text with <objN> written as boxes by `codec` (left out if None) and <txtN> as the word that was read.

        Args:
            objects: what was found in the prompt's pictures, [P, max_objects].
            sizes: (width, height) of each picture.

        Returns:
            The text, and every box pointed at, in pixels of its picture, in order.
        """
        boxes: list[Box] = []

        def box_of(number: int) -> tuple[Box, tuple[int, int]] | None:
            p, j = divmod(number, self.max_objects)
            if p >= len(sizes) or not bool(objects.valid[p, j]):
                return None
            side = max(sizes[p])
            x1, y1, x2, y2 = (float(v) * side for v in objects.box[p, j])
            w, h = sizes[p]
            return (max(0.0, x1), max(0.0, y1), min(float(w), x2), min(float(h), y2)), sizes[p]

        def point(match: re.Match[str]) -> str:
            found = box_of(int(match.group(1)))
            if found is None:
                return ""
            boxes.append(found[0])
            return codec.encode([found[0]], *found[1]) if codec is not None else ""

        def read(match: re.Match[str]) -> str:
            p, j = divmod(int(match.group(1)), self.max_objects)
            return decode_word(objects.word[p, j]) if p < len(sizes) else ""

        text = _READING.sub(read, _POINTER.sub(point, text))
        return re.sub(r" {2,}", " ", text).strip(), boxes
