"""A robot whose driver has names of its own: its file is the one place that says them, and every program follows it."""

from __future__ import annotations

import array
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from rerun.experimental import RrdReader
from sensor_msgs.msg import Image, JointState, PointCloud2, PointField
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from lrm_bringup import cli
from lrm_bringup.arguments import plan
from lrm_bringup.convert.ros.robot_bag import RobotBag
from lrm_bringup.convert.ros.topics import TopicNames
from lrm_bringup.graph import REWARD, yaml_value
from lrm_bringup.player.params import PlayerParams
from lrm_bringup.player.selection import chosen
from lrm_bringup.recorder.facts import ROBOT_STATE
from lrm_bringup.replay.ros.bag_events import BagEvents
from lrm_bringup.start import process_specs
from lrm_core.robot import StateUnits
from lrm_core.ros import qos, stamps
from lrm_msgs.msg import EpisodeStatus
from reward_bench import ANY_PICTURE, ENVIRONMENT, PERIOD_NS, Bench, K, open_bench
from ros_testing import node_process

HERE = Path(__file__).resolve().parent
CONTRACT = """
base_frame: base
joints:
  - {name: turn, position: [-1.0, 1.0], velocity: 2.0, home: 0.0}
  - {name: jaw, part: gripper, unit: m, position: [0.0, 0.08], velocity: 0.5, home: 0.04}
state: {topic: /driver/measured}
command: {kind: forward_command, topic: /driver/goals}
gripper: {kind: in_command, opening_m: [0.0, 0.08], wire: [100, 0]}
cameras:
  - {name: front, topic: /overhead/rgb, depth: /overhead/cloud}
  - {name: wrist, topic: hand/color/image}
reset: {kind: manual}
"""


class Driver:
    """Publishes what the contract says, under the names that it says."""

    def __init__(self, bench: Bench) -> None:
        self.bench, node = bench, bench.node
        bench.camera = node.create_publisher(Image, "/overhead/rgb", qos.camera(True))
        bench.cameras = {"front": bench.camera}
        self.joints = node.create_publisher(JointState, "/driver/measured", qos.JOINT_STATES)
        self.clouds = node.create_publisher(PointCloud2, "/overhead/cloud", qos.CAMERA)
        self.commands = node.create_publisher(JointTrajectory, "command", qos.COMMAND)

    def step(self, step: int) -> None:
        header = JointState().header
        header.stamp = stamps.from_ns(self.bench.start_ns + step * PERIOD_NS)
        names = ["turn", "jaw"]
        self.joints.publish(JointState(header=header, name=names, position=[0.01 * step, 50.0]))
        point = JointTrajectoryPoint(positions=[0.01 * step, 0.04])
        self.commands.publish(JointTrajectory(header=header, joint_names=names, points=[point]))
        fields = [PointField(name=n, offset=4 * i, datatype=7, count=1) for i, n in enumerate("xyz")]
        cloud = PointCloud2(header=header, height=1, width=2, fields=fields, point_step=12, row_step=24)
        cloud.data = array.array("B", np.arange(6, dtype=np.float32).tobytes())
        self.clouds.publish(cloud)
        self.bench.frame(step)

    def heard(self) -> bool:
        """By the recorder, and the camera by the reward node too."""
        counts = [one.get_subscription_count() for one in (self.joints, self.commands, self.clouds, self.bench.camera)]
        return counts == [1, 1, 1, 2]


@pytest.fixture
def driver(ros_domain_id: int) -> Iterator[Driver]:
    with open_bench() as bench:
        yield Driver(bench)


def parameters(folder: Path) -> Path:
    given = {"out_dir": str(folder / "bags"), "state_dir": "", "deadline_s": 60.0, **ANY_PICTURE}
    lines = "".join(f"    {name}: {yaml_value(value)}\n" for name, value in given.items())
    path = folder / "mine.yaml"
    path.write_text(f"/**:\n  ros__parameters:\n{lines}")
    return path


def test_the_reward_node_scores_and_the_recorder_keeps_what_the_contract_names(driver: Driver, tmp_path: Path) -> None:
    bench, contract = driver.bench, tmp_path / "odd.yaml"
    contract.write_text(CONTRACT)
    wanted = plan("reward", {"robot": str(contract), "record": "true", "params": str(parameters(tmp_path))})
    with ExitStack() as stack:
        for spec in process_specs(wanted.nodes, wanted.deployment, tmp_path, ENVIRONMENT, wanted.files):
            words = list(spec.command)
            if spec.name == REWARD.name:  # the same process, with the fake model
                words[1:3] = [str(HERE / "reward_bench.py")]
            stack.enter_context(node_process(words, tmp_path / f"{spec.name}.out", ENVIRONMENT))
        bench.connect()
        bench.until(driver.heard, 30.0, "both nodes listen")
        bench.start_ns = bench.node.get_clock().now().nanoseconds
        bench.status(EpisodeStatus.RUNNING)
        for step, heads in ((0, 2), (K, 4)):  # on a robot the newest frame wins: one at a time
            driver.step(step)
            bench.until(lambda at=step, n=heads: bench.scored(at, n), 30.0, f"the frame of step {step} is scored")
        bench.status(EpisodeStatus.ENDED, step=K, termination_reason="max_steps")
        bench.until((tmp_path / "bags" / "e1").is_dir, 30.0, "the bag is closed")
    assert bench.of(K)["progress"].value == pytest.approx(0.1 + 0.01 * K, abs=0.01)
    check_bag(tmp_path / "bags" / "e1", tmp_path / "e1.rrd")


def check_bag(path: Path, drawn: Path) -> None:
    """Everything that reads bags knows the robot's topics by the names of the project."""
    events = BagEvents(path)
    assert (events.cameras, events.frames) == (("front",), 2)
    bag = RobotBag(path, TopicNames())
    assert {name: topic.name for name, topic in bag.topics.cameras.items()} == {"front": "/overhead/rgb"}
    assert bag.topics.joints.name == "/driver/measured"
    assert StateUnits.from_json(bag.bag.facts[ROBOT_STATE]).joint_names == bag.joint_names
    assert {"front/image_raw", "joint_states", "episode_status"} <= set(chosen(bag.bag, PlayerParams().topics).values())
    assert cli.main(["view", str(path), "--save", str(drawn)]) == 0
    entities = {str(chunk.entity_path) for chunk in RrdReader(drawn).stream()}
    assert {
        "/cameras/front",
        "/clouds/front",
        "/joints/turn/measured",
        "/joints/turn/command",
        "/rewards/progress",
    } <= entities


@pytest.mark.usefixtures("ros_domain_id")
def test_a_camera_that_the_contract_does_not_have_is_named(tmp_path: Path) -> None:
    contract = tmp_path / "odd.yaml"
    contract.write_text(CONTRACT)
    given = ["-p", "autostart:=true", "-p", f"robot:={contract}", "-p", "cameras:=[side]"]
    words = [sys.executable, HERE / "reward_bench.py", "--ros-args", *given]
    with node_process(words, tmp_path / "log", ENVIRONMENT) as node:
        assert node.wait(60.0) == 1
        assert "['front', 'wrist']: expected one named 'side'" in node.output
