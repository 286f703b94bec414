"""From the safety stage's joint targets to a velocity of the tool, for controllers that take no joint positions.

The stage works in joint space: every limit is kept on the joint targets, and the velocity is the motion of the tool
between two of them, plus a share of what the arm lags behind. A servo controller chooses the joints on its own again,
so what the stage can promise is less than with joint commands: caps on the tool's speed, and a stop when the measured
joints part from the targets (cause ``tracking``) or leave their limits. See docs/robots.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lrm_core.robot import CommandSpec

if TYPE_CHECKING:
    from lrm_policy_node.kinematics import ResidualKinematics

CORRECTION = 0.5
"""Share of the lag that is made up in one period: well damped also with one period of delay."""


class ToolServo:
    """Velocities of the tool centre point in the base frame.

    Args:
        kinematics: of the arm.
        command: its largest speeds.
        period_s: time between two commands.
    """

    def __init__(self, kinematics: ResidualKinematics, command: CommandSpec, period_s: float) -> None:
        self._kinematics, self._period_s = kinematics, period_s
        self._linear_max, self._angular_max = command.linear_max_m_s, command.angular_max_rad_s

    def twist(self, before: np.ndarray, after: np.ndarray, measured: np.ndarray | None) -> np.ndarray:
        """(6,) linear m/s and angular rad/s that lead from target ``before`` (J,) to target ``after`` (J,).

        Args:
            measured: (J,) where the arm is; None: unknown, or it brakes, and the lag is left alone.
        """
        motion = self._between(before, after)
        if measured is not None:
            motion = motion + CORRECTION * self._between(measured, before)
        velocity = motion / self._period_s
        linear, angular = np.linalg.norm(velocity[:3]), np.linalg.norm(velocity[3:])
        largest = max(linear / self._linear_max, angular / self._angular_max, 1.0)
        return np.asarray(velocity / largest)

    def _between(self, start: np.ndarray, end: np.ndarray) -> np.ndarray:
        """(6,) displacement m and rotation vector rad from one pose of the tool to another, base frame."""
        from scipy.spatial.transform import Rotation

        (at, turned), (to, turned_to) = self._kinematics.pose(start), self._kinematics.pose(end)
        return np.concatenate([to - at, Rotation.from_matrix(turned_to @ turned.T).as_rotvec()])
