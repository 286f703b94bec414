"""The learner's process: transitions and rewards in, weights out."""

from __future__ import annotations

import hashlib
import math
from array import array
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rclpy.clock import Clock, ClockType

from lrm_core.episodes import TerminationReason
from lrm_core.errors import BadInput
from lrm_core.rewards import MODEL_HEADS, RewardEstimate, RewardHead, RewardStatus
from lrm_core.ros import qos, stamps
from lrm_core.ros.diagnostics import ERROR, OK, WARN, Diagnostics, Report
from lrm_core.ros.lifecycle import LrmLifecycleNode, run
from lrm_core.transitions import Transition
from lrm_msgs.msg import EpisodeStatus, LearnerStatus, PolicyWeights, Reward, SimAudit
from lrm_msgs.msg import Transition as TransitionMessage
from lrm_policy_node.learner.learner import Learner
from lrm_policy_node.learner.params import LearnerParams
from lrm_policy_node.learner.privileged import PrivilegedRewards
from lrm_policy_node.learner.worker import LearnerState, LearnerWorker
from lrm_policy_node.rl.features import ACTIONS, features_of

_LAST_TRANSITION_COMES = {TerminationReason.SUCCESS_CONFIRMED.value, TerminationReason.MAX_STEPS.value}


class LearnerNode(LrmLifecycleNode[LearnerParams]):
    """Callbacks fill the worker's mailbox; the worker's thread learns and publishes. See ``docs/architecture.md``."""

    params_class = LearnerParams

    def __init__(self) -> None:
        super().__init__("learner")

    def configure_node(self, params: LearnerParams) -> None:
        """Read journal, weights and demonstrations; open the topics."""
        if params.reward_source == "sparse":
            params = replace(params, delivery="terminal", progress_weight=0.0)
        self._learner = Learner(params)
        self._arm_joints = self._learner.params.arm_joints
        if params.demo_transitions:
            self._learner.add_demos(Path(params.demo_transitions))
        self._worker = LearnerWorker(self._learner, self._publish_weights, self._publish_state)
        self._weights = self.create_lifecycle_publisher(PolicyWeights, "policy_weights", qos.STATUS)
        self._statuses = self.create_lifecycle_publisher(LearnerStatus, "learner_status", qos.STATUS)
        self._diagnostics = Diagnostics(self, "learner")
        self._diagnostics.add("training", self._report)
        self._open = [
            self.create_subscription(TransitionMessage, "transition", self._on_transition, qos.TRANSITION),
            self.create_subscription(EpisodeStatus, "episode_status", self._on_episode, qos.STATUS),
        ]
        self._privileged = PrivilegedRewards() if params.reward_source != "lrm" else None
        if self._privileged is not None:
            self.get_logger().warning(f"PRIVILEGED: learning from the simulator's truth ({params.reward_source})")
            self._open.append(self.create_subscription(SimAudit, "audit", self._on_audit, qos.AUDIT))
        else:
            self._open += [self._subscribe_head(head) for head in MODEL_HEADS if head in self._learner.delivery.heads]
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = self.create_timer(1.0, lambda: self._publish_state(self._worker.state), clock=steady)

    def activate_node(self) -> None:
        """Start learning; the first weights go out as soon as the critics are fitted to what there is."""
        self._worker.start()

    def deactivate_node(self) -> None:
        """Finish the fit that is running."""
        self._worker.stop()

    def cleanup_node(self) -> None:
        """Close what is open."""
        for subscription in self.__dict__.pop("_open", []):
            self.destroy_subscription(subscription)
        if "_timer" in self.__dict__:
            self.destroy_timer(self.__dict__.pop("_timer"))
        if "_diagnostics" in self.__dict__:
            self.__dict__.pop("_diagnostics").destroy()
        for name in ("_weights", "_statuses"):
            if name in self.__dict__:
                self.destroy_publisher(self.__dict__.pop(name))
        if "_learner" in self.__dict__:
            self.__dict__.pop("_learner").close()

    def _subscribe_head(self, head: RewardHead) -> Any:
        return self.create_subscription(
            Reward, f"reward/{head.value}", lambda message: self._on_reward(head, message), qos.REWARD
        )

    def _on_transition(self, message: TransitionMessage) -> None:
        self._checked("transition", lambda: self._take_transition(transition_of(message, self._arm_joints)))

    def _take_transition(self, transition: Transition) -> None:
        self._worker.add_transition(transition)
        if self._privileged is not None:
            for stamp_ns in (transition.start_stamp_ns, transition.end_stamp_ns):
                self._take_estimates(self._privileged.want(transition.episode_id, stamp_ns))

    def _on_reward(self, head: RewardHead, message: Reward) -> None:
        self._checked("reward", lambda: self._worker.add_reward(message.episode_id, estimate_of(head, message)))

    def _on_audit(self, message: SimAudit) -> None:
        assert self._privileged is not None
        stamp_ns = stamps.to_ns(message.header.stamp)
        self._take_estimates(self._privileged.add_truth(stamp_ns, message.progress, message.success))

    def _take_estimates(self, estimates: list[tuple[str, RewardEstimate]]) -> None:
        for episode_id, estimate in estimates:
            self._worker.add_reward(episode_id, estimate)

    def _on_episode(self, message: EpisodeStatus) -> None:
        cut = message.termination_reason not in _LAST_TRANSITION_COMES
        if message.state == EpisodeStatus.ENDED and message.mode == EpisodeStatus.REFINE and cut:
            self._worker.end_episode(message.episode_id)

    def _checked(self, name: str, take: Callable[[], None]) -> None:
        try:
            take()
        except (BadInput, ValueError) as error:
            self._worker.reject()
            self.get_logger().error(f"{name} left out: {error}", throttle_duration_sec=5.0)

    def _publish_weights(self, version: int, data: bytes) -> None:
        message = PolicyWeights(version=version, data=array("B", data), sha256=hashlib.sha256(data).hexdigest())
        message.header.stamp = self.get_clock().now().to_msg()
        self._weights.publish(message)

    def _publish_state(self, state: LearnerState) -> None:
        message = LearnerStatus(
            weights_version=state.version,
            transitions=state.transitions,
            dropped_unknown=state.dropped,
            pending=state.pending,
            demo_transitions=state.demos,
            updates=state.updates,
            last_episode_id=state.last_episode_id,
            critic_loss=state.loss,
            mean_q=state.mean_value,
        )
        message.header.stamp = self.get_clock().now().to_msg()
        self._statuses.publish(message)

    def _report(self) -> Report:
        state = self._worker.state
        share = state.dropped / max(1, state.dropped + state.transitions)
        values = {"transitions": state.transitions, "dropped_unknown": state.dropped, "unknown_share": f"{share:.3f}"}
        values |= {"pending": state.pending, "overflowed": state.overflowed, "rejected": state.rejected}
        report = Report(OK, "learning", {**values, "updates": state.updates, "weights_version": state.version})
        if state.overflowed or state.rejected:
            report.raise_to(WARN, f"{state.overflowed} inputs dropped, {state.rejected} refused")
        if state.fault:
            report.raise_to(ERROR, state.fault)
        return report


def transition_of(message: TransitionMessage, arm_joints: int) -> Transition:
    """The message as plain data.

    Raises:
        BadInput: its vectors are of another length than this learner's, or make no sense.
    """
    shapes = len(message.observation), len(message.action)
    if shapes != (features_of(arm_joints), ACTIONS):
        allowed = f"{features_of(arm_joints)} features ({arm_joints} arm joints) and {ACTIONS} residuals"
        fix = "Give learner and policy node the same robot; else policy node and learner are of different versions."
        raise BadInput("transition observation, action", shapes, allowed, fix)
    return Transition(
        episode_id=message.episode_id,
        index=message.index,
        start_stamp_ns=stamps.to_ns(message.start_stamp),
        end_stamp_ns=stamps.to_ns(message.end_stamp),
        observation=np.asarray(message.observation, np.float32),
        action=np.asarray(message.action, np.float32),
        next_observation=np.asarray(message.next_observation, np.float32),
        terminated=message.terminated,
        truncated=message.truncated,
        weights_version=message.weights_version,
    )


def estimate_of(head: RewardHead, message: Reward) -> RewardEstimate:
    """The message as plain data.

    Raises:
        ValueError: its status is unknown, or value and status contradict each other.
    """
    status = RewardStatus(message.status)
    value = float(message.value) if status is RewardStatus.OK else math.nan
    return RewardEstimate(head, value, status, stamp_ns=stamps.to_ns(message.header.stamp))


def main() -> int:
    """Entry point of ``lrm_learner``."""
    return run(LearnerNode)


if __name__ == "__main__":
    raise SystemExit(main())
