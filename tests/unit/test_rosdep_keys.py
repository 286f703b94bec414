"""Every dependency in a package.xml is a key that rosdep resolves on Ubuntu 24.04 with ROS 2 Jazzy."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from source_tree import SRC

JAZZY = {
    "action_msgs", "ament_cmake", "ament_index_python", "builtin_interfaces", "control_msgs", "diagnostic_msgs",
    "geometry_msgs", "launch", "launch_ros", "lifecycle_msgs", "rcl_interfaces", "rclpy", "rmw_fastrtps_cpp",
    "ros2launch", "ros_gz_bridge", "ros_gz_sim", "rosgraph_msgs", "rosidl_default_generators", "rosidl_default_runtime",
    "sensor_msgs", "sensor_msgs_py", "std_msgs", "std_srvs", "trajectory_msgs",
}  # fmt: skip
"""Released packages, from jazzy/distribution.yaml of github.com/ros/rosdistro, August 2026."""
NOBLE = {"python3-numpy": "python3-numpy", "python3-yaml": "python3-yaml"}
"""Key -> Debian package on noble, from rosdep/python.yaml of the same."""
PIP: dict[str, str] = {}
"""Key ending in -pip -> name on the package index. Empty: those come from requirements.lock, with their versions."""
MANIFESTS = sorted(SRC.glob("*/package.xml"))


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.parent.name)
def test_rosdep_knows_every_key(manifest: Path) -> None:
    ours = {path.parent.name for path in MANIFESTS}
    keys = {one.text or "" for one in ElementTree.parse(manifest).getroot() if one.tag.endswith("depend")}
    assert keys - ours - JAZZY - set(NOBLE) - set(PIP) == set()


def test_pip_keys_are_told_from_those_of_debian() -> None:
    assert all(key.startswith("python3-") and key.endswith("-pip") for key in PIP)
    assert not any(key.endswith("-pip") for key in NOBLE)


def test_what_the_launch_files_start_with_is_declared() -> None:
    root = ElementTree.parse(SRC / "lrm_bringup" / "package.xml").getroot()
    keys = {one.text for one in root if one.tag.endswith("depend")}
    assert {"launch", "launch_ros", "ros2launch", "rmw_fastrtps_cpp"} <= keys
