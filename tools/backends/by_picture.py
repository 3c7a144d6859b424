"""The starter's detector for any picture: a drawn scene goes to its eyes, a photograph to its photograph detector.

What it has names for depends on the picture: `vocabularies` by `sort`.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...errors import InputError, ModelFileError
from ..columns import frame_key
from ..values import Image, Regions
from .common import checked
from .drawn import DRAWING, PHOTOGRAPH, Sorter
from .looks import Look, Looks
from .starter_perception import FINDER, StarterDetector

LOOKS = (Look(256), Look(320, mirrored=True))  # by mAP50 on held-back training photographs; see the card
# Labelled in one set alone, whose pictures hold little else: of what is called so elsewhere four in five are something round.
WITHOUT = ("balloon",)
_KEPT = 64  # photographs whose detections are kept
_FAINT = 0.02  # least score of what a second opinion may hear of


class PictureDetector:
    """Looks at each picture with the network that was made for it.

    The weights are a folder that holds the starter (`starter`, with its detector) and the photograph detector (`photos`).
    """

    batch = 16

    def __init__(
        self,
        weights: Path,
        digest: str,
        confidence: float = 0.25,
        drawn_confidence: float = 0.12,
        without: Sequence[str] = WITHOUT,
    ) -> None:
        """`confidence` is the score from which a detection in a photograph stands, `drawn_confidence` in a drawing; `without`
        are classes of photographs that are not looked for."""
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
        self._seen: OrderedDict[tuple[str, str, tuple[int, int]], Regions] = OrderedDict()
        if strange := sorted(set(without) - set(self._photos.vocabulary)):
            raise InputError(f"option without: no class of photographs is called {strange[0]!r}")
        names = tuple(name for name in self._photos.vocabulary if name not in without)
        self.vocabularies: Mapping[str, tuple[str, ...]] = {
            PHOTOGRAPH: names, DRAWING: self._sorter.kinds,
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
            # loaded with the first drawing: who has photographs alone never pays for them
            if self._eyes is None:
                self._eyes = StarterDetector(self._starter, self._digest, self._drawn_floor)
        return self._eyes.glimpse(images) if faint else self._eyes.detect(images)

    def _taken(self, images: Sequence[Image]) -> list[Regions]:
        """All that is seen in photographs, whatever its score; equal pictures are looked at once."""
        with self._lock:
            # regions name their picture and lie in its frame: equal pixels elsewhere have others
            new = {frame_key(image): image for image in images if frame_key(image) not in self._seen}
            found = self._photos.see(list(new.values()), "by-picture", self._digest)
            names = set(self.vocabularies[PHOTOGRAPH])
            wanted = [Regions(r for r in regions if r.label in names) for regions in found]
            self._seen.update(zip(new, wanted, strict=True))
            kept = []
            for image in images:
                self._seen.move_to_end(frame_key(image))
                kept.append(self._seen[frame_key(image)])
            while len(self._seen) > _KEPT:
                self._seen.popitem(last=False)
        return kept


__all__ = ["LOOKS", "WITHOUT", "PictureDetector"]
