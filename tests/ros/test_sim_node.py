"""The simulated robot through real DDS: topics, lock-step, reset, real time, bad input."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image, JointState
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from lrm_core.ros import qos, stamps
from lrm_msgs.msg import SimAudit
from lrm_msgs.srv import Reset
from lrm_sim.env import HOME, PickPlaceEnv
from lrm_sim.scene import JOINTS
from ros_testing import NodeProcess, free_domain, node_process, ros_context, spin_until

PERIOD_NS = 100_000_000
TASK = "put the red cube in the blue bowl"
TOPICS: dict[str, type] = {
    "front/image_raw": Image,
    "wrist/image_raw": Image,
    "front/camera_info": CameraInfo,
    "wrist/camera_info": CameraInfo,
    "joint_states": JointState,
    "audit": SimAudit,
}


@dataclass
class Commander:
    """What a policy would be to the simulator: sees every topic, sends commands, resets."""

    node: Any
    executor: SingleThreadedExecutor
    publisher: Any
    client: Any
    messages: dict[str, list[Any]] = field(default_factory=dict)

    def until(self, predicate: Callable[[], object], deadline_s: float = 20.0, what: str = "") -> None:
        spin_until(self.executor, predicate, deadline_s, what)

    @property
    def stamp_ns(self) -> int:
        """Stamp of the newest joint states."""
        return stamps.to_ns(self.messages["joint_states"][-1].header.stamp)

    def seen(self, stamp_ns: int) -> dict[str, Any] | None:
        """All messages of one moment, once all are here."""
        found = {}
        for topic in TOPICS:
            for message in self.messages[topic]:
                if stamps.to_ns(message.header.stamp) == stamp_ns:
                    found[topic] = message
        return found if len(found) == len(TOPICS) else None

    def observe(self, stamp_ns: int) -> dict[str, Any]:
        self.until(lambda: self.seen(stamp_ns), what=f"the observation of {stamp_ns}")
        return self.seen(stamp_ns) or {}

    def command(self, stamp_ns: int, positions: np.ndarray, names: tuple[str, ...] = JOINTS) -> None:
        message = JointTrajectory(joint_names=list(names), points=[JointTrajectoryPoint(positions=list(positions))])
        message.header.stamp = stamps.from_ns(stamp_ns)
        self.publisher.publish(message)

    def reset(self, seed: int, task: str = "") -> Reset.Response:
        future = self.client.call_async(Reset.Request(seed=seed, task=task))
        self.until(future.done, what="the reset")
        return future.result()

    def step(self, stamp_ns: int, positions: np.ndarray) -> dict[str, Any]:
        """Command the observation of ``stamp_ns`` and return the next one."""
        self.command(stamp_ns, positions)
        return self.observe(stamp_ns + PERIOD_NS)


@contextmanager
def simulator(log: Path, *parameters: str, namespace: str = "/") -> Iterator[NodeProcess]:
    arguments = [argument for parameter in ("autostart:=true", *parameters) for argument in ("-p", parameter)]
    command = [sys.executable, "-m", "lrm_sim.ros.node", "--ros-args", "-r", f"__ns:={namespace}", *arguments]
    file = log / f"sim{namespace.replace('/', '_')}.log"
    with node_process(command, file, {"PYTHONPATH": ":".join(sys.path)}) as process:
        yield process


@contextmanager
def commander(namespace: str = "/", lockstep: bool = True, domain: int | None = None) -> Iterator[Commander]:
    with ros_context(domain) as context, _commander(context, namespace, lockstep) as made:
        yield made


@contextmanager
def _commander(context: rclpy.Context, namespace: str, lockstep: bool) -> Iterator[Commander]:
    node = rclpy.create_node("commander", context=context, namespace=namespace)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    made = Commander(
        node,
        executor,
        node.create_publisher(JointTrajectory, "command", qos.COMMAND),
        node.create_client(Reset, "reset"),
        {topic: [] for topic in TOPICS},
    )
    profiles = {"joint_states": qos.JOINT_STATES, "audit": qos.AUDIT}
    for topic, kind in TOPICS.items():
        node.create_subscription(kind, topic, made.messages[topic].append, profiles.get(topic, qos.camera(lockstep)))
    try:
        made.until(made.client.service_is_ready, what="the simulator")
        made.until(made.publisher.get_subscription_count, what="the simulator's ear")
        made.until(lambda: made.messages["joint_states"], what="a first observation")
        yield made
    finally:
        executor.shutdown()
        node.destroy_node()


@pytest.fixture(scope="module")
def lockstep(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[NodeProcess, Commander]]:
    """One simulator for all tests that only step and reset it; each begins with a reset."""
    log = tmp_path_factory.mktemp("sim")
    with free_domain() as domain, pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROS_DOMAIN_ID", str(domain))
        patch.setenv("ROS_LOG_DIR", str(log))
        with simulator(log, "republish_period_s:=0.3") as process, commander(domain=domain) as made:
            yield process, made


def contents(observation: dict[str, Any]) -> bytes:
    """Everything measured, without stamps."""
    joints = observation["joint_states"]
    parts = [bytes(observation[f"{camera}/image_raw"].data) for camera in ("front", "wrist")]
    return b"".join([*parts, np.array([joints.position, joints.velocity]).tobytes()])


def test_lockstep_gives_the_same_bytes_again_and_equals_the_environment(lockstep):
    _, robot = lockstep
    actions = HOME + np.random.default_rng(0).normal(0.0, 0.08, (6, 6))

    def roll_out() -> list[bytes]:
        stamp_ns = stamps.to_ns(robot.reset(7, TASK).stamp)
        frames = [contents(robot.observe(stamp_ns))]
        for i, action in enumerate(actions):
            frames.append(contents(robot.step(stamp_ns + i * PERIOD_NS, action)))
        return frames

    first, second = roll_out(), roll_out()
    assert first == second
    env = PickPlaceEnv()
    env.reset(seed=7, options={"task": TASK})
    for action in actions:
        observation = env.step(action.astype(np.float32))[0]
    env.close()
    assert first[-1][: observation["front"].nbytes] == observation["front"].tobytes()


def test_every_message_of_a_moment_has_the_stamp_frames_and_intrinsics_of_a_robot(lockstep):
    _, robot = lockstep
    clocks: list[Clock] = []
    robot.node.create_subscription(Clock, "/clock", clocks.append, qos.CLOCK)
    reply = robot.reset(3, TASK)
    assert (reply.accepted, reply.task) == (True, TASK)
    seen = robot.observe(stamps.to_ns(reply.stamp))
    assert seen["front/image_raw"].header.frame_id == "front_camera_optical_frame"
    assert (seen["front/image_raw"].encoding, seen["front/image_raw"].step) == ("rgb8", 3 * 128)
    assert seen["joint_states"].name == list(JOINTS)
    np.testing.assert_allclose(seen["joint_states"].position, HOME, atol=0.01)
    info = seen["front/camera_info"]
    env = PickPlaceEnv()
    assert 2 * math.degrees(math.atan(info.height / 2 / info.k[4])) == pytest.approx(env.fovy_deg["front"])
    assert (seen["audit"].seed, seen["audit"].task, seen["audit"].success) == (3, TASK, False)
    robot.until(lambda: any(stamps.to_ns(c.clock) == stamps.to_ns(reply.stamp) for c in clocks), what="/clock")


def test_time_stands_still_without_a_command_and_never_jumps_back(lockstep):
    process, robot = lockstep
    start_ns = stamps.to_ns(robot.reset(0).stamp)
    robot.observe(start_ns)
    robot.command(start_ns - PERIOD_NS, HOME)
    robot.command(start_ns + PERIOD_NS, HOME)
    process.wait_for_output("ignored a command for the observation of")
    assert robot.stamp_ns == start_ns
    after_ns = stamps.to_ns(robot.step(start_ns, HOME)["joint_states"].header.stamp)
    assert after_ns == start_ns + PERIOD_NS
    assert stamps.to_ns(robot.reset(0).stamp) == after_ns + PERIOD_NS


def test_a_commander_that_comes_late_finds_the_newest_observation(lockstep):
    _, robot = lockstep
    stamp_ns = stamps.to_ns(robot.reset(1).stamp)
    robot.observe(stamp_ns)
    with commander(domain=robot.node.context.get_domain_id()) as late:
        assert contents(late.observe(stamp_ns)) == contents(robot.observe(stamp_ns))
        late.step(stamp_ns, HOME)


def test_a_bad_command_is_refused_counted_and_moves_nothing(lockstep):
    process, robot = lockstep
    reports: list[DiagnosticArray] = []
    robot.node.create_subscription(DiagnosticArray, "/diagnostics", reports.append, qos.DIAGNOSTICS)
    stamp_ns = stamps.to_ns(robot.reset(0).stamp)
    robot.observe(stamp_ns)
    robot.command(stamp_ns, np.full(6, np.nan))
    process.wait_for_output("command positions is [nan")

    def refused() -> int:
        values = [v for report in reports for status in report.status for v in status.values if v.key == "refused"]
        return int(values[-1].value) if values else 0

    robot.until(lambda: refused() == 1, what="a refusal in the diagnostics")
    robot.command(stamp_ns, HOME[:5])
    robot.until(lambda: refused() == 2, what="a second refusal")
    robot.command(stamp_ns, HOME, ("a", "b", "c", "d", "e", "f"))
    robot.until(lambda: refused() == 3, what="a third refusal")
    assert robot.stamp_ns == stamp_ns
    robot.step(stamp_ns, HOME)


def test_joints_may_be_named_in_any_order(lockstep):
    _, robot = lockstep
    stamp_ns = stamps.to_ns(robot.reset(2).stamp)
    robot.observe(stamp_ns)
    straight = contents(robot.step(stamp_ns, HOME + 0.05))
    stamp_ns = stamps.to_ns(robot.reset(2).stamp)
    robot.observe(stamp_ns)
    robot.command(stamp_ns, (HOME + 0.05)[::-1], JOINTS[::-1])
    assert contents(robot.observe(stamp_ns + PERIOD_NS)) == straight


def test_a_reset_that_cannot_be_done_says_why_and_changes_nothing(lockstep):
    _, robot = lockstep
    stamp_ns = stamps.to_ns(robot.reset(4, "put the green cylinder in the orange tray").stamp)
    robot.observe(stamp_ns)
    for seed, task, word in ((0, "fly to the moon", "red cube"), (-5, "", "seed is -5")):
        reply = robot.reset(seed, task)
        assert not reply.accepted
        assert word in reply.message
    robot.step(stamp_ns, HOME)
    reply = robot.reset(-1)
    assert (reply.accepted, reply.task) == (True, "put the green cylinder in the orange tray")
    assert robot.observe(stamps.to_ns(reply.stamp))["audit"].seed == 5


def test_real_time_follows_the_wall_clock_and_holds_the_newest_command(tmp_path, ros_domain_id):
    with simulator(tmp_path, "lockstep:=false"), commander(lockstep=False) as robot:
        target = HOME + np.array([0.3, 0.0, 0.0, 0.0, 0.0, 0.0])
        robot.command(0, target)
        states = robot.messages["joint_states"]
        robot.until(lambda: abs(states[-1].position[0] - 0.3) < 0.02, what="the arm at its target")
        count = len(states)
        robot.until(lambda: len(states) >= count + 15, what="time to go on")
        times_s = np.array([stamps.to_ns(state.header.stamp) for state in states]) / 1e9
        assert (np.diff(times_s) > 0.0).all()
        assert np.median(np.diff(times_s)) == pytest.approx(0.1, rel=0.2)
        assert states[-1].position[0] == pytest.approx(0.3, abs=0.02)
        reply = robot.reset(1)
        robot.until(lambda: robot.stamp_ns > stamps.to_ns(reply.stamp), what="observations after the reset")
        assert states[-1].position[0] == pytest.approx(0.0, abs=0.05)


def test_two_robots_live_in_two_namespaces(tmp_path, ros_domain_id):
    with (
        simulator(tmp_path, namespace="/left"),
        simulator(tmp_path, "publish_clock:=false", namespace="/right"),
        commander("/left") as left,
        commander("/right") as right,
    ):
        stamp_ns = stamps.to_ns(left.reset(1).stamp)
        seen = left.observe(stamp_ns)
        assert seen["wrist/image_raw"].header.frame_id == "left/wrist_camera_optical_frame"
        before_ns = right.stamp_ns
        left.step(stamp_ns, HOME)
        assert right.stamp_ns == before_ns


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        ("env_id:=no_such/Environment-v0", "parameter env_id"),
        ("control_rate_hz:=20.0", "parameter control_rate_hz is 20.0"),
        ("image_size:=8", "image_size is 8: expected at least 32"),
        ("task:=fly", "task is 'fly'"),
    ],
)
def test_what_cannot_work_ends_with_one_clear_message(tmp_path, ros_domain_id, parameter, message):
    with simulator(tmp_path, parameter) as process:
        assert process.wait(30.0) == 1
        assert message in process.output
        assert "Traceback" not in process.output


def test_it_ends_cleanly_when_interrupted(tmp_path, ros_domain_id):
    with simulator(tmp_path) as process, commander():
        assert process.stop() == 0
        assert "Traceback" not in process.output
