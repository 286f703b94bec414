"""Places on the table, container footprints and the arm's closed-form inverse kinematics."""

import itertools
import math

import mujoco
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrm_core.errors import BadInput
from lrm_core.robot import load_robot
from lrm_sim import tasks
from lrm_sim.catalog import CONTAINERS
from lrm_sim.kinematics import TopDownArm, roll_for
from lrm_sim.placement import OBJECT_RADIUS_M, sample_layout
from lrm_sim.scene import ARM_MJCF, JOINTS


@pytest.fixture(scope="module")
def arm_model() -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_path(str(ARM_MJCF))


@given(st.integers(0, 10**9), st.sampled_from(list(itertools.permutations(tasks.CONTAINERS, 2))))
def test_nothing_overlaps_at_the_start(seed, containers):
    layout = sample_layout(np.random.default_rng(seed), *containers)
    discs = [
        (layout.container_pose, CONTAINERS[containers[0]].outer_radius_m),
        (layout.distractor_container_pose, CONTAINERS[containers[1]].outer_radius_m),
        (layout.object_pose, OBJECT_RADIUS_M),
        (layout.distractor_object_pose, OBJECT_RADIUS_M),
    ]
    for (a, a_radius), (b, b_radius) in itertools.combinations(discs, 2):
        assert math.hypot(a.x - b.x, a.y - b.y) >= a_radius + b_radius


@given(st.sampled_from(tasks.CONTAINERS), st.floats(-math.pi, math.pi))
def test_a_container_holds_its_centre_and_nothing_beyond_its_outer_radius(name, angle):
    container = CONTAINERS[name]
    assert container.contains(np.zeros(2), 0.04)
    assert not container.contains(container.outer_radius_m * np.array([math.cos(angle), math.sin(angle)]))


@given(st.floats(-1.5, 1.5), st.floats(0.14, 0.33), st.floats(0.02, 0.13), st.floats(-2.0, 2.0))
def test_inverse_kinematics_puts_the_tool_there_pointing_down(arm_model, pan, radius, height, roll):
    joints = TopDownArm.of(arm_model).joints(pan, radius, height, roll)
    data = mujoco.MjData(arm_model)
    data.qpos[:5] = joints
    mujoco.mj_kinematics(arm_model, data)
    expected = (radius * math.cos(pan), radius * math.sin(pan), height)
    np.testing.assert_allclose(data.site("tcp").xpos, expected, atol=1e-9)
    np.testing.assert_allclose(data.site("tcp").xmat[2::3], (0.0, 0.0, -1.0), atol=1e-9)
    assert (arm_model.jnt_range[:5, 0] <= joints).all()
    assert (joints <= arm_model.jnt_range[:5, 1]).all()


def test_a_place_out_of_reach_is_refused(arm_model):
    with pytest.raises(BadInput, match=r"within 0\.380 m"):
        TopDownArm.of(arm_model).joints(0.0, 0.6, 0.1, 0.0)


@given(st.floats(-1.5, 1.5), st.floats(-math.pi, math.pi), st.sampled_from([math.pi / 2, math.pi / 3, math.pi]))
def test_the_fingers_close_along_the_wanted_direction(arm_model, pan, closing, period):
    roll = roll_for(pan, closing, period)
    assert abs(roll) <= period / 2 + 1e-9
    data = mujoco.MjData(arm_model)
    data.qpos[:5] = TopDownArm.of(arm_model).joints(pan, 0.25, 0.1, roll)
    mujoco.mj_kinematics(arm_model, data)
    axis = data.site("tcp").xmat.reshape(3, 3)[:, 1]
    turns = (math.atan2(axis[1], axis[0]) - closing) / period
    # The direction of closing has no sign: half a turn is the same.
    half_turns = (math.atan2(-axis[1], -axis[0]) - closing) / period
    assert min(abs(turns - round(turns)), abs(half_turns - round(half_turns))) < 1e-6


def test_the_robot_description_agrees_with_the_model(arm_model):
    robot = load_robot("sim_arm")
    limits = robot.limits
    assert limits.joint_names == JOINTS
    np.testing.assert_allclose(limits.position_low[:5], arm_model.jnt_range[:5, 0])
    np.testing.assert_allclose(limits.position_high[:5], arm_model.jnt_range[:5, 1])
    np.testing.assert_allclose((limits.position_low, limits.position_high), arm_model.actuator_ctrlrange.T)
    assert robot.model_path == ARM_MJCF
    assert arm_model.site(robot.tcp_site).id >= 0
