"""The little statistics that calibration needs: ridge logistic regression, shrunken rates, folds, ECE and risk-coverage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Logistic:
    """log odds = bias + weights . x, on features as they are."""

    bias: float
    weights: np.ndarray  # [K]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(1 / (1 + np.exp(-np.clip(self.bias + x @ self.weights, -30, 30))))


def fit_logistic(x: np.ndarray, y: np.ndarray, ridge: float = 3.0, steps: int = 50) -> Logistic:
    """Newton's method with a ridge on the weights of standardised features [N, K]; the bias is free.

    Raises:
        ValueError: no rows, or one class only.
    """
    if not len(x) or len(np.unique(y)) < 2:
        raise ValueError("a logistic model needs rows of both kinds")
    mean, spread = x.mean(0), x.std(0) + 1e-9
    z = np.concatenate([np.ones((len(x), 1)), (x - mean) / spread], axis=1)
    penalty = np.diag([0.0] + [ridge] * x.shape[1])
    w = np.zeros(z.shape[1])
    for _ in range(steps):
        p = 1 / (1 + np.exp(-np.clip(z @ w, -30, 30)))
        gradient = z.T @ (p - y) + penalty @ w
        hessian = z.T @ (z * (p * (1 - p))[:, None]) + penalty + 1e-9 * np.eye(len(w))
        step = np.linalg.solve(hessian, gradient)
        w = w - step
        if np.abs(step).max() < 1e-8:
            break
    weights = w[1:] / spread
    return Logistic(float(w[0] - weights @ mean), weights)


def folds(groups: Sequence[str], count: int, seed: int) -> np.ndarray:
    """A fold [N] for each row, whole groups (pictures) together."""
    names = sorted(set(groups))
    order = np.random.default_rng(seed).permutation(len(names))
    fold = {names[i]: k % count for k, i in enumerate(order)}
    return np.array([fold[g] for g in groups])


def cross_predict(
    x: np.ndarray, y: np.ndarray, groups: Sequence[str], ridge: float = 3.0, count: int = 5, repeats: int = 5
) -> np.ndarray:
    """Predictions [N], each by a model that saw nothing of the row's group; means over `repeats` divisions."""
    total = np.zeros(len(y))
    for seed in range(repeats):
        fold = folds(groups, count, seed)
        for k in range(count):
            inside, outside = fold != k, fold == k
            total[outside] += fit_logistic(x[inside], y[inside], ridge)(x[outside])
    return total / repeats


def shrunk_log_odds(
    hits: Mapping[str, int], totals: Mapping[str, int], strength: float = 4.0
) -> dict[str, float]:
    """Log odds by name, each rate drawn towards the pooled one as if `strength` rows of that were added (beta-binomial).

    Under '' stands the pooled one.
    """
    pooled = (sum(hits.values()) + 1) / (sum(totals.values()) + 2)
    found = {"": _log_odds(pooled)}
    for name, total in totals.items():
        found[name] = _log_odds((hits.get(name, 0) + strength * pooled) / (total + strength))
    return found


def _log_odds(p: float) -> float:
    return float(np.log(p / (1 - p)))


def reliability_bins(p: np.ndarray, y: np.ndarray, bins: int = 10) -> list[dict[str, float]]:
    """The reliability diagram: for each tenth of probability that occurs its mean, the share that is true, and n."""
    place = np.minimum((p * bins).astype(int), bins - 1)
    return [
        {"p": round(float(p[place == b].mean()), 4), "true": round(float(y[place == b].mean()), 4), "n": int((place == b).sum())}
        for b in range(bins)
        if (place == b).any()
    ]  # fmt: skip


def expected_calibration_error(p: np.ndarray, y: np.ndarray, bins: int = 10) -> float:
    """ECE: the mean over rows of |probability - share that is true| of their bins."""
    return float(sum(b["n"] * abs(b["p"] - b["true"]) for b in reliability_bins(p, y, bins)) / max(1, len(p)))


def risk_coverage(p: np.ndarray, y: np.ndarray) -> list[tuple[float, float]]:
    """(coverage, risk): of the surest verdicts down to all of them, the share that is wrong."""
    sure = np.maximum(p, 1 - p)
    wrong = ((p >= 0.5) != (y > 0.5)).astype(float)[np.argsort(-sure, kind="stable")]
    coverage = np.arange(1, len(p) + 1) / max(1, len(p))
    risk = np.cumsum(wrong) / np.arange(1, len(p) + 1)
    picks = np.unique(np.linspace(0, len(p) - 1, min(21, len(p))).astype(int))
    return [(round(float(coverage[i]), 4), round(float(risk[i]), 4)) for i in picks]


def largest(p: np.ndarray, y: np.ndarray, spare: float) -> float:
    """The largest threshold below which at most `spare` rows are true, half-way to the next row; 0 where there is none."""
    order = np.argsort(p, kind="stable")
    lost = np.cumsum(y[order])
    within = np.flatnonzero(lost <= spare)
    if not len(within):
        return 0.0
    last = int(within[-1])
    if last + 1 == len(p):
        return float(min(0.95, p[order[last]] + 0.01))
    return float((p[order[last]] + p[order[last + 1]]) / 2)
