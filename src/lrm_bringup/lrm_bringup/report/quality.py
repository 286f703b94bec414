"""Reward quality of a run: the heads against the privileged truth at the very same stamps."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from lrm_bringup.report.journal import EpisodeEnded, Run
from lrm_core.rewards import RewardHead


def reward_quality(run: Run) -> dict[str, float | int]:
    """progress_pearson, completion_auc, direction_accuracy, false_success_rate, success_recall, trajectories."""
    episodes = [episode for episode in run.episodes if episode.truth_ns and run.rewards.get(episode.episode_id)]
    pearsons = [_pearson(*_aligned(run, e, RewardHead.PROGRESS, e.truth_progress)) for e in episodes]
    finals = [(e.predicted, bool(e.success)) for e in episodes if not math.isnan(e.predicted) and e.success is not None]
    scores, labels = np.array([s for s, _ in finals]), np.array([label for _, label in finals], bool)
    directions = [right for e in episodes for right in _directions(run, e)]
    return {
        "progress_pearson": _mean(pearsons),
        "completion_auc": _auc(scores, labels),
        "direction_accuracy": _mean(directions),
        "false_success_rate": _mean((scores[~labels] >= run.started.success_threshold).tolist())
        if len(scores)
        else math.nan,
        "success_recall": _mean((scores[labels] >= run.started.success_threshold).tolist())
        if len(scores)
        else math.nan,
        "trajectories": len(episodes),
    }


def _aligned(
    run: Run, episode: EpisodeEnded, head: RewardHead, truth: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    at = dict(zip(episode.truth_ns, truth, strict=True))
    rewards = [r for r in run.values(episode.episode_id, head.value) if not math.isnan(r.value) and r.stamp_ns in at]
    return np.array([r.value for r in rewards]), np.array([at[r.stamp_ns] for r in rewards])


def _directions(run: Run, episode: EpisodeEnded) -> list[float]:
    at = dict(zip(episode.truth_ns, episode.truth_progress, strict=True))
    right = []
    for reward in run.values(episode.episode_id, RewardHead.CONTRASTIVE.value):
        if math.isnan(reward.value) or reward.stamp_ns not in at or reward.reference_stamp_ns not in at:
            continue
        change = at[reward.stamp_ns] - at[reward.reference_stamp_ns]
        if change != 0.0:
            right.append(float(np.sign(reward.value) == np.sign(change)))
    return right


def _pearson(values: np.ndarray, truth: np.ndarray) -> float:
    if len(values) < 3 or values.std() == 0.0 or truth.std() == 0.0:
        return math.nan
    return float(np.corrcoef(values, truth)[0, 1])


def _auc(scores: np.ndarray, labels: np.ndarray) -> float:
    if not len(scores) or labels.all() or not labels.any():
        return math.nan
    difference = scores[labels][:, None] - scores[~labels][None, :]
    return float(((difference > 0) + 0.5 * (difference == 0)).mean())


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan
