"""Stage "instruct": the connector and the language model learn from questions about scenes."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..scenes.pairs import make_pair, make_pair_turns
from ..scenes.questions import TASKS, make_turns
from ..scenes.render import Rendered, render
from ..scenes.schema import Scene, Turn
from ..scenes.world import SceneConfig, make_scene, split_seed
from ..starter.config import PAD
from ..starter.connector import Objects
from ..starter.model import StarterForConditionalGeneration
from .data import Row, Slots, SymbolicEye, Vocabulary, collate, encode_turn, pointer_numbers
from .objective import shuffled, starter_loss
from .vision import to_pixels

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

MATCHED = 0.5  # overlap (IoU) from which a detection is taken to be an object of the scene


class InstructStage:
    """Rows of one scene (or a pair) with its questions, on symbols or on real detections.

    Turns that need no picture (claims, a question's parts) are left out: the tower of words learns those.

    Args:
        model, tokenizer: what is trained, and its words.
        seed: of the stream of scenes; scenes come from the training split only.
        batch: rows a step.
        turns: questions asked of one scene.
        think: chance that an answer comes after its rationale.
        seen_share: share of rows whose objects are found by the model's own perception in a drawn picture.
        seen_from: step before which `seen_share` counts as nothing.
        pair_share: share of the other rows that show two pictures.
        ramp: rows over which scenes grow from one or two objects to full ones; 0: full ones from the start.
        tasks: how often each task is asked; all alike by default.
        every_shuffled: steps between two measurements of the loss with the wrong picture.
        parts: batches of like length that a step is made of.
        relate: let rationales say what holds between the things that they point at.
        match_weight: weight of the supervised matches of words with objects.
        layouts: how often each layout of scenes is shown; as the world has them by default.
        forms: weights of forms of questions ("logic.exactly") of which a scene is asked more, or less, than they come up; 1
            for all others.
    """

    name = "instruct"

    def __init__(
        self,
        model: StarterForConditionalGeneration,
        tokenizer: PreTrainedTokenizerFast,
        seed: int,
        batch: int = 24,
        turns: int = 10,
        think: float = 0.6,
        seen_share: float = 0.0,
        seen_from: int = 0,
        pair_share: float = 0.08,
        ramp: int = 6000,
        tasks: dict[str, float] | None = None,
        every_shuffled: int = 40,
        parts: int = 6,
        relate: bool = True,
        match_weight: float = 1.0,
        layouts: dict[str, float] | None = None,
        forms: dict[str, float] | None = None,
    ) -> None:
        self.model, self.seed, self.batch_size, self.turns, self.think = model, seed, batch, turns, think
        self.seen_share, self.seen_from, self.pair_share = seen_share, seen_from, pair_share
        self.ramp, self.relate, self.match_weight = ramp, relate, match_weight
        self.vocabulary = Vocabulary(tokenizer, model.config)
        self.eye = SymbolicEye(model.config)
        self.tasks = tasks or dict.fromkeys(TASKS, 1.0)
        self.layouts = tuple(layouts.items()) if layouts else SceneConfig().layouts
        self.forms = forms or {}
        self.every_shuffled, self.parts = every_shuffled, parts
        self._step = 0

    def parameters(self) -> list[tuple[str, torch.nn.Parameter]]:
        """The connector and the language model; perception and the reader are frozen."""
        return [(n, p) for n, p in self.model.named_parameters() if n.startswith(("connector.", "language."))]

    def batch(self, step: int) -> list[dict[str, Any]]:
        """Rows number step * batch ... as one batch; the same for every call with the same step."""
        self._step = step
        seen_share = self.seen_share if step >= self.seen_from else 0.0
        plain: list[tuple[list[Scene], Random]] = []
        drawn: list[tuple[list[Rendered], Random]] = []
        rows: list[Row] = []
        for i in range(step * self.batch_size, (step + 1) * self.batch_size):
            rng = Random(f"{self.seed}/{i}")
            full = min(1.0, 0.15 + i / self.ramp) if self.ramp else 1.0
            hard = 1.0 if rng.random() < 0.3 else full
            most = 8 if hard == 1.0 else 2 + round(6 * hard)
            world = SceneConfig(curriculum=hard, max_objects=most, layouts=self.layouts)
            scene = make_scene(split_seed("train", self.seed, i), world)
            scenes = list(make_pair(scene, rng)) if rng.random() < self.pair_share else [scene]
            if rng.random() < seen_share:
                drawn.append(([render(s) for s in scenes], rng))
            else:
                plain.append((scenes, rng))
        rows += [self.row(scenes, [self.eye.look(s, rng) for s in scenes], rng) for scenes, rng in plain]
        if drawn:
            found = self.model.perceive(to_pixels([d.image for pictures, _ in drawn for d in pictures]))
            at = 0
            for pictures, rng in drawn:
                scenes = [d.scene for d in pictures]
                slots = [detected_slots(found, at + j, scene) for j, scene in enumerate(scenes)]
                at += len(scenes)
                rows.append(self.row(scenes, slots, rng))
        return collate(rows, self.model.config, self.parts)

    def row(self, scenes: list[Scene], slots: list[Slots], rng: Random) -> Row:
        """One scene, or two, and the questions about them."""
        numbers = pointer_numbers(slots, scenes, self.model.config)
        if len(scenes) == 2:
            turns = make_pair_turns(scenes[0], scenes[1], rng)
        else:
            turns = self.asked(scenes[0], rng)
        row = Row(slots)
        for turn in turns:
            if turn.words_only or any(i not in numbers for i in turn.objects):
                continue  # what was not seen must not be learned as if it were
            think = rng.random() < self.think
            row.samples.append(encode_turn(turn, scenes, numbers, self.vocabulary, think, relate=self.relate))
        return row

    def asked(self, scene: Scene, rng: Random) -> list[Turn]:
        """Questions about a scene; where forms have weights, half of twice as many, drawn by weight."""
        names = list(self.tasks)
        many = self.turns * (2 if self.forms else 1)
        turns = make_turns(scene, rng, tasks=rng.choices(names, [self.tasks[n] for n in names], k=many))
        if not self.forms:
            return turns
        # sampling without replacement: the largest u^(1/w) (Efraimidis and Spirakis 2006)
        keys = [rng.random() ** (1 / self.forms.get(turn.form, 1.0)) for turn in turns]
        best = sorted(range(len(turns)), key=lambda i: -keys[i])[: (len(turns) + 1) // 2]
        return [turns[i] for i in sorted(best)]

    def count(self, batch: list[dict[str, Any]]) -> int:
        """Tokens of a step, pictures' tokens included."""
        return sum(int((b["ids"] != PAD).sum()) for b in batch)

    def losses(self, batches: list[dict[str, Any]]) -> Iterator[tuple[Tensor, dict[str, float]]]:
        """The step's loss in parts; now and then also what it is with the wrong picture (`blind`)."""
        for batch in batches:
            loss, parts = starter_loss(self.model, batch, self.match_weight)
            yield loss * batch["share"], parts
        if self._step % self.every_shuffled == 0:
            with torch.no_grad():
                for batch in batches:
                    right = starter_loss(self.model, batch)[1]["words"]
                    blind = starter_loss(self.model, shuffled(batch))[1]["words"]
                    yield torch.zeros(()), {"blind": blind, "gap": blind - right}


def detected_slots(found: Objects, row: int, scene: Scene) -> Slots:
    """The detections of one picture as slots; each is matched with the scene object that it overlaps most."""
    import numpy as np

    n = int(found.valid[row].sum())
    box = found.box[row, :n].float().numpy()
    of = [-1] * n
    pairs = []
    for i, o in enumerate(scene.objects):
        true = np.array(o.box, np.float32) / [scene.width, scene.height, scene.width, scene.height]
        for j in range(n):
            overlap = iou(box[j], true)
            if overlap > MATCHED:
                pairs.append((overlap, j, i))
    used: set[int] = set()
    for _, j, i in sorted(pairs, reverse=True):
        if of[j] < 0 and i not in used:
            of[j] = i
            used.add(i)
    return Slots(
        found.kind[row, :n].float().numpy(), found.color[row, :n].float().numpy(), found.size[row, :n].float().numpy(),
        box, found.word[row, :n].numpy(), of,
    )  # fmt: skip


def iou(a: Any, b: Any) -> float:
    """Intersection over union of two boxes."""
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if w <= 0 or h <= 0:
        return 0.0
    both = float(w * h)
    return both / float((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)
