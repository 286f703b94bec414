"""``lrm robot check`` as a process, against a robot that is a process of its own and has the faults of real ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ros_testing import node_process, wait_until

HERE = Path(__file__).resolve().parent
ROBOT = """
base_frame: base
joints:
  - {name: joint, position: [-1.0, 1.0], velocity: 2.0, home: 0.0}
  - {name: gripper, part: gripper, unit: m, position: [0.0, 0.08], velocity: 0.5, home: 0.04}
state: {topic: joint_states, min_rate_hz: 5.0, max_age_s: 0.5}
command: {kind: joint_trajectory, topic: command}
gripper: {kind: in_command}
cameras:
  - {name: front, encoding: rgb8, width: 16, height: 16, min_rate_hz: 5.0, depth: front/points}
  - {name: wrist, encoding: rgb8, width: 16, height: 16, min_rate_hz: 5.0}
reset: {kind: service}
"""


def check(tmp_path: Path, domain: int, *faults: str, seconds: float = 3.0) -> tuple[int, dict[str, dict[str, object]]]:
    """Exit code, and line -> finding."""
    path = tmp_path / "robot.yaml"
    path.write_text(ROBOT)
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), "ROS_DOMAIN_ID": str(domain)}
    program = "import sys; from lrm_bringup.cli import main; sys.exit(main())"
    words = ["robot", "check", str(path), "--json", "--seconds", str(seconds)]
    with node_process([sys.executable, HERE / "robot_bench.py", *faults], tmp_path / "robot.log", environment) as robot:
        wait_until(lambda: "ready" in robot.output, 30.0, "the robot is up")
        done = subprocess.run(
            [sys.executable, "-c", program, *words], capture_output=True, text=True, timeout=60,
            env={**os.environ, **environment}, check=False,
        )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    said = json.loads(done.stdout)
    assert said["ok"] == (done.returncode == 0)
    return done.returncode, {finding["line"]: finding for finding in said["findings"]}


def test_a_robot_that_is_as_its_contract_says_passes(tmp_path: Path, ros_domain_id: int) -> None:
    code, findings = check(tmp_path, ros_domain_id, seconds=4.0)
    assert code == 0, [finding for finding in findings.values() if not finding["ok"]]
    assert "rgb8, 16x16" in str(findings["camera front: picture"]["found"])
    assert "x y z" in str(findings["depth front: points"]["found"])


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        (("degrees", "slow_camera", "bypass"), {
            "joint joint": "Degrees?", "camera front: rate": "wants 5 Hz",
            "command: publishers": "Only the safety stage",
        }),
        (("missing_joint", "misnamed_camera", "encoding", "no_reset", "flat_cloud"), {
            "depth front: points": "with x, y and z",
            "state: joints": "joint: is it joint_1?", "camera wrist: topic": "/hand/image_raw",
            "camera front: picture": "encoding rgb8", "reset: service": "move_home or manual",
        }),
        (("stale", "best_effort", "percent", "size", "no_listener"), {
            "state: stamps": "Another clock", "camera front: stamps": "Another clock", "state: QoS": "reliable",
            "joint gripper": "Set gripper.wire", "camera wrist: picture": "16x16 pixels",
            "command: topic": "JointTrajectory",
        }),
        (("zero_stamps", "no_info", "second_arm"), {
            "state: stamps": "Stamp each message", "camera front: stamps": "Stamp each message",
            "camera wrist: info": "Publish sensor_msgs/msg/CameraInfo", "state: publishers": "Stop all but one",
        }),
        (("silent",), {"state: rate": "Is the driver running", "camera front: rate": "Is the driver running"}),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)  # fmt: skip
def test_every_fault_is_found_and_its_fix_is_named(
    tmp_path: Path, ros_domain_id: int, faults: tuple[str, ...], said: dict[str, str]
) -> None:
    code, findings = check(tmp_path, ros_domain_id, *faults)
    assert code == 1
    for line, words in said.items():
        assert not findings[line]["ok"], findings[line]
        assert words.lower() in str(findings[line]["fix"]).lower(), findings[line]


def test_a_robot_that_is_away_is_said_to_be(tmp_path: Path, ros_domain_id: int) -> None:
    path = tmp_path / "robot.yaml"
    path.write_text(ROBOT)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "ROS_DOMAIN_ID": str(ros_domain_id)}
    program = "import sys; from lrm_bringup.cli import main; sys.exit(main())"
    words = ["robot", "check", str(path), "--seconds", "0.5"]
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
        check=False,
    )
    assert done.returncode == 1
    assert "nobody publishes /joint_states" in done.stdout
    assert "Traceback" not in done.stderr
