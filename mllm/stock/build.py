"""Composes encoder, connector and causal LM into a stock transformers model, and its processor, by configuration alone.

| connector | tiles | class | reads |
|---|---|---|---|
| mlp | 0 | LlavaForConditionalGeneration (Liu et al. 2023) | CLIP, SigLIP |
| mlp | n | LlavaNextForConditionalGeneration: up to n tiles and a thumbnail | CLIP, SigLIP |
| query | 0 or more | Idefics2ForConditionalGeneration: perceiver resampler; 4 tiles and a thumbnail (Laurençon et al. 2024) | SigLIP |
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import InputError, ModelFileError
from .config import ModelSection
from .templates import byte_tokenizer, chat_template

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, ProcessorMixin

IMAGE = "<image>"


def compose(section: ModelSection) -> tuple[PreTrainedModel, ProcessorMixin]:
    """The model (float32, on the CPU) and its processor. Parts keep their weights; the connector's are new."""
    language = _language(section.language)
    vision = _vision(section.vision)
    tokenizer = _tokenizer(section)
    template, end = chat_template(section.chat, tokenizer)
    if section.connector == "query":
        processor = _query_processor(section, vision.config, tokenizer, template)
    else:
        processor = _mlp_processor(section, vision.config, tokenizer, template)
    _fit_vocabulary(language, tokenizer)
    image_id: int = tokenizer.get_vocab()[IMAGE]
    if section.connector == "query":
        model = _query_model(section, vision, language, image_id)
    else:
        model = _mlp_model(section, vision, language, image_id)
    stops = [tokenizer.convert_tokens_to_ids(end), tokenizer.eos_token_id, language.config.eos_token_id]
    flat = [i for s in stops for i in (s if isinstance(s, list) else [s]) if i is not None]
    model.generation_config.eos_token_id = list(dict.fromkeys(flat))
    model.generation_config.pad_token_id = model.config.get_text_config().pad_token_id = (
        tokenizer.pad_token_id
    )
    left = [name for name, p in model.named_parameters() if p.is_meta]
    assert not left, f"parameters without values: {left}"
    return model.eval(), processor


def save(model: PreTrainedModel, processor: ProcessorMixin, folder: str | Path) -> Path:
    """Model and processor in one directory that loads whole with AutoProcessor and AutoModelForImageTextToText."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _fetch(what: str, name: str, load: Any, **options: Any) -> Any:
    """`load(name)` from local files or the hub: safetensors only, no remote code, one line on failure."""
    try:
        return load(name, trust_remote_code=False, **options)
    except (OSError, ValueError) as error:
        raise ModelFileError(
            f"{what} {name!r} cannot be loaded: {' '.join(str(error).split())[:300]}"
        ) from error


def _random(what: str, value: dict[str, Any]) -> Any:
    from transformers import AutoConfig

    fields = dict(value)
    kind = fields.pop("model_type", None)
    try:
        return AutoConfig.for_model(kind, **fields)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"model.{what}: model_type {kind!r} makes no configuration: {str(error)[:200]}"
        ) from error


def _language(part: str | dict[str, Any]) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    if isinstance(part, dict):
        return AutoModelForCausalLM.from_config(_random("language", part), dtype=torch.float32)
    return _fetch(
        "language model",
        part,
        AutoModelForCausalLM.from_pretrained,
        dtype=torch.float32,
        use_safetensors=True,
    )


def _vision(part: str | dict[str, Any]) -> Any:
    import torch
    from transformers import AutoConfig, CLIPVisionModel, SiglipVisionModel

    classes: dict[str, Any] = {"clip_vision_model": CLIPVisionModel, "siglip_vision_model": SiglipVisionModel}
    config = (
        _random("vision", part)
        if isinstance(part, dict)
        else _fetch("encoder", part, AutoConfig.from_pretrained)
    )
    config = getattr(config, "vision_config", config)
    if config.model_type not in classes:
        raise InputError(
            f"model.vision: {config.model_type!r} is no encoder that we join; give a CLIP or SigLIP one"
        )
    found = classes[config.model_type]
    if isinstance(part, dict):
        return found._from_config(config, dtype=torch.float32)
    return _fetch(
        "encoder", part, found.from_pretrained, config=config, dtype=torch.float32, use_safetensors=True
    )


def _tokenizer(section: ModelSection) -> PreTrainedTokenizerBase:
    from transformers import AutoTokenizer

    if section.tokenizer == "bytes":
        tokenizer = byte_tokenizer()
    else:
        name = section.tokenizer or section.language
        if not isinstance(name, str):
            raise InputError(
                "model.tokenizer is missing: a language model made from a config brings none; try bytes"
            )
        tokenizer = _fetch("tokenizer", name, AutoTokenizer.from_pretrained)
    if IMAGE not in tokenizer.get_vocab():
        tokenizer.add_special_tokens(
            {"additional_special_tokens": [IMAGE]}, replace_extra_special_tokens=False
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _fit_vocabulary(language: Any, tokenizer: PreTrainedTokenizerBase) -> None:
    """Rows for tokens that the language model has none for; they start at the mean, so that none stands out."""
    if len(tokenizer) > language.config.vocab_size:
        language.resize_token_embeddings(len(tokenizer), mean_resizing=True)


def _square(size: Any) -> int:
    return int(size if isinstance(size, int) else size[0])


def _pixels(vision: Any) -> dict[str, Any]:
    """Mean and deviation that the encoder was trained with."""
    from transformers.image_utils import (
        IMAGENET_STANDARD_MEAN,
        IMAGENET_STANDARD_STD,
        OPENAI_CLIP_MEAN,
        OPENAI_CLIP_STD,
    )

    clip = vision.model_type == "clip_vision_model"
    return {
        "image_mean": list(OPENAI_CLIP_MEAN if clip else IMAGENET_STANDARD_MEAN),
        "image_std": list(OPENAI_CLIP_STD if clip else IMAGENET_STANDARD_STD),
        "do_convert_rgb": True,
    }


def _strategy(vision: Any) -> tuple[str, int]:
    """How the class token is treated ("default" drops it), and how many such tokens there are."""
    return ("default", 1) if vision.model_type == "clip_vision_model" else ("full", 0)


def grids(tiles: int, side: int) -> list[list[int]]:
    """All [height, width] in pixels of 2 to `tiles` tiles of `side`."""
    return [
        [h * side, w * side] for h in range(1, tiles + 1) for w in range(1, tiles + 1) if 2 <= h * w <= tiles
    ]


def _mlp_processor(section: ModelSection, vision: Any, tokenizer: Any, template: str) -> ProcessorMixin:
    from transformers import CLIPImageProcessor, LlavaNextImageProcessor, LlavaNextProcessor, LlavaProcessor

    side = _square(vision.image_size)
    if side % _square(vision.patch_size) and section.tiles:
        raise InputError(
            f"model.tiles: the encoder's side of {side} pixels is no multiple of its patch of {vision.patch_size}, "
            "so tiles do not join; choose another encoder or tiles: 0"
        )
    strategy, extra = _strategy(vision)
    common = {
        "tokenizer": tokenizer, "patch_size": _square(vision.patch_size), "chat_template": template,
        "vision_feature_select_strategy": strategy, "num_additional_image_tokens": extra,
    }  # fmt: skip
    if section.tiles:
        tiler = LlavaNextImageProcessor(
            size={"shortest_edge": side}, crop_size={"height": side, "width": side},
            image_grid_pinpoints=_pinpoints(section, side), **_pixels(vision),
        )  # fmt: skip
        return LlavaNextProcessor(image_processor=tiler, **common)
    # The whole picture, fitted to a square: a centre crop would cut off what stands at its sides.
    plain = CLIPImageProcessor(size={"height": side, "width": side}, do_center_crop=False, **_pixels(vision))
    return LlavaProcessor(image_processor=plain, **common)


def _pinpoints(section: ModelSection, side: int) -> list[list[int]]:
    if section.tiles < 2:
        raise InputError(f"model.tiles is {section.tiles}; 0 means one view, and tiles are 2 or more")
    return grids(section.tiles, side)


def _query_processor(section: ModelSection, vision: Any, tokenizer: Any, template: str) -> ProcessorMixin:
    from transformers import Idefics2ImageProcessor, Idefics2Processor

    side = _square(vision.image_size) * (2 if section.tiles else 1)
    image = Idefics2ImageProcessor(
        size={"shortest_edge": side, "longest_edge": side},
        do_image_splitting=bool(section.tiles),
        **_pixels(vision),
    )
    return Idefics2Processor(image, tokenizer, image_seq_len=section.queries, chat_template=template)


def _joined(cls: Any, config: Any) -> Any:
    """A model whose parameters have shapes but no values yet."""
    import torch

    with torch.device("meta"):
        return cls(config)


def _fresh(model: Any, module: Any) -> Any:
    """A new connector with the values that the model's class gives it."""
    module.apply(model._init_weights)
    return module


def _mlp_model(section: ModelSection, vision: Any, language: Any, image_id: int) -> PreTrainedModel:
    import torch
    from transformers import (
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaNextConfig,
        LlavaNextForConditionalGeneration,
    )

    layers = vision.config.num_hidden_layers
    if not -layers <= section.feature_layer <= layers:
        raise InputError(f"model.feature_layer is {section.feature_layer}; the encoder has {layers} layers")
    side, patch = _square(vision.config.image_size), _square(vision.config.patch_size)
    options: dict[str, Any] = {
        "vision_config": vision.config, "text_config": language.config, "image_token_index": image_id,
        "vision_feature_layer": section.feature_layer, "image_seq_length": (side // patch) ** 2,
        "vision_feature_select_strategy": _strategy(vision.config)[0],
        "tie_word_embeddings": language.config.tie_word_embeddings,
    }  # fmt: skip
    config: Any
    if section.tiles:
        config = LlavaNextConfig(image_grid_pinpoints=_pinpoints(section, side), **options)
        model = _joined(LlavaNextForConditionalGeneration, config)
        width = language.config.hidden_size
        model.model.image_newline = torch.nn.Parameter(torch.randn(width) / math.sqrt(width))
    else:
        config = LlavaConfig(**options)
        model = _joined(LlavaForConditionalGeneration, config)
    model.model.multi_modal_projector = _fresh(model, type(model.model.multi_modal_projector)(config))
    model.model.vision_tower = vision
    model.model.language_model, model.lm_head = language.model, language.lm_head
    return model


def _query_model(section: ModelSection, vision: Any, language: Any, image_id: int) -> PreTrainedModel:
    import torch
    from transformers import Idefics2Config, Idefics2ForConditionalGeneration

    seen = vision.config
    if seen.model_type != "siglip_vision_model":
        raise InputError(
            "model.vision: the query connector reads SigLIP encoders; give one, or connector: mlp"
        )
    width = language.config.hidden_size
    heads = max(1, width // 64)
    config = Idefics2Config(
        vision_config={
            "hidden_size": seen.hidden_size, "intermediate_size": seen.intermediate_size,
            "num_hidden_layers": seen.num_hidden_layers, "num_attention_heads": seen.num_attention_heads,
            "image_size": _square(seen.image_size) * (2 if section.tiles else 1), "patch_size": _square(seen.patch_size),
            "hidden_act": seen.hidden_act, "layer_norm_eps": seen.layer_norm_eps,
        },
        perceiver_config={
            "hidden_size": width, "rms_norm_eps": getattr(language.config, "rms_norm_eps", 1e-6),
            "resampler_n_latents": section.queries, "resampler_depth": section.query_depth,
            "resampler_n_heads": heads, "resampler_head_dim": min(64, width),
            "num_key_value_heads": heads // 4 if heads % 4 == 0 else heads,
        },
        text_config=language.config, image_token_id=image_id, tie_word_embeddings=language.config.tie_word_embeddings,
    )  # fmt: skip
    model = _joined(Idefics2ForConditionalGeneration, config)
    tower = type(model.model.vision_model)(config.vision_config)
    values = {name: value for name, value in vision.state_dict().items() if not name.startswith("head.")}
    key = "embeddings.position_embedding.weight"
    values[key] = _stretched(values[key], tower.state_dict()[key].shape[0])
    values = {name: value for name, value in values.items() if name in tower.state_dict()}
    tower.load_state_dict(values)
    model.model.vision_model = tower
    connector = _fresh(model, type(model.model.connector)(config))
    # The class starts all queries at one, and alike they would all ask the same; different ones look apart at once.
    torch.nn.init.normal_(connector.perceiver_resampler.latents)
    model.model.connector = connector
    model.model.text_model, model.lm_head = language.model, language.lm_head
    return model


def _stretched(table: Any, count: int) -> Any:
    """Position embeddings [N, C] of a square grid, interpolated to `count` places of a finer one."""
    import torch

    if table.shape[0] == count:
        return table
    old, new = math.isqrt(table.shape[0]), math.isqrt(count)
    grid = table.T.reshape(1, -1, old, old)  # [1, C, H, W]
    finer = torch.nn.functional.interpolate(grid, (new, new), mode="bicubic", align_corners=False)
    return finer.reshape(table.shape[1], count).T.contiguous()
