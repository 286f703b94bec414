"""Subscriptions of the policy node: every message becomes plain data in the mailbox of the control loop."""

from __future__ import annotations

import math
from typing import Any

from rclpy.node import Node
from sensor_msgs.msg import Image, JointState

from lrm_core.errors import BadInput
from lrm_core.rewards import RewardHead, RewardStatus
from lrm_core.ros import images, qos, stamps
from lrm_core.ros.diagnostics import Diagnostics, StreamTask
from lrm_msgs.msg import LearnerStatus, PolicyWeights, Reward, RewardNodeStatus, SafetyStatus
from lrm_policy_node.runtime.inbox import Inbox
from lrm_policy_node.runtime.observation import CAMERAS
from lrm_policy_node.runtime.params import PolicyParams
from lrm_policy_node.runtime.weights import WeightsBox


class Inputs:
    """Opens the subscriptions; :meth:`destroy` closes them."""

    def __init__(
        self, node: Node, params: PolicyParams, inbox: Inbox, weights: WeightsBox, diagnostics: Diagnostics
    ) -> None:
        self._node, self._inbox, self._weights = node, inbox, weights
        self._bad_image = ""
        self._open: list[Any] = []
        for camera in CAMERAS:
            task = StreamTask(node, 0.5 * params.control_rate_hz, params.camera_timeout_s)
            diagnostics.add(f"{camera} camera", task)
            self._subscribe(Image, f"{camera}/image_raw", self._image(camera, task), qos.camera(params.lockstep))
        self._subscribe(JointState, "joint_states", self._on_joints, qos.JOINT_STATES)
        for head in (RewardHead.PROGRESS, RewardHead.COMPLETION, RewardHead.CONTRASTIVE):
            self._subscribe(Reward, f"reward/{head.value}", self._on_reward, qos.REWARD)
        self._subscribe(RewardNodeStatus, "reward/status", lambda _: inbox.add_heartbeat(), qos.STATUS)
        self._subscribe(PolicyWeights, "policy_weights", self._on_weights, qos.STATUS)
        self._subscribe(LearnerStatus, "learner_status", self._on_learner, qos.STATUS)
        self._subscribe(SafetyStatus, "safety_status", self._on_safety, qos.STATUS)

    def destroy(self) -> None:
        """Close the subscriptions."""
        for subscription in self._open:
            self._node.destroy_subscription(subscription)

    def _subscribe(self, kind: Any, topic: str, callback: Any, profile: Any) -> None:
        self._open.append(self._node.create_subscription(kind, topic, callback, profile))

    def _image(self, camera: str, task: StreamTask) -> Any:
        def on_image(message: Image) -> None:
            try:
                frame = images.to_camera_frame(message, camera)
            except BadInput as error:
                self._refuse_image(camera, str(error))
                return
            task.tick(frame.stamp_ns)
            self._inbox.add_frame(frame)

        return on_image

    def _refuse_image(self, camera: str, error: str) -> None:
        self._inbox.add_bad_frame(error)
        if error != self._bad_image:  # once per cause, not once per frame
            self._node.get_logger().error(f"{camera}/image_raw: {error}")
        self._bad_image = error

    def _on_joints(self, message: JointState) -> None:
        self._inbox.add_joints(stamps.to_ns(message.header.stamp), message.name, message.position)

    def _on_reward(self, message: Reward) -> None:
        value = message.value if message.status == RewardStatus.OK else math.nan
        stamp_ns = stamps.to_ns(message.header.stamp)
        self._inbox.add_reward(message.episode_id, stamp_ns, RewardHead(message.head), value)

    def _on_weights(self, message: PolicyWeights) -> None:
        try:
            self._weights.offer(message.version, bytes(message.data), message.sha256)
        except BadInput as error:
            self._node.get_logger().error(str(error))
            return
        self._inbox.wake()

    def _on_learner(self, message: LearnerStatus) -> None:
        self._inbox.add_learner_status(message.last_episode_id, message.weights_version)

    def _on_safety(self, message: SafetyStatus) -> None:
        holding = message.reason if message.state == SafetyStatus.HOLDING else ""
        self._inbox.add_safety_status(holding, message.rejected)
