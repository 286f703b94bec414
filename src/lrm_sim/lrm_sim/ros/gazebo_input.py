"""What Gazebo's bridge and controllers publish, as moments; and targets for its controllers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from sensor_msgs.msg import Image, JointState
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from lrm_core.ros import images, qos, stamps
from lrm_sim import tasks
from lrm_sim.gazebo import wiring
from lrm_sim.gazebo.moments import Moment, Moments
from lrm_sim.scene import CAMERAS

_BRIDGE = images.bridge()


class GazeboInput:
    """Subscriptions to Gazebo's side; ``on_moment`` is called with every whole moment."""

    def __init__(self, node: Node, tolerance_s: float, on_moment: Callable[[Moment], None]) -> None:
        self._node, self._on_moment = node, on_moment
        self.moments = Moments(tasks.OBJECTS, round(tolerance_s * 1e9))
        self._jump = stamps.ClockJump(tolerance_ns=1_000_000_000)
        listen = node.create_subscription
        # The bridge and the broadcaster send reliably, so nothing need be lost on the way.
        reliable = qos.CAMERA_LOCKSTEP
        self._subscriptions = [
            listen(JointState, wiring.JOINT_STATES_TOPIC, self._on_joints, qos.JOINT_STATES),
            *(listen(Image, wiring.image_topic(c), partial(self._on_image, c), reliable) for c in CAMERAS),
            *(listen(PoseStamped, wiring.pose_topic(o), partial(self._on_pose, o), reliable) for o in tasks.OBJECTS),
        ]

    def close(self) -> None:
        """Listen no longer."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    def _on_joints(self, message: JointState) -> None:
        stamp_ns = stamps.to_ns(message.header.stamp)
        self.moments.joints(stamp_ns, message.name, message.position, message.velocity)

    def _on_pose(self, name: str, message: PoseStamped) -> None:
        p, q = message.pose.position, message.pose.orientation
        position, quat = np.array([p.x, p.y, p.z]), np.array([q.w, q.x, q.y, q.z])
        self.moments.pose(name, stamps.to_ns(message.header.stamp), position, quat)

    def _on_image(self, camera: str, message: Image) -> None:
        stamp_ns = stamps.to_ns(message.header.stamp)
        if self._jump.jumped_back(stamp_ns):
            self.moments.clear()
        if stamp_ns == 0:  # a stamp of zero means "none" in our messages
            return
        self.moments.image(camera, stamp_ns, _BRIDGE.imgmsg_to_cv2(message, "rgb8"))
        moment = self.moments.take()
        if moment is not None:
            self._on_moment(moment)


def trajectory(targets: np.ndarray, seconds: float) -> JointTrajectory:
    """Targets (6,) in the order of a command, for the controllers: reached in ``seconds`` from now, linearly.

    The stamp is zero, "now": one of the past would have its point dropped (joint_trajectory_controller).
    """
    positions = [*(float(v) for v in targets[:5]), float(targets[5]) / 2.0]
    whole = int(seconds)
    after = Duration(sec=whole, nanosec=round((seconds - whole) * 1e9))
    point = JointTrajectoryPoint(positions=positions, time_from_start=after)
    return JointTrajectory(joint_names=list(wiring.COMMANDED), points=[point])
