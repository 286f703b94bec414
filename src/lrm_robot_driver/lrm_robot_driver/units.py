"""Positions in LeRobot's units (degrees, percent) and in the project's (rad; the gripper's opening in m)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from lrm_core.errors import BadInput
from lrm_core.robot import LeRobotJointSpec


class UnitMap:
    """Converts both ways: ``position = offset + sign * scale * value``, joint by joint.

    Args:
        joints: J mappings in the order of a command.

    Attributes:
        motors: LeRobot's name of each joint.
    """

    def __init__(self, joints: Sequence[LeRobotJointSpec]) -> None:
        self.motors = tuple(joint.motor for joint in joints)
        self._factors = np.array([joint.sign * joint.scale for joint in joints])
        self._offsets = np.array([joint.offset for joint in joints])

    def positions(self, values: Mapping[str, float | None]) -> np.ndarray:
        """(J,) float64, rad and m, of LeRobot's values by motor.

        Raises:
            BadInput: a motor is missing, or its value is not finite.
        """
        found = np.array([values.get(motor) for motor in self.motors], dtype=np.float64)  # None becomes NaN
        if not np.isfinite(found).all():
            motor = self.motors[int(np.argmin(np.isfinite(found)))]
            raise BadInput(f"position of motor {motor}", values.get(motor), "a finite number")
        return self._offsets + self._factors * found

    def values(self, positions: np.ndarray) -> dict[str, float]:
        """LeRobot's values by motor of positions (J,)."""
        converted = (positions - self._offsets) / self._factors
        return dict(zip(self.motors, converted.tolist(), strict=True))
