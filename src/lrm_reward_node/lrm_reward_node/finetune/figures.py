"""Held-out figures of a head from the likelihoods of its answers, with intervals by episode. Pure numpy."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from lrm_core.rewards import RewardHead
from lrm_reward_node.evaluation.statistics import pearson, roc_auc
from lrm_reward_node.readout import ANSWERS

RESAMPLES = 1000
MAIN = {RewardHead.CONTRASTIVE: "direction_accuracy", RewardHead.PROGRESS: "mae", RewardHead.COMPLETION: "auc"}
"""The figure that tells most about a head."""
LOWER_IS_BETTER = ("nats", "mae")


def figures(head: RewardHead, likelihoods: np.ndarray, answers: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """Figures of N samples; NaN where one is not defined.

    ``nats``: mean negative log-likelihood of the right answer among the legal ones. ``accuracy``: share whose likeliest
    answer is right. Contrastive: ``direction_accuracy``, share of expected values with the sign of the target.
    Progress: ``mae`` and ``pearson`` of the expected value. Completion: ``auc`` of the probability of yes.

    Args:
        head: a model head.
        likelihoods: (N, A) log-likelihood of each legal answer, nats.
        answers: (N,) number of the right answer.
        targets: (N,) exact value, unit of the head.
    """
    answers = np.asarray(answers, np.int64)
    known = _normalised(likelihoods)
    values = np.exp(known) @ np.asarray(ANSWERS[head].values)
    found = {
        "nats": float(-known[np.arange(len(known)), answers].mean()),
        "accuracy": float(np.mean(known.argmax(1) == answers)),
    }
    if head is RewardHead.CONTRASTIVE:
        return found | {"direction_accuracy": float(np.mean(np.sign(values) == np.sign(targets)))}
    if head is RewardHead.PROGRESS:
        return found | {"mae": float(np.abs(values - targets).mean()), "pearson": pearson(values, targets)}
    return found | {"auc": roc_auc(values, targets > 0.5)}


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


def intervals(
    of: Callable[[np.ndarray], dict[str, float]], episodes: Sequence[str], seed: int = 0
) -> dict[str, tuple[float, float]]:
    """95 % intervals: episodes are drawn with replacement, because samples of one episode are alike (Efron 1979).

    Args:
        of: figures of the samples with the given numbers.
        episodes: (N,) episode of each sample.
        seed: of the draws.
    """
    names, inverse = np.unique(np.asarray(episodes), return_inverse=True)
    members = [np.flatnonzero(inverse == i) for i in range(len(names))]
    rng = np.random.default_rng(seed)
    drawn: dict[str, list[float]] = {}
    for _ in range(RESAMPLES):
        index = np.concatenate([members[i] for i in rng.integers(len(names), size=len(names))])
        for name, value in of(index).items():
            drawn.setdefault(name, []).append(value)
    return {name: _interval(np.array(values)) for name, values in drawn.items()}


def _normalised(likelihoods: np.ndarray) -> np.ndarray:
    """Log-probabilities among the legal answers."""
    known: np.ndarray = likelihoods - np.logaddexp.reduce(likelihoods, axis=1, keepdims=True)
    return known


def _interval(values: np.ndarray) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    if len(known) < len(values) / 2:
        return math.nan, math.nan
    low, high = np.quantile(known, (0.025, 0.975))
    return float(low), float(high)
