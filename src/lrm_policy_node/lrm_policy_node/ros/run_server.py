"""The action ``run_episodes``: one run at a time, cancellable at every control step."""

from __future__ import annotations

import math
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.node import Node

from lrm_core.episode_machine import EpisodeMachine
from lrm_core.episodes import TerminationReason
from lrm_core.rewards import RewardHead
from lrm_msgs.action import RunEpisodes
from lrm_policy_node.runtime.inbox import Inbox
from lrm_policy_node.runtime.loop import REGULAR_ENDS
from lrm_policy_node.runtime.run import RunEnd, RunOrder, RunResult

_JOIN_S = 10.0


class RunServer(ActionServer):
    """Executes each goal on a thread of its own.

    rclpy would run the goal on the executor, where a blocking callback stops every subscription and a coroutine that
    waits keeps the processor busy. So ``notify_execute`` starts the thread, and when it is done the executor delivers
    its result.

    Args:
        node: of the action.
        inbox: stopped by a cancel request.
        execute: carries out an order; called on the thread of the run.
        ready: True while goals may be accepted.
    """

    def __init__(
        self, node: Node, inbox: Inbox, execute: Callable[[RunOrder], RunResult], ready: Callable[[], bool]
    ) -> None:
        self._inbox, self._run_order, self._ready = inbox, execute, ready
        self._thread: threading.Thread | None = None
        self._goal: ServerGoalHandle | None = None
        super().__init__(
            node,
            RunEpisodes,
            "run_episodes",
            execute_callback=lambda goal: RunEpisodes.Result(),
            goal_callback=self._on_goal,
            cancel_callback=self._on_cancel,
        )

    def notify_execute(self, goal_handle: ServerGoalHandle, execute_callback: Any) -> None:
        """Start the run. Called by rclpy for an accepted goal."""
        self._inbox.open()
        self._goal = goal_handle
        self._thread = threading.Thread(target=self._run, args=(goal_handle,), name="control loop", daemon=True)
        self._thread.start()

    def feedback(self, machine: EpisodeMachine, episodes_done: int, weights_version: int) -> None:
        """Publish how the episode goes; called on the thread of the run."""
        if self._goal is None:
            return
        newest = self._inbox.scores(machine.episode_id)
        self._goal.publish_feedback(
            RunEpisodes.Feedback(
                episodes_done=episodes_done,
                episode_id=machine.episode_id,
                step=machine.steps,
                progress=newest.score(RewardHead.PROGRESS) if newest else math.nan,
                completion=newest.score(RewardHead.COMPLETION) if newest else math.nan,
                weights_version=weights_version,
            )
        )

    def stop(self) -> None:
        """End a run that is going on, and wait for its thread."""
        if self._thread is not None and self._thread.is_alive():
            self._inbox.stop(TerminationReason.SHUTDOWN, "The policy node was deactivated.")
            self._thread.join(_JOIN_S)

    def _on_goal(self, _request: RunEpisodes.Goal) -> GoalResponse:
        busy = self._goal is not None
        if busy or not self._ready():
            why = "a run is going on" if busy else "the node is not active"
            self._node.get_logger().warning(f"run_episodes: goal rejected, {why}")
            return GoalResponse.REJECT
        return GoalResponse.ACCEPT

    def _on_cancel(self, _goal: ServerGoalHandle) -> CancelResponse:
        self._inbox.stop(TerminationReason.CANCELLED, "Cancelled by the client.")
        return CancelResponse.ACCEPT

    def _run(self, goal: ServerGoalHandle) -> None:
        request = goal.request
        order = RunOrder(
            run_id=f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}",
            refine=request.mode == RunEpisodes.Goal.REFINE,
            episodes=request.episodes,
            first_seed=request.first_seed,
            task=request.task,
        )
        result = self._run_order(order)
        if self._node.executor is None:  # the process is ending: nobody is left to deliver a result
            goal.abort()
        else:
            super().notify_execute(goal, lambda handle: self._finish(handle, result))

    def _finish(self, goal: ServerGoalHandle, result: RunResult) -> RunEpisodes.Result:
        self._goal = None
        if result.end is RunEnd.COMPLETED:
            goal.succeed()
        elif goal.is_cancel_requested:
            goal.canceled()
        else:
            goal.abort()
            self._node.get_logger().error(f"run_episodes aborted: {result.message}")
        ended = [outcome for outcome in result.outcomes if outcome.reason in REGULAR_ENDS]
        return RunEpisodes.Result(
            termination_reason=result.end.value,
            message=result.message,
            episodes_done=len(ended),
            episode_ids=[outcome.order.episode_id for outcome in ended],
            predicted_success=[outcome.completion for outcome in ended],
        )
