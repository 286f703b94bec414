"""Reads a robot's file. All that is wrong is said at once, each with its line and what is allowed."""

from __future__ import annotations

import math
import re
from collections import Counter
from pathlib import Path
from typing import Any, TypeVar

from lrm_core import resources
from lrm_core.errors import BadInput
from lrm_core.robot import lerobot
from lrm_core.robot.contract import COMMAND, RobotContract, limits_of
from lrm_core.robot.sections import (
    REQUIRED,
    CameraSpec,
    CommandSpec,
    GripperSpec,
    JointSpec,
    ResetSpec,
    StateSpec,
    ToolSpec,
)
from lrm_core.yaml_tree import Checked, Node, parse

S = TypeVar("S")

_SECTIONS: dict[str, type] = {
    "state": StateSpec, "command": CommandSpec, "gripper": GripperSpec, "tool": ToolSpec, "reset": ResetSpec,
}  # fmt: skip
_KEYS = dict.fromkeys(["base_frame", "joints", *_SECTIONS, "cameras", "lerobot"])
_TOPIC = re.compile(r"/?[A-Za-z_~][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*")


def load_robot(name: str) -> RobotContract:
    """Read a robot's contract.

    Args:
        name: a name in ``config/robots``, or the path of a YAML file.

    Raises:
        BadInput: the file cannot be read, or what is wrong in it, every problem with its line.
    """
    path = robot_path(name)
    root = parse(path, "robot file", "joints, command and cameras")
    checked = Checked()
    contract = _contract(root, checked, path)
    if contract is None:
        raise refusal(path, checked)
    return contract


def refusal(path: Path, checked: Checked) -> BadInput:
    """The error that says all that was found in a robot's file."""
    problems = "".join(f"\n  {problem}" for problem in checked.problems)
    return BadInput("robot file", str(path), "a robot without these problems", problems)


def robot_path(name: str) -> Path:
    """The file of a robot: ``name`` in ``config/robots``, or a path; raises BadInput when no robot is called so."""
    if name.endswith((".yaml", ".yml")):
        return Path(name)
    if name not in robot_names():
        raise BadInput("robot", name, f"one of {robot_names()}, or the path of a YAML file")
    return resources.config_path(f"robots/{name}.yaml")


def robot_names() -> list[str]:
    """Names of the robots that ship with the project."""
    return sorted(path.stem for path in resources.config_path("robots").glob("*.yaml"))


def _contract(root: Node, checked: Checked, path: Path) -> RobotContract | None:
    checked.names(root, _KEYS)
    checked.required(root, REQUIRED[""])
    frame = root.child("base_frame")
    if frame.value is not None and (not isinstance(frame.value, str) or not frame.value):
        checked.note(frame, f"base_frame is {frame.value!r}: expected the name of a frame.")
    sections: dict[str, Any] = {key: _section(root.child(key), key, cls, checked) for key, cls in _SECTIONS.items()}
    joints = _list(root.child("joints"), "joint", JointSpec, checked)
    cameras = _list(root.child("cameras"), "camera", CameraSpec, checked)
    for node, joint in joints:
        _joint(node, joint, checked)
    for key, found in (("joints", joints), ("cameras", cameras)):
        _unique(root.child(key), [one.name for _, one in found], checked)
    _topics(root, sections, cameras, checked)
    specs, eyes = tuple(joint for _, joint in joints), tuple(one for _, one in cameras)
    arm = lerobot.read_section(root.child("lerobot"), specs, checked)
    if not checked.found:  # what follows looks at several sections: it takes each of them to be right
        _order(root.child("joints"), [joint for _, joint in joints], sections["gripper"], checked)
        _command(root, sections, checked)
        _gripper(root.child("gripper"), sections["gripper"], joints[-1][1], checked)
        _tool(root.child("tool"), sections["tool"], path.parent, checked)
        lerobot.check_with(root.child("lerobot"), sections["command"], sections["gripper"], eyes, checked)
    if checked.found:
        return None
    return RobotContract(
        name=path.stem, path=path, base_frame=frame.value, joints=specs, cameras=eyes, lerobot=arm,
        limits=limits_of(specs, sections["tool"]), **sections,
    )  # fmt: skip


def _section(node: Node, key: str, cls: type[S], checked: Checked) -> S | None:
    if isinstance(node.value, dict):
        checked.required(node, REQUIRED.get(key, ()))
    return checked.build(cls, node)


def _list(node: Node, kind: str, cls: type[S], checked: Checked) -> list[tuple[Node, S]]:
    """The entries that can be read, with their places."""
    if node.value is None:
        return []  # a missing key is said already
    if not isinstance(node.value, list) or not node.value:
        checked.note(node, f"{node.path} is {node.value!r}: expected a list with an entry per {kind}.")
        return []
    built = [(child, _section(child, kind, cls, checked)) for child in node.children()]
    return [(child, one) for child, one in built if one is not None]


def _pair(node: Node, values: list[float], checked: Checked, size: int = 2) -> bool:
    if len(values) == size and all(math.isfinite(value) for value in values):
        return True
    checked.note(node, f"{node.path} is {values}: expected {size} finite numbers.")
    return False


def _joint(node: Node, joint: JointSpec, checked: Checked) -> None:
    if not _pair(node.child("position"), joint.position, checked):
        return
    low, high = joint.position
    if not low < high:
        checked.note(
            node.child("position"), f"position of {joint.name} is {joint.position}: expected low less than high."
        )
    elif not low <= joint.home <= high:
        checked.note(node.child("home"), f"home of {joint.name} is {joint.home}: expected within [{low}, {high}].")
    if joint.jerk and not joint.acceleration:
        checked.note(node.child("jerk"), f"jerk of {joint.name} needs an acceleration: add one.")
    if joint.part == "gripper" and joint.unit != "m":
        text = f"unit of {joint.name} is {joint.unit}: a gripper's opening is in m; gripper.wire converts."
        checked.note(node.child("unit"), text)
    limit = 2.0 * math.pi + 1e-6
    if joint.unit == "rad" and max(abs(low), abs(high)) > limit:
        text = f"position of {joint.name} is {joint.position}: expected rad, at most one turn. Degrees?"
        checked.note(node.child("position"), text)


def _order(node: Node, joints: list[JointSpec], gripper: GripperSpec, checked: Checked) -> None:
    parts = [joint.part for joint in joints]
    count = parts.count("gripper")
    expected = 0 if gripper.kind == "none" else 1
    if count != expected:
        checked.note(node, f"joints has {count} of part gripper: expected {expected} with gripper.kind {gripper.kind}.")
    elif expected and parts[-1] != "gripper":
        checked.note(node, "the joint of part gripper is not the last: expected it after the arm's.")
    if "arm" not in parts:
        checked.note(node, "joints has none of part arm: expected one or more.")


def _unique(node: Node, names: list[str], checked: Checked) -> None:
    for name, count in Counter(names).items():
        if count > 1 or not name:
            checked.note(node, f"{node.path} has {count} named {name!r}: expected names, each once.")


def _topics(root: Node, sections: dict[str, Any], cameras: list[tuple[Node, CameraSpec]], checked: Checked) -> None:
    keys = {"state": "topic", "command": "topic", "gripper": "topic", "reset": "service"}
    named = [(root.child(section).child(key), sections[section], key) for section, key in keys.items()]
    named += [(node.child(key), camera, key) for node, camera in cameras for key in ("topic", "depth")]
    for node, spec, key in named:
        topic = getattr(spec, key, "")
        if topic and not _TOPIC.fullmatch(topic):
            text = "expected letters, digits, _ and /, no part beginning with a digit"
            checked.note(node, f"{node.path} is {topic!r}: {text}.")


def _command(root: Node, sections: dict[str, Any], checked: Checked) -> None:
    command, gripper, node = sections["command"], sections["gripper"], root.child("command")
    plain = command.kind == "joint_trajectory" and command.stamp == "observation"
    same_units = gripper.kind in ("none", "in_command") and gripper.wire[:1] == gripper.wire[1:]
    if command.topic == COMMAND and not (plain and same_units):
        text = "is the safety stage's own: a JointTrajectory, stamped like its observation, gripper in metres"
        checked.note(node.child("topic"), f"command.topic {COMMAND!r} {text}. Name your controller's topic.")
    if command.kind == "twist_servo":
        if not sections["tool"].model:
            checked.note(node.child("kind"), "command.kind twist_servo needs tool.model: a velocity of the tool.")
        if gripper.kind == "in_command":
            checked.note(root.child("gripper").child("kind"), "a twist has no gripper: give it a command of its own.")


def _gripper(node: Node, gripper: GripperSpec, last: JointSpec, checked: Checked) -> None:
    if gripper.kind in ("forward_command", "gripper_action") and not gripper.topic:
        checked.note(node, f"gripper has no topic: kind {gripper.kind} needs one.")
    pairs = [_pair(node.child(key), getattr(gripper, key), checked) for key in ("wire", "opening_m")]
    if not all(pairs) or not any(gripper.wire):
        return
    closed, opened = gripper.opening_m
    if gripper.wire[0] == gripper.wire[1] or not closed < opened:
        text = "expected two different values, and with them opening_m, closed less than open"
        checked.note(node.child("wire"), f"gripper.wire is {gripper.wire}: {text}.")
    elif last.position[0] < closed - 1e-9 or last.position[1] > opened + 1e-9:
        text = f"expected within gripper.opening_m {gripper.opening_m}"
        checked.note(node.child("opening_m"), f"position of {last.name} is {last.position}: {text}.")


def _tool(node: Node, tool: ToolSpec, folder: Path, checked: Checked) -> None:
    if tool.model:
        _model(node.child("model"), tool.model, folder, checked)
    _pair(node.child("offset_m"), tool.offset_m, checked, 3)
    low, high = tool.workspace_low_m, tool.workspace_high_m
    if not all(_pair(node.child(f"workspace_{end}_m"), box, checked, 3) for end, box in (("low", low), ("high", high))):
        return
    if any((*low, *high)) and not all(a < b for a, b in zip(low, high, strict=True)):
        text = f"tool.workspace_low_m is {low}: expected less than workspace_high_m {high} in x, y and z."
        checked.note(node.child("workspace_low_m"), text)
    if any((*low, *high)) and not tool.model:
        checked.note(node, "tool has a workspace and no model: the place of the tool cannot be known.")


def _model(node: Node, model: str, folder: Path, checked: Checked) -> None:
    try:
        path = resources.locate(model, folder)
    except BadInput as error:
        checked.note(node, f"tool.model is {model!r}: expected {error.allowed}. {error.fix}")
        return
    if not path.is_file():
        text = f"expected a file; there is no {path}. A path is relative to this file; empty: no model."
        checked.note(node, f"tool.model is {model!r}: {text}")
