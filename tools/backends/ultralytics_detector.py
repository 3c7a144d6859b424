"""Closed-vocabulary detection, with masks where the model has them, by ultralytics YOLO weights."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import ModelFileError
from ..values import Image, Regions
from . import yolo
from .common import checked, chunks, torch_device, whole


class UltralyticsDetector:
    """YOLO detection and segmentation (v8 to 26) in its official `.pt` format.

    The network is called directly: the library's predictor would choose the padding by what else is in the batch, and
    results must not depend on that. Suppression is per class unless `agnostic`.
    """

    batch = 16

    def __init__(
        self,
        weights: Path,
        digest: str,
        confidence: float = 0.25,
        iou: float = 0.7,
        agnostic: bool = False,
        most: int = 300,
        image_size: int = 640,
        device: str = "auto",
    ) -> None:
        """`confidence` and `iou` are the score floor and the suppression overlap; `most` boxes an image at most."""
        self._digest = digest
        self._confidence = checked("confidence", confidence, 0, 1)
        self._iou = checked("iou", iou, 0, 1)
        self._agnostic = bool(agnostic)
        self._most = whole("most", most, 1, 3000)
        self._size = whole("image_size", image_size, 32, 4096)
        self._device = torch_device(device)
        self._at_once = yolo.at_once(self._device, self.batch)
        self._lock = threading.Lock()  # the head keeps anchors of the last shape
        self._model = yolo.load_model(weights, self._device)
        self._model.fuse(verbose=False)
        self.vocabulary = yolo.names_of(self._model)
        head = type(self._model.model[-1]).__name__
        self._has_masks = "Segment" in head
        if not self._has_masks and "Detect" not in head:
            raise ModelFileError(
                f"{weights}: its task is {head}; the role detector takes detection or segmentation"
            )
        self._stride = int(max(self._model.stride))

    def detect(self, images: Sequence[Image]) -> list[Regions]:
        boxes = [yolo.Letterbox.of(image, self._size, self._stride) for image in images]
        by_shape: dict[tuple[int, int], list[int]] = defaultdict(list)
        for index, box in enumerate(boxes):
            by_shape[box.shape].append(index)
        results: dict[int, Regions] = {}
        for indices in (part for group in by_shape.values() for part in chunks(group, self._at_once)):
            kept, prototypes = self._forward([images[i] for i in indices], [boxes[i] for i in indices])
            for row, index in enumerate(indices):
                protos = None if prototypes is None else prototypes[row]
                results[index] = yolo.to_regions(
                    kept[row],
                    protos,
                    boxes[index],
                    images[index],
                    self.vocabulary,
                    "ultralytics",
                    self._digest,
                )
        return [results[index] for index in range(len(images))]

    def textures(self, image: Image, layers: int) -> np.ndarray:
        """Mean and standard deviation over a picture of each channel after the first `layers` layers [2 C]."""
        import torch

        box = yolo.Letterbox.of(image, self._size, self._stride)
        with torch.inference_mode():
            found = torch.from_numpy(box.apply(image).copy())[None].to(self._device).float().div_(255)
            for layer in self._model.model[:layers]:
                found = layer(found)
            return torch.cat((found.mean((2, 3))[0], found.std((2, 3))[0])).cpu().double().numpy()

    def _forward(self, images: list[Image], boxes: list[yolo.Letterbox]) -> tuple[list[Any], Any]:
        """Kept rows [N, 6 + K] of each image, and the mask prototypes [B, K, h, w] or None."""
        import torch

        with self._lock, torch.inference_mode():
            output = yolo.infer(self._model, boxes, images, self._device)
        return yolo.keep_best(
            self._model,
            output,
            len(self.vocabulary),
            self._has_masks,
            confidence=self._confidence,
            iou=self._iou,
            agnostic=self._agnostic,
            most=self._most,
        )
