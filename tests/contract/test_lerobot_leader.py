"""LeRobot's own SO-101 leader on a simulated serial bus, behind the adapter of the teleoperation."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from driver_bench import hold, write_calibration, write_leader
from lrm_core.errors import BadInput
from lrm_core.robot import load_robot
from lrm_robot_driver.leader import LeRobotLeader

HOME = load_robot("sim_arm").home
NEAR = np.array([0.01] * 5 + [0.002])
CALIBRATE = "lerobot-calibrate --teleop.type=simulated_leader"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_leader(tmp_path)
    hold(tmp_path, HOME)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.fixture
def leader(folder: Path) -> Iterator[LeRobotLeader]:
    made = changed(folder)
    yield made
    made.close()


def changed(folder: Path, old: str = "leader:", new: str = "leader:") -> LeRobotLeader:
    path = folder / "led.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    return LeRobotLeader(load_robot(str(path)))


def refused(leader: LeRobotLeader) -> str:
    with pytest.raises(BadInput) as error:
        leader.open()
    leader.close()
    return str(error.value)


def test_where_a_person_holds_it_comes_in_the_units_and_order_of_the_arm(folder: Path, leader: LeRobotLeader) -> None:
    leader.open()
    for held in (HOME, HOME + np.array([0.3, -0.2, 0.15, 0.1, -0.4, -0.05])):
        hold(folder, held)
        assert (np.abs(leader.read() - held) < NEAR).all()


def test_the_motors_of_a_leader_are_off(leader: LeRobotLeader) -> None:
    from lerobot.motors.feetech import FeetechMotorsBus

    leader.open()
    address = FeetechMotorsBus.model_ctrl_table["sts3215"]["Torque_Enable"][0]
    registers = leader._teleoperator.bus.port_handler.scene.registers
    assert {one[address] for one in registers.values()} == {0}


def test_without_a_calibration_the_command_that_makes_one_is_named(folder: Path, leader: LeRobotLeader) -> None:
    (folder / "calibration" / "hand.json").unlink()
    said = refused(leader)
    assert f"{CALIBRATE} --teleop.port={folder}/leader --teleop.id=hand" in said


def test_a_joint_that_was_hardly_moved_while_calibrating_is_named(folder: Path, leader: LeRobotLeader) -> None:
    write_calibration(folder, "hand", wrist_flex=(2000, 2050))
    said = refused(leader)
    assert "wrist_flex" in said
    assert CALIBRATE in said


def test_a_leader_may_reach_less_than_the_limits_of_the_arm(folder: Path, leader: LeRobotLeader) -> None:
    text = write_calibration(folder, "hand", shoulder_pan=(1900, 2200)).read_text()
    (folder / "leader").write_text(text)
    leader = changed(folder)
    leader.open()
    leader.close()


def test_a_calibration_of_another_leader_is_refused(folder: Path, leader: LeRobotLeader) -> None:
    write_calibration(folder, "hand", shoulder_pan=(100, 4000))
    assert "expected what is written in its motors" in refused(leader)


def test_a_pulled_cable_raises_and_the_port_is_given_back(folder: Path, leader: LeRobotLeader) -> None:
    leader.open()
    bus, port = leader._teleoperator.bus, folder / "leader"
    port.rename(folder / "away")
    with pytest.raises(ConnectionError, match="no status packet"):
        leader.read()
    leader.close()
    assert not bus.is_connected
    assert "lerobot-find-port" in refused(changed(folder))
    (folder / "away").rename(port)
    leader.open()
    assert np.isfinite(leader.read()).all()


def test_a_position_that_is_not_a_number_is_refused(leader: LeRobotLeader, monkeypatch: pytest.MonkeyPatch) -> None:
    leader.open()
    action = leader._teleoperator.get_action()
    monkeypatch.setattr(leader._teleoperator, "get_action", lambda: {**action, "elbow_flex.pos": math.nan})
    with pytest.raises(BadInput, match="elbow_flex"):
        leader.read()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("use_degrees: true", "use_degrees: false", "unit of shoulder_pan of leader"),
        ("name: elbow_flex, sign", "name: elbow_flex, motor: elbow, sign", "motors of leader in"),
    ],
)
def test_units_and_motors_that_are_not_lerobots_are_refused(folder: Path, old: str, new: str, said: str) -> None:
    assert said in refused(changed(folder, old, new))


def test_one_that_says_how_the_tool_moves_is_refused(leader: LeRobotLeader, monkeypatch: pytest.MonkeyPatch) -> None:
    from lerobot_teleoperator_simulated import SimulatedLeader

    monkeypatch.setattr(SimulatedLeader, "action_features", {"dtype": "float32", "shape": (4,), "names": {}})
    assert "need a node of their own" in refused(leader)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("type: simulated_leader", "type: so1o1_leader", "one of ["),
        ("use_degrees: true", "use_degree: true", "use_degree"),
    ],
)
def test_a_type_or_option_that_lerobot_does_not_have_is_refused(folder: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(BadInput) as error:
        changed(folder, old, new)
    assert said in str(error.value)


def test_a_robot_without_a_leader_is_refused() -> None:
    with pytest.raises(BadInput, match="which of LeRobot's teleoperators"):
        LeRobotLeader(load_robot("sim_arm"))


@pytest.mark.parametrize(
    ("kind", "config"), [("so101_leader", "SOLeaderTeleopConfig"), ("koch_leader", "KochLeaderConfig")]
)
def test_the_leaders_of_lerobot_are_found_by_their_names(folder: Path, kind: str, config: str) -> None:
    text = (folder / "led.yaml").read_text().replace("simulated_leader", kind)
    (folder / "led.yaml").write_text(text.replace("use_degrees: true, ", ""))
    assert type(LeRobotLeader(load_robot(str(folder / "led.yaml")))._config).__name__ == config
