"""The starter segmenter as a `Sam` of segment-anything: its own prompt encoder, mask decoder and predictor work on it."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from functools import cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from segment_anything.modeling import MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from segment_anything.modeling.mask_decoder import MLP
from torch import Tensor, nn

from ...errors import ModelFileError
from ..training.checkpoints import write_bytes_safely
from .encoder import FINE, STRIDE, ImageEncoder, SegmenterShape

_WAVES = (1, 2, 4, 8)  # half cycles over the picture of the places that fine masks may depend on
_KIND = "sightline-segmenter"  # in the weights file's header


class FineMaskDecoder(MaskDecoder):
    """SAM's mask decoder with a second, finer reading of the picture.

    SAM multiplies each mask token's filter with features upscaled by four from the tokens' grid. Here a second filter of
    the same token is multiplied with the encoder's fine features, which are the picture's alone (as in CondInst, Tian et al.
    2020, arXiv:2003.05664), and with waves of the place; both maps are added. So a prompt costs little, and outlines
    are read at half of the input's side.
    """

    def __init__(self, *, fine: int, **options: Any) -> None:
        super().__init__(**options)
        dim = self.transformer_dim
        waves = 4 * len(_WAVES)
        self.fine_filters = nn.ModuleList(
            MLP(dim, dim, fine + waves + 1, 3) for _ in range(self.num_mask_tokens)
        )

    def predict_masks(
        self,
        image_embeddings: Tensor,
        image_pe: Tensor,
        sparse_prompt_embeddings: Tensor,
        dense_prompt_embeddings: Tensor,
        most: int = 4,
    ) -> tuple[Tensor, Tensor]:
        """[B, C, h, w] embeddings and [B * P, T, dim] prompts, P of each picture in turn -> masks [B * P, 4, 8h, 8w] and the
        quality of each; with `most` the first masks only."""
        dim = self.transformer_dim
        coarse, folded = image_embeddings[:, :dim], image_embeddings[:, dim:]
        pixels = F.pixel_shuffle(folded, FINE)  # [B, fine, S/2, S/2]
        own = torch.cat([self.iou_token.weight, self.mask_tokens.weight], 0)
        prompts = sparse_prompt_embeddings
        tokens = torch.cat([own[None].expand(len(prompts), -1, -1).to(prompts.dtype), prompts], 1)
        each = len(tokens) // len(coarse)
        source = coarse.repeat_interleave(each, 0) + dense_prompt_embeddings
        b, c, h, w = source.shape
        out, source = self.transformer(source, image_pe.expand(b, -1, -1, -1), tokens)
        quality = self.iou_prediction_head(out[:, 0])
        speak = [out[:, 1 + i] for i in range(min(most, self.num_mask_tokens))]
        upscaled = self.output_upscaling(
            source.transpose(1, 2).reshape(b, c, h, w)
        )  # [B * P, dim / 8, 4h, 4w]
        filters = torch.stack([f(s) for f, s in zip(self.output_hypernetworks_mlps, speak, strict=False)], 1)
        rough = (filters @ upscaled.flatten(2)).view(b, -1, 4 * h, 4 * w)
        rough = F.interpolate(rough, scale_factor=2, mode="bilinear", align_corners=False)
        fine = torch.stack([f(s) for f, s in zip(self.fine_filters, speak, strict=False)], 1)  # [B * P, 4, F]
        waves = place_waves(pixels.shape[-1]).to(pixels).expand(len(pixels), -1, -1, -1)
        table = torch.cat([pixels, waves], 1).flatten(2)  # [B, F - 1, S/2 * S/2]
        both = fine.reshape(len(coarse), each * fine.shape[1], -1)
        sharp = torch.baddbmm(both[..., -1:], both[..., :-1], table)
        return rough + sharp.view_as(rough), quality[:, :most]


@cache
def place_waves(cells: int) -> Tensor:
    """[1, 16, cells, cells]: sines and cosines of x and of y, as fine as `_WAVES` says."""
    at = (torch.arange(cells, dtype=torch.float32) + 0.5) / cells * torch.pi
    wave = torch.stack([f(n * at) for n in _WAVES for f in (torch.sin, torch.cos)])
    rows = wave[:, :, None].expand(-1, -1, cells)
    return torch.cat([rows, rows.transpose(1, 2)])[None].contiguous()


def use_side(sam: Sam, side: int) -> None:
    """Let the network take squares of another side: places are relative, so nothing else changes."""
    grid = side // STRIDE
    sam.image_encoder.img_size = side
    prompt = sam.prompt_encoder
    prompt.image_embedding_size, prompt.input_image_size = (grid, grid), (side, side)
    # A rough mask comes on the grid of the masks that come out, twice as fine as SAM's: `build` has it halved first.
    prompt.mask_input_size = (FINE * grid, FINE * grid)


def build(shape: SegmenterShape) -> Sam:
    """A `Sam` of the given sizes, its weights at random from torch's generator."""
    grid = shape.side // STRIDE
    prompt = PromptEncoder(
        embed_dim=shape.embedding,
        image_embedding_size=(grid, grid),
        input_image_size=(shape.side, shape.side),
        mask_in_chans=16,
    )
    prompt.mask_downscaling.insert(0, nn.AvgPool2d(2))
    decoder = FineMaskDecoder(
        fine=shape.fine,
        transformer_dim=shape.embedding,
        transformer=TwoWayTransformer(
            depth=shape.decoder_depth, embedding_dim=shape.embedding, num_heads=8, mlp_dim=shape.decoder_mlp
        ),
        iou_head_hidden_dim=shape.embedding,
    )
    sam = Sam(ImageEncoder(shape), prompt, decoder)
    use_side(sam, shape.side)
    with torch.no_grad():
        for block in sam.image_encoder.blocks:
            for branch in (block.out, block.down):
                branch.weight.zero_()
                branch.bias.zero_()
        for mlp in decoder.fine_filters:
            mlp.layers[-1].weight.mul_(0.2)  # type: ignore[union-attr, index]
    return sam


def embed_prompts(sam: Sam, points: Tensor, kinds: Tensor) -> Tensor:
    """[N, T, 2] places in pixels of the square and [N, T] kinds -> [N, T, dim], as SAM's prompt encoder makes them.

    Kinds: 1 on the thing, 0 beside it, -1 padding, 2 and 3 a box's corners. The encoder itself takes points and boxes in
    separate tensors, so that a batch could not mix them.
    """
    encoder = sam.prompt_encoder
    made = encoder.pe_layer.forward_with_coords(points + 0.5, encoder.input_image_size)
    made = torch.where((kinds == -1)[..., None], 0.0, made)
    table = torch.cat([encoder.not_a_point_embed.weight, *(e.weight for e in encoder.point_embeddings)])
    return made + table[kinds + 1]


def save(sam: Sam, shape: SegmenterShape, path: Path, facts: dict[str, Any] | None = None) -> int:
    """Write one safetensors file of float16 weights, its shape in the header; returns its bytes."""
    from safetensors.torch import save as to_bytes

    tensors = {
        name: value.detach().half().contiguous() if value.is_floating_point() else value.detach().clone()
        for name, value in sam.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    header = {"kind": _KIND, "shape": json.dumps(asdict(shape)), "facts": json.dumps(facts or {})}
    data = to_bytes(tensors, header)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes_safely(path, data)
    return len(data)


def load(path: Path) -> Sam:
    """The network of a file that `save` wrote, in float32. ModelFileError on any other file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), "pt") as file:
            header = file.metadata() or {}
            if header.get("kind") != _KIND:
                raise ModelFileError(
                    f"{path}: no weights of the starter segmenter (its header does not say so)"
                )
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 (not a mapping)
        values: dict[str, Any] = json.loads(header["shape"])
        known = {f.name for f in fields(SegmenterShape)}
        given: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k in known
        }
        shape = SegmenterShape(**given)
        sam = build(shape)
        missing, unexpected = sam.load_state_dict(tensors, strict=False)
        missing = [name for name in missing if not name.endswith("num_batches_tracked")]
        if missing or unexpected:
            raise ModelFileError(f"{path}: {(missing or unexpected)[0]} does not belong to its shape")
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        if isinstance(error, ModelFileError):
            raise
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelFileError(f"{path}: does not load as a segmenter ({reason})") from error
    return sam.eval()
