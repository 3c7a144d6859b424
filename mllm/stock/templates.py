"""How turns are written for a language model: chat templates in which a picture may stand anywhere, and what ends a turn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# The content of a message: text, or parts. A picture is followed by a line break, in training as in serving.
_CONTENT = (
    "{%- if m['content'] is string -%}{{- m['content'] -}}{%- else -%}"
    "{%- for c in m['content'] -%}"
    "{%- if c['type'] in ('image', 'image_url') -%}{{- '<image>\\n' -}}"
    "{%- elif c['type'] == 'text' -%}{{- c['text'] -}}{%- endif -%}"
    "{%- endfor -%}{%- endif -%}"
)


def _template(begin: str, opens: str, close: str, user_close: str, ask: str) -> str:
    """A Jinja template from what begins a text, opens a turn (an expression), closes an answer or another's turn, and
    asks for an answer."""
    return (
        (f"{{{{- {begin!r} -}}}}" if begin else "")
        + "{%- for m in messages -%}"
        + f"{{{{- {opens} -}}}}"
        + "{%- if m['role'] == 'assistant' -%}{%- generation -%}"
        + _CONTENT
        + f"{{{{- {close!r} -}}}}"
        + "{%- endgeneration -%}{%- else -%}"
        + _CONTENT
        + f"{{{{- {user_close!r} -}}}}"
        + "{%- endif -%}{%- endfor -%}"
        + f"{{%- if add_generation_prompt -%}}{{{{- {ask!r} -}}}}{{%- endif -%}}"
    )


def chat_template(style: str, tokenizer: PreTrainedTokenizerBase) -> tuple[str, str]:
    """The Jinja template of `style` and the token that ends a turn.

    Args:
        style: "chatml" (Qwen), "llama3", "vicuna" (LLaVA-1.5), or "auto": the first whose marks the vocabulary has.
        tokenizer: of the language model; must know the marks.
    """
    known: dict[str, Any] = tokenizer.get_vocab()
    if style == "auto":
        marks = (("<|im_start|>", "chatml"), ("<|start_header_id|>", "llama3"))
        style = next((name for mark, name in marks if mark in known), "vicuna")
    begin = tokenizer.bos_token if tokenizer.bos_token in known and style != "chatml" else ""
    needed: tuple[str, ...]
    if style == "chatml":
        opens, end, ask = "'<|im_start|>' + m['role'] + '\\n'", "<|im_end|>", "<|im_start|>assistant\n"
        needed, close = ("<|im_start|>", "<|im_end|>"), "<|im_end|>\n"
    elif style == "llama3":
        opens = "'<|start_header_id|>' + m['role'] + '<|end_header_id|>\\n\\n'"
        end = close = "<|eot_id|>"
        ask = "<|start_header_id|>assistant<|end_header_id|>\n\n"
        needed = ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
    else:
        opens = "{'user': 'USER: ', 'assistant': 'ASSISTANT: ', 'system': ''}[m['role']]"
        if tokenizer.eos_token is None:
            raise InputError(
                "the tokenizer has no end-of-sequence token; name one that has, or another chat style"
            )
        end = close = tokenizer.eos_token
        # No space at its end: words of most vocabularies carry theirs in front.
        ask, needed = "ASSISTANT:", (tokenizer.eos_token,)
    missing = [mark for mark in needed if mark not in known]
    if missing:
        raise InputError(
            f"chat style {style}: the tokenizer has no {', '.join(missing)}; choose another style"
        )
    # Only in Vicuna's style do the turns of others end without a token of their own.
    return _template(begin, opens, close, " " if style == "vicuna" else close, ask), end


def byte_tokenizer() -> PreTrainedTokenizerBase:
    """One token a byte of UTF-8 and ChatML's marks: a tokenizer for tests and trials that needs no file."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={c: n for n, c in enumerate(letters)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    out = PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<|pad|>", eos_token="<|im_end|>")  # noqa: S106
    out.add_special_tokens({"additional_special_tokens": ["<|im_start|>"]})
    return out
