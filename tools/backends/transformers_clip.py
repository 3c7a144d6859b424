"""Zero-shot classification by CLIP or SigLIP checkpoints: a probability for each label, the rest is 'not sure'."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...errors import ModelFileError
from ..values import Image
from .common import checked, from_folder, torch_device, use_quiet_transformers, whole

_KEPT_TEXTS = 4096  # label embeddings, 2 KiB each


class ClipClassifier:
    """Labels of a picture compete with each other and with `other` (a plain photo): what goes to it is 'not sure'."""

    batch = 32

    def __init__(
        self,
        weights: Path,
        digest: str,
        template: str = "a photo of {}",
        other: str = "a photo",
        doubt: float = 0.0,
        most_labels: int = 1000,
        device: str = "auto",
    ) -> None:
        """`template` takes a label at {}; `doubt` is added to the logit of `other`, raising what is not sure."""
        from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoTokenizer

        use_quiet_transformers()
        if template.count("{}") != 1:
            raise ModelFileError(f"option template: {template!r} needs {{}} once, for the label")
        self._digest = digest
        self._template, self._other = template, other
        self._doubt = checked("doubt", doubt, -100, 100)
        self._most_labels = whole("most_labels", most_labels, 1, 100_000)
        self._device = torch_device(device)
        config = from_folder_config(AutoConfig, weights)
        if config.model_type not in ("clip", "siglip", "siglip2"):
            raise ModelFileError(
                f"{weights}: a {config.model_type} checkpoint; the classifier takes clip or siglip"
            )
        self._sigmoid = config.model_type != "clip"
        self._model = from_folder(AutoModel, weights).to(self._device).eval()
        self._tokenizer = from_folder(AutoTokenizer, weights)
        self._processor = from_folder(AutoImageProcessor, weights)
        self._lock = threading.Lock()
        self._texts: OrderedDict[str, Any] = OrderedDict()

    def classify(self, images: Sequence[Image], labels: Sequence[Sequence[str]]) -> list[list[float]]:
        """One forward of the pictures, one of the labels not met before."""
        import torch

        for names in labels:
            if len(names) > self._most_labels:
                raise ModelFileError(f"{len(names)} labels are over the limit of {self._most_labels}")
        with self._lock, torch.inference_mode():
            pixels = self._processor(images=[image.pixels.copy() for image in images], return_tensors="pt")
            features = _vector(self._model.get_image_features(**pixels.to(self._device)))
            features = features / features.norm(dim=-1, keepdim=True)
            phrases = [[*(self._template.format(name) for name in names), self._other] for names in labels]
            table = self._embed({phrase for row in phrases for phrase in row})
            scale = self._model.logit_scale.exp()
            results = []
            for feature, row in zip(features, phrases, strict=True):
                logits = scale * torch.stack([table[phrase] for phrase in row]) @ feature
                results.append(self._probabilities(logits)[:-1])
        return results

    def _probabilities(self, logits: Any) -> list[float]:
        """Of each label and, last, of `other`; they sum to 1 at most."""
        import torch

        logits = logits.float().clone()
        logits[-1] += self._doubt
        if not self._sigmoid:
            return [float(p) for p in torch.softmax(logits, dim=0)]
        # SigLIP judges each pair by itself: shares where they add up to more than one, as they are where not
        each = torch.sigmoid(logits + self._model.logit_bias)
        return [float(p) for p in each / max(float(each.sum()), 1.0)]

    def _embed(self, phrases: set[str]) -> dict[str, Any]:
        """Normalised text vectors [D] by phrase; those met before are kept."""
        new = [phrase for phrase in sorted(phrases) if phrase not in self._texts]
        for start in range(0, len(new), 256):
            part = new[start : start + 256]
            padding = "max_length" if self._sigmoid else True  # SigLIP was trained on padded text
            tokens = self._tokenizer(part, padding=padding, truncation=True, return_tensors="pt").to(
                self._device
            )
            vectors = _vector(self._model.get_text_features(**tokens))
            vectors = vectors / vectors.norm(dim=-1, keepdim=True)
            self._texts.update(zip(part, vectors, strict=True))
        table = {phrase: self._texts[phrase] for phrase in phrases}
        for phrase in phrases:
            self._texts.move_to_end(phrase)
        while len(self._texts) > _KEPT_TEXTS:
            self._texts.popitem(last=False)
        return table


def from_folder_config(loader: Any, folder: Path) -> Any:
    """A checkpoint's configuration; ModelFileError where it is none."""
    try:
        return loader.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise ModelFileError(
            f"{folder}: no transformers checkpoint (config.json is missing or wrong)"
        ) from error


def _vector(output: Any) -> Any:
    """The projected features [B, D]: transformers 5 wraps them where 4 gave the tensor."""
    return output.pooler_output if hasattr(output, "pooler_output") else output
