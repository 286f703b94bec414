"""How an arm follows a leader: slowly up to where a person holds it, then closely. Nothing jumps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lrm_core.robot import RobotContract
from lrm_core.safety import SlowLine

_LAG_S = 0.3
"""An arm that is farther behind the slow line than full speed covers in this time was stopped: the line begins anew."""


class Following:
    """Decides where an arm is led, one control step after the other.

    The slow line begins where the arm is measured. Its gripper begins where it was led last: its opening may be that of
    what it holds.

    Args:
        robot: that follows.
        rate_hz: of the steps.
        share: of the largest speeds on the slow line, (0, 1].
        rejoin_s: a leader farther from the arm than full speed covers in this time is approached slowly again.

    Attributes:
        close: the arm is where the leader is, and follows it at full speed.
    """

    def __init__(self, robot: RobotContract, rate_hz: float, share: float, rejoin_s: float) -> None:
        self._limits, self._arm, self._rejoin_s = robot.limits, robot.arm_joints, rejoin_s
        self._units = [joint.unit for joint in robot.joints]
        self._line = SlowLine(robot.limits, robot.arm_joints, rate_hz, share)
        self._target: np.ndarray | None = None
        self._grip: np.ndarray | None = None
        self.close = False

    def restart(self) -> None:
        """The next step begins a slow line where the arm is."""
        self.close, self._target = False, None

    def forget(self) -> None:
        """Somebody else has moved the arm: as :meth:`restart`, and the gripper too is where it is measured."""
        self.restart()
        self._grip = None

    def step(self, leader: np.ndarray, here: np.ndarray) -> np.ndarray:
        """(J,) the next target, within limits, of an arm at ``here`` (J,) whose leader is at ``leader`` (J,)."""
        goal = self._limits.clip(leader)
        if self.close and self._behind_s(goal, here) > self._rejoin_s:
            self.restart()
        target = goal if self.close else self._next(goal, here)
        self._grip = target[self._arm :]
        return target

    def to_go(self, leader: np.ndarray, here: np.ndarray) -> str:
        """How far an arm at ``here`` (J,) has to go to ``leader`` (J,), in words: the joint that takes longest."""
        away = np.abs(self._limits.clip(leader) - here)
        index = int((away / self._limits.velocity_max).argmax())
        return f"{self._limits.joint_names[index]} has {_shown(away[index], self._units, index)} to go"

    def _next(self, goal: np.ndarray, here: np.ndarray) -> np.ndarray:
        if self._target is None or self._behind_s(self._target, here) > _LAG_S:
            self._target = self._start(here)
        path = self._line.targets(self._target, goal)
        self._target = path[0] if path else goal
        self.close = not path and not self._line.away(here, goal)
        return self._target

    def _start(self, here: np.ndarray) -> np.ndarray:
        return here if self._grip is None else np.concatenate([here[: self._arm], self._grip])

    def _behind_s(self, goal: np.ndarray, here: np.ndarray) -> float:
        """Seconds at full speed; of the arm alone, for a gripper may be stopped by what it holds."""
        return float(self._limits.behind_s(goal, here).max())


def _shown(away: float, units: Sequence[str], index: int) -> str:
    return f"{np.degrees(away):.0f} degrees" if units[index] == "rad" else f"{1e3 * away:.0f} mm"
