"""The sections ``lerobot`` and ``leader`` of a robot's file: LeRobot's arms, and their units in the project's."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, TypeVar

from lrm_core.params import param
from lrm_core.robot.sections import CameraSpec, CommandSpec, GripperSpec, JointSpec
from lrm_core.yaml_tree import Checked, Node

UNITS = ("degrees", "range_m100_100", "range_0_100")
"""LeRobot's names for what it calls the position of a motor (``lerobot.motors.MotorNormMode``)."""
_RAD_PER_DEGREE = math.pi / 180.0


@dataclass(frozen=True)
class LeRobotJointSpec:
    """How one motor's position becomes a joint's: ``offset + sign * scale * value``."""

    name: str = param("", "Joint of this file.")
    motor: str = param("", "Motor as LeRobot calls it; empty: as the joint.")
    unit: str = param("degrees", "What LeRobot counts in.", choices=UNITS)
    sign: int = param(1, "-1 where LeRobot counts the other way round.", choices=(1, -1))
    scale: float = param(0.0, "rad or m per unit of LeRobot; 0: degrees become rad.", low=0.0, high=1.0)
    offset: float = param(0.0, "Position where LeRobot says 0, rad or m.", low=-10.0, high=10.0)


@dataclass(frozen=True)
class LeRobotDeviceSpec:
    """One device with motors, as LeRobot is told.

    Attributes:
        section: of the robot's file.
        role: what LeRobot's programs call it: ``--robot.type``, ``--teleop.type``.
        options: further fields of LeRobot's configuration of this type.
        joints: one per joint of the robot, in the order of a command.
    """

    section: ClassVar[str]
    role: ClassVar[str]
    type: str = param("", "LeRobot's type.")
    id: str = param("", "Name of the calibration, as given to lerobot-calibrate.")
    port: str = param("", "Serial port; empty: this type has none.")
    options: Mapping[str, Any] = field(default_factory=dict)
    joints: tuple[LeRobotJointSpec, ...] = ()

    @property
    def calibrate_command(self) -> str:
        """What a person types to calibrate this device."""
        port = f" --{self.role}.port={self.port}" if self.port else ""
        return f"lerobot-calibrate --{self.role}.type={self.type}{port} --{self.role}.id={self.id}"


@dataclass(frozen=True)
class LeRobotSpec(LeRobotDeviceSpec):
    """The arm, as :func:`lerobot.robots.make_robot_from_config` is told.

    Attributes:
        cameras: by name, LeRobot's configuration of each camera that it reads, with ``type``.
    """

    section: ClassVar[str] = "lerobot"
    role: ClassVar[str] = "robot"
    cameras: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class LeaderSpec(LeRobotDeviceSpec):
    """What a person moves, as :func:`lerobot.teleoperators.make_teleoperator_from_config` is told."""

    section: ClassVar[str] = "leader"
    role: ClassVar[str] = "teleop"


D = TypeVar("D", bound=LeRobotDeviceSpec)
_PLAIN = ("type", "id", "port")


def read_section(node: Node, joints: Sequence[JointSpec], checked: Checked) -> LeRobotSpec | None:
    """The section ``lerobot``; None where the file has none, or where it is wrong (see ``checked``)."""
    arm = _device(LeRobotSpec, node, joints, {}, checked, ("cameras",))
    cameras = _cameras(node.child("cameras"), checked)
    return replace(arm, cameras=cameras) if arm else None


def read_leader(
    node: Node, joints: Sequence[JointSpec], follower: LeRobotSpec | None, checked: Checked
) -> LeaderSpec | None:
    """The section ``leader``; what it does not say of a joint is as in ``follower``."""
    known = {joint.name: joint for joint in follower.joints} if follower else {}
    return _device(LeaderSpec, node, joints, known, checked)


def _device(
    cls: type[D],
    node: Node,
    joints: Sequence[JointSpec],
    known: Mapping[str, LeRobotJointSpec],
    checked: Checked,
    further: Sequence[str] = (),
) -> D | None:
    if node.value is None:
        return None
    if not isinstance(node.value, dict):
        checked.note(node, f"{node.path} is {node.value!r}: expected keys with values.")
        return None
    checked.names(node, dict.fromkeys([*_PLAIN, "options", "joints", *further]))
    checked.required(node, ("type", "id"))
    texts = {key: node.value[key] for key in _PLAIN if node.value.get(key) is not None}
    plain = checked.build(cls, replace(node, value=texts)) if _texts(node, checked) else None
    options = _options(node.child("options"), checked)
    mapped = _joints(node.child("joints"), joints, known, checked)
    return replace(plain, options=options, joints=mapped) if plain else None


def check_with(
    node: Node, command: CommandSpec, gripper: GripperSpec, cameras: Sequence[CameraSpec], checked: Checked
) -> None:
    """What the other sections have to be for LeRobot's driver."""
    if node.value is None:
        return
    if command.kind != "joint_trajectory" or command.stamp != "observation":
        text = "needs command.kind joint_trajectory with stamp observation: without its stamp no command is ever stale."
        checked.note(node, f"lerobot {text}")
    if gripper.kind not in ("none", "in_command"):
        checked.note(node, f"lerobot needs gripper.kind in_command (or none): {gripper.kind} is no motor of the arm.")
    if any(gripper.wire):
        checked.note(node, "lerobot converts the gripper's unit itself (lerobot.joints): remove gripper.wire.")
    known = {camera.name: camera for camera in cameras}
    for name in node.child("cameras").value or {}:
        if name not in known:
            checked.choice(node.child("cameras").child(name), name, known)
        elif known[name].encoding not in ("", "rgb8"):
            text = f"LeRobot's camera {name} gives rgb8, and cameras says {known[name].encoding}."
            checked.note(node.child("cameras").child(name), text)


def _texts(node: Node, checked: Checked) -> bool:
    """True when type, id and port are text: a serial number would else be read as a number."""
    wrong = [key for key in _PLAIN if not isinstance(node.child(key).value, str | None)]
    for key in wrong:
        text = f"{node.path}.{key} is {node.child(key).value!r}: expected text; put it in quotes."
        checked.note(node.child(key), text)
    return not wrong


def _options(node: Node, checked: Checked) -> dict[str, Any]:
    if node.value is not None and not isinstance(node.value, dict):
        checked.note(node, f"{node.path} is {node.value!r}: expected keys with values.")
        return {}
    for key in sorted({*_PLAIN, "cameras"} & set(node.value or {})):
        checked.note(node.child(key), f"{node.path}.{key}: set {node.path.partition('.')[0]}.{key} instead.")
    return dict(node.value or {})


def _cameras(node: Node, checked: Checked) -> dict[str, dict[str, Any]]:
    if node.value is not None and not isinstance(node.value, dict):
        checked.note(node, f"{node.path} is {node.value!r}: expected a camera's name with LeRobot's configuration.")
        return {}
    for name, value in (node.value or {}).items():
        if not isinstance(value, dict) or not isinstance(value.get("type"), str):
            text = f"{node.path}.{name} is {value!r}: expected LeRobot's configuration, with type: opencv, for example."
            checked.note(node.child(str(name)), text)
    return dict(node.value or {})


def _joints(
    node: Node, joints: Sequence[JointSpec], known: Mapping[str, LeRobotJointSpec], checked: Checked
) -> tuple[LeRobotJointSpec, ...]:
    """One mapping per joint; what the file leaves out is as in ``known``, else a motor of the same name in degrees."""
    if node.value is not None and not isinstance(node.value, list):
        checked.note(node, f"{node.path} is {node.value!r}: expected a list with an entry per joint.")
        return ()
    given: dict[str, tuple[Node, LeRobotJointSpec]] = {}
    names = [joint.name for joint in joints]
    for child in node.children() if node.value else ():
        spec = checked.build(LeRobotJointSpec, child)
        if spec is None:
            continue
        if spec.name not in names:
            checked.choice(child.child("name"), spec.name, names)
        elif spec.name in given:
            checked.note(child, f"{node.path} has two named {spec.name!r}: expected each joint once.")
        given.setdefault(spec.name, (child, spec))
    left_out = {joint.name: (node, known.get(joint.name, LeRobotJointSpec(name=joint.name))) for joint in joints}
    found = [(*given.get(joint.name, left_out[joint.name]), joint) for joint in joints]
    return tuple(_complete(place, spec, joint, checked) for place, spec, joint in found)


def _complete(node: Node, spec: LeRobotJointSpec, joint: JointSpec, checked: Checked) -> LeRobotJointSpec:
    if not spec.scale and (spec.unit != "degrees" or joint.unit != "rad"):
        text = f"expected {joint.unit} per unit of LeRobot, for a gripper its opening when open / 100."
        checked.note(node, f"{node.path}: {joint.name} ({spec.unit}) has no scale: {text}")
    return replace(spec, motor=spec.motor or spec.name, scale=spec.scale or _RAD_PER_DEGREE)
