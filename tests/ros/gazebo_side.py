"""Gazebo's side of the graph without Gazebo: a process that publishes what the files in config/gazebo say.

Topics and types come from ``bridge.yaml``, joints from ``arm.urdf`` and ``controllers.yaml``, sizes, rates and places
from the SDF. The arm goes to its targets linearly, objects stand where they are put. Argument: how they are put, by
``topic`` (standard types), ``ros_gz`` or ``simulation_interfaces``.
"""

from __future__ import annotations

import importlib
import sys
from contextlib import suppress
from typing import Any
from xml.etree import ElementTree

import numpy as np
import rclpy
import yaml
from geometry_msgs.msg import Pose, PoseStamped
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, JointState
from trajectory_msgs.msg import JointTrajectory

from lrm_core.resources import config_path
from lrm_core.ros import images, stamps
from lrm_sim.gazebo import wiring

PLACE_TOPIC = "/stand_in/place"
STEP_NS = 20_000_000
RELIABLE = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
"""What ros_gz_bridge and the joint state broadcaster offer by default."""


class GazeboSide(Node):
    """Publishes in real time, from the stamp zero on."""

    def __init__(self, placing: str) -> None:
        super().__init__("gazebo_side")
        world = ElementTree.parse(config_path("gazebo/pick_place.sdf")).getroot().find("world")
        assert world is not None
        self.poses = {m.attrib["name"]: _pose(m.findtext("pose")) for m in world.findall("model")}
        self.still = {m.attrib["name"] for m in world.findall("model") if m.findtext("static") == "true"}
        self.cameras = {
            sensor.findtext("topic"): (
                int(sensor.findtext("camera/image/width") or 0),
                int(sensor.findtext("camera/image/height") or 0),
                float(sensor.findtext("update_rate") or 0),
            )
            for sensor in world.iter("sensor")
        }
        self._read_controllers()
        self._open(yaml.safe_load(config_path("gazebo/bridge.yaml").read_text()))
        self._offer(placing)
        self.now_ns = 0
        self.create_timer(STEP_NS / 1e9, self._step)

    def _read_controllers(self) -> None:
        parameters = yaml.safe_load(config_path("gazebo/controllers.yaml").read_text())
        self.commanded = parameters["/gazebo/arm_controller"]["ros__parameters"]["joints"]
        control = ElementTree.parse(config_path("gazebo/arm.urdf")).getroot().find("ros2_control")
        assert control is not None
        start = {j.attrib["name"]: float(j.findtext("state_interface/param") or 0) for j in control.findall("joint")}
        self.names = list(start)
        self.positions = np.array([start[name] for name in self.names])
        self.ramp = (0, self.positions, 1, self.positions)

    def _open(self, entries: list[dict[str, str]]) -> None:
        self.out: dict[str, Any] = {}
        for entry in entries:
            package, _, kind = entry["ros_type_name"].split("/")
            message = getattr(importlib.import_module(f"{package}.msg"), kind)
            profile = profile_of(entry["ros_topic_name"])
            self.out[entry["gz_topic_name"]] = self.create_publisher(message, entry["ros_topic_name"], profile)
        self.states = self.create_publisher(JointState, wiring.JOINT_STATES_TOPIC, RELIABLE)
        self.create_subscription(JointTrajectory, wiring.TRAJECTORY_TOPIC, self._on_trajectory, RELIABLE)
        self.create_subscription(PoseStamped, PLACE_TOPIC, self._on_place, RELIABLE)

    def _offer(self, placing: str) -> None:
        if placing == "ros_gz":
            kind = importlib.import_module("ros_gz_interfaces.srv").SetEntityPose
            self.create_service(kind, wiring.set_pose_service("pick_place"), self._on_set_pose)
        elif placing == "simulation_interfaces":
            kind = importlib.import_module("simulation_interfaces.srv").SetEntityState
            self.create_service(kind, "/gzserver/set_entity_state", self._on_set_state)

    def _on_trajectory(self, message: JointTrajectory) -> None:
        assert sorted(message.joint_names) == sorted(self.commanded)
        assert stamps.to_ns(message.header.stamp) == 0
        (point,) = message.points
        wanted = dict(zip(message.joint_names, point.positions, strict=True))
        wanted["finger_right"] = wanted["finger_left"]  # it mimics
        seconds = point.time_from_start.sec + point.time_from_start.nanosec / 1e9
        target = np.array([wanted[name] for name in self.names])
        self.ramp = (self.now_ns, self.positions, max(1, round(seconds * 1e9)), target)

    def _on_place(self, message: PoseStamped) -> None:
        assert message.header.frame_id in self.poses
        self.poses[message.header.frame_id] = message.pose

    def _on_set_pose(self, request: Any, response: Any) -> Any:
        response.success = request.entity.name in self.poses and request.entity.type == request.entity.MODEL
        self.poses[request.entity.name] = request.pose
        return response

    def _on_set_state(self, request: Any, response: Any) -> Any:
        response.result.result = response.result.RESULT_OK
        if request.entity not in self.poses:
            response.result.result, response.result.error_message = response.result.RESULT_NOT_FOUND, "no such entity"
        self.poses[request.entity] = request.state.pose
        return response

    def _step(self) -> None:
        start_ns, first, length_ns, target = self.ramp
        before = self.positions
        self.positions = first + (target - first) * min(1.0, (self.now_ns - start_ns) / length_ns)
        stamp = stamps.from_ns(self.now_ns)
        self.out["/clock"].publish(Clock(clock=stamp))
        joints = JointState(name=self.names, position=self.positions.tolist())
        joints.velocity = ((self.positions - before) * 1e9 / STEP_NS).tolist()
        joints.header.stamp = stamp
        self.states.publish(joints)
        for topic, publisher in self.out.items():
            if topic.startswith("/pose/"):
                message = PoseStamped(pose=self.poses[topic.removeprefix("/pose/")])
                message.header.stamp = stamp
                publisher.publish(message)
        for topic, (width, height, rate_hz) in self.cameras.items():
            if self.now_ns % round(1e9 / rate_hz) == 0:
                self.out[f"/{topic}"].publish(self._picture(width, height, stamp))
        self.now_ns += STEP_NS

    def _picture(self, width: int, height: int, stamp: Any) -> Image:
        shade = np.full((height, width, 3), self.now_ns // 100_000_000 % 250, np.uint8)
        image = images.bridge().cv2_to_imgmsg(shade, "rgb8")
        image.header.stamp, image.header.frame_id = stamp, "sim_arm::hand::camera"
        return image


def profile_of(topic: str) -> QoSProfile:
    """The bridge's profile of a topic, with the overrides that the launch file gives it."""
    override = f"qos_overrides.{topic}.publisher."
    given = {k.removeprefix(override): v for k, v in wiring.BRIDGE_QOS.items() if k.startswith(override)}
    reliability = ReliabilityPolicy[str(given.get("reliability", "reliable")).upper()]
    return QoSProfile(depth=int(given.get("depth", 10)), reliability=reliability)


def _pose(text: str | None) -> Pose:
    pose = Pose()
    if text:
        pose.position.x, pose.position.y, pose.position.z = (float(word) for word in text.split()[:3])
    return pose


if __name__ == "__main__":
    rclpy.init()
    with suppress(KeyboardInterrupt):
        rclpy.spin(GazeboSide(sys.argv[1]))
