"""Held-out figures of a head from the likelihoods of its answers, with intervals by episode. Pure numpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from lrm_core.rewards import RewardHead
from lrm_reward_node.evaluation.estimators import (
    Estimator,
    auc_of,
    bootstrap_weights,
    interval,
    pearson_of,
    ratio_of,
    value,
)
from lrm_reward_node.readout import ANSWERS

WEIGHTS_AT_ONCE = 4_000_000
"""Weights of resampled samples in memory at a time."""
MAIN = {RewardHead.CONTRASTIVE: "direction_accuracy", RewardHead.PROGRESS: "mae", RewardHead.COMPLETION: "auc"}
"""The figure that tells most about a head."""
LOWER_IS_BETTER = ("nats", "mae")


def estimators(
    head: RewardHead, likelihoods: np.ndarray, answers: np.ndarray, targets: np.ndarray
) -> dict[str, Estimator]:
    """Figures of N samples as functions of their weights; NaN where one is not defined.

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
    found = {"nats": _mean(-known[np.arange(len(known)), answers]), "accuracy": _mean(known.argmax(1) == answers)}
    if head is RewardHead.CONTRASTIVE:
        return found | {"direction_accuracy": _mean(np.sign(values) == np.sign(targets))}
    if head is RewardHead.PROGRESS:
        return found | {"mae": _mean(np.abs(values - targets)), "pearson": pearson_of(values, targets)}
    return found | {"auc": auc_of(values, (targets > 0.5).astype(float))}


def figures(head: RewardHead, likelihoods: np.ndarray, answers: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """Their values over all N samples; arguments as of :func:`estimators`."""
    everything = np.ones(len(likelihoods), bool)
    return {name: value(of, everything) for name, of in estimators(head, likelihoods, answers, targets).items()}


@dataclass(frozen=True)
class Measured:
    """Figures of some held-out samples.

    Attributes:
        found: figure -> its estimator over N samples.
        episodes: (N,) episode of each sample.
    """

    found: Mapping[str, Estimator]
    episodes: Sequence[str]

    def since(self, before: Measured) -> Measured:
        """How much every figure has grown on the same samples. The same episodes are drawn for both, as pairs."""
        return Measured(
            {name: partial(_difference, of, before.found[name]) for name, of in self.found.items()}, self.episodes
        )

    def told(self) -> dict[str, Any]:
        """``samples``, ``episodes``, ``figures`` and their ``intervals``."""
        everything = np.ones(len(self.episodes), bool)
        return {
            "samples": len(self.episodes),
            "episodes": len(set(self.episodes)),
            "figures": {name: value(of, everything) for name, of in self.found.items()},
            "intervals": intervals(self.found, self.episodes),
        }


def _difference(of: Estimator, before: Estimator, weights: np.ndarray) -> np.ndarray:
    change: np.ndarray = of(weights) - before(weights)
    return change


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


def intervals(found: Mapping[str, Estimator], episodes: Sequence[str]) -> dict[str, tuple[float, float]]:
    """95 % intervals: episodes are drawn with replacement, because samples of one episode are alike.

    Args:
        found: figures of N samples, as of :func:`estimators`.
        episodes: (N,) episode of each sample. The same ones are drawn in the same way every time.
    """
    names, inverse = np.unique(np.asarray(episodes), return_inverse=True)
    drawn = bootstrap_weights(np.ones(len(names), bool))
    parts = np.array_split(drawn, 1 + len(drawn) * len(inverse) // WEIGHTS_AT_ONCE)
    return {name: interval(np.concatenate([of(part[:, inverse]) for part in parts])) for name, of in found.items()}


def _normalised(likelihoods: np.ndarray) -> np.ndarray:
    """Log-probabilities among the legal answers."""
    known: np.ndarray = likelihoods - np.logaddexp.reduce(likelihoods, axis=1, keepdims=True)
    return known


def _mean(values: np.ndarray) -> Estimator:
    """A value that is not finite shows, in place of being left out: it means a broken model."""
    return ratio_of(values, np.ones(len(values)))
