"""A robot as a contract: one YAML file with its topics, joints, limits, rates, cameras, gripper and home pose."""

from lrm_core.robot.contract import RobotContract
from lrm_core.robot.lerobot import LeaderSpec, LeRobotDeviceSpec, LeRobotJointSpec, LeRobotSpec
from lrm_core.robot.names import camera_info_topics, project_names
from lrm_core.robot.reading import load_robot, robot_names, robot_path
from lrm_core.robot.sections import (
    CameraSpec,
    CommandSpec,
    GripperSpec,
    JointSpec,
    ResetSpec,
    StateSpec,
    ToolSpec,
)
from lrm_core.robot.state_units import StateUnits

__all__ = [
    "CameraSpec", "CommandSpec", "GripperSpec", "JointSpec", "LeRobotDeviceSpec", "LeRobotJointSpec", "LeRobotSpec",
    "LeaderSpec", "ResetSpec", "RobotContract", "StateSpec", "StateUnits", "ToolSpec", "camera_info_topics",
    "load_robot", "project_names", "robot_names", "robot_path",
]  # fmt: skip
