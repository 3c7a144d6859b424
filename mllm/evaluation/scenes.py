"""Accuracy on held-out scenes, task by task, beside what guessing and a wrong picture give.

python -m sightline.mllm.evaluation.scenes --model FOLDER --seed 0 --questions 2000 --json
"""

from __future__ import annotations

import re
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np

from ...errors import SightlineError
from ..answerer import Answerer, Question, Reply, Seen
from ..boxes import Box
from ..scenes import vocabulary
from ..scenes.pairs import make_pair, make_pair_turns
from ..scenes.questions import TASKS, make_turns
from ..scenes.render import render
from ..scenes.schema import Scene, Turn
from ..scenes.world import SceneConfig, make_scene, split_seed
from . import command

CORRECT = 0.5  # overlap (IoU) from which a box is right


@dataclass(frozen=True, slots=True)
class Item:
    """A question with its scenes and, once drawn, its pictures."""

    turn: Turn
    scenes: tuple[Scene, ...]
    images: tuple[Any, ...]


def make_items(
    seed: int, questions: int, phrasing: str = "train", tasks: Sequence[str] = (), pairs: float = 0.06
) -> list[Item]:
    """`questions` questions about scenes of the test split, which no training seed can draw.

    Args:
        seed: names the stream of scenes.
        phrasing: "train" wordings, or the held-out "test" wordings.
        tasks: only these; empty: all, two-picture questions included.
        pairs: share of the scenes shown as pairs, where all tasks are asked.
    """
    items: list[Item] = []
    index = 0
    while len(items) < questions:
        rng = Random(f"evaluation/{seed}/{index}")
        drawn = [render(make_scene(split_seed("test", seed, index), SceneConfig()))]
        index += 1
        if not tasks and rng.random() < pairs:
            drawn = [render(s) for s in make_pair(drawn[0].scene, rng)]
            turns = make_pair_turns(drawn[0].scene, drawn[1].scene, rng, split=phrasing)
        else:
            turns = make_turns(drawn[0].scene, rng, tasks=tasks or None, split=phrasing)
        scenes, images = tuple(d.scene for d in drawn), tuple(d.image for d in drawn)
        items += [Item(t, scenes, images) for t in turns]
        if index > 50 * questions:
            raise SightlineError(f"the tasks {', '.join(tasks)} give too few questions; name other tasks")
    return items[:questions]


def normal(text: str) -> str:
    """Case, spaces and closing punctuation do not matter."""
    return re.sub(r"\s+", " ", text).strip().strip(".。!?！？").strip().lower()


def iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes."""
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if w <= 0 or h <= 0:
        return 0.0
    return w * h / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h)


def same_boxes(found: Sequence[Box], true: Sequence[Box]) -> bool:
    """Whether every true box has a found box of its own with IoU of at least one half, and none is left over."""
    if len(found) != len(true):
        return False
    left = list(found)
    for box in true:
        best = max(left, key=lambda f: iou(f, box), default=None)
        if best is None or iou(best, box) < CORRECT:
            return False
        left.remove(best)
    return True


def named_kinds(text: str, language: str) -> Counter[str]:
    """The kinds of the world that a caption names."""
    found: Counter[str] = Counter()
    for name, kind in vocabulary.KINDS.items():
        if language == "zh":
            hit = kind.zh in text
        else:
            hit = (
                re.search(rf"\b({re.escape(name)}|{re.escape(vocabulary.plural(name))})\b", text.lower())
                is not None
            )
        if hit:
            found[name] = 1
    return found


def score(turn: Turn, reply: Reply) -> float:
    """1 or 0; for captions the F1 of the kinds named."""
    if turn.task == "ground":
        return float(
            same_boxes(reply.boxes, turn.boxes) if turn.boxes else normal(reply.text) == normal(turn.answer)
        )
    if turn.task == "caption":
        true = named_kinds(re.sub(r"<box:\d+>", "", turn.answer), turn.language)
        said = named_kinds(reply.text, turn.language)
        both = sum((true & said).values())
        return 2 * both / max(1, sum(true.values()) + sum(said.values())) if true or said else 1.0
    return float(normal(reply.text) == normal(re.sub(r"\s*<box:\d+>", "", turn.answer)))


def interval(values: Sequence[float], seed: int = 0, draws: int = 1000) -> tuple[float, float]:
    """95% bootstrap interval of the mean."""
    v = np.asarray(values)
    picks = np.random.default_rng(seed).integers(0, len(v), (draws, len(v)))
    low, high = np.percentile(v[picks].mean(1), [2.5, 97.5])
    return round(float(low), 4), round(float(high), 4)


def evaluate(
    answerer: Answerer, items: Sequence[Item], mode: str = "think", blind: bool = True
) -> dict[str, Any]:
    """Ask everything, once with the right pictures and once with those of another scene.

    Returns:
        `tasks`: for each task `accuracy` with its 95% interval `ci`, `majority` (always the commonest answer of
        its language), `blind` (another scene's picture) and `n`; `forms`: accuracy and n of each form of question
        ("relation.level"); `ms_per_answer` is the batched time of one answer.
    """
    items = sorted(
        items, key=lambda i: (i.turn.task, len(i.turn.answer))
    )  # like with like: short batches end soon
    pictures = [image for item in items for image in item.images]
    unique = {id(image): image for image in pictures}
    seen = dict(zip(unique, answerer.look(list(unique.values())), strict=True))
    shown = [tuple(seen[id(image)] for image in item.images) for item in items]
    begun = time.perf_counter()
    replies = answerer.ask([_question(i, s, mode) for i, s in zip(items, shown, strict=True)])
    spent = time.perf_counter() - begun
    others: list[Reply] | None = None
    if blind:
        singles = [s for s in shown if len(s) == 1]
        step = max(1, len(singles) // 2)
        wrong = {id(s): singles[(i + step) % len(singles)] for i, s in enumerate(singles)}
        asked = [
            _question(item, wrong.get(id(s), tuple(reversed(s))), mode)
            for item, s in zip(items, shown, strict=True)
        ]
        others = answerer.ask(asked)
    tasks: dict[str, Any] = {}
    for task in [*TASKS, *sorted({i.turn.task for i in items} - set(TASKS))]:
        at = [k for k, item in enumerate(items) if item.turn.task == task]
        if not at:
            continue
        right = [score(items[k].turn, replies[k]) for k in at]
        answers = Counter((items[k].turn.language, normal(items[k].turn.answer)) for k in at)
        languages = Counter(items[k].turn.language for k in at)
        top = sum(max(n for (lang, _), n in answers.items() if lang == spoken) for spoken in languages)
        tasks[task] = {
            "accuracy": round(float(np.mean(right)), 4),
            "ci": interval(right),
            "majority": round(top / len(at), 4) if task not in ("ground", "caption") else None,
            # A task of words alone has no picture to take away.
            "blind": round(float(np.mean([score(items[k].turn, others[k]) for k in at])), 4)
            if others and not all(items[k].turn.words_only for k in at)
            else None,
            "n": len(at),
        }
    forms: dict[str, list[float]] = {}
    for item, reply in zip(items, replies, strict=True):
        forms.setdefault(item.turn.form, []).append(score(item.turn, reply))
    return {
        "tasks": tasks,
        "forms": {
            k: {"accuracy": round(float(np.mean(v)), 4), "n": len(v)} for k, v in sorted(forms.items())
        },
        "n": len(items),
        "mode": mode,
        "ms_per_answer": round(1000 * spent / max(1, len(items)), 2),
    }


def _question(item: Item, shown: tuple[Seen, ...], mode: str) -> Question:
    if item.turn.words_only:
        return Question(item.turn.question, (), None, "answer")
    return Question(item.turn.question, shown, item.turn.region, mode)  # type: ignore[arg-type]


def table(result: dict[str, Any]) -> str:
    """Aligned columns, a line for each task."""
    lines = [f"{'task':<14}{'accuracy':>9}{'95% interval':>18}{'majority':>10}{'blind':>8}{'n':>7}"]
    for task, t in result["tasks"].items():
        low, high = t["ci"]
        cells = ["-" if t[k] is None else f"{t[k]:.3f}" for k in ("majority", "blind")]
        lines.append(
            f"{task:<14}{t['accuracy']:>9.3f}{f'{low:.3f} - {high:.3f}':>18}{cells[0]:>10}{cells[1]:>8}{t['n']:>7}"
        )
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; exits with 2 on bad input."""
    parser = command.parser("scenes", __doc__)
    parser.add_argument("--questions", type=int, default=2000)
    parser.add_argument(
        "--phrasing", choices=("train", "test"), default="train", help="wordings seen or held out"
    )
    parser.add_argument(
        "--mode", choices=("think", "answer"), default="think", help="rationale first, or the answer at once"
    )
    parser.add_argument("--tasks", nargs="*", default=(), choices=TASKS)
    parser.add_argument("--no-blind", action="store_true", help="skip the wrong-picture baseline")
    options = parser.parse_args(argv)

    def measure() -> dict[str, Any]:
        answerer = Answerer.load(options.model)
        items = make_items(options.seed, options.questions, options.phrasing, options.tasks)
        result = evaluate(answerer, items, options.mode, not options.no_blind)
        return result | {"seed": options.seed, "phrasing": options.phrasing, "model": str(options.model)}

    return command.run(options, measure, table)


if __name__ == "__main__":
    sys.exit(main())
