"""A chat model of transformers, from a folder on this machine; where a grammar is given, it can write nothing else."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import ConfigDict, PrivateAttr

from ...errors import InputError
from ...mllm.cutoff import current, held, stopping
from ..errors import ControllerError
from .chat import ChatController

if TYPE_CHECKING:
    from ...mllm.automata import Automaton
    from ...mllm.constrained import Constraint


class LocalChatModel(BaseChatModel):
    """A causal model and its tokenizer as a LangChain chat model; one call at a time.

    Args:
        model: a causal model of transformers.
        tokenizer: with a chat template; byte-level BPE where grammars are to be used.
        max_tokens: tokens of a reply.
        temperature: 0 is greedy.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    model: Any
    tokenizer: Any
    max_tokens: int = 512
    temperature: float = 0.0
    _lock: threading.Lock = PrivateAttr(default_factory=threading.Lock)
    _constraint: tuple[tuple[Any, ...], Any] | None = PrivateAttr(default=None)

    @property
    def _llm_type(self) -> str:
        return "transformers"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        *,
        grammar: Automaton | None = None,
        **options: Any,
    ) -> ChatResult:
        """One reply; `grammar`: an automaton over characters that the reply is held to."""
        import torch

        prompt = self.tokenizer.apply_chat_template(
            [_row(message) for message in messages], add_generation_prompt=True, tokenize=False
        )
        inputs = self.tokenizer(prompt, return_tensors="pt", add_special_tokens=False).to(self.model.device)
        inputs.pop("token_type_ids", None)
        length = inputs["input_ids"].shape[1]
        room = getattr(self.model.config, "max_position_embeddings", None)
        if room is not None and length + 16 > room:
            raise ControllerError(
                f"the prompt has {length} tokens and the model reads {room}; give demonstrations= and prompt_tokens= less"
            )
        limit = self.max_tokens if room is None else min(self.max_tokens, room - length)
        settings: dict[str, Any] = {"max_new_tokens": limit, "do_sample": self.temperature > 0} | stopping()
        if self.temperature > 0:
            settings["temperature"] = self.temperature
        pad = self.tokenizer.pad_token_id
        settings["pad_token_id"] = self.tokenizer.eos_token_id if pad is None else pad
        with held(self._lock), torch.inference_mode():
            if grammar is not None:
                settings["logits_processor"] = [self._held_to(grammar).processor(limit)]
                settings["eos_token_id"] = self.tokenizer.eos_token_id
            elif stop:
                settings |= {"stop_strings": stop, "tokenizer": self.tokenizer}
            ids = self.model.generate(**inputs, **settings)[0, length:]
        current().check()
        said = self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        for word in stop or ():
            said = said.split(word, 1)[0]
        ended = len(ids) < limit or int(ids[-1]) == self.tokenizer.eos_token_id
        usage = {"input_tokens": length, "output_tokens": len(ids), "total_tokens": length + len(ids)}
        reply = AIMessage(
            said.strip(),
            usage_metadata=usage,
            response_metadata={"finish_reason": "stop" if ended else "length"},
        )
        return ChatResult(generations=[ChatGeneration(message=reply)])

    def _held_to(self, grammar: Any) -> Constraint:
        """The constraint for a grammar; the last one is kept, its masks with it."""
        from ...mllm.constrained import Constraint

        key = (
            id(grammar.registry),
            len(grammar.registry),
            tuple(sorted((k, str(v)) for k, v in grammar.inputs.items())),
        )
        if self._constraint is None or self._constraint[0] != key:
            self._constraint = (key, Constraint(self.tokenizer, grammar))
        found: Constraint = self._constraint[1]
        return found


def _row(message: BaseMessage) -> dict[str, str]:
    role = (
        "system"
        if isinstance(message, SystemMessage)
        else "user"
        if isinstance(message, HumanMessage)
        else "assistant"
    )
    return {"role": role, "content": str(message.text)}


def local_controller(folder: str, name: str, **options: Any) -> ChatController:
    """The controller `local:FOLDER`.

    Raises:
        InputError: no such folder, or no chat model in it.
    """
    place = Path(folder).expanduser()
    if not (place / "config.json").is_file():
        raise InputError(
            f"controller {name}: no config.json in {place}; give the folder of a transformers model"
        )
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(place, local_files_only=True)
        model = AutoModelForCausalLM.from_pretrained(place, local_files_only=True, dtype="auto")
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"controller {name}: {place} cannot be loaded as a chat model: {str(error).splitlines()[0]}"
        ) from error
    if not tokenizer.chat_template:
        raise InputError(
            f"controller {name}: the tokenizer in {place} has no chat template; take an instruct or chat model"
        )
    model.eval()
    kept = {key: options.pop(key) for key in ("max_tokens", "temperature") if key in options}
    options.pop("timeout", None)
    chat = LocalChatModel(model=model, tokenizer=tokenizer, **kept)
    options.setdefault("grammar", True)
    options.setdefault("tools", "text")
    return ChatController(chat, name, **options)
