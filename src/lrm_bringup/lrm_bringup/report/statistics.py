"""Intervals for shares: how sure a measured success rate is."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

_Z95 = 1.959963984540054
MIN_GROUPS = 5
"""A bootstrap over fewer groups says too little: its intervals come out far too narrow."""


def wilson(successes: int, n: int, z: float = _Z95) -> tuple[float, float]:
    """Confidence interval of a share (Wilson 1927; holds for small n and shares near 0 or 1).

    Args:
        successes: number of successes, 0 ≤ successes ≤ n.
        n: number of trials.
        z: standard normal quantile; the default gives 95 %.

    Returns:
        (low, high) in [0, 1]; (NaN, NaN) when n is 0.
    """
    if n == 0:
        return math.nan, math.nan
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return low, high


def paired_difference(before: Sequence[bool], after: Sequence[bool]) -> tuple[float, float, float]:
    """Difference of two success rates measured on the same scenes, with its 95 % interval.

    Interval: Newcombe's square-and-add of the two Wilson intervals with the correlation of the pairs (Newcombe 1998,
    method 10 without continuity correction).

    Returns:
        (difference, low, high) in [-1, 1]; NaN where there are no pairs.
    """
    if len(before) != len(after):
        raise ValueError(f"pairs need equal lengths, got {len(before)} and {len(after)}")
    n = len(before)
    if n == 0:
        return math.nan, math.nan, math.nan
    first, second = sum(before) / n, sum(after) / n
    low1, high1 = wilson(sum(before), n)
    low2, high2 = wilson(sum(after), n)
    phi = _phi(np.asarray(before, bool), np.asarray(after, bool))
    difference = second - first

    def spread(a: float, b: float) -> float:
        return math.sqrt(max(0.0, a * a - 2 * phi * a * b + b * b))

    low = difference - spread(second - low2, high1 - first)
    high = difference + spread(high2 - second, first - low1)
    return difference, max(-1.0, low), min(1.0, high)


def independent_difference(successes: tuple[int, int], trials: tuple[int, int]) -> tuple[float, float, float]:
    """Difference second - first of two success rates measured on different scenes, with its 95 % interval.

    Interval: Newcombe's square-and-add of the two Wilson intervals (Newcombe 1998, method 10 of his paper on
    independent proportions).

    Returns:
        (difference, low, high) in [-1, 1]; NaN where one of them has no trials.
    """
    if not all(trials):
        return math.nan, math.nan, math.nan
    (low1, high1), (low2, high2) = (wilson(k, n) for k, n in zip(successes, trials, strict=True))
    first, second = (k / n for k, n in zip(successes, trials, strict=True))
    difference = second - first
    return (
        difference,
        difference - math.hypot(second - low2, high1 - first),
        difference + math.hypot(high2 - second, first - low1),
    )


def mcnemar(before: Sequence[bool], after: Sequence[bool]) -> float:
    """Two-sided p-value of the exact test of McNemar: is one of two paired rates higher? 1 where no pair differs."""
    won = sum(b and not a for a, b in zip(before, after, strict=True))
    lost = sum(a and not b for a, b in zip(before, after, strict=True))
    tail = sum(math.comb(won + lost, k) for k in range(min(won, lost) + 1))
    return min(1.0, 2 * tail / 2 ** (won + lost))


def bootstrap_difference(
    first: Sequence[Sequence[float]],
    second: Sequence[Sequence[float]],
    q: float | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Difference second - first of the mean, or of a quantile, with its 95 % interval, where values come in groups.

    Whole groups (episodes) are drawn again, since the values within one depend on each other (cluster bootstrap,
    percentiles).

    Args:
        first, second: groups of finite values; empty ones are left out.
        q: the quantile, [0, 1]; None: the mean.
        resamples: how often groups are drawn.
        seed: of the draws.

    Returns:
        (difference, low, high); NaN where one side has no values. The interval is NaN where one side has fewer than
        ``MIN_GROUPS`` groups, and where no draw differs from another: that is no certainty.
    """
    sides = [[np.asarray(group, float) for group in side if len(group)] for side in (first, second)]
    if not all(sides):
        return math.nan, math.nan, math.nan
    a, b = (float(_of_groups(side, np.ones((1, len(side)), int), q)[0]) for side in sides)
    if min(map(len, sides)) < MIN_GROUPS:
        return b - a, math.nan, math.nan
    rng = np.random.default_rng(seed)
    drawn = [
        _of_groups(side, rng.multinomial(len(side), np.full(len(side), 1.0 / len(side)), resamples), q)
        for side in sides
    ]  # fmt: skip
    low, high = np.quantile(drawn[1] - drawn[0], (0.025, 0.975))
    return (b - a, float(low), float(high)) if low < high else (b - a, math.nan, math.nan)


def _of_groups(groups: Sequence[np.ndarray], times: np.ndarray, q: float | None) -> np.ndarray:
    """Mean or quantile of the values of all groups, each taken so many ``times`` (resamples, groups); (resamples,)."""
    if q is None:
        sums, counts = np.array([group.sum() for group in groups]), np.array([len(group) for group in groups])
        return np.asarray((times @ sums) / (times @ counts))
    values = np.concatenate(groups)
    order = np.argsort(values)
    group_of = np.repeat(np.arange(len(groups)), [len(group) for group in groups])[order]
    reached = np.cumsum(times[:, group_of], axis=1)
    return np.asarray(values[order][(reached >= q * reached[:, -1:]).argmax(axis=1)])


def bootstrap_mean(values: Sequence[float], resamples: int = 2000, seed: int = 0) -> tuple[float, float, float]:
    """Mean with its 95 % interval (percentile bootstrap, Efron 1979); NaN where there are no values."""
    if not len(values):
        return math.nan, math.nan, math.nan
    data, rng = np.asarray(values, float), np.random.default_rng(seed)
    means = data[rng.integers(len(data), size=(resamples, len(data)))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(data.mean()), float(low), float(high)


def _phi(before: np.ndarray, after: np.ndarray) -> float:
    """Correlation of the two outcomes over the pairs; 0 when one of them never varies."""
    if before.all() or after.all() or not before.any() or not after.any():
        return 0.0
    return float(np.corrcoef(before, after)[0, 1])


def quantile(values: Sequence[float], q: float) -> float:
    """Quantile of the finite values; NaN when there are none."""
    finite = [value for value in values if math.isfinite(value)]
    return float(np.quantile(finite, q)) if finite else math.nan
