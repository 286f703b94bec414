"""The real driver on real DDS, LeRobot's SO-101 below it: what it publishes, what it takes, what it does without."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.parameter_client import AsyncParameterClient
from sensor_msgs.msg import CameraInfo, Image, JointState
from trajectory_msgs.msg import JointTrajectory

from driver_bench import DRIVER, write_robot
from lrm_core.robot import load_robot
from lrm_core.ros import qos, stamps, trajectories
from lrm_msgs.srv import Reset
from policy_bench import Watcher, start
from ros_testing import free_domain

HOME = load_robot("sim_arm").home
NAMES = load_robot("sim_arm").joint_names
NEAR = np.array([0.01] * 5 + [0.002])
"""What remains of a position after servos with 12 bits, in rad and m."""
PERIOD_S = 0.1


class Bench(Watcher):
    """Stands where the safety stage stands, and hears what the driver says."""

    def __init__(self, domain: int, folder: Path) -> None:
        super().__init__(domain)
        self.folder = folder
        self.states: list[JointState] = self.topic(JointState, "joint_states", qos.JOINT_STATES)
        self.commands = self.node.create_publisher(JointTrajectory, "command", qos.COMMAND)
        self.diagnostics: dict[str, DiagnosticStatus] = {}
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, qos.DIAGNOSTICS)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        self.diagnostics |= {status.name.partition(": ")[2]: status for status in message.status}

    @property
    def here(self) -> np.ndarray:
        """(6,) measured positions."""
        return np.array(self.states[-1].position)

    def now_ns(self) -> int:
        return int(self.node.get_clock().now().nanoseconds)

    def command(self, positions: np.ndarray, age_s: float = 0.0, names: tuple[str, ...] = NAMES) -> None:
        self.commands.publish(trajectories.command(names, positions, self.now_ns() - round(age_s * 1e9), PERIOD_S))

    def drive(self, goal: np.ndarray, deadline_s: float = 30.0) -> None:
        """Command ``goal`` at the control rate until the arm is there, from where it is in small steps."""

        def arrived() -> bool:
            self.command(self.here + np.clip(goal - self.here, -0.1, 0.1))
            self.run_for(PERIOD_S)
            return bool((np.abs(self.here - goal) < NEAR).all())

        self.until(arrived, deadline_s, f"the arm at {goal}")

    def arm(self) -> DiagnosticStatus:
        return self.diagnostics["arm"]

    def says(self, text: str, deadline_s: float = 20.0) -> None:
        self.until(lambda: text in self.arm().message, deadline_s, f"{text!r} in the diagnostics")

    def value(self, key: str) -> str:
        return next((one.value for one in self.arm().values if one.key == key), "0")

    def call(self, kind: Any, name: str, request: Any) -> Any:
        """What a service answers."""
        client = self.node.create_client(kind, name)
        self.until(client.service_is_ready, 20.0, name)
        answer = self.result_of(client.call_async(request), 60.0, name)
        self.node.destroy_client(client)
        return answer

    def restart_with(self, **parameters: Any) -> None:
        """Let the driver read ``parameters`` when it connects again."""
        for number in (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP):
            assert self.change(number)
        client = AsyncParameterClient(self.node, "driver")
        values = [Parameter(name, value=value) for name, value in parameters.items()]
        assert self.result_of(client.set_parameters(values)).results[0].successful
        for number in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
            assert self.change(number)
        seen = len(self.states)
        self.until(lambda: len(self.states) > seen, 20.0, "joint states")

    def change(self, number: int) -> bool:
        """A lifecycle transition of the driver."""
        request = ChangeState.Request(transition=Transition(id=number))
        return bool(self.call(ChangeState, "driver/change_state", request).success)

    def plug(self, name: str, plugged: bool) -> None:
        """Plug the arm's cable (port) or the cameras' (eye) in, or pull it."""
        path, away = self.folder / name, self.folder / f"{name}.away"
        (away if plugged else path).rename(path if plugged else away)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One driver in a process for the tests of this file, which takes the bench's commands; each leaves it at rest."""
    folder = tmp_path_factory.mktemp("driver")
    robot = write_robot(folder)
    with pytest.MonkeyPatch.context() as patch, free_domain() as domain, Bench(domain, folder) as bench:
        patch.setattr(sys, "path", [str(folder), *sys.path])
        process = start(
            DRIVER, folder / "driver.log", domain, robot=robot, commander="test_watcher", reconnect_period_s=0.2,
            reconnect_attempts=1000, camera_timeout_s=1.0,
        )  # fmt: skip
        try:
            up = lambda: process.exit_code is not None or (bench.states and bench.diagnostics)  # noqa: E731
            bench.until(up, 240.0, "the driver is up")  # it loads PyTorch, which LeRobot imports
            assert process.exit_code is None, process.output
            bench.until(bench.commands.get_subscription_count, 20.0, "it hears commands")
            yield bench
        finally:
            process.stop()


def test_joints_are_published_in_rad_and_metres_with_fresh_stamps(bench: Bench) -> None:
    bench.drive(HOME)
    state = bench.states[-1]
    assert tuple(state.name) == NAMES
    assert state.header.frame_id == "base_link"
    assert (np.abs(bench.here - HOME) < NEAR).all()
    stamps_ns = [stamps.to_ns(one.header.stamp) for one in bench.states[-20:]]
    assert (np.diff(stamps_ns) > 0).all()
    assert abs(bench.now_ns() - stamps_ns[-1]) < 2e9


def test_both_cameras_are_published_with_the_moment_they_were_taken(bench: Bench) -> None:
    for name in ("front", "wrist"):
        images: list[Image] = bench.topic(Image, f"{name}/image_raw", qos.CAMERA)
        infos: list[CameraInfo] = bench.topic(CameraInfo, f"{name}/camera_info", qos.CAMERA)
        bench.until(lambda images=images, infos=infos: len(images) > 2 and len(infos) > 2, 20.0, name)
        image = images[-1]
        assert (image.width, image.height, image.encoding) == (128, 128, "rgb8")
        assert np.frombuffer(image.data, np.uint8).std() > 5.0, "a picture, not a surface"
        assert image.header.frame_id == f"{name}_camera_optical_frame" == infos[-1].header.frame_id
        assert stamps.to_ns(image.header.stamp) in {stamps.to_ns(info.header.stamp) for info in infos}
        assert (infos[-1].width, infos[-1].k[0]) == (128, 0.0), "uncalibrated"


def test_a_command_moves_every_joint_to_where_it_says(bench: Bench) -> None:
    goal = HOME + np.array([0.3, 0.1, -0.2, 0.1, 0.4, -0.04])
    bench.drive(goal)
    bench.drive(HOME)


def test_what_is_not_a_whole_fresh_command_moves_nothing_and_is_counted(bench: Bench) -> None:
    bench.drive(HOME)
    goal, beyond, odd = HOME + 0.05, HOME.copy(), HOME + 0.05
    beyond[0], odd[3], goal[5] = 1.71, math.nan, HOME[5]
    far = HOME.copy()
    far[4] = -2.7
    bad = {
        "stale_command": lambda: bench.command(goal, age_s=1.0),
        "not_finite": lambda: bench.command(odd),
        "malformed": lambda: bench.command(goal[:5]),
        "limit": lambda: bench.command(beyond),
        "tracking": lambda: bench.command(far),
    }
    before = bench.here
    for cause, send in bad.items():
        count = int(bench.value(f"refused_{cause}"))

        def counted(cause: str = cause, count: int = count) -> bool:
            return int(bench.value(f"refused_{cause}")) > count

        send()
        bench.until(counted, 10.0, cause)
        assert bench.arm().level == DiagnosticStatus.WARN
    bench.command(goal, names=NAMES[::-1])
    bench.run_for(0.5)
    assert (np.abs(bench.here - before) < NEAR).all()
    bench.drive(HOME)
    bench.until(lambda: bench.arm().level == DiagnosticStatus.OK, 10.0, "all is well again")


def test_the_arm_holds_where_it_was_sent_when_commands_stop(bench: Bench) -> None:
    goal = HOME + np.array([0.2, 0.0, 0.0, 0.0, 0.0, 0.0])
    bench.drive(goal)
    bench.says("holds: nothing on command for 0.5 s", 10.0)
    assert bench.arm().level == DiagnosticStatus.OK
    seen = len(bench.states)
    bench.run_for(1.0)
    positions = np.array([state.position for state in bench.states[seen:]])
    assert len(positions) > 5, "it goes on saying where it is"
    assert (np.abs(positions - goal) < NEAR).all()
    bench.drive(HOME)


def test_nothing_is_taken_while_somebody_else_commands_too(bench: Bench) -> None:
    bench.drive(HOME)
    stranger = Node("stranger", context=bench.context)
    stranger.create_publisher(JointTrajectory, "command", qos.COMMAND)
    try:

        def refused() -> bool:
            bench.command(HOME + np.array([0.1, 0, 0, 0, 0, 0]))
            bench.run_for(PERIOD_S)
            return "stranger" in bench.arm().message

        bench.until(refused, 20.0, "the stranger is named")
        assert bench.arm().level == DiagnosticStatus.ERROR
    finally:
        stranger.destroy_node()
    bench.drive(HOME)


def test_a_pulled_cable_ends_all_motion_and_the_arm_comes_back_where_it_stands(bench: Bench) -> None:
    bench.drive(HOME)
    losses = int(bench.value("losses"))
    bench.command(HOME + np.array([0.1, 0, 0, 0, 0, 0]))
    bench.plug("port", False)
    bench.says("reconnecting")
    assert bench.arm().level == DiagnosticStatus.ERROR
    assert "no status packet" in bench.arm().message or "Could not connect" in bench.arm().message, bench.arm().message
    seen, refused = len(bench.states), int(bench.value("refused_no_joint_state"))
    bench.command(HOME)
    bench.until(lambda: int(bench.value("refused_no_joint_state")) > refused, 10.0, "the command is refused")
    assert len(bench.states) == seen, "an arm that does not answer has no joint states"
    bench.plug("port", True)
    bench.until(lambda: len(bench.states) > seen + 5, 20.0, "joint states again")
    back = bench.here
    bench.run_for(0.5)
    assert (np.abs(bench.here - back) < NEAR).all()
    bench.until(lambda: bench.value("state") == "connected", 10.0, "it says so")
    assert int(bench.value("losses")) == losses + 1
    bench.drive(HOME)


def test_a_lost_camera_leaves_the_arm_alone_and_comes_back(bench: Bench) -> None:
    images: list[Image] = bench.topic(Image, "front/image_raw", qos.CAMERA)
    bench.until(lambda: images, 10.0, "images")
    bench.plug("eye", False)
    lost = lambda: bench.diagnostics["front camera"].level == DiagnosticStatus.ERROR  # noqa: E731
    bench.until(lambda: lost() and "reconnecting" in bench.diagnostics["front camera"].message, 20.0, "it says so")
    bench.drive(HOME + np.array([0.1, 0, 0, 0, 0, 0]))
    bench.plug("eye", True)
    seen = len(images)
    bench.until(lambda: len(images) > seen + 2, 20.0, "images again")
    bench.drive(HOME)


def test_without_torque_it_says_where_the_arm_is_and_refuses_every_command(bench: Bench) -> None:
    bench.drive(HOME)
    bench.restart_with(torque=False)
    try:
        bench.says("torque is off")
        assert bench.arm().level == DiagnosticStatus.OK
        bench.command(HOME + np.array([0.05, 0, 0, 0, 0, 0]))
        bench.says("command refused: torque is off")
        assert int(bench.value("refused_inactive")) >= 1
        answer = bench.call(Reset, "reset", Reset.Request(seed=-1))
        assert (answer.accepted, "torque" in answer.message) == (False, True)
        assert (np.abs(bench.here - HOME) < NEAR).all()
    finally:
        bench.restart_with(torque=True)
    bench.drive(HOME)
