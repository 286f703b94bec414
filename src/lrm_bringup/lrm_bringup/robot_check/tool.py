"""Where the model of the arm puts the tool: for a person with a ruler to hold against the real one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lrm_core.robot import RobotContract
from lrm_core.safety import Box

Tool = Callable[[np.ndarray], np.ndarray]
"""Joint positions (..., J) -> tool centre point (..., 3) m, base frame."""


def place(robot: RobotContract, tool: Tool, joints: np.ndarray) -> str:
    """Where the tool is at ``joints`` (J,), in words, and where that is to its box."""
    at_m = "[" + ", ".join(f"{value:.3f}" for value in tool(joints) + 0.0) + "]"
    text = f"{at_m} m in {robot.base_frame}"
    if robot.limits.workspace_m is None:
        return f"{text}, no box"
    away_m = float(Box(tool, *robot.limits.workspace_m).outside_m(joints))
    return f"{text}, {away_m:.3f} m outside of its box" if away_m > 0.0 else f"{text}, in its box"
