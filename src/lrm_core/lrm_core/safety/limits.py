"""What a robot's joints and tool may do, read from its description."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lrm_core.errors import BadInput


@dataclass(frozen=True)
class SafetyLimits:
    """Limits of J joints: rad, rad/s, rad/s², rad/s³; of a gripper opening m, m/s, m/s², m/s³.

    Attributes:
        joint_names: (J,) names, in the order of a command.
        position_low: (J,) lowest allowed position.
        position_high: (J,) highest allowed position.
        velocity_max: (J,) largest allowed speed, > 0.
        acceleration_max: (J,) largest allowed acceleration, > 0; infinite where the description names none.
        jerk_max: (J,) largest allowed jerk, > 0; infinite where the description names none.
        workspace_m: (2, 3) lowest and highest corner of the box for the tool centre point, base frame; None: no box.
    """

    joint_names: tuple[str, ...]
    position_low: np.ndarray
    position_high: np.ndarray
    velocity_max: np.ndarray
    acceleration_max: np.ndarray
    jerk_max: np.ndarray
    workspace_m: np.ndarray | None = None

    @staticmethod
    def from_mapping(robot: Mapping[str, Any]) -> SafetyLimits:
        """Read the limits of a robot description; ``acceleration_max``, ``jerk_max`` and ``workspace_m`` are optional.

        Raises:
            BadInput: a key is missing, a list has another length than ``joint_names``, or a limit makes no sense.
        """
        names = tuple(str(name) for name in _entry(robot, "joint_names"))
        low, high, velocity = (
            _vector(robot, key, len(names)) for key in ("position_low", "position_high", "velocity_max")
        )
        acceleration, jerk = (_optional(robot, key, len(names)) for key in ("acceleration_max", "jerk_max"))
        for name, lowest, highest in zip(names, low, high, strict=True):
            if not lowest < highest:
                raise BadInput(f"position_low of {name}", lowest, f"less than position_high ({highest})")
        for key, values in (("velocity_max", velocity), ("acceleration_max", acceleration), ("jerk_max", jerk)):
            for name, value in zip(names, values, strict=True):
                if not value > 0.0:
                    raise BadInput(f"{key} of {name}", value, "a number above 0")
        if "jerk_max" in robot and "acceleration_max" not in robot:
            raise BadInput("robot description: acceleration_max", None, "given where jerk_max is given")
        return SafetyLimits(names, low, high, velocity, acceleration, jerk, _box(robot))

    def clip(self, positions: np.ndarray) -> np.ndarray:
        """``positions`` (..., J) clamped into the position limits."""
        return np.clip(positions, self.position_low, self.position_high)


def _entry(robot: Mapping[str, Any], key: str) -> Sequence[Any]:
    value = robot.get(key)
    if not isinstance(value, list | tuple) or not value:
        raise BadInput(f"robot description: {key}", value, "a list with one entry per joint")
    return value


def _vector(robot: Mapping[str, Any], key: str, length: int) -> np.ndarray:
    values = _entry(robot, key)
    if len(values) != length or not all(_finite(v) for v in values):
        raise BadInput(f"robot description: {key}", values, f"{length} finite numbers, one per joint")
    return np.asarray(values, dtype=np.float64)


def _optional(robot: Mapping[str, Any], key: str, length: int) -> np.ndarray:
    return _vector(robot, key, length) if key in robot else np.full(length, np.inf)


def _box(robot: Mapping[str, Any]) -> np.ndarray | None:
    """``workspace_m: {low: [x, y, z], high: [x, y, z]}``, m, base frame."""
    box = robot.get("workspace_m")
    if box is None:
        return None
    corners = [box.get(key) for key in ("low", "high")] if isinstance(box, Mapping) else [box]
    if not all(isinstance(c, list | tuple) and len(c) == 3 and all(_finite(v) for v in c) for c in corners):
        raise BadInput("robot description: workspace_m", box, "low and high, three finite numbers each, m")
    corner = np.asarray(corners, dtype=np.float64)
    if not (corner[0] < corner[1]).all():
        raise BadInput("robot description: workspace_m", box, "low less than high in x, y and z")
    return corner


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
