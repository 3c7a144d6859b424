"""The image encoder of the starter segmenter: convolutions, a few transformer blocks, and features finer than the tokens."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STRIDE = 16  # pixels of the square input between embedding tokens, as in SAM
FINE = 8  # fine features a token's side: masks are decoded at half of the input's side


@dataclass(frozen=True)
class SegmenterShape:
    """Sizes of the network; `side` is a multiple of 32."""

    side: int = 128  # pixels of the square that a picture is fitted into, when it is finished
    places: int = 16  # entries a side of the table of places, interpolated to the grid of tokens
    stem: int = 32  # channels at stride 2
    fine: int = 24  # channels of the fine features that masks are read from
    mid: tuple[int, int] = (48, 96)  # channels at strides 4 and 8
    width: int = 192  # channels of the blocks at stride 16
    blocks: int = 4
    heads: int = 6
    embedding: int = 128  # channels of a token, SAM's transformer_dim
    decoder_depth: int = 2
    decoder_mlp: int = 512


def unit(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride=stride, padding=(size - 1) // 2, bias=False),
        nn.BatchNorm2d(outputs, momentum=0.05),
        nn.ReLU(),
    )


class Residual(nn.Module):
    """Two 3x3 convolutions added to their input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.a = unit(channels, channels, 3)
        self.b = unit(channels, channels, 3)[:2]

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.b(self.a(x)))


class Block(nn.Module):
    """A pre-norm transformer block over the tokens [B, N, C]; its residual branches begin at zero."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        b, n, c = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        # Written out: the fused kernel's backward pass is several times slower on CPUs at this size.
        seen = (q * (c // self.heads) ** -0.5) @ k.transpose(-2, -1)  # [B, heads, N, N]
        mixed = seen.softmax(-1) @ v
        x = x + self.out(mixed.transpose(1, 2).reshape(b, n, c))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class ImageEncoder(nn.Module):
    """Picture [B, 3, S, S], normalised -> [B, embedding + fine * 64, S/16, S/16].

    The first channels are SAM's image embedding; the rest are the fine features [B, fine, S/2, S/2], folded into the grid
    of the tokens, so that whatever handles an embedding (SamPredictor, a cache) handles both as one tensor.
    """

    def __init__(self, shape: SegmenterShape) -> None:
        super().__init__()
        self.img_size = shape.side  # the name that Sam and SamPredictor read
        c4, c8 = shape.mid
        self.stem = unit(3, shape.stem, 4, 2)
        self.quarter = nn.Sequential(unit(shape.stem, c4, 4, 2), Residual(c4))
        self.eighth = nn.Sequential(unit(c4, c8, 4, 2), Residual(c8))
        self.sixteenth = nn.Sequential(unit(c8, shape.width, 4, 2), Residual(shape.width))
        self.place = nn.Parameter(torch.zeros(1, shape.places**2, shape.width))
        self.blocks = nn.ModuleList(Block(shape.width, shape.heads) for _ in range(shape.blocks))
        self.norm = nn.LayerNorm(shape.width)
        self.tokens = nn.Linear(shape.width, shape.embedding)
        self.tokens_norm = nn.LayerNorm(shape.embedding)
        self.from_sixteenth = nn.Conv2d(shape.width, c8, 1)
        self.at_eighth = unit(c8, c4, 3)
        self.at_quarter = unit(c4, shape.stem, 3)
        self.at_half = unit(shape.stem, shape.fine, 3)
        self.read = nn.Conv2d(shape.fine, shape.fine, 1)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        x = x.to(self.read.weight.dtype).contiguous(memory_format=torch.channels_last)
        half = self.stem(x)  # [B, stem, S/2, S/2]
        quarter = self.quarter(half)
        eighth = self.eighth(quarter)
        grid = self.sixteenth(eighth)  # [B, width, S/16, S/16]
        b, c, h, w = grid.shape
        t = grid.flatten(2).transpose(1, 2) + self._place(h, w)
        for block in self.blocks:
            t = block(t)
        t = self.norm(t)
        embedding = self.tokens_norm(self.tokens(t)).transpose(1, 2).reshape(b, -1, h, w)
        deep = t.transpose(1, 2).reshape(b, c, h, w).contiguous(memory_format=torch.channels_last)
        y = self.at_eighth(eighth + _double(self.from_sixteenth(deep)))
        y = self.at_quarter(quarter + _double(y))
        y = self.read(self.at_half(half + _double(y)))  # [B, fine, S/2, S/2]
        return torch.cat([embedding, F.pixel_unshuffle(y.contiguous(), FINE)], 1)

    def _place(self, h: int, w: int) -> Tensor:
        """What a token's place adds, [1, h * w, width]; on another grid than the table's it is interpolated."""
        n = round(self.place.shape[1] ** 0.5)
        if (h, w) == (n, n):
            return self.place
        table = self.place.transpose(1, 2).reshape(1, -1, n, n)
        table = F.interpolate(table.float(), size=(h, w), mode="bilinear", align_corners=False)
        return table.flatten(2).transpose(1, 2).to(self.place.dtype)


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="nearest")
