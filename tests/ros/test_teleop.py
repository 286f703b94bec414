"""A person's leader on real DDS: LeRobot's SO-101 leader, the safety stage, the MuJoCo arm that follows."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from driver_bench import TELEOP, hold, write_leader
from lrm_core.robot import load_robot
from lrm_core.ros import qos, stamps
from lrm_msgs.msg import EpisodeStatus, SafetyStatus
from policy_bench import SAFETY, SIM, Watcher, start
from ros_testing import NodeProcess, free_domain

ROBOT = load_robot("sim_arm")
HOME, FASTEST = ROBOT.home, ROBOT.limits.velocity_max
NEAR = np.array([0.05] * 5 + [0.01])
"""What remains between leader and arm: ticks of the encoder, and the lag of the simulated servos."""
SHARE, PATIENT_S = 0.3, 3.0
"""Stale for a busy machine too: what is late is not what is tested here."""


class Bench(Watcher):
    """The person, and what the graph shows of the arm."""

    def __init__(self, domain: int, folder: Path) -> None:
        super().__init__(domain)
        self.domain, self.folder, self.robot = domain, folder, write_leader(folder)
        self.states: list[JointState] = self.topic(JointState, "joint_states", qos.JOINT_STATES)
        self.commands: list[JointTrajectory] = self.topic(JointTrajectory, "command", qos.COMMAND)
        self.proposals: list[JointTrajectory] = self.topic(JointTrajectory, "proposed_command", qos.COMMAND)
        self.safety: list[SafetyStatus] = self.topic(SafetyStatus, "safety_status", qos.STATUS)
        self.leader = DiagnosticStatus()
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, qos.DIAGNOSTICS)

    def _on_diagnostics(self, array: DiagnosticArray) -> None:
        found = [status for status in array.status if status.name == "teleop: leader"]
        self.leader = found[-1] if found else self.leader

    @property
    def here(self) -> np.ndarray:
        """(6,) measured positions."""
        return np.array(self.states[-1].position)

    def move(self, joints: np.ndarray) -> None:
        """A person moves the leader."""
        hold(self.folder, joints)

    def arrives(self, joints: np.ndarray, deadline_s: float = 60.0) -> None:
        self.until(lambda: (np.abs(self.here - joints) < NEAR).all(), deadline_s, f"the arm at {joints}, {self.leader}")

    def says(self, text: str, deadline_s: float = 40.0) -> None:
        self.until(lambda: text in self.leader.message, deadline_s, f"{text!r} in the diagnostics")

    def stands(self, seconds: float = 1.5) -> None:
        """Nothing is proposed, and the arm does not move."""
        self.until(lambda: self.safety[-1].state == SafetyStatus.HOLDING, 30.0, "the safety stage holds")
        self.run_for(0.5)  # what was under way
        proposed, before = len(self.proposals), self.here
        self.run_for(seconds)
        assert len(self.proposals) == proposed
        assert (np.abs(self.here - before) < NEAR).all()

    def start(self, program: str, name: str, **parameters: Any) -> NodeProcess:
        return start(program, self.folder / f"{name}.log", self.domain, robot=self.robot, **parameters)

    def teleop(self) -> NodeProcess:
        """The node that reads the leader."""
        return self.start(
            TELEOP, "teleop", approach_speed=SHARE, reconnect_period_s=0.2, leader_timeout_s=PATIENT_S,
            joint_state_timeout_s=PATIENT_S,
        )  # fmt: skip


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Simulator and safety stage for the tests of this file."""
    folder = tmp_path_factory.mktemp("teleop")
    with pytest.MonkeyPatch.context() as patch, free_domain() as domain, Bench(domain, folder) as bench:
        patch.setattr(sys, "path", [str(folder), *sys.path])
        sim = start(SIM, folder / "sim.log", domain, lockstep=False)
        safety = bench.start(
            SAFETY, "safety", lockstep=False, command_timeout_s=PATIENT_S, joint_state_timeout_s=PATIENT_S
        )
        try:
            bench.until(lambda: bench.states and bench.safety, 120.0, "arm and safety stage")
            yield bench
        finally:
            safety.stop()
            sim.stop()


def duration_s(messages: list[JointTrajectory]) -> float:
    """By their stamps."""
    first, last = (stamps.to_ns(messages[index].header.stamp) for index in (0, -1))
    return (last - first) / 1e9


def test_the_arm_comes_slowly_follows_within_limits_and_stops_when_the_leader_dies(bench: Bench) -> None:
    away = HOME + np.array([0.9, 0.0, -0.3, 0.0, 0.5, -0.03])
    bench.move(away)
    process = bench.teleop()
    try:
        bench.until(lambda: bench.proposals or process.exit_code is not None, 240.0, "the teleoperation is up")
        assert process.exit_code is None, process.output
        bench.arrives(away)
        slowest_s = float((np.abs(away - HOME) / (SHARE * FASTEST)).max())
        there = next(i for i, one in enumerate(bench.proposals) if abs(one.points[0].positions[0] - away[0]) < 0.02)
        assert duration_s(bench.proposals[: there + 1]) > 0.8 * slowest_s
        assert "degrees to go" in process.output
        bench.says("the arm follows the leader")

        seen = len(bench.commands)
        for turn in (0.6, 0.3, 0.0):
            wanted = HOME + np.array([turn, 0.1, 0.0, 0.2, 0.0, 0.0])
            bench.move(wanted)
            bench.arrives(wanted)
        sent = np.array([one.points[0].positions for one in bench.commands[seen:]])
        assert (np.abs(np.diff(sent, axis=0)) <= 0.15 * FASTEST + 1e-6).all(), "at most 1.5 periods of full speed"
        assert (sent == ROBOT.limits.clip(sent)).all()

        process.kill()
        bench.move(HOME + np.array([-0.9, 0.0, 0.0, 0.0, 0.0, 0.0]))
        bench.stands()
        bench.until(lambda: "is gone" in bench.safety[-1].reason, 30.0, "the reason is that the leader's process died")
    finally:
        process.stop()


def test_demonstrate_has_the_arm_follow_the_leader_before_it_asks(bench: Bench) -> None:
    bench.move(HOME)
    recorder = Node("recorder", context=bench.context)
    recorder.create_subscription(EpisodeStatus, "episode_status", lambda _: None, qos.STATUS)
    recorder.create_subscription(JointState, "joint_states", lambda _: None, qos.JOINT_STATES)
    words = [sys.executable, "-m", "lrm_bringup.cli", "demonstrate", "--robot", str(bench.robot), "--task", "move it"]
    environment = {**os.environ, "ROS_DOMAIN_ID": str(bench.domain), "PYTHONPATH": os.pathsep.join(sys.path)}
    pipe = subprocess.PIPE
    person = subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment, cwd=bench.folder)
    try:
        assert person.stdin is not None
        person.stdin.write("q\n")
        person.stdin.flush()
        bench.until(lambda: person.poll() is not None, 300.0, "it ends when the person says so")
        said, error = person.communicate()
        assert person.returncode == 0, error
        assert said.index("the arm follows the leader") < said.index("demonstration 1 of")
        bench.stands()
    finally:
        person.kill()
        person.wait()
        recorder.destroy_node()


@pytest.fixture(scope="module")
def teleop(bench: Bench) -> Iterator[NodeProcess]:
    """The teleoperation for the tests below, its arm where the leader is at first."""
    bench.move(HOME)
    bench.leader = DiagnosticStatus()  # nothing of a node that has gone
    process = bench.teleop()
    try:
        joined = lambda: bench.leader.message == "the arm follows the leader" or process.exit_code is not None  # noqa: E731
        bench.until(joined, 240.0, "the teleoperation is up")  # it loads PyTorch, which LeRobot imports
        assert process.exit_code is None, process.output
        yield process
    finally:
        process.stop()


def test_a_leader_that_goes_away_or_does_not_answer_commands_nothing_until_it_is_back(
    bench: Bench, teleop: NodeProcess
) -> None:
    port, stalled = bench.folder / "leader", bench.folder / "leader.stalled"
    moved = HOME + np.array([0.4, 0.0, 0.0, 0.0, 0.0, 0.0])
    port.rename(bench.folder / "away")
    bench.move(moved)
    bench.says("the leader is away: reconnecting")
    assert bench.leader.level == DiagnosticStatus.ERROR
    bench.stands()
    (bench.folder / "away").rename(port)
    bench.arrives(moved)
    assert "leader lost" in teleop.output
    assert "leader is back" in teleop.output

    stalled.touch()
    bench.says("has not answered")
    bench.move(HOME)
    bench.stands()
    stalled.unlink()
    bench.arrives(HOME)


@pytest.mark.usefixtures("teleop")
def test_while_another_node_could_lead_the_arm_the_leader_does_not(bench: Bench) -> None:
    policy = Node("policy", context=bench.context)
    try:
        policy.create_publisher(JointTrajectory, "proposed_command", qos.COMMAND)
        bench.says("/policy may lead the arm: end it first")
        bench.move(HOME + np.array([0.3, 0.0, 0.0, 0.0, 0.0, 0.0]))
        bench.stands()
    finally:
        policy.destroy_node()
    bench.arrives(HOME + np.array([0.3, 0.0, 0.0, 0.0, 0.0, 0.0]))
