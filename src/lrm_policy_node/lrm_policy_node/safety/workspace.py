"""The box for the tool centre point, through the robot's own model. MuJoCo is loaded only for a robot with a box."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lrm_core.safety import SafetyLimits
from lrm_policy_node.robot import load_robot


def load_box(robot: str, limits: SafetyLimits) -> Callable[[np.ndarray], np.ndarray] | None:
    """Tells for joint positions (..., J) whether the tool is inside (...,) bool; None: the robot has no box.

    Raises:
        BadInput: the robot's description has no model or tool centre point that could be loaded.
    """
    if limits.workspace_m is None:
        return None
    from lrm_policy_node.kinematics import ResidualKinematics

    description = load_robot(robot)
    arm = description.joint_names[: description.arm_joints]
    kinematics = ResidualKinematics(description.model_path, description.tcp_site, arm)
    low, high = limits.workspace_m

    def inside(joints: np.ndarray) -> np.ndarray:
        tool = kinematics.tcp(joints)
        return np.asarray(((low <= tool) & (tool <= high)).all(axis=-1))

    return inside
