"""Promptable segmentation by SAM (Kirillov et al., 2023) from its official checkpoints, with an embedding cache.

Encoding a picture costs a thousand times what a prompt costs, so the encoder's output is kept by pixel hash and
weights: clicking again on a picture, or on another crop of the same hash, decodes only.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import ModelFileError, ToolError
from ..roles import Prompt
from ..values import Image, Mask, Region, Regions
from .common import is_out_of_memory, one_line, torch_device, whole


class SamSegmenter:
    """vit_b, vit_l and vit_h; which of them a checkpoint is, its own shapes say."""

    batch = 4

    def __init__(
        self,
        weights: Path,
        digest: str,
        model: str = "auto",
        masks: int = 3,
        embeddings: int = 16,
        device: str = "auto",
    ) -> None:
        """`masks` is the most that an ambiguous prompt gives; `embeddings` are kept, 4 MiB each."""
        self._digest = digest
        self._most = whole("masks", masks, 1, 3)
        self._keep = whole("embeddings", embeddings, 1, 4096)
        self._device = torch_device(device)
        self._lock = threading.Lock()
        self._cache: OrderedDict[str, tuple[Any, tuple[int, int]]] = OrderedDict()
        self._model = _load(weights, model).to(self._device).eval()

    def segment(self, images: Sequence[Image], prompts: Sequence[Prompt]) -> list[Regions]:
        """Prompts of one picture share its embedding; a prompt for no point, box or mask is a ToolError."""
        results = []
        for image, prompt in zip(images, prompts, strict=True):
            if not prompt.points and prompt.box is None and prompt.mask is None:
                raise ToolError("SEGMENT needs a point, a box or a region")
            with self._lock:
                results.append(self._segment(image, prompt))
        return results

    def _embedding(self, image: Image) -> tuple[Any, tuple[int, int]]:
        """[1, C, h, w] encoder output and the (height, width) that the encoder saw; least recently used go first."""
        import torch
        from segment_anything.utils.transforms import ResizeLongestSide

        found = self._cache.get(image.hash)
        if found is None:
            side = self._model.image_encoder.img_size
            resized = ResizeLongestSide(side).apply_image(image.pixels)
            pixels = torch.as_tensor(resized, device=self._device).permute(2, 0, 1)[None].contiguous()
            with torch.inference_mode():
                features = self._model.image_encoder(self._model.preprocess(pixels))
            found = (features, tuple(resized.shape[:2]))
            self._cache[image.hash] = found
            while len(self._cache) > self._keep:
                self._cache.popitem(last=False)
        self._cache.move_to_end(image.hash)
        return found

    def _segment(self, image: Image, prompt: Prompt) -> Regions:
        import torch
        from segment_anything.utils.transforms import ResizeLongestSide

        features, seen = self._embedding(image)
        scale = ResizeLongestSide(self._model.image_encoder.img_size)
        original = (image.height, image.width)
        points = boxes = rough = None
        if prompt.points:
            places = np.array([image.local((x, y, x, y))[:2] for x, y, _ in prompt.points], dtype=np.float64)
            kinds = np.array([1 if wanted else 0 for _, _, wanted in prompt.points])
            places = scale.apply_coords(places, original)
            points = (
                torch.as_tensor(places, dtype=torch.float, device=self._device)[None],
                torch.as_tensor(kinds, dtype=torch.int, device=self._device)[None],
            )
        box = prompt.box
        if box is None and prompt.mask is not None and prompt.mask.area:
            box = prompt.mask.box  # SAM follows a rough mask only together with its box
        if box is not None:
            place = scale.apply_boxes(np.array([image.local(box)], dtype=np.float64), original)
            boxes = torch.as_tensor(place, dtype=torch.float, device=self._device)
        if prompt.mask is not None:
            rough = torch.as_tensor(self._rough(prompt.mask, image, seen), device=self._device)
        ambiguous = box is None and len(prompt.points) == 1
        with torch.inference_mode():
            sparse, dense = self._model.prompt_encoder(points=points, boxes=boxes, masks=rough)
            small, quality = self._model.mask_decoder(
                image_embeddings=features,
                image_pe=self._model.prompt_encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=ambiguous,
            )
            masks = self._model.postprocess_masks(small, seen, original) > self._model.mask_threshold
        arrays, scores = masks[0].cpu().numpy(), quality[0].float().cpu().numpy()
        regions = []
        for index in np.argsort(-scores, kind="stable")[: self._most]:
            shape = Mask.from_array(arrays[index], image.offset)
            if shape.area:
                regions.append(
                    Region(
                        box=shape.box,
                        score=float(np.clip(scores[index], 0, 1)),
                        mask=shape,
                        tool="segment-anything",
                        weights=self._digest,
                        picture=image.picture,
                    )
                )
        return Regions(regions)

    def _rough(self, mask: Mask, image: Image, seen: tuple[int, int]) -> np.ndarray:
        """[1, 1, h, w] logits of a rough mask, on the grid that the prompt encoder takes."""
        import cv2

        side = self._model.image_encoder.img_size
        height, width = self._model.prompt_encoder.mask_input_size
        padded = np.zeros((side, side), np.float32)
        inner = mask.on(image).astype(np.float32)
        padded[: seen[0], : seen[1]] = cv2.resize(inner, (seen[1], seen[0]), interpolation=cv2.INTER_LINEAR)
        cells = cv2.resize(padded, (width, height), interpolation=cv2.INTER_AREA)
        return ((cells - 0.5) * 20).astype(np.float32)[None, None]


def _load(weights: Path, model: str) -> Any:
    """The network with its weights, read as tensors only. ModelFileError on any other file."""
    import torch
    from segment_anything import sam_model_registry

    try:
        state = torch.load(weights, map_location="cpu", weights_only=True)
    except Exception as error:  # unpicklers raise many kinds on hostile bytes
        if is_out_of_memory(error):
            raise
        raise ModelFileError(
            f"{weights}: not a checkpoint of tensors only ({type(error).__name__})"
        ) from error
    known = [name for name in sam_model_registry if name != "default"]
    if model == "auto":
        model = _kind_of(state)
    if model not in sam_model_registry:
        raise ModelFileError(f"{weights}: not a SAM checkpoint of kind {', '.join(known)}")
    network = sam_model_registry[model]()
    try:
        network.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise ModelFileError(f"{weights}: does not fit SAM {model} ({one_line(error)})") from error
    return network


def _kind_of(state: Any) -> str:
    """'vit_b', 'vit_l' or 'vit_h' by the width of the encoder; '' for anything else."""
    place = state.get("image_encoder.pos_embed") if isinstance(state, dict) else None
    return {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}.get(place.shape[-1] if place is not None else 0, "")
