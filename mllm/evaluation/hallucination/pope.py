"""POPE: yes/no questions on objects, half of them about objects that are not there (Li et al. 2023).

The absent objects of a picture are drawn three ways: `random` among all, `popular` by how often they occur in the set,
`adversarial` by how often they occur beside the objects of this picture. "Yes" is the positive class.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ....errors import InputError
from ..bootstrap import interval
from .files import field, read_rows, yes_or_no

SAMPLINGS = ("random", "popular", "adversarial")
LEAST_OBJECTS = 3  # a picture with fewer kinds of object is left out
_WORD = re.compile(r"[\w']+")


def said_yes(answer: str) -> bool:
    """The protocol's reading of a free answer: no where its first sentence has "no" or "not", else yes.

    Contractions ("isn't") and the Chinese 没有, 不 and 否 count as "not" too; the official script, made for
    English, lacks them.
    """
    first = re.split(r"[.\n。！]", answer.strip(), maxsplit=1)[0]
    words = {word.lower() for word in _WORD.findall(first.replace("’", "'"))}
    if words & {"no", "not", "nope", "none", "否"} or any(word.endswith("n't") for word in words):
        return False
    return not any(mark in first for mark in ("没有", "不", "否"))


def build(
    objects: Mapping[str, Iterable[str]],
    sampling: str,
    seed: int = 0,
    each: int = 3,
    pictures: int | None = None,
) -> list[dict[str, Any]]:
    """Questions in the public format: `question_id`, `image`, `text`, `label`; yes and no by turns.

    Args:
        objects: image -> the kinds in it, in the order of the annotation (the first `each` are asked about).
        sampling: "random", "popular" or "adversarial".
        seed: of the random draws.
        each: questions of either label a picture.
        pictures: at most this many pictures, the first that qualify; all by default.

    Raises:
        InputError: no such sampling, or no picture with three kinds of object.
    """
    if sampling not in SAMPLINGS:
        raise InputError(f"POPE has no sampling {sampling!r}; there are {', '.join(SAMPLINGS)}")
    held = {image: list(dict.fromkeys(names)) for image, names in objects.items()}
    popular = Counter(name for names in held.values() for name in names)
    beside: dict[str, Counter[str]] = {name: Counter() for name in popular}
    for names in held.values():
        for name in names:
            beside[name].update(other for other in names if other != name)
    rows: list[dict[str, Any]] = []
    used = 0
    for image, names in held.items():
        absent = [name for name in sorted(popular) if name not in names]
        if len(names) < max(LEAST_OBJECTS, each) or len(absent) < each:
            continue
        if pictures is not None and used >= pictures:
            break
        used += 1
        if sampling == "random":
            absent = random.Random(f"pope {seed} {image}").sample(absent, each)
        elif sampling == "popular":
            absent.sort(key=lambda name: -popular[name])
        else:
            near = sum((beside[name] for name in names), Counter())
            absent.sort(key=lambda name: (-near[name], -popular[name]))
        for there, missing in zip(names[:each], absent[:each], strict=True):
            for name, label in ((there, "yes"), (missing, "no")):
                article = "an" if name[:1] in "aeiou" else "a"
                rows.append(
                    {
                        "question_id": len(rows) + 1, "image": image,
                        "text": f"Is there {article} {name} in the image?", "label": label,
                    }
                )  # fmt: skip
    if not rows:
        raise InputError(
            f"no picture has {max(LEAST_OBJECTS, each)} kinds of object and {each} absent ones to ask about"
        )
    return rows


def score(
    labels: Sequence[bool], answers: Sequence[bool], images: Sequence[str], seed: int = 0
) -> dict[str, Any]:
    """`accuracy`, `precision`, `recall`, `f1`, `yes_ratio` in 0..1, their 95% intervals over pictures, and `n`."""
    if not labels:
        raise InputError("there is no question to score")
    by_image: dict[str, list[float]] = {}
    for label, answer, image in zip(labels, answers, images, strict=True):
        row = by_image.setdefault(image, [0.0] * 4)
        row[2 * label + answer] += 1  # true negative, false positive, false negative, true positive
    rows = list(by_image.values())
    total = [[sum(column) for column in zip(*rows, strict=True)]]
    statistics = rates()
    import numpy as np

    found: dict[str, Any] = {
        name: round(float(np.nan_to_num(f(np.asarray(total)))[0]), 4) for name, f in statistics.items()
    }
    return found | {"ci": {name: interval(rows, f, seed) for name, f in statistics.items()}, "n": len(labels)}


def rates() -> dict[str, Any]:
    """The rates as statistics of the sums [.., 4] of true negatives, false positives, false negatives, true positives."""
    import numpy as np

    def safely(above: Any, below: Any) -> Any:
        with np.errstate(divide="ignore", invalid="ignore"):
            return above / below

    return {
        "accuracy": lambda s: safely(s[:, 0] + s[:, 3], s.sum(1)),
        "precision": lambda s: safely(s[:, 3], s[:, 1] + s[:, 3]),
        "recall": lambda s: safely(s[:, 3], s[:, 2] + s[:, 3]),
        "f1": lambda s: safely(2 * s[:, 3], 2 * s[:, 3] + s[:, 1] + s[:, 2]),
        "yes_ratio": lambda s: safely(s[:, 1] + s[:, 3], s.sum(1)),
    }


def evaluate(predictions: str | Path, questions: str | Path, seed: int = 0) -> dict[str, Any]:
    """Score {"question_id", "answer" or "text"} rows against a public question file.

    Raises:
        InputError: a question without a prediction, or a prediction for no question.
    """
    said: dict[str, str] = {}
    for number, row in enumerate(read_rows(predictions), 1):
        where = f"{predictions}, row {number}"
        said[str(field(row, ("question_id",), where))] = str(
            field(row, ("answer", "text", "response"), where)
        )
    asked = read_rows(questions)
    labels, answers, images = [], [], []
    for number, row in enumerate(asked, 1):
        where = f"{questions}, row {number}"
        key = str(field(row, ("question_id",), where))
        if key not in said:
            raise InputError(f"{predictions} has no answer to question {key} of {questions}")
        labels.append(yes_or_no(field(row, ("label",), where), where))
        answers.append(said_yes(said[key]))
        images.append(str(field(row, ("image",), where)))
    extra = set(said) - {str(row["question_id"]) for row in asked}
    if extra:
        raise InputError(f"{predictions} answers question {sorted(extra)[0]}, which {questions} does not ask")
    return score(labels, answers, images, seed)
