"""A recorded run before a live reward node: real bag, real DDS, the rewards that were published then."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock

from live_run import STEPS, live_run
from lrm_bringup.bags.bag import RecordedBag
from lrm_bringup.player.ros.node import PlayerNode
from lrm_bringup.player.selection import chosen
from lrm_core.errors import BadInput
from lrm_core.ros import qos, stamps
from reward_bench import PERIOD_NS, START_NS, Bench, K, in_process, open_bench
from robot_bags import NS, RobotBagWriter

QUERIES = (*range(0, STEPS, K), STEPS)


@pytest.fixture
def bench(ros_domain_id: int) -> Iterator[Bench]:
    with open_bench() as bench:
        yield bench


@contextmanager
def player(bench: Bench, bag: Path, **parameters: Any) -> Iterator[PlayerNode]:
    given = [Parameter("bag", value=str(bag)), *(Parameter(name, value=value) for name, value in parameters.items())]
    node = PlayerNode(parameter_overrides=given)
    bench.executor.add_node(node)
    try:
        yield node
    finally:
        node.trigger_shutdown()
        bench.executor.remove_node(node)
        node.destroy_node()


def values(bench: Bench, episode: str) -> dict[tuple[int, str], tuple[float, int]]:
    rewards = [reward for step in QUERIES for reward in bench.of(step, episode).values()]
    return {
        (stamps.to_ns(one.header.stamp), one.head): (
            round(float(one.value), 5) if one.status == 0 else -1.0,
            one.status,
        )
        for one in rewards
    }


@pytest.mark.usefixtures("ros_domain_id")
def test_a_live_reward_node_scores_an_old_bag_as_it_did_then(tmp_path: Path) -> None:
    with open_bench() as bench:
        (bag,) = live_run(bench, tmp_path, ["a.0"])
        then = values(bench, "a.0")
    assert len(then) == 2 + 3 * 4
    with open_bench() as bench, in_process(bench), player(bench, bag) as node:
        assert node.start(), node.failure
        bench.until(lambda: len(values(bench, "a.0")) == len(then), 30.0, "every reward of the bag")
        bench.until(lambda: "done" in bench.report("playback"), 20.0, "the end of the bag")
        assert values(bench, "a.0") == then


def recording(folder: Path, namespace: str = "") -> Path:
    """Three pictures, a tenth of a second apart, and a command."""
    writer = RobotBagWriter(folder, namespace)
    for step in range(3):
        writer.image(START_NS + step * PERIOD_NS, 40 * step)
    writer.command(START_NS, [0.0] * 6)
    writer.status(START_NS, "a.0", 2, START_NS)
    return writer.close()


def test_a_bag_without_a_clock_gets_one_and_its_namespace_is_that_of_the_player(bench: Bench, tmp_path: Path) -> None:
    from sensor_msgs.msg import Image

    images: list[int] = []
    clock: list[int] = []
    bench.node.create_subscription(
        Image, "front/image_raw", lambda m: images.append(stamps.to_ns(m.header.stamp)), qos.CAMERA_LOCKSTEP
    )
    bench.node.create_subscription(Clock, "/clock", lambda m: clock.append(stamps.to_ns(m.clock)), qos.CLOCK)
    with player(bench, recording(tmp_path / "bag", "/left"), wait_for_node="bench") as node:
        assert node.start(), node.failure
        bench.until(lambda: len(images) == 3 and clock and clock[-1] == images[-1], 20.0, "three pictures")
        published = {name for name, _ in node.get_publisher_names_and_types_by_node("player", "/")}
    assert images == [START_NS + step * PERIOD_NS for step in range(3)]
    assert clock == sorted(clock)
    assert clock[0] >= START_NS
    assert "/command" not in published


@pytest.mark.usefixtures("ros_domain_id")
@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"bag": ""}, "parameter bag is ''"),
        ({"bag": "nowhere"}, "'nowhere'"),
        ({"topics": ["*/depth"]}, "parameter topics is ['*/depth']"),
    ],
)
def test_what_cannot_be_played_is_named(tmp_path: Path, parameters: dict[str, Any], named: str) -> None:
    with open_bench() as bench, player(bench, recording(tmp_path / "bag")) as node:
        node.set_parameters([Parameter(name, value=value) for name, value in parameters.items()])
        assert not node.start()
        assert named in node.failure


def test_it_says_that_nobody_came_to_listen(bench: Bench, tmp_path: Path) -> None:
    with player(bench, recording(tmp_path / "bag"), wait_for_node="nobody", wait_timeout_s=1.0) as node:
        assert node.start(), node.failure
        bench.until(lambda: "no node nobody listens" in bench.report("playback"), 20.0, "the complaint")
        assert {v.key: v.value for v in bench.diagnostics["playback"].values}["messages"] == "0"


def test_the_recorded_clock_is_played_as_it_is(tmp_path: Path) -> None:
    writer = RobotBagWriter(tmp_path / "bag")
    writer.image(START_NS, 10)
    writer.add(START_NS, "clock", "rosgraph_msgs/msg/Clock", clock=writer.time(NS))
    bag = RecordedBag(writer.close())
    assert sorted(chosen(bag, ["*/image_raw", "/clock"]).values()) == ["/clock", "front/image_raw"]


def test_a_topic_that_cannot_be_decoded_reaches_no_live_node(tmp_path: Path) -> None:
    folder = recording(tmp_path / "bag")
    listed = (folder / "metadata.yaml").read_text()
    (folder / "metadata.yaml").write_text(listed.replace("sensor_msgs/msg/Image", "sensor_msgs/msg/PointCloud2"))
    bag = RecordedBag(folder)
    assert list(chosen(bag, ["*/image_raw", "*/episode_status"]).values()) == ["episode_status"]
    assert [(fault.where, fault.lost) for fault in bag.faults.losses] == [("/front/image_raw", 3)]
    with pytest.raises(BadInput, match=r"metadata\.yaml says"):
        chosen(RecordedBag(folder), ["*/image_raw"])
