"""What the safety node listens to beside commands: joint states, cameras, reward node, emergency stop, clocks."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from rclpy.node import Node
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from lrm_core.robot import RobotContract, camera_info_topics
from lrm_core.ros import qos
from lrm_core.safety.causes import Cause
from lrm_core.safety.watch import NO_FAULT, ClockWatch, EmergencyStop, Fault, Heartbeat
from lrm_msgs.msg import RewardNodeStatus
from lrm_policy_node.safety.params import SafetyParams


class Watches:
    """Subscriptions and services of ``node`` whose silence or word stops the arm.

    Raises:
        BadInput: ``observation_topics`` names no camera.

    Attributes:
        joint_states: heard by the node itself.
    """

    def __init__(self, node: Node, params: SafetyParams, robot: RobotContract, emergency: EmergencyStop) -> None:
        self._node, self._emergency, now_s = node, emergency, time.monotonic()
        simulated = bool(node.get_parameter("use_sim_time").value)
        self._clock = ClockWatch(params.clock_jump_s, simulated, params.joint_state_timeout_s)
        self.joint_states = Heartbeat("joint_states", Cause.STALE_JOINT_STATE, params.joint_state_timeout_s, now_s)
        self._heartbeats: list[Heartbeat] = []
        self._open: list[Any] = []
        for topic in camera_info_topics(robot, params.observation_topics):
            self._watch(CameraInfo, topic, Cause.STALE_OBSERVATION, params.observation_timeout_s, qos.CAMERA)
        if params.reward_timeout_s > 0.0:
            self._watch(RewardNodeStatus, "reward/status", Cause.STALE_REWARD, params.reward_timeout_s, qos.STATUS)
        self._open.append(node.create_subscription(Bool, "emergency_stop", self._on_emergency_stop, qos.STOP))
        self._services = [
            node.create_service(Trigger, "trigger_emergency_stop", self._on_trigger),
            node.create_service(Trigger, "clear_emergency_stop", self._on_clear),
        ]

    def emergency(self) -> Fault:
        """The emergency stop alone: all that counts where time stands still between commands."""
        return self._emergency.fault(time.monotonic())

    def fault(self) -> Fault:
        """The first thing that stops the arm now."""
        now_s = time.monotonic()
        clock = self._clock.fault(self._node.get_clock().now().nanoseconds / 1e9, now_s)
        found = [self._emergency.fault(now_s), clock]
        found += [heartbeat.fault(now_s) for heartbeat in (self.joint_states, *self._heartbeats)]
        return next((fault for fault in found if fault[0] is not Cause.NONE), NO_FAULT)

    def close(self) -> None:
        """Give the subscriptions and services back."""
        for subscription in self._open:
            self._node.destroy_subscription(subscription)
        for service in self._services:
            self._node.destroy_service(service)

    def _watch(self, kind: type, topic: str, cause: Cause, timeout_s: float, profile: Any) -> None:
        heartbeat = Heartbeat(topic, cause, timeout_s, time.monotonic())
        self._heartbeats.append(heartbeat)
        self._open.append(self._node.create_subscription(kind, topic, partial(_heard, heartbeat), profile))

    def _on_emergency_stop(self, message: Bool) -> None:
        self._emergency.hear(message.data, time.monotonic())

    def _on_trigger(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._emergency.latch("triggered by trigger_emergency_stop")
        response.success, response.message = True, "stopped"
        return response

    def _on_clear(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        refused = self._emergency.clear(time.monotonic())
        response.success, response.message = not refused, refused or "cleared"
        self._node.get_logger().warning(f"emergency stop: {response.message}")
        return response


def _heard(heartbeat: Heartbeat, _: Any) -> None:
    heartbeat.heard_s = time.monotonic()
