"""Where a latched emergency stop is kept: per robot and namespace, and not for a simulation that waits."""

from __future__ import annotations

from pathlib import Path

import pytest

from lrm_core.errors import BadInput
from lrm_policy_node.safety.latch import latch_file
from lrm_policy_node.safety.params import SafetyParams


@pytest.fixture(autouse=True)
def ros_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("ROS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_each_robot_and_namespace_has_a_file_of_its_own(ros_home: Path) -> None:
    namespaces = ("/", "/left", "/cell/left")
    files = [latch_file(SafetyParams(), robot, name) for robot in ("so101", "ur5e") for name in namespaces]
    assert len(set(files)) == 6
    assert {file.parent for file in files if file} == {ros_home / "lrm"}
    assert (ros_home / "lrm").is_dir()


def test_lockstep_and_an_empty_name_keep_nothing_and_a_name_is_taken_as_it_is(ros_home: Path) -> None:
    assert latch_file(SafetyParams(lockstep=True), "so101", "/") is None
    assert latch_file(SafetyParams(emergency_stop_file=""), "so101", "/") is None
    named = SafetyParams(emergency_stop_file="~/stop", lockstep=True)
    assert latch_file(named, "so101", "/left") == Path.home() / "stop"
    assert not ros_home.exists()


def test_a_folder_that_cannot_be_made_is_said_with_what_helps(ros_home: Path) -> None:
    ros_home.write_text("a file in its place")
    with pytest.raises(BadInput, match=r"emergency_stop_file.*Set ROS_HOME"):
        latch_file(SafetyParams(), "so101", "/")
