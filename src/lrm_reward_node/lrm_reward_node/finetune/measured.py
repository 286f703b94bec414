"""Held-out figures with 95 % intervals by episode, of all samples and of every task and source. Pure numpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from lrm_core.rewards import RewardHead
from lrm_reward_node.evaluation.estimators import Estimator, bootstrap_weights, interval, value
from lrm_reward_node.finetune.figures import estimators

WEIGHTS_AT_ONCE = 4_000_000
"""Weights of resampled samples in memory at a time."""


@dataclass(frozen=True)
class Measured:
    """Figures of some held-out samples.

    Attributes:
        found: figure -> its estimator over N samples.
        episodes: (N,) episode of each sample.
        parts: what they are told apart by -> name of a part -> the same of its samples alone.
    """

    found: Mapping[str, Estimator]
    episodes: Sequence[str]
    parts: Mapping[str, Mapping[str, Measured]] = field(default_factory=dict)

    def since(self, before: Measured) -> Measured:
        """How much every figure has grown on the same samples. The same episodes are drawn for both, as pairs."""
        found = {name: partial(_difference, of, before.found[name]) for name, of in self.found.items()}
        parts = {
            kind: {name: part.since(before.parts[kind][name]) for name, part in some.items()}
            for kind, some in self.parts.items()
        }
        return Measured(found, self.episodes, parts)

    def told(self) -> dict[str, Any]:
        """``samples``, ``episodes``, ``figures`` and their ``intervals``; ``by_<kind>``: the same of every part."""
        everything = np.ones(len(self.episodes), bool)
        return {
            "samples": len(self.episodes),
            "episodes": len(set(self.episodes)),
            "figures": {name: value(of, everything) for name, of in self.found.items()},
            "intervals": intervals(self.found, self.episodes),
            **{f"by_{kind}": {name: part.told() for name, part in some.items()} for kind, some in self.parts.items()},
        }


def measured(
    head: RewardHead,
    likelihoods: np.ndarray,
    labels: np.ndarray,
    episodes: Sequence[str],
    told_apart: Mapping[str, Sequence[str]],
) -> Measured:
    """Figures of N samples, and of the parts that they are made of.

    Args:
        head: a model head.
        likelihoods: (N, A) log-likelihood of each legal answer, nats.
        labels: (N, 2) number of the right answer, and the exact value.
        episodes: (N,) episode of each sample.
        told_apart: for example ``task`` -> (N,) task of each sample.
    """
    parts: dict[str, dict[str, Measured]] = {}
    for kind, names in told_apart.items():
        for name in sorted(set(names)):
            at = np.flatnonzero([one == name for one in names])
            of_part = [episodes[i] for i in at]
            parts.setdefault(kind, {})[name] = measured(head, likelihoods[at], labels[at], of_part, {})
    return Measured(estimators(head, likelihoods, labels[:, 0], labels[:, 1]), episodes, parts)


def _difference(of: Estimator, before: Estimator, weights: np.ndarray) -> np.ndarray:
    change: np.ndarray = of(weights) - before(weights)
    return change


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
