"""The real safety process on real DDS: what it lets through, when it holds, how it says why."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from sensor_msgs.msg import CameraInfo, JointState
from std_msgs.msg import Bool
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from lrm_core.ros import qos, stamps
from lrm_msgs.msg import SafetyStatus
from policy_bench import SAFETY, Watcher, start
from ros_testing import free_domain, node_process

COMMANDER = Path(__file__).resolve().parent / "commander_bench.py"
NAMES = ["joint", "gripper"]
ROBOT = """
base_frame: base
joints:
  - {name: joint, position: [-1.0, 1.0], velocity: 2.0, home: 0.0}
  - {name: gripper, part: gripper, unit: m, position: [0.0, 0.08], velocity: 0.5, home: 0.04}
state: {topic: joint_states, min_rate_hz: 4.0}
command: {kind: joint_trajectory, topic: command}
gripper: {kind: in_command}
cameras: [{name: front}]
reset: {kind: service}
"""


class Bench(Watcher):
    """Plays the robot and the policy around the safety stage."""

    names: Sequence[str] = tuple(NAMES)

    def __init__(self, domain: int) -> None:
        super().__init__(domain)
        self.domain = str(domain)
        self.joints = self.node.create_publisher(JointState, "joint_states", qos.JOINT_STATES)
        self.proposals = self.node.create_publisher(JointTrajectory, "proposed_command", qos.COMMAND)
        self.commands = self.topic(JointTrajectory, "command", qos.COMMAND)
        self.statuses = self.topic(SafetyStatus, "safety_status", qos.STATUS)
        self.stamp_ns = 1_000_000_000_000

    def ready(self) -> None:
        """Wait until both directions are matched."""

        def matched():
            return self.statuses and self.proposals.get_subscription_count() and self.joints.get_subscription_count()

        self.until(matched, 20.0, "the safety stage is up")

    def now_ns(self) -> int:
        return int(self.node.get_clock().now().nanoseconds)

    def measure(self, position: tuple[float, ...], stamp_ns: int) -> None:
        message = JointState(name=list(self.names), position=list(position))
        message.header.stamp = stamps.from_ns(stamp_ns)
        self.joints.publish(message)

    def propose(self, position: tuple[float, ...], stamp_ns: int) -> None:
        message = JointTrajectory(joint_names=list(self.names), points=[JointTrajectoryPoint(positions=list(position))])
        message.header.stamp = stamps.from_ns(stamp_ns)
        self.proposals.publish(message)

    def drive(self, wanted: tuple[float, ...], seconds: float = 0.3) -> None:
        """Real time: the arm stands at zero and somebody commands it to ``wanted``, at 20 Hz."""
        end_ns = self.now_ns() + round(seconds * 1e9)
        while self.now_ns() < end_ns:
            self.measure((0.0, 0.04), self.now_ns())
            self.propose(wanted, self.now_ns())
            self.run_for(0.05)

    def call(self, service: str, request: object = None, kind: type = Trigger) -> Any:
        """Call a service of the stage."""
        client = self.node.create_client(kind, service)
        self.until(client.service_is_ready, 20.0, service)
        answer = self.result_of(client.call_async(request or kind.Request()))
        self.node.destroy_client(client)
        return answer

    def passing(self) -> bool:
        """Command for a moment; whether it passes."""
        self.drive((0.03, 0.04), 0.1)
        return bool(self.statuses[-1].state == SafetyStatus.PASSING)

    def step(self, wanted: tuple[float, ...], measured: tuple[float, ...] = (0.0, 0.04)) -> JointTrajectory:
        """One lock-step exchange; returns the command with the same stamp."""
        self.stamp_ns += 100_000_000
        self.measure(measured, self.stamp_ns)
        self.propose(wanted, self.stamp_ns)
        answered = lambda: self.commands and stamps.to_ns(self.commands[-1].header.stamp) == self.stamp_ns  # noqa: E731
        self.until(answered, 5.0, f"a command for {wanted}")
        return self.commands[-1]


@pytest.fixture
def robot(tmp_path: Path) -> Path:
    path = tmp_path / "robot.yaml"
    path.write_text(ROBOT)
    return path


@pytest.fixture(autouse=True)
def ros_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """What the stage keeps for the process after it, of this test alone."""
    monkeypatch.setenv("ROS_HOME", str(tmp_path / "ros_home"))
    return tmp_path / "ros_home"


@contextmanager
def running(log: Path, robot: Path, lockstep: bool, **parameters: object) -> Iterator[Bench]:
    """The safety stage in a process, and a bench around it."""
    with free_domain() as domain, Bench(domain) as bench:
        process = start(SAFETY, log, domain, robot=robot, lockstep=lockstep, **parameters)
        try:
            bench.ready()
            yield bench
        finally:
            process.stop()


@pytest.fixture
def lockstep(tmp_path: Path, robot: Path) -> Iterator[Bench]:
    with running(tmp_path / "safety.log", robot, lockstep=True) as bench:
        yield bench


@pytest.fixture
def realtime(tmp_path: Path, robot: Path) -> Iterator[Bench]:
    with running(tmp_path / "safety.log", robot, lockstep=False) as bench:
        yield bench


def positions(command: JointTrajectory) -> list[float]:
    assert len(command.points) == 1
    assert list(command.joint_names) == NAMES
    return list(command.points[0].positions)


def test_commands_pass_with_their_stamp_and_bad_ones_become_holds(lockstep: Bench) -> None:
    bench = lockstep
    assert bench.statuses[-1].state == SafetyStatus.HOLDING
    assert "no command yet" in bench.statuses[-1].reason
    assert positions(bench.step((0.05, 0.05))) == [0.05, 0.05]
    bench.until(lambda: bench.statuses[-1].state == SafetyStatus.PASSING)
    assert positions(bench.step((math.nan, 0.05), measured=(0.03, 0.05))) == [0.05, 0.05]
    bench.until(lambda: "not finite" in bench.statuses[-1].reason)
    assert bench.statuses[-1].state == SafetyStatus.HOLDING
    assert bench.statuses[-1].rejected == 1
    jump = positions(bench.step((0.9, 0.05), measured=(0.03, 0.05)))
    assert jump[0] == pytest.approx(0.05 + 2.0 * 0.1)
    bench.until(lambda: bench.statuses[-1].state == SafetyStatus.LIMITING)
    assert positions(bench.step((0.03, 0.0), measured=(math.nan, 0.05))) == [0.25, 0.05]
    bench.until(lambda: bench.statuses[-1].state == SafetyStatus.HOLDING)


def test_lockstep_sends_nothing_while_nobody_commands_but_says_so(lockstep: Bench) -> None:
    bench = lockstep
    bench.step((0.0, 0.04))
    sent = len(bench.commands)
    bench.until(lambda: "no command for" in bench.statuses[-1].reason, 20.0)
    bench.run_for(0.5)
    assert len(bench.commands) == sent
    bench.step((0.01, 0.04))
    bench.until(lambda: bench.statuses[-1].state == SafetyStatus.PASSING)


def test_lockstep_waits_for_the_joint_state_of_a_command(lockstep: Bench) -> None:
    bench = lockstep
    bench.step((0.0, 0.04))
    sent = len(bench.commands)
    bench.stamp_ns += 100_000_000
    bench.propose((0.1, 0.04), bench.stamp_ns)
    bench.until(lambda: "has not arrived" in bench.statuses[-1].reason, 20.0)
    assert len(bench.commands) == sent
    bench.measure((0.05, 0.04), bench.stamp_ns)
    bench.until(lambda: len(bench.commands) > sent)
    assert positions(bench.commands[-1]) == [0.1, 0.04]


def test_fuzz_through_dds_only_safe_commands_come_out(lockstep: Bench) -> None:
    bench, random = lockstep, np.random.default_rng(0)
    strange = [math.nan, math.inf, -math.inf, 1e300, -1e300, 5.0, -0.5]
    measured = np.array([0.0, 0.04])
    for _ in range(150):
        wanted = np.where(random.random(2) < 0.3, random.choice(strange, 2), random.uniform(-1.2, 1.2, 2))
        out = np.array(positions(bench.step(tuple(wanted.tolist()), tuple(measured.tolist()))))
        assert np.isfinite(out).all()
        assert (out >= [-1.0, 0.0]).all()
        assert (out <= [1.0, 0.08]).all()
        assert (np.abs(out - measured) <= np.array([2.0, 0.5]) * 0.45 + 1e-9).all()
        measured = measured + 0.6 * (out - measured)
    last = bench.statuses
    bench.until(lambda: last[-1].passed + last[-1].limited + last[-1].rejected >= 150, 20.0)


def test_when_commands_stop_the_arm_is_held_where_it_was_measured(realtime: Bench) -> None:
    bench = realtime
    until_s = bench.now_ns() + 400_000_000
    while bench.now_ns() < until_s:
        bench.measure((0.2, 0.04), bench.now_ns())
        bench.propose((0.22, 0.04), bench.now_ns())
        bench.run_for(0.05)
    assert positions(bench.commands[-1]) == [0.22, 0.04]
    stopped_ns = bench.now_ns()
    bench.measure((0.21, 0.04), stopped_ns)
    bench.until(lambda: positions(bench.commands[-1]) == [0.21, 0.04], 20.0, "a hold command")
    assert stamps.to_ns(bench.commands[-1].header.stamp) - stopped_ns < 1.0e9
    bench.until(lambda: bench.statuses[-1].state == SafetyStatus.HOLDING, 20.0)
    assert "no command for 0.3 s" in bench.statuses[-1].reason
    resumed = lambda: bench.drive((0.03, 0.04), 0.1) or bench.statuses[-1].state == SafetyStatus.PASSING  # noqa: E731
    bench.until(resumed, 20.0, "commands resume")


def test_stale_joint_states_hold_the_arm(realtime: Bench) -> None:
    bench = realtime
    old_ns = bench.now_ns()
    bench.measure((0.2, 0.04), old_ns)
    bench.propose((0.2, 0.04), old_ns)
    bench.until(lambda: bench.commands)
    bench.run_for(0.6)
    bench.propose((0.9, 0.04), bench.now_ns())
    bench.until(lambda: "nothing on joint_states" in bench.statuses[-1].reason, 20.0)
    assert positions(bench.commands[-1]) == [0.2, 0.04]


def test_a_name_that_is_no_camera_ends_the_process_with_one_clear_message(tmp_path: Path, robot: Path) -> None:
    with free_domain() as domain:
        process = start(SAFETY, tmp_path / "safety.log", domain, robot=robot, observation_topics="[front, top]")
        assert process.wait(20.0) == 1
    assert "parameter observation_topics is 'top'" in process.output


@pytest.mark.parametrize(("text", "word"), [("joints: [a]", "line 1: joints[0]"), ("[1, 2", "valid YAML")])
def test_a_bad_robot_description_ends_the_process_with_one_clear_message(tmp_path: Path, text: str, word: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with free_domain() as domain:
        process = start(SAFETY, tmp_path / "safety.log", domain, robot=path)
        assert process.wait(20.0) == 1
    assert word in process.output
    assert "Traceback" not in process.output


def test_an_emergency_stop_latches_until_a_person_clears_it(tmp_path: Path, robot: Path) -> None:
    kept = tmp_path / "stopped"
    with running(tmp_path / "safety.log", robot, False, emergency_stop_file=kept) as bench:
        button = bench.node.create_publisher(Bool, "emergency_stop", qos.STOP)
        bench.drive((0.05, 0.04))
        bench.until(lambda: bench.statuses[-1].state == SafetyStatus.PASSING)
        button.publish(Bool(data=True))
        bench.until(lambda: "emergency stop: pressed" in bench.statuses[-1].reason, 20.0)
        assert kept.exists()
        refused = bench.call("clear_emergency_stop")
        assert not refused.success
        assert "release it" in refused.message
        button.publish(Bool(data=False))
        bench.drive((0.03, 0.04))
        assert bench.statuses[-1].state == SafetyStatus.HOLDING
        assert positions(bench.commands[-1]) == [0.05, 0.04]
    with running(tmp_path / "again.log", robot, False, emergency_stop_file=kept) as bench:
        bench.until(lambda: "latched before" in bench.statuses[-1].reason, 20.0, "the latch outlives the process")
        assert bench.call("clear_emergency_stop").success
        bench.drive((0.03, 0.04))
        bench.until(lambda: bench.statuses[-1].state == SafetyStatus.PASSING, 20.0)
        assert bench.call("trigger_emergency_stop").success
        bench.until(lambda: "triggered" in bench.statuses[-1].reason, 20.0)
    assert kept.exists()


def test_a_killed_stage_comes_back_stopped_until_a_person_clears_it(
    tmp_path: Path, robot: Path, ros_home: Path
) -> None:
    with free_domain() as domain, Bench(domain) as bench:
        first = start(SAFETY, tmp_path / "safety.log", domain, robot=robot)
        bench.ready()
        bench.until(bench.passing, 20.0, "commands pass")
        assert bench.call("trigger_emergency_stop").success
        first.kill()
        del bench.statuses[:], bench.commands[:]
        second = start(SAFETY, tmp_path / "again.log", domain, robot=robot)
        try:
            bench.ready()
            bench.until(lambda: bench.passing() or "latched before" in bench.statuses[-1].reason, 20.0)
            bench.drive((0.05, 0.04), 0.5)
            assert bench.statuses[-1].passed == 0
            assert {tuple(positions(command)) for command in bench.commands} <= {(0.0, 0.04)}, "it stands"
            assert [path.name for path in (ros_home / "lrm").iterdir()] == ["emergency_stop.robot"]
            assert bench.call("clear_emergency_stop").success
            bench.until(bench.passing, 20.0, "commands pass again")
        finally:
            second.stop()
    assert not list((ros_home / "lrm").iterdir())


def test_the_latch_outlives_cleanup_and_configure_without_a_file(tmp_path: Path, robot: Path) -> None:
    ways = ("DEACTIVATE", "CLEANUP", "CONFIGURE", "ACTIVATE")
    with running(tmp_path / "safety.log", robot, False, emergency_stop_file="''") as bench:
        bench.until(bench.passing, 20.0, "commands pass")
        assert bench.call("trigger_emergency_stop").success
        for way in ways:
            request = ChangeState.Request(transition=Transition(id=getattr(Transition, f"TRANSITION_{way}")))
            assert bench.call("safety/change_state", request, ChangeState).success, way
        passed = bench.statuses[-1].passed
        bench.until(lambda: bench.passing() or "emergency stop: triggered" in bench.statuses[-1].reason, 20.0)
        bench.drive((0.05, 0.04), 0.5)
        assert (bench.statuses[-1].state, bench.statuses[-1].passed) == (SafetyStatus.HOLDING, passed)
        assert bench.call("clear_emergency_stop").success
        bench.until(bench.passing, 20.0, "commands pass again")


def test_a_simulation_in_lockstep_begins_unlatched(tmp_path: Path, robot: Path, ros_home: Path) -> None:
    (ros_home / "lrm").mkdir(parents=True)
    (ros_home / "lrm" / "emergency_stop.robot").write_text("of a run in real time")
    with running(tmp_path / "safety.log", robot, True) as bench:
        bench.step((0.0, 0.04))
        bench.until(lambda: bench.statuses[-1].state == SafetyStatus.PASSING)


@pytest.mark.parametrize(("named", "frozen"), [("[front]", False), ("[auto]", True)])
def test_a_silent_or_frozen_camera_and_a_lost_heartbeat_hold_the_arm(
    tmp_path: Path, robot: Path, named: str, frozen: bool
) -> None:
    watched = {"observation_topics": named, "emergency_stop_timeout_s": 5.0}
    with running(tmp_path / "safety.log", robot, False, **watched) as bench:
        camera, info = bench.node.create_publisher(CameraInfo, "front/camera_info", qos.CAMERA), CameraInfo()

        def picture() -> None:
            moving = bench.statuses[-1].passed < 3
            if moving:
                info.header.stamp = stamps.from_ns(bench.now_ns())
            if moving or frozen:
                camera.publish(info)

        bench.node.create_timer(0.05, picture)
        button = bench.node.create_publisher(Bool, "emergency_stop", qos.STOP)
        button.publish(Bool(data=False))
        passing = lambda: bench.drive((0.03, 0.04), 0.1) or bench.statuses[-1].passed >= 3  # noqa: E731
        bench.until(passing, 20.0, "commands pass")
        silent = lambda: bench.drive((0.03, 0.04), 0.1) or "front/camera_info" in bench.statuses[-1].reason  # noqa: E731
        bench.until(silent, 20.0, "the camera is missed")
        assert ("repeat one stamp" in bench.statuses[-1].reason) == frozen
        bench.until(lambda: "nothing on emergency_stop" in bench.statuses[-1].reason, 20.0, "the heartbeat is missed")
        assert not bench.call("clear_emergency_stop").success


def test_a_commander_that_is_killed_is_missed_before_its_commands_are(tmp_path: Path, robot: Path) -> None:
    """Its last command is still good for half a minute: DDS says that its process is gone."""
    patient = {"commander_timeout_s": 1.0, "command_timeout_s": 10.0, "tracking_window_s": 10.0}
    with running(tmp_path / "safety.log", robot, False, **patient) as bench:
        domain = {"ROS_DOMAIN_ID": bench.domain}
        with node_process([sys.executable, COMMANDER], tmp_path / "commander.log", domain) as one:
            measure = lambda: bench.measure((0.0, 0.04), bench.now_ns())  # noqa: E731
            bench.node.create_timer(0.05, measure)
            bench.until(lambda: bench.statuses[-1].state == SafetyStatus.PASSING, 20.0, "its commands pass")
            one.kill()
            bench.until(lambda: "process that commanded is gone" in bench.statuses[-1].reason, 8.0, "it is missed")
        bench.drive((0.03, 0.04), 0.1)
        bench.until(lambda: bench.statuses[-1].state == SafetyStatus.PASSING, 20.0, "another one commands")
    assert "gives no sign of life" in (tmp_path / "safety.log").read_text(), "said of the other one"


def test_the_log_says_how_soon_the_arm_stops_and_that_a_priority_was_refused(tmp_path: Path, robot: Path) -> None:
    with running(tmp_path / "safety.log", robot, False, realtime_priority=10) as bench:
        reports = bench.topic(DiagnosticArray, "/diagnostics", qos.DIAGNOSTICS)
        bench.until(lambda: any("commands" in one.name for array in reports for one in array.status), 20.0, "a report")
        (report,) = [one for array in reports for one in array.status if one.name == "safety: commands"][:1]
    found = {pair.key: pair.value for pair in report.values}["realtime_priority"]
    log = (tmp_path / "safety.log").read_text()
    assert "stops after the loss of commander 0.31 s, commands 0.31 s, joint states 0.51 s, camera front 0.41 s" in log
    assert (found == "10") != ("no real-time priority 10" in log)
