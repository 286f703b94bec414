"""The tool centre point stays in its box, through the kinematics of the shipped arm."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np

from lrm_core.robot import load_robot
from lrm_core.safety import Cause, JointPositions, SafetyFilter, SafetyLimits, StageOptions
from lrm_policy_node.safety.workspace import load_box

HOME = np.array([0.0, -0.211, 1.733, 1.6196, 0.0, 0.07])
OPTIONS = StageOptions(0.01, 0.03, 0.3, 0.5)
ROBOT = load_robot("sim_arm")


def boxed(low: tuple[float, ...], high: tuple[float, ...]) -> SafetyLimits:
    return replace(ROBOT.limits, workspace_m=np.array([low, high]))


def test_a_swing_out_of_the_box_is_stopped_inside() -> None:
    limits = boxed((0.0, -0.1, 0.0), (0.5, 0.1, 0.5))
    inside = load_box(replace(ROBOT, limits=limits))
    assert inside is not None
    assert bool(inside(HOME))
    stage, time_ns, causes, pans = SafetyFilter(limits, OPTIONS, inside), 10**12, [], []
    measured = HOME
    for step in range(120):
        time_ns += 20_000_000
        wanted = HOME + np.array([0.02 * step, 0.0, 0.0, 0.0, 0.0, 0.0])
        state = JointPositions(limits.joint_names, tuple(measured), time_ns)
        decision = stage.filter(JointPositions(limits.joint_names, tuple(wanted), time_ns), state, time_ns)
        causes.append(decision.cause)
        if decision.positions is not None:
            measured = decision.positions
            pans.append(measured[0])
            assert bool(inside(measured))
    assert Cause.WORKSPACE in causes
    assert max(pans) > 0.2, "it went as far as it may"
    assert "workspace box" in decision.reason


def test_a_robot_without_a_box_needs_no_model() -> None:
    program = (
        "from lrm_core.robot import load_robot; from lrm_policy_node.safety.workspace import load_box;"
        "assert load_box(load_robot('sim_arm')) is None; assert not {'mujoco', 'torch'} & set(sys.modules)"
    )
    paths = [path for path in sys.path if path]
    subprocess.run([sys.executable, "-c", f"import sys; sys.path[:0] = {paths}; {program}"], check=True, timeout=60)
