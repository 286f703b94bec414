"""Listens to the live graph around one robot for a while."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSCompatibility, QoSProfile, ReliabilityPolicy, qos_check_compatible
from rclpy.signals import SignalHandlerOptions
from rclpy.topic_endpoint_info import TopicEndpointInfo
from sensor_msgs.msg import CompressedImage, Image, JointState, PointCloud2

from lrm_bringup.robot_check.observed import Seen, Sink, Stream
from lrm_core.robot import CameraSpec, RobotContract
from lrm_core.ros import qos, stamps

_COMMANDS = {
    "joint_trajectory": "trajectory_msgs/msg/JointTrajectory",
    "forward_command": "std_msgs/msg/Float64MultiArray",
    "twist_servo": "geometry_msgs/msg/TwistStamped",
}
_ACTION = "control_msgs/action/GripperCommand"
_ANY = QoSProfile(depth=50, reliability=ReliabilityPolicy.BEST_EFFORT)
"""Hears every publisher, whatever its QoS."""


class RobotListener:
    """A node that only listens.

    Args:
        robot: what to listen for.
        namespace: of the robot; empty: the root.
        domain_id: DDS domain; None: as ROS_DOMAIN_ID says.
        sim_time: stamps are of the simulated clock.
    """

    def __init__(
        self, robot: RobotContract, namespace: str = "", domain_id: int | None = None, sim_time: bool = False
    ) -> None:
        self._robot = robot
        self._context = rclpy.Context()
        rclpy.init(context=self._context, domain_id=domain_id, signal_handler_options=SignalHandlerOptions.NO)
        overrides = [rclpy.Parameter("use_sim_time", value=sim_time)]
        self._node = Node(
            "lrm_robot_check", namespace=f"/{namespace.strip('/')}", context=self._context,
            parameter_overrides=overrides,
        )  # fmt: skip
        self._state = self._listen(JointState, robot.state.topic, _take_joints)
        self._cameras = {spec.name: self._camera(spec.name) for spec in robot.cameras}
        self._depths = {spec.name: self._depth(spec) for spec in robot.cameras if spec.depth}

    def listen(self, seconds: float, tell: Callable[[float], None]) -> Seen:
        """Listen for ``seconds``; ``tell`` gets the seconds so far."""
        executor = SingleThreadedExecutor(context=self._context)
        executor.add_node(self._node)
        start_s = time.monotonic()
        try:
            while (passed_s := time.monotonic() - start_s) < seconds:
                executor.spin_once(timeout_sec=0.05)
                tell(passed_s)
        finally:
            executor.shutdown()
        return self._seen(seconds)

    def close(self) -> None:
        """Leave the graph."""
        self._node.destroy_node()
        self._context.try_shutdown()
        self._context.destroy()

    def _camera(self, name: str) -> Stream:
        spec = self._robot.camera(name)
        if spec.encoding == "compressed":
            return self._listen(CompressedImage, f"{spec.topic}/compressed", _take_compressed)
        return self._listen(Image, spec.topic, _take_image)

    def _depth(self, spec: CameraSpec) -> Stream:
        if spec.depth_kind == "image":
            return self._listen(Image, spec.depth, _take_image)
        return self._listen(PointCloud2, spec.depth, _take_cloud)

    def _listen(self, kind: Any, topic: str, take: Callable[[Stream, Any], None]) -> Stream:
        stream = Stream(self._node.resolve_topic_name(topic), _name_of(kind))
        self._node.create_subscription(kind, topic, partial(self._on_message, stream, take), _ANY)
        return stream

    def _on_message(self, stream: Stream, take: Callable[[Stream, Any], None], message: Any) -> None:
        stream.arrivals_s.append(time.monotonic())
        stamp_ns = stamps.to_ns(message.header.stamp)
        stream.stamps_ns.append(stamp_ns)
        stream.ages_s.append((self._node.get_clock().now().nanoseconds - stamp_ns) / 1e9)
        take(stream, message)

    def _seen(self, seconds: float) -> Seen:
        robot, node = self._robot, self._node
        self._ends(self._state, qos.JOINT_STATES)
        for stream in (*self._cameras.values(), *self._depths.values()):
            self._ends(stream, qos.CAMERA)
        graph = dict(node.get_topic_names_and_types())
        return Seen(
            seconds=seconds,
            state=self._state,
            cameras=self._cameras,
            depths=self._depths,
            command=self._sink(robot.command.topic, _COMMANDS[robot.command.kind]),
            gripper=self._gripper(),
            reset=self._service(robot.reset.service) if robot.reset.kind == "service" else None,
            published={name: kinds for name, kinds in graph.items() if node.count_publishers(name)},
            subscribed={name: kinds for name, kinds in graph.items() if self._others(name)},
        )

    def _ends(self, stream: Stream, ours: QoSProfile) -> None:
        publishers = self._node.get_publishers_info_by_topic(stream.topic)
        stream.types = sorted({end.topic_type for end in publishers})
        stream.publishers = sorted(map(_full_name, publishers))
        stream.qos_fault = next((text for end in publishers if (text := _unlike(end.qos_profile, ours))), "")

    def _others(self, topic: str) -> list[Any]:
        """Subscriptions that are not this node's own."""
        ends = self._node.get_subscriptions_info_by_topic(topic)
        return [end for end in ends if end.node_name != self._node.get_name()]

    def _sink(self, topic: str, kind: str) -> Sink:
        name = self._node.resolve_topic_name(topic)
        listeners = self._others(name)
        publishers = self._node.get_publishers_info_by_topic(name)
        return Sink(
            name, kind, sorted({end.topic_type for end in listeners}),
            sorted(set(map(_full_name, publishers))),
            next((text for end in listeners if (text := _unlike(qos.COMMAND, end.qos_profile))), ""),
        )  # fmt: skip

    def _gripper(self) -> Sink | None:
        spec = self._robot.gripper
        if spec.kind == "forward_command":
            return self._sink(spec.topic, _COMMANDS["forward_command"])
        if spec.kind != "gripper_action":
            return None
        name, kinds = self._service(f"{spec.topic}/_action/send_goal")
        action = [kind.removesuffix("_SendGoal") for kind in kinds]
        return Sink(name.removesuffix("/_action/send_goal"), _ACTION, action)

    def _service(self, name: str) -> tuple[str, list[str]]:
        full = self._node.resolve_service_name(name)
        return full, list(dict(self._node.get_service_names_and_types()).get(full, []))


def _full_name(end: TopicEndpointInfo) -> str:
    return f"{end.node_namespace.rstrip('/')}/{end.node_name}"


def _name_of(kind: Any) -> str:
    return f"{kind.__module__.split('.')[0]}/msg/{kind.__name__}"


def _unlike(publisher: QoSProfile, subscription: QoSProfile) -> str:
    # An endpoint of the graph states an infinite deadline as a number, which a profile without one does not match.
    plain = [QoSProfile(depth=1, reliability=q.reliability, durability=q.durability) for q in (publisher, subscription)]
    compatibility, reason = qos_check_compatible(*plain)
    return reason if compatibility == QoSCompatibility.ERROR else ""


def _take_joints(stream: Stream, message: JointState) -> None:
    stream.order = list(message.name)
    stream.joints = dict(zip(message.name, message.position, strict=False))
    for name, value in stream.joints.items():
        stream.largest[name] = max(stream.largest.get(name, 0.0), abs(value))


def _take_image(stream: Stream, message: Image) -> None:
    stream.image = (message.encoding, message.width, message.height)


def _take_cloud(stream: Stream, message: PointCloud2) -> None:
    stream.image = (" ".join(field.name for field in message.fields), message.width, message.height)


def _take_compressed(stream: Stream, message: CompressedImage) -> None:
    stream.image = (message.format, 0, 0)
