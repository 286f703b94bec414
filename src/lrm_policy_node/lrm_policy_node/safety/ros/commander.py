"""Notices that the process which commands is gone, long before its next command is missed."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.event_handler import QoSLivelinessChangedInfo, QoSRequestedIncompatibleQoSInfo, SubscriptionEventCallbacks
from rclpy.node import Node
from trajectory_msgs.msg import JointTrajectory

from lrm_core.ros import qos


class CommanderWatch:
    """A second reader of ``proposed_command`` that asks for DDS liveliness; the first one takes commands of anybody.

    Args:
        node: reads on it.
        timeout_s: a process that gives no sign of life for so long is gone.
        on_change: called with False when one is gone or has closed its publisher, with True when one is there (again).
    """

    def __init__(self, node: Node, timeout_s: float, on_change: Callable[[bool], None]) -> None:
        self._node, self._on_change = node, on_change
        events = SubscriptionEventCallbacks(liveliness=self._on_liveliness, incompatible_qos=self._on_incompatible)
        lease_s = max(timeout_s, qos.PROPOSAL_LEASE_S)
        self._subscription = node.create_subscription(
            JointTrajectory, "proposed_command", lambda _: None, qos.proposal(lease_s), event_callbacks=events, raw=True
        )

    def close(self) -> None:
        """Give the reader back."""
        self._node.destroy_subscription(self._subscription)

    def _on_liveliness(self, info: QoSLivelinessChangedInfo) -> None:
        if info.alive_count_change:
            self._on_change(info.alive_count_change > 0)

    def _on_incompatible(self, _: QoSRequestedIncompatibleQoSInfo) -> None:
        fix = f"offer liveliness AUTOMATIC with a lease of {qos.PROPOSAL_LEASE_S:g} s (docs/safety.md)"
        text = "a publisher of proposed_command gives no sign of life: its loss is noticed after command_timeout_s"
        self._node.get_logger().warning(f"{text}; {fix}")
