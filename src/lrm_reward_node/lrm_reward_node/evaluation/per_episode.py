"""What a single episode says about a model: the parts that figures over episodes are made of."""

from __future__ import annotations

import math

import numpy as np

from lrm_core.rewards import RewardHead
from lrm_reward_node.evaluation.judged import OUTCOMES, JudgedEpisode
from lrm_reward_node.evaluation.ordering import value_order_correlation
from lrm_reward_node.evaluation.quality import THRESHOLD, TIE, confirmed_at


def absolute_error(episode: JudgedEpisode) -> np.ndarray:
    """(Q,) distance of progress from true progress; NaN where either is unknown."""
    error: np.ndarray = np.abs(episode.of(RewardHead.PROGRESS) - episode.truth.progress_at(episode.t_s))
    return error


def answers(episode: JudgedEpisode, head: RewardHead) -> tuple[np.ndarray, np.ndarray]:
    """Stated probabilities of a two-answer head and what was true, where both are known."""
    if head is RewardHead.COMPLETION:
        stated, true = episode.of(head), episode.truth.done_at(episode.t_s)
    else:
        stated, change = (episode.of(head)[1:] + 1.0) / 2.0, np.diff(episode.truth.progress_at(episode.t_s))
        true = np.where(np.abs(change) >= TIE, (change > 0.0).astype(float), math.nan)
    known = np.isfinite(stated) & np.isfinite(true)
    return stated[known], true[known]


def last_known(episode: JudgedEpisode, head: RewardHead) -> float:
    """The newest score of a head that is known; NaN without any."""
    scores = episode.of(head)
    known = scores[np.isfinite(scores)]
    return float(known[-1]) if len(known) else math.nan


def false_success(episode: JudgedEpisode) -> int | None:
    """Query at which a success is confirmed that is none; None: at none, or nobody knows."""
    at = confirmed_at(episode.of(RewardHead.COMPLETION), THRESHOLD)
    if at is None or episode.truth.success is None:
        return None
    if len(episode.truth.done):
        return at if episode.truth.done_at(episode.t_s)[at] == 0.0 else None
    return None if episode.truth.success else at


def outcome_rank(episode: JudgedEpisode) -> float:
    """How well it ended, the higher the better; NaN: nobody knows."""
    truth = episode.truth
    if truth.outcome in OUTCOMES:
        return float(OUTCOMES.index(truth.outcome))
    return math.nan if truth.success is None else float(2 * truth.success)


def copy_order(episode: JudgedEpisode, kind: str, by_time: bool = False) -> float:
    """VOC of a copy against the order in which it was shown, or against that of time."""
    copy = episode.copies.get(kind)
    if copy is None:
        return math.nan
    order = copy.order if by_time else np.arange(len(copy.order))
    return value_order_correlation(copy.values[RewardHead.PROGRESS], order)


def decided_right(episode: JudgedEpisode) -> float:
    """1 where the last completion score says rightly whether it succeeded, 0 where wrongly; NaN unknown."""
    last = last_known(episode, RewardHead.COMPLETION)
    if episode.truth.success is None or math.isnan(last):
        return math.nan
    return float((last >= THRESHOLD) == episode.truth.success)


def mean_known(values: np.ndarray) -> float:
    """Mean of what is known; NaN when nothing is."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else math.nan


def share_at_least_0(values: np.ndarray) -> float:
    """Share of known values that are not negative; NaN when nothing is known."""
    known = values[np.isfinite(values)]
    return float(np.mean(known >= 0.0)) if len(known) else math.nan
