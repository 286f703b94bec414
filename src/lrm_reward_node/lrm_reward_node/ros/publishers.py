"""The topics the reward node publishes."""

from __future__ import annotations

from collections.abc import Sequence

from rclpy.lifecycle import LifecycleNode

from lrm_core.rewards import RewardHead
from lrm_core.ros import qos
from lrm_msgs.msg import Reward, RewardNodeStatus


class RewardPublishers:
    """``reward/<head>`` for every head, and ``reward/status``; silent until the node is active.

    With several cameras ``reward/<head>`` is the verdict, and ``reward/<camera>/<head>`` each camera's own.
    """

    def __init__(self, node: LifecycleNode, cameras: Sequence[str]) -> None:
        self._node = node
        topics = {("", head.value): f"reward/{head.value}" for head in RewardHead}
        if len(cameras) > 1:
            topics |= {(c, head.value): f"reward/{c.strip('/')}/{head.value}" for c in cameras for head in RewardHead}
        self._rewards = {
            key: node.create_lifecycle_publisher(Reward, topic, qos.REWARD) for key, topic in topics.items()
        }
        self._status = node.create_lifecycle_publisher(RewardNodeStatus, "reward/status", qos.STATUS)

    def reward(self, msg: Reward, camera: str = "") -> None:
        """Publish one reward on the topic of its head; of one camera, or the verdict."""
        self._rewards[camera, msg.head].publish(msg)

    def status(self, msg: RewardNodeStatus) -> None:
        """Publish the heartbeat."""
        self._status.publish(msg)

    def destroy(self) -> None:
        """Give the topics back."""
        for publisher in (*self._rewards.values(), self._status):
            self._node.destroy_lifecycle_publisher(publisher)
