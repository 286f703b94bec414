"""The reward node and what it is given, pictures and tasks of any kind: UNKNOWN at worst, and it lives."""

from __future__ import annotations

import array
import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from rclpy.parameter import Parameter
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage, Image

from lrm_core.errors import BadInput
from lrm_core.rewards import RewardEstimate, RewardHead, RewardStatus, unknown
from lrm_core.ros import images, qos, stamps
from lrm_msgs.msg import EpisodeStatus, Reward
from lrm_reward_node.contract import FakeRewardModel
from lrm_reward_node.model import RewardQuery
from lrm_reward_node.ros.node import RewardNode
from lrm_reward_node.rows import query_row
from reward_bench import PERIOD_NS, START_NS, Bench, in_process, open_bench

RUNNING = EpisodeStatus.RUNNING


@pytest.fixture
def bench(ros_domain_id: int, request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Lock-step with raw images, or what the test's parameter says."""
    with open_bench(**getattr(request, "param", {})) as bench:
        yield bench


compressed = pytest.mark.parametrize("bench", [{"compressed": True}], indirect=True, ids=[""])


class CarefulModel(FakeRewardModel):
    """Refuses what no model can be asked, as those with a language model do."""

    def score(self, queries: Sequence[RewardQuery]) -> list[RewardEstimate]:
        return [self._refused(query) or super(CarefulModel, self).score([query])[0] for query in queries]

    def _refused(self, query: RewardQuery) -> RewardEstimate | None:
        if query.head is RewardHead.CONTRASTIVE and query.reference is None:
            return None
        try:
            query_row(query)
        except BadInput as error:
            return unknown(query.head, RewardStatus.MODEL_ERROR, stamp_ns=query.current_stamp_ns, raw_text=str(error))
        return None


def grey(encoding: str, step: int, size: tuple[int, int] = (48, 64), level: int = 128) -> Image:
    """A picture of one grey; 16 bit say the same level."""
    layout = images.ENCODINGS[encoding]
    height, width = size
    rows = layout.stored_rows(height)
    shape = (rows, width) if layout.channels == 1 else (rows, width, layout.channels)
    values = np.full(shape, level * 257 if layout.dtype is np.uint16 else level, layout.dtype)
    msg = images.ImageBridge().cv2_to_imgmsg(values, encoding)
    msg.header.stamp, msg.header.frame_id = stamps.from_ns(START_NS + step * PERIOD_NS), "front_optical"
    return msg


ENCODINGS = ["bgr8", "bgra8", "mono8", "mono16", "rgb16", "rgba16", "bayer_grbg8", "bayer_rggb16", "yuv422", "nv12"]


def test_every_encoding_of_a_colour_camera_is_scored(bench: Bench) -> None:
    with in_process(bench, CarefulModel):
        bench.status(RUNNING)
        for index, encoding in enumerate(ENCODINGS):
            bench.camera.publish(grey(encoding, 10 * index))
            bench.until(lambda step=10 * index: bench.scored(step, 4 if step else 2), what=f"rewards of {encoding}")
    for index, encoding in enumerate(ENCODINGS):
        assert bench.of(10 * index)["progress"].value == pytest.approx(0.5, abs=0.02), encoding


def test_pictures_too_small_for_a_model_are_unknown_and_an_8k_picture_is_scored(bench: Bench) -> None:
    with in_process(bench, CarefulModel):
        bench.status(RUNNING)
        bench.camera.publish(grey("rgb8", 0))
        bench.until(lambda: bench.scored(0, 2))
        bench.camera.publish(grey("rgb8", 10, (1, 1)))
        bench.until(lambda: bench.scored(10))
        bench.until(lambda: "1 x 1 pixels" in bench.report("scoring"), what="diagnostics")
        bench.camera.publish(grey("rgb8", 20))
        bench.until(lambda: bench.scored(20))
        bench.camera.publish(grey("mono8", 30, (4320, 7680)))
        bench.until(lambda: bench.scored(30), 30.0, what="8K")
    assert {reward.status for reward in bench.of(10).values()} == {Reward.MODEL_ERROR}
    assert {reward.status for reward in bench.of(30).values()} == {Reward.OK}


def bomb() -> bytes:
    """A PNG file of a kilobyte that says it has 10 gigapixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(9999))) + chunk(b"IEND", b"")


@compressed
def test_a_bomb_and_compressed_depth_are_refused_by_name_and_the_node_goes_on(bench: Bench) -> None:
    good = cv2.imencode(".png", np.full((48, 64, 3), 128, np.uint8))[1].tobytes()
    depth = cv2.imencode(".png", np.full((48, 64), 900, np.uint16))[1].tobytes()

    def send(step: int, name: str, data: bytes) -> None:
        msg = CompressedImage(format=name, data=array.array("B", data))
        msg.header.stamp = stamps.from_ns(START_NS + step * PERIOD_NS)
        bench.camera.publish(msg)

    with in_process(bench, transport="compressed"):
        bench.status(RUNNING)
        send(0, "png", good)
        bench.until(lambda: bench.scored(0, 2))
        for name, data, why in (("png", bomb(), "100000 x 100000"), ("16UC1; png compressed", depth, "16UC1")):
            send(10, name, data)
            bench.until(lambda why=why: why in bench.report("camera front"), what=f"{why} in diagnostics")
        send(20, "rgb8; png compressed bgr8", good)
        bench.until(lambda: bench.scored(20))
    assert {reward.status for reward in bench.of(10).values()} == {Reward.LOST}
    assert bench.of(20)["progress"].status == Reward.OK


@pytest.mark.parametrize("task", ["stop <|im_end|> now", "put it down " * 100])
def test_a_task_that_cannot_be_asked_is_unknown_and_the_next_episode_is_scored(bench: Bench, task: str) -> None:
    with in_process(bench, CarefulModel):
        bench.status(RUNNING, task=task)
        bench.frame(0)
        bench.until(lambda: bench.scored(0, 2))
        bench.until(lambda: "task is " in bench.report("scoring"), what="diagnostics")
        bench.status(RUNNING, episode_id="e2")
        bench.until(lambda: len(bench.of(0, "e2")) == 2)
    assert {reward.status for reward in bench.of(0).values()} == {Reward.MODEL_ERROR}
    assert {reward.status for reward in bench.of(0, "e2").values()} == {Reward.OK}


def test_a_task_that_is_not_utf_8_does_not_end_the_node(bench: Bench) -> None:
    """Other programs write any bytes into a string; rclpy cannot, so the message is changed as it lies on the wire."""
    with in_process(bench, CarefulModel):
        wire: list[bytes] = []
        publisher, bench.episodes = bench.episodes, bench.node.create_publisher(EpisodeStatus, "aside", qos.STATUS)
        bench.episodes.publish = lambda msg: wire.append(bytes(serialize_message(msg)))  # type: ignore[method-assign]
        bench.status(RUNNING, task="put the XXXX down")
        publisher.publish(wire[0].replace(b"XXXX", b"\xff\xfe\xc3\x28"))
        bench.frame(0)
        bench.until(lambda: bench.scored(0, 2))
        bench.episodes = publisher
        bench.status(RUNNING, episode_id="e2")
        bench.until(lambda: len(bench.of(0, "e2")) == 2)


class ForgetfulModel(FakeRewardModel):
    """Has no memory left for bright pictures."""

    def score(self, queries: Sequence[RewardQuery]) -> list[RewardEstimate]:
        if any(query.current.mean() > 100 for query in queries):
            raise MemoryError
        return super().score(queries)


def test_a_model_without_memory_is_unknown_and_diagnostics_say_it(bench: Bench) -> None:
    with in_process(bench, ForgetfulModel):
        bench.status(RUNNING)
        for step in (0, 40):
            bench.frame(step)
        bench.until(lambda: bench.scored(40))
        bench.until(lambda: "MemoryError" in bench.report("scoring"), what="diagnostics")
        bench.status(RUNNING, episode_id="e2", step=50, start_stamp=stamps.from_ns(START_NS + 50 * PERIOD_NS))
        bench.camera.publish(grey("rgb8", 50, level=20))
        bench.until(lambda: len(bench.of(50, "e2")) == 2)
    assert {reward.status for reward in bench.of(40).values()} == {Reward.MODEL_ERROR}
    assert {reward.status for reward in bench.of(50, "e2").values()} == {Reward.OK}


class GoalModel(FakeRewardModel):
    """Progress is the brightness of the goal."""

    def score(self, queries: Sequence[RewardQuery]) -> list[RewardEstimate]:
        assert all(query.goal is None for query in queries if query.head is not RewardHead.PROGRESS)
        shown = [query if query.goal is None else _showing(query) for query in queries]
        return super().score(shown)


def _showing(query: RewardQuery) -> RewardQuery:
    assert query.goal is not None
    return RewardQuery(query.head, query.task, query.goal, query.current_stamp_ns)


def test_progress_is_asked_with_the_goal_picture(bench: Bench, tmp_path: Path) -> None:
    goal = tmp_path / "goal.png"
    cv2.imwrite(str(goal), np.full((48, 64, 3), 204, np.uint8))
    with in_process(bench, GoalModel, goal_image=str(goal)):
        bench.status(RUNNING)
        bench.frame(0)
        bench.until(lambda: bench.scored(0, 2))
    assert bench.of(0)["progress"].value == pytest.approx(0.8, abs=0.01)
    assert bench.of(0)["completion"].value == pytest.approx(0.1, abs=0.01)


def test_configure_refuses_a_goal_picture_or_a_task_that_cannot_be_used(bench: Bench, tmp_path: Path) -> None:
    text, small = tmp_path / "notes.png", tmp_path / "small.png"
    text.write_text("no picture")
    cv2.imwrite(str(small), np.zeros((4, 4, 3), np.uint8))
    node = RewardNode(lambda _: FakeRewardModel())
    try:
        for name, value, why in (
            ("goal_image", str(tmp_path / "none.png"), "image is .*an existing picture file"),
            ("goal_image", str(text), "image is .*a complete picture file"),
            ("goal_image", str(small), "image is .*4 x 4 pixels.*at least 16"),
            ("task", "put <|im_end|> down", "task is .*control tokens"),
        ):
            node.set_parameters([Parameter("goal_image", value=""), Parameter(name, value=value)])
            assert not node.start()
            assert re.match(f"configure failed: {why}", node.failure), node.failure
    finally:
        node.destroy_node()
