"""The topics that a simulated robot offers, whichever simulator computes it."""

from __future__ import annotations

from typing import Any

from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image, JointState

from lrm_core.ros import qos
from lrm_msgs.msg import SimAudit
from lrm_sim.ros.messages import Observation
from lrm_sim.scene import CAMERAS


class RobotTopics:
    """Publishers of observations on a lifecycle node.

    Args:
        node: publishes while it is active.
        camera: quality of service of images and their intrinsics.
        clock: offer ``/clock`` too; ``audit``: offer the privileged truth.
    """

    def __init__(self, node: LifecycleNode, camera: QoSProfile, *, clock: bool, audit: bool) -> None:
        kinds: dict[str, tuple[type, QoSProfile]] = {"joint_states": (JointState, qos.JOINT_STATES)}
        for name in CAMERAS:
            kinds |= {f"{name}/image_raw": (Image, camera), f"{name}/camera_info": (CameraInfo, camera)}
        if clock:
            kinds["/clock"] = (Clock, qos.CLOCK)
        if audit:
            kinds["audit"] = (SimAudit, qos.AUDIT)
        self._node = node
        self._publishers = {
            topic: node.create_lifecycle_publisher(kind, topic, profile) for topic, (kind, profile) in kinds.items()
        }

    def publish(self, observation: Observation) -> None:
        """Send all messages of one moment; joint states come last, so that whoever has them has everything."""
        outgoing: dict[str, Any] = {"/clock": observation.clock, "audit": observation.audit}
        for name, (image, info) in observation.cameras.items():
            outgoing |= {f"{name}/camera_info": info, f"{name}/image_raw": image}
        outgoing["joint_states"] = observation.joints
        for topic, message in outgoing.items():
            if topic in self._publishers and message is not None:
                self._publishers[topic].publish(message)

    def close(self) -> None:
        """Take the publishers down."""
        for publisher in self._publishers.values():
            self._node.destroy_publisher(publisher)
