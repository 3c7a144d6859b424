"""The word reader: a small convolutional network over the crop of a printed word, decoded with CTC."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import CHARSET, StarterConfig
from .connector import Objects

READER_HEIGHT, READER_WIDTH = 32, 128  # pixels of a crop; the network gives one step per 4 columns
MARGIN = 0.06  # of the box, added on each side before cropping


def crop_words(pixels: Tensor, boxes: Tensor) -> Tensor:
    """Cut one box out of each picture: pixels [N, 3, H, W] in -1..1, boxes [N, 4] in 0..1 -> [N, 3, 32, 128]."""
    x1, y1, x2, y2 = boxes.float().unbind(-1)
    mx, my = (x2 - x1) * MARGIN, (y2 - y1) * MARGIN
    x1, y1, x2, y2 = x1 - mx, y1 - my, x2 + mx, y2 + my
    theta = torch.zeros(len(boxes), 2, 3, device=pixels.device)
    theta[:, 0, 0], theta[:, 0, 2] = x2 - x1, x1 + x2 - 1
    theta[:, 1, 1], theta[:, 1, 2] = y2 - y1, y1 + y2 - 1
    grid = F.affine_grid(theta, [len(boxes), 3, READER_HEIGHT, READER_WIDTH], align_corners=False)
    return F.grid_sample(pixels.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)


def _layer(i: int, o: int, stride: tuple[int, int] = (1, 1)) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(i, o, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(o, momentum=0.05), nn.ReLU()
    )


class WordReader(nn.Module):
    """Crop [N, 3, 32, 128] -> log-probabilities of characters [32 steps, N, len(CHARSET) + 1], blank first."""

    def __init__(self, config: StarterConfig) -> None:
        super().__init__()
        self.config = config
        self.layers = nn.Sequential(
            _layer(3, 32), _layer(32, 48, (2, 2)), _layer(48, 64), _layer(64, 96, (2, 2)), _layer(96, 96),
            _layer(96, 128, (2, 1)), _layer(128, 128), _layer(128, 160, (4, 1)),
        )  # fmt: skip
        self.context = nn.Sequential(
            nn.Conv1d(160, 160, 5, padding=2, bias=False), nn.BatchNorm1d(160, momentum=0.05), nn.ReLU()
        )
        self.head = nn.Conv1d(160, len(CHARSET) + 1, 1)

    @torch.no_grad()
    def reset(self, generator: torch.Generator | None = None) -> None:
        """He initialisation; a small head."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Conv1d):
                module.weight.normal_(0.0, (2.0 / module.weight[0].numel()) ** 0.5, generator=generator)
        self.head.weight.mul_(0.1)
        assert self.head.bias is not None
        self.head.bias.zero_()

    def forward(self, crops: Tensor) -> Tensor:
        # Contrast is evened out, so that light print on dark and dark on light come in one range.
        x = crops - crops.mean(dim=(2, 3), keepdim=True)
        x = x / (x.std(dim=(1, 2, 3), keepdim=True) + 0.05)
        x = self.layers(x.to(self.head.weight.dtype)).mean(2)  # [N, 160, 32]
        return self.head(self.context(x)).float().permute(2, 0, 1).log_softmax(-1)

    def loss(self, crops: Tensor, words: Tensor) -> Tensor:
        """CTC loss; words [N, L] as `encode_words` makes them."""
        steps = self(crops)
        lengths = (words > 0).sum(1)
        return F.ctc_loss(steps, words, torch.full((len(words),), len(steps)), lengths, zero_infinity=True)

    @torch.no_grad()
    def read(self, crops: Tensor) -> Tensor:
        """Greedy CTC decoding -> codes [N, max_word], 0 after the end."""
        training = self.training
        self.eval()
        best = self(crops).argmax(-1).T  # [N, steps]
        self.train(training)
        out = torch.zeros(len(crops), self.config.max_word, dtype=torch.long)
        for row, line in enumerate(best):
            codes = torch.unique_consecutive(line)
            codes = codes[codes > 0][: self.config.max_word]
            out[row, : len(codes)] = codes
        return out

    @torch.no_grad()
    def read_into(self, objects: Objects, pixels: Tensor, kinds: set[int]) -> None:
        """Read the word of every object whose likeliest kind is one of `kinds`; fills `objects.word`."""
        if not kinds:
            return
        likeliest = objects.kind.argmax(-1)
        wanted = objects.valid & torch.isin(likeliest, torch.tensor(sorted(kinds)))
        rows, slots = wanted.nonzero(as_tuple=True)
        if len(rows):
            objects.word[rows, slots] = self.read(crop_words(pixels[rows], objects.box[rows, slots]))
