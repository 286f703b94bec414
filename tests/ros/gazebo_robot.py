"""``lrm_gazebo_node`` with another way to put things, of standard type: Gazebo's messages may be missing."""

from __future__ import annotations

from typing import Any

from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from rclpy.task import Future

from gazebo_side import PLACE_TOPIC, RELIABLE
from lrm_sim.gazebo.description import Pose, link_name
from lrm_sim.ros import gazebo_node, placing


class TopicPlacer:
    """Puts things of the stand-in."""

    service = PLACE_TOPIC

    def __init__(self, node: Node, world: str) -> None:
        self._node = node
        self._publisher = node.create_publisher(PoseStamped, PLACE_TOPIC, RELIABLE)

    def ready(self) -> bool:
        return bool(self._publisher.get_subscription_count())

    def place(self, thing: str, pose: Pose) -> Future:
        message = PoseStamped(pose=placing.pose_message(pose))
        message.header.frame_id = link_name(thing)
        self._publisher.publish(message)
        future: Future = Future()
        future.set_result(None)
        return future

    def refusal(self, answer: Any) -> str:
        return ""

    def close(self) -> None:
        self._node.destroy_publisher(self._publisher)


if __name__ == "__main__":
    placing.PLACERS.clear()
    placing.PLACERS["topic"] = TopicPlacer  # type: ignore[assignment]
    raise SystemExit(gazebo_node.main())
