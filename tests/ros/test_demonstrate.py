"""``lrm demonstrate`` beside the real recorder: a bag per demonstration, and its outcome wherever bags are read."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import Image, JointState
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from lrm_bringup.bags.bag import RecordedBag
from lrm_bringup.convert.ros.robot_bag import RobotBag
from lrm_bringup.convert.ros.topics import TopicNames
from lrm_bringup.data.bag_source import BagEpisodes, BagOptions
from lrm_core.ros import qos
from lrm_msgs.msg import EpisodeStatus
from reward_bench import image
from ros_testing import default_context, node_process

ENVIRONMENT = {"PYTHONPATH": os.pathsep.join(sys.path)}
TASK = "close the lid"
HAND = """\
base_frame: base
joints:
  - {name: turn, position: [-2.0, 2.0], velocity: 1.0, home: 0.0}
  - {name: finger, part: gripper, unit: m, position: [0.0, 0.08], velocity: 0.1, home: 0.04}
state: {topic: joint_states}
command: {kind: joint_trajectory, topic: command}
gripper: {kind: in_command}
cameras: [{name: front}]
reset: {kind: manual}
"""


class Watch:
    """What the graph says: state of the newest demonstration, and how many frames there have been since it changed."""

    def __init__(self) -> None:
        self.status, self.frames = EpisodeStatus(), 0
        self._told = threading.Condition()

    def see(self, status: EpisodeStatus | None = None) -> None:
        """Another status, or another frame."""
        with self._told:
            self.status, self.frames = (self.status, self.frames + 1) if status is None else (status, 0)
            self._told.notify_all()

    def wait(self, state: int, frames: int) -> None:
        """Until ``state`` has been shown for so many frames."""
        with self._told:
            there = self._told.wait_for(lambda: self.status.state == state and self.frames >= frames, 30.0)
            assert there, (self.status, self.frames)


@contextmanager
def teleoperated_robot() -> Iterator[Watch]:
    """A camera, joint states and commands at 20 Hz, until the block ends."""
    node, watch = rclpy.create_node("arm"), Watch()
    node.create_subscription(EpisodeStatus, "episode_status", watch.see, qos.STATUS)
    cameras = node.create_publisher(Image, "front/image_raw", qos.CAMERA_LOCKSTEP)
    joints = node.create_publisher(JointState, "joint_states", qos.JOINT_STATES)
    commands = node.create_publisher(JointTrajectory, "command", qos.COMMAND)

    def publish() -> None:
        now = node.get_clock().now()
        state = JointState(name=["turn", "finger"], position=[0.1, 0.04])
        command = JointTrajectory(joint_names=state.name, points=[JointTrajectoryPoint(positions=[0.2, 0.05])])
        state.header.stamp = command.header.stamp = now.to_msg()
        cameras.publish(image(0.5, now.nanoseconds))
        joints.publish(state)
        commands.publish(command)
        watch.see()

    node.create_timer(0.05, publish)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    thread = threading.Thread(target=executor.spin)
    thread.start()
    try:
        yield watch
    finally:
        executor.shutdown()
        thread.join()
        node.destroy_node()


@pytest.fixture
def robot_file(tmp_path: Path) -> Path:
    path = tmp_path / "hand.yaml"
    path.write_text(HAND)
    return path


@pytest.fixture
def watch(ros_domain_id: int) -> Iterator[Watch]:
    with default_context(), teleoperated_robot() as watch:
        yield watch


def demonstrating(robot: Path) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "lrm_bringup.cli", "demonstrate", "--robot", str(robot), "--task", TASK]
    pipe = subprocess.PIPE
    return subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env={**os.environ, **ENVIRONMENT})


def say(process: subprocess.Popen[str], answer: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{answer}\n")
    process.stdin.flush()


def test_a_persons_demonstrations_are_recorded_with_their_outcomes(
    robot_file: Path, watch: Watch, tmp_path: Path
) -> None:
    bags = tmp_path / "bags"
    given = ["autostart:=true", f"out_dir:={bags}", f"robot:={robot_file}", "linger_s:=0.2"]
    words = [sys.executable, "-m", "lrm_bringup.recorder.ros.node", "--ros-args"]
    words += [word for parameter in given for word in ("-p", parameter)]
    with node_process(words, tmp_path / "recorder", ENVIRONMENT) as recorder, demonstrating(robot_file) as person:
        for judgement in ("s", "f"):
            say(person, "")
            watch.wait(EpisodeStatus.RUNNING, frames=12)
            say(person, judgement)
            watch.wait(EpisodeStatus.ENDED, frames=1)
        said, error = person.communicate("q\n", timeout=30)
        assert person.returncode == 0, error
        assert "1 judged_failure, 1 judged_success" in said
        recorder.stop()
    found = sorted(path for path in bags.iterdir() if path.is_dir() and not path.name.startswith("."))
    assert [RecordedBag(path).facts["outcome"] for path in found] == ["judged_success", "judged_failure"]
    bag = RobotBag(found[0], TopicNames())
    (one,) = bag.episodes
    assert (one.task, one.success("status"), bag.joint_names) == (TASK, True, ("turn", "finger"))
    inside = (bag.joints.stamps_ns >= one.start_ns) & (bag.joints.stamps_ns <= one.end_ns)
    assert inside.sum() >= 10
    listed = BagEpisodes(BagOptions(str(bags)), tmp_path).episodes()
    assert sorted((episode.task, episode.outcome) for episode in listed) == [(TASK, "failure"), (TASK, "success")]


@pytest.mark.usefixtures("watch")
def test_without_a_recorder_it_says_how_to_start_one(robot_file: Path) -> None:
    with demonstrating(robot_file) as person:
        _, error = person.communicate("", timeout=60)
    assert person.returncode == 2
    assert "lrm up record --robot" in error


@pytest.mark.usefixtures("watch")
def test_beside_a_node_that_runs_episodes_it_refuses(robot_file: Path) -> None:
    nodes = [rclpy.create_node(name) for name in ("policy", "recorder")]
    nodes[0].create_publisher(EpisodeStatus, "episode_status", qos.STATUS)
    nodes[1].create_subscription(EpisodeStatus, "episode_status", lambda _: None, qos.STATUS)
    nodes[1].create_subscription(JointState, "joint_states", lambda _: None, qos.JOINT_STATES)
    try:
        with demonstrating(robot_file) as person:
            _, error = person.communicate("\n\n", timeout=60)
    finally:
        for node in nodes:
            node.destroy_node()
    assert person.returncode == 2
    assert "policy" in error
