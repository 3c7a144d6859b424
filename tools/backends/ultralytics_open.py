"""Open-vocabulary detection by YOLO-World and YOLOE: names become text embeddings, then one pass of a YOLO network.

The folder of weights holds one `.pt` in ultralytics' format and the text encoder it was trained with:
- YOLO-World: `text/`, a transformers CLIP checkpoint (openai/clip-vit-base-patch32 is the one it was trained with);
- YOLOE: one `.ts` (MobileCLIP as TorchScript, mobileclip_blt.ts) and `text/` with CLIP's tokenizer.
Reading the encoder this way needs no package from outside PyPI and no download at the first question.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...errors import ModelFileError
from ..values import Image, Regions
from . import yolo
from .common import (
    checked,
    chunks,
    from_folder,
    is_out_of_memory,
    one_line,
    torch_device,
    use_quiet_transformers,
    whole,
)

_CONTEXT = 77  # tokens of CLIP's text input
_KEPT_TEXTS = 4096  # embeddings, 2 KiB each


class UltralyticsOpen:
    """The network's names are set for each set of names under a lock: they are part of its state."""

    batch = 16

    def __init__(
        self,
        weights: Path,
        digest: str,
        confidence: float = 0.1,
        iou: float = 0.7,
        most: int = 300,
        image_size: int = 640,
        device: str = "auto",
    ) -> None:
        """Scores of these models are low: their own demonstrations use a floor between 0.05 and 0.25."""
        self._digest = digest
        self._confidence = checked("confidence", confidence, 0, 1)
        self._iou = checked("iou", iou, 0, 1)
        self._most = whole("most", most, 1, 3000)
        self._size = whole("image_size", image_size, 32, 4096)
        self._device = torch_device(device)
        self._at_once = yolo.at_once(self._device, self.batch)
        self._lock = threading.Lock()
        self._embeddings: OrderedDict[str, Any] = OrderedDict()
        self._model = yolo.load_model(_only(weights, "*.pt"), self._device)
        kind = type(self._model).__name__
        if not kind.startswith(("WorldModel", "YOLOE")):
            raise ModelFileError(f"{weights}: a {kind}; this back end takes YOLO-World and YOLOE")
        head = self._model.model[-1]
        if hasattr(head, "lrpc") or getattr(head, "is_fused", False):
            raise ModelFileError(
                f"{weights}: its names are fixed; use it as a detector, or take the promptable weights"
            )
        self._is_world = kind.startswith("WorldModel")
        self._has_masks = "Segment" in type(head).__name__
        self._stride = int(max(self._model.stride))
        self._load_text(weights)

    def _load_text(self, weights: Path) -> None:
        from transformers import AutoTokenizer, CLIPTextModelWithProjection

        use_quiet_transformers()
        self._tokenizer = from_folder(AutoTokenizer, weights / "text")
        if self._is_world:
            self._text = from_folder(CLIPTextModelWithProjection, weights / "text").to(self._device).eval()
        else:
            self._text = _torchscript(_only(weights, "*.ts"), self._device)

    def detect(self, images: Sequence[Image], labels: Sequence[Sequence[str]]) -> list[Regions]:
        """One forward for all names of a picture; pictures of one shape that ask the same names go together."""
        boxes = [yolo.Letterbox.of(image, self._size, self._stride) for image in images]
        groups: dict[Any, list[int]] = defaultdict(list)
        for index, names in enumerate(labels):
            wanted = tuple(dict.fromkeys(name for name in names if name.strip()))
            if wanted:
                groups[boxes[index].shape, wanted].append(index)
        results = [Regions()] * len(images)
        for (_, wanted), group in groups.items():
            for indices in chunks(group, self._at_once):
                part = [images[i] for i in indices]
                kept, prototypes = self._forward(part, [boxes[i] for i in indices], wanted)
                for row, index in enumerate(indices):
                    protos = None if prototypes is None else prototypes[row]
                    results[index] = yolo.to_regions(
                        kept[row],
                        protos,
                        boxes[index],
                        images[index],
                        wanted,
                        "ultralytics-open",
                        self._digest,
                    )
        return results

    def _forward(
        self, images: list[Image], boxes: list[yolo.Letterbox], names: tuple[str, ...]
    ) -> tuple[Any, Any]:
        import torch

        with self._lock, torch.inference_mode():
            embedded = self._embed(names)  # [1, names, D]
            if self._is_world:
                self._model.txt_feats = embedded
                self._model.model[-1].nc = len(names)
            else:
                # keyed by number: ultralytics reads '/' in a name as a separator of synonyms
                self._model.set_classes([f"name {i}" for i in range(len(names))], embedded)
            output = yolo.infer(self._model, boxes, images, self._device)
        return yolo.keep_best(
            self._model,
            output,
            len(names),
            self._has_masks,
            confidence=self._confidence,
            iou=self._iou,
            agnostic=False,
            most=self._most,
        )

    def _embed(self, names: tuple[str, ...]) -> Any:
        """[1, names, D]: those met before are kept."""
        import torch

        new = [name for name in names if name not in self._embeddings]
        for start in range(0, len(new), 80):
            part = new[start : start + 80]
            tokens = self._tokenizer(
                part, padding="max_length", truncation=True, max_length=_CONTEXT, return_tensors="pt"
            ).to(self._device)
            if self._is_world:
                vectors = self._text(**tokens).text_embeds
                vectors = vectors / vectors.norm(dim=-1, keepdim=True)
            else:
                # CLIP's own tokenizer pads with zeros where transformers' repeats the end token
                ids = tokens["input_ids"].masked_fill(tokens["attention_mask"] == 0, 0)
                vectors = self._text(ids).float()
                vectors = self._model.model[-1].get_tpe(vectors[None])[0]  # YOLOE's own text head
            self._embeddings.update(zip(part, vectors, strict=True))
        stacked = torch.stack([self._embeddings[name] for name in names])[None]
        for name in names:
            self._embeddings.move_to_end(name)
        while len(self._embeddings) > _KEPT_TEXTS:
            self._embeddings.popitem(last=False)
        return stacked


def _only(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise ModelFileError(f"{folder}: it should hold one {pattern} file and holds {len(found)}")
    return found[0]


def _torchscript(file: Path, device: Any) -> Any:
    import torch

    try:
        return torch.jit.load(str(file), map_location=device).eval()
    except (RuntimeError, ValueError, OSError) as error:
        if is_out_of_memory(error):
            raise
        raise ModelFileError(f"{file}: not a TorchScript text encoder ({one_line(error)})") from error
