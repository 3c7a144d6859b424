"""MME's hallucination subset: existence, count, position, colour; two questions a picture (Fu et al. 2023).

The score of a task is 100 x (accuracy + accuracy+), where accuracy+ counts the pictures with both questions right.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ....errors import InputError
from ..bootstrap import interval
from .files import yes_or_no

SUBSET = ("existence", "count", "position", "color")


def said(answer: str) -> str:
    """ "yes", "no" or "other": the word itself, or what the first four letters begin with, as the official script has it."""
    text = answer.strip().lower()
    if text in ("yes", "no"):
        return text
    start = re.sub(r"\W", " ", text[:4]).split()
    return next((word for word in ("yes", "no") if word in start), "other")


def score(rows: Iterable[tuple[str, str, bool, str]], seed: int = 0) -> dict[str, Any]:
    """(picture, question, label, answer) rows of one task -> `accuracy`, `accuracy_plus` in percent, `score`, `ci`, `n`.

    Raises:
        InputError: a picture without exactly two questions.
    """
    import numpy as np

    by_picture: dict[str, list[bool]] = {}
    for picture, _, label, answer in rows:
        by_picture.setdefault(picture, []).append(said(answer) == ("yes" if label else "no"))
    if not by_picture:
        raise InputError("there is no question to score")
    for picture, right in by_picture.items():
        if len(right) != 2:
            raise InputError(f"MME asks two questions a picture; {picture} has {len(right)}")
    counts = [(sum(right), float(all(right)), 1.0) for right in by_picture.values()]
    sums = np.asarray(counts).sum(0)
    accuracy, plus = 100 * sums[0] / (2 * sums[2]), 100 * sums[1] / sums[2]
    ci = interval(counts, lambda s: 50 * s[:, 0] / s[:, 2] + 100 * s[:, 1] / s[:, 2], seed)
    return {
        "score": round(accuracy + plus, 2), "accuracy": round(accuracy, 2), "accuracy_plus": round(plus, 2),
        "ci": {"score": ci}, "n": int(2 * sums[2]),
    }  # fmt: skip


def read(path: str | Path) -> list[tuple[str, str, bool, str]]:
    """One task's file as the official tool writes it: picture, question, label, answer, with tabs between, a line each."""
    rows = []
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        parts = line.split("\t")
        if len(parts) != 4:
            raise InputError(
                f"{path}, line {number}: picture, question, label and answer with tabs between are needed; "
                f"there are {len(parts)} parts"
            )
        rows.append((parts[0], parts[1], yes_or_no(parts[2], f"{path}, line {number}"), parts[3]))
    return rows


def evaluate(folder: str | Path, seed: int = 0) -> dict[str, Any]:
    """A folder of task files ("existence.txt" ...): each task's figures, and `total`, the sum of the scores there are."""
    found = {name: Path(folder) / f"{name}.txt" for name in SUBSET}
    there = {name: path for name, path in found.items() if path.is_file()}
    if not there:
        raise InputError(f"{folder} has none of {', '.join(path.name for path in found.values())}")
    tasks = {name: score(read(path), seed) for name, path in there.items()}
    return {"tasks": tasks, "total": round(sum(task["score"] for task in tasks.values()), 2)}
