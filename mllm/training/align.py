"""Stage "align": direct preference optimisation of the starter with segment weights, on pairs about pictures.

The reference is the model as it was when the stage began. A response scores the weighted mean of its log-probabilities, in
which the tokens that differ between the two answers weigh more (Yu et al. 2023, RLHF-V, arXiv 2312.00849); `keep` adds the
chosen answer's negative log-likelihood, without which both answers may become unlikely (Pang et al. 2024, arXiv 2404.19733).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ...errors import InputError
from ..starter.config import PAD
from ..starter.model import StarterForConditionalGeneration
from ..stock.dpo import BETA, GAMMA, segment_dpo_loss, token_log_probs
from ..stock.pairs import Pair, read_pairs
from .checkpoints import load_checkpoint
from .data import Row, Vocabulary, collate, cuts
from .export import export, load_weights
from .loop import LoopOptions, half_precision, train
from .objective import supervised
from .preferences import encode_pair, open_named, slots_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


@dataclass
class AlignRun:
    """A run of the stage `align` on a starter. Paths are taken from the folder where the command is given."""

    output: str  # folder of checkpoints and metrics
    start: str  # folder of the starter that is aligned; it stays as it is
    pairs: str  # .jsonl file of preference pairs
    export: str = ""  # folder of the aligned starter, written at the end of the run; empty: none
    seed: int = 1  # of the order of pairs
    threads: int = 1  # two threads were slower than one at this size
    precision: str = (
        "float32"  # what the passes compute in; rewards are small differences of log-probabilities
    )
    batch: int = 32  # pairs a step
    parts: int = 4  # batches of like length that a step is made of
    beta: float = BETA  # how far the model may go from the reference
    gamma: float = GAMMA  # weight of a token in which the two answers differ
    keep: float = 0.0  # weight of the chosen answer's negative log-likelihood
    loop: dict[str, Any] = field(default_factory=dict)  # fields of LoopOptions


class AlignStage:
    """Pairs in an order drawn anew for each epoch; what the model thought of them at the start is the reference.

    Args:
        model, tokenizer: what is trained, and its words. Its weights at this moment are the reference: both answers of
            every pair are scored once, here.
        pairs: better and worse answers to prompts with pictures.
        pictures: opens the picture that a pair names.
        seed: of the order of pairs.
        batch: pairs a step.
        beta, gamma, keep: as in `AlignRun`.
        parts: batches of like length that a step is made of.
    """

    name = "align"

    def __init__(
        self,
        model: StarterForConditionalGeneration,
        tokenizer: PreTrainedTokenizerFast,
        pairs: Sequence[Pair],
        pictures: Callable[[str], Any] = open_named,
        seed: int = 1,
        batch: int = 32,
        beta: float = BETA,
        gamma: float = GAMMA,
        keep: float = 0.0,
        parts: int = 4,
    ) -> None:
        if not pairs:
            raise InputError("there are no preference pairs to learn from")
        if beta <= 0 or keep < 0:
            raise InputError(f"beta is {beta} and keep {keep}; beta must be above 0 and keep not below")
        self.model, self.seed, self.batch_size, self.parts = model, seed, batch, parts
        self.beta, self.keep = beta, keep
        self.rows = self._rows(pairs, Vocabulary(tokenizer, model.config), pictures, gamma)
        self.reference = self._scores()  # [P, 2]: the chosen and the rejected answer
        self._orders: dict[int, list[int]] = {}

    def _rows(
        self, pairs: Sequence[Pair], vocabulary: Vocabulary, pictures: Callable[[str], Any], gamma: float
    ) -> list[Row]:
        """A row for each pair: its pictures, looked at once, and the two answers."""
        from ..starter.processor import StarterImageProcessor, picture_size

        processor = StarterImageProcessor(self.model.config.image_size)
        names = list(dict.fromkeys(name for pair in pairs for name in pair.images))
        seen: dict[str, Any] = {}
        sizes: dict[str, tuple[int, int]] = {}
        for at in range(0, len(names), 32):
            some = names[at : at + 32]
            opened = [pictures(name) for name in some]
            found = self.model.perceive(processor(opened)["pixel_values"])
            for row, (name, picture) in enumerate(zip(some, opened, strict=True)):
                seen[name], sizes[name] = slots_of(found, row), picture_size(picture)
        return [
            Row(
                [seen[name] for name in pair.images],
                list(encode_pair(pair, i, [sizes[name] for name in pair.images], vocabulary, gamma)),
            )
            for i, pair in enumerate(pairs)
        ]

    @torch.no_grad()
    def _scores(self) -> Tensor:
        """The scores of all pairs under the model as it is, in batches that follow from the pairs alone."""
        out = torch.zeros(len(self.rows), 2)
        order = sorted(range(len(self.rows)), key=lambda i: max(len(s.ids) for s in self.rows[i].samples))
        for at in range(0, len(order), 16):
            batch = collate([self.rows[i] for i in order[at : at + 16]], self.model.config, 1)[0]
            for task, score in zip(batch["tasks"], response_scores(self.model, batch).tolist(), strict=True):
                out[int(task[:-1]), "+-".index(task[-1])] = score
        return out

    def parameters(self) -> list[tuple[str, torch.nn.Parameter]]:
        """The connector and the language model; perception and the reader are frozen."""
        return [(n, p) for n, p in self.model.named_parameters() if n.startswith(("connector.", "language."))]

    def drawn(self, step: int) -> list[int]:
        """The pairs of a step: every pair once an epoch, in an order of the epoch's own."""
        out = []
        for place in range(step * self.batch_size, (step + 1) * self.batch_size):
            epoch, at = divmod(place, len(self.rows))
            if epoch not in self._orders:
                order = list(range(len(self.rows)))
                Random(f"{self.seed}/{epoch}").shuffle(order)
                self._orders = {epoch: order} | {k: v for k, v in self._orders.items() if k == epoch - 1}
            out.append(self._orders[epoch][at])
        return out

    def batch(self, step: int) -> list[dict[str, Any]]:
        """The step's pairs in batches of like length; the same for every call with the same step."""
        rows = [self.rows[i] for i in self.drawn(step)]
        rows.sort(key=lambda row: max(len(s.ids) for s in row.samples))
        bounds = cuts([max(len(s.ids) for s in row.samples) for row in rows], self.parts)
        # One batch a call: `collate` sorts turns by length, and a pair must not be parted.
        return [
            collate([Row(r.pictures, r.samples) for r in rows[a:b]], self.model.config, 1)[0]
            for a, b in pairwise(bounds)
        ]

    def count(self, batch: list[dict[str, Any]]) -> int:
        """Tokens of a step, pictures' tokens included."""
        return sum(int((b["ids"] != PAD).sum()) for b in batch)

    def losses(self, batches: list[dict[str, Any]]) -> Iterator[tuple[Tensor, dict[str, float]]]:
        """The step's loss in parts, with the share of pairs in the right order and the rewards of both answers."""
        for batch in batches:
            chosen, rejected = sides(batch["tasks"])
            scores = response_scores(self.model, batch)
            before = self.reference[[int(batch["tasks"][at][:-1]) for at in chosen]]
            each, good, bad = segment_dpo_loss(
                scores[chosen], scores[rejected], before[:, 0], before[:, 1], self.beta
            )
            told = -scores[chosen].mean()
            share = len(chosen) / self.batch_size
            yield (
                (each.mean() + self.keep * told) * share,
                {
                    "dpo": float(each.detach().mean()), "order": float((good > bad).float().mean()),
                    "chosen": float(good.mean()), "rejected": float(bad.mean()), "likelihood": -float(told.detach()),
                },
            )  # fmt: skip


def sides(tasks: Sequence[str]) -> tuple[list[int], list[int]]:
    """Where in a batch the chosen and the rejected answers stand, pair by pair; a pair drawn twice counts twice."""
    places: dict[str, list[int]] = {}
    for at, task in enumerate(tasks):
        places.setdefault(task, []).append(at)
    numbers = [task[:-1] for task in places if task.endswith("+")]
    chosen = [at for n in numbers for at in places[f"{n}+"]]
    rejected = [at for n in numbers for at in places[f"{n}-"]]
    return chosen, rejected


def response_scores(model: StarterForConditionalGeneration, batch: dict[str, Any]) -> Tensor:
    """Weighted mean log-probability of each response of a batch of `collate` -> [N]."""
    logits, goal, rows, columns, _, _ = supervised(model, batch)
    weights = batch["weights"][rows, columns]
    spoken = token_log_probs(logits, goal) * weights
    none = torch.zeros(len(batch["ids"]))
    return none.index_add(0, rows, spoken) / none.index_add(0, rows, weights)


def checked(run: AlignRun) -> AlignRun:
    """The run, if its values can be: one clear line otherwise."""
    if run.precision not in ("bfloat16", "float32"):
        raise InputError(f"precision is bfloat16 or float32, not {run.precision!r}")
    if not Path(run.pairs).is_file():
        raise InputError(
            f"no pairs in {run.pairs}; make them with `sightline train pairs --config mllm/configs/starter-pairs.yaml`"
        )
    if run.export and Path(run.export).resolve() == Path(run.start).resolve():
        raise InputError(
            f"export and start are both {run.start}; an aligned starter needs a folder of its own"
        )
    return run


def run_align(run: AlignRun, say: Callable[[str], None] = print) -> None:
    """Align to the end, or on from the last checkpoint, and write the finished folder."""
    from ..answerer import Answerer

    checked(run)
    torch.set_num_threads(run.threads)
    start = Answerer.load(run.start)
    model, tokenizer = start.model, start.processor.tokenizer
    pairs = read_pairs(run.pairs)
    say(f"align: {len(pairs)} pairs of {run.pairs}, from {run.start}")
    half_precision(model, getattr(torch, run.precision))
    stage = AlignStage(
        model, tokenizer, pairs, seed=run.seed, batch=run.batch, beta=run.beta, gamma=run.gamma, keep=run.keep,
        parts=run.parts,
    )  # fmt: skip
    options = LoopOptions(**run.loop)
    train(model, stage, options, run.output, say=say, count=stage.count)
    if run.export and load_checkpoint(Path(run.output))[1]["step"] >= options.steps:
        size = export_aligned(run)
        say(f"{run.export}: {size / 2**20:.1f} MiB of weights")


def export_aligned(run: AlignRun) -> int:
    """Write the aligned starter, with the words tower of its start, as one folder; returns the bytes of its weights."""
    from ..answerer import Answerer

    start = Answerer.load(run.start)
    load_weights(start.model, run.output)
    size = export(start.model, start.processor.tokenizer, run.export)
    if (Path(run.start) / "words").is_dir():
        shutil.copytree(Path(run.start) / "words", Path(run.export) / "words", dirs_exist_ok=True)
    return size
