"""Puts things of Gazebo's world somewhere else, by whichever of two services is there.

The message packages come with Gazebo's ROS packages, so they are imported when a node needs them.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any, Protocol

import mujoco
import numpy as np
from geometry_msgs.msg import Point, Pose, Quaternion
from rclpy.node import Node
from rclpy.task import Future

from lrm_core.errors import BadInput
from lrm_sim.gazebo import description, wiring

SET_ENTITY_STATE = "/gzserver/set_entity_state"
"""Where Gazebo offers simulation_interfaces/srv/SetEntityState (gazebosim.org/docs/harmonic/ros2_sim_interfaces)."""


class Placer(Protocol):
    """One way to move a thing."""

    service: str

    def ready(self) -> bool:
        """True while somebody answers."""

    def place(self, thing: str, pose: description.Pose) -> Future:
        """Ask for it; the future ends with the answer."""

    def refusal(self, answer: Any) -> str:
        """Why the answer says no; empty when it says yes."""

    def close(self) -> None:
        """Give the client back."""


class BridgePlacer:
    """``/world/<name>/set_pose`` by ros_gz_bridge 1.0.11 and newer (ros_gz_interfaces/srv/SetEntityPose.srv)."""

    def __init__(self, node: Node, world: str) -> None:
        self._node, self._messages = node, _messages("ros_gz_interfaces")
        self._srv = importlib.import_module("ros_gz_interfaces.srv").SetEntityPose
        self.service = wiring.set_pose_service(world)
        self._client = node.create_client(self._srv, self.service)

    def ready(self) -> bool:
        """True while somebody answers."""
        return bool(self._client.service_is_ready())

    def place(self, thing: str, pose: description.Pose) -> Future:
        """Ask for it; the future ends with the answer."""
        kind = self._messages.Entity
        entity = kind(name=description.link_name(thing), type=kind.MODEL)
        return self._client.call_async(self._srv.Request(entity=entity, pose=pose_message(pose)))

    def refusal(self, answer: Any) -> str:
        """Why the answer says no; empty when it says yes."""
        return "" if answer.success else "Gazebo refused it"

    def close(self) -> None:
        """Give the client back."""
        self._node.destroy_client(self._client)


class InterfacesPlacer:
    """``SetEntityState`` of simulation_interfaces (srv/SetEntityState.srv, msg/Result.msg); it also stops the thing."""

    def __init__(self, node: Node, world: str) -> None:
        self._node, self._messages = node, _messages("simulation_interfaces")
        self._srv = importlib.import_module("simulation_interfaces.srv").SetEntityState
        self.service = SET_ENTITY_STATE
        self._client = node.create_client(self._srv, self.service)

    def ready(self) -> bool:
        """True while somebody answers."""
        return bool(self._client.service_is_ready())

    def place(self, thing: str, pose: description.Pose) -> Future:
        """Ask for it; the future ends with the answer."""
        request = self._srv.Request(entity=description.link_name(thing))
        request.state.pose = pose_message(pose)
        for flag in ("set_pose", "set_twist"):  # newer than simulation_interfaces 2.0.0, where both are always set
            if hasattr(request, flag):
                setattr(request, flag, True)
        return self._client.call_async(request)

    def refusal(self, answer: Any) -> str:
        """Why the answer says no; empty when it says yes."""
        result = answer.result
        if result.result == self._messages.Result.RESULT_OK:
            return ""
        return result.error_message or f"result {result.result}"

    def close(self) -> None:
        """Give the client back."""
        self._node.destroy_client(self._client)


PLACERS: dict[str, type[BridgePlacer] | type[InterfacesPlacer]] = {
    "simulation_interfaces": InterfacesPlacer,
    "ros_gz": BridgePlacer,
}
"""By the value of the parameter ``placing``, the preferred one first."""


def placers(node: Node, placing: str, world: str) -> list[Placer]:
    """The ways that are installed, out of those that ``placing`` allows (``auto``: all).

    Raises:
        BadInput: none is installed.
    """
    wanted = list(PLACERS) if placing == "auto" else [placing]
    found: list[Placer] = []
    reasons = []
    for name in wanted:
        try:
            found.append(PLACERS[name](node, world))
        except ImportError as error:
            reasons.append(str(error))
    if not found:
        fix = f"Install ros-jazzy-ros-gz or ros-jazzy-simulation-interfaces and source ROS ({'; '.join(reasons)})."
        raise BadInput("parameter placing", placing, f"installed messages for one of {wanted}", fix)
    return found


def _messages(package: str) -> ModuleType:
    return importlib.import_module(f"{package}.msg")


def pose_message(pose: description.Pose) -> Pose:
    """A place as a message."""
    quat = np.empty(4)
    mujoco.mju_mat2Quat(quat, np.ascontiguousarray(pose.rotation).ravel())
    x, y, z = (float(v) for v in pose.position)
    w, qx, qy, qz = (float(v) for v in quat)
    return Pose(position=Point(x=x, y=y, z=z), orientation=Quaternion(x=qx, y=qy, z=qz, w=w))
