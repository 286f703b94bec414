"""One MetaWorld task with a camera, seeded, on the MuJoCo of this project."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np

from lrm_core.errors import BadInput
from lrm_sim.metaworld.tasks import Task

CAMERA = "corner2"
CAMERA_POSITION_M = (0.75, 0.075, 0.7)
"""Where LeRobot puts this camera: nearer than MetaWorld's own, which shows the things a few pixels large."""
_WELD = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 5.0)


class Welds:
    """Replaces one method of MetaWorld 3.0.0 that fails with MuJoCo 4.

    It writes 11 numbers into rows of ``eq_data``, which have 12 columns since then; the last one stays as it is. A
    test tells when MetaWorld no longer needs this.
    """

    model: Any

    def reset_mocap_welds(self) -> None:
        """Weld the gripper to the body that actions move, without offset."""
        if self.model.nmocap:
            welds = self.model.eq_type == mujoco.mjtEq.mjEQ_WELD
            self.model.eq_data[welds, : len(_WELD)] = _WELD


class MetaWorldEnv:
    """``reset`` and ``step`` give MetaWorld's observation, its ``info`` and, when asked for, a picture.

    Attributes:
        task: what is done.
    """

    def __init__(self, task: Task, image_size: int = 128) -> None:
        classes = _library().env_dict.ALL_V3_ENVIRONMENTS
        self.task = task
        self._env = type(task.name, (Welds, classes[task.name]), {})(
            render_mode="rgb_array", camera_name=CAMERA, width=image_size, height=image_size
        )
        self._env.model.cam_pos[self._env.model.camera(CAMERA).id] = CAMERA_POSITION_M
        # The goal is part of the observation, as the scripted policies need it, and comes from the seed.
        self._env._partially_observable = False
        self._env.__dict__.pop("sawyer_observation_space", None)
        self._env._freeze_rand_vec, self._env.seeded_rand_vec, self._env._set_task_called = False, True, True
        self._without_shadows = False

    def reset(self, seed: int) -> tuple[np.ndarray, dict[str, Any]]:
        """Start the episode of a seed; ``info`` as :meth:`step`."""
        self._env.seed(seed)
        self._env.reset()
        # A step without motion: only then do bodies, and what is measured on them, stand where the reset put them.
        return self.step(np.zeros(4))

    def step(self, action: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
        """One step of action (4,): hand displacement (dx, dy, dz) in units of 1 cm, and gripper effort, all in [-1, 1].

        ``info`` has ``success`` and ``obj_to_target`` (m), among others.
        """
        observation, _, _, _, info = self._env.step(np.clip(action, -1.0, 1.0))
        return observation, info

    def picture(self) -> np.ndarray:
        """(image_size, image_size, 3) uint8 RGB. This camera of MetaWorld hangs upside down, so it is turned."""
        if not self._without_shadows:
            self._env.render()
            # As in our own scenes: in software they take most of the time.
            flags = self._env.mujoco_renderer.viewer.scn.flags
            self._without_shadows = True
            flags[mujoco.mjtRndFlag.mjRND_SHADOW] = flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = 0
        return np.ascontiguousarray(self._env.render()[::-1, ::-1])

    def expert(self) -> Any:
        """The scripted policy of the task; ``get_action(observation)``."""
        return getattr(_library().policies, self.task.policy)()

    def close(self) -> None:
        """Free the renderer."""
        self._env.close()


def _library() -> Any:
    try:
        import metaworld.env_dict
        import metaworld.policies
    except ImportError as error:
        raise BadInput("metaworld", "not installed", "installed", "pip install 'metaworld==3.0.*'") from error
    return metaworld
