"""The box for the tool centre point, through the robot's own model. MuJoCo is loaded only for a robot with a box."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lrm_core.robot import RobotContract


def load_box(robot: RobotContract) -> Callable[[np.ndarray], np.ndarray] | None:
    """Tells for joint positions (..., J) whether the tool is inside (...,) bool; None: the robot has no box.

    Raises:
        BadInput: the robot's description has no model or tool centre point that could be loaded.
    """
    if robot.limits.workspace_m is None:
        return None
    from lrm_policy_node.kinematics import ResidualKinematics

    kinematics = ResidualKinematics(robot.model_path, robot.tcp_site, robot.arm_names)
    low, high = robot.limits.workspace_m

    def inside(joints: np.ndarray) -> np.ndarray:
        tool = kinematics.tcp(joints)
        return np.asarray(((low <= tool) & (tool <= high)).all(axis=-1))

    return inside
