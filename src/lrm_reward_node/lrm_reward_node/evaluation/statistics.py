"""The statistics that the metrics are made of. Unknown values (NaN) are left out; NaN where one is not defined."""

from __future__ import annotations

import math

import numpy as np


def roc_auc(scores: np.ndarray, labels: np.ndarray) -> float:
    """Probability that a positive scores higher than a negative, ties count half; NaN without both classes.

    Args:
        scores: (N,) any unit.
        labels: (N,) bool.
    """
    scores, labels = _known(scores, labels)
    labels = labels.astype(bool)
    positives, negatives = int(labels.sum()), int((~labels).sum())
    if not positives or not negatives:
        return math.nan
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2.0)[inverse]
    return float((ranks[labels].sum() - positives * (positives + 1) / 2.0) / (positives * negatives))


def pearson(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson correlation; NaN with fewer than 2 points or without variance."""
    a, b = _known(a, b)
    if len(a) < 2 or np.ptp(a) == 0.0 or np.ptp(b) == 0.0:
        return math.nan
    return float(np.corrcoef(a, b)[0, 1])


def expected_calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int = 10) -> float:
    """Mean distance of predicted probability and observed frequency over equal bins, weighted by their counts."""
    probabilities, labels = _known(probabilities, labels)
    if not len(probabilities):
        return math.nan
    index = np.minimum((probabilities * bins).astype(int), bins - 1)
    gaps = [
        abs(float(np.mean(probabilities[index == i] - labels[index == i]))) * np.mean(index == i)
        for i in np.unique(index)
    ]
    return float(sum(gaps))


def mean(values: list[float]) -> float:
    """Mean of what is not NaN; NaN when nothing is."""
    kept = [value for value in values if not math.isnan(value)]
    return float(np.mean(kept)) if kept else math.nan


def _known(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(a, float), np.asarray(b, float)
    known = ~(np.isnan(a) | np.isnan(b))
    return a[known], b[known]
