"""Files of an arm and a leader that LeRobot knows in a simulation: contract, calibrations, plugins as installed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from lrm_core.robot import robot_path

DRIVER, TELEOP = "lrm_robot_driver.ros.node", "lrm_robot_driver.ros.teleop_node"
RANGES = {"gripper": (1000, 3000)}
FULL_TURN = (0, 4095)
MOTORS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
SECTION = """
lerobot:
  type: simulated_follower
  id: bench
  port: {folder}/port
  options: {{use_degrees: true, calibration_dir: {folder}/calibration}}
  joints:
    - {{name: elbow_flex, sign: -1, offset: 1.2}}
    - {{name: gripper, unit: range_0_100, scale: 0.0008}}
  cameras:
    front: {{type: simulated_eye, view: front, port: {folder}/port, device: {folder}/eye}}
    wrist: {{type: simulated_eye, view: wrist, port: {folder}/port, device: {folder}/eye}}
"""
LEADER = """
leader:
  type: simulated_leader
  id: hand
  port: {folder}/leader
  options: {{use_degrees: true, calibration_dir: {folder}/calibration}}
  joints:
    - {{name: elbow_flex, sign: -1, offset: 1.2}}
    - {{name: gripper, unit: range_0_100, scale: 0.0008}}
"""


def write_robot(folder: Path, reset: str = "service") -> Path:
    """The simulated arm as an arm of LeRobot, plugged in and calibrated; returns its file."""
    text = robot_path("sim_arm").read_text().replace("{kind: service, service: reset}", f"{{kind: {reset}}}")
    path = folder / "arm.yaml"
    path.write_text(text + SECTION.format(folder=folder))
    (folder / "eye").touch()
    (folder / "port").write_text(write_calibration(folder).read_text())
    install_plugin(folder, "lerobot_robot_simulated")
    return path


def write_leader(folder: Path) -> Path:
    """The simulated arm, driven by the simulator, with a leader of LeRobot, plugged in and calibrated; its file."""
    path = folder / "led.yaml"
    path.write_text(robot_path("sim_arm").read_text() + LEADER.format(folder=folder))
    (folder / "leader").write_text(write_calibration(folder, "hand").read_text())
    install_plugin(folder, "lerobot_teleoperator_simulated")
    return path


def hold(folder: Path, joints: np.ndarray) -> None:
    """A person moves the leader so that its joints are at ``joints`` (6,), rad and m."""
    new = folder / "hand.new"
    new.write_text(json.dumps(joints.tolist()))
    new.replace(folder / "leader.hand")


def write_calibration(folder: Path, name: str = "bench", **ranges: tuple[int, int]) -> Path:
    """The file that ``lerobot-calibrate`` would write."""
    found = {name: ranges.get(name, RANGES.get(name, FULL_TURN)) for name in MOTORS}
    values = {
        name: {"id": number, "drive_mode": 0, "homing_offset": 0, "range_min": low, "range_max": high}
        for number, (name, (low, high)) in enumerate(found.items(), 1)
    }
    path = folder / "calibration" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(values))
    return path


def install_plugin(folder: Path, name: str) -> None:
    """Metadata by which LeRobot finds the plugin once ``folder`` is on the path."""
    metadata = folder / f"{name}-0.0.dist-info" / "METADATA"
    metadata.parent.mkdir(exist_ok=True)
    metadata.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.0\n")
