"""The robot and the listeners of the control loop on ROS 2 topics and services."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from rclpy.duration import Duration
from rclpy.node import Node
from trajectory_msgs.msg import JointTrajectory

from lrm_core.episode_machine import EpisodeMachine
from lrm_core.robot import RobotContract
from lrm_core.ros import qos, stamps, trajectories
from lrm_core.transitions import Transition
from lrm_msgs.msg import EpisodeStatus, RefinementStatus
from lrm_msgs.msg import Transition as TransitionMessage
from lrm_policy_node.rl.actor import ResidualPolicy
from lrm_policy_node.ros import conversions
from lrm_policy_node.ros.resetting import new_reset
from lrm_policy_node.runtime.approach import Approach
from lrm_policy_node.runtime.inbox import Inbox
from lrm_policy_node.runtime.observation import Observation
from lrm_policy_node.runtime.params import PolicyParams
from lrm_policy_node.runtime.rewards import FrameScores
from lrm_policy_node.runtime.weights import WeightsBox
from lrm_policy_node.runtime.world import EpisodeOrder, RunProgress

_RESEND_S = 0.5  # a safety stage that restarts loses one command; in lock-step time would then stand still for ever
_LATCHED_S = 2.0
_FLUSH_S = 0.5


class RobotWorld:
    """:class:`lrm_policy_node.runtime.world.World` on a node; used by the thread of the control loop.

    Args:
        node: creates publishers and the reset client on it.
        params: of the policy node.
        robot: its joints, limits and way of being reset.
        inbox: what arrives.
        weights: what the learner hands over.
    """

    def __init__(
        self, node: Node, params: PolicyParams, robot: RobotContract, inbox: Inbox, weights: WeightsBox
    ) -> None:
        self._node, self._params, self._names = node, params, robot.joint_names
        self._inbox, self._weights = inbox, weights
        self.approach = Approach(
            self.command, self.observe, robot.limits, robot.arm_joints, params.control_rate_hz, params.approach_speed
        )
        self._reset = new_reset(node, params, robot, inbox, self)
        self._proposals = node.create_publisher(JointTrajectory, "proposed_command", qos.proposal())
        self._episodes = node.create_publisher(EpisodeStatus, "episode_status", qos.STATUS)
        self._transitions = node.create_publisher(TransitionMessage, "transition", qos.TRANSITION)
        self._refinement = node.create_publisher(RefinementStatus, "refinement_status", qos.STATUS)
        self._sent: JointTrajectory | None = None
        self._progress: RunProgress | None = None
        self._waiting = ""
        self._weights_awaited = True
        self.on_show: Callable[[EpisodeMachine, int], None] = lambda machine, done: None
        """Called with the episodes done at every change of the episode, on the thread of the loop."""
        self.on_planned: Callable[[float], None] = lambda delay_s: None
        """Called with the age of the observation that a plan is from when the plan is there, seconds."""

    def reset(self, seed: int, task: str) -> tuple[int, str]:
        """Reset the robot in its own way."""
        self._sent = None
        self._inbox.begin_reset()
        return self._reset.run(seed, task)

    def observe(self, after_ns: int) -> Observation:
        """The next observation; in lock-step the command is sent again when nothing comes."""
        timeout_s = self._params.camera_timeout_s
        for attempt in range(max(1, round(timeout_s / _RESEND_S))):
            if attempt and self._params.lockstep and self._sent is not None:
                self._proposals.publish(self._sent)
            observation = self._inbox.observe(after_ns, _RESEND_S)
            if observation is not None:
                self._inbox.begin_episode()
                return observation
        raise self._inbox.lost(after_ns, timeout_s)

    def newest(self) -> Observation | None:
        """The newest observation, without waiting."""
        return self._inbox.newest()

    def command(self, positions: np.ndarray, stamp_ns: int) -> None:
        """Publish ``proposed_command``."""
        self._sent = trajectories.command(self._names, positions, stamp_ns, 1.0 / self._params.control_rate_hz)
        self._proposals.publish(self._sent)

    def planned(self, stamp_ns: int) -> None:
        """Hand on how old the plan's observation is by now."""
        self.on_planned((self._node.get_clock().now().nanoseconds - stamp_ns) / 1e9)

    def held(self) -> bool:
        """Whether the safety stage has held the arm since this was asked last."""
        return self._inbox.take_hold()

    def hold(self) -> None:
        """Propose the measured position. In lock-step the arm stands as soon as nobody commands."""
        observation = self._inbox.newest()
        if observation is not None and not self._params.lockstep:
            self.command(observation.joints, observation.stamp_ns)

    def await_reward_node(self) -> None:
        """Wait until the reward node lives."""
        self._inbox.await_reward_node(lambda: self.show_waiting("the reward node"))
        self.show_waiting("")

    def await_reward(self, episode_id: str, stamp_ns: int) -> FrameScores | None:
        """Wait for the rewards of a frame."""
        what = f"reward of frame {stamps.seconds(stamp_ns)}"
        frame = self._inbox.await_reward(episode_id, stamp_ns, lambda: self.show_waiting(what))
        self.show_waiting("")
        if frame is None:
            self._node.get_logger().warning(f"{what} did not come: the loop goes on without it")
        return frame

    def adopt_weights(self, residual: ResidualPolicy) -> None:
        """Load the newest weights. A node that has just started waits for the latched ones of a learner that lives."""
        if self._weights_awaited and self._node.count_publishers("policy_weights"):
            self._inbox.wait(lambda: self._weights.version or None, _LATCHED_S)
        self._weights_awaited = False
        self._weights.adopt(residual)

    def await_learner(self, episode_id: str) -> None:
        """Wait until the learner has trained on an episode."""
        self.show_waiting(f"learner, episode {episode_id}")
        if not self._inbox.await_learner(episode_id, lambda: self._weights.version):
            late = f"the learner was not done with {episode_id} within {self._params.learner_sync_timeout_s} s"
            self._node.get_logger().warning(f"{late}: the loop goes on")
        self.show_waiting("")

    def publish(self, transition: Transition) -> None:
        """Publish ``transition``."""
        self._transitions.publish(conversions.transition(transition))

    def show(self, machine: EpisodeMachine, order: EpisodeOrder, weights_version: int) -> None:
        """Publish ``episode_status``."""
        newest = self._inbox.newest()
        newest_ns = newest.stamp_ns if newest else 0
        status = conversions.episode_status(machine, order, self._params, weights_version, newest_ns)
        self._episodes.publish(status)
        self.on_show(machine, self._progress.done if self._progress else 0)

    def show_run(self, progress: RunProgress) -> None:
        """Publish ``refinement_status``."""
        self._progress, self._waiting = progress, ""
        self._publish_run()

    def show_waiting(self, what: str) -> None:
        """Say what the loop waits for; empty: it goes on."""
        if self._progress is not None and what != self._waiting:
            self._waiting = what
            self._publish_run()

    def _publish_run(self) -> None:
        assert self._progress is not None
        message = conversions.refinement_status(self._progress, self._weights.version, self._waiting)
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._refinement.publish(message)

    def destroy(self) -> None:
        """Close the client, and the publishers once what they sent last has arrived."""
        publishers: list[Any] = [self._proposals, self._episodes, self._transitions, self._refinement]
        for publisher in publishers:
            publisher.wait_for_all_acked(Duration(seconds=_FLUSH_S))
            self._node.destroy_publisher(publisher)
        self._reset.destroy()
