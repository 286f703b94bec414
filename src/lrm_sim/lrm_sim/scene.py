"""The MuJoCo model: arm, table, cameras, lights, and every object and container of the catalogue.

One model holds them all, so that it is compiled, and its renderer created, once; what a scene does not use is parked
under the table, weightless and without contacts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import mujoco
import numpy as np

from lrm_sim.catalog import CONTAINERS, FLOOR_M, PRISMS, WALL_M, Container, Prism, Rgb

ARM_MJCF = Path(__file__).parent / "assets" / "arm.xml"
JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
CAMERAS = ("front", "wrist")
PHYSICS_STEP_S = 0.005
SCENE_CONTACTS = {"contype": 2, "conaffinity": 3}
"""Scene geoms meet each other and the arm; arm geoms (contype 1, conaffinity 2) meet the scene only."""

FRONT_POSITION_M = (0.60, 0.0, 0.50)
FRONT_TARGET_M = (0.178, 0.0, 0.015)
FRONT_FOVY_DEG = 40.0


def build_model(
    prisms: Mapping[str, Prism] = PRISMS, containers: Mapping[str, Container] = CONTAINERS
) -> mujoco.MjModel:
    """Compile the whole scene. Object ``name`` is the free body ``name``; containers are bodies fixed to the world."""
    spec = mujoco.MjSpec.from_file(str(ARM_MJCF))
    _set_options(spec)
    _add_surroundings(spec.worldbody)
    for name, prism in prisms.items():
        _add_prism(spec.worldbody, name, prism)
    for name, container in containers.items():
        _add_container(spec.worldbody, name, container)
    return spec.compile()


def look_at(position: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Quaternion (w, x, y, z) of a camera at ``position`` that looks at ``target``, with world z up in the image."""
    back = (position - target) / np.linalg.norm(position - target)
    right = np.cross((0.0, 0.0, 1.0), back)
    right /= np.linalg.norm(right)
    axes = np.column_stack((right, np.cross(back, right), back))
    quat = np.empty(4)
    mujoco.mju_mat2Quat(quat, axes.ravel())
    return quat


def yaw_quat(yaw_rad: float) -> np.ndarray:
    """Quaternion (w, x, y, z) of a turn about z."""
    return np.array([math.cos(yaw_rad / 2), 0.0, 0.0, math.sin(yaw_rad / 2)])


def _set_options(spec: mujoco.MjSpec) -> None:
    option = spec.option
    option.timestep = PHYSICS_STEP_S
    option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    option.impratio = 10.0
    option.noslip_iterations = 2
    spec.visual.quality.shadowsize = 0
    spec.visual.headlight.ambient = [0.42, 0.42, 0.42]
    spec.visual.headlight.diffuse = [0.25, 0.25, 0.25]
    spec.visual.headlight.specular = [0.0, 0.0, 0.0]
    spec.visual.map.znear = 0.01


def _add_surroundings(world: mujoco.MjsBody) -> None:
    world.add_geom(
        name="table",
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        size=[2.0, 2.0, 0.1],
        rgba=[0.42, 0.39, 0.36, 1.0],
        friction=[0.8, 0.005, 0.0001],
        **SCENE_CONTACTS,
    )
    world.add_light(name="lamp", pos=[0.3, 0.0, 1.2], dir=[0.0, 0.0, -1.0], diffuse=[0.6] * 3, castshadow=False)
    position = np.array(FRONT_POSITION_M)
    quat = look_at(position, np.array(FRONT_TARGET_M))
    world.add_camera(name="front", pos=position, quat=quat, fovy=FRONT_FOVY_DEG)


def _add_prism(world: mujoco.MjsBody, name: str, prism: Prism) -> None:
    body = world.add_body(name=name, pos=[0.0, 0.0, -1.0])
    body.add_freejoint(name=name)
    parts = prism.boxes or ((prism.radius_m, prism.half_height_m, 0.0),)
    shape = mujoco.mjtGeom.mjGEOM_BOX if prism.boxes else mujoco.mjtGeom.mjGEOM_CYLINDER
    for half_x, half_y, yaw in parts:
        size = [half_x, half_y, prism.half_height_m] if prism.boxes else [prism.radius_m, prism.half_height_m, 0.0]
        body.add_geom(
            type=shape,
            size=size,
            quat=yaw_quat(yaw),
            mass=prism.mass_kg / len(parts),
            rgba=[*prism.rgb, 1.0],
            friction=[0.8, 0.005, 0.0001],
            condim=4,
            **SCENE_CONTACTS,
        )


def _add_container(world: mujoco.MjsBody, name: str, container: Container) -> None:
    body = world.add_body(name=name, pos=[0.0, 0.0, -1.0])
    for wall in container.walls:
        out = wall.apothem_m + WALL_M / 2
        where = [out * math.cos(wall.angle_rad), out * math.sin(wall.angle_rad), container.rim_m / 2]
        half = [WALL_M / 2, wall.half_length_m + WALL_M / 2, container.rim_m / 2]
        _add_box(body, where, half, wall.angle_rad, container.rgb)
    red, green, blue = container.rgb
    spans = container.walls[:1] if len(container.walls) == 4 else container.walls[: len(container.walls) // 2]
    for wall in spans:
        half = [wall.apothem_m, wall.half_length_m, FLOOR_M / 2]
        _add_box(body, [0.0, 0.0, FLOOR_M / 2], half, wall.angle_rad, (0.6 * red, 0.6 * green, 0.6 * blue))


def _add_box(body: mujoco.MjsBody, pos: list[float], half: list[float], yaw_rad: float, rgb: Rgb) -> None:
    body.add_geom(
        type=mujoco.mjtGeom.mjGEOM_BOX,
        pos=pos,
        size=half,
        quat=yaw_quat(yaw_rad),
        rgba=[*rgb, 1.0],
        friction=[0.6, 0.005, 0.0001],
        **SCENE_CONTACTS,
    )
