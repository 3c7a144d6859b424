"""Perception: a small convolutional trunk whose cells each say which object they lie on; NMS makes objects of them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import StarterConfig
from .connector import Objects

STRIDE = 4  # pixels between cells: the smallest shapes of a block scene are 8 pixels wide


def norm(channels: int) -> nn.Module:
    """Batch norm: it folds into the convolution when served, and converged fastest in our runs."""
    return nn.BatchNorm2d(channels, momentum=0.05)


class Residual(nn.Module):
    """Two 3x3 convolutions added to their input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.a = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1, bias=False), norm(channels))
        self.b = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1, bias=False), norm(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.b(F.relu(self.a(x))))


class Perception(nn.Module):
    """Picture -> cells -> objects.

    Every cell (one per 4 x 4 pixels) predicts the kind of the object its centre lies on (or none), the object's
    colour and size, and the distances from the cell's centre to the four sides of its box, as in FCOS
    (Tian et al. 2019, arXiv:1904.01355).
    """

    def __init__(self, config: StarterConfig) -> None:
        super().__init__()
        self.config = config
        c1, c2, c3, c4 = config.trunk_channels
        self.stem = nn.Sequential(
            nn.Conv2d(3, c1, 4, stride=2, padding=1, bias=False), norm(c1), nn.ReLU(),
            nn.Conv2d(c1, c2, 4, stride=2, padding=1, bias=False), norm(c2), nn.ReLU(),
        )  # fmt: skip
        self.mid = nn.Sequential(
            nn.Conv2d(c2, c3, 4, stride=2, padding=1, bias=False), norm(c3), nn.ReLU(), Residual(c3)
        )
        self.deep = nn.Sequential(
            nn.Conv2d(c3, c4, 4, stride=2, padding=1, bias=False),
            norm(c4),
            nn.ReLU(),
            Residual(c4),
            Residual(c4),
        )
        self.to_mid = nn.Sequential(nn.Conv2d(c4, c3, 1, bias=False), norm(c3))
        self.to_fine = nn.Sequential(nn.Conv2d(c3, c2, 1, bias=False), norm(c2))
        self.mid_out, self.fine_out = Residual(c3), Residual(c2)
        self.kind = nn.Conv2d(c2, len(config.kinds) + 1, 1)  # the last entry is "nothing here"
        self.color = nn.Conv2d(c2, len(config.colors), 1)
        self.size = nn.Conv2d(c2, len(config.sizes), 1)
        self.sides = nn.Conv2d(c2, 4, 1)

    @torch.no_grad()
    def reset(self, generator: torch.Generator | None = None) -> None:
        """He initialisation; the heads start small and at "nothing here"."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan = module.weight[0].numel()
                module.weight.normal_(0.0, (2.0 / fan) ** 0.5, generator=generator)
                if module.bias is not None:
                    module.bias.zero_()
        for head in (self.kind, self.color, self.size, self.sides):
            head.weight.mul_(0.1)
        assert self.kind.bias is not None
        self.kind.bias[-1] = 3.0

    def features(self, pixels: Tensor) -> Tensor:
        """pixels [B, 3, S, S] in -1..1 -> what the heads read, [B, c2, S/4, S/4]."""
        fine = self.stem(pixels)  # [B, c2, S/4, S/4]
        mid = self.mid(fine)  # [B, c3, S/8, S/8]
        deep = self.deep(mid)  # [B, c4, S/16, S/16]
        mid = self.mid_out(
            F.relu(mid + F.interpolate(self.to_mid(deep), size=mid.shape[-2:], mode="nearest"))
        )
        return self.fine_out(
            F.relu(fine + F.interpolate(self.to_fine(mid), size=fine.shape[-2:], mode="nearest"))
        )

    def cells(self, pixels: Tensor) -> dict[str, Tensor]:
        """pixels [B, 3, S, S] in -1..1 -> per-cell predictions, each [B, C, S/4, S/4]; sides are in cells, > 0."""
        return self.speak(self.features(pixels))

    def speak(self, x: Tensor) -> dict[str, Tensor]:
        """The heads' predictions from `features`."""
        return {
            "kind": self.kind(x),
            "color": self.color(x),
            "size": self.size(x),
            "sides": F.softplus(self.sides(x).float() + 1.0),
        }

    def boxes(self, sides: Tensor) -> Tensor:
        """[B, 4, G, G] distances in cells -> [B, G*G, 4] boxes in 0..1."""
        b, _, gy, gx = sides.shape
        y = (torch.arange(gy, device=sides.device, dtype=sides.dtype) + 0.5)[:, None].expand(gy, gx)
        x = (torch.arange(gx, device=sides.device, dtype=sides.dtype) + 0.5)[None].expand(gy, gx)
        left, top, right, bottom = sides.unbind(1)
        boxes = torch.stack(((x - left) / gx, (y - top) / gy, (x + right) / gx, (y + bottom) / gy), dim=-1)
        return boxes.reshape(b, gy * gx, 4).clamp(0, 1)

    @torch.no_grad()
    def detect(self, pixels: Tensor) -> Objects:
        """pixels [B, 3, S, S] -> the objects, ordered from left to right, at most `max_objects` a picture."""
        c = self.config
        out = self.cells(pixels)
        flat = {k: v.float().flatten(2).transpose(1, 2) for k, v in out.items() if k != "sides"}
        kind = flat["kind"].softmax(-1)
        color, size = flat["color"].softmax(-1), flat["size"].softmax(-1)
        boxes = self.boxes(out["sides"].float())
        score = 1 - kind[..., -1]
        b, m, grid = pixels.shape[0], c.max_objects, kind.shape[1]
        objects = Objects(
            torch.zeros(b, m, len(c.kinds)), torch.zeros(b, m, len(c.colors)), torch.zeros(b, m, len(c.sizes)),
            torch.zeros(b, m, 4), torch.zeros(b, m, c.max_word, dtype=torch.long), torch.zeros(b, m, dtype=torch.bool),
        )  # fmt: skip
        for i in range(b):
            likely = (score[i] > c.detect_threshold).nonzero().squeeze(1)
            named = kind[i, likely, :-1]
            found = self.vote(score[i, likely], boxes[i, likely], named, grid, m)
            found.sort(key=lambda f: float(f[0][0] + f[0][2]))
            for j, (place, votes) in enumerate(found):
                objects.box[i, j] = place
                objects.kind[i, j] = votes @ named
                objects.color[i, j] = votes @ color[i, likely]
                objects.size[i, j] = votes @ size[i, likely]
                objects.valid[i, j] = True
        objects.kind /= objects.kind.sum(-1, keepdim=True).clamp_min(1e-6)
        return objects

    def vote(
        self, weight: Tensor, box: Tensor, named: Tensor, grid: int, most: int
    ) -> list[tuple[Tensor, Tensor]]:
        """The objects that the likely cells of one picture speak of: (box [4] in 0..1, each cell's share [L]).

        Cells that agree on one object vote: the candidate with most support speaks first, takes the cells that overlap
        it, and becomes an object whose box and distributions are their means, weighted by score. What has the support
        of far fewer cells than its size should give is dropped, and so is a part of an object already found.

        Args:
            weight, box, named: score [L], box [L, 4] in 0..1 and distribution over kinds [L, kinds] of each cell.
            grid: cells of the whole picture.
            most: objects to stop at.
        """
        c = self.config
        found: list[tuple[Tensor, Tensor]] = []
        if not len(weight):
            return found
        corner = torch.minimum(box[:, None, 2:], box[None, :, 2:]) - torch.maximum(
            box[:, None, :2], box[None, :, :2]
        )
        both = corner.clamp_min(0).prod(-1)  # [L, L] shared areas
        area = (box[:, 2:] - box[:, :2]).prod(-1)
        same = both / (area[:, None] + area[None] - both + 1e-9) > c.detect_overlap
        part = both / torch.minimum(area[:, None], area[None]).clamp_min(1e-9) > 0.7
        what = named.argmax(-1)
        free = torch.ones(len(weight), dtype=torch.bool)
        for first in (same * weight).sum(1).argsort(descending=True, stable=True).tolist():
            if not free[first] or len(found) == most:
                continue
            votes = weight * (free & same[first])
            total = votes.sum()
            spoken = int((votes @ named).argmax())
            free &= ~(same[first] | (part[first] & (what == spoken)))
            due = float(area[first]) * grid * c.detect_support
            if float(total) >= min(1.5, due):
                found.append(((box * votes[:, None]).sum(0) / total, votes / total))
        return found
