"""Pick and place as a Gymnasium environment: ``gymnasium.make("lrm_sim/PickPlace-v0")`` after importing this module."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import gymnasium
import mujoco
import numpy as np

from lrm_core.errors import BadInput
from lrm_sim import judge, tasks
from lrm_sim.catalog import prism
from lrm_sim.placement import Layout, Pose2, sample_layout
from lrm_sim.rendering import Cameras
from lrm_sim.scene import CAMERAS, JOINTS, PHYSICS_STEP_S, build_model, yaw_quat

CONTROL_PERIOD_S = 0.1
HOME = np.array([0.0, -0.211, 1.733, np.pi + 0.211 - 1.733, 0.0, 0.07])
"""Joint positions at the start of an episode: tool down, high and close to the base, gripper open. rad; m."""
_SETTLE_STEPS = 20
_PARKED_M = -1.0
_TOUCH_M = 0.001
"""Geoms nearer than this touch."""


class PickPlaceEnv(gymnasium.Env):
    """Put the named object in the named container.

    Observation: ``front`` and ``wrist`` (image_size, image_size, 3) uint8 RGB; ``joint_positions`` and
    ``joint_velocities`` (6,) float32, five arm joints in rad and the gripper opening in m (and per second).

    Action: (6,) float32 joint position targets, same order and units, reached after one control step of 0.1 s (the
    targets of the servos move there linearly). Reward: 1.0 while the task is privileged-successful, else 0.0; an
    episode does not terminate by itself, it is truncated after ``max_steps``.

    ``info``: ``task``, ``success``, ``progress`` (see :mod:`lrm_sim.judge`), ``outcome``, ``positions`` (dict of (3,)
    float32, m, base frame: tcp, object, container, distractor_object, distractor_container) and ``labels`` (names).

    The same seed, task and actions give the same bytes.

    Attributes:
        render_every: cameras are rendered at reset and then every so many steps; between, the last image stays.
            0: never, images are black.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 10}

    def __init__(
        self,
        task: str | None = None,
        image_size: int = 128,
        max_steps: int = 80,
        render_every: int = 1,
        render_mode: str | None = None,
    ) -> None:
        self.render_mode = render_mode
        self.render_every = render_every
        self.max_steps = max_steps
        self.model = self._build_model()
        self.data = mujoco.MjData(self.model)
        self.cameras = Cameras(self.model, image_size)
        self._default_task = None if task is None else self._known_task(task)
        self._arm_qpos = np.array([self.model.joint(name).qposadr[0] for name in JOINTS[:5]])
        self._arm_dof = np.array([self.model.joint(name).dofadr[0] for name in JOINTS[:5]])
        self._fingers = [self.model.joint(f"finger_{side}").qposadr[0] for side in ("left", "right")]
        self._finger_bodies = tuple(self.model.body(f"finger_{side}").id for side in ("left", "right"))
        self._hand_bodies = (*self._finger_bodies, self.model.body("hand").id)
        self._contact_masks = self.model.geom_contype.copy(), self.model.geom_conaffinity.copy()
        images = gymnasium.spaces.Box(0, 255, (image_size, image_size, 3), np.uint8)
        joints = gymnasium.spaces.Box(-np.inf, np.inf, (len(JOINTS),), np.float32)
        self.observation_space = gymnasium.spaces.Dict(
            {"front": images, "wrist": images, "joint_positions": joints, "joint_velocities": joints}
        )
        limits = self.model.actuator_ctrlrange.astype(np.float32)
        self.action_space = gymnasium.spaces.Box(limits[:, 0], limits[:, 1], dtype=np.float32)
        self.task = ""
        self._object_moved_m = 0.0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Start an episode. ``options={"task": sentence}`` chooses the task; else the constructor's, else a random one.

        Raises:
            BadInput: the sentence is not of this family.
        """
        super().reset(seed=seed)
        self._choose_things((options or {}).get("task") or self._default_task)
        layout = self._sample_layout()
        mujoco.mj_resetData(self.model, self.data)
        self._place_things(layout)
        self.cameras.vary(layout)
        self._place_arm()
        mujoco.mj_step(self.model, self.data, _SETTLE_STEPS)
        mujoco.mj_forward(self.model, self.data)
        self._begin()
        return self._observe(), self._info()

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        """One control step.

        Raises:
            BadInput: the action has another shape or is not finite.
        """
        target = np.asarray(action, np.float64)
        if target.shape != (len(JOINTS),) or not np.isfinite(target).all():
            raise BadInput("action", action, f"{len(JOINTS)} finite joint targets")
        target = np.clip(target, self.action_space.low, self.action_space.high)
        substeps = round(CONTROL_PERIOD_S / PHYSICS_STEP_S)
        start = self.data.ctrl.copy()
        for i in range(1, substeps + 1):
            self.data.ctrl[:] = start + (target - start) * (i / substeps)
            mujoco.mj_step(self.model, self.data)
        # A step ends with new joint positions but the old places of bodies and contacts.
        mujoco.mj_forward(self.model, self.data)
        self.steps += 1
        info = self._info()
        return self._observe(), float(info["success"]), False, self.steps >= self.max_steps, info

    def show(
        self,
        arm: np.ndarray,
        fingers: np.ndarray,
        objects: Mapping[str, tuple[np.ndarray, np.ndarray, float]],
        start: bool = False,
    ) -> dict[str, Any]:
        """Take over a moment of the same scene from another simulator, and judge it. No time passes.

        Args:
            arm: positions (5,) of the arm joints, rad; ``fingers`` (2,) of the two fingers, m.
            objects: by name: position (3,) m, quaternion (4,) w x y z, both in the base frame, and speed in m/s. Those
                that the scene does not use are left out of it.
            start: the episode begins here.

        Returns:
            ``info``, as :meth:`step` gives it.
        """
        self.data.qpos[self._arm_qpos], self.data.qpos[self._fingers] = arm, fingers
        for name in (self.object, self.distractor_object):
            position, quat, speed = objects[name]
            joint = self.data.joint(name)
            joint.qpos[:3], joint.qpos[3:] = position, quat
            joint.qvel[:] = (speed, 0.0, 0.0, 0.0, 0.0, 0.0)
        with self._near_is_touching():
            mujoco.mj_forward(self.model, self.data)
        if start:
            self._begin()
        return self._info()

    def render(self) -> np.ndarray | None:
        """The newest front image in render mode ``rgb_array``."""
        return self.cameras.images["front"].copy() if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """Free the renderer."""
        self.cameras.close()

    @property
    def fovy_deg(self) -> dict[str, float]:
        """Vertical field of view of each camera, degrees."""
        return {name: float(self.model.camera(name).fovy[0]) for name in CAMERAS}

    @property
    def tcp(self) -> np.ndarray:
        """Tool centre point (3,), m, base frame."""
        return self.data.site("tcp").xpos

    @property
    def object_position(self) -> np.ndarray:
        """Centre of the named object (3,), m, base frame."""
        return self.position_of(self.object)

    @property
    def joint_positions(self) -> np.ndarray:
        """(6,) float32, rad and m."""
        opening = self.data.qpos[self._fingers].sum()
        return np.append(self.data.qpos[self._arm_qpos], opening).astype(np.float32)

    def body_of(self, thing: str) -> str:
        """Name of the body that is an object or container of this scene."""
        return thing

    def position_of(self, thing: str) -> np.ndarray:
        """Centre of an object, or centre of a container's underside, (3,), m, base frame."""
        return self.data.body(self.body_of(thing)).xpos

    def yaw_of(self, thing: str) -> float:
        """Direction (rad) of the local x axis of an object or container, projected on the table."""
        axes = self.data.body(self.body_of(thing)).xmat
        return float(np.arctan2(axes[3], axes[0]))

    def pose_of(self, container: str) -> np.ndarray:
        """(x, y, yaw) of a container, m and rad."""
        return np.array([*self.position_of(container)[:2], self.yaw_of(container)])

    def facts(self) -> judge.Facts:
        """What the judge needs to know about this moment."""
        touching = self._bodies_touching(self.model.body(self.body_of(self.object)).id)
        moved = float(np.linalg.norm(self.object_position - self._object_start))
        self._object_moved_m = max(self._object_moved_m, moved)
        return judge.Facts(
            container=self.container,
            distractor_container=self.distractor_container,
            tcp=self.tcp.copy(),
            object_position=self.object_position.copy(),
            object_start=self._object_start,
            object_moved_m=self._object_moved_m,
            object_speed_m_per_s=float(np.linalg.norm(self.data.joint(self.body_of(self.object)).qvel[:3])),
            held=all(finger in touching for finger in self._finger_bodies),
            touched=any(body in touching for body in self._hand_bodies),
            container_pose=self.pose_of(self.container),
            distractor_container_pose=self.pose_of(self.distractor_container),
            distractor_moved_m=float(np.linalg.norm(self.position_of(self.distractor_object) - self._distractor_start)),
        )

    def _begin(self) -> None:
        self._object_start = self.object_position.copy()
        self._distractor_start = self.position_of(self.distractor_object).copy()
        self._object_moved_m = 0.0
        self.steps = 0

    @contextmanager
    def _near_is_touching(self) -> Iterator[None]:
        # Another engine may leave a hair's breadth between what it holds together; a margin with a gap as large finds
        # such contacts and makes no force of them.
        margin, gap = self.model.geom_margin.copy(), self.model.geom_gap.copy()
        self.model.geom_margin[:] = self.model.geom_gap[:] = _TOUCH_M
        try:
            yield
        finally:
            self.model.geom_margin[:], self.model.geom_gap[:] = margin, gap

    def _build_model(self) -> mujoco.MjModel:
        return build_model()

    def _known_task(self, task: str) -> str:
        """A task sentence in its normal form; raises :class:`BadInput` for others."""
        return tasks.sentence(*tasks.parse(task))

    def _sample_layout(self) -> Layout:
        return sample_layout(self.np_random, self.container, self.distractor_container)

    def _judge(self, facts: judge.Facts) -> tuple[bool, float, str]:
        """Success, progress and outcome of this moment."""
        return judge.success(facts), judge.progress(facts), judge.outcome(facts).value

    def _choose_things(self, task: str | None) -> None:
        pair = tasks.PAIRS[self.np_random.integers(len(tasks.PAIRS))]
        picks = self.np_random.integers((len(tasks.OBJECTS) - 1, len(tasks.CONTAINERS) - 1))
        self.object, self.container = pair if task is None else tasks.parse(task)
        self.task = tasks.sentence(self.object, self.container)
        self.distractor_object = [name for name in tasks.OBJECTS if name != self.object][picks[0]]
        self.distractor_container = [name for name in tasks.CONTAINERS if name != self.container][picks[1]]

    def _place_things(self, layout: Layout) -> None:
        self.model.geom_contype[:], self.model.geom_conaffinity[:] = self._contact_masks
        poses = {
            self.object: layout.object_pose,
            self.distractor_object: layout.distractor_object_pose,
            self.container: layout.container_pose,
            self.distractor_container: layout.distractor_container_pose,
        }
        for index, name in enumerate(tasks.OBJECTS):
            self._place_object(name, poses.get(name), prism(name).half_height_m, index)
        for name in tasks.CONTAINERS:
            self._place_container(name, poses.get(name))

    def _place_container(self, body_name: str, pose: Pose2 | None) -> None:
        """Put a container somewhere, or park it."""
        body = self.model.body(body_name)
        body.pos[:] = (pose.x, pose.y, 0.0) if pose else (0.0, 0.0, _PARKED_M)
        body.quat[:] = yaw_quat(pose.yaw if pose else 0.0)

    def _place_object(self, body_name: str, pose: Pose2 | None, height_m: float, index: int) -> None:
        """Put the centre of an object at a height, or park it: each ``index`` has a place of its own."""
        body = self.model.body(body_name)
        self.model.body_gravcomp[body.id] = 0.0 if pose else 1.0
        joint = self.data.joint(body_name)
        if pose is None:
            geoms = slice(body.geomadr[0], body.geomadr[0] + body.geomnum[0])
            self.model.geom_contype[geoms] = self.model.geom_conaffinity[geoms] = 0
            joint.qpos[:3] = (0.3 * index, 0.0, _PARKED_M)
            return
        joint.qpos[:3] = (pose.x, pose.y, height_m + 0.0005)
        joint.qpos[3:] = yaw_quat(pose.yaw)

    def _place_arm(self) -> None:
        self.data.qpos[self._arm_qpos] = HOME[:5]
        self.data.qpos[self._fingers] = HOME[5] / 2
        self.data.ctrl[:] = HOME

    def _bodies_touching(self, body: int) -> set[int]:
        contacts = self.data.contact
        pairs = self.model.geom_bodyid[contacts.geom[contacts.dist < _TOUCH_M]]
        return set(pairs[(pairs == body).any(axis=1)].ravel().tolist()) - {body}

    def _observe(self) -> dict[str, np.ndarray]:
        if self.render_every and self.steps % self.render_every == 0:
            self.cameras.render(self.data)
        velocities = np.append(self.data.qvel[self._arm_dof], self.data.ten_velocity[0]).astype(np.float32)
        images = {name: image.copy() for name, image in self.cameras.images.items()}
        return {**images, "joint_positions": self.joint_positions, "joint_velocities": velocities}

    def _info(self) -> dict[str, Any]:
        facts = self.facts()
        names = {
            "object": self.object,
            "container": self.container,
            "distractor_object": self.distractor_object,
            "distractor_container": self.distractor_container,
        }
        positions = {role: self.position_of(name).astype(np.float32) for role, name in names.items()}
        success, progress, outcome = self._judge(facts)
        return {
            "task": self.task,
            "success": success,
            "progress": progress,
            "outcome": outcome,
            "positions": {"tcp": self.tcp.astype(np.float32), **positions},
            "labels": names,
        }


gymnasium.register("lrm_sim/PickPlace-v0", entry_point="lrm_sim.env:PickPlaceEnv", disable_env_checker=True)
