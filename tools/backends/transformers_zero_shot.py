"""Open-vocabulary detection by Grounding DINO, OWL-ViT and OWLv2 checkpoints: every asked name in one forward.

Each name is scored by itself at each box, so one box may answer to two names ('man' never hides 'person'), and a region
carries the name that was asked, never a phrase that the model merged from neighbouring words.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError, ModelFileError
from ..values import Image, Region, Regions
from .common import checked, clipped, from_folder, suppress, torch_device, use_quiet_transformers, whole
from .transformers_clip import from_folder_config

_GROUNDED = ("grounding-dino", "mm-grounding-dino")
_QUERIED = ("owlvit", "owlv2")
_MOST_QUERIES = 200  # names in one forward of OWL; Grounding DINO is bound by its tokens


class ZeroShotDetector:
    """A name's score at a box is the sigmoid of its logit, for Grounding DINO the mean over the name's tokens."""

    batch = 4

    def __init__(
        self,
        weights: Path,
        digest: str,
        confidence: float = 0.3,
        iou: float = 0.6,
        most: int = 300,
        template: str = "a photo of a {}",
        device: str = "auto",
    ) -> None:
        """`template` is used by the OWL models only; `iou` suppresses within a name, never between names."""
        from transformers import AutoConfig, AutoModelForZeroShotObjectDetection, AutoProcessor

        use_quiet_transformers()
        if template.count("{}") != 1:
            raise InputError(f"option template: {template!r} needs {{}} once, for the name")
        self._digest = digest
        self._confidence = checked("confidence", confidence, 0, 1)
        self._iou = checked("iou", iou, 0, 1)
        self._most = whole("most", most, 1, 3000)
        self._template = template
        self._device = torch_device(device)
        config = from_folder_config(AutoConfig, weights)
        self._kind = config.model_type
        if self._kind not in (*_GROUNDED, *_QUERIED):
            known = ", ".join((*_GROUNDED, *_QUERIED))
            raise ModelFileError(f"{weights}: a {self._kind} checkpoint; this back end takes {known}")
        self._most_tokens = int(getattr(config, "max_text_len", 256))
        self._model = from_folder(AutoModelForZeroShotObjectDetection, weights).to(self._device).eval()
        self._processor = from_folder(AutoProcessor, weights)
        self._lock = threading.Lock()

    def detect(self, images: Sequence[Image], labels: Sequence[Sequence[str]]) -> list[Regions]:
        """Pictures of one size that are asked for the same names go through together; padding would change results."""
        groups: dict[tuple[Any, ...], list[int]] = {}
        for index, (image, names) in enumerate(zip(images, labels, strict=True)):
            groups.setdefault((image.size, tuple(dict.fromkeys(names))), []).append(index)
        results = [Regions()] * len(images)
        for (_, names), indices in groups.items():
            part = [images[i] for i in indices]
            found: list[list[Region]] = [[] for _ in part]
            for some in self._portions(names):
                scores, boxes = self._forward(part, some)
                for row, image in enumerate(part):
                    found[row] += self._regions(scores[row], boxes[row], some, image)
            for row, index in enumerate(indices):
                best = sorted(found[row], key=lambda region: -region.score)
                results[index] = Regions(best[: self._most])
        return results

    def _portions(self, names: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        """All names at once, or as many as the model's text input holds."""
        part: list[str] = []
        used = 2
        for name in names:
            if not _plain(name):
                continue
            cost = len(self._tokens(name)) + 1 if self._kind in _GROUNDED else 0
            if part and (used + cost > self._most_tokens or len(part) == _MOST_QUERIES):
                yield tuple(part)
                part, used = [], 2
            part.append(name)
            used += cost
        if part:
            yield tuple(part)

    def _tokens(self, name: str) -> list[int]:
        """Token ids of a name, cut where the name alone would fill the model's text input."""
        ids = self._processor.tokenizer(_plain(name), add_special_tokens=False)["input_ids"]
        return list(ids[: self._most_tokens - 3])

    def _forward(self, images: list[Image], names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Scores [B, Q, names] and boxes [B, Q, 4] in pixels of each image."""
        import torch

        pictures = [image.pixels.copy() for image in images]  # torch warns of arrays it may not write
        with self._lock, torch.inference_mode():
            inputs = self._processor.image_processor(images=pictures, return_tensors="pt").to(self._device)
            if self._kind in _GROUNDED:
                text, spans = self._prompt(names)
                ids = torch.tensor([text] * len(images), device=self._device)
                output = self._model(
                    **inputs,
                    input_ids=ids,
                    token_type_ids=torch.zeros_like(ids),
                    attention_mask=torch.ones_like(ids),
                )
                tokens = output.logits.float().sigmoid()
                scores = torch.stack([tokens[..., start:stop].mean(dim=-1) for start, stop in spans], dim=-1)
            else:
                phrases = [self._template.format(name) for name in names]
                queries = self._processor.tokenizer(
                    phrases, padding="max_length", truncation=True, max_length=16, return_tensors="pt"
                ).to(self._device)
                repeated = {key: value.repeat(len(images), 1) for key, value in queries.items()}
                output = self._model(**inputs, **repeated)
                scores = output.logits.float().sigmoid()[..., : len(names)]
            centers = output.pred_boxes.float().cpu().numpy()
        width, height = images[0].size
        if self._kind == "owlv2":  # it pads to a square on the right and below
            width = height = max(width, height)
        low, high = centers[..., :2] - centers[..., 2:] / 2, centers[..., :2] + centers[..., 2:] / 2
        boxes = np.concatenate([low, high], axis=-1) * np.array([width, height, width, height])
        return scores.cpu().numpy(), boxes

    def _prompt(self, names: tuple[str, ...]) -> tuple[list[int], list[tuple[int, int]]]:
        """Token ids of 'name. name. ...' and where each name's tokens stand."""
        tokenizer = self._processor.tokenizer
        stop = tokenizer.convert_tokens_to_ids(".")
        ids = [tokenizer.cls_token_id]
        spans = []
        for name in names:
            tokens = self._tokens(name)
            spans.append((len(ids), len(ids) + len(tokens)))
            ids += [*tokens, stop]
        return [*ids, tokenizer.sep_token_id], spans

    def _regions(
        self, scores: np.ndarray, boxes: np.ndarray, names: tuple[str, ...], image: Image
    ) -> list[Region]:
        regions = []
        for column, name in enumerate(names):
            chosen = np.flatnonzero(scores[:, column] > self._confidence)
            for kept in suppress(boxes[chosen], scores[chosen, column], self._iou):
                where = clipped(boxes[chosen[kept]], image)
                if where is not None:
                    regions.append(
                        Region(
                            box=where,
                            label=name,
                            score=float(scores[chosen[kept], column]),
                            tool="transformers-zero-shot",
                            weights=self._digest,
                            picture=image.picture,
                        )
                    )
        return regions


def _plain(name: str) -> str:
    """A name as the text encoder takes it: full stops and question marks separate phrases for Grounding DINO."""
    return " ".join(name.lower().replace(".", " ").replace("?", " ").split())
