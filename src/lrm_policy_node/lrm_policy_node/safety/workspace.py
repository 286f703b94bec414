"""The box for the tool centre point, through the robot's own model. MuJoCo is loaded only for a robot with a box."""

from __future__ import annotations

from lrm_core.robot import RobotContract
from lrm_core.safety import Box


def load_box(robot: RobotContract) -> Box | None:
    """The robot's box; None: it has none.

    Raises:
        BadInput: the robot's description has no model or tool centre point that could be loaded.
    """
    if robot.limits.workspace_m is None:
        return None
    from lrm_policy_node.kinematics import ResidualKinematics

    kinematics = ResidualKinematics(robot.model_path, robot.tcp_site, robot.arm_names)
    return Box(kinematics.tcp, *robot.limits.workspace_m)
