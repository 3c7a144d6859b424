"""OCR by RapidOCR: the PP-OCR models in ONNX that its wheel carries, so nothing is downloaded."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..values import Image, Regions
from .common import checked, whole
from .reading import line_region, reading_order


class RapidReader:
    """Latin and Chinese script, printed, in any orientation of lines.

    Pictures are read one by one: lines recognised together are padded to the longest of them, and what is read in one
    picture must not depend on which others are in the batch.
    """

    batch = 8

    def __init__(
        self,
        weights: Path | None,
        digest: str,
        confidence: float = 0.5,
        upside_down: bool = True,
        longest_side: int = 2000,
        threads: int = 0,
    ) -> None:
        """`confidence` is the floor of a line's score; `upside_down` turns lines that stand on their head."""
        from rapidocr import RapidOCR

        self._digest = digest
        self._lock = threading.Lock()
        self._engine = RapidOCR(
            params={
                "Global.log_level": "critical",
                "Global.text_score": checked("confidence", confidence, 0, 1),
                "Global.use_cls": bool(upside_down),
                "Global.max_side_len": whole("longest_side", longest_side, 64, 8192),
                "EngineConfig.onnxruntime.intra_op_num_threads": whole("threads", threads, 0, 256) or -1,
            }
        )

    def read(self, images: Sequence[Image]) -> list[Regions]:
        return [self._read(image) for image in images]

    def _read(self, image: Image) -> Regions:
        pixels = np.ascontiguousarray(image.pixels[..., ::-1])  # an array means BGR to it
        with self._lock:
            found: Any = self._engine(pixels)
        if getattr(found, "boxes", None) is None or not getattr(found, "txts", None):
            return Regions()
        lines = []
        for corners, text, score in zip(found.boxes, found.txts, found.scores, strict=True):
            region = line_region(corners, str(text), float(score), image, "rapidocr", self._digest)
            if region is not None:
                lines.append(region)
        return reading_order(lines)
