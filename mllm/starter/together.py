"""Several questions about the same pictures, greedily: these are read once, and a row that has ended takes no more time.

On one core, ten questions spent 30% of their time reading the same objects ten times over and waiting for the longest
answer (docs/experiments.md).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .config import EOS, IMAGE

if TYPE_CHECKING:
    from .connector import Objects
    from .model import StarterForConditionalGeneration


@torch.no_grad()
def greedy_together(
    model: StarterForConditionalGeneration,
    input_ids: Tensor,
    attention_mask: Tensor,
    objects: Objects,
    region_boxes: Tensor | None = None,
    max_new_tokens: int = 160,
    due: Callable[[], bool] = bool,
) -> list[list[int]]:
    """The tokens that `generate` would write for each row behind the same pictures, without the EOS.

    Args:
        input_ids: [B, T] words of each prompt, padded on the left, without its <image> marks.
        attention_mask: [B, T], 0 where there is padding.
        objects: of the pictures, [P, max_objects], once.
        region_boxes: [R, 4] for the <region> marks of all rows in order.
        due: asked between two tokens; where it says True, what there is is returned.
    """
    rows = len(input_ids)
    marks = input_ids.new_full((1, len(objects.valid) * model.config.picture_tokens), IMAGE)
    tokens, valid, seen = model._prepare(marks, None, None, objects)
    cache = model(
        marks, attention_mask=seen, object_tokens=tokens, object_valid=valid, use_cache=True, logits_to_keep=1
    ).past_key_values
    assert cache is not None
    cache.batch_repeat_interleave(rows)
    mask = torch.cat((seen.expand(rows, -1), attention_mask), 1)
    places = attention_mask.cumsum(1)
    left = torch.arange(rows)  # the rows that go on
    written: list[list[int]] = [[] for _ in range(rows)]
    ids = input_ids
    for _ in range(max_new_tokens):
        count = len(left)
        logits = model(
            ids, attention_mask=mask, position_ids=places, region_boxes=region_boxes,
            object_tokens=tokens.expand(count, -1, -1), object_valid=valid.expand(count, -1),
            past_key_values=cache, use_cache=True, logits_to_keep=1,
        ).logits  # fmt: skip
        new = logits[:, -1].argmax(-1)
        for row, token in zip(left.tolist(), new.tolist(), strict=True):
            if token != EOS:
                written[row].append(token)
        going = (new != EOS).nonzero().squeeze(1)
        if not len(going) or due():
            break
        if len(going) < count:
            cache.batch_select_indices(going)
            left, new, mask, places = left[going], new[going], mask[going], places[going]
        ids, region_boxes = new[:, None], None
        mask = torch.cat((mask, mask.new_ones(len(left), 1)), 1)
        places = places[:, -1:] + 1
    return written
