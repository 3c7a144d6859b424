"""OCR by EasyOCR from weights on disk: about 80 languages, CRAFT or DBNet to find text and a CRNN to read it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError, ModelFileError
from ..values import Image, Regions
from .common import checked, is_out_of_memory, one_line, torch_device
from .reading import line_region, reading_order

_DETECTORS = ("craft", "dbnet18", "none")
# Networks of EasyOCR's own that fine-tuned weights may be for; any other name would import a file of the folder.
_OWN_NETWORKS = ("easyocr.model.vgg_model", "easyocr.model.model")


class EasyReader:
    """A folder with the files as EasyOCR names them (craft_mlt_25k.pth, english_g2.pth, ...).

    `network: easyocr.model.vgg_model` reads fine-tuned weights of EasyOCR's own architecture from
    easyocr.model.vgg_model.pth and .yaml in the folder. Networks that bring their own Python file are refused. Every
    .pth is first read as tensors only, since the library itself unpickles without restriction.
    """

    batch = 4

    def __init__(
        self,
        weights: Path,
        digest: str,
        languages: Sequence[str] = ("en",),
        detector: str = "craft",
        network: str = "standard",
        confidence: float = 0.2,
        device: str = "auto",
    ) -> None:
        """`detector: none` takes each picture as one line of text; `confidence` is the floor of a line's score."""
        import easyocr
        from easyocr.config import recognition_models

        self._digest = digest
        self._confidence = checked("confidence", confidence, 0, 1)
        if (
            isinstance(languages, str)
            or not languages
            or not all(isinstance(name, str) for name in languages)
        ):
            raise InputError("option languages: a list of language codes is expected, such as [en]")
        if detector not in _DETECTORS:
            raise InputError(f"option detector: {detector!r} is none of {', '.join(_DETECTORS)}")
        shipped = {name for generation in recognition_models.values() for name in generation}
        if network not in ("standard", *_OWN_NETWORKS, *shipped):
            raise InputError(
                f"option network: {network!r} would run code from the weights folder; use standard, a network"
                f" of EasyOCR or {_OWN_NETWORKS[0]}"
            )
        self._finds = detector != "none"
        _check_tensors(weights)
        if network in _OWN_NETWORKS:
            _check_description(weights / f"{network}.yaml")
        place = torch_device(device)
        try:
            self._reader = easyocr.Reader(
                list(languages),
                gpu=False if place.type == "cpu" else str(place),
                model_storage_directory=str(weights),
                user_network_directory=str(weights),
                detect_network=detector if self._finds else "craft",
                recog_network=network,
                download_enabled=False,
                detector=self._finds,
                verbose=False,
                quantize=False,  # its dynamic quantisation rounds differently on each kind of CPU
            )
        except (OSError, ValueError, KeyError, RuntimeError, TypeError) as error:
            if is_out_of_memory(error):
                raise
            raise ModelFileError(f"{weights}: EasyOCR cannot load from it ({one_line(error)})") from error
        self._lock = threading.Lock()

    def read(self, images: Sequence[Image]) -> list[Regions]:
        return [self._read(image) for image in images]

    def _read(self, image: Image) -> Regions:
        # an array means BGR to it; a text would be fetched as a URL
        pixels = np.ascontiguousarray(image.pixels[..., ::-1])
        with self._lock:
            found: list[Any] = (
                self._reader.readtext(pixels) if self._finds else self._reader.recognize(pixels)
            )
        lines = []
        for corners, text, score in found:
            if not str(text).strip() or float(score) < self._confidence:
                continue
            region = line_region(np.asarray(corners), str(text), float(score), image, "easyocr", self._digest)
            if region is not None:
                lines.append(region)
        return reading_order(lines)


def _check_tensors(folder: Path) -> None:
    """Refuse a folder with a .pth that is anything but tensors."""
    import torch

    for file in sorted(folder.glob("*.pth")):
        try:
            torch.load(file, map_location="meta", weights_only=True)
        except Exception as error:  # unpicklers raise many kinds on hostile bytes
            if is_out_of_memory(error):
                raise
            raise ModelFileError(
                f"{file}: not a checkpoint of tensors only ({type(error).__name__})"
            ) from error


def _check_description(file: Path) -> None:
    """Refuse a network description that is not plain data, or whose height the library would apply to every reader."""
    import yaml

    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ModelFileError(f"{file}: no network description ({one_line(error)})") from error
    needed = ("network_params", "imgH", "lang_list", "character_list")
    if not isinstance(data, dict) or any(key not in data for key in needed):
        raise ModelFileError(f"{file}: a network description has {', '.join(needed)}")
    if data["imgH"] != 64:
        raise ModelFileError(f"{file}: imgH must be 64, as for EasyOCR's own networks, not {data['imgH']!r}")
