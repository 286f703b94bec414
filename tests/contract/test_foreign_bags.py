"""Bags that others recorded: each is read, or refused with a message that names the fault."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from pathlib import Path

import pytest

from lrm_bringup.bags.bag import RecordedBag
from lrm_bringup.replay.events import FrameSeen
from lrm_bringup.replay.ros.bag_events import BagEvents
from lrm_core.errors import BadInput
from source_tree import ROOT

BAGS = Path(os.environ.get("LRM_REAL_DATA", ROOT.parent / "shared" / "data")) / "bags"
pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not BAGS.is_dir(), reason="no recorded data: set LRM_REAL_DATA"),
]
ROSBAG2 = "rosbag2/rosbag2_py/test/resources"
TESTS = "rosbag2/rosbag2_tests/resources"


def read(name: str) -> tuple[RecordedBag, Counter[str]]:
    bag = RecordedBag(BAGS / name)
    return bag, Counter(message.topic.name for message, _ in bag.decoded())


def every_bag() -> list[Path]:
    files = [path for kind in ("*.mcap", "*.db3", "*.bag") for path in BAGS.rglob(kind)]
    return sorted([*files, *(path.parent for path in BAGS.rglob("metadata.yaml"))])


@pytest.mark.parametrize("path", every_bag(), ids=lambda path: str(path.relative_to(BAGS)))
def test_every_message_is_decoded_or_its_loss_is_reported(path: Path) -> None:
    if path.suffix == ".bag" or "bad_metadata" in path.parts:
        with pytest.raises(BadInput, match=path.name):
            RecordedBag(path)
        return
    bag = RecordedBag(path)
    decoded = Counter(message.topic for message, _ in bag.decoded())
    for topic in bag.topics:
        lost = sum(fault.lost for fault in bag.faults.of(topic.name))
        assert decoded[topic] + lost >= bag.counts[topic], (topic.name, list(bag.faults))
        assert decoded[topic] == bag.counts[topic] or any(str(f) for f in bag.faults.of(topic.name))


@pytest.mark.parametrize("number", [1, 6, 10])
def test_stray_bytes_after_a_payload_are_a_warning(number: int) -> None:
    bag, decoded = read(f"robocodec/robocodec_test_{number}.mcap")
    assert sum(decoded.values()) == sum(bag.counts.values())
    assert any("8 stray bytes after the payload" in fault.text for fault in bag.faults.warnings)
    assert bag.faults.losses == []
    assert len(bag.images) >= 2


def test_ros_1_bytes_declared_as_cdr_are_refused_topic_by_topic() -> None:
    bag, decoded = read("robocodec/robocodec_test_16.mcap")
    assert not decoded
    assert {fault.where for fault in bag.faults.losses} == {topic.name for topic in bag.topics}
    assert all("ros1msg" in fault.text for fault in bag.faults.losses)


def test_a_bag_of_ros_1_is_refused_with_the_way_out() -> None:
    with pytest.raises(BadInput, match="rosbags-convert"):
        RecordedBag(BAGS / "robocodec/robocodec_test_18.bag")


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_another_serialization_format_is_refused(storage: str) -> None:
    bag, decoded = read(f"{TESTS}/{storage}/wrong_rmw_test")
    assert not decoded
    assert all("wrong_format" in fault.text for fault in bag.faults.losses)
    assert len(bag.faults.losses) == 2


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_split_bag_is_one_bag_and_needs_no_metadata(storage: str) -> None:
    bag, decoded = read(f"{ROSBAG2}/{storage}/wbag")
    assert sum(decoded.values()) == 6074
    assert list(bag.faults) == []
    _, without_metadata = read(f"{ROSBAG2}/{storage}/reindex_test_bags/multiple_files")
    assert sum(without_metadata.values()) == 3177


def test_metadata_whose_files_are_missing_is_refused_and_names_them() -> None:
    with pytest.raises(BadInput, match=r"sample_bag_0\.mcap"):
        RecordedBag(BAGS / "bad_metadata/SurroundVisionROS2_sample_bag")


def test_metadata_that_counts_other_messages_is_reported_and_the_bag_is_used(tmp_path: Path) -> None:
    folder = shutil.copytree(BAGS / f"{ROSBAG2}/mcap/talker", tmp_path / "talker")
    path = folder / "metadata.yaml"
    path.chmod(0o644)
    path.write_text(path.read_text().replace("message_count: 10", "message_count: 12"))
    bag = RecordedBag(folder)
    assert any("counts 12 messages, the files 10" in fault.text for fault in bag.faults.losses)
    assert sum(1 for _ in bag.decoded()) == 20


def test_the_same_messages_come_from_mcap_as_rosbags_reads_them() -> None:
    from rosbags.rosbag2.storage_mcap import McapReader

    for path in sorted((BAGS / f"{ROSBAG2}/mcap/wbag").glob("*.mcap")):
        reader = McapReader(path)
        reader.open()
        expected = [(c.topic, stamp_ns, bytes(data)) for c, stamp_ns, data in reader.messages(reader.connections)]
        reader.close()
        found = [(m.topic.name, m.log_ns, m.data) for m in RecordedBag(path).messages()]
        assert found == expected


def frames(name: str, topic: str, log_time: bool = False) -> tuple[list[FrameSeen], list[str]]:
    events = BagEvents(BAGS / name, [topic] if topic else [], log_time)
    found = [event for event in events.events() if isinstance(event, FrameSeen)]
    return found, events.problems


@pytest.mark.parametrize(
    ("number", "topic"), [(0, "/camera/cam_high"), (7, "/camera/cam_top_head/image"), (10, "camera_01/color")]
)
def test_compressed_images_of_real_robots_become_frames(number: int, topic: str) -> None:
    (only,), problems = frames(f"robocodec/robocodec_test_{number}.mcap", topic)  # 0 and 10: zeros behind the JPEG
    assert only.frame.rgb.shape[2] == 3
    assert only.frame.rgb.std() > 10
    assert not any("cannot be used" in problem for problem in problems)


def test_header_stamps_far_off_the_log_time_are_a_warning_and_log_time_is_the_way_out() -> None:
    topic = "/ob_camera_01/color/image_raw/compressed"
    (by_header,), problems = frames("robocodec/robocodec_test_1.mcap", topic)
    assert any("6.4 days off the log time" in problem for problem in problems)
    (by_log,), _ = frames("robocodec/robocodec_test_1.mcap", topic, log_time=True)
    assert by_log.frame.stamp_ns == by_log.log_ns != by_header.frame.stamp_ns


@pytest.mark.parametrize("bag", ["robocodec/robocodec_test_14.mcap", "rosbags_rs/tests/test_bags/test_bag_sqlite3"])
@pytest.mark.parametrize(("topic", "fault"), [("image", "length of image data"), ("compressed_image", "JPEG or PNG")])
def test_images_with_a_wrong_payload_length_are_refused_by_what_is_wrong(bag: str, topic: str, fault: str) -> None:
    found, problems = frames(bag, f"/test/sensor_msgs/{topic}")
    assert found == []
    assert any(fault in problem for problem in problems), problems


def test_several_cameras_have_to_be_named() -> None:
    with pytest.raises(BadInput, match="--topic"):
        frames("robocodec/robocodec_test_6.mcap", "")
    with pytest.raises(BadInput, match="/camera_01/color/image_raw/compressed"):
        frames("robocodec/robocodec_test_6.mcap", "wrist")


def test_a_bag_without_images_says_why() -> None:
    with pytest.raises(BadInput, match="ros1msg"):
        frames("robocodec/robocodec_test_16.mcap", "")
