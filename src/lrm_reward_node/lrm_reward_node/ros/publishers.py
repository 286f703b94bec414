"""The topics the reward node publishes."""

from __future__ import annotations

from rclpy.lifecycle import LifecycleNode

from lrm_core.rewards import RewardHead
from lrm_core.ros import qos
from lrm_msgs.msg import Reward, RewardNodeStatus


class RewardPublishers:
    """``reward/<head>`` for every head, and ``reward/status``; silent until the node is active."""

    def __init__(self, node: LifecycleNode) -> None:
        self._node = node
        names = [head.value for head in RewardHead]
        self._rewards = {name: node.create_lifecycle_publisher(Reward, f"reward/{name}", qos.REWARD) for name in names}
        self._status = node.create_lifecycle_publisher(RewardNodeStatus, "reward/status", qos.STATUS)

    def reward(self, msg: Reward) -> None:
        """Publish one reward on the topic of its head."""
        self._rewards[msg.head].publish(msg)

    def status(self, msg: RewardNodeStatus) -> None:
        """Publish the heartbeat."""
        self._status.publish(msg)

    def destroy(self) -> None:
        """Give the topics back."""
        for publisher in (*self._rewards.values(), self._status):
            self._node.destroy_lifecycle_publisher(publisher)
