"""An arm of the ablation: a picture as a grid of plain cells through an MLP, instead of the objects found in it.

Everything else is as for object tokens, so that only the interface differs: the same eyes, the same questions, and the same
supervised matches and pointers. The cell in which an object's middle lies stands for the object; its box is what the eyes say
there, so that pointing can be scored by boxes. A prompt has one picture, of GRID cells.
"""

from __future__ import annotations

from random import Random

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import InputError
from ..scenes.render import render
from ..scenes.schema import Scene
from ..starter.config import StarterConfig
from ..starter.connector import Connector, Objects
from ..starter.language import rms_norm
from ..starter.model import StarterForConditionalGeneration
from .data import Slots, SymbolicEye
from .vision import to_pixels

GRID = (6, 8)  # rows and columns: as many cells as the tokenizer has pointers


class GridConnector(Connector):
    """Cell features -> MLP -> tokens, with an embedding of the cell's place."""

    def __init__(self, config: StarterConfig) -> None:
        super().__init__(config)
        for name in ("kind", "color", "size", "word", "level", "extent"):
            delattr(self, name)
        self.features = 2 * config.trunk_channels[1]
        if self.features > len(config.kinds) or config.max_objects != GRID[0] * GRID[1]:
            raise InputError(
                f"a grid needs max_objects {GRID[0] * GRID[1]}, and at most {len(config.kinds)} features a cell"
            )
        self.into = nn.Linear(self.features, config.hidden_size)
        self.out = nn.Linear(config.hidden_size, config.hidden_size)

    @torch.no_grad()
    def reset(self, generator: torch.Generator | None = None) -> None:
        super().reset(generator)
        for layer in (self.into, self.out):
            layer.weight.normal_(0.0, layer.weight.shape[1] ** -0.5, generator=generator)
            layer.bias.zero_()

    def forward(self, objects: Objects, picture: Tensor, index: Tensor) -> Tensor:
        x = self.into(objects.kind[..., : self.features].to(self.into.weight.dtype))
        return rms_norm(self.out(F.gelu(rms_norm(x))) + self.index(index) + self.picture(picture))


class GridStarter(StarterForConditionalGeneration):
    """A starter whose "objects" are cells: `kind` carries a cell's features, `box` what the eyes see at it."""

    def __init__(self, config: StarterConfig) -> None:
        super().__init__(config)
        self.connector = GridConnector(config)

    @torch.no_grad()
    def perceive(self, pixel_values: Tensor) -> Objects:
        """Pictures [N, 3, S, S] in -1..1 -> their cells, all valid; row by row from the top left."""
        eyes, c = self.perception.eval(), self.config
        x = eyes.features(
            pixel_values.to(eyes.kind.weight.dtype).contiguous(memory_format=torch.channels_last)
        )
        said = eyes.speak(x)
        n, _, high, wide = x.shape
        x = x.float()
        pooled = torch.cat((F.adaptive_avg_pool2d(x, GRID), F.adaptive_max_pool2d(x, GRID)), 1)
        cells = pooled.flatten(2).transpose(1, 2)  # [N, cells, 2 * c2]
        score = 1 - said["kind"].float().flatten(2).softmax(1)[:, -1]  # [N, high * wide]
        rows, columns = torch.arange(high) * GRID[0] // high, torch.arange(wide) * GRID[1] // wide
        cell = (rows[:, None] * GRID[1] + columns[None]).flatten()
        inside = cell[None] == torch.arange(c.max_objects)[:, None]  # [cells, high * wide]
        best = score[:, None].masked_fill(~inside, -1.0).argmax(-1)  # [N, cells]
        boxes = eyes.boxes(said["sides"].float())
        m = c.max_objects
        return Objects(
            F.pad(cells, (0, len(c.kinds) - cells.shape[-1])), torch.zeros(n, m, len(c.colors)),
            torch.zeros(n, m, len(c.sizes)), boxes.gather(1, best[..., None].expand(-1, -1, 4)),
            torch.zeros(n, m, c.max_word, dtype=torch.long), torch.ones(n, m, dtype=torch.bool),
        )  # fmt: skip


class GridEye(SymbolicEye):
    """Draws a scene and gives its cells, each for the object whose middle lies in it (the first, where two do)."""

    def __init__(self, model: GridStarter) -> None:
        super().__init__(model.config)
        self.model = model

    def look(self, scene: Scene, rng: Random) -> Slots:
        found = self.model.perceive(to_pixels([render(scene).image]))
        of = [-1] * found.valid.shape[1]
        for i, o in enumerate(scene.objects):
            x, y = (o.box[0] + o.box[2]) / 2 / scene.width, (o.box[1] + o.box[3]) / 2 / scene.height
            at = min(GRID[0] - 1, int(y * GRID[0])) * GRID[1] + min(GRID[1] - 1, int(x * GRID[1]))
            if of[at] < 0:
                of[at] = i
        return Slots(
            found.kind[0].numpy(), found.color[0].numpy(), found.size[0].numpy(), found.box[0].numpy(),
            np.zeros((len(of), self.config.max_word), np.int64), of,
        )  # fmt: skip
