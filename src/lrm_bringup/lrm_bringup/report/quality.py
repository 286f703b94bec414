"""Reward quality of a run, with the very figures that the bench of the reward model uses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lrm_bringup.report.journal import EpisodeEnded, RewardSeen, Run
from lrm_core.rewards import MODEL_HEADS, RewardEstimate, RewardHead, RewardStatus
from lrm_reward_node.evaluation.episodes import ScoredEpisode
from lrm_reward_node.evaluation.quality import confirmation_rates, direction_accuracy
from lrm_reward_node.evaluation.statistics import mean, pearson, roc_auc


def reward_quality(run: Run) -> dict[str, float | int]:
    """Figures over all episodes of a run; NaN where one is not defined.

    ``progress_pearson``: mean per episode. ``completion_auc``: last known score against true success.
    ``direction_accuracy``: contrastive over consecutive queries, ties left out. ``false_stop_rate`` and
    ``success_recall``: of confirmations at the threshold of the run. ``trajectories``: episodes behind these figures.
    """
    found = (scored_episode(run, episode) for episode in run.episodes)
    episodes = [episode for episode in found if episode is not None]
    false_stop, recall = confirmation_rates(episodes, run.started.success_threshold)
    return {
        "progress_pearson": mean([_progress_pearson(episode) for episode in episodes]),
        "completion_auc": _completion_auc(episodes),
        "direction_accuracy": direction_accuracy(episodes),
        "false_stop_rate": false_stop,
        "success_recall": recall,
        "trajectories": len(episodes),
    }


def scored_episode(run: Run, episode: EpisodeEnded) -> ScoredEpisode | None:
    """The queries of one episode whose truth is known, by stamp; None when there are none."""
    truth = {s: (p, d) for s, p, d in zip(episode.truth_ns, episode.truth_progress, episode.truth_success, strict=True)}
    by_stamp: dict[int, dict[str, RewardSeen]] = {}
    for reward in run.rewards.get(episode.episode_id, []):
        if reward.stamp_ns in truth:
            by_stamp.setdefault(reward.stamp_ns, {})[reward.head] = reward
    if not by_stamp:
        return None
    stamps = sorted(by_stamp)
    return ScoredEpisode(
        task=episode.task,
        outcome=episode.outcome,
        frames=np.arange(len(stamps)),
        progress=np.array([truth[stamp][0] for stamp in stamps]),
        success=np.array([truth[stamp][1] for stamp in stamps], bool),
        estimates=[[_estimate(head, by_stamp[stamp].get(head.value)) for head in MODEL_HEADS] for stamp in stamps],
    )


def _estimate(head: RewardHead, reward: RewardSeen | None) -> RewardEstimate:
    if reward is None:
        return RewardEstimate(head, float("nan"), RewardStatus.NO_REFERENCE)
    return RewardEstimate(head, reward.value, RewardStatus[reward.status], reward.stamp_ns, reward.reference_stamp_ns)


def _progress_pearson(episode: ScoredEpisode) -> float:
    scores = episode.column(RewardHead.PROGRESS)
    known = ~np.isnan(scores)
    return pearson(scores[known], episode.progress[known]) if known.sum() > 2 else float("nan")


def _completion_auc(episodes: Sequence[ScoredEpisode]) -> float:
    last = np.array([episode.column(RewardHead.COMPLETION)[-1] for episode in episodes])
    success = np.array([bool(episode.success[-1]) for episode in episodes])
    known = ~np.isnan(last)
    return roc_auc(last[known], success[known])
