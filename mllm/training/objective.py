"""What the language model minimises: weighted cross-entropy of answers, and the matches of words with objects."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..starter.config import IMAGE, REGION
from ..starter.connector import Objects
from ..starter.model import StarterForConditionalGeneration


def sequence_inputs(model: StarterForConditionalGeneration, batch: dict[str, Any]) -> tuple[Tensor, ...]:
    """A batch of `collate` -> embeds [N, T, C], mask [N, 1, T, T], object tokens [N, M, C], visible [N, T, M]."""
    ids, slot = batch["ids"], batch["slot"]
    n, t = ids.shape
    objects, valid = model.object_tokens(Objects(**batch["objects"]))
    at_image = ids == IMAGE
    x = model.embed(torch.where(at_image, torch.zeros_like(ids), ids), objects)
    names = model.connector.picture.weight.to(x.dtype)
    is_global = (slot < 0) & at_image
    x = torch.where(is_global[..., None], names[(-1 - slot).clamp(0, len(names) - 1)], x)
    filled = objects.gather(1, slot.clamp_min(0)[..., None].expand(-1, -1, x.shape[-1]))
    x = torch.where((slot >= 0)[..., None], filled, x)
    if len(batch["regions"]):
        at = (ids == REGION)[..., None]
        x = x.masked_scatter(at, model.connector.regions(batch["regions"]).to(x.dtype))
    column = torch.arange(t)
    # The objects of a picture see each other; pictures do not see later pictures, words see all before them.
    number = torch.where(slot >= 0, slot // model.config.max_objects, -1 - slot)
    same = (number[:, None, :] == number[:, :, None]) & at_image[:, None, :] & at_image[:, :, None]
    mask = ((column[None, :] <= column[:, None])[None] | same)[:, None]
    return x, mask, objects, valid[:, None].expand(n, t, -1)


def supervised(
    model: StarterForConditionalGeneration, batch: dict[str, Any]
) -> tuple[Tensor, Tensor, Tensor, Tensor, list[Tensor], Tensor]:
    """Where a batch has something to learn: logits [S, V], goals [S], sequence and token [S] of each, the gate logits of
    the matches [N, T, M], and which objects each token sees [N, T, M]."""
    x, mask, objects, visible = sequence_inputs(model, batch)
    states, gates = model.language(x, batch["positions"], mask, objects, visible)
    rows, columns = (batch["weights"][:, 1:] > 0).nonzero(as_tuple=True)
    # Logits only where there is something to learn: the head is the dearest matrix of the model.
    picked = states[rows, columns]
    logits = model.language.head(picked).float()
    scores = pointer_scores(model, picked, objects, visible[rows, columns], rows).float()
    c = model.config
    spare = torch.full((len(picked), c.pointers - objects.shape[1]), -1e4)
    pointed = torch.cat((scores[:, 0], spare, scores[:, 1], spare), 1)
    logits = torch.cat((logits[:, : c.pointer_start], pointed), 1)  # pointers and readings end the vocabulary
    return logits, batch["ids"][rows, columns + 1], rows, columns + 1, gates, visible


def starter_loss(
    model: StarterForConditionalGeneration, batch: dict[str, Any], match_weight: float = 1.0
) -> tuple[Tensor, dict[str, float]]:
    """The loss of a batch and its parts: `answer` (cross-entropy a weighted token), `match`, `evidence` (BCE)."""
    logits, goal, rows, columns, gates, visible = supervised(model, batch)
    weights = batch["weights"][rows, columns]
    each = F.cross_entropy(logits, goal, reduction="none")
    answer = (each * weights).sum() / weights.sum()
    parts = {"answer": float(answer.detach())}
    loss = answer
    for name, logits_of, at, of in zip(
        ("match", "evidence"), gates, batch["gate_at"], batch["gate_of"], strict=False
    ):
        if not len(at):
            continue
        some = logits_of[at[:, 0], at[:, 1]].float()
        known = visible[at[:, 0], at[:, 1]].float()
        bce = F.binary_cross_entropy_with_logits(some, of, reduction="none") * known
        bce = bce.sum() / known.sum().clamp_min(1.0)
        parts[name] = float(bce.detach())
        loss = loss + match_weight * bce
    with torch.no_grad():
        words = (
            goal < model.config.pointer_start
        )  # with the wrong picture a pointer may have nothing to point at
        parts["words"] = float((each * weights)[words].sum() / weights[words].sum().clamp_min(1e-6))
        parts["token_acc"] = float(((logits.argmax(-1) == goal) * weights).sum() / weights.sum())
    return loss, parts


def pointer_scores(
    model: StarterForConditionalGeneration, states: Tensor, objects: Tensor, visible: Tensor, rows: Tensor
) -> Tensor:
    """Pointer and reading scores [N, 2, M] of states [N, C] against the objects [B, M, C] of their rows [N]; visible
    [N, M] says which count."""
    head = model.language.pointer
    n, c = states.shape
    q = head.query(states).view(n, 2, c)
    keys = head.key(objects)
    logits = torch.einsum("nac,nmc->nam", q, keys[rows]) / c**0.5 + head.bias.to(states.dtype)[:, None]
    return logits.masked_fill(~visible[:, None], -1e4)


def shuffled(batch: dict[str, Any]) -> dict[str, Any]:
    """The same questions with the objects of the next row: what the words alone can answer."""
    other = {k: v.roll(1, 0) for k, v in batch["objects"].items()}
    return {**batch, "objects": other}
