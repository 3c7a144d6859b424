"""The starter's detector for any picture: a drawn scene goes to its eyes, a photograph to its photograph detector.

What it has names for depends on the picture: `vocabularies` by `sort`.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...errors import ModelFileError
from ..values import Image, Regions
from .common import checked
from .drawn import DRAWING, PHOTOGRAPH, Sorter
from .looks import Look, Looks
from .starter_perception import FINDER, StarterDetector

LOOKS = (Look(256), Look(320, mirrored=True))  # by mAP50 on held-back training photographs; see the card
FLOORS = {PHOTOGRAPH: "confidence", DRAWING: "drawn_confidence"}  # the option that holds each sort's floor
_KEPT = 64  # photographs whose detections are kept
_FAINT = 0.02  # least score of what a second opinion may hear of


class PictureDetector:
    """Looks at each picture with the network that was made for it.

    The weights are a folder that holds the starter (`starter`, with its detector) and the photograph detector (`photos`).
    """

    batch = 16

    def __init__(
        self, weights: Path, digest: str, confidence: float = 0.2, drawn_confidence: float = 0.12
    ) -> None:
        """`confidence` is the score from which a detection in a photograph stands, `drawn_confidence` in a drawing."""
        self._digest = digest
        self._floor = checked("confidence", confidence, 0, 1)
        self._drawn_floor = checked("drawn_confidence", drawn_confidence, 0, 1)
        starter, photos = weights / "starter", weights / "photos"
        self._sorter = Sorter(starter / FINDER, photos / "drawn.safetensors")
        if not (photos / "weights.safetensors").is_file():
            raise ModelFileError(f"{photos}: no photograph detector, weights.safetensors, in this folder")
        self._photos = Looks(photos / "weights.safetensors", LOOKS)
        self._starter = starter
        self._eyes: StarterDetector | None = None
        self._lock = threading.Lock()
        self._seen: OrderedDict[str, Regions] = OrderedDict()
        self.vocabularies: Mapping[str, tuple[str, ...]] = {
            PHOTOGRAPH: self._photos.vocabulary, DRAWING: self._sorter.kinds,
        }  # fmt: skip
        self.vocabulary: tuple[str, ...] = tuple(
            dict.fromkeys(name for names in self.vocabularies.values() for name in names)
        )

    def sort(self, image: Image) -> str:
        """Which of `vocabularies` a picture has: "photograph" or "drawing"; a crop is what its original is."""
        return self._sorter.sort(image)

    def detect(self, images: Sequence[Image]) -> list[Regions]:
        return self._look(images, faint=False)

    def glimpse(self, images: Sequence[Image]) -> list[Regions]:
        """What is seen below the score from which a detection stands; the picture is not looked at again."""
        return self._look(images, faint=True)

    def _look(self, images: Sequence[Image], faint: bool) -> list[Regions]:
        sorts = [self.sort(image) for image in images]
        drawings = [image for image, sort in zip(images, sorts, strict=True) if sort == DRAWING]
        shots = [image for image, sort in zip(images, sorts, strict=True) if sort == PHOTOGRAPH]
        drawn = iter(self._drawn(drawings, faint))
        low, high = (_FAINT, self._floor) if faint else (self._floor, float("inf"))
        taken = iter(Regions(r for r in found if low <= r.score < high) for found in self._taken(shots))
        return [next(drawn if sort == DRAWING else taken) for sort in sorts]

    def _drawn(self, images: Sequence[Image], faint: bool) -> list[Regions]:
        if not images:
            return []
        with self._lock:
            if self._eyes is None:  # loaded with the first drawing: who has photographs alone never pays for them
                self._eyes = StarterDetector(self._starter, self._digest, self._drawn_floor)
        return self._eyes.glimpse(images) if faint else self._eyes.detect(images)

    def _taken(self, images: Sequence[Image]) -> list[Regions]:
        """All that is seen in photographs, whatever its score; equal pictures are looked at once."""
        with self._lock:
            new = {image.hash: image for image in images if image.hash not in self._seen}
            found = self._photos.see(list(new.values()), "by-picture", self._digest)
            self._seen.update(zip(new, found, strict=True))
            kept = []
            for image in images:
                self._seen.move_to_end(image.hash)
                kept.append(self._seen[image.hash])
            while len(self._seen) > _KEPT:
                self._seen.popitem(last=False)
        return kept


__all__ = ["FLOORS", "LOOKS", "PictureDetector"]
