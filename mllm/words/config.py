"""The words tower's shape: a causal LM of words only, beside the starter's picture model and over the same tokenizer."""

from __future__ import annotations

from typing import Any, ClassVar

from transformers import PretrainedConfig

from ..starter.config import EOS, PAD


class WordsConfig(PretrainedConfig):
    """Configuration of `WordsForCausalLM`. Lengths are in tokens, widths in channels."""

    model_type = "sightline-words"
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["past_key_values"]

    def __init__(
        self,
        vocab_size: int = 5120,
        hidden_size: int = 256,
        num_hidden_layers: int = 5,
        num_attention_heads: int = 4,
        intermediate_size: int = 768,
        copy_size: int = 128,  # channels in which a state looks for the token that it copies
        rope_theta: float = 1000.0,
        max_position_embeddings: int = 1024,
        **kwargs: Any,
    ) -> None:
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.intermediate_size = intermediate_size
        self.copy_size = copy_size
        self.rope_theta = rope_theta
        self.max_position_embeddings = max_position_embeddings
        kwargs.setdefault("pad_token_id", PAD)
        kwargs.setdefault("eos_token_id", EOS)
        kwargs.setdefault("tie_word_embeddings", False)
        super().__init__(**kwargs)

    @property
    def head_dim(self) -> int:
        return self.hidden_size // self.num_attention_heads
