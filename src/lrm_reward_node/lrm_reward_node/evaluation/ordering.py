"""Rank correlations within one episode: does the score put the frames in the right order?"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

MIN_FRAMES = 3


def value_order_correlation(scores: np.ndarray, order: np.ndarray) -> float:
    """Spearman correlation of (Q,) scores with the order of their frames: the VOC of GVL (arXiv 2411.04549).

    A score that never changes orders nothing: 0, not undefined, or a model that is stuck would only be judged where it
    is not. NaN below 3 known scores.
    """
    from scipy.stats import spearmanr

    return _rank_correlation(scores, order, lambda a, b: float(spearmanr(a, b).statistic))


def kendall_tau(scores: np.ndarray, truth: np.ndarray) -> float:
    """Kendall's tau-b of (Q,) scores with the true progress of their frames.

    0 for a score that never changes; NaN below 3 known frames, or where the truth never changes.
    """
    from scipy.stats import kendalltau

    return _rank_correlation(scores, truth, lambda a, b: float(kendalltau(a, b).statistic))


def _rank_correlation(
    scores: np.ndarray, truth: np.ndarray, correlation: Callable[[np.ndarray, np.ndarray], float]
) -> float:
    known = np.isfinite(scores) & np.isfinite(truth)
    if known.sum() < MIN_FRAMES or np.ptp(truth[known]) == 0.0:
        return math.nan
    found: float = correlation(scores[known], truth[known]) if np.ptp(scores[known]) > 0.0 else 0.0
    return found
