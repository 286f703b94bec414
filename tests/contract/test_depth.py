"""Depth images and point clouds: every legal layout is read, an illegal one is refused, and a view shows them."""

from __future__ import annotations

import array
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rclpy.serialization import serialize_message
from rerun.experimental import RrdReader
from sensor_msgs.msg import Image, PointCloud2, PointField

from lrm_bringup import cli
from lrm_bringup.bags.bag import RecordedBag
from lrm_bringup.recorder.bag import Bag, Topic
from lrm_bringup.recorder.definitions import MessageDefinitions
from lrm_bringup.recorder.facts import ROBOT_TOPICS
from lrm_bringup.view.ros import drawing
from lrm_core.errors import BadInput
from lrm_core.ros import images, stamps
from lrm_core.ros.depth import cloud_points, depth_pixels

NS = 1_000_000_000
FLOAT32, FLOAT64 = PointField.FLOAT32, PointField.FLOAT64


def cloud(
    points: np.ndarray, *, colours: bool = False, wide: bool = False, lead: int = 0, padding: int = 0,
    rows: int = 1, big: bool = False,
) -> PointCloud2:  # fmt: skip
    """A message of (N, 3) points: ``lead`` bytes before x, ``padding`` bytes after each row."""
    order, size = (">" if big else "<"), (8 if wide else 4)
    names = ["x", "y", "z", *(["rgb"] if colours else [])]
    offsets = [lead + size * i for i in range(len(names))]
    formats = [f"{order}f{size}"] * 3 + [f"{order}u4"] * colours
    step = lead + size * 3 + 4 * colours
    records = np.zeros(
        len(points), np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": step})
    )
    for axis, name in enumerate("xyz"):
        records[name] = points[:, axis]
    if colours:
        records["rgb"] = [0x010203 * (index % 50) for index in range(len(points))]
    lines = records.view(np.uint8).reshape(rows, -1)
    data = np.pad(lines, ((0, 0), (0, padding)))
    kinds = [FLOAT64 if wide else FLOAT32] * 3 + [FLOAT32] * colours
    fields = [PointField(name=n, offset=o, datatype=k, count=1) for n, o, k in zip(names, offsets, kinds, strict=True)]
    return PointCloud2(
        height=rows, width=len(points) // rows, fields=fields, is_bigendian=big, point_step=step,
        row_step=data.shape[1], data=array.array("B", data.tobytes()),
    )  # fmt: skip


FLAGS = st.booleans()


@settings(max_examples=60)
@given(
    rows=st.integers(1, 4), width=st.integers(0, 9), lead=st.integers(0, 5), padding=st.integers(0, 7),
    colours=FLAGS, wide=FLAGS, big=FLAGS, seed=st.integers(0, 99),
)  # fmt: skip
def test_a_cloud_of_any_layout_gives_its_points(
    rows: int, width: int, lead: int, padding: int, colours: bool, wide: bool, big: bool, seed: int
) -> None:
    points = np.random.default_rng(seed).normal(size=(rows * width, 3)).astype(np.float32)
    points[::4, 1] = math.nan
    message = cloud(points, colours=colours, wide=wide, lead=lead, padding=padding, rows=rows, big=big)
    found, painted = cloud_points(message)
    finite = np.isfinite(points).all(axis=1)
    np.testing.assert_array_equal(found, points[finite])
    assert (painted is not None) == colours
    if painted is not None:
        expected = [(1 * (i % 50), 2 * (i % 50), 3 * (i % 50)) for i in np.flatnonzero(finite)]
        assert [tuple(int(v) for v in one) for one in painted] == expected


@given(st.integers(1, 3000), st.integers(1, 500))
def test_a_large_cloud_is_thinned_evenly_and_never_beyond_the_limit(size: int, limit: int) -> None:
    points = np.repeat(np.arange(size, dtype=np.float32)[:, None], 3, axis=1)
    found, _ = cloud_points(cloud(points), limit)
    assert len(found) <= limit
    assert len(found) * 2 >= min(size, limit)
    assert len({float(step) for step in np.diff(found[:, 0])}) <= 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"row_step": 100}, "point cloud is '4 x 1 points"),
        ({"width": 400}, "point cloud is '400 x 1 points"),
        ({"height": 2**31}, "point cloud"),
        ({"fields": []}, "x, y and z, each once"),
        ({"fields": [PointField(name=n, datatype=99) for n in "xyz"]}, "datatype of the cloud's field x"),
        ({"fields": [PointField(name=n, offset=12, datatype=7) for n in "xyz"]}, "offsets within 12 bytes"),
    ],
)  # fmt: skip
def test_a_cloud_whose_sizes_do_not_fit_is_refused(change: dict[str, Any], said: str) -> None:
    message = cloud(np.zeros((4, 3), np.float32))
    for name, value in change.items():
        setattr(message, name, value)
    with pytest.raises(BadInput, match=said):
        cloud_points(message)


def test_the_installed_reader_and_ours_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sensor_msgs_py", reason="sensor_msgs_py is not installed here: the wheels have none")
    message = cloud(np.random.default_rng(0).normal(size=(50, 3)), colours=True, lead=3, padding=5, rows=2)
    installed = cloud_points(message)
    monkeypatch.setitem(sys.modules, "sensor_msgs_py", None)
    monkeypatch.setitem(sys.modules, "sensor_msgs_py.point_cloud2", None)
    for one, other in zip(installed, cloud_points(message), strict=True):
        np.testing.assert_array_equal(one, other)


def depth_image(encoding: str, stamp_ns: int = 0) -> Image:
    pixels = np.arange(12).reshape(3, 4).astype(np.uint16 if encoding == "16UC1" else np.float32)
    message = images.ImageBridge().cv2_to_imgmsg(pixels, encoding)
    message.header.stamp = stamps.from_ns(stamp_ns)
    return message


@pytest.mark.parametrize(("encoding", "units"), [("16UC1", 1000.0), ("32FC1", 1.0)])
def test_a_depth_image_keeps_its_numbers_and_says_their_unit(encoding: str, units: float) -> None:
    pixels, found = depth_pixels(depth_image(encoding))
    assert (found, pixels.tolist()) == (units, np.arange(12).reshape(3, 4).tolist())


def test_a_picture_is_no_depth_image() -> None:
    with pytest.raises(BadInput, match="16UC1"):
        depth_pixels(images.ImageBridge().cv2_to_imgmsg(np.zeros((3, 4, 3), np.uint8), "rgb8"))


def recorded(folder: Path, facts: dict[str, str]) -> Path:
    """Three clouds of 110 points, three depth images, three pictures."""
    bag = Bag(folder, "a.0", MessageDefinitions(), compressed=True, reserve_bytes=0)
    points = np.random.default_rng(0).normal(size=(110, 3))
    for step in range(3):
        one = cloud(points, colours=True)
        one.header.stamp = stamps.from_ns((step + 5) * NS)
        picture = images.ImageBridge().cv2_to_imgmsg(np.zeros((3, 4, 3), np.uint8), "rgb8")
        picture.header.stamp = one.header.stamp
        told = {
            "/rig/cloud": one, "/hand/range": depth_image("16UC1", (step + 5) * NS), "/front/image_raw": picture,
        }  # fmt: skip
        for topic, message in told.items():
            kind = f"sensor_msgs/msg/{type(message).__name__}"
            bag.write(Topic(topic, kind), 10**18 + step * NS, bytes(serialize_message(message)))
    return bag.close(facts)


@pytest.mark.parametrize(
    ("facts", "cloud_path", "depth_path"),
    [
        ({ROBOT_TOPICS: json.dumps({"/rig/cloud": "/front/depth", "/hand/range": "/wrist/depth"})}, "front", "wrist"),
        ({}, "rig/cloud", "hand/range"),
    ],
)
def test_depth_in_a_bag_is_in_the_viewer_s_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    facts: dict[str, str], cloud_path: str, depth_path: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(drawing, "MAX_DRAWN_POINTS", 100)
    bag, drawn = recorded(tmp_path, facts), tmp_path / "a.rrd"
    assert cli.main(["view", str(bag), "--save", str(drawn)]) == 0
    assert "3 pictures of 1 cameras, 6 depth images and clouds" in capsys.readouterr().out
    rows: dict[str, list[dict[str, Any]]] = {}
    for chunk in RrdReader(drawn).stream():
        rows.setdefault(str(chunk.entity_path), []).extend(chunk.to_record_batch().to_pylist())
    clouds = [row for row in rows[f"/clouds/{cloud_path}"] if row.get("Points3D:positions")]
    assert [row["stamp"].value for row in clouds] == [(step + 5) * NS for step in range(3)]
    assert {len(row["Points3D:positions"]) for row in clouds} == {55}
    assert {len(row["Points3D:colors"]) for row in clouds} == {55}
    ranges = [row for row in rows[f"/depth/{depth_path}"] if row.get("DepthImage:buffer")]
    assert {row["DepthImage:meter"][0] for row in ranges} == {1000.0}
    assert len(ranges) == 3


def test_depth_is_no_camera_of_the_policy(tmp_path: Path) -> None:
    names = {"/rig/cloud": "/front/depth", "/hand/range": "/wrist/depth"}
    bag = RecordedBag(recorded(tmp_path, {ROBOT_TOPICS: json.dumps(names)}))
    assert [topic.name for topic in bag.images] == ["/front/image_raw"]
