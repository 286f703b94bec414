"""One episode: reset, chunks behind the reward gate, end. Blocking style; runs on a thread of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from lrm_core.episode_machine import EpisodeMachine
from lrm_core.episodes import EpisodeState, TerminationReason
from lrm_core.errors import LrmError
from lrm_core.rewards import RewardHead
from lrm_core.success import SuccessConfirmation
from lrm_core.transitions import Scores, Transition
from lrm_policy_node.runtime.approach import Approach
from lrm_policy_node.runtime.decisions import ChunkPlanner
from lrm_policy_node.runtime.inference import Inference
from lrm_policy_node.runtime.observation import Observation
from lrm_policy_node.runtime.params import PolicyParams
from lrm_policy_node.runtime.world import EpisodeCut, EpisodeOrder, World

REGULAR_ENDS = frozenset({TerminationReason.SUCCESS_CONFIRMED, TerminationReason.MAX_STEPS})
"""Ends after which the next episode may start; any other ends the run."""
_LATE_PLANS = 3
"""So many plans in a row that came when their chunk was over already: the policy is too slow for this robot."""


@dataclass
class EpisodeOutcome:
    """How an episode went.

    Attributes:
        order: what was asked.
        reason: why it ended.
        message: cause and fix when it was cut short.
        steps: control periods from the first to the last frame.
        completion: newest completion score; NaN when unknown.
        scores: frame stamp in nanoseconds -> its known scores, in order; None where the query was lost.
    """

    order: EpisodeOrder
    reason: TerminationReason
    message: str = ""
    steps: int = 0
    completion: float = math.nan
    scores: dict[int, Scores | None] = field(default_factory=dict)


class EpisodeLoop:
    """Runs episodes, one at a time.

    Args:
        params: of the policy node.
        world: robot, rewards and listeners.
        planner: base policy, residual and kinematics.
        approach: leads the arm to where the policy wants to start; None in lock-step.
        inference: plans while the arm moves; None in lock-step, where time stands still meanwhile.
    """

    def __init__(
        self,
        params: PolicyParams,
        world: World,
        planner: ChunkPlanner,
        approach: Approach | None = None,
        inference: Inference | None = None,
    ) -> None:
        self._params, self._world, self._planner = params, world, planner
        self._approach, self._inference = approach, inference
        self._patience_s = 0.5 / params.control_rate_hz  # a command that is later belongs to the next step
        self.machine = EpisodeMachine(params.max_steps)
        self._success = SuccessConfirmation(params.success_threshold, params.success_confirmations)

    def run(self, order: EpisodeOrder) -> EpisodeOutcome:
        """Run one episode to its end. Never raises for what may happen to a robot: every end has a reason."""
        self.machine.begin(order.episode_id)
        self._success.reset()
        self._order = order
        self._outcome = EpisodeOutcome(order, TerminationReason.SHUTDOWN)
        self._newest_ns, self._displaced, self._late = 0, False, 0
        self._targets: np.ndarray = np.empty((0, 0))
        self._targets_ns = 0
        try:
            self._end(*self._chunks(self._reset()))
        except EpisodeCut as cut:
            self._cut(cut.reason, str(cut))
        except LrmError as error:
            self._cut(TerminationReason.POLICY_ERROR, str(error))
        except (
            Exception
        ) as error:  # a policy is other people's code: whatever it raises, the arm holds and the node lives
            self._cut(TerminationReason.POLICY_ERROR, f"{type(error).__name__}: {error}")
        self._outcome.steps = self.machine.steps
        return self._outcome

    def _reset(self) -> Observation:
        order = self._order
        if self._inference is not None:
            self._inference.settle()
        self._world.adopt_weights(self._planner.residual)
        self._show()
        if self._params.use_reward:
            self._world.await_reward_node()
        stamp_ns, task = self._world.reset(order.seed, order.task)
        if not task:
            fix = "Give one in the goal, or call set_task."
            raise EpisodeCut(TerminationReason.RESET_FAILED, f"There is no task sentence. {fix}")
        self._order = self._outcome.order = EpisodeOrder(order.episode_id, order.refine, order.seed, task)
        rng = np.random.default_rng([self._params.exploration_seed, order.seed + 1])
        self._planner.begin(order.episode_id, rng, task, order.seed)
        observation = self._world.observe(stamp_ns - 1)
        if self._approach is not None:
            observation = self._approach.run(self._planner.first_target(observation), observation)
        self._newest_ns = observation.stamp_ns
        self._planner.saw(observation, 0)
        self.machine.start(observation.stamp_ns)
        self._show()
        return observation

    def _chunks(self, observation: Observation) -> tuple[TerminationReason, Observation]:
        """Chunk after chunk behind the reward gate.

        In lock-step, where waiting costs no time of the robot, a chunk waits for the reward of the very frame it starts
        from: that frame is still there for a reward node that was killed meanwhile, and success is confirmed at once.
        In real time the arm does not stop for that: the reward may arrive while the chunk runs.
        """
        while True:
            start = self._recovered(observation)
            if self._params.lockstep and self._on_grid and self._confirmed(start):
                return TerminationReason.SUCCESS_CONFIRMED, start
            if self.machine.out_of_steps:
                return TerminationReason.MAX_STEPS, start
            observation = self._chunk(start)
            if not self._params.lockstep and self._confirmed(start):
                return TerminationReason.SUCCESS_CONFIRMED, observation
            observation = self._aligned(observation)

    def _recovered(self, observation: Observation) -> Observation:
        """After a hold, in which the arm may have been moved: where the plan would jump, it is led there slowly."""
        if self._approach is None or not (self._world.held() or self._displaced):
            return observation
        self._displaced, self._targets = False, self._targets[:0]
        self._planner.forget()
        goal = self._planner.first_target(observation)
        if not self._approach.jumps(observation.joints, goal):
            return observation
        return self._aligned(self._reached(self._approach.run(goal, observation)))

    def _chunk(self, start: Observation) -> Observation:
        """Plan from ``start``, decide, execute; a plan that is there too late is dropped."""
        step = self.machine.steps
        inferred, observation, begin_ns = self._inferred(start)
        if self._too_late(self._periods(start.stamp_ns, observation.stamp_ns)):
            return observation
        late_steps = self._periods(begin_ns, observation.stamp_ns)
        self._targets, ended = self._planner.plan(start, step, self._order.refine, inferred, late_steps)
        self._targets_ns = begin_ns
        self._publish(ended)
        if step:
            self._show()
        return self._execute(start, observation)

    def _inferred(self, start: Observation) -> tuple[np.ndarray | None, Observation, int]:
        """The plan from ``start``; the newest observation when it is there; the stamp at which its first step was due.

        Meanwhile the arm goes on with what the last plan has beyond its chunk. Where that has no more, the arm stands,
        and the new plan is put off by as long: entered later on, it would make up the lost way in one leap.
        """
        if self._inference is None:
            return None, start, start.stamp_ns
        observation, begin_ns = start, start.stamp_ns
        self._inference.start(self._planner.inference(start))
        while not self._inference.ready(self._patience_s):
            since_ns, moves = observation.stamp_ns, self._goes_on(observation)
            observation = self._reached(self._world.observe(since_ns))
            begin_ns += 0 if moves else observation.stamp_ns - since_ns
        self._world.planned(start.stamp_ns)
        return self._inference.result(), self._reached(self._world.newest() or observation), begin_ns

    def _goes_on(self, observation: Observation) -> bool:
        """Command the step of the last plan that is due, if it reaches so far."""
        step = self._periods(self._targets_ns, observation.stamp_ns)
        if step >= len(self._targets) or self.machine.out_of_steps:
            return False
        return self._follow(self._targets[step], observation)

    def _too_late(self, late_steps: int) -> bool:
        self._late = self._late + 1 if late_steps >= self._params.call_interval else 0
        if self._late == _LATE_PLANS:
            chunk_s = self._params.call_interval / self._params.control_rate_hz
            fix = "A faster device, a larger call_interval or a lower control_rate_hz helps."
            message = f"Planning takes longer than a chunk of {chunk_s:g} s. {fix}"
            raise EpisodeCut(TerminationReason.POLICY_ERROR, message)
        return self._late > 0

    def _execute(self, start: Observation, observation: Observation) -> Observation:
        """Command a chunk. The step follows the stamps, so that a control step that came too late is skipped."""
        while not self.machine.out_of_steps:
            over = self._periods(start.stamp_ns, observation.stamp_ns) >= self._params.call_interval
            if over or not self._goes_on(observation):
                break
            observation = self._reached(self._world.observe(observation.stamp_ns))
        return observation

    def _follow(self, target: np.ndarray, observation: Observation) -> bool:
        """Command ``target``; False: the arm was held and is not where the plan takes it to be."""
        self._displaced = self._displaced or self._jumps(observation, target)
        if not self._displaced:
            self._world.command(target, observation.stamp_ns)
            self._planner.sent(target)
        return not self._displaced

    def _jumps(self, observation: Observation, target: np.ndarray) -> bool:
        """The arm was held and is not where the plan takes it to be."""
        approach = self._approach
        return approach is not None and approach.jumps(observation.joints, target) and self._world.held()

    def _aligned(self, observation: Observation) -> Observation:
        """The next observation on the grid of the reward queries; ``observation`` itself when no time was lost."""
        observation = self._reached(self._world.newest() or observation)
        while not (self._on_grid or self.machine.out_of_steps):
            observation = self._reached(self._world.observe(observation.stamp_ns))
        return observation

    @property
    def _on_grid(self) -> bool:
        return self.machine.steps % self._params.call_interval == 0

    def _reached(self, observation: Observation) -> Observation:
        self._newest_ns = observation.stamp_ns
        self.machine.reach(self._periods(self.machine.start_stamp_ns, observation.stamp_ns))
        self._planner.saw(observation, self.machine.steps)
        return observation

    def _periods(self, since_ns: int, stamp_ns: int) -> int:
        return round((stamp_ns - since_ns) * self._params.control_rate_hz / 1e9)

    def _confirmed(self, frame: Observation) -> bool:
        return self._success.add(self._score(frame.stamp_ns))

    def _score(self, stamp_ns: int) -> float:
        """Wait for the reward of a frame; returns its completion score, NaN when unknown."""
        if not self._params.use_reward:
            return math.nan
        frame = self._world.await_reward(self._order.episode_id, stamp_ns)
        self._outcome.scores[stamp_ns] = frame.scores() if frame else None
        self._outcome.completion = frame.score(RewardHead.COMPLETION) if frame else math.nan
        return self._outcome.completion

    def _publish(self, transition: Transition | None) -> None:
        if transition is not None and self._order.refine:
            self._world.publish(transition)

    def _end(self, reason: TerminationReason, last: Observation) -> None:
        if self._order.refine:
            terminated = reason is TerminationReason.SUCCESS_CONFIRMED
            self._publish(self._planner.finish(last, self.machine.steps, terminated))
        self.machine.end(reason, last.stamp_ns)
        self._outcome.reason = reason
        self._show()
        self._score(last.stamp_ns)
        self.machine.complete()
        self._show()

    def _cut(self, reason: TerminationReason, message: str) -> None:
        """End at once: the arm holds, the open decision is dropped, the forced query is not waited for."""
        self._outcome.message = message
        if self.machine.state in (EpisodeState.RESETTING, EpisodeState.RUNNING):
            self._outcome.reason = reason
            self._world.hold()
            self.machine.end(reason, self._newest_ns)
            self._show()
        if self.machine.state is EpisodeState.ENDING:
            self.machine.complete()
            self._show()

    def _show(self) -> None:
        self._world.show(self.machine, self._order, self._planner.residual.version)
