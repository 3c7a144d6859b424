"""What the ultralytics adapters share: safe settings, restricted loading, and letterboxing that a batch cannot change."""

from __future__ import annotations

import json
import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import ModelFileError
from ..values import Image, Mask, Region, Regions
from ..weightfiles import home
from .common import clipped, is_out_of_memory, one_line

_GREY = 114  # what YOLO models were trained to see as padding
_UNLIMITED = (
    3600.0  # seconds: ultralytics' suppression otherwise drops the rest of a batch when the machine is busy
)
_MODEL_FILE = re.compile(r"yolo[a-z0-9]+\.yaml")
_ENVIRONMENT = {
    "YOLO_AUTOINSTALL": "false",  # never pip install
    "YOLO_OFFLINE": "true",  # no probe of the network at import, no downloads, no version check
    "YOLO_VERBOSE": "false",
    "ULTRALYTICS_SAFE_LOAD": "true",  # weights_only, see `load_model`
}


def prepare_ultralytics() -> None:
    """Set ultralytics to stay offline, quiet and out of the user's configuration. Before its first import, if it can.

    Only names that the user has not set are set; its configuration goes below our own home.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if "YOLO_CONFIG_DIR" not in os.environ:
        folder = home() / "ultralytics"
        folder.mkdir(parents=True, exist_ok=True)
        os.environ["YOLO_CONFIG_DIR"] = str(folder)
    from ultralytics import SETTINGS
    from ultralytics.utils import LOGGER, checks

    checks.AUTOINSTALL = False  # where something else had imported it before the environment was set
    LOGGER.setLevel(logging.ERROR)
    if SETTINGS.get("sync"):
        SETTINGS.update({"sync": False})  # analytics


def load_model(path: Path, device: Any) -> Any:
    """A YOLO network in eval mode: from ultralytics' `.pt`, or from ours, `.safetensors`. ModelFileError on any other file.

    Ours holds tensors alone, and in its metadata the model file of ultralytics ("shape") and the names. A `.pt` is a pickle of the whole network. It is read with torch's restricted unpickler and ultralytics' list of
    known layer classes: a file that names any other function or class is refused before anything in it runs.
    """
    prepare_ultralytics()
    from torch import nn
    from ultralytics.nn.tasks import torch_safe_load

    if path.suffix == ".safetensors":
        return _from_tensors(path).to(device)
    if path.suffix != ".pt":
        raise ModelFileError(f"{path}: ultralytics weights are .pt files, ours .safetensors")
    try:
        checkpoint, _ = torch_safe_load(str(path), safe_only=True)
        model = checkpoint.get("ema") or checkpoint.get("model")
    except Exception as error:  # unpicklers raise many kinds on hostile bytes
        if is_out_of_memory(error):
            raise
        raise ModelFileError(
            f"{path}: not an ultralytics checkpoint that can be loaded safely"
            f" (damaged, or it names code outside the known layers: {type(error).__name__})"
        ) from error
    if not isinstance(model, nn.Module) or not hasattr(model, "names"):
        raise ModelFileError(f"{path}: an ultralytics checkpoint without a detection network")
    return model.float().eval().to(device)


def _from_tensors(path: Path) -> Any:
    """A network of ours, built from ultralytics' own model file of that name."""
    from safetensors import SafetensorError, safe_open
    from ultralytics.nn.tasks import DetectionModel

    try:
        with safe_open(str(path), "pt") as file:
            facts = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        names = json.loads(facts["names"])
        if not _MODEL_FILE.fullmatch(facts["shape"]):  # never a path of somebody's own
            raise ValueError(f"{facts['shape']!r} is no model file of ultralytics")
        model = DetectionModel(facts["shape"], ch=3, nc=len(names), verbose=False)
        model.load_state_dict(tensors)
    except (OSError, KeyError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelFileError(f"{path}: no detector of ours that can be read ({one_line(error)})") from error
    model.names = dict(enumerate(names))
    return model.float().eval()


def names_of(model: Any) -> tuple[str, ...]:
    """Class names by index."""
    names = model.names
    return tuple(str(names[i]) for i in sorted(names)) if isinstance(names, dict) else tuple(map(str, names))


@dataclass(frozen=True)
class Letterbox:
    """How an image was scaled and padded to fit the network. It depends on the image alone, never on its batch."""

    shape: tuple[int, int]  # padded height, width
    scale: tuple[float, float]  # network pixels per image pixel, x and y
    pad: tuple[int, int]  # left, top

    @classmethod
    def of(cls, image: Image, size: int, stride: int) -> Letterbox:
        """Longest side to `size`, each side then padded to the next multiple of `stride`."""
        ratio = size / max(image.width, image.height)
        width, height = max(round(image.width * ratio), 1), max(round(image.height * ratio), 1)
        full_w, full_h = -(-width // stride) * stride, -(-height // stride) * stride
        pad = ((full_w - width) // 2, (full_h - height) // 2)
        return cls((full_h, full_w), (width / image.width, height / image.height), pad)

    def apply(self, image: Image) -> np.ndarray:
        """[3, H, W] uint8 RGB as the network takes it."""
        import cv2

        width = round(image.width * self.scale[0])
        height = round(image.height * self.scale[1])
        pixels = image.pixels
        if (height, width) != pixels.shape[:2]:
            pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)
        canvas = np.full((*self.shape, 3), _GREY, dtype=np.uint8)
        left, top = self.pad
        canvas[top : top + height, left : left + width] = pixels
        return canvas.transpose(2, 0, 1)

    def back(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes [N, 4] from network pixels to image pixels."""
        return (boxes - np.array([*self.pad, *self.pad])) / np.array([*self.scale, *self.scale])


def at_once(device: Any, most: int) -> int:
    """Images in one pass. On a CPU a long batch gains nothing: 9 pictures at once cost 10-36% more each than 4 (one noisy run)."""
    return min(most, 4) if device.type == "cpu" else most


def infer(model: Any, boxes: list[Letterbox], images: list[Image], device: Any) -> Any:
    """The network's raw output for images of one letterbox shape."""
    import torch

    stacked = np.stack([box.apply(image) for box, image in zip(boxes, images, strict=True)])
    return model(torch.from_numpy(stacked).to(device).float().div_(255))


def keep_best(
    model: Any,
    output: Any,
    classes: int,
    masks: bool,
    *,
    confidence: float,
    iou: float,
    agnostic: bool,
    most: int,
) -> tuple[list[Any], Any]:
    """Suppression of the network's raw output: kept rows [N, 6 + K] of each image, and mask prototypes [B, K, h, w]."""
    from ultralytics.utils import nms

    prototypes = None
    if masks:
        first = output[0]
        prototypes = (first[1] if isinstance(first, tuple) else output[1]).float().cpu().numpy()
        output = first
    kept = nms.non_max_suppression(
        output,
        confidence,
        iou,
        agnostic=agnostic,
        max_det=most,
        nc=classes,
        max_time_img=_UNLIMITED,
        end2end=bool(getattr(model, "end2end", False)),
    )
    return kept, prototypes


def to_regions(
    found: Any,
    prototypes: Any,
    box: Letterbox,
    image: Image,
    names: tuple[str, ...],
    tool: str,
    weights: str,
) -> Regions:
    """Regions of one image from kept rows [N, 6 + masks] (x1, y1, x2, y2, score, class, coefficients)."""
    rows = found.cpu().numpy().astype(np.float64)
    places = box.back(rows[:, :4])
    regions = []
    for row, place in zip(rows, places, strict=True):
        where = clipped(place, image)
        if where is None:
            continue
        mask = None
        if prototypes is not None:
            mask = _mask(row[6:], prototypes, box, image, where)
            if mask.area == 0:
                continue
        regions.append(
            Region(
                box=where,
                label=names[int(row[5])],
                score=min(float(row[4]), 1.0),
                mask=mask,
                tool=tool,
                weights=weights,
                picture=image.picture,
            )
        )
    return Regions(regions)


def _mask(coefficients: np.ndarray, prototypes: np.ndarray, box: Letterbox, image: Image, where: Any) -> Mask:
    """The instance's mask inside its box, interpolated from the prototypes [K, h, w] to the image's pixels."""
    import cv2

    logits = np.tensordot(coefficients.astype(np.float32), prototypes, axes=1)
    x1, y1, x2, y2 = image.clip_pixels(where)
    left, top = x1 - image.offset[0], y1 - image.offset[1]
    step = logits.shape[1] / box.shape[1]  # prototype cells per network pixel
    scale_x, scale_y = box.scale[0] * step, box.scale[1] * step
    # pixel centre (u + .5) of the window -> cell centre of the prototypes
    affine = np.array([
        [scale_x, 0, (left + 0.5) * scale_x + box.pad[0] * step - 0.5],
        [0, scale_y, (top + 0.5) * scale_y + box.pad[1] * step - 0.5],
    ])  # fmt: skip
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    window = cv2.warpAffine(logits, affine, (x2 - x1, y2 - y1), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return Mask.from_array(window > 0, (x1, y1))


__all__ = [
    "Letterbox",
    "at_once",
    "infer",
    "keep_best",
    "load_model",
    "names_of",
    "prepare_ultralytics",
    "to_regions",
]
