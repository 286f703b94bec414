"""Arms with other numbers of joints than the shipped one: features, critics, buffer and kinematics follow the robot."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from lrm_core.errors import BadInput
from lrm_core.rewards import RewardEstimate, RewardHead, RewardStatus
from lrm_core.transitions import Transition
from lrm_policy_node.kinematics import ResidualKinematics
from lrm_policy_node.learner.learner import Learner
from lrm_policy_node.learner.params import LearnerParams
from lrm_policy_node.rl.actor import ActingParams, ResidualPolicy, Weights
from lrm_policy_node.rl.buffer import ReplayBuffer
from lrm_policy_node.rl.critic import CriticEnsemble, CriticParams
from lrm_policy_node.rl.features import FEATURES, features_of, holding, observation_features


def chain(folder: Path, joints: int) -> ResidualKinematics:
    """An arm of ``joints`` links, its axes in turn along z and y."""
    model = "".join(
        f'<body name="b{i}" pos="0 0 0.1"><joint name="j{i}" axis="{"0 0 1" if i % 2 == 0 else "0 1 0"}"/>'
        '<geom type="capsule" fromto="0 0 0 0 0 0.1" size="0.01"/>'
        for i in range(joints)
    )
    path = folder / "arm.xml"
    path.write_text(
        f'<mujoco><worldbody>{model}<site name="tcp" pos="0 0 0.1"/>{"</body>" * joints}</worldbody></mujoco>'
    )
    return ResidualKinematics(path, "tcp", [f"j{i}" for i in range(joints)], bound_m=0.03)


@pytest.mark.parametrize("joints", [5, 6, 7])
def test_an_arm_of_any_number_of_joints_is_seen_displaced_and_learned(tmp_path: Path, joints: int) -> None:
    kinematics = chain(tmp_path, joints)
    pose = np.array([0.3 if i % 2 == 0 else 0.9 for i in range(joints)] + [0.03])  # bent: away from its reach
    chunk = np.tile(pose, (10, 1)) + np.linspace(0.0, 0.05, 10)[:, None] * np.array([1.0] * joints + [0.0])
    features = observation_features(
        joints=pose, gripper_command=0.01, base_chunk=chunk, kinematics=kinematics, previous_residual=np.zeros(3),
        step=3, max_steps=10,
    )  # fmt: skip
    assert features.shape == (features_of(joints),)
    assert holding(features) == pytest.approx(1.0)
    residual = np.array([0.5, -0.5, 0.5])
    moved = kinematics.apply(chunk, residual, np.zeros(3))
    np.testing.assert_allclose(kinematics.tcp(moved)[-1] - kinematics.tcp(chunk)[-1], 0.03 * residual, atol=2e-3)
    assert np.array_equal(moved[:, -1], chunk[:, -1].astype(np.float32)), "the gripper is not touched"

    buffer, critic = ReplayBuffer(10, features_of(joints)), CriticEnsemble(CriticParams(arm_joints=joints), 0)
    buffer.add(features, np.zeros(3), 1.0, features, done=True)
    critic.fit(buffer.all(), buffer.all())
    policy = ResidualPolicy.from_bytes(Weights(critic, ActingParams(), version=1).to_bytes())
    policy.begin_episode(np.random.default_rng(0))
    assert policy.act(features, True, np.random.default_rng(0)).shape == (3,)


def test_weights_of_another_arm_are_refused_with_the_way_out() -> None:
    policy = ResidualPolicy.from_bytes(Weights(CriticEnsemble(CriticParams(), 0), ActingParams(), 1).to_bytes())
    with pytest.raises(BadInput, match="arm_joints"):
        policy.act(np.zeros(features_of(7), np.float32), False, np.random.default_rng(0))
    assert features_of(5) == FEATURES == 26


@pytest.mark.parametrize(("robot", "joints"), [("so101", 5), ("ur5e", 6), ("franka_fr3", 7)])
def test_the_learner_has_the_joints_of_the_robot_s_file(tmp_path: Path, robot: str, joints: int) -> None:
    size = features_of(joints)
    learner = Learner(LearnerParams(robot=robot, folder=str(tmp_path), value_features=32, gain_features=16))
    assert (learner.params.arm_joints, learner.critic.params.arm_joints) == (joints, joints)
    rng = np.random.default_rng(0)
    for index in range(3):
        seen, then = (rng.uniform(-1, 1, size).astype(np.float32) for _ in range(2))
        learner.add_transition(Transition("a", index, index, index + 1, seen, np.zeros(3), then, index == 2), 0.0)
    for stamp, head in product(range(4), (RewardHead.PROGRESS, RewardHead.COMPLETION)):
        learner.add_reward("a", RewardEstimate(head, 0.5, RewardStatus.OK, stamp_ns=stamp))
    assert (learner.collect(0.0), learner.fit()) == (3, True)
    policy = ResidualPolicy.from_bytes(learner.export())
    learner.close()
    policy.begin_episode(rng)
    assert policy.act(np.zeros(size, np.float32), True, rng).shape == (3,)

    other = "ur5e" if robot != "ur5e" else "so101"
    with pytest.raises(BadInput, match=f"{size} features.*arm joints of {other}.*another folder"):
        Learner(LearnerParams(robot=other, folder=str(tmp_path)))


def test_a_number_of_joints_that_is_said_wins_over_the_file() -> None:
    assert LearnerParams(robot="so101", arm_joints=7).of_robot().arm_joints == 7
