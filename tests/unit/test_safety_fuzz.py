"""The fuzz of the safety stage judges by itself: its own arm, its own differences, and it finds what is wrong."""

from __future__ import annotations

import numpy as np
import pytest
from bench import safety_fuzz
from bench.safety_box import BOX_M, tool_m
from hypothesis import given
from hypothesis import strategies as st

from lrm_core.robot import load_robot
from lrm_core.safety import Box
from lrm_policy_node.robot_model import load_kinematics

ROBOT = load_robot("sim_arm")
KINEMATICS = load_kinematics(ROBOT)
UNIT = st.lists(st.floats(0.0, 1.0), min_size=6, max_size=6)


@given(UNIT)
def test_the_oracle_knows_the_arm_without_its_model(shares: list[float]) -> None:
    limits = ROBOT.limits
    pose = limits.position_low + np.array(shares) * (limits.position_high - limits.position_low)
    np.testing.assert_allclose(tool_m(pose), KINEMATICS.tcp(pose), atol=1e-9)


def boxed() -> safety_fuzz.Setting:
    named = {setting.name: setting for setting in safety_fuzz.settings(ROBOT, {})}
    return named["box_100hz"]


def test_hostile_commands_do_not_lead_the_tool_out_of_its_box() -> None:
    found = safety_fuzz.run(boxed(), 4000, 3)
    assert "workspace" in found.causes
    assert {"left the box", "farther from the box", "stopped outside of the box"} <= set(found.violations)
    assert found.violations.total() == 0


def test_a_stage_that_takes_the_box_to_be_larger_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = Box(KINEMATICS.tcp, BOX_M[0] - 0.05, BOX_M[1] + 0.05)
    stage = safety_fuzz.SafetyStage
    careless = lambda limits, options, streams, _: stage(limits, options, streams, wide)  # noqa: E731
    monkeypatch.setattr(safety_fuzz, "SafetyStage", careless)
    found = safety_fuzz.run(boxed(), 4000, 3)
    assert found.violations["left the box"] > 0
