"""The starter's words tower: a small causal LM that plans programs and does the other work of words alone.

Importing this package tells transformers about it, so that `AutoConfig` and `AutoModelForCausalLM` load its folder.
"""

from __future__ import annotations

from transformers import AutoConfig, AutoModelForCausalLM

from .config import WordsConfig
from .model import WordsForCausalLM
from .spelling import Speller

AutoConfig.register(WordsConfig.model_type, WordsConfig, exist_ok=True)
AutoModelForCausalLM.register(WordsConfig, WordsForCausalLM, exist_ok=True)

__all__ = ["Speller", "WordsConfig", "WordsForCausalLM"]
