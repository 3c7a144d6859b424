"""A byte-level BPE tokenizer of our own, in which a noun has the same tokens in a request and in a program.

Rules that the small model needs: a digit, a Chinese character and a run of punctuation are never merged with their
neighbours, and inside a program's quotes a space is put before a word on the way in and taken out on the way back
(`object='dog'` is read as `object=' dog'`), so that copying a noun is copying tokens.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from .starter.config import SPECIAL_TOKENS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

# What is never merged with its neighbours. The first line holds the frame of a program ("BOX0=", "LOC(", "image=IMAGE,",
# "object='", "{ANSWER0}"), of which each piece becomes one token; the second a digit, a Chinese character, a word, a run
# of punctuation, other white space.
_SPLIT = (
    r"[A-Z_]+\d*=|[A-Z_]+\(|[a-z]+=[A-Z]+\d*[,)]?|[a-z]+=[\"']| ?\{[A-Z]+\d+\}|"
    r" ?\d| ?\p{Han}| ?[\p{L}&&[^\p{Han}]]+| ?[^\s\p{L}\d]+|\s"
)
_OPEN = r"(?<=(?:=|\[|, |,)')(?=[\p{L}\d])"  # just inside an opening quote of a program's literal
OPENED = r"(?<=(?:=|\[|, |,)') (?=[\p{L}\d])"
LOCATION_BINS = 100


def pointer_tokens(count: int) -> list[str]:
    """`<obj0>`...: the object tokens of the prompt's pictures, by index; not special, so that they survive decoding."""
    return [f"<obj{i}>" for i in range(count)]


def reading_tokens(count: int) -> list[str]:
    """`<txt0>`...: "the word printed on object i", replaced by the reader's text when an answer is decoded."""
    return [f"<txt{i}>" for i in range(count)]


def train_tokenizer(texts: Iterable[str], size: int, pointers: int) -> PreTrainedTokenizerFast:
    """Train the tokenizer on `texts`; the vocabulary has at most `size` entries, pointers and readings included.

    Args:
        texts: questions, answers, programs; their frequencies weigh.
        size: entries in all.
        pointers: how many `<objN>` and `<txtN>` tokens to reserve, each.
    """
    from tokenizers import (
        AddedToken,
        Regex,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        trainers,
    )

    reserved = 2 * pointers + len(SPECIAL_TOKENS)
    if size < reserved + 256:
        raise InputError(
            f"a vocabulary of {size} cannot hold 256 bytes and {reserved} reserved tokens; make it larger"
        )
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(_OPEN), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Replace(Regex(OPENED), "")])
    trainer = trainers.BpeTrainer(
        vocab_size=size - 2 * pointers,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    # normalized=False: an added token is looked for in the raw text, before spaces are put into quotes.
    extra = pointer_tokens(pointers) + reading_tokens(pointers)
    tokenizer.add_tokens([AddedToken(t, normalized=False, special=False) for t in extra])
    return wrap(tokenizer)


def wrap(tokenizer: object) -> PreTrainedTokenizerFast:
    """The transformers face of a `tokenizers.Tokenizer`; batches are padded on the left, for generation."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="<eos>",
        additional_special_tokens=list(SPECIAL_TOKENS[2:]),
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
    )


def load_tokenizer(folder: str | Path) -> PreTrainedTokenizerFast:
    """Load the tokenizer saved in `folder` (`tokenizer.json`); raises `InputError` where there is none."""
    from tokenizers import Tokenizer

    path = Path(folder) / "tokenizer.json"
    if not path.is_file():
        raise InputError(f"no tokenizer.json in {folder}: name a folder made by `save_pretrained`")
    return wrap(Tokenizer.from_file(str(path)))
