"""The open-loop metrics of Large Reward Models (arXiv 2603.16065), in two definitions.

``paper`` reproduces the published script: everything is suppressed when any trajectory has no score, the placeholder 0
of the first comparison counts, scores and oracle meet by position. ``aligned`` is right: the placeholder is dropped,
scores and oracle meet by time, and a comparison is held against the change of the cumulative oracle reward.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from lrm_core.errors import BadInput
from lrm_reward_node.evaluation.estimators import Estimator, auc_of, mean_of, pearson_of, ratio_of, value
from lrm_reward_node.evaluation.statistics import pearson
from lrm_reward_node.evaluation.trajectories import Trajectory

DEFINITIONS = ("paper", "aligned")
MIN_TRAJECTORIES = 3
MIN_FRAMES = 3


def state_metrics(trajectories: Sequence[Trajectory], definition: str = "aligned") -> dict[str, float]:
    """Metrics of completion or progress scores, see :func:`state_estimators`; NaN where one is not defined."""
    return _values(state_estimators(trajectories, definition), len(trajectories))


def comparison_metrics(trajectories: Sequence[Trajectory], definition: str = "aligned") -> dict[str, float]:
    """Metrics of contrastive scores, see :func:`comparison_estimators`; NaN where one is not defined."""
    return _values(comparison_estimators(trajectories, definition), len(trajectories))


def state_estimators(trajectories: Sequence[Trajectory], definition: str = "aligned") -> dict[str, Estimator]:
    """Metrics of completion or progress scores as functions of trajectory weights.

    ``roc_auc``: success against the last score. ``pairwise_acc_pct``: (success, failure) pairs ranked right, a tie is
    wrong. ``global_pearson``: sum of scores against total oracle reward. ``per_traj_pearson``: mean Pearson of scores
    and cumulative oracle reward.
    """
    last, sums, fit = np.full((3, len(trajectories)), math.nan)
    for index, one in _kept(trajectories, definition):
        last[index], sums[index] = _scored(one)[-1], _scored(one).sum()
        fit[index] = trajectory_pearson(one, definition)
    success = np.array([math.nan if t.success is None else float(t.success) for t in trajectories])
    ranked = auc_of(last, success, ties=0.0)
    return {
        "roc_auc": auc_of(last, success),
        "pairwise_acc_pct": lambda weights: 100.0 * ranked(weights),
        "global_pearson": pearson_of(sums, np.array([t.total for t in trajectories], float), MIN_TRAJECTORIES),
        "per_traj_pearson": mean_of(fit),
    }


def comparison_estimators(trajectories: Sequence[Trajectory], definition: str = "aligned") -> dict[str, Estimator]:
    """Metrics of contrastive scores as functions of trajectory weights.

    ``direction_acc_pct``: comparisons with the sign of the oracle. ``progress_recall_pct``: of those with a positive
    oracle, the share scored positive. ``monotonicity_success``: in successful episodes, share of comparisons after the
    first that are not negative.
    """
    right, of, found, sought = np.zeros((4, len(trajectories)))
    steady = np.full(len(trajectories), math.nan)
    for index, one in _kept(trajectories, definition):
        scores, oracle = _comparisons(one, definition)
        right[index], of[index] = np.sum(np.sign(scores) == np.sign(oracle)), len(scores)
        found[index], sought[index] = np.sum(scores[oracle > 0] > 0), np.sum(oracle > 0)
        steady[index] = _monotonicity(one) if one.success else math.nan
    return {
        "direction_acc_pct": ratio_of(100.0 * right, of),
        "progress_recall_pct": ratio_of(100.0 * found, sought),
        "monotonicity_success": mean_of(steady),
    }


def _values(estimators: dict[str, Estimator], count: int) -> dict[str, float]:
    return {name: value(estimator, np.ones(count)) for name, estimator in estimators.items()}


def _kept(trajectories: Sequence[Trajectory], definition: str) -> list[tuple[int, Trajectory]]:
    if definition not in DEFINITIONS:
        raise BadInput("definition", definition, f"one of {list(DEFINITIONS)}")
    with_scores = [(index, t) for index, t in enumerate(trajectories) if len(_scored(t))]
    return [] if definition == "paper" and len(with_scores) < len(trajectories) else with_scores


def _scored(trajectory: Trajectory) -> np.ndarray:
    return trajectory.scores[~np.isnan(trajectory.scores)]


def trajectory_pearson(trajectory: Trajectory, definition: str) -> float:
    """Pearson of scores and cumulative oracle reward; NaN below 3 frames or without variance."""
    if definition == "paper":
        scores, cumulative = _scored(trajectory), trajectory.cumulative
        length = min(len(scores), len(cumulative))
        scores, cumulative = scores[:length], cumulative[:length]
    else:
        known = ~np.isnan(trajectory.scores)
        scores, cumulative = trajectory.scores[known], trajectory.cumulative_at(trajectory.score_t[known])
    return pearson(scores, cumulative) if len(scores) >= MIN_FRAMES else math.nan


def _comparisons(trajectory: Trajectory, definition: str) -> tuple[np.ndarray, np.ndarray]:
    """Scores and what the oracle says about the same comparisons."""
    if definition == "paper":
        scores = _scored(trajectory)
        length = min(len(scores), len(trajectory.oracle_reward))
        return scores[:length], trajectory.oracle_reward[:length]
    if not len(trajectory.oracle_t):
        return np.zeros(0), np.zeros(0)
    change = np.diff(trajectory.cumulative_at(trajectory.score_t))
    scores = trajectory.scores[1:]
    known = ~np.isnan(scores)
    return scores[known], change[known]


def _monotonicity(trajectory: Trajectory) -> float:
    later = trajectory.scores[1:]
    later = later[~np.isnan(later)]
    return float(np.mean(later >= 0)) if len(later) else math.nan
