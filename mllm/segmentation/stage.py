"""The segmenter's training stage: several prompts a picture share one encoding; then a correction where it was wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from segment_anything.modeling import Sam
from torch import Tensor, nn

from .clicks import PADDING, first_prompt, next_click
from .network import embed_prompts, use_side
from .pictures import Pictures

FOCAL, DICE, QUALITY = 20.0, 1.0, 1.0  # SAM's weights
MOST = 512  # pictures a step, at most: scenes are numbered by it
SILENT = 0.2  # share of corrections without a click: the rough mask alone is to be made better


class SegmenterStage:
    """Draws pictures and trains the whole network on simulated clicks and boxes."""

    name = "segmenter"

    def __init__(
        self,
        sam: Sam,
        pictures: Pictures,
        seed: int,
        batch: int = 8,
        prompts: int = 5,
        rounds: int = 2,
        sides: Sequence[tuple[int, int]] = (),
    ) -> None:
        """`prompts` a picture, `rounds` of answers to each: the first prompt, then a correction on its best mask.

        `sides` are (first step, side of the square): small squares first are cheaper, and there are more of them in a step,
        so that `batch` is the number of pictures at the network's own side.
        """
        self.sam, self.pictures, self.seed = sam, pictures, seed
        self.batch_size, self.prompts, self.rounds = batch, prompts, rounds
        self.full = int(sam.image_encoder.img_size)
        self.sides = sorted(sides) or [(0, self.full)]

    def side(self, step: int) -> int:
        """The side of the squares at a step."""
        return [side for first, side in self.sides if first <= step or first == self.sides[0][0]][-1]

    def parameters(self) -> list[tuple[str, nn.Parameter]]:
        """Everything learns; the names of the encoder's blocks put their matrices under Muon."""
        return list(self.sam.named_parameters())

    def batch(self, step: int) -> dict[str, Any]:
        """Pictures [B, 3, S, S] uint8, targets [B * P, S/2, S/2] bool, and the first prompts, [B * P, 2, 2] and [B * P, 2]."""
        pixels, targets, places, kinds, seen = [], [], [], [], []
        side = self.side(step)
        for i in range(round(self.batch_size * (self.full / side) ** 2)):
            rng = np.random.default_rng((self.seed, step, i))
            sample = self.pictures.draw(rng, step * MOST + i, side)
            pixels.append(torch.from_numpy(sample.picture).permute(2, 0, 1))
            seen.append(sample.seen)
            order = rng.permutation(len(sample.masks))
            for j in range(self.prompts):
                mask = sample.masks[order[j % len(order)]]
                place, kind = first_prompt(mask, rng, boxed=bool(rng.random() < 0.4))
                targets.append(mask)
                places.append(place)
                kinds.append(kind)
        return {
            "pixels": torch.stack(pixels),
            "seen": seen,
            "targets": np.stack(targets),
            "places": np.stack(places),
            "kinds": np.stack(kinds),
            "rng": np.random.default_rng((self.seed, step, MOST)),
        }

    def losses(self, batch: dict[str, Any]) -> Iterator[tuple[Tensor, dict[str, float]]]:
        """The losses of all rounds, in one sum: they share the encoding."""
        sam, rng = self.sam, batch["rng"]
        sam.train()
        use_side(sam, batch["pixels"].shape[-1])
        dtype = sam.mask_decoder.iou_token.weight.dtype
        features = sam.image_encoder(prepared(sam, batch["pixels"], batch["seen"]))
        truth = torch.from_numpy(batch["targets"]).float()
        dense_place = sam.prompt_encoder.get_dense_pe().to(dtype)
        places, kinds = batch["places"], batch["kinds"]
        total = torch.zeros(())
        parts: dict[str, float] = {}
        previous: Tensor | None = None
        for turn in range(self.rounds):
            sparse = embed_prompts(sam, torch.from_numpy(places).float(), torch.from_numpy(kinds))
            dense = sam.prompt_encoder.no_mask_embed.weight.view(1, -1, 1, 1).expand(
                len(truth), -1, *sam.prompt_encoder.image_embedding_size
            )
            if previous is not None:
                shown = torch.from_numpy(rng.random(len(truth)) < 0.7)[:, None, None, None]
                rough = sam.prompt_encoder.mask_downscaling(previous)
                dense = torch.where(shown, rough, dense)
            masks, quality = sam.mask_decoder.predict_masks(
                features, dense_place, sparse.to(dtype), dense.to(dtype), most=1 if turn else 4
            )
            loss, best, more = mask_loss(masks.float(), quality.float(), truth, ambiguous=turn == 0)
            total = total + loss
            parts |= {f"{name}{turn}": value for name, value in more.items()}
            if turn + 1 < self.rounds:
                previous = best[:, None].detach()
                found = (previous[:, 0] > 0).numpy()
                made = [next_click(f, t, rng) for f, t in zip(found, batch["targets"], strict=True)]
                silent = rng.random(len(made)) < SILENT
                kind = np.where(silent, PADDING, [m[1] for m in made])
                # SAM puts points before a box's corners, and the padding point last: both stay at the end here
                places = np.concatenate([np.stack([m[0] for m in made])[:, None], places], 1)
                kinds = np.concatenate([kind[:, None], kinds], 1)
        yield total, parts


def prepared(sam: Sam, pixels: Tensor, seen: list[tuple[int, int]]) -> Tensor:
    """uint8 pictures [B, 3, S, S] -> normalised, with zeros where there is no picture, as `Sam.preprocess` leaves them."""
    x = (pixels.float() - sam.pixel_mean) / sam.pixel_std
    for row, (height, width) in zip(x, seen, strict=True):
        row[:, height:], row[:, :, width:] = 0, 0
    return x


def mask_loss(
    masks: Tensor, quality: Tensor, truth: Tensor, ambiguous: bool
) -> tuple[Tensor, Tensor, dict[str, float]]:
    """SAM's losses: focal and dice on the single mask, on the best of the three others where one click may mean several
    things, and the squared error of the promised IoU of all four.

    Args:
        masks: [N, 4, h, w] logits; the first is the single mask, and the only one needed where nothing is ambiguous.
        quality: [N, 4] promised IoU.
        truth: [N, h, w] 0 or 1.

    Returns:
        The loss, the logits [N, h, w] to go on from, and figures.
    """
    n = len(masks)
    flat, goal = masks.flatten(2), truth.flatten(1)[:, None]  # [N, 4, A], [N, 1, A]
    p = flat.sigmoid()
    area = goal.sum(-1)
    inside = (p * goal).sum(-1)
    dice = 1 - (2 * inside + 1) / (p.sum(-1) + area + 1)  # [N, 4]
    cross = F.softplus(flat) - flat * goal
    wrong = p + goal - 2 * p * goal
    focal = (wrong.square() * cross).mean(-1)
    each = FOCAL * focal + DICE * dice  # [N, 4]
    with torch.no_grad():
        hard = (flat > 0).float()
        both = (hard * goal).sum(-1)
        iou = both / (hard.sum(-1) + area - both).clamp_min(1)
    promise = F.mse_loss(quality, iou)
    loss = each[:, 0].mean() + QUALITY * promise
    if ambiguous:
        least = each[:, 1:].min(1).values
        loss = loss + least.mean()
    chosen = quality[:, 1:].argmax(1) + 1 if ambiguous else torch.zeros(n, dtype=torch.long)
    rows = torch.arange(n)
    figures = {
        "dice": float(dice[:, 0].detach().mean()),
        "iou": float(iou[:, 0].mean()),
        "pick": float(iou[rows, chosen].mean()),
        "promise": float(promise.detach()),
    }
    return loss, masks[rows, chosen], figures
