"""The box for the tool centre point, through the robot's own model. MuJoCo is loaded only for a robot with a box."""

from __future__ import annotations

from lrm_core.robot import RobotContract
from lrm_core.safety import Box


def load_box(robot: RobotContract) -> Box | None:
    """The robot's box; None: it has none.

    Raises:
        BadInput: the robot's model has a fault, or its home is outside of the box; with the line in its file.
    """
    if robot.limits.workspace_m is None:
        return None
    from lrm_policy_node.robot_model import load_kinematics

    return Box(load_kinematics(robot).tcp, *robot.limits.workspace_m)
