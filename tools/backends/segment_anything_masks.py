"""Promptable segmentation by SAM (Kirillov et al., 2023): its official checkpoints and ours, with an embedding cache.

Encoding a picture costs a thousand times what a prompt costs, so the encoder's output is kept by pixel hash and
weights: clicking again on a picture, or on another crop of the same hash, decodes only. Our small network sees a picture in
few pixels; what is small in it is looked at again in a window of its own.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import ModelFileError, ToolError
from ..roles import Prompt
from ..values import Box, Image, Mask, Region, Regions
from .common import checked, is_out_of_memory, one_line, torch_device, whole
from .edges import cut_to_edges


@dataclass(frozen=True)
class _Answer:
    """Masks of one prompt on one frame, best first."""

    scores: np.ndarray  # [K] the model's own estimate of each mask's IoU
    masks: np.ndarray  # [K, H, W] bool, in pixels of the frame
    chance: np.ndarray  # [H, W] probability of each pixel in the best mask


class SamSegmenter:
    """vit_b, vit_l and vit_h (.pth; which of them a checkpoint is, its own shapes say), and the starter's (.safetensors)."""

    batch = 4

    def __init__(
        self,
        weights: Path,
        digest: str,
        model: str = "auto",
        masks: int = 3,
        embeddings: int = 16,
        zoom: float = -1.0,
        edges: float = -1.0,
        device: str = "auto",
    ) -> None:
        """`masks` is the most that an ambiguous prompt gives; `embeddings` are kept, 4 MiB each. With `zoom`, a thing is looked
        at again in a window so many times its size, where that is smaller than the picture; 0: never, -1: what suits the
        weights. With `edges`, pixels whose probability lies between it and one less it go where their colours say, in one
        graph cut; 0: none, -1: what suits the weights."""
        self._digest = digest
        self._most = whole("masks", masks, 1, 3)
        self._keep = whole("embeddings", embeddings, 1, 4096)
        self._device = torch_device(device)
        self._lock = threading.Lock()
        self._cache: OrderedDict[str, tuple[Any, tuple[int, int]]] = OrderedDict()
        ours = weights.suffix == ".safetensors"
        self._model = (_ours(weights, model) if ours else _load(weights, model)).to(self._device).eval()
        # SAM adds half a pixel to places, which it takes for pixels' indices; ours are places. At 1024 pixels it is no matter.
        self._shift = 0.5 if ours else 0.0
        zoom = checked("zoom", zoom, -1, 16)
        self._zoom = (_ZOOM if ours else 0.0) if zoom < 0 else zoom
        edges = checked("edges", edges, -1, 0.49)
        self._edges = (_EDGES if ours else 0.0) if edges < 0 else edges

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
        box = prompt.box
        if box is None and prompt.mask is not None and prompt.mask.area:
            box = prompt.mask.box  # SAM follows a rough mask only together with its box
        ambiguous = box is None and len(prompt.points) == 1
        frame = self._window(image, box, prompt) if box is not None and self._zoom else image
        answer = self._answer(frame, prompt.points, box, prompt.mask, ambiguous)
        if not self._zoom or box is not None:
            return self._regions([(frame, self._sharpened(frame, answer))], image)
        others = [(frame, answer)]
        for part in self._nearer(image, prompt):
            found = self._answer(part, prompt.points, None, None, ambiguous)
            others.append((part, found))
        others.sort(key=lambda o: -_worth(o[0], o[1], image))
        frame, answer = others[0]
        if answer.masks[0].any():
            rough = Mask.from_array(answer.masks[0], frame.offset)
            closer = self._window(image, rough.box, prompt)
            if closer.extent != frame.extent:
                closest = self._sharpened(closer, self._answer(closer, prompt.points, None, rough, False))
                return self._regions(
                    [(closer, closest), *((f, _rest(a)) for f, a in others[:1]), *others[1:]], image
                )
        return self._regions([(frame, self._sharpened(frame, answer)), *others[1:]], image)

    def _nearer(self, image: Image, prompt: Prompt) -> list[Image]:
        """Smaller parts of the image about the clicks, in which small things can be seen."""
        xs, ys = [x for x, _, on in prompt.points if on], [y for _, y, on in prompt.points if on]
        if not xs:
            return []
        spread = max(max(xs) - min(xs), max(ys) - min(ys)) * 1.5
        cx, cy = (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2
        parts = []
        for share in _SHARES:
            reach = max(share * max(image.size), _LEAST_WINDOW) / 2
            if 2 * reach > spread and 2 * reach < max(image.size):
                parts.append(image.crop((cx - reach, cy - reach, cx + reach, cy + reach)))
        return parts

    def _window(self, image: Image, box: Box, prompt: Prompt) -> Image:
        """The part of the image, `zoom` times the box and with every click in it, in which the thing is looked at; the
        image itself where that would not be much smaller."""
        x1, y1, x2, y2 = box
        for x, y, _ in prompt.points:
            x1, y1, x2, y2 = min(x1, x), min(y1, y), max(x2, x), max(y2, y)
        reach = max(max(x2 - x1, y2 - y1) * self._zoom, _LEAST_WINDOW) / 2
        cx, cy = (x1 + x2) / 2, (y1 + y2) / 2
        part = image.crop((cx - reach, cy - reach, cx + reach, cy + reach))
        return part if max(part.size) < _WORTH * max(image.size) else image

    def _answer(
        self,
        frame: Image,
        clicks: Sequence[tuple[float, float, bool]],
        box: Box | None,
        mask: Mask | None,
        ambiguous: bool,
    ) -> _Answer:
        """One pass over a frame; places and masks are the original's."""
        import torch
        from segment_anything.utils.transforms import ResizeLongestSide

        features, seen = self._embedding(frame)
        scale = ResizeLongestSide(self._model.image_encoder.img_size)
        original = (frame.height, frame.width)
        points = boxes = rough = None
        if clicks:
            places = np.array([frame.local((x, y, x, y))[:2] for x, y, _ in clicks], dtype=np.float64)
            kinds = np.array([1 if wanted else 0 for _, _, wanted in clicks])
            places = scale.apply_coords(places, original) - self._shift
            points = (
                torch.as_tensor(places, dtype=torch.float, device=self._device)[None],
                torch.as_tensor(kinds, dtype=torch.int, device=self._device)[None],
            )
        if box is not None:
            place = scale.apply_boxes(np.array([frame.local(box)], dtype=np.float64), original) - self._shift
            boxes = torch.as_tensor(place, dtype=torch.float, device=self._device)
        if mask is not None:
            rough = torch.as_tensor(self._rough(mask, frame, seen), device=self._device)
        with torch.inference_mode():
            sparse, dense = self._model.prompt_encoder(points=points, boxes=boxes, masks=rough)
            small, quality = self._model.mask_decoder(
                image_embeddings=features,
                image_pe=self._model.prompt_encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=ambiguous,
            )
            logits = self._model.postprocess_masks(small, seen, original)[0].float()
        scores = quality[0].float().cpu().numpy()
        order = np.argsort(-scores, kind="stable")
        masks = (logits > self._model.mask_threshold).cpu().numpy()[order]
        return _Answer(scores[order], masks, logits[int(order[0])].sigmoid().cpu().numpy())

    def _sharpened(self, frame: Image, answer: _Answer) -> _Answer:
        """The best mask drawn to the picture's edges, where that was asked for."""
        if not self._edges:
            return answer
        cut = cut_to_edges(frame.pixels, answer.chance, (self._edges, 1 - self._edges))
        return _Answer(answer.scores, np.concatenate([cut[None], answer.masks[1:]]), answer.chance)

    def _regions(self, answers: Sequence[tuple[Image, _Answer]], image: Image) -> Regions:
        regions: list[Region] = []
        for frame, answer in answers:
            for score, mask in zip(answer.scores, answer.masks, strict=True):
                shape = Mask.from_array(mask, frame.offset)
                if shape.area and len(regions) < self._most:
                    regions.append(
                        Region(
                            box=shape.box,
                            score=float(np.clip(score, 0, 1)),
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


# Chosen on training photographs and validation scenes (docs/experiments.md, "Segmenter").
_ZOOM = 1.5  # sides of a thing that its window has, for our weights
_EDGES = 0.35  # probability from which colours decide, for our weights
_LEAST_WINDOW = 24  # pixels
_SHARES = (0.5, 0.25, 0.12)  # of the picture's longer side, of the parts about a click that are looked at too
_CUT = 0.5  # how much of the promised IoU a mask loses that runs along a whole side of its part
_WORTH = 0.75  # of the picture's longer side, from which a window is not worth another look


def _worth(frame: Image, answer: _Answer, image: Image) -> float:
    """The promised IoU of a frame's best mask, less where the frame cuts it off."""
    mask, (x1, y1, x2, y2), outer = answer.masks[0], frame.extent, image.extent
    sides = (
        (mask[0], y1 > outer[1]),
        (mask[-1], y2 < outer[3]),
        (mask[:, 0], x1 > outer[0]),
        (mask[:, -1], x2 < outer[2]),
    )
    cut = sum(float(side.mean()) for side, inner in sides if inner)
    return float(answer.scores[0]) - _CUT * cut


def _rest(answer: _Answer) -> _Answer:
    return _Answer(answer.scores[1:], answer.masks[1:], answer.chance)


def _ours(weights: Path, model: str) -> Any:
    from ...mllm.segmentation.network import load

    if model not in ("auto", "starter"):
        raise ModelFileError(f"{weights}: a .safetensors file holds the starter's network, not SAM {model}")
    return load(weights)


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
