"""The words tower as a transformers model: the starter's blocks, a head, and a copy head; its logits are log p."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import DynamicCache, GenerationMixin, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

from ..starter.config import ANSWER, PLAN
from ..starter.language import Block, rms_norm
from .config import WordsConfig
from .copying import CopyHead, history


def prompt_places(ids: Tensor) -> Tensor:
    """Which tokens belong to the prompt: up to the first mark that an answer follows, none without one. [B, T] -> bool."""
    mark = (ids == ANSWER) | (ids == PLAN)
    return (mark.cumsum(1) - mark.long() == 0) & mark.any(1, keepdim=True)


class WordsForCausalLM(PreTrainedModel, GenerationMixin):
    """Words in, words out. `logits` are log probabilities of the mixture of writing and copying.

    The tokens of a prompt see each other both ways, those of the answer what is before them: a prefix LM (Raffel et al.
    2020, arXiv:1910.10683, section 3.2.1). A prompt therefore enters a cache whole.

    The KV cache has one layer more than there are blocks: its keys are the copy head's, its values the tokens.
    """

    config: WordsConfig
    config_class = WordsConfig
    main_input_name = "input_ids"
    _supports_sdpa = True
    _no_split_modules: ClassVar[list[str]] = ["Block"]

    def __init__(self, config: WordsConfig) -> None:
        super().__init__(config)
        self.embedding = nn.Embedding(config.vocab_size, config.hidden_size)
        self.blocks = nn.ModuleList(Block(config, i) for i in range(config.num_hidden_layers))  # type: ignore[arg-type]
        self.head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.copying = CopyHead(config)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Weights are set by `reset`, so that they follow from one seed; loading leaves nothing to initialise."""

    @torch.no_grad()
    def reset(self, seed: int) -> None:
        """Initial values as a function of the seed: as the starter's, and a gate that starts by writing."""
        generator = torch.Generator().manual_seed(seed)
        for name, p in self.named_parameters():
            if name == "copying.mix.bias":
                p.copy_(torch.tensor([-1.0, 2.0, 2.0, -3.0]))
            elif name.startswith("embedding"):
                p.normal_(0.0, 0.02 * p.shape[1] ** 0.5, generator=generator)
            elif name.endswith(("out.weight", "down.weight", "head.weight", "mix.weight")):
                p.zero_()
            else:
                p.normal_(0.0, p.shape[1] ** -0.5, generator=generator)

    def get_input_embeddings(self) -> nn.Module:
        return self.embedding

    def set_input_embeddings(self, value: nn.Module) -> None:
        assert isinstance(value, nn.Embedding)
        self.embedding = value

    def get_output_embeddings(self) -> nn.Module:
        return self.head

    def rotary(self, positions: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """positions [B, T] -> cos, sin [B, 1, T, D/2]."""
        half = self.config.head_dim // 2
        steps = torch.arange(half, device=positions.device, dtype=torch.float32)
        angle = positions[:, None, :, None].float() * self.config.rope_theta ** (-steps / half)
        return angle.cos().to(dtype), angle.sin().to(dtype)

    def states(self, input_ids: Tensor, positions: Tensor, mask: Tensor, cache: Any | None = None) -> Tensor:
        """input_ids [B, T], mask [B, 1, T, S] bool -> normalised states [B, T, C]."""
        x = rms_norm(self.embedding(input_ids))
        cos, sin = self.rotary(positions, x.dtype)
        for block in self.blocks:
            x = block(x, cos, sin, mask, cache)
        return rms_norm(x)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any | None = None,
        use_cache: bool | None = None,
        labels: Tensor | None = None,
        logits_to_keep: int = 0,
        **_: Any,
    ) -> CausalLMOutputWithPast:
        """Standard causal-LM forward; `attention_mask` [B, S] covers cached tokens too, padding is on the left."""
        b, t = input_ids.shape
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache()
        past = past_key_values.get_seq_length() if past_key_values is not None else 0
        if attention_mask is None:
            attention_mask = torch.ones(b, past + t, dtype=torch.long, device=input_ids.device)
        if position_ids is None:
            position_ids = attention_mask.long().cumsum(1)[:, -t:]
        s = past + t
        column = torch.arange(s, device=input_ids.device)
        row = torch.arange(t, device=input_ids.device)[:, None] + past
        look = column <= row
        if not past:
            prompt = prompt_places(input_ids)
            look = look | (prompt[:, :, None] & prompt[:, None, :])
        look = look & attention_mask.bool()[:, None]  # [B, T, S]
        itself = (column == row)[None]  # padding sees itself, so that no softmax is over nothing
        states = self.states(input_ids, position_ids, (look | itself)[:, None], past_key_values)
        before = None
        if past_key_values is not None and past:
            before = past_key_values.layers[len(self.blocks)].values[:, 0, -1, :2].long()
        mine = history(torch.where(attention_mask[:, -t:].bool(), input_ids, 0), before)
        keys, places = self.copying.key(states), mine
        if past_key_values is not None:
            keys, places = past_key_values.update(keys[:, None], mine[:, None], len(self.blocks))
            keys, places = keys[:, 0], places[:, 0]
        at = slice(-logits_to_keep, None) if logits_to_keep else slice(None)
        kept = states[:, at]
        attention, gate, bare = self.copying.attend(kept, mine[:, at], keys, places, look[:, at])
        logits = self.copying.mixed(self.head(kept), attention, gate, bare, places)
        loss = None
        if labels is not None:
            loss = nn.functional.nll_loss(
                logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100
            )
        return CausalLMOutputWithPast(loss=loss, logits=logits, past_key_values=past_key_values)

    @torch.no_grad()
    def generate(self, *args: Any, **kwargs: Any) -> Any:
        """`GenerationMixin.generate` with a cache that takes the copy head's layer too."""
        if kwargs.get("past_key_values") is None and kwargs.get("use_cache") is not False:
            kwargs["past_key_values"] = DynamicCache()
        return super().generate(*args, **kwargs)
