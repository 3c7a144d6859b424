"""Hallucination before and after verification, by the public protocols: on recorded pictures, as a trade-off curve.

The protocols' own tables (CHAIR's synonyms) are used here, for scoring, and nowhere in the verifier.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...mllm.evaluation.bootstrap import interval
from ...mllm.evaluation.hallucination import chair, pope
from ...programs.engine import Engine
from .asked import extract_answer
from .claims import Extraction
from .correction import correct
from .evidence import Evidence, Gatherer
from .recorded import blank
from .reliability import Reliability, Thresholds
from .verdicts import Judge

CURVE = (
    0.0,
    0.05,
    0.1,
    0.15,
    0.2,
    0.25,
    0.3,
    0.35,
    0.4,
    0.45,
    0.5,
    0.55,
    0.6,
    0.65,
    0.7,
    0.75,
    0.8,
    0.85,
    0.9,
    0.95,
)


@dataclass(frozen=True, slots=True)
class Looked:
    """A text about a recorded picture with its claims and its evidence: what verdicts are made of, at any threshold."""

    row: int
    found: Extraction
    evidence: Evidence
    label: bool | None = None  # of an answer: whether the thing asked for is there


def look(rows: Sequence[Mapping[str, Any]], engine: Engine, both: bool) -> tuple[list[Looked], list[Looked]]:
    """(captions, answers): claims and evidence of every text, gathered once."""
    captions, answers = [], []
    for number, row in enumerate(rows):
        gatherer = Gatherer(blank(row["image"]), engine, both=both)
        found = extract_answer(row["caption"], "")
        captions.append(Looked(number, found, gatherer.gather(found)))
        for question in row["pope"]:
            found = extract_answer(question["answer"], question["question"])
            answers.append(Looked(number, found, gatherer.gather(found), question["label"] == "yes"))
    return captions, answers


def corrected(one: Looked, engine: Engine, reliability: Reliability) -> str:
    """The text as the verifier leaves it."""
    verdicts = Judge(one.found, one.evidence, engine.models, reliability).judge(one.found.claims)
    return correct(one.found, verdicts).text


def at_thresholds(
    reliability: Reliability, told: float | None = None, answer: float | None = None
) -> Reliability:
    """The same calibration with other thresholds for absence."""
    thresholds = dict(reliability.thresholds)
    if told is not None:
        thresholds["existence"] = Thresholds(told, max(told, thresholds["existence"].support))
    if answer is not None:
        thresholds["answer"] = Thresholds(answer, max(answer, thresholds["existence"].support))
    return replace(reliability, thresholds=thresholds)


def captions_score(
    rows: Sequence[Mapping[str, Any]],
    looked: Sequence[Looked],
    texts: Sequence[str],
    synonyms: chair.Synonyms,
    seed: int = 0,
) -> dict[str, Any]:
    """CHAIR of texts, and how much of the drafts' recall they keep, with intervals over pictures."""
    after = [chair.judge(t, rows[one.row]["objects"], synonyms) for one, t in zip(looked, texts, strict=True)]
    before = [chair.judge(one.found.text, rows[one.row]["objects"], synonyms) for one in looked]
    table = [
        (len(b.hallucinated), b.mentions, len(a.hallucinated), a.mentions, b.named, a.named)
        for b, a in zip(before, after, strict=True)
    ]

    def relative(sums: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(100 * (sums[:, 2] / sums[:, 3]) / (sums[:, 0] / sums[:, 1]))

    def kept(sums: np.ndarray) -> np.ndarray:
        return np.asarray(100 * sums[:, 5] / sums[:, 4])

    total = np.asarray([np.sum(table, axis=0)], dtype=float)
    return chair.summarise(after, seed) | {
        "chair_i_left": round(float(relative(total)[0]), 1), "recall_kept": round(float(kept(total)[0]), 2),
        "ci_left": interval(table, relative, seed), "ci_kept": interval(table, kept, seed),
        "changed": sum(one.found.text != t for one, t in zip(looked, texts, strict=True)),
    }  # fmt: skip


def answers_score(
    rows: Sequence[Mapping[str, Any]], looked: Sequence[Looked], texts: Sequence[str], seed: int = 0
) -> dict[str, Any]:
    """POPE of texts; gain in accuracy and lost yes-recall, in points, with intervals over pictures."""
    by_image: dict[int, list[float]] = {}
    labels, said = [], []
    for one, text in zip(looked, texts, strict=True):
        label, was, now = bool(one.label), pope.said_yes(one.found.text), pope.said_yes(text)
        row = by_image.setdefault(one.row, [0.0] * 4)
        row[0] += (now == label) - (was == label)
        row[1] += 1
        row[2] += label * (was - now)
        row[3] += label
        labels.append(label)
        said.append(now)

    def gain(sums: np.ndarray) -> np.ndarray:
        return np.asarray(100 * sums[:, 0] / sums[:, 1])

    def lost(sums: np.ndarray) -> np.ndarray:
        return np.asarray(100 * sums[:, 2] / sums[:, 3])

    table = list(by_image.values())
    total = np.asarray([np.sum(table, axis=0)])
    return pope.score(labels, said, [str(one.row) for one in looked], seed) | {
        "gain": round(float(gain(total)[0]), 2), "ci_gain": interval(table, gain, seed),
        "recall_lost": round(float(lost(total)[0]), 2), "ci_lost": interval(table, lost, seed),
    }  # fmt: skip


def curve(
    rows: Sequence[Mapping[str, Any]],
    engine: Engine,
    reliability: Reliability | Callable[[int], Reliability],
    synonyms: chair.Synonyms,
    seed: int = 0,
) -> dict[str, Any]:
    """Before, after at the learned thresholds, and the whole trade-off curve, of captions and of answers.

    `reliability` may tell a row's own, for calibrations fitted without it.
    """
    of = reliability if callable(reliability) else lambda _: reliability
    captions, answers = look(rows, engine, of(0).both)

    def scored(told: float | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
        def texts(looked: Sequence[Looked]) -> list[str]:
            return [corrected(c, engine, at_thresholds(of(c.row), told, told)) for c in looked]

        return (
            captions_score(rows, captions, texts(captions), synonyms, seed),
            answers_score(rows, answers, texts(answers), seed),
        )

    drafts = (
        captions_score(rows, captions, [c.found.text for c in captions], synonyms, seed),
        answers_score(rows, answers, [a.found.text for a in answers], seed),
    )
    after = scored()
    points = []
    for threshold in CURVE:
        captions_at, answers_at = scored(threshold)
        points.append({
            "threshold": threshold, "chair_i": captions_at["chair_i"], "recall_kept": captions_at["recall_kept"],
            "chair_i_left": captions_at["chair_i_left"], "gain": answers_at["gain"], "recall_lost": answers_at["recall_lost"],
            "ci_left": captions_at["ci_left"], "ci_kept": captions_at["ci_kept"], "ci_gain": answers_at["ci_gain"],
            "ci_lost": answers_at["ci_lost"],
        })  # fmt: skip
    return {
        "captions": {"before": drafts[0], "after": after[0]}, "answers": {"before": drafts[1], "after": after[1]},
        "curve": points, "pictures": len(rows),
    }  # fmt: skip
