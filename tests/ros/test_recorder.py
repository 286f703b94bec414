"""The recorder as a process on real DDS: every topic, every message, byte for byte, and it reads back."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.serialization import deserialize_message, serialize_message
from rosbags.rosbag2 import Reader
from rosbags.typesys import get_types_from_msg, get_typestore
from rosbags.typesys.stores import Stores
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, JointState

from lrm_bringup.bags.bag import RecordedBag
from lrm_bringup.recorder.ros.graph_parameters import GraphParameters
from lrm_bringup.recorder.ros.node import RecorderNode
from lrm_bringup.replay.events import FrameSeen
from lrm_bringup.replay.ros.bag_events import BagEvents
from lrm_core.disk import LOCK, hold
from lrm_core.errors import BadInput
from lrm_core.ros import images, qos, stamps
from lrm_msgs.msg import EpisodeStatus, Reward, SafetyStatus
from reward_bench import image
from ros_testing import NodeProcess, default_context, node_process, spin_until
from small_disk import small_disk


class Robot:
    """Publishes on one topic of every kind and remembers the bytes."""

    def __init__(self) -> None:
        self.node = rclpy.create_node("robot")
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self.sent: dict[str, list[bytes]] = {}
        self.since_ns = 0
        self.report: dict[str, str] = {}
        kinds = {
            "episode_status": (EpisodeStatus, qos.STATUS),
            "safety_status": (SafetyStatus, qos.STATUS),
            "reward/progress": (Reward, qos.REWARD),
            "front/image_raw": (Image, qos.CAMERA_LOCKSTEP),
            "wrist/image_raw": (Image, qos.CAMERA),
            "joint_states": (JointState, qos.JOINT_STATES),
            "/clock": (Clock, qos.CLOCK),
        }
        self.publishers = {
            name: self.node.create_publisher(kind, name, profile) for name, (kind, profile) in kinds.items()
        }
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, qos.DIAGNOSTICS)

    def _on_diagnostics(self, msg: DiagnosticArray) -> None:
        for status in msg.status if stamps.to_ns(msg.header.stamp) > self.since_ns else ():
            self.report = {value.key: value.value for value in status.values}
            self.report |= {"message": status.message, "level": str(status.level[0])}

    def until(self, predicate: object, what: str, deadline_s: float = 20.0) -> None:
        spin_until(self.executor, predicate, deadline_s, what)

    def wait_for_recorder(self) -> None:
        # Its own word, spoken from now on: the subscriptions of a killed one stay matched for a while.
        self.since_ns = self.node.get_clock().now().nanoseconds
        self.report.clear()
        all_topics = len(self.publishers) + len(("/rosout", "/diagnostics", "/recorder/transition_event"))
        self.until(lambda: int(self.report.get("topics", 0)) >= all_topics, "the recorder listens")

    def send(self, topic: str, msg: object) -> None:
        name = topic if topic.startswith("/") else f"/{topic}"
        data = bytes(serialize_message(msg))
        data += bytes(-len(data) % 4)  # as DDS does on its way
        self.sent.setdefault(name, []).append(data)
        self.publishers[topic].publish(data)
        self.executor.spin_once(timeout_sec=0.002)

    def status(self, state: int, episode: str, reason: str = "") -> None:
        self.send("episode_status", EpisodeStatus(state=state, episode_id=episode, termination_reason=reason))

    def act(self, steps: int, first: int = 0) -> None:
        for step in range(first, first + steps):
            stamp_ns = 10**12 + step * 10**8
            for camera in ("front", "wrist"):
                self.send(f"{camera}/image_raw", image(step % 100 / 100.0, stamp_ns))
            joints = JointState(name=["a"], position=[0.1 * step])
            joints.header.stamp = stamps.from_ns(stamp_ns)
            self.send("joint_states", joints)
            self.send("/clock", Clock(clock=stamps.from_ns(stamp_ns)))
        self.send("reward/progress", Reward(episode_id="x", head="progress", value=0.5))

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()


@pytest.fixture
def robot(ros_domain_id: int) -> Iterator[Robot]:
    with default_context():
        robot = Robot()
        yield robot
        robot.close()


def command(out_dir: Path, *parameters: str) -> list[object]:
    arguments = ["-p", "autostart:=true", "-p", f"out_dir:={out_dir}", *(a for p in parameters for a in ("-p", p))]
    return [sys.executable, "-m", "lrm_bringup.recorder.ros.node", "--ros-args", *arguments]


ENVIRONMENT = {"PYTHONPATH": os.pathsep.join(sys.path)}


def contents(bag: Path) -> dict[str, list[bytes]]:
    read: dict[str, list[bytes]] = {}
    with Reader(bag / f"{bag.name}.mcap") as reader:
        for connection, _, data in reader.messages():
            read.setdefault(connection.topic, []).append(bytes(data))
    return read


def wait_for_bag(robot: Robot, node: NodeProcess, bag: Path) -> None:
    robot.until(lambda: bag.is_dir() or node.exit_code is not None, f"bag {bag.name}")
    assert bag.is_dir(), node.output


def test_all_topics_of_an_episode_are_in_its_bag_byte_for_byte(robot: Robot, tmp_path: Path) -> None:
    with node_process(command(tmp_path), tmp_path / "log", ENVIRONMENT) as node:
        robot.wait_for_recorder()
        robot.send("safety_status", SafetyStatus(reason="latched before the episode"))
        robot.status(EpisodeStatus.RESETTING, "run.0")
        robot.act(12)
        robot.status(EpisodeStatus.ENDED, "run.0", "max_steps")
        wait_for_bag(robot, node, tmp_path / "run.0")
        first = {name: list(sent) for name, sent in robot.sent.items()}
        robot.sent.clear()
        robot.status(EpisodeStatus.RESETTING, "run.1")
        robot.act(5, first=12)
        robot.status(EpisodeStatus.ENDED, "run.1", "success_confirmed")
        wait_for_bag(robot, node, tmp_path / "run.1")
        assert node.stop() == 0
    read = contents(tmp_path / "run.0")
    assert {name: read.get(name) for name in first} == first
    assert "/diagnostics" in read
    second = contents(tmp_path / "run.1")
    assert {name: second.get(name) for name in robot.sent} == robot.sent
    assert second["/safety_status"] == first["/safety_status"]
    lines = [json.loads(line) for line in (tmp_path / "episodes.jsonl").read_text().splitlines()]
    assert [(line["bag"], line["outcome"]) for line in lines] == [
        ("run.0", "max_steps"),
        ("run.1", "success_confirmed"),
    ]
    assert lines[0]["messages"] == sum(len(messages) for messages in read.values())


def test_a_bag_holds_the_parameters_of_the_nodes_beside_it_as_they_were_last(robot: Robot, tmp_path: Path) -> None:
    robot.node.declare_parameter("gain", 0.5)
    robot.node.declare_parameter("names", ["a", "b"])
    with node_process(command(tmp_path, "preroll_s:=0.25"), tmp_path / "log", ENVIRONMENT) as node:
        robot.wait_for_recorder()
        robot.until(lambda: int(robot.report.get("nodes_with_parameters", 0)) >= 2, "both nodes answered")
        robot.node.set_parameters([Parameter("gain", value=0.75)])
        status = EpisodeStatus(state=EpisodeStatus.RUNNING, episode_id="e", task="do it", seed=4)
        robot.send("episode_status", status)
        robot.act(3)
        robot.status(EpisodeStatus.ENDED, "e", "success_confirmed")
        wait_for_bag(robot, node, tmp_path / "e")
    facts = RecordedBag(tmp_path / "e").facts
    nodes = json.loads(facts["parameters"])
    assert (nodes["/robot"]["gain"], nodes["/robot"]["names"]) == (0.75, ["a", "b"])
    assert nodes["/recorder"]["preroll_s"] == 0.25
    assert (facts["confirmed_success"], facts["ros_distro"]) == ("true", "jazzy")


def test_asking_for_parameters_leaves_no_client_behind(robot: Robot) -> None:
    asker = rclpy.create_node("asker")
    robot.executor.add_node(asker)
    parameters = GraphParameters(asker)
    most = 0

    def both_answered() -> bool:
        nonlocal most
        parameters.look()
        most = max(most, len(list(asker.clients)))
        return len(parameters.values) == 2

    robot.until(both_answered, "both nodes answered")
    parameters.look()
    assert most <= 2 * 2, "one client per node and service, however often it is looked"
    assert not list(asker.clients)
    parameters.destroy()
    robot.executor.remove_node(asker)
    asker.destroy_node()


def test_images_are_recorded_compressed_where_that_is_asked_for_and_others_stay_as_they_are(
    robot: Robot, tmp_path: Path
) -> None:
    with node_process(command(tmp_path, "image_compression:=png"), tmp_path / "log", ENVIRONMENT) as node:
        robot.wait_for_recorder()
        robot.status(EpisodeStatus.RUNNING, "e")
        robot.act(5)
        robot.status(EpisodeStatus.ENDED, "e", "max_steps")
        wait_for_bag(robot, node, tmp_path / "e")
    frames = [e.frame for e in BagEvents(tmp_path / "e", ["front"]).events() if isinstance(e, FrameSeen)]
    sent = [deserialize_message(data, Image) for data in robot.sent["/front/image_raw"]]
    assert [frame.stamp_ns for frame in frames] == [stamps.to_ns(msg.header.stamp) for msg in sent]
    for frame, msg in zip(frames, sent, strict=True):
        assert np.array_equal(frame.rgb, images.to_camera_frame(msg, "front").rgb), "png loses nothing"
    read = contents(tmp_path / "e")
    assert "/front/image_raw" not in read
    assert read["/joint_states"] == robot.sent["/joint_states"]


def test_a_bag_is_read_with_nothing_but_the_definitions_inside_it(robot: Robot, tmp_path: Path) -> None:
    with node_process(command(tmp_path), tmp_path / "log", ENVIRONMENT) as node:
        robot.wait_for_recorder()
        robot.status(EpisodeStatus.RESETTING, "e")
        robot.send("reward/progress", Reward(episode_id="e", head="progress", value=0.25, raw_text="0.2"))
        robot.status(EpisodeStatus.ENDED, "e", "cancelled")
        wait_for_bag(robot, node, tmp_path / "e")
    store = get_typestore(Stores.EMPTY)
    with Reader(tmp_path / "e") as reader:  # the folder: its metadata must agree with the file
        for connection in reader.connections:
            types = get_types_from_msg(connection.msgdef.data, connection.msgtype)
            store.register({name: fields for name, fields in types.items() if name not in store.fielddefs})
        counts = Counter(c.topic for c, _, _ in reader.messages())
        (reward,) = [
            store.deserialize_cdr(d, c.msgtype) for c, _, d in reader.messages() if c.msgtype.endswith("/Reward")
        ]
        profiles = {c.topic: c.ext.offered_qos_profiles[0] for c in reader.connections if c.ext.offered_qos_profiles}
        assert sum(counts.values()) == reader.message_count
    assert (reward.episode_id, reward.value, reward.raw_text) == ("e", 0.25, "0.2")
    assert profiles["/episode_status"].durability.name == "TRANSIENT_LOCAL"


def test_kill_9_leaves_a_bag_that_the_next_recorder_saves_and_the_episode_goes_on_in_a_second(
    robot: Robot, tmp_path: Path
) -> None:
    start = command(tmp_path, "compression:=none")
    with node_process(start, tmp_path / "log", ENVIRONMENT) as node:
        robot.wait_for_recorder()
        robot.status(EpisodeStatus.RUNNING, "e")
        partial = tmp_path / ".partial" / "e" / "e.mcap"
        steps = 0
        while not (partial.exists() and partial.stat().st_size > 1_000_000) and steps < 400:
            robot.act(10, first=steps)
            steps += 10
        node.send(signal.SIGKILL)
        node.wait()
    cut = RecordedBag(partial)  # nobody has mended it
    (front,) = [topic for topic in cut.topics if topic.name == "/front/image_raw"]
    heard = [message.data for message in cut.messages([front])]
    assert heard == robot.sent["/front/image_raw"][: len(heard)]
    assert len(heard) > 10
    assert cut.facts["episode_id"] == "e"
    with node_process(start, tmp_path / "log2", ENVIRONMENT) as node:
        robot.wait_for_recorder()
        robot.until(lambda: robot.report["episode"] == "e", "the latched status opens a bag")
        robot.act(2, first=1000)
        robot.status(EpisodeStatus.ENDED, "e", "max_steps")
        wait_for_bag(robot, node, tmp_path / "e_2")
        assert node.stop() == 0
    with Reader(tmp_path / "e") as reader:  # the folder: it has the metadata of a closed bag
        assert reader.message_count == sum(map(len, contents(tmp_path / "e").values()))
    saved = contents(tmp_path / "e")["/front/image_raw"]
    assert saved == robot.sent["/front/image_raw"][: len(saved)]
    assert len(saved) > 10
    assert contents(tmp_path / "e_2")["/front/image_raw"] == robot.sent["/front/image_raw"][-2:]


def test_a_full_disk_is_in_the_diagnostics_and_the_bag_holds_what_was_recorded(robot: Robot, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", megabytes=6) as disk:
        start = command(disk, "compression:=none", "reserve_mb:=3")
        with node_process(start, tmp_path / "log", ENVIRONMENT) as node:
            robot.wait_for_recorder()
            robot.status(EpisodeStatus.RESETTING, "e")
            steps = 0
            while not (disk / "e").exists() and steps < 1000:
                robot.act(10, first=steps)
                steps += 10
            robot.act(5, first=steps)
            robot.until(lambda: int(robot.report["dropped"]) > 0, "drops in the diagnostics")
            assert "No space left on device" in robot.report["message"]
            assert robot.report["level"] == "2"
            robot.status(EpisodeStatus.ENDED, "e", "max_steps")
            assert node.stop() == 0
            assert node.output.count("No space left on device") == 1
        kept = contents(disk / "e")
    for name in ("/front/image_raw", "/joint_states"):
        assert len(kept[name]) > 50
        assert kept[name] == robot.sent[name][: len(kept[name])]


def test_bytes_that_are_no_message_are_recorded_as_they_came_and_counted(robot: Robot, tmp_path: Path) -> None:
    with node_process(command(tmp_path), tmp_path / "log", ENVIRONMENT) as node:
        robot.wait_for_recorder()
        robot.status(EpisodeStatus.RUNNING, "e")
        for topic in ("reward/progress", "episode_status"):
            robot.publishers[topic].publish(b"\0\1\0\0\7\0\0\0")
        robot.act(3)
        robot.until(lambda: robot.report.get("malformed") == "2", "both in the diagnostics")
        robot.status(EpisodeStatus.ENDED, "e", "max_steps")
        wait_for_bag(robot, node, tmp_path / "e")
        assert node.stop() == 0
    read = contents(tmp_path / "e")
    for topic in ("/reward/progress", "/episode_status"):
        assert b"\0\1\0\0\7\0\0\0" in read[topic]
        assert [data for data in read[topic] if data in robot.sent[topic]] == robot.sent[topic]


def test_a_publisher_that_comes_back_with_less_is_still_recorded(robot: Robot, tmp_path: Path) -> None:
    with node_process(command(tmp_path), tmp_path / "log", ENVIRONMENT) as node:
        robot.wait_for_recorder()
        robot.status(EpisodeStatus.RUNNING, "e")
        robot.send("safety_status", SafetyStatus(reason="before"))
        robot.node.destroy_publisher(robot.publishers["safety_status"])
        robot.publishers["safety_status"] = robot.node.create_publisher(SafetyStatus, "safety_status", qos.CAMERA)
        robot.until(robot.publishers["safety_status"].get_subscription_count, "the recorder listens to it")
        robot.send("safety_status", SafetyStatus(reason="after"))
        robot.status(EpisodeStatus.ENDED, "e", "max_steps")
        wait_for_bag(robot, node, tmp_path / "e")
        assert "/safety_status has a publisher that offers less" in node.output
        assert node.stop() == 0
    assert contents(tmp_path / "e")["/safety_status"] == robot.sent["/safety_status"]


def test_a_second_recorder_is_refused_the_folder_of_the_first_which_records_on(robot: Robot, tmp_path: Path) -> None:
    bags = tmp_path / "bags"
    with node_process(command(bags), tmp_path / "log", ENVIRONMENT) as first:
        robot.wait_for_recorder()
        robot.status(EpisodeStatus.RUNNING, "e")
        robot.until(lambda: (bags / ".partial" / "e").is_dir(), "an open bag")
        with node_process([*command(bags), "-r", "__ns:=/right"], tmp_path / "log2", ENVIRONMENT) as second:
            assert second.wait() == 1
            assert f"parameter out_dir is '{bags}': expected a folder that no other recorder writes to" in second.output
        robot.act(3)
        robot.status(EpisodeStatus.ENDED, "e", "max_steps")
        wait_for_bag(robot, first, bags / "e")
        assert first.stop() == 0
    assert contents(bags / "e")["/joint_states"] == robot.sent["/joint_states"]


@pytest.mark.usefixtures("ros_domain_id")
def test_a_recorder_that_is_cleaned_up_lets_go_of_its_folder(tmp_path: Path) -> None:
    with default_context():
        node = RecorderNode(parameter_overrides=[Parameter("out_dir", value=str(tmp_path))])
        assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS, node.failure
        with pytest.raises(BadInput, match="no other recorder"):
            hold(tmp_path / LOCK, "--out", tmp_path, "recorder")
        node.trigger_cleanup()
        hold(tmp_path / LOCK, "--out", tmp_path, "recorder").close()
        node.destroy_node()


def test_a_folder_that_cannot_be_written_ends_the_process_with_one_clear_message(
    ros_domain_id: int, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with node_process(command(tmp_path / "file" / "bags"), tmp_path / "log", ENVIRONMENT) as node:
        assert node.wait() == 1
        assert "a folder that can be written" in node.output
        assert "Traceback" not in node.output
