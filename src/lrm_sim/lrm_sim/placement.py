"""Where things stand at the start of an episode, and how light and cameras differ from their nominal places."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lrm_sim.catalog import container as container_named

X_M = (0.13, 0.31)
OBJECT_RING_M, OBJECT_MAX_Y_M = (0.17, 0.33), 0.165
CONTAINER_RING_M, CONTAINER_MAX_Y_M = (0.20, 0.30), 0.145
OBJECT_RADIUS_M = 0.042
"""Room around the centre of an object: its own size and that of an open finger beside it."""


@dataclass(frozen=True)
class Pose2:
    """Place on the table in the robot base frame: metres and radians."""

    x: float
    y: float
    yaw: float


@dataclass(frozen=True)
class Layout:
    """Everything random about a scene."""

    object_pose: Pose2
    distractor_object_pose: Pose2
    container_pose: Pose2
    distractor_container_pose: Pose2
    lamp_offset_m: np.ndarray
    lamp_diffuse: float
    camera_offsets_m: np.ndarray
    camera_turns_rad: np.ndarray
    colour_gains: np.ndarray


def sample_layout(rng: np.random.Generator, container: str, distractor_container: str) -> Layout:
    """Draw a scene in which nothing overlaps and the gripper has room around every object."""
    radii = [container_named(name).outer_radius_m for name in (container, distractor_container)]
    places = _sample_places(rng, *radii)
    yaws = rng.uniform(-math.pi, math.pi, 4)
    poses = [Pose2(x, y, yaw) for (x, y), yaw in zip(places, yaws, strict=True)]
    return Layout(
        container_pose=poses[0],
        distractor_container_pose=poses[1],
        object_pose=poses[2],
        distractor_object_pose=poses[3],
        lamp_offset_m=rng.uniform(-0.4, 0.4, 3) * (1.0, 1.0, 0.5),
        lamp_diffuse=rng.uniform(0.45, 0.75),
        camera_offsets_m=rng.uniform(-0.0015, 0.0015, (2, 3)),
        camera_turns_rad=rng.uniform(-0.003, 0.003, (2, 3)),
        colour_gains=rng.uniform(0.92, 1.06, (64, 3)),
    )


def _sample_places(rng: np.random.Generator, *container_radii_m: float) -> list[tuple[float, float]]:
    while True:
        placed: list[tuple[float, float, float]] = []
        for radius in container_radii_m:
            _try_place(rng, placed, radius, CONTAINER_RING_M, CONTAINER_MAX_Y_M)
        for _ in range(2):
            _try_place(rng, placed, OBJECT_RADIUS_M, OBJECT_RING_M, OBJECT_MAX_Y_M)
        if len(placed) == 4:
            return [(x, y) for x, y, _ in placed]


def _try_place(
    rng: np.random.Generator,
    placed: list[tuple[float, float, float]],
    radius: float,
    ring_m: tuple[float, float],
    max_y_m: float,
) -> None:
    for _ in range(40):
        x, y = rng.uniform(*X_M), rng.uniform(-max_y_m, max_y_m)
        reachable = ring_m[0] <= math.hypot(x, y) <= ring_m[1]
        if reachable and all(math.hypot(x - px, y - py) >= radius + pr for px, py, pr in placed):
            placed.append((x, y, radius))
            return
