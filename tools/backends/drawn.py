"""Whether a picture is drawn or a photograph, told from the early layers of the scenes detector.

A linear probe over the mean and the spread of each channel after the layer of stride 8, in which only textures and edges
have been seen. `python -m sightline.tools.detection.routing` fits it.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...errors import ModelFileError
from ..values import Image
from .common import one_line
from .ultralytics_detector import UltralyticsDetector

SIDE = 128  # pixels that the probe looks at
LAYERS = 5  # of the network, up to stride 8
DRAWING, PHOTOGRAPH = "drawing", "photograph"
_KEPT = 1024  # pictures whose kind is remembered


class Sorter:
    """Tells drawings from photographs; equal pictures are looked at once."""

    def __init__(self, network: Path, probe: Path) -> None:
        """`network` are the weights of the scenes detector, `probe` what was fitted over them."""
        weights, self._bias = read_probe(probe, network)
        self._network = UltralyticsDetector(network, "", image_size=SIDE, device="cpu")
        self.kinds = self._network.vocabulary
        self._weights = weights
        self._lock = threading.Lock()
        self._known: OrderedDict[str, str] = OrderedDict()

    def sort(self, image: Image) -> str:
        """`DRAWING` or `PHOTOGRAPH`; a crop is what the picture is that it was cut from."""
        whole = image.original
        with self._lock:
            known = self._known.get(whole.hash)
        if known is None:
            (chance,) = self.chances([whole])
            known = PHOTOGRAPH if chance > 0.5 else DRAWING
            with self._lock:
                self._known[whole.hash] = known
                while len(self._known) > _KEPT:
                    self._known.popitem(last=False)
        return known

    def chances(self, images: Sequence[Image]) -> list[float]:
        """That each picture is a photograph."""
        odds = [float(features(self._network, image) @ self._weights + self._bias) for image in images]
        return [1 / (1 + float(np.exp(-np.clip(o, -30, 30)))) for o in odds]


def features(network: UltralyticsDetector, image: Image) -> np.ndarray:
    """What the probe reads of a picture [2 C]."""
    return network.textures(image, LAYERS)


def read_probe(path: Path, network: Path) -> tuple[np.ndarray, float]:
    """Weights and bias; ModelFileError where the file is none, or was fitted over other weights than `network`."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), "np") as file:
            weights, bias = file.get_tensor("weights"), file.get_tensor("bias")
            over = (file.metadata() or {})["over"]
    except (OSError, KeyError, SafetensorError) as error:
        raise ModelFileError(f"{path}: no probe that can be read ({one_line(error)})") from error
    if over != fingerprint(network):
        raise ModelFileError(
            f"{path}: fitted over other weights than {network}; run: python -m sightline.tools.detection.routing"
        )
    return weights.astype(np.float64), float(bias[0])


def fingerprint(network: Path) -> str:
    """What says that a probe belongs to these weights."""
    try:
        return hashlib.sha256(network.read_bytes()).hexdigest()
    except OSError as error:
        raise ModelFileError(f"{network}: cannot be read ({one_line(error)})") from error


__all__ = ["DRAWING", "PHOTOGRAPH", "Sorter", "features", "fingerprint", "read_probe"]
