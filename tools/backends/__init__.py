"""The model back ends by name: which roles each can fill, what weights it takes, and where its code is.

An adapter is a class `Adapter(weights: Path | None, digest: str, **options)`. It is imported, with the library that it
wraps, only when a role is used. A package adds one by an entry point in the group `sightline.backends` that names a
`Backend`.
"""

from __future__ import annotations

import difflib
import inspect
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, entry_points, version
from typing import Any, Literal

from ...errors import InputError, RoleError

ENTRY_POINT_GROUP = "sightline.backends"

WeightsKind = Literal["file", "folder", "package"]


@dataclass(frozen=True)
class Backend:
    """One adapter as packs know it."""

    name: str
    target: str  # "module:Class"
    roles: tuple[str, ...]
    weights: WeightsKind  # a file, a folder (a checkpoint of several), or the installed package itself
    packages: tuple[str, ...] = ()  # distributions whose version may change the results
    version: int = 1  # raise it when the adapter's own code changes what it gives

    def load(self) -> Any:
        """The adapter class. RoleError when the library it needs is not installed."""
        module, _, name = self.target.partition(":")
        try:
            return getattr(import_module(module), name)
        except ImportError as error:
            raise RoleError(
                f"back end {self.name} cannot be imported ({error}); pip install {' '.join(name for name, _ in self.installed())}"
            ) from error

    def option_names(self) -> tuple[str, ...]:
        """The options that a pack may give it."""
        parameters = inspect.signature(self.load().__init__).parameters
        return tuple(name for name in parameters if name not in ("self", "weights", "digest"))

    def fingerprint(self) -> str:
        """What of the installed code decides the results: adapter version and library versions."""
        parts = [f"{self.name} {self.version}"]
        return ", ".join([*parts, *(f"{name} {number}" for name, number in self.installed())])

    def installed(self) -> list[tuple[str, str]]:
        """(distribution, version or 'absent') of the libraries it wraps; 'a|b' in `packages` means either."""
        found = []
        for alternatives in self.packages:
            for name in alternatives.split("|"):
                try:
                    found.append((name, version(name)))
                    break
                except PackageNotFoundError:
                    continue
            else:
                found.append((alternatives.split("|")[0], "absent"))
        return found


_HERE = __name__
_OPENCV = "opencv-python-headless|opencv-python"


def _own(name: str, where: str, roles: str, weights: WeightsKind, *packages: str, code: int = 1) -> Backend:
    return Backend(name, f"{_HERE}.{where}", tuple(roles.split()), weights, packages, code)


_BUILTIN = (
    _own("ultralytics", "ultralytics_detector:UltralyticsDetector", "detector", "file", "ultralytics"),
    _own("ultralytics-open", "ultralytics_open:UltralyticsOpen", "open_vocabulary", "folder", "ultralytics",
         "transformers"),
    _own("onnx-yolox", "onnx_yolox:YoloxDetector", "detector", "file", "onnxruntime"),
    _own("segment-anything", "segment_anything_masks:SamSegmenter", "segmenter", "file", "segment-anything",
         _OPENCV, code=2),
    _own("grabcut", "grabcut:GrabCutSegmenter", "segmenter", "package", _OPENCV),
    _own("rapidocr", "rapidocr_reader:RapidReader", "ocr", "package", "rapidocr", "onnxruntime"),
    _own("easyocr", "easyocr_reader:EasyReader", "ocr", "folder", "easyocr"),
    _own("opencv-faces", "opencv_faces:CascadeFaces", "face_detector", "package", _OPENCV),
    _own("opencv-inpaint", "opencv_inpaint:FillIn", "inpainter", "package", _OPENCV),
    _own("transformers-zero-shot", "transformers_zero_shot:ZeroShotDetector", "open_vocabulary", "folder",
         "transformers"),
    _own("transformers-clip", "transformers_clip:ClipClassifier", "classifier", "folder", "transformers"),
    _own("transformers-depth", "transformers_depth:Depth", "depth", "folder", "transformers"),
    _own("transformers-mllm", "transformers_mllm:ImageTextModel", "mllm", "folder", "transformers"),
    _own("by-picture", "by_picture:PictureDetector", "detector", "folder", "torch", "ultralytics"),
    _own("recorded-detector", "recorded:RecordedDetector", "detector", "file"),
    _own("recorded-tags", "recorded:RecordedTags", "open_vocabulary", "file"),
    _own("scene-segmenter", "scene_segmenter:SceneSegmenter", "segmenter", "folder", "torch", "segment-anything",
         _OPENCV),
    _own("starter-classifier", "starter_classifier:StarterClassifier", "classifier", "folder", "torch"),
    _own("starter-mllm", "starter_mllm:StarterModel", "mllm", "folder", "torch"),
    _own("starter-mllm-photos", "told_photos:StarterOnPhotos", "mllm", "folder", "torch", "ultralytics"),
    _own("starter-perception", "starter_perception:StarterDetector", "detector", "folder", "torch"),
    _own("starter-open", "starter_perception:StarterOpen", "open_vocabulary", "folder", "torch"),
    _own("starter-reader", "starter_perception:StarterReader", "ocr", "folder", "torch"),
)  # fmt: skip


@cache
def backends() -> dict[str, Backend]:
    """Every back end by name: ours, and those of installed packages."""
    found = {item.name: item for item in _BUILTIN}
    for point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda p: p.name):
        owner = point.dist.name if point.dist else point.value
        try:
            item = point.load()
        except Exception as error:
            raise InputError(
                f"back end entry point {point.name} of {owner} cannot be loaded: {error}"
            ) from error
        if not isinstance(item, Backend):
            raise InputError(f"back end entry point {point.name} of {owner} must name a sightline Backend")
        if item.name in found:
            raise InputError(f"back end {item.name} of {owner} has a name that is taken; rename it")
        found[item.name] = item
    return found


def near(name: str, names: Any) -> str:
    """', did you mean X?' where a name is near, else the list of names."""
    known = sorted(names)
    close = difflib.get_close_matches(str(name), known, n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else f"there are: {', '.join(known)}"


__all__ = ["ENTRY_POINT_GROUP", "Backend", "backends", "near"]
