"""What the evidence is worth: the fitted numbers behind the verdicts, one JSON file a pack, with where they came from.

Existence is a logistic model over named features; counts a posterior under a detector that misses and doubles; colours,
relations and texts a probability for each kind of observation. `python -m sightline.agent.verification.calibrate` fits them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from ...errors import InputError
from ...tools.models import Models
from .evidence import Look

KINDS = ("existence", "count", "attribute", "relation", "text", "other")


@dataclass(frozen=True)
class Thresholds:
    """A claim is supported from `support` up, contradicted below `contradict`, unverifiable between."""

    contradict: float
    support: float

    def label(self, probability: float) -> str:
        if probability < self.contradict:
            return "contradicted"
        return "supported" if probability >= self.support else "unverifiable"


@dataclass(frozen=True)
class Linear:
    """A logistic model over named features: log odds = bias + the weighted sum."""

    bias: float
    weights: Mapping[str, float]

    def __call__(self, features: Mapping[str, float]) -> float:
        return _sigmoid(self.bias + sum(self.weights.get(n, 0.0) * v for n, v in features.items()))


@dataclass(frozen=True)
class Reliability:
    """The numbers of one pack. `recalls[role]` are measured recalls by class, under '' the pooled one."""

    name: str
    bias: float
    weights: Mapping[str, float]
    recalls: Mapping[str, Mapping[str, float]]
    false_alarms: Mapping[str, float]
    classes: Mapping[
        str, float
    ]  # log odds by which a class is likelier true than others where a text names it
    observations: Mapping[str, float]  # "color.same" -> probability that the claim is true, and so on
    thresholds: Mapping[str, Thresholds]
    seen: Mapping[str, float] = field(
        default_factory=dict
    )  # chance that what the detector saw is there: told, denied
    denied: Mapping[str, float] = field(default_factory=dict)  # the same of what the text denies: tag, none
    absence: tuple[str, ...] = (
        "detector",
        "open_vocabulary",
    )  # roles whose finding nothing may prove absence
    kinds: tuple[str, ...] = KINDS  # kinds of claims that may be contradicted on this evidence
    doubles: float = 0.05  # false detections of a class that is there, a picture
    both: bool = False  # whether two detectors are asked
    models: Mapping[str, Linear] = field(default_factory=dict)  # by kind of claim: count, attribute
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def threshold(self, kind: str) -> Thresholds:
        return self.thresholds.get(kind) or self.thresholds["other"]

    def observed(self, kind: str) -> float:
        """Chance that a claim is true of which this was observed; even where nobody has measured what that is worth."""
        return self.observations.get(kind, 0.5)

    def modelled(self, kind: str, features: Mapping[str, float]) -> float:
        """Chance that a claim of a kind is true by the model fitted for it."""
        return self.models[kind](features)

    def existence(self, features: Mapping[str, float], polarity: bool = True) -> float:
        """Probability that a named thing is there, given what was seen and whether the text asserts or denies it.

        Where a chance for "the detector saw it" was fitted, that decides; else the logistic model over the features does.
        """
        if self.seen and features.get("detector.seen"):
            return self.seen["told" if polarity else "denied"]
        if self.denied and not polarity:
            return self.denied["tag" if features.get("open_vocabulary.exact") else "none"]
        # a model that was told of denials judges them itself
        bias = self.bias if polarity or "denied" in self.weights else -self.bias
        return _sigmoid(bias + sum(self.weights.get(n, 0.0) * v for n, v in features.items()))

    @property
    def fitted(self) -> bool:
        """Whether it was fitted for its pack; the default takes the word of each role's own calibration file."""
        return not str(self.provenance.get("fitted_on", "nothing")).startswith("nothing")

    def recall(self, look: Look, measured: Any = None) -> float:
        """Part of the things of a look's classes that its detector finds: fitted here, else as the role's own file says."""
        table = self.recalls.get(look.role, {})
        pooled = table.get("", 0.6)
        if self.fitted and measured is not None and look.role in self.recalls:
            # our own rate of things not found at all, shared out among the classes as the role's own file has them
            usual = [r for name in measured.classes if (r := measured.recall(name)) is not None]
            missed = max(0.005, 1 - sum(usual) / len(usual)) if usual else 1.0
            told = [
                1 - (1 - pooled) * (1 - found) / missed
                if (found := measured.recall(name)) is not None
                else pooled
                for name in look.classes
            ]
        elif self.fitted or measured is None:
            told = [table.get(name, pooled) for name in look.classes]
        else:
            told = [found for name in look.classes if (found := measured.recall(name)) is not None]
        # of several classes that would do, the thing is of one: the mean, since which one is not known
        return min(0.995, max(0.005, sum(told) / len(told) if told else pooled))

    def evidence_of(self, look: Look, measured: Any = None) -> float:
        """Log likelihood ratio, there against not there, of what one detector said."""
        if not look.covered:
            return 0.0
        recall, false = self.recall(look, measured), self.false_alarms.get(look.role, 0.03)
        if look.score > 0:
            if measured is not None and not self.fitted:
                precision = [p for n in look.classes if (p := measured.precision(n, look.score)) is not None]
                if precision:
                    best = min(0.999, max(0.01, max(precision)))
                    return math.log(best / (1 - best))
            ratio = math.log(recall / false)
            return 0.5 * ratio if look.relation == "wider" else ratio
        return math.log((1 - recall) / (1 - false))

    def to_json(self) -> dict[str, Any]:
        return {
            "version": 1, "name": self.name, "kinds": list(self.kinds), "provenance": dict(self.provenance), "both": self.both,
            "existence": {
                "seen": dict(self.seen), "denied": dict(self.denied), "absence": list(self.absence),
                "bias": self.bias, "weights": dict(self.weights), "classes": dict(self.classes),
            },
            "recalls": {k: dict(v) for k, v in self.recalls.items()}, "false_alarms": dict(self.false_alarms),
            "models": {k: {"bias": m.bias, "weights": dict(m.weights)} for k, m in self.models.items()},
            "doubles": self.doubles, "observations": dict(self.observations),
            "thresholds": {k: [t.contradict, t.support] for k, t in self.thresholds.items()},
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: Mapping[str, Any], where: str) -> Reliability:
        try:
            existence = data["existence"]
            return cls(
                str(data["name"]), float(existence["bias"]), dict(existence["weights"]),
                {k: dict(v) for k, v in data["recalls"].items()}, dict(data["false_alarms"]),
                dict(existence.get("classes", {})),
                dict(data["observations"]),
                {k: Thresholds(float(v[0]), float(v[1])) for k, v in data["thresholds"].items()},
                dict(existence.get("seen", {})), dict(existence.get("denied", {})),
                tuple(existence.get("absence", ("detector", "open_vocabulary"))), tuple(data.get("kinds", KINDS)),
                float(data["doubles"]), bool(data["both"]),
                {k: Linear(float(m["bias"]), dict(m["weights"])) for k, m in data.get("models", {}).items()},
                dict(data["provenance"]),
            )  # fmt: skip
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise InputError(
                f"{where} is no calibration of the verifier ({type(error).__name__}: {error})"
            ) from error

    @classmethod
    def load(cls, path: str | Path) -> Reliability:
        """Read a file; InputError where it is none."""
        try:
            data = json.loads(Path(path).read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{path} cannot be read as a calibration: {error}") from error
        return cls.from_json(data, str(path))


@cache
def shipped(name: str) -> Reliability:
    """A calibration that comes with the package; the default one where a pack has none."""
    folder = resources.files(__package__).joinpath("calibration")
    file = folder.joinpath(f"{name}.json")
    if not file.is_file():
        file = folder.joinpath("default.json")
    return Reliability.from_json(json.loads(file.read_text("utf-8")), file.name)


def reliability_for(models: Models) -> Reliability:
    """The calibration of a pack: by its name, else the default, which contradicts only where recall was measured."""
    return shipped(models.pack.name)


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, x))))


def combine(first: str, second: str) -> str:
    """What two answers, to a question and to its opposite, say together: yes, no, both yes, both no, or unsure.

    A model that says yes to everything says both yes; one that does not hear the "no" in the opposite says the same twice,
    and then it depends on the model what that is worth: calibration counts it.
    """
    a, b = yes(first), yes(second)
    if a is None or b is None:
        return "unsure"
    if a == b:
        return "both yes" if a else "both no"
    return "yes" if a else "no"


def yes(answer: str) -> bool | None:
    """Whether an answer says yes or no; None where it says neither."""
    words = answer.strip().lower().lstrip("\"'").split()
    first = words[0].strip(".,!;:") if words else ""
    if first in ("yes", "true", "correct", "是", "对", "有"):
        return True
    return False if first in ("no", "not", "false", "wrong", "否", "没有", "不") else None


def posterior(
    found: int, recall: float, doubles: float, claimed: Sequence[int], most: int = 40
) -> list[float]:
    """Distribution over how many there are, when `found` were seen by a detector of this recall.

    The prior falls by a third with each one more, and what the text says (`claimed`) counts four times.
    """
    odds = []
    for true in range(most + 1):
        prior = 0.67**true * (4.0 if true in claimed else 1.0)
        odds.append(prior * sum(
            _binomial(seen, true, recall) * _poisson(found - seen, doubles) for seen in range(min(true, found) + 1)
        ))  # fmt: skip
    total = sum(odds)
    return [o / total for o in odds] if total > 0 else [1.0] + [0.0] * most


def _binomial(k: int, n: int, p: float) -> float:
    return math.comb(n, k) * p**k * (1 - p) ** (n - k)


def _poisson(k: int, mean: float) -> float:
    return math.exp(-mean) * mean**k / math.factorial(k)
