"""The starter core MLLM: a small model trained from nothing on procedural scenes.

Importing this package tells transformers about it, so that `AutoConfig`, `AutoProcessor` and
`AutoModelForImageTextToText` load a starter's folder.
"""

from __future__ import annotations

from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageTextToText, AutoProcessor

from .config import StarterConfig
from .connector import Objects
from .model import StarterForConditionalGeneration, StarterOutput
from .processor import StarterImageProcessor, StarterProcessor

AutoConfig.register(StarterConfig.model_type, StarterConfig, exist_ok=True)
AutoModelForImageTextToText.register(StarterConfig, StarterForConditionalGeneration, exist_ok=True)
AutoImageProcessor.register(StarterConfig, slow_image_processor_class=StarterImageProcessor, exist_ok=True)
AutoProcessor.register(StarterConfig, StarterProcessor, exist_ok=True)

__all__ = [
    "Objects",
    "StarterConfig",
    "StarterForConditionalGeneration",
    "StarterImageProcessor",
    "StarterOutput",
    "StarterProcessor",
]
