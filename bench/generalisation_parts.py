"""What each episode adds to the figures of ``lrm_reward_node.evaluation.quality``: a bootstrap is then a few sums."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lrm_core.rewards import RewardHead
from lrm_reward_node.evaluation.episodes import ScoredEpisode
from lrm_reward_node.evaluation.quality import (
    MIN_RECALL,
    THRESHOLD,
    THRESHOLDS,
    confirmation_counts,
    direction_counts,
)
from lrm_reward_node.evaluation.statistics import mean, pearson, roc_auc

ESTIMATES = 4
"""Three heads and their fusion."""


@dataclass(frozen=True)
class Parts:
    """N episodes.

    Attributes:
        pearson: (N,) of progress, NaN where it is not defined.
        error: (N, 2) sum of the absolute errors of progress, and how many.
        last, done: (N,) last completion score, and whether the episode ended in success.
        direction: (N, 2) right and all comparisons.
        confirmed: (N, T + 1, 4) counts of ``confirmation_counts`` per threshold; the last one is the fixed one.
        unknown: (N, 2) estimates without a value, and all, from the second query on.
    """

    pearson: np.ndarray
    error: np.ndarray
    last: np.ndarray
    done: np.ndarray
    direction: np.ndarray
    confirmed: np.ndarray
    unknown: np.ndarray

    @classmethod
    def of(cls, scored: Sequence[ScoredEpisode]) -> Parts:
        """The parts of scored episodes."""
        errors = [np.abs(e.column(RewardHead.PROGRESS) - e.progress) for e in scored]
        correlations = [
            pearson(e.column(RewardHead.PROGRESS), e.progress) if len(e.frames) > 2 else math.nan for e in scored
        ]
        return cls(
            pearson=np.array(correlations),
            error=np.array([(np.nansum(one), np.isfinite(one).sum()) for one in errors]),
            last=np.array([e.column(RewardHead.COMPLETION)[-1] for e in scored]),
            done=np.array([bool(e.success[-1]) for e in scored]),
            direction=np.array([direction_counts(e) for e in scored]),
            confirmed=np.array([[confirmation_counts(e, t) for t in (*THRESHOLDS, THRESHOLD)] for e in scored]),
            unknown=np.array([(e.unknown, ESTIMATES * (len(e.frames) - 1)) for e in scored]),
        )

    def figures(self, index: np.ndarray) -> dict[str, float]:
        """The figures of the episodes ``index``, which may name one several times."""
        false, recall = _rates(self.confirmed[index].sum(0))
        allowed = np.flatnonzero(recall[:-1] >= MIN_RECALL)
        best = min(allowed, key=lambda i: (false[i], -recall[i])) if len(allowed) else None
        return {
            "progress_pearson": mean(self.pearson[index].tolist()),
            "progress_error": _share(self.error[index].sum(0)),
            "completion_auc": roc_auc(self.last[index], self.done[index]),
            "false_stop_rate": math.nan if best is None else float(false[best]),
            "recall": math.nan if best is None else float(recall[best]),
            "false_stop_rate_fixed": float(false[-1]),
            "recall_fixed": float(recall[-1]),
            "direction_accuracy": _share(self.direction[index].sum(0)),
            "unknown_share": _share(self.unknown[index].sum(0)),
        }


def _rates(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """False stop rate and recall per threshold, NaN where there is nothing to divide by."""
    false, without, found, lasting = counts.T.astype(float)
    return _divided(false, without), _divided(found, lasting)


def _divided(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)


def _share(part_and_whole: np.ndarray) -> float:
    part, whole = part_and_whole.tolist()
    return part / whole if whole else math.nan
