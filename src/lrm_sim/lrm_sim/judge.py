"""Privileged truth of a scene: success, progress and outcome. Pure functions of plain facts, no physics inside."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np

from lrm_sim.catalog import container as container_named

REACH_M = 0.25
LIFT_M = 0.05
MOVED_M = 0.03
REST_M_PER_S = 0.05
RIM_SLACK_M = 0.008
"""Objects are higher than the rims: an object lies inside when its centre is at most this far above the rim."""
INSIDE_MARGIN_M = 0.008


class Outcome(str, Enum):
    """What the physics shows."""

    IN_CONTAINER = "in_container"
    """The named object rests in the named container, let go."""
    HELD = "held"
    """The named object is between the fingers."""
    WRONG_CONTAINER = "wrong_container"
    """The named object is in the other container."""
    BESIDE = "beside"
    """The named object was moved in this episode and lies in no container."""
    WRONG_OBJECT = "wrong_object"
    """The named object was never moved, but the other one was."""
    UNTOUCHED = "untouched"
    """Nothing was moved."""


@dataclass(frozen=True)
class Facts:
    """What the judge looks at. Positions (3,) in metres in the robot base frame.

    Attributes:
        container: name of the named container; ``distractor_container`` likewise.
        tcp: tool centre point.
        object_position: centre of the named object.
        object_start: the same at the start of the episode.
        object_moved_m: the largest distance it has been from there in this episode.
        object_speed_m_per_s: its speed.
        held: both fingers touch the named object.
        touched: any part of the gripper touches the named object.
        container_pose: (x, y, yaw) of the named container; likewise of the other.
        distractor_moved_m: how far the other object is from where it stood.
    """

    container: str
    distractor_container: str
    tcp: np.ndarray
    object_position: np.ndarray
    object_start: np.ndarray
    object_moved_m: float
    object_speed_m_per_s: float
    held: bool
    touched: bool
    container_pose: np.ndarray
    distractor_container_pose: np.ndarray
    distractor_moved_m: float


def success(facts: Facts) -> bool:
    """The named object rests inside the named container and the gripper has let go of it."""
    inside = _lies_inside(facts.object_position, facts.container, facts.container_pose)
    return inside and not facts.touched and facts.object_speed_m_per_s < REST_M_PER_S


def progress(facts: Facts) -> float:
    """Progress in [0, 1]; 1 exactly at success.

    0 to 0.25: reach for the object. 0.25 to 0.5: hold and lift it. 0.5 to 0.85: carry it over the container, by
    horizontal distance. 0.9: let go inside the container, not yet at rest. An object that is let go elsewhere falls
    back to the first stage.
    """
    if success(facts):
        return 1.0
    clearance = clearance_m(facts.object_position, facts.container, facts.container_pose)
    if not facts.held:
        if clearance > INSIDE_MARGIN_M:
            return 0.9
        return 0.25 * (1.0 - min(1.0, math.dist(facts.tcp, facts.object_position) / REACH_M))
    raised = (facts.object_position[2] - facts.object_start[2]) / LIFT_M
    lifted = _clip(max(raised, 1.0 + clearance / LIFT_M))
    away = math.dist(facts.object_position[:2], facts.container_pose[:2])
    start_away = math.dist(facts.object_start[:2], facts.container_pose[:2])
    return 0.35 + 0.15 * lifted + 0.35 * lifted * _clip(1.0 - away / start_away)


def outcome(facts: Facts) -> Outcome:
    """Name what the physics shows."""
    if success(facts):
        return Outcome.IN_CONTAINER
    if facts.held:
        return Outcome.HELD
    if _lies_inside(facts.object_position, facts.distractor_container, facts.distractor_container_pose):
        return Outcome.WRONG_CONTAINER
    if facts.object_moved_m > MOVED_M:
        return Outcome.BESIDE
    return Outcome.WRONG_OBJECT if facts.distractor_moved_m > MOVED_M else Outcome.UNTOUCHED


def clearance_m(position: np.ndarray, container: str, pose: np.ndarray) -> float:
    """Distance of a position (3,) from the nearest inner wall of a container at (x, y, yaw); negative outside, m."""
    dx, dy = position[0] - pose[0], position[1] - pose[1]
    cos, sin = math.cos(pose[2]), math.sin(pose[2])
    return container_named(container).clearance_m(np.array([cos * dx + sin * dy, cos * dy - sin * dx]))


def _lies_inside(position: np.ndarray, container: str, pose: np.ndarray) -> bool:
    low = position[2] < container_named(container).rim_m + RIM_SLACK_M
    return bool(low and clearance_m(position, container, pose) > INSIDE_MARGIN_M)


def _clip(value: float) -> float:
    return float(min(1.0, max(0.0, value)))
