"""Loads and merges checkpoints: one directory, safetensors only, no code of its own, and one line for what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import ModelFileError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, ProcessorMixin

PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")
_CODE = ("config.json", "processor_config.json", "preprocessor_config.json", "tokenizer_config.json")


def examine(folder: str | Path) -> Path:
    """Refuses a directory that cannot be loaded safely and whole; ModelFileError says which file and why."""
    folder = Path(folder)
    if not folder.is_dir():
        raise ModelFileError(f"{folder}: no such model directory")
    config = _json(folder / "config.json")
    if "model_type" not in config:
        raise ModelFileError(
            f"{folder / 'config.json'} names no model_type; it is not a transformers configuration"
        )
    for name in _CODE:
        if (folder / name).is_file() and "auto_map" in _json(folder / name):
            raise ModelFileError(
                f"{folder / name} asks to run code of its own (auto_map); such models are not loaded"
            )
    index = folder / "model.safetensors.index.json"
    shards = [folder / "model.safetensors"]
    if index.is_file():
        shards = [folder / name for name in sorted(set(_json(index).get("weight_map", {}).values()))]
    elif not shards[0].is_file():
        pickles = sorted(p.name for p in folder.iterdir() if p.suffix in PICKLES)
        if pickles:
            raise ModelFileError(
                f"{folder / pickles[0]} is a pickle, which can run code when it is read; "
                "only model.safetensors is loaded: convert it where you trust it"
            )
    for shard in shards:
        if not shard.is_file():
            raise ModelFileError(f"{shard} is missing; copy the whole model directory")
        _readable(shard)
    for names in (
        ("processor_config.json", "preprocessor_config.json"),
        ("tokenizer.json", "tokenizer.model", "vocab.json"),
    ):
        if not any((folder / name).is_file() for name in names):
            raise ModelFileError(f"{folder} has no {' or '.join(names)}; save the processor beside the model")
    return folder


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ModelFileError(f"{path} is missing; copy the whole model directory")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelFileError(f"{path} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ModelFileError(f"{path}: an object expected, got {type(value).__name__}")
    return value


def _readable(shard: Path) -> None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(shard), "pt") as file:
            file.keys()
    except (SafetensorError, OSError) as error:
        raise ModelFileError(f"{shard} is damaged ({error}); copy it again") from error


def load(
    name: str | Path, dtype: Any = None, four_bit: bool = False, device: str | None = None
) -> tuple[PreTrainedModel, ProcessorMixin]:
    """A model (in eval mode) and its processor from a directory or the hub.

    Args:
        name: a directory, or a hub name where there is no such directory.
        dtype: a torch dtype; default float32.
        four_bit: the language model's weights in 4 bits (NF4); needs bitsandbytes and a GPU.
        device: e.g. "cuda"; default where torch puts it, the CPU.

    Raises:
        ModelFileError: one line that names the file or tensor that is missing, damaged, of a wrong shape or refused.
    """
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor
    from transformers.utils import logging

    local = Path(name).is_dir()
    if local:
        examine(name)
    elif isinstance(name, Path) or str(name).startswith((".", "/")) or str(name).count("/") > 1:
        raise ModelFileError(f"{name}: no such model directory")
    options: dict[str, Any] = {
        "dtype": dtype or torch.float32,
        "trust_remote_code": False,
        "use_safetensors": True,
    }
    if four_bit:
        options |= {"quantization_config": four_bits(), "device_map": {"": 0}}
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # what the report of loading says is said below, in one line
    try:
        processor = AutoProcessor.from_pretrained(str(name), trust_remote_code=False)
        loaded: Any = AutoModelForImageTextToText.from_pretrained(
            str(name), output_loading_info=True, ignore_mismatched_sizes=True, **options
        )
        model, facts = loaded
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise ModelFileError(f"{name} cannot be loaded: {' '.join(str(error).split())[:300]}") from error
    finally:
        logging.set_verbosity(verbosity)
    for key, found, wanted in sorted(facts.get("mismatched_keys") or ()):
        raise ModelFileError(
            f"{name}: the tensor {key} has shape {list(found)} in the file, and config.json makes it {list(wanted)}"
        )
    missing = sorted(facts.get("missing_keys") or ())
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise ModelFileError(
            f"{name}: the weights lack the tensor {missing[0]}{more}; the files and config.json differ"
        )
    if not hasattr(processor, "tokenizer") or not hasattr(processor, "image_processor"):
        raise ModelFileError(
            f"{name}: its processor reads no pictures; save a processor with tokenizer and image processor"
        )
    return (model.to(device) if device and not four_bit else model).eval(), processor


def four_bits() -> Any:
    """The quantisation of QLoRA (Dettmers et al. 2023); pictures' encoder and connector stay as they are."""
    import importlib.util

    import torch

    if importlib.util.find_spec("bitsandbytes") is None:
        raise ModelFileError("four_bit needs bitsandbytes, which is not installed: pip install bitsandbytes")
    if not torch.cuda.is_available():
        raise ModelFileError("four_bit needs a GPU, and there is none here; leave it out to train on the CPU")
    from transformers import BitsAndBytesConfig

    kept = ["lm_head", "vision_tower", "vision_model", "multi_modal_projector", "connector"]
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16, llm_int8_skip_modules=kept,
    )  # fmt: skip


def merge_lora(start: str | Path, adapter: str | Path, output: str | Path) -> Path:
    """Adds an adapter's weights to the model that it was trained on and saves the whole, processor included."""
    from peft import PeftModel

    from .build import save

    adapter = Path(adapter)
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        if not (adapter / name).is_file():
            raise ModelFileError(f"{adapter / name} is missing; give the directory of a LoRA adapter")
    model, processor = load(start)
    try:
        merged = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    except (ValueError, RuntimeError, KeyError) as error:
        raise ModelFileError(
            f"{adapter} does not fit {start}: {' '.join(str(error).split())[:200]}"
        ) from error
    return save(merged, processor, output)
