"""Figures over episodes as functions of episode weights.

One figure is then one function: at weights of 1 it is the figure itself, at resampled weights (Efron 1979, whole
episodes are drawn) its bootstrap distribution, and with the same weights for two models the paired one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

Estimator = Callable[[np.ndarray], np.ndarray]
"""(B, E) weights of E episodes -> (B,) values; NaN where the figure is not defined."""
RESAMPLES = 2000
MIN_DEFINED = 0.8
"""Share of resamples in which a figure has to be defined: one episode is drawn in 63 to 75 % of them, two in 86 %."""
_LEVEL = 0.95


def mean_of(values: Sequence[float] | np.ndarray) -> Estimator:
    """Weighted mean of (E,) values; NaN ones are left out."""
    data = np.asarray(values, float)
    known = np.isfinite(data)
    return ratio_of(np.where(known, data, 0.0), known)


def ratio_of(part: Sequence[float] | np.ndarray, whole: Sequence[float] | np.ndarray) -> Estimator:
    """Sum over episodes of (E,) ``part`` by that of (E,) ``whole``: a share of frames, comparisons, episodes."""
    top, bottom = np.asarray(part, float), np.asarray(whole, float)
    return lambda weights: _divide(weights @ top, weights @ bottom)


def auc_of(scores: np.ndarray, labels: np.ndarray, ties: float = 0.5) -> Estimator:
    """Share of (positive, negative) pairs in which the positive scores higher.

    Args:
        scores: (E,) any unit; NaN: left out.
        labels: (E,) 1 positive, 0 negative, NaN unknown.
        ties: what a pair of equal scores counts.
    """
    order = np.argsort(np.where(np.isfinite(scores), scores, math.nan))  # NaN last
    known = int(np.isfinite(scores).sum())
    levels = np.unique(scores[order[:known]], return_index=True)[1]

    def at(weights: np.ndarray) -> np.ndarray:
        """Sums per level of the score: a positive wins against the negatives of all levels below its own."""
        if not known:
            return np.full(len(weights), math.nan)
        there = weights[:, order[:known]]
        ranked = labels[order[:known]]
        positive, negative = (np.add.reduceat(there * (ranked == label), levels, axis=1) for label in (1.0, 0.0))
        below = np.cumsum(negative, axis=1) - negative
        won = (positive * (below + ties * negative)).sum(axis=1)
        return _divide(won, positive.sum(axis=1) * negative.sum(axis=1))

    return at


def pearson_of(a: np.ndarray, b: np.ndarray, minimum: int = 2) -> Estimator:
    """Weighted Pearson correlation of (E,) ``a`` and ``b``; NaN below ``minimum`` episodes or without variance."""
    known = np.isfinite(a) & np.isfinite(b)
    x, y = (np.where(known, v - (v[known].mean() if known.any() else 0.0), 0.0) for v in (a, b))

    def at(weights: np.ndarray) -> np.ndarray:
        kept = weights * known
        total = kept.sum(axis=1)
        mx, my = _divide(kept @ x, total), _divide(kept @ y, total)
        vx, vy = _divide(kept @ x**2, total) - mx**2, _divide(kept @ y**2, total) - my**2
        defined = ((kept > 0).sum(axis=1) >= minimum) & (vx > 1e-12 * _top(x)) & (vy > 1e-12 * _top(y))
        root = np.sqrt(np.where(defined, vx * vy, 0.0))
        correlation = np.clip(_divide(_divide(kept @ (x * y), total) - mx * my, root), -1.0, 1.0)
        return np.where(defined, correlation, math.nan)

    return at


def tau_of(scores: np.ndarray, ranks: np.ndarray, groups: Sequence[str]) -> Estimator:
    """Kendall's tau-b of (E,) scores and ranks over the pairs of episodes of one group; NaN without any such pair."""
    known = np.isfinite(scores) & np.isfinite(ranks)
    names = np.asarray(groups, dtype=object)
    members = [np.flatnonzero((names == name) & known) for name in dict.fromkeys(groups)]
    signs = [(at, np.sign(_differences(scores[at])), np.sign(_differences(ranks[at]))) for at in members]

    def at(weights: np.ndarray) -> np.ndarray:
        sums = np.zeros((3, len(weights)))
        for inside, s, r in signs:
            of_group = weights[:, inside]
            sums += np.array([((of_group @ pairs) * of_group).sum(axis=1) for pairs in (s * r, s * s, r * r)])
        agree, by_score, by_rank = sums
        return _divide(agree, np.sqrt(by_score * by_rank))

    return at


def calibration_error_of(counts: np.ndarray, stated: np.ndarray, true: np.ndarray) -> Estimator:
    """Expected calibration error from what each episode adds to each bin.

    Args:
        counts: (E, bins) answers.
        stated: (E, bins) sum of stated probabilities.
        true: (E, bins) how many were true.
    """
    gap = stated - true
    return lambda weights: _divide(np.abs(weights @ gap).sum(axis=1), (weights @ counts).sum(axis=1))


def value(estimator: Estimator, inside: np.ndarray) -> float:
    """The figure over the episodes where (E,) bool ``inside`` is true."""
    return float(estimator(np.asarray(inside, float)[None, :])[0])


def bootstrap_weights(inside: np.ndarray, seed: int = 0, resamples: int = RESAMPLES) -> np.ndarray:
    """(B, E) how often each episode is drawn, with replacement, as many as (E,) bool ``inside`` has; 0 outside."""
    index = np.flatnonzero(inside)
    weights = np.zeros((resamples, len(inside)))
    if len(index):
        drawn = np.random.default_rng(seed).multinomial(len(index), np.full(len(index), 1.0 / len(index)), resamples)
        weights[:, index] = drawn
    return weights


def interval(values: np.ndarray) -> tuple[float, float]:
    """95 % interval of (B,) resampled figures; NaN where it would rest on one episode alone."""
    known = values[np.isfinite(values)]
    if not len(known) or len(known) < MIN_DEFINED * len(values):
        return math.nan, math.nan
    low, high = np.quantile(known, ((1 - _LEVEL) / 2, (1 + _LEVEL) / 2))
    return float(low), float(high)


def _differences(values: np.ndarray) -> np.ndarray:
    return values[:, None] - values[None, :]  # type: ignore[no-any-return]


def _top(values: np.ndarray) -> float:
    return float(np.max(values**2, initial=0.0))


def _divide(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(np.shape(part), math.nan), where=np.asarray(whole) > 0)
