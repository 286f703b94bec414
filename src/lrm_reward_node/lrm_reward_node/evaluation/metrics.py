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
from lrm_reward_node.evaluation.statistics import mean, pearson, roc_auc
from lrm_reward_node.evaluation.trajectories import Trajectory

DEFINITIONS = ("paper", "aligned")
MIN_TRAJECTORIES = 3
MIN_FRAMES = 3


def state_metrics(trajectories: Sequence[Trajectory], definition: str = "aligned") -> dict[str, float]:
    """Metrics of completion or progress scores; NaN where one is not defined.

    ``roc_auc``: success against the last score. ``pairwise_acc_pct``: (success, failure) pairs ranked right, a tie is
    wrong. ``global_pearson``: sum of scores against total oracle reward. ``per_traj_pearson``: mean Pearson of scores
    and cumulative oracle reward.
    """
    names = ("roc_auc", "pairwise_acc_pct", "global_pearson", "per_traj_pearson")
    kept = _kept(trajectories, definition)
    if not kept:
        return dict.fromkeys(names, math.nan)
    last = np.array([_scored(t)[-1] for t in kept])
    success = np.array([t.success for t in kept])
    totals = np.array([t.total for t in kept])
    sums = np.array([_scored(t).sum() for t in kept])
    enough = len(kept) >= MIN_TRAJECTORIES
    return {
        "roc_auc": roc_auc(last, success),
        "pairwise_acc_pct": _pairwise(last, success),
        "global_pearson": pearson(sums, totals) if enough else math.nan,
        "per_traj_pearson": mean([_trajectory_pearson(t, definition) for t in kept]),
    }


def comparison_metrics(trajectories: Sequence[Trajectory], definition: str = "aligned") -> dict[str, float]:
    """Metrics of contrastive scores; NaN where one is not defined.

    ``direction_acc_pct``: comparisons with the sign of the oracle. ``progress_recall_pct``: of those with a positive
    oracle, the share scored positive. ``monotonicity_success``: in successful episodes, share of comparisons after the
    first that are not negative.
    """
    kept = _kept(trajectories, definition)
    pairs = [_comparisons(t, definition) for t in kept]
    values = np.concatenate([v for v, _ in pairs]) if pairs else np.array([])
    oracle = np.concatenate([o for _, o in pairs]) if pairs else np.array([])
    return {
        "direction_acc_pct": _percent(np.sign(values) == np.sign(oracle)),
        "progress_recall_pct": _percent(values[oracle > 0] > 0),
        "monotonicity_success": mean([_monotonicity(t) for t in kept if t.success]),
    }


def _kept(trajectories: Sequence[Trajectory], definition: str) -> list[Trajectory]:
    if definition not in DEFINITIONS:
        raise BadInput("definition", definition, f"one of {list(DEFINITIONS)}")
    with_scores = [t for t in trajectories if len(_scored(t))]
    if definition == "paper" and len(with_scores) < len(trajectories):
        return []
    return with_scores


def _scored(trajectory: Trajectory) -> np.ndarray:
    return trajectory.scores[~np.isnan(trajectory.scores)]


def _pairwise(last: np.ndarray, success: np.ndarray) -> float:
    return _percent((last[success][:, None] > last[~success][None, :]).ravel())


def _trajectory_pearson(trajectory: Trajectory, definition: str) -> float:
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
    change = np.diff(trajectory.cumulative_at(trajectory.score_t))
    scores = trajectory.scores[1:]
    known = ~np.isnan(scores)
    return scores[known], change[known]


def _monotonicity(trajectory: Trajectory) -> float:
    later = trajectory.scores[1:]
    later = later[~np.isnan(later)]
    return float(np.mean(later >= 0)) if len(later) else math.nan


def _percent(flags: np.ndarray) -> float:
    return 100.0 * float(np.mean(flags)) if len(flags) else math.nan
