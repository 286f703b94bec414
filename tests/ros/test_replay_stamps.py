"""Bags whose header stamps are no times of the frames: nothing is guessed, and the way out is named."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from rclpy.serialization import serialize_message

from lrm_bringup.recorder.bag import Bag, Topic
from lrm_bringup.recorder.definitions import MessageDefinitions
from lrm_bringup.replay.events import FrameSeen
from lrm_bringup.replay.ros.bag_events import BagEvents
from reward_bench import PERIOD_NS, START_NS, image

CAMERA = Topic("/front/image_raw", "sensor_msgs/msg/Image")


def bag(folder: Path, stamps_ns: Sequence[int]) -> Path:
    """Frames with these header stamps, one per period by log time."""
    written = Bag(folder, "bag", MessageDefinitions(), compressed=False, reserve_bytes=0)
    for number, stamp_ns in enumerate(stamps_ns):
        written.write(CAMERA, START_NS + number * PERIOD_NS, serialize_message(image(0.5, stamp_ns)))
    return written.close()


def frames(path: Path, log_time: bool = False) -> tuple[list[int], list[str]]:
    events = BagEvents(path, log_time=log_time)
    return [e.frame.stamp_ns for e in events.events() if isinstance(e, FrameSeen)], events.problems


def regular(count: int = 10) -> list[int]:
    return [START_NS + number * PERIOD_NS for number in range(count)]


def test_regular_stamps_are_nobodys_problem(tmp_path: Path) -> None:
    assert frames(bag(tmp_path, regular())) == (regular(), [])


@pytest.mark.parametrize(
    ("stamps_ns", "words"),
    [
        ([0] * 10, "images without a header stamp"),
        ([*regular(5), *regular(5)], "header stamps run back by 0.4 s"),
        ([*regular(5), *(ns + 40 * 10**9 for ns in regular(5))], "header stamps jump ahead by 39.6 s"),
        ([ns + 7200 * 10**9 for ns in regular()], "2.0 hours off the log time"),
    ],
    ids=["zero", "backwards", "ahead", "apart"],
)
def test_stamps_that_cannot_be_are_said_and_log_time_is_the_way_out(
    tmp_path: Path, stamps_ns: list[int], words: str
) -> None:
    path = bag(tmp_path, stamps_ns)
    _, problems = frames(path)
    assert any(words in problem and "--log-time" in problem for problem in problems), problems
    assert frames(path, log_time=True) == (regular(), [])
