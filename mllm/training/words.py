"""Stage "words": the words tower learns to plan, and to claim, compose and act in words, and to copy what it must not know."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..scenes.questions import make_turns
from ..scenes.schema import Turn
from ..scenes.world import make_scene, split_seed
from ..starter.config import EOS
from ..words.copying import history
from ..words.model import WordsForCausalLM, prompt_places
from ..words.spelling import Speller
from ..words.tower import WordsTower

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

TextSource = Callable[[Random], Turn]
# Tokens that both sides have by chance: a single one of them, with nothing alike around it, was not copied.
_COMMON = (
    " ",
    "s",
    "es",
    "'",
    '"',
    ".",
    ",",
    " if",
    " else",
    " in",
    " and",
    " or",
    " not",
    ")",
    "(",
    "?",
    " '",
    ' "',
)


@dataclass
class WordsSample:
    """One turn as tokens, where its answer starts, and for each answer token the places it may be copied from.

    `copies[i]` belongs to answer token i: places in the whole sequence; empty: it cannot be copied; None: no matter.
    """

    ids: list[int]
    answer_at: int
    copies: list[list[int] | None]


def copy_places(
    prompt: Sequence[int], answer: Sequence[int], common: frozenset[int], twins: Sequence[int]
) -> list[list[int] | None]:
    """For each answer token, where in the prompt it (or the token of which it is the twin) stands in the longest run that is
    alike around it.

    A token of `common` counts only inside a longer run; alone it is left open (None).
    """
    where: dict[int, list[int]] = {}
    for j, token in enumerate(prompt):
        for form in {token, twins[token]}:
            where.setdefault(form, []).append(j)
    before: dict[int, int] = {}  # run that ends at place j, for the answer token in hand
    runs: list[dict[int, int]] = []
    for token in answer:
        before = {j: before.get(j - 1, 0) + 1 for j in where.get(token, ())}
        runs.append(before)
    out: list[list[int] | None] = [[] for _ in answer]
    after: dict[int, int] = {}
    for i in range(len(answer) - 1, -1, -1):
        after = {j: max(after.get(j + 1, 0), length) for j, length in runs[i].items()}
        if after:
            best = max(after.values())
            alone = best == 1 and answer[i] in common
            out[i] = None if alone else [j for j, length in after.items() if length == best]
    return out


def scene_turn(task: str) -> TextSource:
    """Turns of one task about a scene whose answer follows from their words; the scene is never drawn."""

    def draw(rng: Random) -> Turn:
        for _ in range(200):
            scene = make_scene(split_seed("train", rng.getrandbits(31), 0))
            turns = [turn for turn in make_turns(scene, rng, tasks=[task]) if turn.words_only]
            if turns:
                return turns[0]
        raise RuntimeError(f"two hundred scenes gave no {task} turn of words only")

    return draw


class WordsStage:
    """Batches of turns as a pure function of the step, and their loss.

    Args:
        model, tokenizer: what is trained, and its words.
        seed: of the stream.
        sources: (weight, source) pairs of turns.
        batch: turns a step.
        parts: batches that a step is made of, cut so that little is padded.
        attend_weight: of the loss that sends the copy head to the right place.
        gate_weight: of the loss that opens its gate there, and shuts it where nothing can be copied.
    """

    name = "words"

    def __init__(
        self,
        model: WordsForCausalLM,
        tokenizer: PreTrainedTokenizerFast,
        seed: int,
        sources: Iterable[tuple[float, TextSource]],
        batch: int = 160,
        parts: int = 5,
        attend_weight: float = 0.3,
        gate_weight: float = 0.1,
    ) -> None:
        self.model, self.seed, self.batch_size, self.parts = model, seed, batch, parts
        self.attend_weight, self.gate_weight = attend_weight, gate_weight
        self.sources = list(sources)
        self.tower = WordsTower(model, Speller(tokenizer))
        self.speller = self.tower.speller
        model.copying.twins.copy_(torch.tensor(self.speller.twins))
        ids = (tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids for text in _COMMON)
        self.common = frozenset(found[0] for found in ids if len(found) == 1)

    def parameters(self) -> list[tuple[str, torch.nn.Parameter]]:
        """All of the tower."""
        return list(self.model.named_parameters())

    def encode(self, turn: Turn) -> WordsSample:
        """A turn as the tower reads and writes it."""
        planned = turn.task.startswith("plan")
        prompt = self.tower.prompt(turn.question, planned)
        answer = [*self.speller.answer(turn.answer, lead=not planned), EOS]
        return WordsSample(
            prompt + answer, len(prompt), copy_places(prompt, answer, self.common, self.speller.twins)
        )

    def batch(self, step: int) -> list[dict[str, Any]]:
        """Turns number step * batch ... in `parts` batches; the same for every call with the same step."""
        weights = [weight for weight, _ in self.sources]
        samples = []
        for i in range(step * self.batch_size, (step + 1) * self.batch_size):
            rng = Random(f"words {self.seed}/{i}")
            source = rng.choices([s for _, s in self.sources], weights)[0]
            samples.append(self.encode(source(rng)))
        samples.sort(key=lambda s: len(s.ids))
        cuts = best_cuts([len(s.ids) for s in samples], self.parts)
        total = sum(len(s.copies) for s in samples)
        return [collate_words(samples[a:b], total) for a, b in pairwise(cuts) if b > a]

    def losses(self, batches: list[dict[str, Any]]) -> Iterator[tuple[Tensor, dict[str, float]]]:
        """The step's loss in parts."""
        for batch in batches:
            loss, parts = words_loss(self.model, batch, self.attend_weight, self.gate_weight)
            yield loss * batch["share"], parts


def best_cuts(lengths: Sequence[int], parts: int) -> list[int]:
    """Where to cut ascending lengths into at most `parts` groups so that padding is least: [0, ..., len(lengths)]."""
    n = len(lengths)
    cost, back = [[0.0] + [float("inf")] * n], []
    for _ in range(min(parts, n)):
        row, origin = [0.0] + [float("inf")] * n, [0] * (n + 1)
        for end in range(1, n + 1):
            row[end], origin[end] = min(
                (cost[-1][at] + (end - at) * lengths[end - 1], at) for at in range(end)
            )
        cost.append(row)
        back.append(origin)
    cuts = [n]
    for origin in reversed(back):
        cuts.append(origin[cuts[-1]])
    return sorted(set(cuts))


def collate_words(samples: Sequence[WordsSample], total: int) -> dict[str, Any]:
    """Samples padded on the right: ids [N, T], tokens (without padding), row and column of each token that predicts an answer token,
    copies [tokens, T] (the places that its goal may be copied from), known [tokens] (1 copied, 0 not, -1 no matter)."""
    n, t = len(samples), max(len(s.ids) for s in samples)
    ids = np.zeros((n, t), np.int64)
    rows: list[int] = []
    columns: list[int] = []
    known: list[int] = []
    marks: list[tuple[int, int]] = []
    for r, s in enumerate(samples):
        ids[r, : len(s.ids)] = s.ids
        for i, places in enumerate(s.copies):
            known.append(-1 if places is None else int(bool(places)))
            marks += [(len(rows), j) for j in places or ()]
            rows.append(r)
            columns.append(s.answer_at + i - 1)
    copies = np.zeros((len(rows), t), bool)
    if marks:
        at = np.array(marks)
        copies[at[:, 0], at[:, 1]] = True
    return {
        "ids": torch.from_numpy(ids),
        "tokens": sum(len(s.ids) for s in samples),
        "rows": torch.tensor(rows),
        "columns": torch.tensor(columns),
        "copies": torch.from_numpy(copies),
        "known": torch.tensor(known),
        "share": len(rows) / total,
    }


def words_loss(
    model: WordsForCausalLM, batch: dict[str, Any], attend_weight: float, gate_weight: float
) -> tuple[Tensor, dict[str, float]]:
    """The loss of a batch and its parts: `answer` (-log p a token), `attend` and `gate` (copying, supervised)."""
    ids, rows, columns = batch["ids"], batch["rows"], batch["columns"]
    n, t = ids.shape
    causal = torch.ones(t, t, dtype=torch.bool).tril()
    positions = torch.arange(1, t + 1).expand(n, t)
    prompt = prompt_places(ids)
    look = causal.expand(n, t, t) | (prompt[:, :, None] & prompt[:, None, :])
    states = model.states(ids, positions, look[:, None])
    past = history(ids)
    attention, gate, bare = model.copying.attend(
        states, past, model.copying.key(states), past, causal[None].expand(n, t, t)
    )
    attention, gate, bare = (x[rows, columns] for x in (attention, gate, bare))  # [tokens, T], [tokens] x 2
    goal = ids[rows, columns + 1]
    written = -F.cross_entropy(model.head(states[rows, columns]).float(), goal, reduction="none")
    whole, without = (
        attention.masked_fill(~(causal[columns] & (forms[rows] == goal[:, None])), -1e4).logsumexp(-1)
        for forms in (ids, model.copying.twins[ids])
    )
    copied = torch.logaddexp(F.logsigmoid(-bare) + whole, F.logsigmoid(bare) + without)
    each = -torch.logaddexp(F.logsigmoid(-gate) + written, F.logsigmoid(gate) + copied)
    answer = each.mean()
    known, can = batch["known"], batch["known"] == 1
    attend = -attention.masked_fill(~batch["copies"], -1e4).logsumexp(-1)[can].sum() / can.sum().clamp_min(1)
    open_ = F.binary_cross_entropy_with_logits(gate, can.float(), reduction="none")[known >= 0].mean()
    loss = answer + attend_weight * attend + gate_weight * open_
    with torch.no_grad():
        parts = {
            "answer": float(answer), "attend": float(attend), "gate": float(open_),
            "copied": float(each[can].mean()) if bool(can.any()) else float("nan"),
        }  # fmt: skip
    return loss, parts


def exact_share(tower: WordsTower, turns: Sequence[Turn]) -> float:
    """Share of the planner turns whose program the tower writes exactly, greedily and without a grammar."""
    training = tower.model.training
    written = tower.write([t.question for t in turns], plan=True, max_new_tokens=200)
    tower.model.train(training)
    return sum(w == t.answer.strip() for w, t in zip(written, turns, strict=True)) / len(turns)
