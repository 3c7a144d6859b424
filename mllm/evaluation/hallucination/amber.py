"""AMBER: descriptions scored by CHAIR, Cover, Hal and Cog, and yes/no questions with "no" as the positive class.

AMBER = (100 - CHAIR + F1) / 2 (Wang et al. 2023). A description's nouns are taken by looking its words up in the
benchmark's own vocabulary (the words of the annotations and of its table of associated words), in the singular; the
official script tags parts of speech and adds word vectors, so figures may differ from it in the first decimal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ....errors import InputError
from ...nouns import singular
from ..bootstrap import interval, ratio
from .files import field, read_object, read_rows, yes_or_no
from .pope import rates, said_yes

_WORD = re.compile(r"[a-z]+")
KINDS = {
    "existence": ("discriminative-hallucination",),
    "attribute": (
        "discriminative-attribute-state",
        "discriminative-attribute-number",
        "discriminative-attribute-action",
    ),
    "relation": ("discriminative-relation", "relation"),
}


class Associations:
    """Words that stand for one another in the benchmark: a word's own entry and the entries that list it."""

    def __init__(self, table: Mapping[str, Sequence[str]], vocabulary: Sequence[str]) -> None:
        self.alike: dict[str, set[str]] = {}
        for word, others in table.items():
            for other in others:
                self.alike.setdefault(word, set()).add(other)
                self.alike.setdefault(other, set()).add(word)
        self.words = set(vocabulary) | set(self.alike) | set(table)

    def nouns(self, text: str) -> list[str]:
        """The benchmark's words in a text, each once, in their order."""
        tokens = [singular(word) for word in _WORD.findall(text.lower())]
        found = []
        i = 0
        while i < len(tokens):
            pair = " ".join(tokens[i : i + 2])
            if i + 1 < len(tokens) and pair in self.words:
                found.append(pair)
                i += 2
                continue
            if tokens[i] in self.words:
                found.append(tokens[i])
            i += 1
        return list(dict.fromkeys(found))

    def same(self, said: str, true: str) -> bool:
        return said == true or true in self.alike.get(said, ())


def generative(
    answers: Mapping[int, str],
    annotations: Mapping[int, Mapping[str, Any]],
    alike: Associations,
    seed: int = 0,
) -> dict[str, Any]:
    """Descriptions by question id -> `chair`, `cover`, `hal`, `cog` in percent, intervals over pictures, `n`."""
    rows = []
    for key, text in answers.items():
        truth, targets = list(dict.fromkeys(annotations[key]["truth"])), annotations[key]["hallu"]
        nouns = alike.nouns(text)
        wrong = [noun for noun in nouns if not any(alike.same(noun, t) for t in truth)]
        covered = [t for t in truth if any(alike.same(noun, t) for noun in nouns)]
        likely = [noun for noun in wrong if any(alike.same(noun, t) for t in targets)]
        said = len(nouns) or 1
        rows.append(
            (len(wrong) / said, len(covered) / (len(truth) or 1), float(bool(wrong)), len(likely) / said, 1.0)
        )
    if not rows:
        raise InputError("there is no description to score")
    means = np.asarray(rows).mean(0)
    names = ("chair", "cover", "hal", "cog")
    found: dict[str, Any] = {name: round(100 * float(means[i]), 2) for i, name in enumerate(names)}
    ci = {name: interval(rows, ratio(i, 4, 100), seed) for i, name in enumerate(names)}
    return found | {"ci": ci, "n": len(rows)}


def discriminative(labels: Sequence[bool], answers: Sequence[bool], seed: int = 0) -> dict[str, Any]:
    """Labels and answers (True is yes) -> `accuracy`, `precision`, `recall`, `f1` in percent of the class "no"."""
    rows = []
    for label, answer in zip(labels, answers, strict=True):
        row = [0.0] * 4
        row[2 * (not label) + (not answer)] += 1
        rows.append(row)
    if not rows:
        raise InputError("there is no question to score")
    statistics = {name: f for name, f in rates().items() if name != "yes_ratio"}
    total = np.asarray(rows).sum(0, keepdims=True)
    found: dict[str, Any] = {
        n: round(100 * float(np.nan_to_num(f(total))[0]), 2) for n, f in statistics.items()
    }
    return found | {
        "ci": {n: tuple(100 * v for v in interval(rows, f, seed)) for n, f in statistics.items()}, "n": len(rows)
    }  # fmt: skip


def evaluate(
    predictions: str | Path, annotations: str | Path, associations: str | Path, seed: int = 0
) -> dict[str, Any]:
    """Score [{"id", "response"}, ...] against the official annotation and association files.

    Returns:
        `generative` and `discriminative` where the predictions hold such answers, the latter also by kind; `amber`
        where they hold both.
    """
    truth = {}
    for number, row in enumerate(read_rows(annotations), 1):
        where = f"{annotations}, item {number}"
        truth[int(field(row, ("id",), where))] = row | {"type": field(row, ("type",), where)}
    table = read_object(associations)
    vocabulary = [
        word
        for row in truth.values()
        if row["type"] == "generative"
        for word in (*row["truth"], *row["hallu"])
    ]
    alike = Associations(table, vocabulary)
    texts: dict[int, str] = {}
    asked: dict[int, tuple[bool, bool]] = {}
    for number, row in enumerate(read_rows(predictions), 1):
        where = f"{predictions}, row {number}"
        key, response = (
            int(field(row, ("id",), where)),
            str(field(row, ("response", "answer", "text"), where)),
        )
        if key not in truth:
            raise InputError(f"{where}: the annotations have no question {key}")
        if truth[key]["type"] == "generative":
            texts[key] = response
        else:
            asked[key] = yes_or_no(truth[key]["truth"], where), said_yes(response)
    found: dict[str, Any] = {}
    if texts:
        found["generative"] = generative(texts, truth, alike, seed)
    if asked:
        found["discriminative"] = _asked(list(asked.values()), seed)
        found["kinds"] = {}
        for kind, types in KINDS.items():
            part = [pair for key, pair in asked.items() if truth[key]["type"] in types]
            if part:
                found["kinds"][kind] = _asked(part, seed)
    if texts and asked:
        found["amber"] = round((100 - found["generative"]["chair"] + found["discriminative"]["f1"]) / 2, 2)
    if not found:
        raise InputError(f"{predictions} holds no answer")
    return found


def _asked(pairs: Sequence[tuple[bool, bool]], seed: int) -> dict[str, Any]:
    """(label, answer) pairs, scored."""
    return discriminative([label for label, _ in pairs], [answer for _, answer in pairs], seed)
