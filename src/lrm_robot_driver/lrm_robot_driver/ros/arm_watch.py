"""What the teleoperation hears of the arm: where it is, whether it is held, and who else leads it."""

from __future__ import annotations

import time

import numpy as np
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from lrm_core.robot import RobotContract
from lrm_core.ros import qos, stamps
from lrm_core.safety import JointPositions
from lrm_core.safety.filter import in_order
from lrm_msgs.msg import SafetyStatus
from lrm_robot_driver.ros.publishers import publishers
from lrm_robot_driver.turn import Turn, others

PROPOSALS = "proposed_command"
_STATUS_S = 2.5
"""The safety stage says once a second what it does: this long without is silence."""


class ArmWatch:
    """Listens to joint states, safety status and proposals.

    Args:
        node: that listens.
        robot: its topics and joints.
        turn: tells own proposals from those of others.
        timeout_s: older joint states are no joint states.

    Attributes:
        held: the safety stage holds the arm, or has said nothing yet.
        reason: what it says about it.
    """

    def __init__(self, node: LifecycleNode, robot: RobotContract, turn: Turn, timeout_s: float) -> None:
        self._node, self._robot, self._turn, self._timeout_s = node, robot, turn, timeout_s
        self._measured: JointPositions | None = None
        self._measured_s = self._status_s = -np.inf
        self.held, self.reason = True, ""
        self._subscriptions = [
            node.create_subscription(JointState, robot.state.topic, self._on_joint_state, qos.JOINT_STATES),
            node.create_subscription(SafetyStatus, "safety_status", self._on_status, qos.STATUS),
            node.create_subscription(JointTrajectory, PROPOSALS, self._on_proposal, qos.COMMAND),
        ]

    @property
    def here(self) -> np.ndarray:
        """(J,) measured positions, rad and m; NaN: unknown."""
        if self._measured is None:
            return np.full(len(self._robot.joints), np.nan)
        return in_order(self._measured, self._robot.joint_names)

    def silence(self, now_s: float) -> str:
        """Which of them says nothing, in words; empty: all do."""
        if now_s - self._measured_s > self._timeout_s or not np.isfinite(self.here).all():
            return f"no joint states of all joints on {self._robot.state.topic}"
        if now_s - self._status_s > _STATUS_S:
            return "the safety stage says nothing (safety_status)"
        return ""

    def could_lead(self) -> str:
        """Who else could propose at any time, in words; empty: nobody."""
        driver = f"{self._node.get_namespace().rstrip('/')}/driver"  # it proposes while it resets
        return others(publishers(self._node, PROPOSALS), (self._node.get_fully_qualified_name(), driver))

    def destroy(self) -> None:
        """Listen no more."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    def _on_joint_state(self, message: JointState) -> None:
        positions = self._robot.from_wire(message.name, message.position)
        self._measured = JointPositions(tuple(message.name), positions, stamps.to_ns(message.header.stamp))
        self._measured_s = time.monotonic()

    def _on_status(self, status: SafetyStatus) -> None:
        self.held, self.reason = status.state == SafetyStatus.HOLDING, status.reason
        self._status_s = time.monotonic()

    def _on_proposal(self, message: JointTrajectory) -> None:
        self._turn.heard(stamps.to_ns(message.header.stamp), time.monotonic())
