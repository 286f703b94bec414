"""Subscriptions of the policy node: every message becomes plain data in the mailbox of the control loop."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

from rclpy.node import Node
from sensor_msgs.msg import JointState

from lrm_core.errors import BadInput
from lrm_core.frames import CameraFrame
from lrm_core.rewards import RewardHead, RewardStatus
from lrm_core.robot import RobotContract
from lrm_core.ros import qos, stamps
from lrm_core.ros.camera import CameraSubscription
from lrm_core.ros.diagnostics import WARN, Diagnostics, Report, StreamTask
from lrm_msgs.msg import LearnerStatus, PolicyWeights, Reward, RewardNodeStatus, SafetyStatus
from lrm_policy_node.runtime.inbox import Inbox
from lrm_policy_node.runtime.params import PolicyParams
from lrm_policy_node.runtime.weights import WeightsBox


class Inputs:
    """Opens the subscriptions; those of the cameras with :meth:`watch`. :meth:`destroy` closes them."""

    def __init__(
        self,
        node: Node,
        params: PolicyParams,
        robot: RobotContract,
        inbox: Inbox,
        weights: WeightsBox,
        diagnostics: Diagnostics,
    ) -> None:
        self._node, self._robot, self._inbox, self._weights = node, robot, inbox, weights
        self._params, self._diagnostics = params, diagnostics
        self._bad_image = ""
        self._open: list[Any] = []
        self._cameras: list[CameraSubscription] = []
        # A lock-step clock stands still between two frames: there the age of a frame says nothing.
        self._max_age_s = math.inf if params.lockstep else params.camera_timeout_s
        self._joints = self._stream("joint states")
        self._rewards = self._unknown = self._bad_images = self._refused_weights = 0
        diagnostics.add("inputs", self._report)
        self._subscribe(JointState, robot.state.topic, self._on_joints, qos.JOINT_STATES)
        for head in (RewardHead.PROGRESS, RewardHead.COMPLETION, RewardHead.CONTRASTIVE):
            self._subscribe(Reward, f"reward/{head.value}", self._on_reward, qos.REWARD)
        self._subscribe(RewardNodeStatus, "reward/status", lambda _: inbox.add_heartbeat(), qos.STATUS)
        self._subscribe(PolicyWeights, "policy_weights", self._on_weights, qos.STATUS)
        self._subscribe(LearnerStatus, "learner_status", self._on_learner, qos.STATUS)
        self._subscribe(SafetyStatus, "safety_status", self._on_safety, qos.STATUS)

    def watch(self, cameras: Sequence[str]) -> None:
        """Subscribe to these cameras of the robot, and no other."""
        self._inbox.watch(cameras)
        for camera in cameras:
            self._cameras.append(
                CameraSubscription(
                    self._node, self._robot.camera(camera),
                    transport=self._params.transport, lockstep=self._params.lockstep,
                    on_frame=partial(self._on_frame, self._stream(f"{camera} camera")),
                    on_bad=partial(self._on_bad_image, camera),
                )
            )  # fmt: skip

    def destroy(self) -> None:
        """Close the subscriptions."""
        for subscription in self._open:
            self._node.destroy_subscription(subscription)
        for camera in self._cameras:
            camera.destroy()

    def _report(self) -> Report:
        values = {"rewards": self._rewards, "unknown_share": f"{self._unknown / max(1, self._rewards):.3f}"}
        report = Report(values={**values, "bad_images": self._bad_images, "refused_weights": self._refused_weights})
        if self._bad_images or self._refused_weights:
            report.raise_to(WARN, f"{self._bad_images} images and {self._refused_weights} weights could not be used")
        return report

    def _stream(self, name: str) -> StreamTask:
        task = StreamTask(self._node, 0.5 * self._params.control_rate_hz, self._max_age_s)
        self._diagnostics.add(name, task)
        return task

    def _subscribe(self, kind: Any, topic: str, callback: Any, profile: Any) -> None:
        self._open.append(self._node.create_subscription(kind, topic, callback, profile))

    def _on_frame(self, task: StreamTask, frame: CameraFrame, _transport_s: float) -> None:
        task.tick(frame.stamp_ns)
        self._inbox.add_frame(frame)

    def _on_bad_image(self, camera: str, error: BadInput) -> None:
        self._bad_images += 1
        self._inbox.add_bad_frame(str(error))
        if str(error) != self._bad_image:  # once per cause, not once per frame
            self._node.get_logger().error(f"{camera} camera: {error}")
        self._bad_image = str(error)

    def _on_joints(self, message: JointState) -> None:
        self._joints.tick(stamps.to_ns(message.header.stamp))
        positions = self._robot.from_wire(message.name, message.position)
        self._inbox.add_joints(stamps.to_ns(message.header.stamp), message.name, positions)

    def _on_reward(self, message: Reward) -> None:
        self._rewards += 1
        self._unknown += message.status != RewardStatus.OK
        value = message.value if message.status == RewardStatus.OK else math.nan
        stamp_ns = stamps.to_ns(message.header.stamp)
        self._inbox.add_reward(message.episode_id, stamp_ns, RewardHead(message.head), value)

    def _on_weights(self, message: PolicyWeights) -> None:
        try:
            self._weights.offer(message.version, bytes(message.data), message.sha256)
        except BadInput as error:
            self._refused_weights += 1
            self._node.get_logger().error(str(error))
            return
        self._inbox.wake()

    def _on_learner(self, message: LearnerStatus) -> None:
        self._inbox.add_learner_status(message.last_episode_id, message.weights_version)

    def _on_safety(self, message: SafetyStatus) -> None:
        holding = message.reason if message.state == SafetyStatus.HOLDING else ""
        self._inbox.add_safety_status(holding, message.rejected)
