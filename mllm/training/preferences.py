"""A preference pair as the starter reads it: its pictures as they are seen, both answers as tokens with segment weights."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...errors import InputError
from ..boxes import BoxCodec
from ..data.conversation import IMAGE as PICTURE
from ..scenes.render import render
from ..scenes.world import make_scene, split_seed
from ..starter.config import ANSWER, ASSISTANT, EOS, IMAGE, PAD, PLAN, REGION, THINK, USER
from ..stock.dpo import GAMMA, segment_weights
from ..stock.pairs import Pair
from .data import Sample, Slots, Vocabulary

if TYPE_CHECKING:
    from ..starter.connector import Objects

SCENE = "scene:"
MARK = "<answer>"  # stands between a rationale and its answer
_NEVER = {PAD, EOS, IMAGE, REGION, USER, ASSISTANT, THINK, PLAN}  # not a part of any answer


def scene_name(stream: int, index: int) -> str:
    """How a pair names a scene of the training split instead of a picture file: "scene:train/STREAM/INDEX"."""
    return f"{SCENE}train/{stream}/{index}"


def open_named(name: str) -> Any:
    """The picture that a pair names: a path, or a scene of the training split, drawn on the spot.

    Raises:
        InputError: no such file, a name that is no scene's, or a scene of a split that is held out.
    """
    if not name.startswith(SCENE):
        from ..stock.samples import open_picture

        return open_picture(name)
    found = re.fullmatch(r"(\w+)/(\d+)/(\d+)", name.removeprefix(SCENE))
    if found is None:
        raise InputError(f"{name!r} names no scene; write {SCENE}train/STREAM/INDEX")
    split, stream, index = found.group(1), int(found.group(2)), int(found.group(3))
    if split != "train":
        raise InputError(f"{name}: the split {split!r} is held out for measuring; pairs are made of train")
    return render(make_scene(split_seed(split, stream, index))).image


def slots_of(objects: Objects, row: int) -> Slots:
    """What was found in one picture, as slots of a training row; which scene object each shows is left open."""
    n = int(objects.valid[row].sum())
    return Slots(
        objects.kind[row, :n].float().numpy(), objects.color[row, :n].float().numpy(),
        objects.size[row, :n].float().numpy(), objects.box[row, :n].float().numpy(), objects.word[row, :n].numpy(), [-1] * n,
    )  # fmt: skip


def encode_pair(
    pair: Pair, number: int, sizes: Sequence[tuple[int, int]], vocabulary: Vocabulary, gamma: float = GAMMA
) -> tuple[Sample, Sample]:
    """The chosen and the rejected answer as samples; tokens in which they differ weigh `gamma`, the others 1.

    An answer may come after its rationale, with `<answer>` between them, as the starter writes it: then it is asked for
    in the mode "think". The samples' tasks are "NUMBER+" and "NUMBER-", so that a pair is found again in a batch.

    Args:
        sizes: width and height of the pair's pictures in pixels, in which boxes of the question are understood.

    Raises:
        InputError: several turns, more pictures than the model takes, or answers that the starter could not write.
    """
    where = f"pair {pair.id!r}"
    if len(pair.prompt) != 1:
        raise InputError(
            f"{where}: the starter is asked one thing at a time, not {len(pair.prompt)} messages"
        )
    if not pair.images or len(pair.images) > vocabulary.config.max_pictures:
        most = vocabulary.config.max_pictures
        raise InputError(f"{where}: {len(pair.images)} pictures; the starter answers about 1 to {most}")
    if (MARK in pair.chosen) != (MARK in pair.rejected):
        raise InputError(
            f"{where}: one answer has a rationale ({MARK}) and the other has none; give both or neither"
        )
    text = pair.prompt[0]["content"].replace(PICTURE, "").strip()
    width, height = sizes[-1]
    regions: list[tuple[float, float, float, float]] = []
    for codec in (BoxCodec("qwen"), BoxCodec("location"), BoxCodec("plain")):
        if not regions:
            text, found = codec.replace(text, width, height, "<region>")
            side = max(width, height)
            regions = [(a / side, b / side, c / side, d / side) for a, b, c, d in found]
    if text.count("<region>") != len(regions):
        raise InputError(f"{where}: a <region> without a box; write the box as [x1,y1,x2,y2] in parts of 1")
    mode = THINK if MARK in pair.chosen else ANSWER
    prompt = [USER, *vocabulary.ids(text), ASSISTANT, mode]
    answers = [answer_ids(answer, vocabulary, where) for answer in (pair.chosen, pair.rejected)]
    if answers[0] == answers[1]:
        raise InputError(f"{where}: both answers are the same tokens: {pair.chosen[:60]!r}")
    out = []
    for sign, ids, weights in zip("+-", answers, segment_weights(answers[0], answers[1], gamma), strict=True):
        fields = [0] * (len(prompt) + len(ids))
        weights = [0.0] * len(prompt) + weights
        out.append(
            Sample(
                prompt + ids, weights, list(regions), [], None, f"{number}{sign}", len(prompt), mode == THINK, fields=fields
            )
        )  # fmt: skip
    return out[0], out[1]


def answer_ids(text: str, vocabulary: Vocabulary, where: str) -> list[int]:
    """Tokens of an answer, `<eos>` last; rationale and answer begin with the space that a word has in a sentence."""
    parts = [part.strip() for part in text.split(MARK)]
    spaced = [f" {part}" if part[:1].isascii() and part[:1].isalnum() else part for part in parts]
    ids = list(vocabulary.ids(MARK.join(spaced)))
    wrong = next((i for i in ids if i in _NEVER), None)
    if wrong is not None or ids.count(ANSWER) > 1:
        what = vocabulary.tokenizer.convert_ids_to_tokens(ANSWER if wrong is None else wrong)
        raise InputError(f"{where}: {what} cannot stand there in an answer: {text[:60]!r}")
    return [*ids, EOS]
