"""The model of the arm that a robot's file names: loaded, and held against the file."""

from __future__ import annotations

import numpy as np

from lrm_core.errors import BadInput
from lrm_core.robot import RobotContract
from lrm_core.robot.reading import refusal
from lrm_core.yaml_tree import Checked, Node, parse
from lrm_policy_node.kinematics import ResidualKinematics


def load_kinematics(robot: RobotContract, bound_m: float = 0.05, ramp_steps: int = 4) -> ResidualKinematics:
    """The kinematics of a robot; for the parameters see :class:`ResidualKinematics`.

    Raises:
        BadInput: with its line in the robot's file: the model cannot be loaded, has no such site or joint, has the base
            frame elsewhere than at its origin, or the tool is outside of its box when the arm is at home.
    """
    limits_rad = np.array([robot.limits.position_low, robot.limits.position_high])[:, : robot.arm_joints]
    try:
        kinematics = ResidualKinematics(
            robot.model_path, robot.tcp_site, robot.arm_names, bound_m, ramp_steps,
            offset_m=robot.tool.offset_m, limits_rad=limits_rad,
        )  # fmt: skip
    except BadInput as error:
        raise _in_file(robot, error) from error
    _check_frame(robot, kinematics)
    _check_home(robot, kinematics)
    return kinematics


def _check_frame(robot: RobotContract, kinematics: ResidualKinematics) -> None:
    pose = kinematics.stands(robot.base_frame)
    if pose is not None and not np.allclose(pose, np.eye(4), atol=1e-4):
        at_m = pose[:3, 3].round(3).tolist()
        text = f"base_frame is {robot.base_frame!r}, which the model has at {at_m} m, or turned"
        fix = "expected the frame of the model's first link: positions of the tool are in that one."
        raise _refusal(robot, _root(robot).child("base_frame"), f"{text}: {fix}")


def _check_home(robot: RobotContract, kinematics: ResidualKinematics) -> None:
    if robot.limits.workspace_m is not None:
        low, high = robot.limits.workspace_m
        tool = kinematics.tcp(robot.home)
        if not ((low <= tool) & (tool <= high)).all():
            text = f"home has the tool at {tool.round(3).tolist()} m: expected inside of the workspace. Change either."
            raise _refusal(robot, _root(robot).child("tool").child("workspace_low_m"), text)


def _in_file(robot: RobotContract, error: BadInput) -> BadInput:
    """An error of the kinematics with the line that is to blame; itself where that is not the robot's file."""
    tool, model = _root(robot).child("tool"), robot.tool.model
    if error.field == "robot model":
        node, fix = tool.child("model"), error.fix
    elif error.field == "tcp_site":
        node, fix = tool.child("site"), f"{model} has these: name one, or add a <site> to the body that holds the tool."
    elif error.field == "joint_names":
        index = robot.joint_names.index(str(error.value))
        node = list(_root(robot).child("joints").children())[index].child("name")
        fix = f"{model} has these: call the joint the same there and here."
    else:
        return error
    return _refusal(robot, node, f"{node.path} is {node.value or error.value!r}: expected {error.allowed}. {fix}")


def _root(robot: RobotContract) -> Node:
    return parse(robot.path, "robot file", "joints, command and cameras")


def _refusal(robot: RobotContract, node: Node, text: str) -> BadInput:
    checked = Checked()
    checked.note(node, text)
    return refusal(robot.path, checked)
