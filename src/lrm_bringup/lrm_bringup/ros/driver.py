"""The node inside ``lrm demo``: sends goals to the policy node and listens to everything a person wants to see."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.action import ActionClient
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future

from lrm_bringup.demo.collector import AuditSeen, Collector, EpisodeSeen
from lrm_bringup.report.journal import LearnerSeen, RewardSeen, SafetySeen
from lrm_core.episodes import EpisodeState
from lrm_core.errors import LrmError
from lrm_core.rewards import RewardHead, RewardStatus
from lrm_core.ros import qos, stamps
from lrm_msgs.action import RunEpisodes
from lrm_msgs.msg import EpisodeStatus, LearnerStatus, RefinementStatus, Reward, SafetyStatus, SimAudit

READY_TIMEOUT_S = 10.0
ANSWER_TIMEOUT_S = 3.0
SEND_ATTEMPTS = 3
CANCEL_TIMEOUT_S = 15.0
SETTLE_S = 3.0
_POLL_S = 0.05
_STATES = list(EpisodeState)
_SAFETY_STATES = {
    SafetyStatus.PASSING: "PASSING", SafetyStatus.LIMITING: "LIMITING", SafetyStatus.HOLDING: "HOLDING"
}  # fmt: skip


@dataclass(frozen=True)
class GoalResult:
    """How a goal ended: completed, cancelled, aborted as the policy node says; rejected; lost with its process.

    Attributes:
        episode_ids: the episodes that ended, as the policy node says.
    """

    reason: str
    message: str = ""
    episode_ids: tuple[str, ...] = ()


class Driver:
    """Owns a ROS context and the thread that spins it.

    Args:
        collector: gets everything that is heard.
        domain_id: DDS domain of the run.
    """

    def __init__(self, collector: Collector, domain_id: int) -> None:
        self._collector = collector
        self._heard_s: dict[str, float] = {}
        self._context = rclpy.Context()
        rclpy.init(context=self._context, domain_id=domain_id, signal_handler_options=SignalHandlerOptions.NO)
        self._node = Node("lrm_demo", context=self._context)
        self._client = ActionClient(self._node, RunEpisodes, "run_episodes")
        self._listen()
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._spin, name="driver", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._executor.shutdown()
        self._thread.join(timeout=5.0)
        self._client.destroy()
        self._node.destroy_node()
        self._context.try_shutdown()
        self._context.destroy()  # shutdown alone leaves the participant in the graph

    def heard_from(self, name: str, since_s: float) -> bool:
        """True when the node ``name`` has reported in ``/diagnostics`` after ``since_s`` of the monotonic clock."""
        return self._heard_s.get(name, 0.0) > since_s

    def run_goal(
        self,
        refine: bool,
        first_seed: int,
        episodes: int,
        task: str,
        cancel: Callable[[], bool],
        lost: Callable[[], bool],
    ) -> GoalResult:
        """Run episodes and wait for their end.

        Args:
            refine: explore and learn; else evaluate.
            first_seed: scene seed of the first episode; the next ones count up.
            episodes: how many.
            task: task sentence.
            cancel: asked twenty times a second; True cancels the goal.
            lost: asked twenty times a second; True when the policy node has died, and the goal with it.
        """
        mode = RunEpisodes.Goal.REFINE if refine else RunEpisodes.Goal.EVALUATE
        goal = RunEpisodes.Goal(mode=mode, episodes=episodes, first_seed=first_seed, task=task)
        if not self._wait(self._client.server_is_ready, READY_TIMEOUT_S, lost):
            return GoalResult("lost", "the policy node does not offer run_episodes")
        handle = self._send(goal, lost)
        if handle is None:
            return GoalResult("lost", "the policy node did not answer the goal")
        if not handle.accepted:
            return GoalResult("rejected", "the policy node refused the goal; its log says why")
        return self._await_result(handle, self._on_executor(handle.get_result_async), cancel, lost)

    def _send(self, goal: RunEpisodes.Goal, lost: Callable[[], bool]) -> Any:
        """The handle of the goal, accepted or not; None when nobody answers.

        A request is sent again: one that leaves before both ends have discovered each other is lost for good, although
        the server already counts as ready on this side.
        """
        answers: list[Future] = []
        for _ in range(SEND_ATTEMPTS):
            answers.append(self._on_executor(lambda: self._client.send_goal_async(goal)))
            if self._wait(lambda: any(answer.done() for answer in answers), ANSWER_TIMEOUT_S, lost):
                handles = [answer.result() for answer in answers if answer.done()]
                return max(handles, key=lambda handle: bool(handle.accepted))
        return None

    def _on_executor(self, call: Callable[[], Future]) -> Future:
        """Call on the thread of the executor.

        rclpy notes a request down after it has sent it: sent from another thread, a fast answer comes too early and is
        thrown away.
        """
        task = self._executor.create_task(call)
        while not task.done():
            if not self._thread.is_alive():
                raise LrmError("the driver node has stopped")
            time.sleep(0.001)
        found: Future = task.result()
        return found

    def settle(self, collector: Collector, result: GoalResult) -> None:
        """Give what is still under way a moment to arrive, then write the last episode with what is known.

        The result of a goal may overtake the last status of its last episode: they are different topics.
        """
        deadline_s = time.monotonic() + SETTLE_S
        while not collector.has_closed(result.episode_ids) and time.monotonic() < deadline_s:
            time.sleep(_POLL_S)
        collector.close()

    def _await_result(
        self, handle: Any, result: Future, cancel: Callable[[], bool], lost: Callable[[], bool]
    ) -> GoalResult:
        deadline_s = float("inf")
        while not result.done():
            if lost():
                return GoalResult("lost", "the policy node died")
            if time.monotonic() > deadline_s:
                return GoalResult("lost", f"the policy node did not cancel within {CANCEL_TIMEOUT_S:g} s")
            if cancel() and deadline_s == float("inf"):
                self._on_executor(handle.cancel_goal_async)
                deadline_s = time.monotonic() + CANCEL_TIMEOUT_S
            time.sleep(_POLL_S)
        found = result.result().result
        return GoalResult(found.termination_reason, found.message, tuple(found.episode_ids))

    def _wait(self, predicate: Callable[[], bool], timeout_s: float, lost: Callable[[], bool]) -> bool:
        deadline_s = time.monotonic() + timeout_s
        while not predicate():
            if lost() or time.monotonic() > deadline_s:
                return False
            time.sleep(_POLL_S)
        return True

    def _spin(self) -> None:
        with contextlib.suppress(ExternalShutdownException):
            self._executor.spin()

    def _listen(self) -> None:
        statuses = _deep(qos.STATUS)
        listen = self._node.create_subscription
        listen(EpisodeStatus, "episode_status", self._on_episode, statuses)
        for head in RewardHead:
            listen(Reward, f"reward/{head.value}", self._on_reward, qos.REWARD)
        listen(LearnerStatus, "learner_status", self._on_learner, statuses)
        listen(RefinementStatus, "refinement_status", self._on_refinement, statuses)
        listen(SafetyStatus, "safety_status", self._on_safety, statuses)
        listen(SimAudit, "audit", self._on_audit, qos.AUDIT)
        listen(DiagnosticArray, "/diagnostics", self._on_diagnostics, _deep(qos.DIAGNOSTICS))

    def _on_diagnostics(self, msg: DiagnosticArray) -> None:
        for status in msg.status:
            self._heard_s[status.name.partition(":")[0].rpartition("/")[2]] = time.monotonic()

    def _on_episode(self, msg: EpisodeStatus) -> None:
        self._collector.status(
            EpisodeSeen(
                msg.episode_id, _STATES[msg.state], msg.task, msg.seed, stamps.to_ns(msg.start_stamp),
                stamps.to_ns(msg.end_stamp), msg.step, msg.max_steps, msg.termination_reason, msg.weights_version,
            )
        )  # fmt: skip

    def _on_reward(self, msg: Reward) -> None:
        self._collector.reward(
            RewardSeen(
                msg.episode_id, msg.head, msg.value, RewardStatus(msg.status).name, stamps.to_ns(msg.header.stamp),
                stamps.to_ns(msg.reference_stamp), msg.confidence, msg.episode_end, msg.transport_latency_s,
                msg.model_latency_s, msg.model_fingerprint, msg.raw_text,
            )
        )  # fmt: skip

    def _on_learner(self, msg: LearnerStatus) -> None:
        self._collector.learner(
            LearnerSeen(
                msg.weights_version, msg.transitions, msg.dropped_unknown, msg.pending, msg.demo_transitions,
                msg.updates, msg.critic_loss, msg.mean_q,
            )
        )  # fmt: skip

    def _on_refinement(self, msg: RefinementStatus) -> None:
        self._collector.waiting_for(msg.waiting_for)

    def _on_safety(self, msg: SafetyStatus) -> None:
        self._collector.safety(
            SafetySeen(_SAFETY_STATES.get(msg.state, str(msg.state)), msg.reason, msg.passed, msg.limited, msg.rejected)
        )

    def _on_audit(self, msg: SimAudit) -> None:
        self._collector.audit(AuditSeen(stamps.to_ns(msg.header.stamp), msg.progress, msg.success, msg.outcome))


def _deep(profile: QoSProfile) -> QoSProfile:
    """The same profile with room for a burst: the collector must not miss a short state."""
    return QoSProfile(depth=100, reliability=profile.reliability, durability=profile.durability)
