"""Whether an answer leans on its rationale: with the model's own, without, with the true one, and with corrupted ones.

    python -m sightline.mllm.evaluation.rationales --model FOLDER --seed 0 --questions 1000

`own` is what the model thinks of and answers after; `none` is the answer at once. The others are forced on it, and it writes
the answer after them: `true` is what the scene says, in the model's notation; `swapped` is its own with every direction,
extent, number, order, colour, size and yes or no turned into another; `other` is what it thought of another question on the
same picture.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from random import Random
from typing import Any

import numpy as np

from ..answerer import Answerer, Question, Reply, Seen
from ..scenes import vocabulary
from . import command
from .scenes import Item, interval, make_items, normal, score

# Tasks whose short answers come after a rationale.
TASKS = (
    "existence", "count", "color", "size", "attribute", "relation", "compare", "region", "logic", "statement",
)  # fmt: skip
ARMS = ("own", "none", "true", "swapped", "other")

_PAIRS = (
    "left right", "above below", "larger smaller", "more fewer", "yes no", "左 右", "上 下", "大 小", "多 少", "是 否",
)  # fmt: skip
_SWAP = {a: b for pair in _PAIRS for a, b in (pair.split(), pair.split()[::-1])}
_SWAP |= dict(zip("0123456789", "1234567898", strict=True))
for _ring in (
    list(vocabulary.COLORS),
    list(vocabulary.SIZES),
    [vocabulary.COLOR_ZH[c] for c in vocabulary.COLORS],
    [vocabulary.SIZE_ZH[s] for s in vocabulary.SIZES],
):
    for _word, _next in zip(_ring, [*_ring[1:], _ring[0]], strict=True):
        _SWAP.setdefault(_word, _next)  # 大 and 小 are directions of extent first
_WORD = re.compile(
    r"<obj\d+>|"
    + "|".join(
        rf"\b{re.escape(w)}\b" if w.isascii() and w.isalpha() else re.escape(w)
        for w in sorted(_SWAP, key=len, reverse=True)
    )
)


def swapped(thought: str) -> str:
    """A rationale with every word that says what holds turned into another; what it points at stays."""
    return _WORD.sub(lambda m: _SWAP.get(m.group(), m.group()), thought)


def thought_of(answerer: Answerer, reply: Reply) -> str:
    """What a reply in mode `think` thought, as the text of its tokens; all of it, where it never came to an answer."""
    from ..starter.config import ANSWER

    ids = reply.ids[: reply.ids.index(ANSWER)] if ANSWER in reply.ids else reply.ids
    return str(answerer.processor.tokenizer.decode(ids))


def true_thought(answerer: Answerer, item: Item, seen: Seen) -> str | None:
    """The rationale that the scene's truth gives, pointing at what was found; None where something was not found."""
    from ..training.data import Vocabulary, pointer_numbers, spoken
    from ..training.instruct import detected_slots
    from ..training.rationale import steps

    config, scenes = answerer.model.config, list(item.scenes)
    slots = detected_slots(seen.objects, 0, scenes[0])
    numbers = pointer_numbers([slots], scenes, config)
    planned = steps(item.turn, scenes)
    if any(i not in numbers for step in planned for i in step.objects):
        return None
    ids, _ = spoken(planned, Vocabulary(answerer.processor.tokenizer, config), numbers)
    return str(answerer.processor.tokenizer.decode(ids))


def evaluate(answerer: Answerer, items: Sequence[Item], seed: int = 0) -> dict[str, Any]:
    """Ask every item in each way that it allows.

    Args:
        items: questions about one picture each that have a rationale.
        seed: of the choice of another question's rationale.

    Returns:
        `tasks`: for each task and for "all", for each way: `accuracy`, its 95% interval `ci`, `n`, `own` (the accuracy of the
        model's own rationale on the same questions) and `kept` (how often the answer is the one after its own rationale).
        A swapped rationale counts only where something in it could be swapped, another's only where it differs.
    """
    items = sorted(items, key=lambda i: (i.turn.task, len(i.turn.answer)))
    unique = {id(i.images[0]): i.images[0] for i in items}
    seen = dict(zip(unique, answerer.look(list(unique.values())), strict=True))
    shown = [seen[id(i.images[0])] for i in items]
    own = answerer.ask([_question(i, s) for i, s in zip(items, shown, strict=True)])
    thoughts = [thought_of(answerer, r) for r in own]
    of_picture: dict[int, list[int]] = {}
    for k, item in enumerate(items):
        of_picture.setdefault(id(item.images[0]), []).append(k)
    rng = Random(f"rationales/{seed}")
    given: dict[str, dict[int, str | None]] = {"none": dict.fromkeys(range(len(items)))}
    for arm in ("true", "swapped", "other"):
        given[arm] = {}
    for k, item in enumerate(items):
        truth = true_thought(answerer, item, shown[k])
        if truth is not None:
            given["true"][k] = truth
        turned = swapped(thoughts[k])
        if turned != thoughts[k]:
            given["swapped"][k] = turned
        others = [j for j in of_picture[id(item.images[0])] if thoughts[j] != thoughts[k]]
        if others:
            given["other"][k] = thoughts[rng.choice(others)]
    right = {"own": {k: score(i.turn, r) for k, (i, r) in enumerate(zip(items, own, strict=True))}}
    same = {"own": dict.fromkeys(range(len(items)), 1.0)}
    for arm, chosen in given.items():
        asked = [_question(items[k], shown[k], chosen[k], arm == "none") for k in chosen]
        replies = dict(zip(chosen, answerer.ask(asked, max_new_tokens=40), strict=True))
        right[arm] = {k: score(items[k].turn, r) for k, r in replies.items()}
        same[arm] = {k: float(normal(r.text) == normal(own[k].text)) for k, r in replies.items()}
    groups = {
        t: [k for k, i in enumerate(items) if i.turn.task == t]
        for t in dict.fromkeys(i.turn.task for i in items)
    }
    groups["all"] = list(range(len(items)))
    return {
        "tasks": {
            name: {
                arm: _figures([k for k in at if k in right[arm]], right[arm], right["own"], same[arm])
                for arm in ARMS
            }
            for name, at in groups.items()
        },
        "n": len(items),
    }


def _figures(
    at: Sequence[int], right: dict[int, float], own: dict[int, float], same: dict[int, float]
) -> dict[str, Any] | None:
    if not at:
        return None
    values = [right[k] for k in at]
    return {
        "accuracy": round(float(np.mean(values)), 4), "ci": interval(values), "n": len(at),
        "own": round(float(np.mean([own[k] for k in at])), 4), "kept": round(float(np.mean([same[k] for k in at])), 4),
    }  # fmt: skip


def _question(item: Item, seen: Seen, thought: str | None = None, at_once: bool = False) -> Question:
    return Question(
        item.turn.question, (seen,), item.turn.region, "answer" if at_once else "think", thought=thought
    )


def table(result: dict[str, Any]) -> str:
    """A Markdown table; beside a forced rationale, in brackets, the model's own on the same questions."""
    lines = [f"| task | {' | '.join(ARMS)} | n |", f"|---|{'---|' * (len(ARMS) + 1)}"]
    for name, found in result["tasks"].items():
        cells = []
        for arm in ARMS:
            f = found[arm]
            if f is None:
                cells.append("-")
                continue
            extra = f" ({f['own']:.2f}; n {f['n']})" if f["n"] != found["own"]["n"] else ""
            low, high = f["ci"]
            cells.append(f"{f['accuracy']:.2f} [{low:.2f}, {high:.2f}]{extra}")
        lines.append(f"| {name} | {' | '.join(cells)} | {found['own']['n']} |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; exits with 2 on bad input."""
    parser = command.parser("rationales", __doc__)
    parser.add_argument("--questions", type=int, default=1000)
    parser.add_argument("--tasks", nargs="*", default=TASKS, choices=TASKS)
    options = parser.parse_args(argv)

    def measure() -> dict[str, Any]:
        answerer = Answerer.load(options.model)
        items = make_items(options.seed, options.questions, tasks=options.tasks)
        result = evaluate(answerer, [i for i in items if i.turn.rationale is not None], options.seed)
        return result | {"seed": options.seed, "model": str(options.model)}

    return command.run(options, measure, table)


if __name__ == "__main__":
    sys.exit(main())
