"""The starter core MLLM as a transformers model: pictures and words in, words and object pointers out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import DynamicCache, GenerationMixin, PreTrainedModel
from transformers.modeling_outputs import ModelOutput

from .config import IMAGE, REGION, StarterConfig
from .connector import Connector, Objects
from .language import LanguageModel
from .perception import Perception
from .reader import WordReader


@dataclass
class StarterOutput(ModelOutput):
    """`loss` (with labels), `logits` [B, T, V], the KV cache, and the prompt's object tokens [B, P * K, C]."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    past_key_values: Any | None = None
    objects: Tensor | None = None


class StarterForConditionalGeneration(PreTrainedModel, GenerationMixin):
    """Perception -> object tokens -> causal LM.

    A prompt holds `picture_tokens` <image> placeholders for each picture, in order, and one <region> placeholder for
    each box of `region_boxes`. Placeholders of objects that were not found are masked. A token <objN> stands for
    object N % max_objects of picture N // max_objects; written in text it carries that object's own content.
    """

    config: StarterConfig
    config_class = StarterConfig
    main_input_name = "input_ids"
    input_modalities = ["image", "text"]
    _supports_sdpa = True
    _no_split_modules: ClassVar[list[str]] = ["Block"]

    def __init__(self, config: StarterConfig) -> None:
        super().__init__(config)
        self.perception = Perception(config)
        self.reader = WordReader(config)
        self.connector = Connector(config)
        self.language = LanguageModel(config)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Weights are set by `reset`, so that they follow from one seed; loading leaves nothing to initialise."""

    @torch.no_grad()
    def reset(self, seed: int) -> None:
        """Initial values of every part, as a function of the seed."""
        generator = torch.Generator().manual_seed(seed)
        for part in (self.perception, self.reader, self.connector, self.language):
            part.reset(generator)

    def get_input_embeddings(self) -> nn.Module:
        return self.language.embedding

    def set_input_embeddings(self, value: nn.Module) -> None:
        assert isinstance(value, nn.Embedding)
        self.language.embedding = value

    def get_output_embeddings(self) -> nn.Module:
        return self.language.head

    @torch.no_grad()
    def perceive(self, pixel_values: Tensor) -> Objects:
        """Pictures [N, 3, S, S] in -1..1 -> their objects, printed words read."""
        weight = self.perception.kind.weight
        training = self.perception.training
        self.perception.eval()
        objects = self.perception.detect(
            pixel_values.to(weight.dtype).contiguous(memory_format=torch.channels_last)
        )
        self.perception.train(training)
        words = {self.config.kinds.index(k) for k in self.config.word_kinds}
        self.reader.read_into(objects, pixel_values, words)
        return objects

    def object_tokens(self, objects: Objects) -> tuple[Tensor, Tensor]:
        """Objects of the pictures of one batch of rows, [B, P * K] -> tokens [B, P * K, C] and validity."""
        c = self.config
        slots = torch.arange(objects.valid.shape[1], device=objects.valid.device)
        picture, index = slots // c.max_objects, slots % c.max_objects
        tokens = self.connector(objects, picture.expand_as(objects.valid), index.expand_as(objects.valid))
        return tokens, objects.valid

    def embed(self, input_ids: Tensor, objects: Tensor, region_boxes: Tensor | None = None) -> Tensor:
        """Token ids [B, T] -> [B, T, C] with pictures, regions and pointers filled in."""
        c = self.config
        x = self.language.embedding(input_ids)
        b = input_ids.shape[0]
        at_image = input_ids == IMAGE
        if bool(at_image.any()):
            pictures = int(at_image.sum(1).max()) // c.picture_tokens
            names = self.connector.picture.weight[:pictures].to(x.dtype)  # global tokens
            tokens = objects.view(b, -1, c.max_objects, c.hidden_size)[:, :pictures]
            tokens = torch.cat((names[None, :, None].expand(b, -1, 1, -1), tokens), 2).flatten(1, 2)
            order = (at_image.cumsum(1) - 1).clamp_min(0)
            filled = tokens.gather(1, order[..., None].expand(-1, -1, c.hidden_size))
            x = torch.where(at_image[..., None], filled, x)
        at_region = input_ids == REGION
        if region_boxes is not None and bool(at_region.any()):
            x = x.masked_scatter(at_region[..., None], self.connector.regions(region_boxes).to(x.dtype))
        for kind, start in enumerate((c.pointer_start, c.reading_start)):
            number = input_ids - start
            at = (number >= 0) & (number < objects.shape[1])
            if bool(at.any()):
                content = objects.gather(
                    1, number.clamp(0, objects.shape[1] - 1)[..., None].expand(-1, -1, c.hidden_size)
                )
                x = torch.where(at[..., None], content + self.connector.pointed[kind].to(x.dtype), x)
        return x

    def positions(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """A picture's tokens share one position; words count on from it. [B, T] long."""
        words = (input_ids != IMAGE) & attention_mask.bool()
        return words.long().cumsum(1)

    def _prepare(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None,
        pixel_values: Tensor | None,
        objects: Objects | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Object tokens [B, M, C], their validity [B, M], and the attention mask with absent objects masked."""
        c = self.config
        b = input_ids.shape[0]
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask.clone()
        counts = [int(n) // c.picture_tokens for n in (input_ids == IMAGE).sum(1)]
        most = max(1, *counts) if counts else 1
        found = (
            objects
            if objects is not None
            else self.perceive(pixel_values)
            if pixel_values is not None
            else None
        )
        if found is None and any(counts):
            raise ValueError("the prompt has <image> tokens but no pixel_values were given")
        if found is not None and len(found.valid) != sum(counts):
            raise ValueError(f"the prompts hold {sum(counts)} pictures but {len(found.valid)} were given")

        def empty(*tail: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.zeros(b * most, c.max_objects, *tail, dtype=dtype, device=input_ids.device)

        spread = Objects(
            empty(len(c.kinds)), empty(len(c.colors)), empty(len(c.sizes)), empty(4),
            empty(c.max_word, dtype=torch.long), empty(dtype=torch.bool),
        )  # fmt: skip
        if found is not None:
            rows = torch.tensor(
                [r * most + p for r, n in enumerate(counts) for p in range(n)], device=input_ids.device
            )
            for field in Objects.__dataclass_fields__:
                getattr(spread, field)[rows] = getattr(found, field).to(getattr(spread, field).dtype)
        rows_of = spread.map(lambda t: t.view(b, most * c.max_objects, *t.shape[2:]))
        tokens, valid = self.object_tokens(rows_of)
        at_image = input_ids == IMAGE
        present = torch.cat((valid.new_ones(b, most, 1), valid.view(b, most, c.max_objects)), 2).flatten(1)
        order = (at_image.cumsum(1) - 1).clamp(0, present.shape[1] - 1)
        mask = torch.where(at_image & ~present.gather(1, order), torch.zeros_like(mask), mask)
        return tokens, valid, mask

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        region_boxes: Tensor | None = None,
        object_tokens: Tensor | None = None,
        object_valid: Tensor | None = None,
        past_key_values: Any | None = None,
        use_cache: bool | None = None,
        labels: Tensor | None = None,
        logits_to_keep: int = 0,
        return_dict: bool | None = None,
        **_: Any,
    ) -> StarterOutput:
        """Standard causal-LM forward.

        `pixel_values` [N, 3, S, S] are the batch's pictures in order; `object_tokens` with `object_valid` replace them
        where they have been encoded already (`generate` does so). `attention_mask` [B, S] covers cached tokens too.
        """
        if object_tokens is None:
            object_tokens, object_valid, attention_mask = self._prepare(
                input_ids, attention_mask, pixel_values, None
            )
        assert object_valid is not None
        b, t = input_ids.shape
        past = past_key_values.get_seq_length() if past_key_values is not None else 0
        if attention_mask is None:
            attention_mask = torch.ones(b, past + t, dtype=torch.long, device=input_ids.device)
        if position_ids is None:
            position_ids = self.positions(input_ids, attention_mask[:, -t:])
        x = self.embed(input_ids, object_tokens, region_boxes)
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache(config=self.config)
        seen = attention_mask.bool()[:, None, None]  # [B, 1, 1, S]
        s = seen.shape[-1]
        column, row = torch.arange(s, device=x.device), torch.arange(t, device=x.device)[:, None] + past
        look = (column <= row)[None, None]
        if past == 0:
            at_image = input_ids == IMAGE
            number = torch.where(at_image, (at_image.cumsum(1) - 1) // self.config.picture_tokens, -1)
            same = (number[:, None, :] == number[:, :, None]) & at_image[:, None]
            look = look | same[:, None]  # the objects of a picture see each other
        itself = (column == row)[None, None]  # a masked token sees itself, so that no softmax is over nothing
        mask = look & seen | itself
        visible = object_valid[:, None].expand(b, t, -1)
        states, _gates = self.language(x, position_ids, mask, object_tokens, visible, past_key_values)
        kept = states[:, -logits_to_keep:] if logits_to_keep else states
        logits = self.language.logits(kept, object_tokens, visible[:, : kept.shape[1]]).float()
        loss = None
        if labels is not None:
            loss = nn.functional.cross_entropy(
                logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100
            )
        return StarterOutput(loss=loss, logits=logits, past_key_values=past_key_values, objects=object_tokens)

    @torch.no_grad()
    def generate(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        pixel_values: Tensor | None = None,
        objects: Objects | None = None,
        **kwargs: Any,
    ) -> Any:
        """`GenerationMixin.generate`; the pictures are encoded once, or given encoded as `objects`."""
        tokens, valid, mask = self._prepare(input_ids, attention_mask, pixel_values, objects)
        return super().generate(
            input_ids=input_ids, attention_mask=mask, object_tokens=tokens, object_valid=valid, **kwargs
        )

    def prepare_inputs_for_generation(
        self, input_ids: Tensor, next_sequence_length: int | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Positions come from which tokens are pictures, so they are made here, from the whole sequence."""
        mask = kwargs.get("attention_mask")
        kwargs["position_ids"] = self.positions(
            input_ids, torch.ones_like(input_ids) if mask is None else mask
        )
        inputs = super().prepare_inputs_for_generation(
            input_ids,  # type: ignore[arg-type]
            next_sequence_length=next_sequence_length,
            **kwargs,
        )
        if inputs["input_ids"].shape[1] != input_ids.shape[1]:
            inputs["region_boxes"] = None  # regions stand in the prompt, which the cache holds now
        return dict(inputs)
