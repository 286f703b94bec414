"""The slow first motion: from where the arm is to where it is wanted, all joints together, at a share of full speed."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from lrm_core.episodes import TerminationReason
from lrm_core.errors import BadInput
from lrm_core.safety import SafetyLimits
from lrm_policy_node.runtime.observation import Observation
from lrm_policy_node.runtime.world import EpisodeCut

_NEAR_S = 0.1
"""The arm is at a pose when the approach would cover what is left in this time."""
_ARRIVED_S, _ARRIVED_RAD = 0.3, 0.08
"""A real arm that has stopped sags and has friction: it is there when less than both is left."""
_SETTLE_S = 3.0
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
        self._speed = share * limits.velocity_max
        self._tolerance = np.minimum(_ARRIVED_S * self._speed, _ARRIVED_RAD)[:arm_joints]

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
        goal, here = self._limits.clip(goal), observation.joints.astype(np.float64)
        if self._seconds(goal - here) <= _NEAR_S:
            return observation
        steps = math.ceil(self._seconds(goal - here) * self._rate_hz)
        for step in range(1, steps + 1):
            observation = self._step(here + (goal - here) * (step / steps), observation)
        left_steps = math.ceil(_SETTLE_S * self._rate_hz)
        while self._excess(goal - observation.joints).max() > 0.0 and left_steps:
            observation, left_steps = self._step(goal, observation), left_steps - 1
        self._check(goal - observation.joints)
        return observation

    def _step(self, target: np.ndarray, observation: Observation) -> Observation:
        self._command(target, observation.stamp_ns)
        return self._observe(observation.stamp_ns)

    def _seconds(self, way: np.ndarray) -> float:
        """How long the approach takes for ``way`` (<= J,)."""
        return float(np.max(np.abs(way) / self._speed[: len(way)]))

    def _excess(self, left: np.ndarray) -> np.ndarray:
        """By how much the arm's joints are farther from the goal than they may be."""
        return np.asarray(np.abs(left)[: self._arm] - self._tolerance)

    def _check(self, left: np.ndarray) -> None:
        excess = self._excess(left)
        if excess.max() > 0.0:
            index = int(excess.argmax())
            what = f"{self._limits.joint_names[index]} stays {abs(left[index]):.3g} rad away from where it was led"
            fix = "Is it blocked, without power, or deaf to the commands? lrm robot check tells."
            raise EpisodeCut(TerminationReason.RESET_FAILED, f"The arm does not reach its start: {what}. {fix}")
