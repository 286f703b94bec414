"""The residual on the real arm model: the tool goes where it should, and nothing jumps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrm_core.errors import BadInput
from lrm_core.robot import load_robot
from lrm_policy_node.kinematics import ResidualKinematics

ROBOT = load_robot("sim_arm")
NAMES = ROBOT.arm_names
POSE = np.array([0.2, 0.1, 1.6, 1.44, 0.3, 0.05])
residuals = st.tuples(*[st.floats(-1.0, 1.0)] * 3).map(np.array)


def kinematics(**values: float) -> ResidualKinematics:
    return ResidualKinematics(ROBOT.model_path, ROBOT.tcp_site, NAMES, **values)  # type: ignore[arg-type]


CHUNK = np.tile(POSE, (10, 1)).astype(np.float32) + np.linspace(0.0, 0.05, 10)[:, None] * np.array([1, 1, 0, 0, 0, 0.2])
MODEL = kinematics(bound_m=0.05, ramp_steps=4)


@settings(deadline=None, max_examples=40)
@given(residuals)
def test_after_the_ramp_the_tool_is_displaced_by_the_residual(residual: np.ndarray) -> None:
    moved = MODEL.apply(CHUNK, residual, np.zeros(3))
    displaced = MODEL.tcp(moved) - MODEL.tcp(CHUNK)
    assert np.allclose(displaced[4:], 0.05 * residual, atol=1.5e-3)
    assert np.array_equal(moved[:, 5], CHUNK[:, 5].astype(np.float32)), "the gripper is not touched"


@settings(deadline=None, max_examples=40)
@given(residuals, residuals)
def test_from_one_residual_to_the_next_the_tool_never_moves_more_than_a_share_per_step(
    old: np.ndarray, new: np.ndarray
) -> None:
    displaced = MODEL.tcp(MODEL.apply(CHUNK, new, old)) - MODEL.tcp(CHUNK)
    steps = np.diff(np.vstack([0.05 * old, displaced]), axis=0)
    assert np.all(np.linalg.norm(steps, axis=1) <= np.linalg.norm(0.05 * (new - old)) / 4 + 2e-3)


def test_a_pointing_down_tool_keeps_pointing_down() -> None:
    moved = MODEL.apply(CHUNK, np.array([0.8, -0.8, 0.3]), np.zeros(3))
    tilt = moved[:, 1] + moved[:, 2] + moved[:, 3]
    assert np.allclose(tilt, CHUNK[:, 1] + CHUNK[:, 2] + CHUNK[:, 3], atol=0.02)


def test_no_residual_is_exactly_the_base_policy() -> None:
    assert np.array_equal(MODEL.apply(CHUNK, np.zeros(3), np.zeros(3)), CHUNK.astype(np.float32))


def test_a_base_that_plans_from_the_displaced_arm_is_not_displaced_twice() -> None:
    residual = np.array([0.8, 0.0, 0.0])
    last = MODEL.apply(CHUNK, residual, np.zeros(3))[-1]
    replanned = np.tile(last, (10, 1))
    seen = MODEL.tcp(MODEL.apply(replanned, residual, residual, last_command=last))
    assert np.linalg.norm(seen[0] - MODEL.tcp(last)) < 0.05 * 0.8 / 4 + 2e-3


def test_joint_limits_hold_and_far_targets_stay_finite() -> None:
    stretched = np.tile([1.69, 1.6, 0.05, 0.0, 2.7, 0.05], (10, 1))
    moved = kinematics(bound_m=0.5).apply(stretched, np.array([1.0, 1.0, 1.0]), np.zeros(3))
    low = [-1.7, -0.9, 0.0, -1.6, -2.8]
    high = [1.7, 1.7, 2.75, 2.2, 2.8]
    assert np.all(moved[:, :5] >= np.array(low) - 1e-6) and np.all(moved[:, :5] <= np.array(high) + 1e-6)


@pytest.mark.parametrize("residual", [np.array([np.nan, 0, 0]), np.zeros(2)])
def test_a_residual_that_is_not_three_finite_numbers_is_refused(residual: np.ndarray) -> None:
    with pytest.raises(BadInput, match="residual"):
        MODEL.apply(CHUNK, residual, np.zeros(3))


def test_a_wrong_model_site_or_joint_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="robot model"):
        ResidualKinematics(tmp_path / "none.xml", "tcp", NAMES)
    with pytest.raises(BadInput, match="tcp_site is 'tip'"):
        ResidualKinematics(ROBOT.model_path, "tip", NAMES)
    with pytest.raises(BadInput, match="joint_names is 'knee'"):
        ResidualKinematics(ROBOT.model_path, ROBOT.tcp_site, ["knee"])
