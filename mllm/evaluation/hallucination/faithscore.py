"""FaithScore: the mean over answers of the share of atomic facts that the picture entails (Jing et al. 2023).

What an atomic fact is, and whether it is entailed, some judge has said: Sightline's verifier, a chat model, or a person.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ....errors import InputError
from ..bootstrap import interval, ratio
from .files import field, read_rows


def score(answers: Sequence[Sequence[bool]], seed: int = 0) -> dict[str, Any]:
    """For each answer, whether each of its facts is entailed -> `faithscore` in 0..1 with its interval, `facts`, `n`.

    An answer without a single fact says nothing about the picture and is left out; `empty` counts those.
    """
    full = [facts for facts in answers if facts]
    if not full:
        raise InputError("no answer has an atomic fact to score")
    rows = [(sum(facts) / len(facts), 1.0) for facts in full]
    return {
        "faithscore": round(sum(row[0] for row in rows) / len(rows), 4),
        "ci": {"faithscore": interval(rows, ratio(0, 1), seed)},
        "facts": sum(len(facts) for facts in full), "empty": len(answers) - len(full), "n": len(full),
    }  # fmt: skip


def evaluate(predictions: str | Path, seed: int = 0) -> dict[str, Any]:
    """Rows of {"facts": [{"text", "entailed"}, ...]}; `entailed` is true or false."""
    answers = []
    for number, row in enumerate(read_rows(predictions), 1):
        where = f"{predictions}, row {number}"
        facts = field(row, ("facts",), where)
        if not isinstance(facts, list):
            raise InputError(f"{where}: 'facts' must be a list of objects")
        judged: list[Any] = [
            field(fact, ("entailed",), where) if isinstance(fact, dict) else None for fact in facts
        ]
        if not all(isinstance(verdict, bool) for verdict in judged):
            raise InputError(f"{where}: each fact needs 'entailed', true or false")
        answers.append(judged)
    return score(answers, seed)
