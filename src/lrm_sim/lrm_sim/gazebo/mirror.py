"""The truth about Gazebo's scene, found by the judge of the MuJoCo scene.

The MuJoCo environment draws the scene of a seed, so both simulators start from the same one, and takes over what
Gazebo shows moment by moment; contacts, success, progress and outcome are then computed by the same code.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lrm_sim import tasks
from lrm_sim.env import HOME, PickPlaceEnv
from lrm_sim.gazebo.description import Pose, matrix
from lrm_sim.gazebo.moments import Moment
from lrm_sim.gazebo.world import parking

PLACED_M = 0.01
"""An object stands where it was put when it is at most so far away; it may settle."""
HOME_RAD, HOME_M = 0.03, 0.004
REST_M_PER_S = 0.02


class Mirror:
    """A scene of the MuJoCo environment that follows another simulator.

    Attributes:
        places: where everything stands at the start of the episode, by name; unused things are parked.
    """

    def __init__(self) -> None:
        self._env = PickPlaceEnv(render_every=0)
        self.places: dict[str, Pose] = {}

    @property
    def task(self) -> str:
        """The task in force."""
        return self._env.task

    @property
    def fovy_deg(self) -> dict[str, float]:
        """Vertical field of view of each camera, degrees."""
        return self._env.fovy_deg

    def reset(self, seed: int, task: str) -> None:
        """Draw the scene of ``seed``; raises :class:`BadInput` for a task of another family."""
        self._env.reset(seed=seed, options={"task": task} if task else {})
        used = {self._env.object, self._env.container, self._env.distractor_object, self._env.distractor_container}
        self.places = {name: self._place(name, name in used) for name in (*tasks.OBJECTS, *tasks.CONTAINERS)}

    def missing(self, moment: Moment) -> list[str]:
        """What does not yet stand at its start, in words; empty when the episode can begin."""
        arm, fingers = np.abs(moment.positions[:5] - HOME[:5]), np.abs(moment.positions[5:] - HOME[5] / 2)
        late = ["the arm"] if arm.max() > HOME_RAD or fingers.max() > HOME_M else []
        for name, motion in moment.objects.items():
            away = float(np.linalg.norm(motion.position - self.places[name].position))
            if away > PLACED_M or motion.speed_m_per_s > REST_M_PER_S:
                late.append(f"{name} ({1000 * away:.0f} mm away, {1000 * motion.speed_m_per_s:.0f} mm/s)")
        return late

    def info(self, moment: Moment, start: bool = False) -> dict[str, Any]:
        """Truth of a moment, as ``PickPlaceEnv`` gives it; ``start``: it is the first of the episode."""
        objects = {name: (m.position, m.quat, m.speed_m_per_s) for name, m in moment.objects.items()}
        return self._env.show(moment.positions[:5], moment.positions[5:], objects, start=start)

    def close(self) -> None:
        """Give the environment back."""
        self._env.close()

    def _place(self, name: str, used: bool) -> Pose:
        if not used:
            return Pose(parking(name), np.eye(3))
        body = self._env.data.body(name)
        return Pose(body.xpos.copy(), matrix(body.xquat))


def joint_values(moment: Moment) -> tuple[np.ndarray, np.ndarray]:
    """Positions and velocities (6,) float32 in the order of a command: the gripper is the sum of both fingers."""
    return tuple(  # type: ignore[return-value]
        np.append(values[:5], values[5:].sum()).astype(np.float32) for values in (moment.positions, moment.velocities)
    )
