"""How long an answer takes: one picture and one question, and ten questions on a picture together or one by one.

python -m sightline.mllm.evaluation.speed --model FOLDER --json
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from statistics import median

from ..answerer import Answerer, Question
from . import command
from .scenes import make_items

SHORT = (
    "existence",
    "count",
    "color",
    "attribute",
    "relation",
    "compare",
    "region",
    "ground",
    "word",
    "statement",
)


def measure(answerer: Answerer, seed: int, rounds: int) -> dict[str, float]:
    """Medians over `rounds` pictures, in milliseconds; `one` includes looking at the picture.

    By the clock, and as processor time (`cpu_`), which other work on the machine does not stretch; the two ways of asking
    ten questions take turns picture by picture.
    """
    items = [i for i in make_items(seed, 40 * rounds, tasks=SHORT) if len(i.images) == 1]
    by_image: dict[int, list[Question]] = {}
    images = {id(i.images[0]): i.images[0] for i in items}
    one, together, apart = [], [], []

    def clock(work: Callable[[], object]) -> tuple[float, float]:
        begun, busy = time.perf_counter(), time.process_time()
        work()
        return 1000 * (time.perf_counter() - begun), 1000 * (time.process_time() - busy)

    for key, image in images.items():
        seen = answerer.look([image])[0]
        by_image[key] = [
            Question(i.turn.question, (seen,), i.turn.region) for i in items if id(i.images[0]) == key
        ]
    answerer.ask(next(iter(by_image.values()))[:1])  # the first call pays for what is built lazily
    for key, questions in list(by_image.items())[:rounds]:
        first = questions[0]

        def whole(image: object = images[key], q: Question = first) -> None:
            seen = answerer.look([image])
            answerer.ask([Question(q.text, tuple(seen), q.region, q.mode)])

        one.append(clock(whole))
        ten = (questions * 10)[:10]
        together.append(clock(lambda ten=ten: answerer.ask(ten)))  # type: ignore[misc]
        apart.append(clock(lambda ten=ten: [answerer.ask([q]) for q in ten]))  # type: ignore[misc]
    figures: dict[str, float] = {"rounds": rounds}
    for which, sort in enumerate(("", "cpu_")):
        single, joint, split = (median(t[which] for t in times) for times in (one, together, apart))
        figures |= {
            f"{sort}one_ms": single, f"{sort}ten_together_ms": joint, f"{sort}ten_apart_ms": split,
            f"{sort}speedup": split / joint,
        }  # fmt: skip
    return figures


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; exits with 2 on bad input."""
    parser = command.parser("speed", __doc__)
    parser.add_argument("--rounds", type=int, default=20, help="pictures to measure")
    options = parser.parse_args(argv)
    return command.run(
        options,
        lambda: measure(Answerer.load(options.model), options.seed, options.rounds),
        lambda figures: "\n".join(f"{k:<20}{v:.1f}" for k, v in figures.items()),
    )


if __name__ == "__main__":
    sys.exit(main())
