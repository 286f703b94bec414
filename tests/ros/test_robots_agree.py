"""Simulators, driver and robot files offer one interface: topics, types, quality of service, frames, units, rates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import QoSCompatibility, QoSProfile, qos_check_compatible

from driver_bench import write_robot
from gazebo_robot import TopicPlacer
from graph_use import robot_nodes
from lrm_core.robot import RobotContract, camera_info_topics, load_robot, robot_names
from lrm_core.ros import qos, robot_side
from lrm_core.ros.lifecycle import LrmLifecycleNode
from lrm_policy_node.runtime.params import PolicyParams
from lrm_policy_node.safety.params import SafetyParams
from lrm_robot_driver.params import DriverParams
from lrm_robot_driver.ros.node import DriverNode
from lrm_sim.env import HOME
from lrm_sim.params import GazeboParams, SimParams
from lrm_sim.ros import messages, placing
from lrm_sim.ros.gazebo_node import GazeboNode
from lrm_sim.ros.node import SimNode
from lrm_sim.scene import CAMERAS, JOINTS
from ros_testing import default_context

SIMULATED = ("sim_arm", "gazebo_arm")
Ends = Mapping[str, tuple[type, QoSProfile]]
"""Topic -> type and quality of service."""


def robot_topics(robot: RobotContract) -> list[str]:
    """What every robot publishes."""
    names = [camera.name for camera in robot.cameras]
    return [robot.state.topic, *camera_info_topics(robot, names), *(camera.image_topic for camera in robot.cameras)]


def ends(found: Any) -> Ends:
    """Publishers or subscriptions of a node, by topic without the slash of the root."""
    return {one.topic_name.lstrip("/"): (one.msg_type, one.qos_profile) for one in found if hasattr(one, "msg_type")}


@contextmanager
def configured(*nodes: LrmLifecycleNode[Any]) -> Iterator[None]:
    """The nodes, with all their topics open."""
    with ExitStack() as stack:
        for node in nodes:
            stack.callback(node.destroy_node)
            stack.callback(node.trigger_shutdown)
            assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS, node.failure
        yield


def same(first: QoSProfile, second: QoSProfile) -> bool:
    keys = ("reliability", "durability", "history", "depth", "deadline", "lifespan", "liveliness")
    return all(getattr(first, key) == getattr(second, key) for key in keys)


def test_simulators_and_driver_offer_and_take_the_same(
    ros_domain_id: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import lerobot_robot_simulated  # noqa: F401 - registers itself with LeRobot

    monkeypatch.setattr(placing, "PLACERS", {"topic": TopicPlacer})
    robot, wanted = load_robot("sim_arm"), {"command", *robot_topics(load_robot("sim_arm"))}
    with default_context():
        driver = DriverNode(parameter_overrides=[Parameter("robot", value=str(write_robot(tmp_path)))])
        sides = {"mujoco": SimNode(), "gazebo": GazeboNode(), "driver": driver}
        sides["mujoco"].set_parameters([Parameter("lockstep", value=False)])
        with configured(*sides.values()):
            offered = {name: ends([*node.publishers, *node.subscriptions]) for name, node in sides.items()}
            resets = {
                name: {one.srv_type for one in node.services if one.srv_name.lstrip("/") == robot.reset.service}
                for name, node in sides.items()
            }
    assert len(set(map(frozenset, resets.values()))) == 1 and all(resets.values())
    for name, found in offered.items():
        assert wanted <= set(found), f"{name} lacks {wanted - set(found)}"
        for topic in wanted:
            kind, profile = offered["mujoco"][topic]
            assert found[topic][0] is kind, (name, topic)
            assert same(found[topic][1], profile), (name, topic, found[topic][1], profile)


def test_what_hears_a_robot_asks_for_no_more_than_a_robot_offers(ros_domain_id: int) -> None:
    """All shipped files name the same topics: one robot stands for them."""
    robot = load_robot("so101")
    offers = dict.fromkeys(robot_topics(robot), qos.CAMERA) | {robot.state.topic: qos.JOINT_STATES}
    with default_context(), robot_nodes("so101") as nodes:
        for process, node in nodes.items():
            for topic, (_, asked) in ends(node.subscriptions).items():
                if topic in offers:
                    compatible, why = qos_check_compatible(offers[topic], asked)
                    assert compatible != QoSCompatibility.ERROR, (process, topic, why)
        heard = {topic for node in nodes.values() for topic in ends(node.subscriptions)}
    assert set(offers) <= heard, "and all of it is heard"


@pytest.mark.parametrize("name", SIMULATED)
def test_frames_units_and_order_of_the_simulators_are_those_of_their_files(name: str) -> None:
    robot = load_robot(name)
    picture = np.zeros((4, 4, 3), np.uint8)
    values = dict.fromkeys(CAMERAS, picture) | dict.fromkeys(("joint_positions", "joint_velocities"), HOME)
    found = messages.observation(values, {}, stamp_ns=1, seed=0, fovy_deg={}, frame_prefix="left/")
    assert found.joints.header.frame_id == f"left/{robot.base_frame}"
    assert tuple(found.joints.name) == robot.joint_names == JOINTS
    np.testing.assert_allclose(robot.from_wire(found.joints.name, found.joints.position), robot.home, atol=2e-3)
    assert set(found.cameras) == {camera.name for camera in robot.cameras}
    for camera, (image, info) in found.cameras.items():
        assert image.header.frame_id == info.header.frame_id == f"left/{camera}_camera_optical_frame"
        assert image.encoding == robot.camera(camera).encoding


class Named:
    """A node's namespace is all that the frames of a driver need."""

    def get_namespace(self) -> str:
        return "/left"


def test_a_driver_names_its_frames_as_the_simulators_do() -> None:
    assert robot_side.camera_frame(Named(), "front") == "left/front_camera_optical_frame"  # type: ignore[arg-type]


def test_all_files_count_in_the_same_units_and_have_the_same_cameras() -> None:
    robots = [load_robot(name) for name in robot_names()]
    assert {tuple(camera.image_topic for camera in robot.cameras) for robot in robots} == {
        ("front/image_raw", "wrist/image_raw")
    }
    for robot in robots:
        assert {joint.unit for joint in robot.joints if joint.part == "arm"} == {"rad"}, robot.name
        assert [joint.unit for joint in robot.joints if joint.part == "gripper"] == ["m"], robot.name
        assert robot.state.topic == "joint_states", robot.name


def test_the_rates_of_the_nodes_are_enough_for_every_file() -> None:
    """And a policy of the shipped rate gets a new observation for each of its steps from every real arm."""
    control_hz = SafetyParams().control_rate_hz
    nominal = {"sim_arm": SimParams().control_rate_hz, "gazebo_arm": GazeboParams().control_rate_hz}
    assert control_hz == PolicyParams().control_rate_hz == DriverParams().control_rate_hz
    for name in robot_names():
        robot = load_robot(name)
        assert robot.command.min_rate_hz <= control_hz, name
        slowest = min([robot.state.min_rate_hz, *(camera.min_rate_hz for camera in robot.cameras)])
        assert control_hz <= nominal.get(name, slowest), name
        assert slowest <= nominal.get(name, slowest), name
    so101 = load_robot("so101")
    assert so101.state.min_rate_hz < DriverParams().state_rate_hz
    assert so101.lerobot is not None
    for camera, options in so101.lerobot.cameras.items():
        assert so101.camera(camera).min_rate_hz < options["fps"]
