"""Files of a robot that LeRobot drives in a simulation: its contract, its calibration, and the plugin as installed."""

from __future__ import annotations

import json
from pathlib import Path

from lrm_core.robot import robot_path

DRIVER = "lrm_robot_driver.ros.node"
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


def write_robot(folder: Path, reset: str = "service") -> Path:
    """The simulated arm as an arm of LeRobot, plugged in and calibrated; returns its file."""
    text = robot_path("sim_arm").read_text().replace("{kind: service, service: reset}", f"{{kind: {reset}}}")
    path = folder / "arm.yaml"
    path.write_text(text + SECTION.format(folder=folder))
    (folder / "eye").touch()
    (folder / "port").write_text(write_calibration(folder).read_text())
    install_plugin(folder)
    return path


def write_calibration(folder: Path, **ranges: tuple[int, int]) -> Path:
    """The file that ``lerobot-calibrate`` would write."""
    found = {name: ranges.get(name, RANGES.get(name, FULL_TURN)) for name in MOTORS}
    values = {
        name: {"id": number, "drive_mode": 0, "homing_offset": 0, "range_min": low, "range_max": high}
        for number, (name, (low, high)) in enumerate(found.items(), 1)
    }
    path = folder / "calibration" / "bench.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(values))
    return path


def install_plugin(folder: Path) -> None:
    """Metadata by which LeRobot finds the plugin once ``folder`` is on the path."""
    metadata = folder / "lerobot_robot_simulated-0.0.dist-info" / "METADATA"
    metadata.parent.mkdir(exist_ok=True)
    metadata.write_text("Metadata-Version: 2.1\nName: lerobot_robot_simulated\nVersion: 0.0\n")
