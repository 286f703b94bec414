"""Judging a robot from what was seen: clocks, orders and names that a live test cannot make at will."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lrm_bringup.robot_check.judging import Finding, judge, nearest
from lrm_bringup.robot_check.observed import Seen, Sink, Stream
from lrm_core.robot import CommandSpec, load_robot
from lrm_policy_node.robot_model import load_kinematics

ROBOT = replace(load_robot("so101"), command=CommandSpec("forward_command", "position_controller/commands"))
JOINTS, IMAGE, ARRAY = "sensor_msgs/msg/JointState", "sensor_msgs/msg/Image", "std_msgs/msg/Float64MultiArray"


def stream(topic: str, kind: str, age_s: float = 0.01) -> Stream:
    times = [0.02 * step for step in range(100)]
    stamps = [1_000_000_000 + round(1e9 * time) for time in times]
    return Stream(
        topic, kind, [kind], arrivals_s=times, ages_s=[age_s] * 100, stamps_ns=stamps, image=("rgb8", 640, 480)
    )


def healthy() -> Seen:
    state = stream("/joint_states", JOINTS)
    wire = dict(zip(ROBOT.joint_names, ROBOT.to_wire(ROBOT.home).tolist(), strict=True))
    state.joints, state.order = wire, list(wire)
    state.largest = {name: abs(value) for name, value in wire.items()}
    cameras = {name: stream(f"/{name}/image_raw", IMAGE) for name in ("front", "wrist")}
    infos = {f"/{name}/camera_info": ["sensor_msgs/msg/CameraInfo"] for name in cameras}
    sink = Sink("/position_controller/commands", ARRAY, [ARRAY])
    return Seen(2.0, state, cameras, sink, None, None, published=infos)


def faults(seen: Seen) -> dict[str, Finding]:
    return {finding.line: finding for finding in judge(ROBOT, seen) if not finding.ok}


@pytest.mark.parametrize(
    ("turn", "said"),
    [(0.0, "[0.241, 0.000, 0.098] m in base, in its box"), (1.57, "[0.039, -0.202, 0.098] m in base, 0.041 m outside")],
)
def test_the_tool_is_said_where_the_model_puts_it(turn: float, said: str) -> None:
    seen = healthy()
    seen.state.joints["shoulder_pan"] = turn
    lines = {finding.line: finding for finding in judge(ROBOT, seen, load_kinematics(ROBOT).tcp)}
    assert lines["tool"].ok
    assert said in lines["tool"].found
    del seen.state.joints["elbow_flex"]
    assert "tool" not in {finding.line for finding in judge(ROBOT, seen, load_kinematics(ROBOT).tcp)}


def test_a_healthy_robot_has_no_fault() -> None:
    assert faults(healthy()) == {}


@pytest.mark.parametrize(
    ("age_s", "word"),
    [(-0.2, "in the future"), (-3600.0, "ahead of"), (7.0, "behind"), (0.4, "age 400 ms")],
)
def test_stamps_of_another_clock_and_late_ones_are_told_apart(age_s: float, word: str) -> None:
    seen = healthy()
    seen.state.ages_s = [age_s] * 100
    assert word in faults(seen)["state: stamps"].found


@pytest.mark.parametrize("line", ["state", "camera wrist"])
def test_two_publishers_of_one_stream_are_named(line: str) -> None:
    seen = healthy()
    one = seen.state if line == "state" else seen.cameras["wrist"]
    one.publishers = ["/arm", "/old_arm"]
    (found,) = faults(seen).values()
    assert (found.line, found.found) == (f"{line}: publishers", "/arm and /old_arm publish it")


def test_pictures_without_camera_info_are_named_compressed_ones_too() -> None:
    seen = healthy()
    seen.cameras["front"].topic += "/compressed"
    assert faults(seen) == {}
    seen.published = {"/wrist/camera_info": ["sensor_msgs/msg/CameraInfo"], "/front/camera_info": [IMAGE]}
    (found,) = faults(seen).values()
    assert (found.line, found.found) == ("camera front: info", "nobody publishes /front/camera_info")


def test_a_stamp_that_stands_still_is_named() -> None:
    seen = healthy()
    seen.state.stamps_ns = [seen.state.stamps_ns[0]] * 100
    assert "stands still" in faults(seen)["state: stamps"].found


def test_an_order_matters_only_where_commands_have_no_names() -> None:
    seen = healthy()
    seen.state.order = seen.state.order[::-1]
    assert "has no names" in faults(seen)["state: joints"].fix
    named = replace(ROBOT, command=replace(ROBOT.command, kind="joint_trajectory"))
    seen.command = replace(seen.command, kind=ARRAY)
    assert [finding.line for finding in judge(named, seen) if not finding.ok] == []


def test_one_joint_that_turned_too_far_while_it_was_listened_to_gives_degrees_away() -> None:
    seen = healthy()
    seen.state.largest["shoulder_pan"] = 45.0
    assert "Degrees" in faults(seen)["joint shoulder_pan"].fix


def test_a_topic_of_another_type_is_not_taken_for_missing() -> None:
    seen = healthy()
    seen.command.types = ["trajectory_msgs/msg/JointTrajectory"]
    found = faults(seen)["command: topic"]
    assert "is trajectory_msgs/msg/JointTrajectory" in found.found
    assert ARRAY in found.fix


def test_the_nearest_name_comes_first() -> None:
    assert nearest("/front/image_raw", ["/wrist/image_rect", "/camera_front/image_raw", "/x"]).startswith(
        "/camera_front"
    )
    assert nearest("/front/image_raw", []) == ""
