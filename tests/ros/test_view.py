"""Runs in Rerun: what is in a bag or on the graph is in the file, under its stamp, and UNKNOWN is no number."""

from __future__ import annotations

import math
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.serialization import serialize_message
from rerun.experimental import RrdReader
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import Header
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from lrm_bringup import cli
from lrm_bringup.recorder.bag import Bag, Topic
from lrm_bringup.recorder.definitions import MessageDefinitions
from lrm_core.ros import qos, stamps
from lrm_msgs.msg import EpisodeStatus, LearnerStatus, RefinementStatus, Reward, SafetyStatus, SimAudit
from reward_bench import image
from ros_testing import NodeProcess, default_context, node_process, spin_until, wait_until

NS = 1_000_000_000
STEPS = 10
UNKNOWN_STEP = 4
JOINTS = ("shoulder", "gripper")
PROFILES = {
    Image: qos.CAMERA_LOCKSTEP, JointState: qos.JOINT_STATES, JointTrajectory: qos.COMMAND, Reward: qos.REWARD,
    EpisodeStatus: qos.STATUS, SafetyStatus: qos.STATUS, LearnerStatus: qos.STATUS, RefinementStatus: qos.STATUS,
    SimAudit: qos.AUDIT, CompressedImage: qos.CAMERA_LOCKSTEP,
}  # fmt: skip


def header(step: int) -> Header:
    return Header(stamp=stamps.from_ns((step + 5) * NS))


def command(step: int, offset: float) -> JointTrajectory:
    point = JointTrajectoryPoint(positions=[0.1 * step + offset, 0.01 * step + offset])
    return JointTrajectory(header=header(step), joint_names=JOINTS, points=[point])


def reward(step: int, head: str) -> Reward:
    status = Reward.LATE if step == UNKNOWN_STEP else Reward.OK
    value = math.nan if status else step / STEPS
    return Reward(header=header(step), head=head, value=value, status=status, episode_id="a.0", raw_text="too slow")


def messages(step: int) -> dict[str, Any]:
    """One message for every topic of a robot."""
    state = EpisodeStatus.ENDED if step == STEPS else EpisodeStatus.RUNNING
    task = EpisodeStatus(header=header(step), episode_id="a.0", state=state, task="stack the cubes")
    safety = SafetyStatus(header=header(step), state=SafetyStatus.LIMITING if step > 5 else SafetyStatus.PASSING)
    safety.reason = "speed of shoulder" if step > 5 else ""
    safety.causes, safety.cause_counts = ["limit"], [step]
    picture = image(step / STEPS, (step + 5) * NS)
    return {
        "front/image_raw": picture,
        "joint_states": JointState(header=header(step), name=JOINTS, position=[0.1 * step, 0.01 * step]),
        "proposed_command": command(step, 0.2),
        "command": command(step, 0.1),
        "reward/progress": reward(step, "progress"),
        "reward/fused": reward(step, "fused"),
        "episode_status": task,
        "safety_status": safety,
        "learner_status": LearnerStatus(header=header(step), critic_loss=math.nan, transitions=step),
        "refinement_status": RefinementStatus(header=header(step), predicted_success_rate=0.5),
        "audit": SimAudit(header=header(step), progress=step / STEPS, success=step == STEPS, outcome="held"),
    }


class Drawn:
    """A file, read back by Rerun: the rows of every entity that are not static."""

    def __init__(self, path: Path) -> None:
        self.rows: dict[str, list[dict[str, Any]]] = {}
        reader = RrdReader(path)
        self.titles = {title for store in reader.blueprints() for title in _titles(reader.stream(store=store))}
        for chunk in reader.stream():
            if not chunk.is_static:
                self.rows.setdefault(str(chunk.entity_path), []).extend(chunk.to_record_batch().to_pylist())

    def curve(self, path: str) -> dict[int, float]:
        """Stamp (nanoseconds) -> value."""
        return {row["stamp"].value: row["Scalars:scalars"][0] for row in self.rows[path]}

    def texts(self, path: str) -> list[str]:
        return [row["TextLog:text"][0] for row in self.rows[path]]

    def states(self, path: str) -> list[str]:
        return [row["StateChange:state"][0] for row in self.rows[path]]


def _titles(chunks: Any) -> Iterator[str]:
    """Titles of the views and containers of a layout."""
    for chunk in chunks:
        for row in chunk.to_record_batch().to_pylist():
            yield from (value[0] for key, value in row.items() if key.endswith(":display_name") and value)


def check_rewards(drawn: Drawn, robot: str = "") -> None:
    for head in ("progress", "fused"):
        curve = drawn.curve(f"{robot}/rewards/{head}")
        known = {stamp_ns // NS - 5: value for stamp_ns, value in curve.items() if not math.isnan(value)}
        assert known == pytest.approx({step: step / STEPS for step in range(STEPS + 1) if step != UNKNOWN_STEP})
        assert math.isnan(curve[(UNKNOWN_STEP + 5) * NS])
    told = sorted(drawn.texts(f"{robot}/events/rewards"))
    assert told == [f"reward/{head}: UNKNOWN, LATE (too slow)" for head in ("fused", "progress")]


def write_bag(folder: Path, name: str, *namespaces: str) -> Path:
    bag = Bag(folder, name, MessageDefinitions(), compressed=True, reserve_bytes=0)
    for step in range(STEPS + 1):
        for namespace, (topic, message) in product(namespaces or ("",), messages(step).items()):
            package, kind = type(message).__module__.split(".")[0], type(message).__name__
            known = Topic(f"{namespace}/{topic}", f"{package}/msg/{kind}")
            bag.write(known, 10**18 + step * NS, bytes(serialize_message(message)))
    return bag.close()


def test_a_bag_is_in_the_file_with_the_stamps_of_its_headers(tmp_path: Path) -> None:
    write_bag(tmp_path / "bags", "a.0")
    saved = tmp_path / "out" / "a.rrd"
    assert cli.main(["view", str(tmp_path / "bags" / "a.0"), "--save", str(saved)]) == 0
    drawn = Drawn(saved)
    check_rewards(drawn)
    stamps_ns = [(step + 5) * NS for step in range(STEPS + 1)]
    assert [row["stamp"].value for row in drawn.rows["/cameras/front"]] == stamps_ns
    for series, offset in (("measured", 0.0), ("proposed", 0.2), ("command", 0.1)):
        curve = drawn.curve(f"/joints/shoulder/{series}")
        assert curve == pytest.approx({ns: 0.1 * step + offset for step, ns in enumerate(stamps_ns)})
    assert drawn.curve("/truth/truth")[stamps_ns[-1]] == 1.0
    assert drawn.states("/states/truth") == ["held", "success"]
    assert drawn.states("/states/episode") == ["RUNNING", "ENDED"]
    assert drawn.states("/states/safety") == ["PASSING", "LIMITING"]
    assert drawn.texts("/events/safety") == ["LIMITING: speed of shoulder"]
    assert drawn.curve("/numbers/safety_causes/limit")[stamps_ns[3]] == 3.0
    assert all(math.isnan(value) for value in drawn.curve("/numbers/learner/critic_loss").values())
    assert drawn.titles >= {"front", "rewards", *JOINTS, "learner", "safety_causes", "states", "events"}


def test_two_robots_in_a_bag_are_kept_apart(tmp_path: Path) -> None:
    bags = tmp_path / "bags"
    write_bag(bags, "both.0", "/left", "/right")
    assert cli.main(["view", str(bags), "--episode", "-1", "--save", str(tmp_path / "out")]) == 0
    drawn = Drawn(tmp_path / "out" / "both.0.rrd")
    assert drawn.titles >= {"left", "right"}
    for robot in ("/left", "/right"):
        check_rewards(drawn, robot)
        assert len(drawn.rows[f"{robot}/cameras/front"]) == STEPS + 1
        assert f"{robot}/joints/gripper/command" in drawn.rows


def test_what_cannot_be_drawn_is_told_and_the_rest_is_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag = Bag(tmp_path, "odd", MessageDefinitions(), compressed=False, reserve_bytes=0)
    odd = [
        ("/front/image_raw", Image(height=480, width=640, encoding="rgb8", step=1920, data=bytes(30))),
        ("/wrist/image_raw/compressed", CompressedImage(format="jpeg", data=b"no picture")),
        ("/joint_states", JointState(name=["a"], position=[1.0, 2.0])),
        ("/command", JointTrajectory(joint_names=["a"], points=[JointTrajectoryPoint(positions=[0.5])])),
    ]
    for topic, message in odd:
        package = type(message).__module__.split(".")[0]
        bag.write(Topic(topic, f"{package}/msg/{type(message).__name__}"), NS, bytes(serialize_message(message)))
    path = bag.close()
    assert cli.main(["view", str(path), "--save", str(tmp_path / "odd.rrd")]) == 0
    told = capsys.readouterr().err
    assert "/front/image_raw: a message that cannot be drawn" in told
    assert "30" in told
    assert "JPEG or PNG" in told
    assert "expected one for each of 1 joints" in told
    assert list(Drawn(tmp_path / "odd.rrd").curve("/joints/a/command").values()) == [0.5]


class Robot:
    """A robot on the graph; its messages come as fast as they are taken."""

    def __init__(self, namespace: str) -> None:
        self.node = rclpy.create_node("robot", namespace=namespace)
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        kinds = {topic: type(message) for topic, message in messages(0).items()}
        self.publishers = {
            topic: self.node.create_publisher(kind, topic, PROFILES[kind]) for topic, kind in kinds.items()
        }

    def until_heard(self) -> None:
        """Wait until everything has a subscriber."""
        heard = self.publishers.values()
        spin_until(self.executor, lambda: all(p.get_subscription_count() for p in heard), 60.0, "the view listens")

    def play(self, view: NodeProcess) -> None:
        """Send a whole episode, one step when the one before was told."""
        for step in range(STEPS + 1):
            for topic, message in messages(step).items():
                self.publishers[topic].publish(message)
            if step == 0:
                view.wait_for_output("shows /left/audit")


@pytest.fixture
def robot(ros_domain_id: int) -> Iterator[Robot]:
    with default_context():
        robot = Robot("left")
        yield robot
        robot.executor.shutdown()
        robot.node.destroy_node()


def test_what_a_replay_wrote_is_drawn_beside_the_live_rewards(tmp_path: Path) -> None:
    folder = tmp_path / "out" / "a.0"
    folder.mkdir(parents=True)
    (folder / "replay.json").touch()
    bag = Bag(folder, "a.0", MessageDefinitions(), compressed=True, reserve_bytes=0)
    for topic in ("/reward/progress", "/replay/mine/reward/progress"):
        bag.write(Topic(topic, "lrm_msgs/msg/Reward"), NS, bytes(serialize_message(reward(3, "progress"))))
    bag.close()
    assert cli.main(["view", str(tmp_path / "out"), "--save", str(tmp_path / "a.rrd")]) == 0
    drawn = Drawn(tmp_path / "a.rrd")
    assert drawn.curve("/rewards/progress") == drawn.curve("/rewards/replay/mine/progress")
    assert {"rewards", "replay/mine"} <= drawn.titles


@pytest.mark.filterwarnings("ignore:RRD file has no footer")  # it is read while it is written
def test_a_live_robot_is_in_the_file_when_the_view_ends(robot: Robot, tmp_path: Path) -> None:
    saved = tmp_path / "live.rrd"
    command = [sys.executable, "-m", "lrm_bringup.cli", "view", "--live", "--namespace", "left", "--save", saved]
    with node_process(command, tmp_path / "view.log") as view:
        robot.until_heard()
        robot.play(view)
        last_ns = (STEPS + 5) * NS
        wait_until(lambda: _newest(saved) == last_ns, 30.0, "the last picture is in the file")
        view.send(signal.SIGINT)
        assert view.wait() == 0
        assert f"of {len(robot.publishers)} topics, in {saved}" in view.output
    drawn = Drawn(saved)
    check_rewards(drawn, "/left")
    assert len(drawn.rows["/left/cameras/front"]) == STEPS + 1
    assert drawn.states("/left/states/episode") == ["RUNNING", "ENDED"]


def _newest(path: Path) -> int:
    """Stamp of the newest picture in a file that is being written."""
    try:
        rows = Drawn(path).rows.get("/left/cameras/front", [])
    except (OSError, ValueError, RuntimeError):
        return 0
    return max((row["stamp"].value for row in rows), default=0)


def test_a_page_shows_runs_until_it_is_stopped_and_takes_further_ones(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bags", "a.0")
    port = _free_ports()
    command = [sys.executable, "-m", "lrm_bringup.cli", "view", bag, "--web", port]
    with node_process(command, tmp_path / "view.log") as view:
        view.wait_for_output("Ctrl-C ends", 60.0)
        assert "<title>" in httpx.get(f"http://localhost:{port}").text
        assert cli.main(["view", str(bag), "--connect", f"rerun+http://127.0.0.1:{port + 1}/proxy"]) == 0
        view.send(signal.SIGINT)
        assert view.wait() == 0


def _free_ports() -> int:
    """A port that is free, and the next one too."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("", 0))
            port = int(first.getsockname()[1])
            with suppress(OSError):
                second.bind(("", port + 1))
                return port
