"""The slow first motion: from where the arm is to where it is wanted, all joints together, at a share of full speed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lrm_core.episodes import TerminationReason
from lrm_core.errors import BadInput
from lrm_core.safety import SafetyLimits, SlowLine
from lrm_policy_node.runtime.observation import Observation
from lrm_policy_node.runtime.world import EpisodeCut

_JUMP_PERIODS = 2.0
"""A target farther than full speed covers in so many control periods is no motion of a policy, but a jump."""


class Approach:
    """Straight lines in joint space, for one arm. In real time alone: a lock-step simulation puts its arm in place.

    Args:
        command: proposes targets (J,) computed from the observation with a stamp in nanoseconds.
        observe: the next observation after a stamp in nanoseconds.
        limits: of the robot.
        arm_joints: so many of them, from the first, have to arrive; a gripper may be stopped by what it holds.
        rate_hz: of the commands.
        share: of the largest speeds, (0, 1].
    """

    def __init__(
        self,
        command: Callable[[np.ndarray, int], None],
        observe: Callable[[int], Observation],
        limits: SafetyLimits,
        arm_joints: int,
        rate_hz: float,
        share: float,
    ) -> None:
        self._command, self._observe = command, observe
        self._limits, self._arm, self._rate_hz = limits, arm_joints, rate_hz
        self._line = SlowLine(limits, arm_joints, rate_hz, share)

    def jumps(self, here: np.ndarray, goal: np.ndarray) -> bool:
        """Whether ``goal`` (J,) is farther from ``here`` (J,) than any motion of a policy leads at once."""
        reach = _JUMP_PERIODS / self._rate_hz * self._limits.velocity_max
        return bool((np.abs(goal - here) > reach)[: self._arm].any())

    def run(self, goal: np.ndarray, observation: Observation) -> Observation:
        """Lead the arm from ``observation`` to ``goal`` (J,); returns the observation there, at once when it is near.

        Raises:
            BadInput: the goal is not finite.
            EpisodeCut: the arm does not get there, or the robot was lost on the way.
        """
        if not np.isfinite(goal).all():
            raise BadInput("first action of the policy", goal.tolist(), "finite numbers")
        goal = self._limits.clip(goal)
        for target in self._line.targets(observation.joints.astype(np.float64), goal):
            observation = self._step(target, observation)
        left_steps = self._line.settle_steps
        while self._line.away(observation.joints, goal) and left_steps:
            observation, left_steps = self._step(goal, observation), left_steps - 1
        if what := self._line.away(observation.joints, goal):
            fix = "Is it blocked, without power, or deaf to the commands? lrm robot check tells."
            raise EpisodeCut(TerminationReason.RESET_FAILED, f"The arm does not reach its start: {what}. {fix}")
        return observation

    def _step(self, target: np.ndarray, observation: Observation) -> Observation:
        self._command(target, observation.stamp_ns)
        return self._observe(observation.stamp_ns)
