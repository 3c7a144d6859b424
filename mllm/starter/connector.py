"""From detections to tokens: what each object is, its colour, size, place and printed word, as one vector."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .config import BOX_FREQUENCIES, CHARSET, StarterConfig
from .language import rms_norm


@dataclass
class Objects:
    """The detections of B pictures (or of B rows of pictures), padded to M objects.

    kind [B, M, kinds], color [B, M, colors], size [B, M, sizes] are probabilities; box [B, M, 4] is x1, y1, x2, y2
    in 0..1 of the picture; word [B, M, L] holds indices into CHARSET plus one, 0 where there is no character;
    valid [B, M] says which entries are objects.
    """

    kind: Tensor
    color: Tensor
    size: Tensor
    box: Tensor
    word: Tensor
    valid: Tensor

    def map(self, change: Callable[[Tensor], Tensor]) -> Objects:
        """The same record with `change` applied to each tensor."""
        return Objects(*(change(getattr(self, f)) for f in self.__dataclass_fields__))


def box_features(box: Tensor) -> Tensor:
    """[.., 4] boxes in 0..1 -> [.., F]: centre and size, plain and as Fourier features; area and edges, plain."""
    x1, y1, x2, y2 = box.unbind(-1)
    w, h = x2 - x1, y2 - y1
    plain = torch.stack(((x1 + x2) / 2, (y1 + y2) / 2, w, h), dim=-1)
    rates = torch.tensor(BOX_FREQUENCIES, device=box.device, dtype=box.dtype) * 2 * math.pi
    angle = (plain[..., None] * rates).flatten(-2)
    more = torch.stack((w * h * 4, (w * h).clamp_min(1e-6).log() / 4 + 1), dim=-1)
    return torch.cat((4 * (plain - 0.5), 4 * (box - 0.5), more, angle.sin(), angle.cos()), dim=-1)


def ranks(box: Tensor, valid: Tensor, picture: Tensor) -> tuple[Tensor, Tensor]:
    """Of each object among its picture's: how many lie higher (by their middles), and how many have a smaller box.

    The index is the rank from left to right. From coordinates alone, "above" and "larger" were still at chance when
    "left of", which the index tells, was right 97 times in 100.

    Args:
        box: [B, M, 4] in 0..1. valid: [B, M] bool. picture: [B, M] long.
    """
    middle = box[..., 1] + box[..., 3]
    area = (box[..., 2] - box[..., 0]) * (box[..., 3] - box[..., 1])
    others = valid[:, None, :] & (picture[:, None, :] == picture[:, :, None])
    level = ((middle[:, None, :] < middle[:, :, None]) & others).sum(-1)
    extent = ((area[:, None, :] < area[:, :, None]) & others).sum(-1)
    return level, extent


BOX_FEATURES = 10 + 8 * len(BOX_FREQUENCIES)


class Connector(nn.Module):
    """Object tokens as sums of embeddings; the object's index and its picture's index are added too."""

    def __init__(self, config: StarterConfig) -> None:
        super().__init__()
        self.config = config
        width = config.hidden_size
        self.kind = nn.Linear(len(config.kinds), width, bias=False)
        self.color = nn.Linear(len(config.colors), width, bias=False)
        self.size = nn.Linear(len(config.sizes), width, bias=False)
        self.box = nn.Linear(BOX_FEATURES, width, bias=False)
        self.word = nn.Linear(config.max_word * (len(CHARSET) + 1), width, bias=False)
        self.index = nn.Embedding(config.max_objects, width)  # objects stand from left to right
        self.level = nn.Embedding(config.max_objects, width)  # how many objects of the picture are higher
        self.extent = nn.Embedding(config.max_objects, width)  # how many have a smaller box
        self.picture = nn.Embedding(
            config.max_pictures, width
        )  # added to objects and used as the global token
        self.region = nn.Parameter(torch.zeros(width))  # marks a box that the user gave
        self.pointed = nn.Parameter(torch.zeros(2, width))  # marks <objN> and <txtN> among words

    @torch.no_grad()
    def reset(self, generator: torch.Generator | None = None) -> None:
        """Unit-variance embeddings, so that no part of an object's sum drowns another at the start.

        Ranks (index, level, extent) begin on a line, each in a direction of its own, so that which of two is higher is a
        linear matter from the first step on.
        """
        for name, p in self.named_parameters():
            scale = 1.0 if p.ndim == 1 or "pointed" in name else 0.7
            if name in ("box.weight",):
                scale = p.shape[1] ** -0.5
            p.normal_(0.0, scale, generator=generator)
            if name in ("index.weight", "level.weight", "extent.weight"):
                line = torch.empty(p.shape[1]).normal_(0.0, 0.5, generator=generator)
                place = (
                    torch.arange(p.shape[0]) - (min(p.shape[0], 8) - 1) / 2
                )  # scenes hold eight things or fewer
                p.mul_(0.5).add_(place[:, None] / 2 * line)

    def forward(self, objects: Objects, picture: Tensor, index: Tensor) -> Tensor:
        """Objects [B, M] with picture and index [B, M] (both long) -> tokens [B, M, C], normalised."""
        dtype = self.kind.weight.dtype
        x = (
            self.kind(objects.kind.to(dtype))
            + self.color(objects.color.to(dtype))
            + self.size(objects.size.to(dtype))
        )
        x = x + self.box(box_features(objects.box.float()).to(dtype))
        if bool(objects.word.any()):
            symbols = len(CHARSET) + 1
            onehot = torch.nn.functional.one_hot(objects.word, symbols).to(dtype)
            onehot[..., 0] = 0
            x = x + self.word(onehot.flatten(-2))
        level, extent = ranks(objects.box, objects.valid, picture)
        most = self.config.max_objects - 1
        x = x + self.level(level.clamp_max(most)) + self.extent(extent.clamp_max(most))
        return rms_norm(x + self.index(index) + self.picture(picture))

    def regions(self, box: Tensor) -> Tensor:
        """Boxes that the user gave, [N, 4] in 0..1 -> tokens [N, C]."""
        return rms_norm(self.box(box_features(box.float()).to(self.box.weight.dtype)) + self.region)


def encode_words(words: list[str | None], length: int) -> Tensor:
    """Printed words -> [N, length] long: indices into CHARSET plus one; unknown characters are left out."""
    out = torch.zeros(len(words), length, dtype=torch.long)
    for row, word in enumerate(words):
        codes = [CHARSET.index(c) + 1 for c in word or "" if c in CHARSET][:length]
        out[row, : len(codes)] = torch.tensor(codes, dtype=torch.long)
    return out


def decode_word(codes: Tensor) -> str:
    """The inverse of `encode_words` for one row."""
    return "".join(CHARSET[c - 1] for c in codes.tolist() if c > 0)
