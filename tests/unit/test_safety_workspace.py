"""The tool centre point stays in its box, through the kinematics of the shipped arm."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lrm_core.robot import load_robot
from lrm_core.safety import Cause, Decision, JointPositions, SafetyFilter, SafetyLimits, StageOptions, Verdict
from lrm_policy_node.safety.workspace import load_box

HOME = np.array([0.0, -0.211, 1.733, 1.6196, 0.0, 0.07])
OPTIONS = StageOptions(0.01, 0.03, 0.3, 0.5)
ROBOT = load_robot("sim_arm")


def boxed(low: tuple[float, ...], high: tuple[float, ...]) -> SafetyLimits:
    return replace(ROBOT.limits, workspace_m=np.array([low, high]))


def test_a_swing_out_of_the_box_is_stopped_inside() -> None:
    limits = boxed((0.0, -0.1, 0.0), (0.5, 0.1, 0.5))
    box = load_box(replace(ROBOT, limits=limits))
    assert box is not None
    assert box.outside_m(HOME) == 0.0
    stage, time_ns, causes, pans = SafetyFilter(limits, OPTIONS, box), 10**12, [], []
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
            assert box.outside_m(measured) == 0.0
    assert Cause.WORKSPACE in causes
    assert max(pans) > 0.2, "it went as far as it may"
    assert "command leads the tool, at [0." in decision.reason
    assert "out of its box [0.000, -0.100, 0.000] to [0.500, 0.100, 0.500] m" in decision.reason


class Outside:
    """An arm that follows exactly, with a narrow box, and stands wherever it is put."""

    def __init__(self, pose: np.ndarray) -> None:
        limits = boxed((0.1, -0.1, 0.02), (0.35, 0.1, 0.3))
        box = load_box(replace(ROBOT, limits=limits))
        assert box is not None
        self.box, self.stage = box, SafetyFilter(limits, OPTIONS, box)
        self.arm, self.time_ns = limits.clip(pose), 10**12

    def away_m(self) -> float:
        return float(self.box.outside_m(self.arm))

    def command(self, wanted: np.ndarray) -> Decision:
        self.time_ns += 20_000_000
        state = JointPositions(ROBOT.joint_names, tuple(self.arm), self.time_ns)
        decision = self.stage.filter(
            JointPositions(ROBOT.joint_names, tuple(wanted), self.time_ns), state, self.time_ns
        )
        assert decision.positions is not None
        self.arm = decision.positions
        return decision


def test_an_arm_outside_of_its_box_is_led_home_by_commands_and_never_farther_away() -> None:
    swung = HOME + np.array([0.9, 0.0, 0.0, 0.0, 0.0, 0.0])
    outside = Outside(swung)
    before_m = outside.away_m()
    assert before_m > 0.01
    farther = outside.command(swung + np.array([0.2, 0.0, 0.0, 0.0, 0.0, 0.0]))
    assert (farther.verdict, farther.cause) == (Verdict.HOLD, Cause.WORKSPACE)
    assert f"is {before_m:.3f} m outside of its box" in farther.reason
    assert "lead it towards the box" in farther.reason
    for _ in range(200):
        decision = outside.command(HOME)
        assert decision.verdict in (Verdict.PASS, Verdict.LIMIT)
        assert outside.away_m() <= before_m
        before_m = outside.away_m()
    assert before_m == 0.0
    assert outside.arm.tolist() == HOME.tolist()


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.lists(st.floats(-0.3, 1.0), min_size=1, max_size=8))
def test_from_anywhere_nothing_that_is_followed_leads_farther_from_the_box(seed: int, shares: list[float]) -> None:
    random = np.random.default_rng(seed)
    outside = Outside(random.uniform(ROBOT.limits.position_low, ROBOT.limits.position_high))
    for share in shares:
        goal = outside.arm + share * (HOME - outside.arm) + random.normal(0.0, 0.1, 6)
        for _ in range(8):
            before_m = outside.away_m()
            if outside.command(goal).verdict is not Verdict.HOLD:
                assert outside.away_m() <= before_m


def test_a_robot_without_a_box_needs_no_model() -> None:
    program = (
        "from lrm_core.robot import load_robot; from lrm_policy_node.safety.workspace import load_box;"
        "assert load_box(load_robot('sim_arm')) is None; assert not {'mujoco', 'torch'} & set(sys.modules)"
    )
    paths = [path for path in sys.path if path]
    subprocess.run([sys.executable, "-c", f"import sys; sys.path[:0] = {paths}; {program}"], check=True, timeout=60)
