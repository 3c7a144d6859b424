"""Confidence intervals by the bootstrap: of means, of ratios of sums, and of differences between two paired systems."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

DRAWS = 1000


def interval(
    rows: Sequence[Sequence[float]],
    statistic: Callable[[np.ndarray], np.ndarray],
    seed: int = 0,
    draws: int = DRAWS,
) -> tuple[float, float]:
    """95% percentile interval of a statistic of column sums, resampling rows (pictures, not questions).

    Args:
        rows: [N, K] numbers of each picture, to be summed.
        statistic: [draws, K] sums -> [draws] values.
    """
    values = np.asarray(rows, dtype=np.float64)
    if not len(values):
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(len(values), np.full(len(values), 1 / len(values)), draws)
    low, high = np.nanpercentile(statistic(weights @ values), [2.5, 97.5])
    return float(low), float(high)


def ratio(above: int, below: int, scale: float = 1.0) -> Callable[[np.ndarray], np.ndarray]:
    """The statistic column `above` / column `below`; not a number where the latter is nought."""

    def statistic(sums: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(scale * sums[:, above] / sums[:, below])

    return statistic


def paired(
    first: Sequence[float], second: Sequence[float], seed: int = 0, draws: int = DRAWS
) -> tuple[float, float, float]:
    """Mean of first - second over the same items, with its 95% interval."""
    gap = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    low, high = interval(np.stack((gap, np.ones_like(gap)), 1).tolist(), ratio(0, 1), seed, draws)
    return float(gap.mean()), low, high
