"""The real safety process with the file of a real arm as it is shipped: its model and its box hold the tool."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lrm_core.robot import load_robot, robot_path
from lrm_msgs.msg import SafetyStatus
from policy_bench import SAFETY, start
from ros_testing import free_domain
from test_safety_node import Bench
from test_safety_outputs import written

UR5E = load_robot("ur5e")


class ArmBench(Bench):
    """The joints of the UR5e."""

    names = UR5E.joint_names


def test_a_ur5e_that_is_turned_out_of_its_box_is_held_inside(tmp_path: Path) -> None:
    changes = (
        ("kind: gripper_action", "kind: forward_command"),
        ("  max_effort: 50.0\n", ""),
    )  # no wheels of control_msgs
    robot = written(tmp_path, robot_path("ur5e").read_text(), *changes)
    with free_domain() as domain, ArmBench(domain) as bench:
        process = start(SAFETY, tmp_path / "safety.log", domain, robot=robot, lockstep=True)
        try:
            bench.ready()
            arm = UR5E.home
            for step in range(60):
                wanted = UR5E.home + np.eye(len(arm))[0] * 0.04 * step
                arm = np.array(bench.step(tuple(wanted), tuple(UR5E.to_wire(arm))).points[0].positions)
            leaves = "out of its box [0.200, -0.500, 0.030]"
            bench.until(lambda: leaves in bench.statuses[-1].reason, 5.0, "the reason")
            assert bench.statuses[-1].state == SafetyStatus.HOLDING
            assert 0.5 < arm[0] < 0.95, "it went as far as it may: at 0.9 rad the tool leaves the box"
        finally:
            process.stop()
