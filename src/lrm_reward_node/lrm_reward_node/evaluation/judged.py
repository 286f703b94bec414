"""One episode as one model scored it, beside what is known to be true of it: what open-loop figures are made of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from lrm_core.rewards import RewardHead
from lrm_reward_node.evaluation.trajectories import Trajectory

SUCCESS = "success"
OUTCOMES = ("failure", "suboptimal", SUCCESS)
"""Words of people for how an episode ended, worst first."""
NO_ORACLE = "none"
_ROUND_OFF_S = 1e-3
_EMPTY = np.zeros(0)


@dataclass(frozen=True)
class Truth:
    """What is known of one episode, and from where. Times are seconds since its first frame.

    Attributes:
        success: it succeeded; None: nobody knows.
        outcome: what happened, in a word; empty: unknown.
        t_s: (T,) times of what follows; empty: nothing is known per frame.
        progress: (T,) true progress in [0, 1], linear in between; empty: unknown.
        cumulative: (T,) cumulative oracle reward; empty: there is none.
        done: (T,) the task is done at that time; empty: unknown but for ``success`` at the last frame.
        oracle: where the oracle reward comes from.
    """

    success: bool | None = None
    outcome: str = ""
    t_s: np.ndarray = field(default_factory=lambda: _EMPTY)
    progress: np.ndarray = field(default_factory=lambda: _EMPTY)
    cumulative: np.ndarray = field(default_factory=lambda: _EMPTY)
    done: np.ndarray = field(default_factory=lambda: _EMPTY)
    oracle: str = NO_ORACLE

    def progress_at(self, t_s: np.ndarray) -> np.ndarray:
        """(Q,) true progress; NaN where nothing is known."""
        if not len(self.progress):
            return np.full(len(t_s), math.nan)
        found = np.interp(t_s, self.t_s, self.progress)
        outside = (t_s < self.t_s[0] - _ROUND_OFF_S) | (t_s > self.t_s[-1] + _ROUND_OFF_S)
        return np.where(outside, math.nan, found)

    def done_at(self, t_s: np.ndarray) -> np.ndarray:
        """(Q,) 1 where the task is done, 0 where not, NaN unknown. An outcome alone speaks of the last frame."""
        found = np.full(len(t_s), math.nan)
        if len(self.done):
            index = np.searchsorted(self.t_s, t_s + _ROUND_OFF_S, side="right") - 1
            known = (index >= 0) & (t_s <= self.t_s[-1] + _ROUND_OFF_S)
            found[known] = self.done[index[known]]
        elif len(t_s) and self.success is not None:
            found[-1] = float(self.success)
        return found


def by_time(success: bool, outcome: str, t_s: np.ndarray) -> Truth:
    """A successful episode's progress taken as the share of its time that has passed; of others none is known."""
    if not success or not len(t_s) or t_s[-1] <= t_s[0]:
        return Truth(success, outcome)
    share = (t_s - t_s[0]) / (t_s[-1] - t_s[0])
    return Truth(success, outcome, t_s, share, share, oracle="time within successful episodes")


@dataclass(frozen=True)
class Copy:
    """The same frames, asked again in another order.

    Attributes:
        order: (K,) which of the frames each query showed, as their rank in time.
        values: head -> (K,) scores, NaN unknown.
    """

    order: np.ndarray
    values: Mapping[RewardHead, np.ndarray]


@dataclass(frozen=True)
class JudgedEpisode:
    """Q queries of one episode.

    Attributes:
        source: the input it comes from.
        name: its name there.
        task: task sentence.
        t_s: (Q,) time of each query.
        values: head -> (Q,) scores; NaN unknown. A head that was never asked is missing.
        uncertainty: head -> (Q,) stated standard deviation; NaN unknown.
        truth: what is known of it.
        copies: kind -> the same frames in another order.
        statuses: head -> name of a status -> estimates that have it; empty where none are known.
        original: the trajectory of the file that the episode was read from; None: there is none.
    """

    source: str
    name: str
    task: str
    t_s: np.ndarray
    values: Mapping[RewardHead, np.ndarray]
    truth: Truth
    uncertainty: Mapping[RewardHead, np.ndarray] = field(default_factory=dict)
    copies: Mapping[str, Copy] = field(default_factory=dict)
    statuses: Mapping[RewardHead, Mapping[str, int]] = field(default_factory=dict)
    original: Trajectory | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What tells episodes apart."""
        return self.source, self.name

    def of(self, head: RewardHead) -> np.ndarray:
        """(Q,) scores of a head; NaN where it was not asked."""
        found = self.values.get(head)
        return found if found is not None else np.full(len(self.t_s), math.nan)

    def trajectory(self, head: RewardHead, definition: str) -> Trajectory:
        """As the published script sees it; ``paper`` takes a placeholder of 0 for the first comparison."""
        if self.original is not None:
            return self.original
        scores, truth = self.of(head), self.truth
        if definition == "paper" and head is RewardHead.CONTRASTIVE and len(scores) > 1 and math.isnan(scores[0]):
            scores = np.concatenate([[0.0], scores[1:]]) if np.isfinite(scores[1:]).any() else scores
        oracle_t = truth.t_s if len(truth.cumulative) else _EMPTY
        reward = np.diff(truth.cumulative, prepend=0.0) if len(truth.cumulative) else _EMPTY
        total = float(truth.cumulative[-1]) if len(truth.cumulative) else math.nan
        return Trajectory(
            self.name, self.task, truth.success, self.t_s, scores, oracle_t, reward, truth.cumulative, total
        )


def from_trajectory(source: str, one: Trajectory, mode: str) -> JudgedEpisode:
    """An episode of the original's ``vlm_scores.json``; its ``t`` counts control steps."""
    head = {"comparison": RewardHead.CONTRASTIVE}.get(mode) or RewardHead(mode)
    truth = Truth(
        one.success, "" if one.success is None else SUCCESS if one.success else "failure", one.oracle_t,
        cumulative=one.cumulative, oracle="oracle_reward of the file" if len(one.oracle_t) else NO_ORACLE,
    )  # fmt: skip
    return JudgedEpisode(source, one.name, one.task, one.score_t, {head: one.scores}, truth, original=one)
