"""Links, joints, shapes and cameras of the compiled MuJoCo scene, in the terms of URDF and SDF.

Lengths in m, angles in rad, masses in kg, inertias in kg m². Every pose is (position (3,), rotation matrix (3, 3)) in
the frame of its parent.
"""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from lrm_core.robot import load_robot
from lrm_sim.scene import JOINTS

BASE_LINK = "base_link"
FINGERS = ("finger_left", "finger_right")
CONTROLLED = (*JOINTS[:5], *FINGERS)
"""Joints of the arm in Gazebo: our ``gripper`` is the opening between two fingers, each moves half of it."""


@dataclass(frozen=True)
class Pose:
    """A place in the frame of the parent."""

    position: np.ndarray
    rotation: np.ndarray

    @property
    def rpy(self) -> np.ndarray:
        """Roll, pitch, yaw (3,) about the fixed axes x, y, z, as URDF and SDF have it."""
        r = self.rotation
        pitch = float(np.arctan2(-r[2, 0], np.hypot(r[0, 0], r[1, 0])))
        if np.hypot(r[0, 0], r[1, 0]) < 1e-9:  # straight up or down: roll and yaw turn about one axis, all is roll
            return np.array([np.arctan2(-r[1, 2], r[1, 1]), pitch, 0.0])
        return np.array([np.arctan2(r[2, 1], r[2, 2]), pitch, np.arctan2(r[1, 0], r[0, 0])])


@dataclass(frozen=True)
class Shape:
    """A primitive that is seen and touched. ``size``: full lengths of a box, or (radius, length) of a cylinder."""

    kind: str
    size: tuple[float, ...]
    pose: Pose
    rgba: tuple[float, float, float, float]
    friction: float


@dataclass(frozen=True)
class Link:
    """A rigid body. ``inertia`` (3, 3) is about the centre of mass, in the axes of the link."""

    name: str
    mass: float
    centre: np.ndarray
    inertia: np.ndarray
    shapes: tuple[Shape, ...]
    gravity: bool


@dataclass(frozen=True)
class Joint:
    """A joint with one axis; ``effort`` and ``velocity`` are its limits."""

    name: str
    kind: str
    parent: str
    child: str
    pose: Pose
    axis: np.ndarray
    lower: float
    upper: float
    effort: float
    velocity: float
    damping: float


@dataclass(frozen=True)
class Camera:
    """A pinhole camera on ``parent``; ``pose`` in MuJoCo's convention: it looks along -z, y is up in the image."""

    name: str
    parent: str
    pose: Pose
    fovy_rad: float

    @property
    def body_pose(self) -> Pose:
        """The same in the convention of SDF (REP-103 body): x forward, y left, z up."""
        right, up, back = self.pose.rotation.T
        return Pose(self.pose.position, np.column_stack((-back, -right, up)))

    @property
    def optical_pose(self) -> Pose:
        """The same in the convention of image messages (REP-103 optical): z forward, x right, y down."""
        right, up, back = self.pose.rotation.T
        return Pose(self.pose.position, np.column_stack((right, -up, -back)))


class Description:
    """The arm of a compiled scene, and any of its bodies as a link."""

    def __init__(self, model: mujoco.MjModel) -> None:
        self.model = model
        self._limits = _speed_limits()

    def arm_bodies(self) -> list[str]:
        """Names of the arm's bodies, parents first."""
        root = self.model.body("base").id
        return [self.model.body(i).name for i in range(self.model.nbody) if self.model.body_rootid[i] == root]

    def link(self, body: str) -> Link:
        """A body as a link. The root of the arm is called ``base_link``, as the headers of the messages have it."""
        m, found = self.model, self.model.body(body)
        geoms = range(found.geomadr[0], found.geomadr[0] + found.geomnum[0])
        turn = matrix(found.iquat)
        return Link(
            name=link_name(body),
            mass=float(found.mass[0]),
            centre=found.ipos.copy(),
            inertia=turn @ np.diag(found.inertia) @ turn.T,
            shapes=tuple(self._shape(i) for i in geoms),
            gravity=bool(m.body_gravcomp[found.id] == 0.0),
        )

    def joint(self, body: str) -> Joint:
        """The joint that carries a body of the arm."""
        m, found = self.model, self.model.body(body)
        joint = m.joint(int(found.jntadr[0]))
        kind = "prismatic" if m.jnt_type[joint.id] == mujoco.mjtJoint.mjJNT_SLIDE else "revolute"
        lower, upper = (float(v) for v in joint.range)
        return Joint(
            name=joint.name,
            kind=kind,
            parent=link_name(m.body(int(found.parentid[0])).name),
            child=link_name(body),
            pose=Pose(found.pos.copy(), matrix(found.quat)),
            axis=joint.axis.copy(),
            lower=lower,
            upper=upper,
            effort=self._effort(joint.name),
            velocity=self._limits["gripper"] / 2 if joint.name in FINGERS else self._limits[joint.name],
            damping=float(joint.damping[0]),
        )

    def camera(self, name: str) -> Camera:
        """A camera of the scene."""
        found = self.model.camera(name)
        parent = self.model.body(int(found.bodyid[0])).name
        pose = Pose(found.pos.copy(), matrix(found.quat))
        return Camera(name, link_name(parent), pose, float(np.radians(found.fovy[0])))

    def tcp(self) -> tuple[str, Pose]:
        """Link and pose of the tool centre point."""
        site = self.model.site("tcp")
        return link_name(self.model.body(int(site.bodyid[0])).name), Pose(site.pos.copy(), matrix(site.quat))

    def _shape(self, geom: int) -> Shape:
        m = self.model
        size, pose = m.geom_size[geom], Pose(m.geom_pos[geom].copy(), matrix(m.geom_quat[geom]))
        rgba = tuple(round(float(v), 4) for v in m.geom_rgba[geom])
        if m.geom_type[geom] == mujoco.mjtGeom.mjGEOM_BOX:
            return Shape("box", tuple(2.0 * size), pose, rgba, float(m.geom_friction[geom, 0]))  # type: ignore[arg-type]
        assert m.geom_type[geom] == mujoco.mjtGeom.mjGEOM_CYLINDER, "the scene is made of boxes and cylinders"
        return Shape("cylinder", (float(size[0]), 2.0 * float(size[1])), pose, rgba, float(m.geom_friction[geom, 0]))  # type: ignore[arg-type]

    def _effort(self, joint: str) -> float:
        # The gripper's actuator pulls on the sum of both fingers: each feels its full force.
        actuator = self.model.actuator("gripper" if joint in FINGERS else joint)
        return float(actuator.forcerange[1])


def matrix(quat: np.ndarray) -> np.ndarray:
    """Rotation matrix (3, 3) of a quaternion (w, x, y, z)."""
    flat = np.empty(9)
    mujoco.mju_quat2Mat(flat, np.asarray(quat, np.float64).ravel())
    return flat.reshape(3, 3)


def link_name(body: str) -> str:
    """Name of a body in Gazebo: without spaces, and never that of a joint (an SDF model has one space of names)."""
    if body in FINGERS:
        return f"{body}_link"
    return BASE_LINK if body == "base" else body.replace(" ", "_")


def _speed_limits() -> dict[str, float]:
    limits = load_robot("gazebo_arm").limits
    return dict(zip(limits.joint_names, limits.velocity_max.tolist(), strict=True))
