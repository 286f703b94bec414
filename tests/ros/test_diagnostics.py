"""Every node says how it does: rates, ages, latency against its deadline, drops, UNKNOWN share, memory."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

from graph_use import all_nodes
from lrm_core.rewards import RewardEstimate
from lrm_core.ros import qos
from lrm_core.ros.diagnostics import OK, WARN, LatencyTask, process_report
from lrm_msgs.msg import EpisodeStatus
from lrm_reward_node.contract import FakeRewardModel
from lrm_reward_node.model import RewardQuery
from reward_bench import in_process, open_bench
from ros_testing import default_context, spin_until

EXPECTED = {
    "sim": {"commands": {"accepted", "refused", "ignored"}, "step": {"deadline_s"}},
    "safety": {
        "commands": {"passed", "limited", "rejected"}, "joint states": {"frequency_hz", "age_s"},
        "latency": {"deadline_s"},
    },
    "reward": {
        "camera front": {"frequency_hz", "age_s", "bad_images", "dropped_frames"},
        "scoring": {
            "asked_hz", "answered_hz", "transport_latency_p50_s", "model_latency_p50_s", "model_latency_p99_s",
            "deadline_s", "unknown_share", "late", "lost", "queued",
        },
    },
    "learner": {"training": {"transitions", "dropped_unknown", "unknown_share", "pending", "overflowed", "rejected"}},
    "policy": {
        "front camera": {"frequency_hz", "age_s"}, "wrist camera": {"frequency_hz", "age_s"},
        "joint states": {"frequency_hz", "age_s"}, "planning": {"deadline_s"},
        "inputs": {"rewards", "unknown_share", "bad_images", "refused_weights"},
    },
    "recorder": {"recording": {"messages", "dropped", "lost", "topics"}},
    "player": {"playback": {"messages", "position_s", "behind_s", "rate"}},
}  # fmt: skip
"""Node -> task -> values that are there as soon as the robot is alive."""


@pytest.mark.usefixtures("ros_domain_id")
def test_every_node_reports_what_it_has_to(tmp_path: Path) -> None:
    heard: dict[str, dict[str, str]] = {}

    def take(message: DiagnosticArray) -> None:
        for status in message.status:
            heard[status.name] = {value.key: value.value for value in status.values}

    def missing() -> dict[str, set[str]]:
        wanted = {f"{node}: {task}": keys for node, tasks in EXPECTED.items() for task, keys in tasks.items()}
        wanted |= {f"{node}: process": {"memory_mb"} for node in EXPECTED}
        return {name: lacks for name, keys in wanted.items() if (lacks := keys - set(heard.get(name, {})))}

    with default_context(), all_nodes(tmp_path) as nodes:
        nodes["sim"].create_subscription(DiagnosticArray, "/diagnostics", take, qos.DIAGNOSTICS)
        spin_until(nodes["sim"].executor, lambda: not missing(), 40.0, "all of it")
    for name, values in heard.items():
        for key, value in values.items():
            if key.endswith(("_s", "_hz", "_mb", "_share")):
                number = float(value)
                assert math.isnan(number) or number >= 0.0 or key == "age_s", (name, key, value)
    assert all(1.0 < float(heard[f"{node}: process"]["memory_mb"]) < 1e5 for node in EXPECTED)


class SlowModel(FakeRewardModel):
    """Takes three times as long as there is between two queries."""

    def score(self, queries: Sequence[RewardQuery]) -> list[RewardEstimate]:
        threading.Event().wait(0.3)
        return super().score(queries)


@pytest.mark.usefixtures("ros_domain_id")
@pytest.mark.parametrize(("model", "level"), [(SlowModel, WARN), (FakeRewardModel, OK)])
def test_a_model_that_takes_longer_than_a_query_comes_is_a_warning(model: type[FakeRewardModel], level: bytes) -> None:
    with open_bench() as bench, in_process(bench, model):
        bench.status(EpisodeStatus.RUNNING, call_interval=1)
        for step in range(3):
            bench.frame(step)
            bench.until(lambda step=step: bench.of(step), 20.0, f"reward {step}")  # type: ignore[misc]

        def report() -> DiagnosticStatus | None:
            status = bench.diagnostics.get("scoring")
            values = {value.key: value.value for value in status.values} if status else {}
            return status if values.get("deadline_s") == "0.100" and values["ok"] != "0" else None

        bench.until(report, 20.0, "diagnostics")
        bench.until(lambda: (status := report()) is not None and status.level == level, 10.0, "the level")
        assert ("a reward takes" in bench.report("scoring")) == (level == WARN)


def test_latency_is_a_warning_over_one_period_and_single_ones_are_counted() -> None:
    task = LatencyTask(0.1)
    assert task().level == OK
    for took_s in (0.05, 0.05, 0.05, 0.4):
        task.add(took_s)
    assert (task().level, task().values["over_deadline"]) == (OK, 1)
    for _ in range(10):
        task.add(0.2)
    assert task().level == WARN
    assert "a period is 0.100 s" in task().message


def test_the_memory_of_a_process_is_that_of_the_kernel() -> None:
    import psutil

    told_mb = float(str(process_report().values["memory_mb"]))
    assert told_mb == pytest.approx(psutil.Process().memory_info().rss / 1e6, rel=0.05)
