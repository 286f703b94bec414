"""What the residual sees: a few numbers, no pixels. The frozen base policy's plan carries what it saw in the images.

Layout, version 1, for an arm of n joints and a gripper (n + 21,) float32, each about within [-1, 1]; with n = 5:

====== =====================================================================================================
0-4    arm joint positions, rad / π
5      gripper opening, m / 0.05
6      measured opening minus commanded opening, m / 0.02: above 0 the fingers hold something
7-9    tool centre point (TCP), robot base frame, m / 0.3
10-18  TCP of the base chunk at its first, middle and last action, relative to the present TCP, m / 0.1
19-21  gripper opening of the base chunk at its first, middle and last action, m / 0.05
22     phase: control step / control steps of the episode
23-25  residual of the previous chunk, in [-1, 1]
====== =====================================================================================================
"""

from __future__ import annotations

import numpy as np

from lrm_core.errors import BadInput
from lrm_policy_node.kinematics import ResidualKinematics

FEATURES_VERSION = 1
ACTIONS = 3
ARM_JOINTS = 5
"""Of the arm that the shipped policy was trained for."""
_BESIDE_JOINTS = 21

_OPENING_M = 0.05
_HOLDING_M = 0.02
_TCP_M = 0.3
_MOVE_M = 0.1


def features_of(arm_joints: int) -> int:
    """Number of features for an arm of so many joints and a gripper."""
    return arm_joints + _BESIDE_JOINTS


def holding(features: np.ndarray) -> float:
    """The feature that says whether the fingers hold something: (F,) -> within about [-1, 1]."""
    return float(features[len(features) - _BESIDE_JOINTS + 1])


FEATURES = features_of(ARM_JOINTS)


def observation_features(
    *,
    joints: np.ndarray,
    gripper_command: float,
    base_chunk: np.ndarray,
    kinematics: ResidualKinematics,
    previous_residual: np.ndarray,
    step: int,
    max_steps: int,
) -> np.ndarray:
    """Features of one decision, see the layout above.

    Args:
        joints: (n + 1,) measured joint positions: arm joints in rad, gripper opening in m.
        gripper_command: newest commanded gripper opening, m; the measured opening before the first command.
        base_chunk: (K, n + 1) joint targets the base policy plans from here.
        kinematics: of the same robot.
        previous_residual: (3,) in [-1, 1], residual of the chunk before; zeros for the first.
        step: control steps executed in this episode.
        max_steps: control steps after which the episode ends.

    Returns:
        (n + 21,) float32.

    Raises:
        BadInput: a shape is wrong or a number is not finite.
    """
    joints = _checked("joints", joints, (np.size(joints),))
    chunk = _checked("base_chunk", base_chunk, (len(base_chunk), len(joints)))
    previous = _checked("previous_residual", previous_residual, (ACTIONS,))
    arm = _arm_features(joints, gripper_command)
    plan = _plan_features(chunk[[0, len(chunk) // 2, -1]], kinematics, kinematics.tcp(joints))
    return np.concatenate((arm, plan, [step / max_steps], previous)).astype(np.float32)


def _arm_features(joints: np.ndarray, gripper_command: float) -> np.ndarray:
    """(n + 2,) joints, opening, and how far the fingers are from where they were told to be."""
    opening_m = joints[-1]
    return np.array([*joints[:-1] / np.pi, opening_m / _OPENING_M, (opening_m - gripper_command) / _HOLDING_M])


def _plan_features(plan: np.ndarray, kinematics: ResidualKinematics, tcp: np.ndarray) -> np.ndarray:
    """(15,) tool centre point now, and of the (3, n + 1) planned actions: where it moves, and the openings."""
    moves = (kinematics.tcp(plan) - tcp) / _MOVE_M
    return np.concatenate((tcp / _TCP_M, moves.ravel(), plan[:, -1] / _OPENING_M))


def _checked(name: str, value: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    array = np.asarray(value, dtype=np.float64)
    if array.shape != shape:
        raise BadInput(name, array.shape, f"shape {shape}")
    if not np.all(np.isfinite(array)):
        raise BadInput(name, "not finite", "finite numbers")
    return array
