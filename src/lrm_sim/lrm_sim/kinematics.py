"""Closed-form inverse kinematics of the arm with the tool pointing straight down, from the lengths in its MJCF."""

from __future__ import annotations

import math
from dataclasses import dataclass

import mujoco
import numpy as np

from lrm_core.errors import BadInput


@dataclass(frozen=True)
class TopDownArm:
    """Lengths of the arm in metres.

    Attributes:
        shoulder_height_m: height of the shoulder_lift axis above the base.
        upper_arm_m: shoulder_lift axis to elbow_flex axis.
        forearm_m: elbow_flex axis to wrist_flex axis.
        tool_m: wrist_flex axis to tool centre point.
    """

    shoulder_height_m: float
    upper_arm_m: float
    forearm_m: float
    tool_m: float

    @staticmethod
    def of(model: mujoco.MjModel) -> TopDownArm:
        """Read the lengths from a compiled model of ``assets/arm.xml``."""
        height = model.body("shoulder").pos[2] + model.body("upper_arm").pos[2]
        tool = model.body("hand").pos[2] + model.site("tcp").pos[2]
        return TopDownArm(float(height), model.body("forearm").pos[2], model.body("wrist").pos[2], float(tool))

    def joints(self, pan_rad: float, radius_m: float, height_m: float, roll_rad: float) -> np.ndarray:
        """Five joint angles (rad) that put the tool centre point at a cylindrical position, tool straight down.

        Raises:
            BadInput: the position is out of reach.
        """
        rise = height_m + self.tool_m - self.shoulder_height_m
        distance = math.hypot(radius_m, rise)
        a, b = self.upper_arm_m, self.forearm_m
        if not abs(a - b) < distance < a + b:
            allowed = f"a position within {a + b:.3f} m of the shoulder"
            raise BadInput("radius_m, height_m", (radius_m, height_m), allowed)
        elbow = math.pi - math.acos((a * a + b * b - distance * distance) / (2 * a * b))
        inner = math.acos((a * a + distance * distance - b * b) / (2 * a * distance))
        lift = math.atan2(radius_m, rise) - inner
        return np.array([pan_rad, lift, elbow, math.pi - lift - elbow, roll_rad])


def roll_for(pan_rad: float, closing_rad: float, period_rad: float) -> float:
    """Smallest wrist roll (rad) at which the fingers close along ``closing_rad`` (base frame), or its equivalents.

    ``period_rad`` is the symmetry of the object: 0 when any direction will do.
    """
    if period_rad == 0.0:
        return 0.0
    roll = pan_rad + math.pi / 2 - closing_rad
    return roll - period_rad * round(roll / period_rad)
