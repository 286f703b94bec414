"""Robot files: all that is wrong is said at once with its line, the shipped ones hold, units convert both ways."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrm_core.errors import BadInput
from lrm_core.robot import StateUnits, camera_info_topics, load_robot, project_names, robot_names

GOOD = """\
base_frame: base
joints:
  - {name: turn, position: [-1.0, 1.0], velocity: 2.0, home: 0.0}
  - {name: jaw, part: gripper, unit: m, position: [0.0, 0.08], velocity: 0.5, home: 0.04}
state: {topic: joint_states}
command: {kind: forward_command, topic: arm/commands}
gripper: {kind: in_command, opening_m: [0.0, 0.08], wire: [100, 0]}
cameras: [{name: front}]
tool: {model: arm.xml}
reset: {kind: service}
"""
SHIPPED = {"so101": 5, "franka_fr3": 7, "ur5e": 6, "sim_arm": 5, "gazebo_arm": 5}


def problems(folder: Path, text: str) -> list[str]:
    path = folder / "robot.yaml"
    path.write_text(text)
    (folder / "arm.xml").touch()
    with pytest.raises(BadInput) as error:
        load_robot(str(path))
    return [line.strip() for line in str(error.value).splitlines()[1:]]


@pytest.mark.parametrize(("name", "arm_joints"), SHIPPED.items())
def test_every_shipped_robot_is_a_contract(name: str, arm_joints: int) -> None:
    robot = load_robot(name)
    assert robot.arm_joints == arm_joints
    assert robot.joints[-1].part == "gripper"
    assert (robot.limits.position_low <= robot.home).all()
    assert (robot.home <= robot.limits.position_high).all()
    assert np.isfinite(robot.limits.jerk_max).all()
    assert {camera.name for camera in robot.cameras} >= {"front", "wrist"}, "the policy's cameras"
    assert robot.camera("front").topic == "front/image_raw"
    np.testing.assert_allclose(_there_and_back(robot), robot.home, atol=1e-12)


def _there_and_back(robot) -> tuple[float, ...]:
    return robot.from_wire(robot.joint_names, robot.to_wire(robot.home).tolist())


def test_no_robot_is_forgotten_and_the_two_simulators_agree() -> None:
    assert set(robot_names()) == set(SHIPPED)
    mujoco, gazebo = load_robot("sim_arm"), load_robot("gazebo_arm")
    for part in ("joints", "state", "command", "gripper", "cameras", "tool", "base_frame"):
        assert getattr(mujoco, part) == getattr(gazebo, part)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("base_frame: base\n", "", "line 1: the file has no key 'base_frame'"),
        ("state:", "stat:", "Did you mean 'state'?"),
        ("velocity: 2.0", "velocity: fast", "line 3: joints[0].velocity is 'fast'"),
        ("velocity: 2.0", "velocity: 0.0", "line 3: joints[0].velocity is 0.0: expected at least"),
        ("velocity: 2.0", "velocity: .nan", "line 3: joints[0].velocity is nan: expected a finite number"),
        ("velocity: 2.0", "jerk: 2.0", "line 3: joints[0] has no key 'velocity'"),
        ("velocity: 2.0", "velocity: 2.0, jerk: 9.0", "line 3: jerk of turn needs an acceleration"),
        ("[-1.0, 1.0]", "[1.0, -1.0]", "line 3: position of turn"),
        ("[-1.0, 1.0]", "[-1.0]", "expected 2 finite numbers"),
        ("[-1.0, 1.0]", "[-90, 90]", "Degrees?"),
        ("home: 0.0", "home: 2.0", "line 3: home of turn is 2.0: expected within [-1.0, 1.0]"),
        ("name: jaw", "name: turn", "2 named 'turn'"),
        ("unit: m, ", "", "line 4: unit of jaw is rad"),
        ("part: gripper, unit: m, ", "", "0 of part gripper: expected 1"),
        ("forward_command", "forward_comand", "line 6: command.kind is 'forward_comand'"),
        ("arm/commands", "9/commands", "line 6: command.topic is '9/commands'"),
        ("arm/commands", "command", "line 6: command.topic 'command' is the safety stage's own"),
        ("kind: in_command", "kind: gripper_action", "gripper has no topic"),
        ("wire: [100, 0]", "wire: [5, 5]", "line 7: gripper.wire"),
        ("opening_m: [0.0, 0.08]", "opening_m: [0.0, 0.07]", "expected within gripper.opening_m"),
        ("[{name: front}]", "[{name: front}, {name: front}]", "2 named 'front'"),
        ("[{name: front}]", "3", "line 8: cameras is 3: expected a list"),
        ("forward_command, ", "twist_servo, ", "a twist has no gripper"),
        ("arm.xml", "nowhere.xml", "line 9: tool.model is 'nowhere.xml': expected a file"),
        ("arm.xml", "package://lrm_nowhere/arm.xml", "line 9: tool.model is 'package://lrm_nowhere/arm.xml'"),
        ("tool: {model: arm.xml}", "tool: {workspace_low_m: [0, 0, 0], workspace_high_m: [1, 1, 1]}", "no model"),
        ("arm.xml}", "arm.xml, workspace_low_m: [0, 2, 0], workspace_high_m: [1, 1, 1]}", "less than workspace_high_m"),
    ],
)  # fmt: skip
def test_a_fault_is_named_with_its_line_and_what_is_allowed(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in GOOD
    assert any(said in problem for problem in problems(tmp_path, GOOD.replace(old, new, 1)))


def test_all_faults_are_said_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("velocity: 2.0", "velocity: -1.0").replace("[0.0, 0.08], velocity", "[0.1, 0.08], velocity")
    text = text.replace("arm/commands", "arm//commands").replace("kind: service", "kind: button")
    assert [problem.partition(":")[0] for problem in problems(tmp_path, text)] == [f"line {n}" for n in (3, 4, 6, 10)]


def test_an_unknown_robot_is_told_which_there_are() -> None:
    with pytest.raises(BadInput, match="franka_fr3"):
        load_robot("so100")


def test_a_missing_model_is_said_to_whom_asks_for_it(tmp_path: Path) -> None:
    path = tmp_path / "robot.yaml"
    path.write_text(GOOD.replace("tool: {model: arm.xml}\n", ""))
    with pytest.raises(BadInput, match="refinement, a workspace box and twist_servo need it"):
        _ = load_robot(str(path)).model_path


@given(st.floats(0.0, 0.08), st.floats(-1.0, 1.0))
def test_the_gripper_converts_both_ways_and_the_arm_stays(opening: float, turn: float) -> None:
    robot = load_robot("ur5e")
    there = robot.to_wire(np.array([turn] * 6 + [opening]))
    assert there[:6].tolist() == [turn] * 6
    assert 0.8 * (1 - opening / 0.085) == pytest.approx(there[6], abs=1e-9)
    assert robot.from_wire(robot.joint_names, there.tolist())[6] == pytest.approx(opening, abs=1e-9)


LEROBOT = """\
base_frame: base
joints:
  - {name: turn, position: [-1.0, 1.0], velocity: 2.0, home: 0.0}
  - {name: jaw, part: gripper, unit: m, position: [0.0, 0.08], velocity: 0.5, home: 0.04}
state: {topic: joint_states}
command: {kind: joint_trajectory, topic: command}
gripper: {kind: in_command}
cameras: [{name: front}]
reset: {kind: service}
lerobot:
  type: so101_follower
  id: mine
  port: /dev/ttyACM0
  options: {use_degrees: true}
  joints:
    - {name: turn, motor: shoulder_pan, sign: -1, offset: 0.5}
    - {name: jaw, unit: range_0_100, scale: 0.0008}
  cameras:
    front: {type: opencv, index_or_path: 0}
"""


def test_lerobots_section_maps_every_joint_in_the_order_of_a_command(tmp_path: Path) -> None:
    path = tmp_path / "robot.yaml"
    path.write_text(LEROBOT)
    arm = load_robot(str(path)).lerobot
    assert arm is not None
    assert (arm.type, arm.id, arm.port, arm.options) == (
        "so101_follower",
        "mine",
        "/dev/ttyACM0",
        {"use_degrees": True},
    )
    assert [(one.name, one.motor, one.sign) for one in arm.joints] == [("turn", "shoulder_pan", -1), ("jaw", "jaw", 1)]
    assert arm.joints[0].scale == pytest.approx(np.pi / 180)
    assert load_robot("sim_arm").lerobot is None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("  type: so101_follower\n", "", "line 10: lerobot has no key 'type'"),
        ("id: mine", "id: 7", "line 12: lerobot.id is 7: expected text; put it in quotes"),
        ("  port:", "  prot:", "Did you mean 'port'?"),
        ("{use_degrees: true}", "{port: x}", "line 14: lerobot.options.port: set lerobot.port instead"),
        ("{use_degrees: true}", "3", "line 14: lerobot.options is 3: expected keys with values"),
        ("name: turn, motor", "name: trun, motor", "Did you mean 'turn'?"),
        ("{name: jaw, unit", "{name: turn, unit", "two named 'turn'"),
        ("sign: -1", "sign: 2", "line 16: lerobot.joints[0].sign is 2"),
        ("range_0_100", "percent", "line 17: lerobot.joints[1].unit is 'percent'"),
        (", scale: 0.0008", "", "line 17: lerobot.joints[1]: jaw (range_0_100) has no scale: expected m per unit"),
        ("    - {name: jaw, unit: range_0_100, scale: 0.0008}\n", "", "jaw (degrees) has no scale"),
        ("front: {type", "side: {type", "line 19: lerobot.cameras.side is 'side': expected one of ['front']"),
        ("{type: opencv, ", "{", "line 19: lerobot.cameras.front is"),
        ("[{name: front}]", "[{name: front, encoding: bgr8}]", "camera front gives rgb8, and cameras says bgr8"),
        ("topic: command}", "topic: arm/command, stamp: zero}", "without its stamp no command is ever stale"),
        (
            "gripper: {kind: in_command}", "gripper: {kind: forward_command, topic: jaw}",
            "lerobot needs gripper.kind in_command",
        ),
        ("lerobot:", "lerobot: so101\nlerobots:", "line 10: lerobot is 'so101': expected keys with values"),
    ],
)  # fmt: skip
def test_a_fault_in_lerobots_section_is_named_with_its_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in LEROBOT
    assert any(said in problem for problem in problems(tmp_path, LEROBOT.replace(old, new, 1)))


ODD = (
    GOOD.replace("joint_states", "/driver/measured")
    .replace("tool: {model: arm.xml}\n", "")
    .replace("[{name: front}]", "[{name: front, topic: rig/rgb/image_raw, depth: rig/cloud}, {name: wrist}]")
    .replace("kind: in_command,", "kind: forward_command, topic: jaw/goal,")
)


def test_every_topic_of_a_contract_has_the_name_that_all_tools_know(tmp_path: Path) -> None:
    path = tmp_path / "robot.yaml"
    path.write_text(ODD)
    assert project_names(load_robot(str(path)), "/left/") == {
        "/driver/measured": "/left/joint_states",
        "/left/rig/rgb/image_raw": "/left/front/image_raw",
        "/left/rig/rgb/image_raw/compressed": "/left/front/image_raw/compressed",
        "/left/rig/rgb/camera_info": "/left/front/camera_info",
        "/left/rig/cloud": "/left/front/depth",
        "/left/wrist/image_raw": "/left/wrist/image_raw",
        "/left/wrist/image_raw/compressed": "/left/wrist/image_raw/compressed",
        "/left/wrist/camera_info": "/left/wrist/camera_info",
        "/left/arm/commands": "/left/arm/commands",
        "/left/jaw/goal": "/left/jaw/goal",
    }


def test_cameras_are_named_as_in_the_file_or_by_their_topic(tmp_path: Path) -> None:
    path = tmp_path / "robot.yaml"
    path.write_text(ODD)
    robot = load_robot(str(path))
    named = ["front", "wrist", "front/camera_info", "/hall/camera_info"]
    topics = ["rig/rgb/camera_info", "wrist/camera_info", "front/camera_info", "/hall/camera_info"]
    assert camera_info_topics(robot, named) == topics
    for name in ("top", "front/image_raw", ""):
        with pytest.raises(BadInput, match=r"observation_topics.*front, wrist"):
            camera_info_topics(robot, [name])


@pytest.mark.parametrize("name", robot_names())
def test_the_shipped_robots_use_the_names_of_the_project(name: str) -> None:
    assert all(topic == known for topic, known in project_names(load_robot(name)).items())


@given(st.tuples(*[st.floats(-10.0, 10.0)] * 4))
def test_units_of_the_state_survive_text(ends: tuple[float, float, float, float]) -> None:
    units = StateUnits(("turn", "finger"), (ends[0], ends[1]), (ends[2], ends[3]))
    assert StateUnits.from_json(units.to_json()) == units


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"joint_names": [], "wire": [0, 1], "opening_m": [0, 1]}',
                                  '{"joint_names": ["a"], "wire": [0], "opening_m": [0, 1]}',
                                  '{"joint_names": ["a"], "wire": [0, NaN], "opening_m": [0, 1]}'])  # fmt: skip
def test_other_text_is_no_units(text: str) -> None:
    with pytest.raises(BadInput, match="state units"):
        StateUnits.from_json(text)


LEADER = """\
leader:
  type: so101_leader
  id: my_leader
  port: /dev/ttyACM1
  joints:
    - {name: turn, motor: pan}
"""


def test_what_a_leader_does_not_say_of_a_joint_is_as_in_the_arm_that_follows(tmp_path: Path) -> None:
    path = tmp_path / "robot.yaml"
    path.write_text(LEROBOT + LEADER)
    robot = load_robot(str(path))
    assert robot.leader is not None
    assert robot.lerobot is not None
    assert [(one.motor, one.sign, one.offset) for one in robot.leader.joints] == [("pan", 1, 0.0), ("jaw", 1, 0.0)]
    assert robot.leader.joints[1] == robot.lerobot.joints[1]
    command = "lerobot-calibrate --teleop.type=so101_leader --teleop.port=/dev/ttyACM1 --teleop.id=my_leader"
    assert robot.leader.calibrate_command == command
    assert load_robot("sim_arm").leader is None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("  type: so101_leader\n", "", "leader has no key 'type'"),
        ("{name: turn, motor", "{name: trun, motor", "leader.joints[0].name is 'trun'"),
        ("  port: /dev/ttyACM1", "  cameras: {}", "leader.cameras: there is no such key"),
        ("  id: my_leader", "  id: my_leader\n  options: {id: x}", "leader.options.id: set leader.id instead"),
    ],
)
def test_a_fault_in_the_leaders_section_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in LEADER
    assert any(said in problem for problem in problems(tmp_path, LEROBOT + LEADER.replace(old, new, 1)))
