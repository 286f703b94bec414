"""LeRobot's own SO-101 class on a simulated serial bus, behind the driver's adapters: what goes through, what not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from driver_bench import write_calibration, write_robot
from lrm_core.errors import BadInput
from lrm_core.robot import load_robot
from lrm_robot_driver.arm import LeRobotArm
from lrm_robot_driver.cameras import LeRobotCamera
from ros_testing import wait_until

HOME = load_robot("sim_arm").home
NEAR = np.array([0.01] * 5 + [0.002])
CALIBRATE = "lerobot-calibrate --robot.type=simulated_follower"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_robot(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def changed(folder: Path, old: str, new: str) -> LeRobotArm:
    """The arm of a robot's file with another text in it."""
    path = folder / "arm.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    return LeRobotArm(load_robot(str(path)))


@pytest.fixture
def arm(folder: Path) -> Iterator[LeRobotArm]:
    made = LeRobotArm(load_robot(str(folder / "arm.yaml")))
    yield made
    made.close()


def refused(arm: LeRobotArm) -> str:
    with pytest.raises(BadInput) as error:
        arm.open()
    arm.close()
    return str(error.value)


def test_positions_go_through_lerobots_units_and_encoder_ticks_and_back(arm: LeRobotArm) -> None:
    arm.open()
    assert (np.abs(arm.read() - HOME) < NEAR).all()
    goal = HOME + np.array([0.2, 0.1, -0.15, 0.05, 0.3, -0.03])
    arm.send(goal)
    wait_until(lambda: (np.abs(arm.read() - goal) < NEAR).all(), 10.0, "the arm is there")


def test_torque_is_on_while_it_is_open_and_off_afterwards(arm: LeRobotArm) -> None:
    from lerobot.motors.feetech import FeetechMotorsBus

    arm.open()
    registers = arm._robot.bus.port_handler.scene.registers
    address = FeetechMotorsBus.model_ctrl_table["sts3215"]["Torque_Enable"][0]
    assert {one[address] for one in registers.values()} == {1}
    arm.close()
    assert {one[address] for one in registers.values()} == {0}
    arm.close()


def test_without_torque_the_arm_is_read_and_its_motors_are_never_switched_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import lerobot_robot_simulated as simulated

    holding = changed(folder, "use_degrees: true", "use_degrees: true, disable_torque_on_disconnect: false")
    holding.open()
    holding.close()
    registers, address = simulated.Scene.at(f"{folder}/port").registers, simulated._address("Torque_Enable")
    assert {one[address] for one in registers.values()} == {1}, "as somebody may have left them"
    written: list[list[int]] = []
    write = simulated.Wire.write

    def noted(wire: simulated.Wire, number: int, register: int, data: list[int]) -> int:
        written.extend([data] if register == address else [])
        return write(wire, number, register, data)

    monkeypatch.setattr(simulated.Wire, "write", noted)
    arm = LeRobotArm(load_robot(str(folder / "arm.yaml")), torque=False)
    arm.open()
    assert (np.abs(arm.read() - HOME) < NEAR).all()
    assert {one[address] for one in registers.values()} == {0}
    arm.close()
    assert [1] not in written


def test_without_a_calibration_the_command_that_makes_one_is_named(folder: Path, arm: LeRobotArm) -> None:
    (folder / "calibration" / "bench.json").unlink()
    said = refused(arm)
    assert f"{CALIBRATE} --robot.port={folder}/port --robot.id=bench" in said
    assert "bench.json" in said


def test_a_joint_that_was_hardly_moved_while_calibrating_is_named(folder: Path, arm: LeRobotArm) -> None:
    write_calibration(folder, wrist_flex=(2000, 2050))
    said = refused(arm)
    assert "wrist_flex" in said
    assert CALIBRATE in said


def test_a_calibration_of_another_arm_is_refused(folder: Path, arm: LeRobotArm) -> None:
    write_calibration(folder, shoulder_pan=(100, 4000))
    assert "expected what is written in its motors" in refused(arm)


def test_an_arm_that_is_not_plugged_in_is_refused_and_can_be_opened_later(folder: Path, arm: LeRobotArm) -> None:
    registers = (folder / "port").read_text()
    (folder / "port").unlink()
    said = refused(arm)
    assert "lerobot-find-port" in said
    (folder / "port").write_text(registers)
    arm.open()


def test_a_cable_pulled_in_the_middle_raises_and_the_port_is_given_back(folder: Path, arm: LeRobotArm) -> None:
    arm.open()
    bus, port = arm._robot.bus, folder / "port"
    port.rename(folder / "away")
    with pytest.raises(ConnectionError, match="no status packet"):
        arm.read()
    arm.close()
    assert not bus.is_connected, "or nobody could open it again"
    (folder / "away").rename(port)
    arm.open()
    assert np.isfinite(arm.read()).all()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("use_degrees: true", "use_degrees: false", "unit of shoulder_pan"),
        ("unit: range_0_100, scale: 0.0008", "scale: 0.0008", "unit of gripper"),
        ("name: elbow_flex, sign", "name: elbow_flex, motor: elbow, sign", "motors of lerobot in"),
    ],
)
def test_units_and_motors_that_are_not_lerobots_are_refused(folder: Path, old: str, new: str, said: str) -> None:
    assert said in refused(changed(folder, old, new))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("type: simulated_follower", "type: so1o1_follower", "one of ["),
        ("use_degrees: true", "use_degree: true", "use_degree"),
        ("lerobot:", "# lerobot:", "which of LeRobot's arms"),
    ],
)
def test_a_type_or_option_that_lerobot_does_not_have_is_refused(folder: Path, old: str, new: str, said: str) -> None:
    if old == "lerobot:":  # without the whole section
        path = folder / "arm.yaml"
        path.write_text(path.read_text().partition("\nlerobot:")[0])
        old = new = "base_frame"
    with pytest.raises(BadInput) as error:
        changed(folder, old, new)
    assert said in str(error.value)


def test_an_arm_whose_sdk_is_not_installed_says_how_to_install_it(folder: Path) -> None:
    pytest.importorskip("lerobot")
    from lerobot.utils.import_utils import _feetech_sdk_available

    if _feetech_sdk_available:
        pytest.skip("Feetech's SDK is installed here")
    text = (folder / "arm.yaml").read_text().replace("simulated_follower", "so101_follower")
    (folder / "arm.yaml").write_text(text)
    assert "lerobot[feetech]" in refused(LeRobotArm(load_robot(str(folder / "arm.yaml"))))


def camera(folder: Path, taken: list[tuple[np.ndarray, float]]) -> LeRobotCamera:
    robot = load_robot(str(folder / "arm.yaml"))
    assert robot.lerobot is not None
    return LeRobotCamera(
        robot, robot.camera("front"), robot.lerobot.cameras["front"], 1.0, lambda rgb, age_s: taken.append((rgb, age_s))
    )


def test_a_camera_gives_every_frame_with_its_age(folder: Path) -> None:
    taken: list[tuple[np.ndarray, float]] = []
    eye = camera(folder, taken)
    eye.open()
    began_s = time.perf_counter()
    eye.step()
    eye.step()
    spent_s = time.perf_counter() - began_s
    eye.close()
    assert [rgb.shape for rgb, _ in taken] == [(128, 128, 3)] * 2
    assert all(0.0 <= age_s < spent_s + 1.0 for _, age_s in taken)


def test_a_camera_that_is_not_there_or_has_another_size_is_refused(folder: Path) -> None:
    (folder / "eye").rename(folder / "gone")
    with pytest.raises(BadInput, match="lerobot-find-cameras"):
        camera(folder, []).open()
    (folder / "gone").rename(folder / "eye")
    path = folder / "arm.yaml"
    path.write_text(path.read_text().replace("{name: front, encoding: rgb8, width: 128", "{name: front, width: 640"))
    eye = camera(folder, [])
    with pytest.raises(BadInput, match="128x128"):
        eye.open()
    eye.close()
