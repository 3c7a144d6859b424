"""Closed-vocabulary detection by YOLOX in ONNX (https://arxiv.org/abs/2107.08430): no torch, a few megabytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...errors import InputError, ModelFileError
from ..names import COCO_CLASSES
from ..values import Image, Region, Regions
from .common import checked, clipped, one_line, suppress, whole

_STRIDES = (8, 16, 32)
_GREY = 114


class YoloxDetector:
    """The official YOLOX exports (raw grid output [B, cells, 5 + classes]), with boxes decoded here."""

    batch = 16

    def __init__(
        self,
        weights: Path,
        digest: str,
        confidence: float = 0.3,
        iou: float = 0.45,
        most: int = 300,
        classes: Sequence[str] = COCO_CLASSES,
        threads: int = 0,
    ) -> None:
        """`classes` are the names of the model's outputs; `threads` 0 leaves the number to onnxruntime."""
        import onnxruntime

        self._digest = digest
        self._confidence = checked("confidence", confidence, 0, 1)
        self._iou = checked("iou", iou, 0, 1)
        self._most = whole("most", most, 1, 3000)
        if isinstance(classes, str) or not all(isinstance(name, str) for name in classes):
            raise InputError("option classes: a list of class names is expected")
        self.vocabulary = tuple(classes)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = whole("threads", threads, 0, 256)
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                str(weights), options, providers=onnxruntime.get_available_providers()
            )
        except Exception as error:  # onnxruntime raises kinds of its own that share no base
            raise ModelFileError(
                f"{weights}: not an ONNX model that onnxruntime reads ({one_line(error)})"
            ) from error
        (self._input, *others) = self._session.get_inputs()
        shape = self._input.shape
        output = self._session.get_outputs()[0].shape
        if others or len(shape) != 4 or shape[1] != 3 or len(output) != 3:
            raise ModelFileError(f"{weights}: not a YOLOX detector (input {shape}, output {output})")
        if output[2] != 5 + len(self.vocabulary):
            raise ModelFileError(
                f"{weights}: gives {output[2] - 5} classes and {len(self.vocabulary)} names are known; set option classes"
            )
        self._size = (int(shape[2]), int(shape[3])) if isinstance(shape[2], int) else (416, 416)
        self._at_once = shape[0] if isinstance(shape[0], int) else self.batch
        self._grid, self._step = _grid(self._size)

    def detect(self, images: Sequence[Image]) -> list[Regions]:
        results: list[Regions] = []
        for start in range(0, len(images), self._at_once):
            part = images[start : start + self._at_once]
            prepared = [self._prepare(image) for image in part]
            # a fixed batch of the export is filled up with zeros
            stacked = np.zeros((max(len(part), self._at_once), 3, *self._size), np.float32)
            for row, (pixels, _) in enumerate(prepared):
                stacked[row] = pixels
            (output,) = self._session.run(None, {self._input.name: stacked})
            results += [
                self._regions(output[row], ratio, image)
                for row, (image, (_, ratio)) in enumerate(zip(part, prepared, strict=True))
            ]
        return results

    def _prepare(self, image: Image) -> tuple[np.ndarray, float]:
        """[3, H, W] float BGR 0..255 as YOLOX was trained, scaled into the top left corner; and the scale."""
        import cv2

        height, width = self._size
        ratio = min(height / image.height, width / image.width)
        inner = (max(int(image.width * ratio), 1), max(int(image.height * ratio), 1))
        canvas = np.full((height, width, 3), _GREY, dtype=np.uint8)
        canvas[: inner[1], : inner[0]] = cv2.resize(image.pixels, inner, interpolation=cv2.INTER_LINEAR)
        return canvas[..., ::-1].transpose(2, 0, 1).astype(np.float32), ratio

    def _regions(self, output: np.ndarray, ratio: float, image: Image) -> Regions:
        scores = output[:, 5:] * output[:, 4:5]
        kinds = scores.argmax(axis=1)
        best = scores[np.arange(len(kinds)), kinds]
        keep = best > self._confidence
        raw, kinds, best = output[keep], kinds[keep], best[keep]
        centers = (raw[:, :2] + self._grid[keep]) * self._step[keep]
        sizes = np.exp(raw[:, 2:4]) * self._step[keep]
        boxes = np.concatenate([centers - sizes / 2, centers + sizes / 2], axis=1) / ratio
        # classes apart, so that one never hides another
        shifted = boxes + kinds[:, None] * 2.0 * max(image.size)
        regions = []
        for index in suppress(shifted, best, self._iou)[: self._most]:
            where = clipped(boxes[index], image)
            if where is not None:
                regions.append(
                    Region(
                        box=where,
                        label=self.vocabulary[int(kinds[index])],
                        score=min(float(best[index]), 1.0),
                        tool="onnx-yolox",
                        weights=self._digest,
                        picture=image.picture,
                    )
                )
        return Regions(regions)


def _grid(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Column and row of every output cell [N, 2], and its stride [N, 1]."""
    places, steps = [], []
    for stride in _STRIDES:
        rows, columns = size[0] // stride, size[1] // stride
        y, x = np.mgrid[:rows, :columns]
        places.append(np.stack([x, y], axis=2).reshape(-1, 2))
        steps.append(np.full((rows * columns, 1), stride))
    return np.concatenate(places).astype(np.float32), np.concatenate(steps).astype(np.float32)
