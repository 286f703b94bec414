"""From a displacement of the tool centre point to joint targets, on the robot's own MJCF or URDF."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import mujoco
import numpy as np

from lrm_core.errors import BadInput
from lrm_policy_node.arm_model import load_model

_ITERATIONS = 12
_POSITION_TOLERANCE_M = 1e-4
_STEP_LIMIT_RAD = 0.3
_MISSED_M = 1e-3


class ResidualKinematics:
    """Adds a displacement of the tool centre point to a chunk of joint targets.

    Damped least squares. The position is the first task; keeping the tool's orientation is the second, in the null
    space of the first, since an arm with five joints cannot keep both. Source: Nakamura and Hanafusa 1986 (damping),
    Siciliano and Slotine 1991 (task priority).

    Args:
        model_path: MJCF or URDF of the robot.
        tcp_site: name of the site that holds the tool centre point.
        joint_names: arm joints in the order of the chunk's columns; further columns (the gripper) pass unchanged.
        bound_m: displacement at residual 1, per axis, metres.
        ramp_steps: control steps from the old displacement to the new one.
        damping: λ of the damped least squares, metres per radian.
        offset_m: (3,) tool centre point in the frame of the site.
        limits_rad: (2, J) lowest and highest joint positions that are allowed; None: the model's ranges alone.

    Raises:
        BadInput: the model, the site or a joint is missing, or the bound is not positive.
    """

    def __init__(
        self,
        model_path: str | Path,
        tcp_site: str,
        joint_names: Sequence[str],
        bound_m: float = 0.05,
        ramp_steps: int = 4,
        damping: float = 0.02,
        offset_m: Sequence[float] = (0.0, 0.0, 0.0),
        limits_rad: np.ndarray | None = None,
    ) -> None:
        if bound_m <= 0.0 or ramp_steps < 1:
            raise BadInput("bound_m, ramp_steps", (bound_m, ramp_steps), "bound_m > 0 and ramp_steps >= 1")
        self._model = load_model(Path(model_path))
        self._data = mujoco.MjData(self._model)
        self._site = _id(self._model, mujoco.mjtObj.mjOBJ_SITE, tcp_site, "tcp_site")
        self._offset_m = np.array(offset_m, dtype=np.float64)
        joints = [_id(self._model, mujoco.mjtObj.mjOBJ_JOINT, name, "joint_names") for name in joint_names]
        self._qpos = self._model.jnt_qposadr[joints]
        self._dof = self._model.jnt_dofadr[joints]
        limited = self._model.jnt_limited[joints].astype(bool)
        low, high = (-np.inf, np.inf) if limits_rad is None else limits_rad
        self._low = np.maximum(np.where(limited, self._model.jnt_range[joints, 0], -np.inf), low)
        self._high = np.minimum(np.where(limited, self._model.jnt_range[joints, 1], np.inf), high)
        self.bound_m, self.ramp_steps, self._damping = bound_m, ramp_steps, damping

    def tcp(self, joints: np.ndarray) -> np.ndarray:
        """Position of the tool centre point: (..., >= J) joints in rad -> (..., 3) metres, robot base frame."""
        joints = np.asarray(joints, dtype=np.float64)
        flat = joints.reshape(-1, joints.shape[-1])
        points = np.stack([self._forward(row[: len(self._qpos)])[0] for row in flat])
        return points.reshape(*joints.shape[:-1], 3)

    def pose(self, joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Position (3,) m and rotation matrix (3, 3) of the tool, base frame, for (>= J,) joints in rad."""
        return self._forward(np.asarray(joints, dtype=np.float64)[: len(self._qpos)])

    def stands(self, body: str) -> np.ndarray | None:
        """(4, 4) pose of a body of the model, m, in the model's frame with all joints at 0; None: no such body."""
        if mujoco.mj_name2id(self._model, mujoco.mjtObj.mjOBJ_BODY, body) < 0:
            return None
        self._forward(np.zeros(len(self._qpos)))
        at = self._data.body(body)
        return np.block([[at.xmat.reshape(3, 3), at.xpos[:, None]], [np.zeros(3), 1.0]])

    def apply(
        self,
        base_chunk: np.ndarray,
        residual: np.ndarray,
        previous_residual: np.ndarray,
        last_command: np.ndarray | None = None,
    ) -> np.ndarray:
        """Displace a base chunk.

        Args:
            base_chunk: (K, >= J) joint targets of the base policy.
            residual: (3,) in [-1, 1], in units of ``bound_m``, robot base frame.
            previous_residual: (3,) residual of the chunk before; zeros for the first.
            last_command: (>= J,) newest command sent; None before the first. A base policy that sees where the arm is
                already plans from the displaced position: only what its chunk lacks of the old displacement is kept.

        Returns:
            (K, same) float32 joint targets within the joint limits; equal to ``base_chunk`` when both residuals are 0.
        """
        out = np.array(base_chunk, dtype=np.float32)
        goal, start = self._clipped(residual), self._clipped(previous_residual)
        if not goal.any() and not start.any():
            return out
        start = start * self._share_kept(out[0], start, last_command)
        correction = np.zeros(len(self._qpos))
        for step, row in enumerate(out):
            blend = min(1.0, (step + 1) / self.ramp_steps)
            base = row[: len(self._qpos)].astype(np.float64)
            solved = self._solve(base, start + blend * (goal - start), base + correction)
            correction = solved - base
            row[: len(self._qpos)] = solved
        return out

    def _share_kept(self, first: np.ndarray, start: np.ndarray, last_command: np.ndarray | None) -> float:
        if last_command is None or not start.any():
            return 1.0
        missing = self.tcp(np.asarray(last_command)) - self.tcp(first)
        return float(np.clip(missing @ start / (start @ start), 0.0, 1.0))

    def _clipped(self, residual: np.ndarray) -> np.ndarray:
        residual = np.asarray(residual, dtype=np.float64)
        if residual.shape != (3,) or not np.all(np.isfinite(residual)):
            raise BadInput("residual", residual.tolist(), "three finite numbers in [-1, 1]")
        return np.clip(residual, -1.0, 1.0) * self.bound_m

    def _solve(self, base: np.ndarray, displacement_m: np.ndarray, guess: np.ndarray) -> np.ndarray:
        position, rotation = self._forward(base)
        target = position + displacement_m
        joints = np.clip(guess, self._low, self._high)
        tried = [np.clip(base, self._low, self._high)]
        for _ in range(_ITERATIONS):
            at, orientation = self._forward(joints)
            error = target - at
            turn = _rotation_error(rotation, orientation)
            if np.linalg.norm(error) < _POSITION_TOLERANCE_M and np.linalg.norm(turn) < 1e-3:
                break
            tried.append(joints)
            joints = np.clip(joints + self._newton_step(error, turn), self._low, self._high)
        if np.linalg.norm(target - self.tcp(joints)) < _MISSED_M:
            return joints
        return self._nearest(np.stack([*tried, joints]), position, target)

    def _nearest(self, tried: np.ndarray, position: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Out of reach: of the poses ``tried`` the one nearest to the target, displaced no farther than asked for."""
        tools = self.tcp(tried)
        displaced_m = np.linalg.norm(tools - position, axis=1)
        missed_m = np.linalg.norm(tools - target, axis=1)
        missed_m[displaced_m > np.linalg.norm(target - position)] = np.inf
        return np.asarray(tried[np.argmin(missed_m)])

    def _newton_step(self, error_m: np.ndarray, turn_rad: np.ndarray) -> np.ndarray:
        linear, angular = self._jacobians()
        inverse = _damped_inverse(linear, self._damping)
        step = inverse @ error_m
        null = np.eye(len(self._dof)) - np.linalg.pinv(linear, rcond=1e-3) @ linear
        step = step + null @ _damped_inverse(angular @ null, 0.1) @ (turn_rad - angular @ step)
        return np.clip(step, -_STEP_LIMIT_RAD, _STEP_LIMIT_RAD)

    def _forward(self, joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self._data.qpos[self._qpos] = joints
        mujoco.mj_kinematics(self._model, self._data)
        rotation = self._data.site_xmat[self._site].reshape(3, 3).copy()
        return self._data.site_xpos[self._site] + rotation @ self._offset_m, rotation

    def _jacobians(self) -> tuple[np.ndarray, np.ndarray]:
        mujoco.mj_comPos(self._model, self._data)
        linear, angular = np.zeros((3, self._model.nv)), np.zeros((3, self._model.nv))
        at = self._data.site_xpos[self._site] + self._data.site_xmat[self._site].reshape(3, 3) @ self._offset_m
        mujoco.mj_jac(self._model, self._data, linear, angular, at, self._model.site_bodyid[self._site])
        return linear[:, self._dof], angular[:, self._dof]


def _damped_inverse(matrix: np.ndarray, damping: float) -> np.ndarray:
    return matrix.T @ np.linalg.inv(matrix @ matrix.T + damping**2 * np.eye(len(matrix)))


def _rotation_error(target: np.ndarray, current: np.ndarray) -> np.ndarray:
    return 0.5 * np.cross(current.T, target.T).sum(axis=0)


def _id(model: mujoco.MjModel, kind: mujoco.mjtObj, name: str, field: str) -> int:
    found = mujoco.mj_name2id(model, kind, name)
    if found < 0:
        names = [mujoco.mj_id2name(model, kind, i) for i in range(model.nsite if "SITE" in kind.name else model.njnt)]
        raise BadInput(field, name, f"one of {names}")
    return int(found)
