"""Straight lines in joint space at a share of full speed: how an arm is led to a pose that it is not at."""

from __future__ import annotations

import math

import numpy as np

from lrm_core.safety.limits import SafetyLimits

_NEAR_S = 0.1
"""The arm is at a pose when the line would cover what is left in this time."""
_ARRIVED_S, _ARRIVED_RAD = 0.3, 0.08
"""A real arm that has stopped sags and has friction: it is there when less than both is left."""
_SETTLE_S = 3.0


class SlowLine:
    """All joints move together and arrive together.

    Args:
        limits: of the robot.
        arm_joints: so many of them, from the first, have to arrive; a gripper may be stopped by what it holds.
        rate_hz: of the commands.
        share: of the largest speeds, (0, 1].

    Attributes:
        settle_steps: at the goal, so many commands are worth waiting for the arm.
    """

    def __init__(self, limits: SafetyLimits, arm_joints: int, rate_hz: float, share: float) -> None:
        self._limits, self._arm, self._rate_hz = limits, arm_joints, rate_hz
        self._speed = share * limits.velocity_max
        self._tolerance = np.minimum(_ARRIVED_S * self._speed, _ARRIVED_RAD)[:arm_joints]
        self.settle_steps = math.ceil(_SETTLE_S * rate_hz)

    def targets(self, here: np.ndarray, goal: np.ndarray) -> list[np.ndarray]:
        """Commands (J,) from ``here`` (J,) to ``goal`` (J,), one per period; none when the arm is as good as there."""
        seconds = float(np.max(np.abs(goal - here) / self._speed))
        if seconds <= _NEAR_S:
            return []
        steps = math.ceil(seconds * self._rate_hz)
        return [here + (goal - here) * (step / steps) for step in range(1, steps + 1)]

    def away(self, here: np.ndarray, goal: np.ndarray) -> str:
        """Which joint is farthest from the goal, in words; empty once the arm is there."""
        left = np.abs(goal - here)[: self._arm]
        excess = left - self._tolerance
        index = int(excess.argmax())
        if excess[index] <= 0.0:
            return ""
        return f"{self._limits.joint_names[index]} stays {left[index]:.3g} rad away from where it was led"
