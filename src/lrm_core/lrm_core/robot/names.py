"""The topics of one robot, and the names by which all tools of the project know them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lrm_core.errors import BadInput
from lrm_core.robot.contract import RobotContract

DEPTH = "depth"
"""Last part of the name of a camera's depth, image or cloud."""
CAMERA_INFO = "camera_info"


def project_names(robot: RobotContract, namespace: str = "") -> dict[str, str]:
    """The topics that a robot's file names -> what the recorder, the viewers and the converters call them.

    ``joint_states``, ``<camera>/image_raw`` with its compressed twin, ``<camera>/camera_info``, ``<camera>/depth``.
    A topic that only the robot's own controllers read keeps its name.

    Args:
        robot: the contract.
        namespace: of the nodes; a topic that begins with a slash is outside of it.

    Returns:
        Full topic -> full name in the project; equal where the file has nothing special.
    """
    return {_full(topic, namespace): _full(name, namespace) for topic, name in _pairs(robot)}


def _pairs(robot: RobotContract) -> Iterator[tuple[str, str]]:
    commands = [robot.command.topic, *([robot.gripper.topic] if robot.gripper.kind == "forward_command" else [])]
    yield from ((topic, topic) for topic in commands)
    for camera in robot.cameras:
        yield beside(camera.image_topic, CAMERA_INFO), f"{camera.name}/{CAMERA_INFO}"
        yield camera.image_topic, f"{camera.name}/image_raw"
        yield f"{camera.image_topic}/compressed", f"{camera.name}/image_raw/compressed"
        if camera.depth:
            yield camera.depth, f"{camera.name}/{DEPTH}"
    yield robot.state.topic, "joint_states"


def camera_info_topics(robot: RobotContract, wanted: Sequence[str]) -> list[str]:
    """``camera_info`` topics of cameras that are named as in the robot's file, or by such a topic.

    Raises:
        BadInput: a name is neither.
    """
    cameras = {camera.name: beside(camera.image_topic, CAMERA_INFO) for camera in robot.cameras}
    for name in wanted:
        if name not in cameras and name.rpartition("/")[2] != CAMERA_INFO:
            allowed = f"a camera of {robot.path} ({', '.join(cameras) or 'it has none'}), or a topic .../{CAMERA_INFO}"
            raise BadInput("parameter observation_topics", name, allowed, "Name the camera: its topic follows.")
    return [cameras.get(name, name) for name in wanted]


def beside(topic: str, name: str) -> str:
    """``name`` in the place of the last part of ``topic``: where drivers publish what belongs to their images."""
    return topic[: topic.rfind("/") + 1] + name


def _full(topic: str, namespace: str) -> str:
    inside = namespace.strip("/")
    return topic if topic.startswith("/") else f"/{inside}/{topic}" if inside else f"/{topic}"
