"""Whether demonstrations in the prompt teach a task that was not trained (M-ICL): 0, 1, 2 and 4 of them, in several orders.

    python -m sightline.mllm.evaluation.demonstrations --model FOLDER --seed 0 --questions 100

`side`: "Blick the dog." is answered by the half of the picture that the dog is in, "left" or "right".
`relabel`: "Is there a dog?" is answered "red" for yes and "blue" for no.
`second`: words alone: "blick cup, dog" is answered by the second of the two names.

Only the demonstrations say so. Each of the controls breaks one thing: `shuffled` demonstrations have each other's answers (or
the opposite ones), `incoherent` ones have words that have nothing to do with it. Four demonstrations are about two pictures, two
each, for a prompt takes four pictures.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import numpy as np

from ...errors import InputError
from ..answerer import Answerer, Demonstration, Question, Seen
from ..scenes import vocabulary
from ..scenes.questions import make_turns
from ..scenes.render import render
from ..scenes.schema import Scene
from ..scenes.world import SceneConfig, make_scene, split_seed
from . import command
from .scenes import interval, normal

COUNTS = (0, 1, 2, 4)
CONTROLS = ("shuffled", "incoherent")
LABELS = {"side": ("left", "right"), "relabel": ("red", "blue")}
LONGEST = 12  # tokens that an answer may have


@dataclass(frozen=True, slots=True)
class Example:
    """A question of the new task with its answer."""

    text: str
    answer: str


def sides(scene: Scene, rng: Random) -> list[Example]:
    """Things that stand clearly in one half of the picture, each the only one of its name."""
    names = [o.kind for o in scene.objects]
    out = []
    for o in scene.objects:
        middle = (o.box[0] + o.box[2]) / 2 / scene.width
        if names.count(o.kind) == 1 and o.visible > 0.6 and abs(middle - 0.5) > 0.12:
            out.append(Example(f"Blick the {o.kind}.", "left" if middle < 0.5 else "right"))
    return out


def relabelled(scene: Scene, rng: Random) -> list[Example]:
    """Questions of existence, whose yes and no are called by other names."""
    turns = make_turns(scene, rng, tasks=["existence"], language="en", count=6)
    return [Example(t.question, "red" if t.answer == "yes" else "blue") for t in turns]


MAKERS: dict[str, Callable[[Scene, Random], list[Example]]] = {"side": sides, "relabel": relabelled}


def pairs_of(task: str, seed: int, count: int) -> list[tuple[Any, tuple[Example, Example]]]:
    """`count` pictures of the test split, each with two examples whose answers differ, in random order."""
    out: list[tuple[Any, tuple[Example, Example]]] = []
    index = 0
    while len(out) < count:
        rng = Random(f"demonstrations/{task}/{seed}/{index}")
        drawn = render(
            make_scene(split_seed("test", seed, index), SceneConfig(layouts=(("scattered", 1.0),)))
        )
        index += 1
        if index > 100 * count + 1000:
            raise InputError(f"the scenes of seed {seed} give too few questions of the task {task}")
        by_label = [
            [e for e in MAKERS[task](drawn.scene, rng) if e.answer == label] for label in LABELS[task]
        ]
        if all(by_label):
            two = [rng.choice(found) for found in by_label]
            rng.shuffle(two)
            out.append((drawn.image, (two[0], two[1])))
    return out


def broken(
    shown: Sequence[Demonstration], control: str, other: dict[str, str], rng: Random
) -> list[Demonstration]:
    """The demonstrations with wrong answers: the label that does not fit, or a word from nowhere."""
    if control == "incoherent":
        return [replace(d, answer=rng.choice(vocabulary.SIGN_WORDS).lower()) for d in shown]
    return [replace(d, answer=other[d.answer]) for d in shown]


def prompts(
    task: str, answerer: Answerer, seed: int, questions: int
) -> list[tuple[str, int, int, Question, str]]:
    """Every prompt of a task: (kind of demonstrations, how many, order, question, true answer)."""
    rng = Random(f"demonstrations/{task}/{seed}")
    out: list[tuple[str, int, int, Question, str]] = []
    if task == "second":
        names = [k for k in vocabulary.KINDS if " " not in k]
        for _ in range(questions):
            pairs = [rng.sample(names, 2) for _ in range(1 + max(COUNTS))]
            shown = [Demonstration(f"blick {a}, {b}", b) for a, b in pairs[1:]]
            first = {d.answer: a for d, (a, _) in zip(shown, pairs[1:], strict=True)}
            (a, b) = pairs[0]
            out += _variants(Question(f"blick {a}, {b}", mode="answer"), b, shown, first, rng)
        return out
    found = pairs_of(task, seed, questions)
    seen = answerer.look([image for image, _ in found])
    swap = dict(zip(LABELS[task], reversed(LABELS[task]), strict=True))
    for i, (_, two) in enumerate(found):
        asked = rng.choice(two)
        others = rng.sample([j for j in range(len(found)) if j != i], 2)
        # One example of each of two pictures first, so that one or two demonstrations are about different pictures.
        picked: list[tuple[Seen, Example]] = [(seen[j], found[j][1][n]) for n in (0, 1) for j in others]
        if len({picked[0][1].answer, picked[1][1].answer}) == 1:  # two demonstrations show both answers
            picked[1], picked[3] = picked[3], picked[1]
        shown = [Demonstration(e.text, e.answer, (s,)) for s, e in picked]
        out += _variants(Question(asked.text, (seen[i],), mode="answer"), asked.answer, shown, swap, rng)
    return out


def _variants(
    question: Question, answer: str, shown: Sequence[Demonstration], other: dict[str, str], rng: Random
) -> list[tuple[str, int, int, Question, str]]:
    out = [("right", 0, 0, question, answer)]
    for count in COUNTS[1:]:
        for order, some in enumerate(_orders(shown[:count])):
            out.append(("right", count, order, _with(question, some), answer))
        for control in CONTROLS:
            wrong = broken(shown[:count], control, other, rng)
            out.append((control, count, 0, _with(question, wrong), answer))
    return out


def _orders(shown: Sequence[Demonstration]) -> list[list[Demonstration]]:
    """As they are, the other way round, and begun in the middle; without repeats."""
    half = len(shown) // 2
    ways = [list(shown), list(shown[::-1]), [*shown[half:], *shown[:half]]]
    return ways[: min(3, len(shown))]


def _with(question: Question, shown: Sequence[Demonstration]) -> Question:
    """The question behind its demonstrations; those about one picture stand together, which is then shown once."""
    if not shown[0].pictures:
        return replace(question, demonstrations=tuple(shown))
    groups: dict[int, list[Demonstration]] = {}
    for d in shown:
        groups.setdefault(id(d.pictures[0]), []).append(d)
    told = [
        d if n == 0 else replace(d, pictures=()) for group in groups.values() for n, d in enumerate(group)
    ]
    return replace(question, demonstrations=tuple(told))


def choices(answerer: Answerer, asked: Sequence[Question], labels: Sequence[str]) -> list[str]:
    """Which of two labels a model would rather begin to say after each prompt."""
    first = [answerer.processor.tokenizer(f" {v}", add_special_tokens=False)["input_ids"][0] for v in labels]

    def only(ids: Any, scores: Any) -> Any:
        kept = scores[:, first]
        scores = scores.clone().fill_(float("-inf"))
        scores[:, first] = kept
        return scores

    replies = answerer.ask(asked, max_new_tokens=1, logits_processor=[only])
    return [labels[first.index(r.ids[0])] for r in replies]


def evaluate(answerer: Answerer, tasks: Sequence[str], seed: int, questions: int) -> dict[str, Any]:
    """Accuracy of each task by kind and number of demonstrations.

    Returns:
        task -> "right/4" and so on -> `accuracy` with its 95% interval `ci` (over questions, a question's orders averaged),
        `orders` (the accuracy of each order), `labels` (share of answers that are of the task's two labels at all), `choice`
        (accuracy where nothing but one of the two may be said: by chance .5), `n`.
    """
    out: dict[str, Any] = {}
    for task in tasks:
        asked = sorted(prompts(task, answerer, seed, questions), key=lambda p: (p[0], p[1], p[2]))
        replies = answerer.ask([p[3] for p in asked], max_new_tokens=LONGEST)
        chosen = choices(answerer, [p[3] for p in asked], LABELS[task]) if task in LABELS else None
        likelier: dict[str, list[float]] = {}
        hits: dict[str, dict[int, list[float]]] = {}
        formed: dict[str, list[float]] = {}
        for at, ((kind, count, order, _, answer), reply) in enumerate(zip(asked, replies, strict=True)):
            said = normal(reply.text)
            hits.setdefault(f"{kind}/{count}", {}).setdefault(order, []).append(float(said == answer))
            formed.setdefault(f"{kind}/{count}", []).append(float(said in LABELS.get(task, (answer,))))
            if chosen is not None:
                likelier.setdefault(f"{kind}/{count}", []).append(float(chosen[at] == answer))
        out[task] = {}
        for name, orders in hits.items():
            table = np.array([orders[k] for k in sorted(orders)])  # [orders, questions]
            each = table.mean(0)
            out[task][name] = {
                "accuracy": round(float(each.mean()), 4), "ci": interval(each.tolist()),
                "orders": [round(float(v), 4) for v in table.mean(1)],
                "labels": round(float(np.mean(formed[name])), 4), "n": len(each),
                "choice": round(float(np.mean(likelier[name])), 4) if likelier else None,
            }  # fmt: skip
    return {"tasks": out, "seed": seed, "n": questions}


def table(result: dict[str, Any]) -> str:
    """A Markdown table: accuracy, its interval, the accuracy of each order where there are several, and of the choice of two."""
    names = [f"{k}/{c}" for k in ("right", *CONTROLS) for c in COUNTS if c or k == "right"]
    lines = [f"| task | {' | '.join(names)} | n |", f"|---|{'---|' * (len(names) + 1)}"]
    for task, found in result["tasks"].items():
        cells = []
        for name in names:
            f = found[name]
            orders = f" ({', '.join(f'{v:.2f}' for v in f['orders'])})" if len(f["orders"]) > 1 else ""
            choice = f"; of two {f['choice']:.2f}" if f["choice"] is not None else ""
            cells.append(f"{f['accuracy']:.2f} [{f['ci'][0]:.2f}, {f['ci'][1]:.2f}]{orders}{choice}")
        lines.append(f"| {task} | {' | '.join(cells)} | {result['n']} |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; exits with 2 on bad input."""
    parser = command.parser("demonstrations", __doc__)
    parser.add_argument("--questions", type=int, default=100, help="of each task")
    parser.add_argument(
        "--tasks", nargs="*", default=("side", "relabel", "second"), choices=(*MAKERS, "second")
    )
    options = parser.parse_args(argv)

    def measure() -> dict[str, Any]:
        if options.questions < 3:
            raise InputError(
                f"demonstrations are taken from other questions' pictures: ask 3 or more, not {options.questions}"
            )
        answerer = Answerer.load(options.model)
        tasks = [t for t in options.tasks if t in MAKERS or answerer.words is not None]
        return evaluate(answerer, tasks, options.seed, options.questions) | {"model": str(options.model)}

    return command.run(options, measure, table)


if __name__ == "__main__":
    sys.exit(main())
