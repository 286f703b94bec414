"""Velocities of the tool from joint targets, and which gripper targets become goals."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lrm_core.robot import CommandSpec, load_robot
from lrm_policy_node.kinematics import ResidualKinematics
from lrm_policy_node.safety.goals import GoalThinning
from lrm_policy_node.safety.servo import ToolServo

ROBOT = load_robot("sim_arm")
MODEL = ResidualKinematics(ROBOT.model_path, ROBOT.tcp_site, ROBOT.arm_names)
HOME = ROBOT.home
FREE = CommandSpec(linear_max_m_s=5.0, angular_max_rad_s=10.0)
steps = st.tuples(*[st.floats(-0.02, 0.02)] * 5).map(lambda step: np.array([*step, 0.0]))


@settings(deadline=None, max_examples=40)
@given(steps)
def test_a_velocity_held_for_a_period_leads_to_the_target(step: np.ndarray) -> None:
    velocity = ToolServo(MODEL, FREE, 0.1).twist(HOME, HOME + step, HOME)
    assert np.allclose(MODEL.tcp(HOME) + 0.1 * velocity[:3], MODEL.tcp(HOME + step), atol=1e-9)


def test_turning_the_wrist_turns_the_tool_about_its_axis() -> None:
    step = np.array([0, 0, 0, 0, 0.01, 0])
    velocity = ToolServo(MODEL, FREE, 0.1).twist(HOME, HOME + step, None)
    assert np.isclose(np.linalg.norm(velocity[3:]), 0.1)


@settings(deadline=None, max_examples=40)
@given(steps, steps)
def test_no_velocity_is_above_its_caps_and_its_direction_is_kept(step: np.ndarray, lag: np.ndarray) -> None:
    capped = CommandSpec(linear_max_m_s=0.01, angular_max_rad_s=0.05)
    free = ToolServo(MODEL, FREE, 0.1).twist(HOME, HOME + step, HOME + lag)
    velocity = ToolServo(MODEL, capped, 0.1).twist(HOME, HOME + step, HOME + lag)
    assert np.linalg.norm(velocity[:3]) <= 0.01 + 1e-12
    assert np.linalg.norm(velocity[3:]) <= 0.05 + 1e-12
    assert np.allclose(np.linalg.norm(free) * velocity, np.linalg.norm(velocity) * free, atol=1e-9)


def test_an_arm_that_lags_catches_up() -> None:
    servo, target = ToolServo(MODEL, FREE, 0.1), HOME + np.array([0.05, 0, 0, 0, 0, 0])
    at = HOME.copy()
    for _ in range(12):  # the tool moves on a circle about the base: its speed is the joint's times the radius
        pan = servo.twist(target, target, at)[5]
        at[0] += 0.1 * pan
    assert np.allclose(at, target, atol=1e-4)


def test_a_gripper_gets_a_goal_per_step_and_always_the_end_of_its_range() -> None:
    goals = GoalThinning(0.0, 0.08)
    closing = [0.05 - 0.0005 * step for step in range(100)] + [0.0005, 0.0, 0.0]
    sent = [opening for opening in closing if goals.wanted(opening)]
    assert sent[0] == 0.05
    assert sent[-1] == 0.0
    assert len(sent) < 30
