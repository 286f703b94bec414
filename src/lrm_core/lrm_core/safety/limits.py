"""What a robot's joints and tool may do."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class SafetyLimits:
    """Limits of J joints: rad, rad/s, rad/s², rad/s³; of a gripper opening m, m/s, m/s², m/s³.

    They are read, and checked, with the rest of a robot: :func:`lrm_core.robot.load_robot`.

    Attributes:
        joint_names: (J,) names, in the order of a command.
        position_low: (J,) lowest allowed position.
        position_high: (J,) highest allowed position.
        velocity_max: (J,) largest allowed speed, > 0.
        acceleration_max: (J,) largest allowed acceleration, > 0; infinite where none is given.
        jerk_max: (J,) largest allowed jerk, > 0; infinite where none is given.
        workspace_m: (2, 3) lowest and highest corner of the box for the tool centre point, base frame; None: no box.
        tracked: (J,) bool, which joints have to be where they were commanded: not a gripper, which what it holds stops.
    """

    joint_names: tuple[str, ...]
    position_low: np.ndarray
    position_high: np.ndarray
    velocity_max: np.ndarray
    acceleration_max: np.ndarray
    jerk_max: np.ndarray
    workspace_m: np.ndarray | None = None
    tracked: np.ndarray = field(default_factory=lambda: np.array(True))

    def clip(self, positions: np.ndarray) -> np.ndarray:
        """``positions`` (..., J) clamped into the position limits."""
        return np.clip(positions, self.position_low, self.position_high)

    def behind_s(self, commanded: np.ndarray, measured: np.ndarray) -> np.ndarray:
        """How long the largest speed would take from ``measured`` (..., J) to ``commanded``; 0 where not tracked."""
        away = np.abs(commanded - self.clip(measured)) / self.velocity_max
        return np.where(self.tracked, away, 0.0)
