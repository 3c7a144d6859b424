"""Face detection by the Haar cascades inside OpenCV 4's wheels (Viola & Jones, 2001): frontal and both profiles."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import RoleError
from ..values import Image, Region, Regions
from .common import clipped, suppress, whole

_FRONTAL = "haarcascade_frontalface_alt2.xml"
_PROFILE = "haarcascade_profileface.xml"  # faces turned to the picture's left; mirrored for the right


class CascadeFaces:
    """Works at once and on any machine; a learned detector finds more and errs less.

    The score grows with the number of overlapping hits, n / (n + 5). It orders faces and is no probability.
    """

    batch = 16

    def __init__(
        self,
        weights: Path | None,
        digest: str,
        neighbours: int = 4,
        profile_neighbours: int = 6,
        smallest: int = 24,
        longest_side: int = 1024,
    ) -> None:
        """`neighbours` hits make a face; `smallest` pixels of a face in a picture scaled to at most `longest_side`."""
        import cv2

        self._digest = digest
        self._neighbours = whole("neighbours", neighbours, 1, 100)
        self._profile_neighbours = whole("profile_neighbours", profile_neighbours, 0, 100)
        self._smallest = whole("smallest", smallest, 12, 1000)
        self._longest = whole("longest_side", longest_side, 64, 8192)
        self._local = threading.local()  # a cascade keeps scratch of the picture that it scans
        if not hasattr(cv2, "CascadeClassifier"):
            raise RoleError(
                f"OpenCV {cv2.__version__} carries no face cascades: pip install 'opencv-python<5'"
            )
        self._cascade(_FRONTAL)

    def _cascade(self, name: str) -> Any:
        import cv2

        loaded = getattr(self._local, name, None)
        if loaded is None:
            folder = getattr(getattr(cv2, "data", None), "haarcascades", "")
            loaded = cv2.CascadeClassifier(str(Path(folder) / name))
            if loaded.empty():
                raise RoleError(f"OpenCV {cv2.__version__} lacks {name}: pip install 'opencv-python<5'")
            setattr(self._local, name, loaded)
        return loaded

    def detect_faces(self, images: Sequence[Image]) -> list[Regions]:
        return [self._faces(image) for image in images]

    def _faces(self, image: Image) -> Regions:
        import cv2

        grey = cv2.cvtColor(image.pixels, cv2.COLOR_RGB2GRAY)
        ratio = min(1.0, self._longest / max(image.size))
        if ratio < 1:
            size = (max(round(image.width * ratio), 1), max(round(image.height * ratio), 1))
            grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
        grey = cv2.equalizeHist(grey)
        found = self._scan(_FRONTAL, grey, self._neighbours, 1.1)
        if self._profile_neighbours:
            found += self._scan(_PROFILE, grey, self._profile_neighbours, 1.2)
            width = grey.shape[1]
            mirrored = self._scan(
                _PROFILE, np.ascontiguousarray(grey[:, ::-1]), self._profile_neighbours, 1.2
            )
            found += [((width - x2, y1, width - x1, y2), count) for (x1, y1, x2, y2), count in mirrored]
        if not found:
            return Regions()
        boxes = np.array([box for box, _ in found], dtype=np.float64) / ratio
        scores = np.array([count / (count + 5) for _, count in found])
        regions = []
        for index in suppress(boxes, scores, 0.3):
            where = clipped(boxes[index], image)
            if where is not None:
                regions.append(
                    Region(
                        box=where,
                        label="face",
                        score=float(scores[index]),
                        tool="opencv-faces",
                        weights=self._digest,
                        picture=image.picture,
                    )
                )
        return Regions(regions)

    def _scan(
        self, name: str, grey: np.ndarray, neighbours: int, step: float
    ) -> list[tuple[tuple[float, float, float, float], int]]:
        """(box, number of hits) in the pixels of `grey`."""
        side = min(self._smallest, *grey.shape)
        boxes, counts = self._cascade(name).detectMultiScale2(
            grey, scaleFactor=step, minNeighbors=neighbours, minSize=(side, side)
        )
        return [
            ((float(x), float(y), float(x + w), float(y + h)), int(count))
            for (x, y, w, h), count in zip(boxes, np.ravel(counts), strict=True)
        ]
