"""Privileged success and progress of every verb. Pure functions of :class:`lrm_sim.judge.Facts`.

Progress is in [0, 1], 1 exactly at success. All verbs share the first stage: 0 to 0.25 by the distance of the tool to
the object. Where an object has to be let go, a gripper that still touches it is no success.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from lrm_sim import judge
from lrm_sim.judge import LIFT_M, REACH_M, REST_M_PER_S, Facts, clearance_m

RAISED_M = 0.06
"""What counts as lifted."""
PUSHED_M = 0.05
"""What counts as pushed to one side."""
ASTRAY_M = 0.05
"""How far a pushed object may leave its direction."""
ON_TABLE_M = 0.02
"""An object lies on the table while its centre is at most this much above where it was."""
BESIDE_M = (0.012, 0.062)
"""Distance of an object's centre from the inner face of a container beside which it lies; they touch at about 0.03."""
APART_M = 0.09
"""An episode of "next to" or "to" starts at least this far away."""

Truth = Callable[[Facts], float]


@dataclass(frozen=True)
class Judge:
    """``stages`` gives progress without regard of success, below 1."""

    success: Callable[[Facts], bool]
    stages: Truth

    def progress(self, facts: Facts) -> float:
        """Progress in [0, 1], 1 exactly at success."""
        return 1.0 if self.success(facts) else min(self.stages(facts), 0.95)


def reach(facts: Facts) -> float:
    """0 far from the object, 1 at its centre."""
    return 1.0 - min(1.0, math.dist(facts.tcp, facts.object_position) / REACH_M)


def rise_m(facts: Facts) -> float:
    """How far the object is above where it was."""
    return float(facts.object_position[2] - facts.object_start[2])


def at_rest(facts: Facts) -> bool:
    """Let go, and still."""
    return not facts.touched and facts.object_speed_m_per_s < REST_M_PER_S


def lifted(facts: Facts) -> bool:
    """Held in the air."""
    return facts.held and rise_m(facts) >= RAISED_M


def _lift_stages(facts: Facts) -> float:
    return 0.35 + 0.6 * _share(rise_m(facts), RAISED_M) if facts.held else 0.25 * reach(facts)


def touched(facts: Facts) -> bool:
    """Any part of the gripper touches the object."""
    return facts.touched


def _touch_stages(facts: Facts) -> float:
    return 0.9 * reach(facts)


def pushed(direction_y: float) -> Judge:
    """Judge of a push along y; +1 is to the right in the front camera's picture."""

    def along(facts: Facts) -> float:
        return direction_y * float(facts.object_position[1] - facts.object_start[1])

    def success(facts: Facts) -> bool:
        astray = abs(float(facts.object_position[0] - facts.object_start[0]))
        return along(facts) >= PUSHED_M and astray <= ASTRAY_M and rise_m(facts) < ON_TABLE_M and at_rest(facts)

    def stages(facts: Facts) -> float:
        share = _share(along(facts), PUSHED_M) if rise_m(facts) < ON_TABLE_M else 0.0
        return 0.25 * max(reach(facts), share) + 0.65 * share

    return Judge(success, stages)


def beside(facts: Facts) -> bool:
    """The object lies on the table, let go, right beside the named container."""
    gap = -clearance_m(facts.object_position, facts.container, facts.container_pose)
    return BESIDE_M[0] <= gap <= BESIDE_M[1] and rise_m(facts) < ON_TABLE_M and at_rest(facts)


def _beside_stages(facts: Facts) -> float:
    now = -clearance_m(facts.object_position, facts.container, facts.container_pose)
    start = -clearance_m(facts.object_start, facts.container, facts.container_pose)
    if now < BESIDE_M[0]:  # over the container or in it: that is further than needed
        return 0.5
    nearer = _share(start - now, max(start - BESIDE_M[1], 1e-3))
    return 0.25 * max(reach(facts), nearer) + 0.6 * nearer


def taken_out(facts: Facts) -> bool:
    """The object lies on the table, outside of the container, let go."""
    gap = -clearance_m(facts.object_position, facts.container, facts.container_pose)
    return gap >= BESIDE_M[0] and rise_m(facts) < 0.5 * ON_TABLE_M and at_rest(facts)


def _take_stages(facts: Facts) -> float:
    outside = -clearance_m(facts.object_position, facts.container, facts.container_pose)
    if facts.held:
        return 0.35 + 0.15 * _share(rise_m(facts), LIFT_M) + 0.35 * _share(outside, BESIDE_M[1])
    return 0.9 if outside >= BESIDE_M[0] else 0.25 * reach(facts)


def _share(value: float, whole: float) -> float:
    return min(1.0, max(0.0, value / whole))


PUT = Judge(judge.success, judge.progress)
LIFT = Judge(lifted, _lift_stages)
TOUCH = Judge(touched, _touch_stages)
BESIDE = Judge(beside, _beside_stages)
TAKE_OUT = Judge(taken_out, _take_stages)
