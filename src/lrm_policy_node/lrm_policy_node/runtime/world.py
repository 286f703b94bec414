"""The interface between the control loop and everything outside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lrm_core.episode_machine import EpisodeMachine
from lrm_core.episodes import TerminationReason
from lrm_core.errors import LrmError
from lrm_core.transitions import Transition
from lrm_policy_node.rl.actor import ResidualPolicy
from lrm_policy_node.runtime.observation import Observation
from lrm_policy_node.runtime.rewards import FrameScores


class EpisodeCut(LrmError):
    """The episode cannot go on."""

    def __init__(self, reason: TerminationReason, message: str) -> None:
        self.reason = reason
        super().__init__(message)


@dataclass(frozen=True)
class EpisodeOrder:
    """What one episode is to be.

    Attributes:
        episode_id: unique over runs.
        refine: explore, and publish transitions.
        seed: scene seed; -1: the robot's choice.
        task: task sentence; empty: the robot's own.
    """

    episode_id: str
    refine: bool
    seed: int
    task: str


@dataclass(frozen=True)
class RunProgress:
    """How far a run of episodes is.

    Attributes:
        refine: as in the order.
        done: episodes ended.
        total: episodes ordered.
        success_rate: share of the episodes that the reward model calls successful, [0, 1]; NaN before the first.
        mean_return: mean sum of delivered rewards over the last 10 episodes; NaN before the first.
    """

    refine: bool
    done: int
    total: int
    success_rate: float
    mean_return: float


class World(Protocol):
    """The robot, the rewards and the listeners. Every wait is bounded; :class:`EpisodeCut` ends it."""

    def reset(self, seed: int, task: str) -> tuple[int, str]:
        """Reset the scene; returns the stamp of its first frame in nanoseconds and the task in force."""
        ...

    def observe(self, after_ns: int) -> Observation:
        """The next observation to act upon, with a stamp after ``after_ns``."""
        ...

    def newest(self) -> Observation | None:
        """The newest observation there is, without waiting."""
        ...

    def command(self, positions: np.ndarray, stamp_ns: int) -> None:
        """Propose joint targets (J,) computed from the observation stamped ``stamp_ns``."""
        ...

    def planned(self, stamp_ns: int) -> None:
        """In real time: the plan computed from the observation stamped ``stamp_ns`` is there."""
        ...

    def held(self) -> bool:
        """Whether the safety stage has held the arm since this was asked last."""
        ...

    def hold(self) -> None:
        """Ask for a hold where the arm is now."""
        ...

    def await_reward_node(self) -> None:
        """Wait until the reward node lives."""
        ...

    def await_reward(self, episode_id: str, stamp_ns: int) -> FrameScores | None:
        """Scores of a frame; None when the reward is lost and the loop may go on without it."""
        ...

    def publish(self, transition: Transition) -> None:
        """Hand a decision to the learner."""
        ...

    def adopt_weights(self, residual: ResidualPolicy) -> None:
        """Load the newest weights that have arrived into ``residual``."""
        ...

    def await_learner(self, episode_id: str) -> None:
        """Wait until the learner has trained on an episode and its weights are here, or its time is over."""
        ...

    def show_run(self, progress: RunProgress) -> None:
        """Tell everyone how the run of episodes goes."""
        ...

    def show(self, machine: EpisodeMachine, order: EpisodeOrder, weights_version: int) -> None:
        """Tell everyone the state of the episode."""
        ...
