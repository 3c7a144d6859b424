"""The starter's shape: what a picture and a word are turned into, and how wide and deep the model is."""

from __future__ import annotations

from typing import Any, ClassVar

from transformers import PretrainedConfig

# Special tokens, in vocabulary order; their ids are 0..len-1.
SPECIAL_TOKENS = (
    "<pad>",
    "<eos>",
    "<image>",
    "<region>",
    "<user>",
    "<assistant>",
    "<think>",
    "<answer>",
    "<plan>",
)
PAD, EOS, IMAGE, REGION, USER, ASSISTANT, THINK, ANSWER, PLAN = range(len(SPECIAL_TOKENS))

# Characters that a printed word may hold; 0 stands for "no character".
CHARSET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-'&.!"
BOX_FREQUENCIES = (0.25, 0.5, 1.0, 2.0, 4.0, 9.0)  # cycles over the picture; higher ones hurt (measured)


class StarterConfig(PretrainedConfig):
    """Configuration of `StarterForConditionalGeneration`.

    Lengths are in tokens, widths in channels, `image_size` in pixels of the square that a picture is fitted into.
    """

    model_type = "sightline-starter"
    # A step of generation needs the pictures' object tokens again; nothing else is kept beside the KV cache.
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["past_key_values", "objects"]

    def __init__(
        self,
        vocab_size: int = 4096,
        hidden_size: int = 256,
        num_hidden_layers: int = 6,
        num_attention_heads: int = 4,
        intermediate_size: int = 768,
        rope_theta: float = 10000.0,
        max_position_embeddings: int = 1024,
        match_after: tuple[int, ...] | list[int] = (0, 2),  # blocks after which words look for objects
        image_size: int = 128,
        max_objects: int = 20,  # object tokens a picture may have
        max_pictures: int = 4,  # pictures a prompt may have
        max_word: int = 12,  # characters of a printed word that an object token carries
        kinds: tuple[str, ...] | list[str] = ("thing",),
        colors: tuple[str, ...] | list[str] = ("red",),
        sizes: tuple[str, ...] | list[str] = ("small", "medium", "large"),
        word_kinds: tuple[str, ...] | list[str] = (),  # kinds that carry printed words and go to the reader
        trunk_channels: tuple[int, ...] | list[int] = (32, 64, 96, 128),
        detect_threshold: float = 0.5,  # a detection below this score is dropped
        detect_overlap: float = 0.4,  # cells whose boxes overlap more (IoU) speak of one object
        detect_support: float = 0.1,  # least votes of an object, as a part of the cells that its box covers (1.5 suffice)
        pointer_start: int = 0,  # id of <obj0>; set by the tokenizer's builder
        reading_start: int = 0,  # id of <txt0>
        **kwargs: Any,
    ) -> None:
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.intermediate_size = intermediate_size
        self.rope_theta = rope_theta
        self.max_position_embeddings = max_position_embeddings
        self.match_after = list(match_after)
        self.image_size = image_size
        self.max_objects = max_objects
        self.max_pictures = max_pictures
        self.max_word = max_word
        self.kinds = list(kinds)
        self.colors = list(colors)
        self.sizes = list(sizes)
        self.word_kinds = list(word_kinds)
        self.trunk_channels = list(trunk_channels)
        self.detect_threshold = detect_threshold
        self.detect_overlap = detect_overlap
        self.detect_support = detect_support
        self.pointer_start = pointer_start
        self.reading_start = reading_start
        kwargs.setdefault("pad_token_id", PAD)
        kwargs.setdefault("eos_token_id", EOS)
        kwargs.setdefault("tie_word_embeddings", False)
        super().__init__(**kwargs)

    @property
    def head_dim(self) -> int:
        return self.hidden_size // self.num_attention_heads

    @property
    def picture_tokens(self) -> int:
        """Placeholder tokens of one picture: one global token and `max_objects` object tokens."""
        return 1 + self.max_objects

    @property
    def pointers(self) -> int:
        """How many <objN> (and <txtN>) tokens there are."""
        return self.max_objects * self.max_pictures
