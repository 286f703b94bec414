"""The driver node on real DDS, against a policy node that does as it is told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from lrm_bringup.demo.collector import Collector
from lrm_bringup.report.journal import BEFORE, EpisodeEnded, RewardSeen
from lrm_bringup.ros.driver import Driver, GoalResult
from lrm_core.ros import qos, stamps
from lrm_msgs.action import RunEpisodes
from lrm_msgs.msg import EpisodeStatus, Reward, SimAudit
from ros_testing import ros_context, wait_until

START_NS, END_NS = 1_000_000_000, 6_000_000_000


class ScriptedPolicy(Node):
    """Offers ``run_episodes``; publishes each episode of a goal as a policy, a reward node and a simulator would."""

    def __init__(self, context: rclpy.Context) -> None:
        super().__init__("policy", context=context)
        self.accept, self.hold, self.cancelled = True, threading.Event(), threading.Event()
        self.goals: list[Any] = []
        self._status = self.create_publisher(EpisodeStatus, "episode_status", qos.STATUS)
        self._reward = self.create_publisher(Reward, "reward/completion", qos.REWARD)
        self._audit = self.create_publisher(SimAudit, "audit", qos.AUDIT)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", qos.DIAGNOSTICS)
        group = ReentrantCallbackGroup()
        self.server = ActionServer(
            self, RunEpisodes, "run_episodes", self._execute, callback_group=group,
            goal_callback=lambda _: GoalResponse.ACCEPT if self.accept else GoalResponse.REJECT,
            cancel_callback=self._on_cancel,
        )  # fmt: skip
        self.hold.set()

    def report(self) -> None:
        self._diagnostics.publish(DiagnosticArray(status=[DiagnosticStatus(name="policy: run")]))

    def _on_cancel(self, _goal: Any) -> CancelResponse:
        self.cancelled.set()
        return CancelResponse.ACCEPT

    def _execute(self, goal: Any) -> RunEpisodes.Result:
        self.goals.append(goal.request)
        if not self.hold.is_set():
            goal.abort()
            return RunEpisodes.Result(termination_reason="aborted", message="the camera is gone")
        for index in range(goal.request.episodes):
            self._episode(f"e-{index}", goal.request.first_seed + index)
        goal.succeed()
        done = goal.request.episodes
        ids = [f"e-{index}" for index in range(done)]
        return RunEpisodes.Result(termination_reason="completed", episodes_done=done, episode_ids=ids)

    def _episode(self, episode_id: str, seed: int) -> None:
        status = EpisodeStatus(episode_id=episode_id, seed=seed, task="put a in b", max_steps=50, step=50)
        status.start_stamp = stamps.from_ns(START_NS)
        status.state = EpisodeStatus.RUNNING
        self._status.publish(status)
        audit = SimAudit(success=True, progress=1.0, outcome="in_container")
        audit.header.stamp = stamps.from_ns(END_NS)
        self._audit.publish(audit)
        reward = Reward(episode_id=episode_id, head="completion", value=0.9, episode_end=True)
        reward.header.stamp = stamps.from_ns(END_NS)
        self._reward.publish(reward)
        status.state, status.end_stamp = EpisodeStatus.ENDED, stamps.from_ns(END_NS)
        status.termination_reason = "max_steps"
        self._status.publish(status)


@pytest.fixture
def policy(ros_domain_id: int) -> Iterator[ScriptedPolicy]:
    with ros_context(ros_domain_id) as context:
        node = ScriptedPolicy(context)
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        thread = threading.Thread(target=executor.spin, daemon=True)
        thread.start()
        yield node
        executor.shutdown()
        thread.join(5.0)
        node.server.destroy()
        node.destroy_node()


@pytest.fixture
def written() -> list[Any]:
    return []


@pytest.fixture
def driver(ros_domain_id: int, written: list[Any]) -> Iterator[Driver]:
    collector = Collector(written.append)
    collector.begin(BEFORE, 0, 2)
    driver = Driver(collector, ros_domain_id)
    driver.collector = collector  # type: ignore[attr-defined]
    yield driver
    driver.close()


def run(driver: Driver, episodes: int = 2, cancel: Callable[[], bool] = lambda: False,
        lost: Callable[[], bool] = lambda: False) -> GoalResult:  # fmt: skip
    return driver.run_goal(False, 100, episodes, "put a in b", cancel, lost)


def test_a_goal_runs_to_its_end_and_its_episodes_are_collected(
    policy: ScriptedPolicy, driver: Driver, written: list[Any]
) -> None:
    result = run(driver)
    assert result == GoalResult("completed", "", ("e-0", "e-1"))
    driver.settle(driver.collector, result)  # type: ignore[attr-defined]
    episodes = [entry for entry in written if isinstance(entry, EpisodeEnded)]
    assert [(e.seed, e.success, round(e.predicted, 3)) for e in episodes] == [(100, True, 0.9), (101, True, 0.9)]
    assert sum(isinstance(entry, RewardSeen) for entry in written) == 2
    assert policy.goals[0].task == "put a in b"


def test_an_abort_comes_with_its_cause(policy: ScriptedPolicy, driver: Driver) -> None:
    policy.hold.clear()
    assert run(driver) == GoalResult("aborted", "the camera is gone")


def test_a_refused_goal_says_so(policy: ScriptedPolicy, driver: Driver) -> None:
    policy.accept = False
    assert run(driver).reason == "rejected"


def test_a_policy_node_that_dies_is_noticed(ros_domain_id: int, driver: Driver) -> None:
    assert run(driver, lost=lambda: True).reason == "lost"


def test_a_node_counts_as_heard_once_it_reports(policy: ScriptedPolicy, driver: Driver) -> None:
    assert not driver.heard_from("policy", 0.0)

    def heard() -> bool:
        policy.report()
        return driver.heard_from("policy", 0.0)

    wait_until(heard, 10.0, "the report of the policy node")
