"""What the safety node listens to beside commands: joint states, cameras, reward node, emergency stop, clocks."""

from __future__ import annotations

import math
import time
from typing import Any

from rclpy.node import Node
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from lrm_core.ros import qos, stamps
from lrm_core.safety.causes import Cause
from lrm_core.safety.heartbeat import NO_FAULT, Fault, Heartbeat, StampedHeartbeat
from lrm_core.safety.watch import ClockWatch, EmergencyStop
from lrm_msgs.msg import RewardNodeStatus
from lrm_policy_node.safety.params import SafetyParams
from lrm_policy_node.safety.timeouts import Timeouts, WatchedCamera


class Watches:
    """Subscriptions and services of ``node`` whose silence or word stops the arm."""

    def __init__(self, node: Node, params: SafetyParams, timeouts: Timeouts, emergency: EmergencyStop) -> None:
        self._node, self._emergency, now_s = node, emergency, time.monotonic()
        simulated = bool(node.get_parameter("use_sim_time").value)
        self._clock = ClockWatch(params.clock_jump_s, simulated, timeouts.joint_states_s)
        timeout_s = timeouts.joint_states_s
        self._joint_states = StampedHeartbeat("joint_states", Cause.STALE_JOINT_STATE, timeout_s, now_s)
        self._heartbeats: list[Heartbeat] = [self._joint_states]
        self._open: list[Any] = []
        for camera in () if params.lockstep else timeouts.cameras:  # in lock-step their silence holds nothing
            self._watch_camera(camera, now_s)
        if params.reward_timeout_s > 0.0:
            self._watch_reward_node(params.reward_timeout_s, now_s)
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
        clock = self._clock.fault(self._now_ns() / 1e9, now_s)
        found = [self._emergency.fault(now_s), clock]
        found += [heartbeat.fault(now_s) for heartbeat in self._heartbeats]
        return next((fault for fault in found if fault[0] is not Cause.NONE), NO_FAULT)

    def close(self) -> None:
        """Give the subscriptions and services back."""
        for subscription in self._open:
            self._node.destroy_subscription(subscription)
        for service in self._services:
            self._node.destroy_service(service)

    def hear_joint_states(self, stamp_ns: int) -> None:
        """Joint states arrived; the node itself reads them."""
        self._joint_states.hear(stamp_ns, self._now_ns(), time.monotonic())

    def _watch_camera(self, camera: WatchedCamera, now_s: float) -> None:
        heard_s = now_s if camera.expected else math.inf
        heartbeat = StampedHeartbeat(
            camera.topic, Cause.STALE_OBSERVATION, camera.timeout_s, heard_s, max_age_s=camera.max_age_s
        )

        def on_info(message: CameraInfo) -> None:
            heartbeat.hear(stamps.to_ns(message.header.stamp), self._now_ns(), time.monotonic())

        self._heartbeats.append(heartbeat)
        self._open.append(self._node.create_subscription(CameraInfo, camera.topic, on_info, qos.CAMERA))

    def _watch_reward_node(self, timeout_s: float, now_s: float) -> None:
        heartbeat = Heartbeat("reward/status", Cause.STALE_REWARD, timeout_s, now_s)

        def on_status(_: RewardNodeStatus) -> None:
            heartbeat.heard_s = time.monotonic()

        self._heartbeats.append(heartbeat)
        self._open.append(self._node.create_subscription(RewardNodeStatus, "reward/status", on_status, qos.STATUS))

    def _now_ns(self) -> int:
        return int(self._node.get_clock().now().nanoseconds)

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
