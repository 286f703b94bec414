"""``lrm demo`` as a person runs it: real processes, real models, a report at the end, nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lrm_bringup.bags.bag import RecordedBag
from lrm_bringup.recorder.definitions import MessageDefinitions
from lrm_bringup.report.check import check_run
from lrm_bringup.report.journal import ProcessSeen, read_run
from ros_testing import NodeProcess, node_process, wait_until
from viewer_files import fault, foxglove_paths, rviz_topics

PROGRAM = "import sys; from lrm_bringup.cli import main; sys.exit(main())"
START_UP_S = 180.0
EPISODE_S = 60.0

pytestmark = pytest.mark.slow


class Demo:
    """A demo in a process of its own."""

    def __init__(self, process: NodeProcess, out: Path) -> None:
        self.process, self.folder = process, out / "latest"

    @property
    def summary(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((self.folder / "summary.json").read_text())
        return loaded

    def pids(self) -> dict[str, int]:
        """Newest process id of every node."""
        events = read_run(self.folder).processes
        return {event.name: event.pid for event in events if event.event in ("started", "restarted")}

    def events(self, name: str) -> list[str]:
        found: list[ProcessSeen] = read_run(self.folder).processes
        return [event.event for event in found if event.name == name]

    def nothing_is_left(self) -> bool:
        return not any(Path(f"/proc/{pid}").exists() for pid in self.pids().values())


@pytest.fixture
def start_demo(tmp_path: Path) -> Iterator[Any]:
    running = []

    def start(*words: str) -> Demo:
        command = [sys.executable, "-c", PROGRAM, "demo", "--no-live", "--out", tmp_path / "demo", *words]
        environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
        context = node_process(command, tmp_path / "demo.log", environment, grace_s=60.0)
        running.append(context)
        return Demo(context.__enter__(), tmp_path / "demo")

    yield start
    for context in running:
        context.__exit__(None, None, None)


@pytest.mark.timeout(600)
def test_a_short_demo_measures_refines_measures_again_and_survives_killed_nodes(start_demo: Any) -> None:
    demo = start_demo("--seconds", "500", "--episodes", "4", "--eval-episodes", "2", "--seed", "1")
    demo.process.wait_for_output("refine 1/4", START_UP_S + 3 * EPISODE_S)
    for name in ("reward", "learner", "policy"):
        pid = demo.pids()[name]
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda name=name, pid=pid: demo.pids()[name] != pid, 30.0, f"{name} comes back")
    code = demo.process.wait(400.0)

    assert code == 0, demo.process.output
    assert check_run(demo.folder.resolve()) == []
    summary = demo.summary
    assert summary["finished"] is True
    assert summary["episodes"] == 4
    assert summary["success"]["before"]["n"] == summary["success"]["after"]["n"] == 2
    assert summary["success"]["difference"]["pairs"] == 2
    assert summary["restarts"] == {"learner": 1, "policy": 1, "reward": 1}
    assert summary["reward"]["scored"] > 0
    assert summary["learner"]["demo_transitions"] > 0
    assert summary["learner"]["transitions"] > 0
    assert len(summary["bags"]) >= 8
    recorded = {topic.name: topic.msgtype for bag in summary["bags"] for topic in RecordedBag(demo.folder / bag).topics}
    definitions = MessageDefinitions()
    assert [why for path in foxglove_paths() | rviz_topics() if (why := fault(path, recorded, definitions))] == []
    assert demo.nothing_is_left()


@pytest.mark.timeout(400)
def test_ctrl_c_ends_cleanly_and_the_report_is_still_written(start_demo: Any) -> None:
    demo = start_demo("--seconds", "1000", "--eval-episodes", "50")
    demo.process.wait_for_output("before 1/50", START_UP_S + EPISODE_S)
    demo.process.send(signal.SIGINT)
    assert demo.process.wait(60.0) == 130, demo.process.output
    assert check_run(demo.folder.resolve()) == []
    assert demo.summary["finished"] is False
    assert demo.summary["reason"] == "interrupted"
    assert demo.summary["success"]["before"]["n"] >= 1
    assert demo.nothing_is_left()


@pytest.mark.timeout(200)
def test_a_node_that_cannot_work_ends_the_demo_with_its_message(start_demo: Any, tmp_path: Path) -> None:
    demo = start_demo("--seconds", "100", "--model", str(tmp_path / "no-model"))
    assert demo.process.wait(120.0) == 1, demo.process.output
    assert "no-model" in demo.summary["reason"]
    assert demo.nothing_is_left()
