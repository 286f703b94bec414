"""What the scripted expert does for each verb: how it succeeds, and how it fails."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from lrm_sim.catalog import FLOOR_M, prism
from lrm_sim.env import CONTROL_PERIOD_S
from lrm_sim.expert import CLOSED_M, GRASP_M, OPEN_M, TRANSIT_M, Expert, Kind
from lrm_sim.family import judges
from lrm_sim.judge import clearance_m
from lrm_sim.kinematics import roll_for

PUSH_HEIGHT_M = 0.021
PUSH_SPEED_M_PER_S = 0.10
BEHIND_M = 0.062
"""A push starts this far behind the centre of the object."""
CONTACT_M = 0.034
"""Distance of tool and object while the one pushes the other, for a middling object."""
FINGER_TIP_M = 0.010
"""The fingers reach this far beyond the tool centre point."""


@dataclass
class FamilyExpert(Expert):
    """An expert whose motion is one of the registered ones (``verbs``)."""

    motion: Callable[[FamilyExpert], Iterator[np.ndarray]] = lambda expert: expert.wander()

    def _perform(self) -> Iterator[np.ndarray]:
        yield from self.motion(self)

    def slide(self, goal: np.ndarray, closing_rad: float) -> Iterator[np.ndarray]:
        """Straight over the table to ``goal`` (2,), m, the fingers closing along ``closing_rad``."""
        start, height, opening = self._spot(), self._at[2], self._at[4]
        steps = max(3, math.ceil(math.dist(start, goal) / PUSH_SPEED_M_PER_S / CONTROL_PERIOD_S))
        for share in np.arange(1, steps + 1) / steps:
            spot = start + (goal - start) * share
            pan = math.atan2(spot[1], spot[0])
            self._at = np.array([pan, np.linalg.norm(spot), height, roll_for(pan, closing_rad, math.pi), opening])
            yield self._at


Motion = Callable[[FamilyExpert], Iterator[np.ndarray]]


def as_kind(kind: Kind) -> Motion:
    """The motion of the demo's expert for "put the {object} in the {container}"."""

    def motion(expert: FamilyExpert) -> Iterator[np.ndarray]:
        expert.kind = kind
        yield from Expert._perform(expert)

    return motion


def still(expert: FamilyExpert) -> Iterator[np.ndarray]:
    """Nothing, or a walk above the scene."""
    yield from expert.wander()


def lift(expert: FamilyExpert, wrong: bool = False, miss: bool = False) -> Iterator[np.ndarray]:
    """Pick it up and hold it."""
    yield from expert.pick(expert.env.distractor_object if wrong else expert.env.object, miss=miss)


def barely_lift(expert: FamilyExpert) -> Iterator[np.ndarray]:
    """Hold it a little above the table."""
    for waypoint in lift(expert):
        if waypoint[4] <= CLOSED_M and waypoint[2] > GRASP_M + 0.5 * judges.RAISED_M:
            return
        yield waypoint


def put_down(expert: FamilyExpert) -> Iterator[np.ndarray]:
    """Pick it up and put it where it was."""
    yield from lift(expert)
    yield from expert.move(height=GRASP_M + 0.004)
    yield from expert.move(opening=OPEN_M)
    yield from expert.move(height=TRANSIT_M)


def touch(expert: FamilyExpert, wrong: bool = False, short_m: float = 0.0) -> Iterator[np.ndarray]:
    """Come down on it with closed fingers, or stop ``short_m`` above."""
    thing = expert.env.distractor_object if wrong else expert.env.object
    yield from expert.above(expert.env.position_of(thing)[:2], 0.0, CLOSED_M)
    yield from expert.move(height=2 * prism(thing).half_height_m + FINGER_TIP_M - 0.005 + short_m)


def touch_beside(expert: FamilyExpert) -> Iterator[np.ndarray]:
    """Come down on the table beside it."""
    env = expert.env
    away = np.array([math.cos(angle := expert.rng.uniform(-math.pi, math.pi)), math.sin(angle)])
    yield from expert.above(env.position_of(env.object)[:2] + 0.08 * away, 0.0, CLOSED_M)
    yield from expert.move(height=GRASP_M)


def push(expert: FamilyExpert, thing: str, direction: np.ndarray, need_m: float) -> Iterator[np.ndarray]:
    """Push ``thing`` along the unit vector ``direction`` (2,) by about ``need_m``, and let it be."""
    start = expert.env.position_of(thing)[:2].copy()
    closing = math.atan2(direction[1], direction[0]) + math.pi / 2
    behind = start - BEHIND_M * direction
    yield from expert.above(behind, roll_for(math.atan2(behind[1], behind[0]), closing, math.pi), CLOSED_M)
    yield from expert.move(height=PUSH_HEIGHT_M)
    end = start + (need_m - CONTACT_M) * direction
    yield from expert.slide(end, closing)
    yield from expert.slide(end - 0.03 * direction, closing)
    yield from expert.move(height=TRANSIT_M)


def push_aside(
    expert: FamilyExpert, direction_y: float, need_m: float = judges.PUSHED_M + 0.017, wrong: bool = False
) -> Iterator[np.ndarray]:
    """Push the object, or the other one, to one side."""
    env = expert.env
    thing = env.distractor_object if wrong else env.object
    yield from push(expert, thing, np.array([0.0, direction_y]), need_m)


def push_to(expert: FamilyExpert, share: float = 1.0, wrong: bool = False) -> Iterator[np.ndarray]:
    """Push the object up to the container, or a ``share`` of the way, or up to the other container."""
    env = expert.env
    container = env.distractor_container if wrong else env.container
    start, pose = env.position_of(env.object)[:2], env.pose_of(container)
    direction = (pose[:2] - start) / np.linalg.norm(pose[:2] - start)
    way = np.arange(0.0, math.dist(start, pose[:2]), 0.002)
    near = [float(s) for s in way if -clearance_m(start + s * direction, container, pose) <= 0.04]
    yield from push(expert, env.object, direction, share * (near[0] if near else 0.0))


def put_beside(
    expert: FamilyExpert, gap_m: tuple[float, float] = (0.034, 0.05), wrong: bool = False, raised_m: float = 0.0
) -> Iterator[np.ndarray]:
    """Carry the object, or the other one, to a free place beside the named container."""
    env = expert.env
    yield from expert.pick(env.distractor_object if wrong else env.object, raised_m=raised_m)
    yield from expert.place(_spot_next_to(expert, gap_m), GRASP_M + 0.006)


def take_out(expert: FamilyExpert) -> Iterator[np.ndarray]:
    """Take the object out of the container and put it on the table."""
    yield from put_beside(expert, (0.036, 0.08), raised_m=FLOOR_M)


def hold_outside(expert: FamilyExpert) -> Iterator[np.ndarray]:
    """Take it out, and hold it."""
    yield from expert.pick(expert.env.object, raised_m=FLOOR_M)
    yield from expert.above(_spot_next_to(expert, (0.036, 0.08)), expert._at[3], CLOSED_M)


def drop_back(expert: FamilyExpert) -> Iterator[np.ndarray]:
    """Lift it out, and let it fall into the container again."""
    yield from expert.pick(expert.env.object, raised_m=FLOOR_M)
    yield from expert.move(height=0.08)
    yield from expert.move(opening=OPEN_M)


def miss_above(expert: FamilyExpert) -> Iterator[np.ndarray]:
    """Close above it and carry nothing away."""
    env = expert.env
    above_m = 2 * prism(env.object).half_height_m + expert.rng.uniform(0.016, 0.03)
    yield from expert.above(env.position_of(env.object)[:2], 0.0, OPEN_M)
    yield from expert.move(height=FLOOR_M + above_m)
    yield from expert.move(opening=CLOSED_M)
    yield from expert.move(height=TRANSIT_M)
    yield from expert.above(_spot_next_to(expert, (0.036, 0.08)), 0.0, CLOSED_M)


def _spot_next_to(expert: FamilyExpert, gap_m: tuple[float, float]) -> np.ndarray:
    container, pose = expert.env.container, expert.env.pose_of(expert.env.container)

    def spot(angle: float) -> np.ndarray:
        ray, gap = np.array([math.cos(angle), math.sin(angle)]), expert.rng.uniform(*gap_m)
        out = next(s for s in np.arange(0.04, 0.3, 0.002) if -clearance_m(pose[:2] + s * ray, container, pose) >= gap)
        return pose[:2] + out * ray

    return expert.free_spot(map(spot, expert.rng.uniform(-math.pi, math.pi, 24)), spot(0.0))
