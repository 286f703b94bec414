"""A run: episodes one after the other, with the learner in step, and what came of them."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from lrm_core.delivery import DeliveryParams, RewardDelivery
from lrm_core.episodes import TerminationReason
from lrm_core.errors import BadInput
from lrm_core.transitions import Scores
from lrm_policy_node.runtime.loop import REGULAR_ENDS, EpisodeLoop, EpisodeOutcome
from lrm_policy_node.runtime.params import PolicyParams
from lrm_policy_node.runtime.world import EpisodeCut, EpisodeOrder, RunProgress, World

_RETURN_EPISODES = 10


@dataclass(frozen=True)
class RunOrder:
    """What a run is to be.

    Attributes:
        run_id: beginning of every episode id, unique over runs.
        refine: explore, and publish transitions.
        episodes: how many, > 0.
        first_seed: episode i resets with ``first_seed + i``; -1: the robot's choice.
        task: task sentence; empty: the robot's own.
    """

    run_id: str
    refine: bool
    episodes: int
    first_seed: int
    task: str


class RunEnd(str, Enum):
    """How a run ended; the values of ``termination_reason`` in ``lrm_msgs/action/RunEpisodes``."""

    COMPLETED = "completed"
    CANCELLED = "cancelled"
    ABORTED = "aborted"


@dataclass
class RunResult:
    """How a run ended and the outcome of each of its episodes."""

    end: RunEnd = RunEnd.COMPLETED
    message: str = ""
    outcomes: list[EpisodeOutcome] = field(default_factory=list)


def check_task(task: str) -> str:
    """``task`` without surrounding blanks; raises :class:`BadInput` unless it is one non-empty line."""
    stripped = task.strip()
    if not stripped:
        raise BadInput("task", task, "a sentence", 'For example "put the red cube in the blue bowl".')
    if not stripped.isprintable():
        raise BadInput("task", task, "one line of text without control characters")
    return stripped


def check_order(order: RunOrder, params: PolicyParams) -> None:
    """Raise :class:`BadInput` for an order that cannot be carried out."""
    if order.episodes < 1:
        raise BadInput("goal episodes", order.episodes, "at least 1")
    if order.first_seed < -1:
        raise BadInput("goal first_seed", order.first_seed, "a seed >= 0, or -1 for the robot's choice")
    if order.task:
        check_task(order.task)
    if order.refine and not params.use_reward:
        raise BadInput(
            "goal mode", "REFINE", "EVALUATE while use_reward is false", "Set use_reward and start a reward node."
        )


class Run:
    """Runs the episodes of an order.

    Args:
        params: of the policy node.
        world: robot, rewards, learner and listeners.
        loop: runs one episode.
    """

    def __init__(self, params: PolicyParams, world: World, loop: EpisodeLoop) -> None:
        self._params, self._world, self._loop = params, world, loop
        self._delivery = RewardDelivery(DeliveryParams(), params.call_interval)

    def execute(self, order: RunOrder) -> RunResult:
        """Run all episodes, or as many as go well."""
        result = RunResult()
        try:
            check_order(order, self._params)
        except BadInput as error:
            return RunResult(RunEnd.ABORTED, str(error))
        for index in range(order.episodes):
            self._world.show_run(self._progress(order, result))
            seed = order.first_seed + index if order.first_seed >= 0 else -1
            outcome = self._loop.run(EpisodeOrder(f"{order.run_id}-{index:04d}", order.refine, seed, order.task))
            result.outcomes.append(outcome)
            cut = self._await_learner(outcome) if outcome.reason in REGULAR_ENDS else (outcome.reason, outcome.message)
            if cut is not None:
                result.end = RunEnd.CANCELLED if cut[0] is TerminationReason.CANCELLED else RunEnd.ABORTED
                result.message = f"Episode {outcome.order.episode_id} ({cut[0].value}): {cut[1]}"
                break
        self._world.show_run(self._progress(order, result))
        return result

    def _await_learner(self, outcome: EpisodeOutcome) -> tuple[TerminationReason, str] | None:
        """Wait for the learner where that is wanted; returns why the run has to stop, if it has."""
        if outcome.order.refine and self._params.learner_sync:
            try:
                self._world.await_learner(outcome.order.episode_id)
            except EpisodeCut as cut:
                return cut.reason, str(cut)
        return None

    def _progress(self, order: RunOrder, result: RunResult) -> RunProgress:
        ended = [outcome for outcome in result.outcomes if outcome.reason in REGULAR_ENDS]
        known = [outcome.completion for outcome in ended if not math.isnan(outcome.completion)]
        returns = [self.episode_return(outcome) for outcome in ended[-_RETURN_EPISODES:]]
        returns = [value for value in returns if not math.isnan(value)]
        return RunProgress(
            refine=order.refine,
            done=len(result.outcomes),
            total=order.episodes,
            success_rate=float(np.mean([c >= self._params.success_threshold for c in known])) if known else math.nan,
            mean_return=float(np.mean(returns)) if returns else math.nan,
        )

    def episode_return(self, outcome: EpisodeOutcome) -> float:
        """Sum of the rewards of an episode as the default delivery gives them; NaN when a query was not answered."""
        scores = list(outcome.scores.values())
        total = 0.0
        for index, (start, end) in enumerate(itertools.pairwise(scores)):
            if not (_known(start) and _known(end)):
                return math.nan
            assert start is not None
            assert end is not None
            total += self._delivery.reward(start, end, done=index == len(scores) - 2)
        return total if len(scores) > 1 else math.nan


def _known(scores: Scores | None) -> bool:
    return scores is not None and scores.progress is not None and scores.completion is not None
