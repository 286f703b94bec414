"""The statistics that the metrics are made of. Unknown values (NaN) are left out; NaN where one is not defined."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

BINS = 10
TOLERANCES = tuple(i / 10 for i in range(11))
"""Of the tolerance curve (the paper's figure 2)."""


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


@dataclass(frozen=True)
class Reliability:
    """Stated probabilities in equal bins; only bins that are not empty.

    Attributes:
        stated: mean stated probability of each bin.
        true: share that was true.
        count: answers in it.
    """

    stated: np.ndarray
    true: np.ndarray
    count: np.ndarray

    @property
    def error(self) -> float:
        """Expected calibration error; NaN without any answer."""
        return float(np.average(np.abs(self.stated - self.true), weights=self.count)) if len(self.count) else math.nan


def bin_of(probabilities: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Index of the bin of each probability in [0, 1]; 1 belongs to the last."""
    return np.clip((probabilities * bins).astype(int), 0, bins - 1)


def reliability(probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS) -> Reliability:
    """Compare (N,) stated probabilities with (N,) bool of what was true."""
    probabilities, labels = _known(probabilities, labels)
    index = bin_of(probabilities, bins)
    inside = [index == i for i in np.unique(index)]
    stated, true = (np.array([values[i].mean() for i in inside]) for values in (probabilities, labels))
    return Reliability(stated, true, np.array([int(i.sum()) for i in inside]))


def expected_calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS) -> float:
    """Mean distance of predicted probability and observed frequency over equal bins, weighted by their counts."""
    return reliability(probabilities, labels, bins).error


def within_tolerance(error: np.ndarray, tolerance: float) -> np.ndarray:
    """Which of the errors are at most ``tolerance``, round-off aside; NaN is not."""
    within: np.ndarray = np.abs(error) <= tolerance + 1e-9
    return within


def mean(values: list[float]) -> float:
    """Mean of what is not NaN; NaN when nothing is."""
    kept = [value for value in values if not math.isnan(value)]
    return float(np.mean(kept)) if kept else math.nan


def _known(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(a, float), np.asarray(b, float)
    known = ~(np.isnan(a) | np.isnan(b))
    return a[known], b[known]
