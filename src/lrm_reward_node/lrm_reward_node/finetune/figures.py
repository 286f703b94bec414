"""Held-out figures of a head from the likelihoods of its answers. Pure numpy."""

from __future__ import annotations

import numpy as np

from lrm_core.rewards import RewardHead
from lrm_reward_node.calibration import COVERAGE, SIGMAS
from lrm_reward_node.evaluation.estimators import Estimator, auc_of, calibration_error_of, pearson_of, ratio_of, value
from lrm_reward_node.evaluation.statistics import BINS, bin_of
from lrm_reward_node.readout import ANSWERS

MAIN = {RewardHead.CONTRASTIVE: "direction_accuracy", RewardHead.PROGRESS: "mae", RewardHead.COMPLETION: "auc"}
"""The figure that tells most about a head."""
LOWER_IS_BETTER = ("nats", "mae", "ece")
NOMINAL = {"coverage_90": COVERAGE}
"""Figures for which neither less nor more is better, but this."""


def estimators(
    head: RewardHead, likelihoods: np.ndarray, answers: np.ndarray, targets: np.ndarray
) -> dict[str, Estimator]:
    """Figures of N samples as functions of their weights; NaN where one is not defined.

    ``nats``: mean negative log-likelihood of the right answer among the legal ones. ``accuracy``: share whose likeliest
    answer is right. Contrastive: ``direction_accuracy``, share of expected values with the sign of the target.
    Progress: ``mae`` and ``pearson`` of the expected value, ``coverage_90``, share of targets in its 90 % interval.
    Completion: ``auc`` of the probability of yes. Both heads with two answers: ``ece``, expected calibration error of
    the probability that is stated, before ``lrm calibrate``.

    Args:
        head: a model head.
        likelihoods: (N, A) log-likelihood of each legal answer, nats.
        answers: (N,) number of the right answer.
        targets: (N,) exact value, unit of the head.
    """
    answers = np.asarray(answers, np.int64)
    known = _normalised(likelihoods)
    values, spread = _moments(np.exp(known), np.asarray(ANSWERS[head].values))
    found = {"nats": _mean(-known[np.arange(len(known)), answers]), "accuracy": _mean(known.argmax(1) == answers)}
    if head is RewardHead.CONTRASTIVE:
        found["direction_accuracy"] = _mean(np.sign(values) == np.sign(targets))
        return found | {"ece": _calibration_error((values + 1.0) / 2.0, targets > 0.0)}
    if head is RewardHead.PROGRESS:
        error = np.abs(values - targets)
        inside = np.where(np.isfinite(error), error <= SIGMAS * spread, np.nan)
        return found | {"mae": _mean(error), "pearson": pearson_of(values, targets), "coverage_90": _mean(inside)}
    done = targets > 0.5
    return found | {"auc": auc_of(values, done.astype(float)), "ece": _calibration_error(values, done)}


def figures(head: RewardHead, likelihoods: np.ndarray, answers: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """Their values over all N samples; arguments as of :func:`estimators`."""
    everything = np.ones(len(likelihoods), bool)
    return {name: value(of, everything) for name, of in estimators(head, likelihoods, answers, targets).items()}


def hard_pairs(likelihoods: np.ndarray, answers: np.ndarray, most: float) -> np.ndarray:
    """Numbers of the samples whose right answer has at most the probability ``most``, the worst first.

    Args:
        likelihoods: (N, A) log-likelihood of each legal answer, nats.
        answers: (N,) number of the right one.
        most: probability, [0, 1].
    """
    known = _normalised(likelihoods)
    right = np.exp(known[np.arange(len(known)), np.asarray(answers, np.int64)])
    order = np.argsort(right, kind="stable")
    return order[right[order] <= most]


def _normalised(likelihoods: np.ndarray) -> np.ndarray:
    """Log-probabilities among the legal answers."""
    known: np.ndarray = likelihoods - np.logaddexp.reduce(likelihoods, axis=1, keepdims=True)
    return known


def _moments(probabilities: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N,) mean and standard deviation of the answers under (N, A) probabilities."""
    mean = probabilities @ values
    return mean, np.sqrt(np.maximum(probabilities @ values**2 - mean**2, 0.0))


def _calibration_error(stated: np.ndarray, true: np.ndarray) -> Estimator:
    """Of (N,) probabilities; NaN for a model that answers not a number, and where one answer alone is right."""
    if not 0 < true.sum() < len(true):  # whoever always gives it is calibrated
        return lambda weights: np.full(len(weights), np.nan)
    bins = bin_of(np.nan_to_num(stated))[:, None] == np.arange(BINS)
    return calibration_error_of(bins.astype(float), np.where(bins, stated[:, None], 0.0), bins * true[:, None])


def _mean(values: np.ndarray) -> Estimator:
    """A value that is not finite shows, in place of being left out: it means a broken model."""
    return ratio_of(values, np.ones(len(values)))
