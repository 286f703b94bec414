"""A scripted expert that sees the privileged state: it shows the task, its shortcomings and its failures.

A motion is a list of cylindrical waypoints of the tool centre point, tool straight down, joined by smooth steps.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from lrm_sim.catalog import container as container_named
from lrm_sim.catalog import prism
from lrm_sim.env import CONTROL_PERIOD_S, HOME, PickPlaceEnv
from lrm_sim.kinematics import TopDownArm, roll_for
from lrm_sim.placement import OBJECT_MAX_Y_M, X_M

OPEN_M = 0.07
CLOSED_M = 0.028
TRANSIT_M = 0.125
GRASP_M = 0.024
RELEASE_M = 0.044
SPEEDS = np.array([0.95, 0.165, 0.165, 1.6, 0.08])
"""Mean speed of pan (rad/s), radius and height (m/s), roll (rad/s), opening (m/s)."""
_MIN_STEPS = 3
_RADIUS_LIMITS_M = (0.13, 0.34)
_RIM_M = (-0.016, 0.018)
"""How far outside of a wall's inner face an object is let go that is to lean on the rim."""


class Kind(str, Enum):
    """What the expert sets out to do."""

    SUCCESS = "success"
    RECOVERED = "recovered"
    """Misses the grasp first, then succeeds."""
    MISSED_GRASP = "missed_grasp"
    """Closes beside or above the object and carries on with an empty gripper."""
    DROPPED_EARLY = "dropped_early"
    WRONG_OBJECT = "wrong_object"
    WRONG_CONTAINER = "wrong_container"
    BESIDE_CONTAINER = "beside_container"
    NEVER_MOVED = "never_moved"
    """Stays at home, or wanders above the scene."""
    HELD_ABOVE = "held_above"
    """Holds the object over the container and never lets go."""
    CARRIED_PAST = "carried_past"
    """Carries the object over the container and beyond; half of the time it is let go there."""
    ON_RIM = "on_rim"
    """Lets go over the rim: most objects come to lean on it."""


FAILURES = tuple(kind for kind in Kind if kind not in (Kind.SUCCESS, Kind.RECOVERED))


@dataclass(frozen=True)
class Style:
    """How well the expert works.

    Attributes:
        place_bias_m: constant (dx, dy) error of the place position, base frame.
        place_noise_m: standard deviation of the place position, per axis.
        grasp_noise_m: standard deviation of the grasp position, per axis.
        action_noise_rad: standard deviation added to every joint target of the arm.
        speed_range: factor on :data:`SPEEDS`, drawn once per episode.
    """

    place_bias_m: tuple[float, float] = (0.0, 0.0)
    place_noise_m: float = 0.004
    grasp_noise_m: float = 0.003
    action_noise_rad: float = 0.003
    speed_range: tuple[float, float] = (0.85, 1.2)


@dataclass
class Expert:
    """Joint targets for one episode of ``env``, from just after its reset.

    Attributes:
        env: the environment, read at every decision.
        kind: what to do.
        rng: source of all randomness.
        style: how well to do it.
        finished: True once the motion is over and the arm only holds still.
    """

    env: PickPlaceEnv
    kind: Kind
    rng: np.random.Generator
    style: Style = field(default_factory=Style)
    finished: bool = False

    def __post_init__(self) -> None:
        self._arm = TopDownArm.of(self.env.model)
        self._speed = self.rng.uniform(*self.style.speed_range)
        radius, height = math.hypot(*self.env.tcp[:2]), self.env.tcp[2]
        self._at = np.array([HOME[0], radius, height, HOME[4], HOME[5]])
        self._grip_m = 0.0
        self._motion = self._perform()

    def act(self) -> np.ndarray:
        """The next joint targets (6,), float32, rad and m."""
        waypoint = next(self._motion, None)
        self.finished = waypoint is None
        pan, radius, height, roll, opening = self._at if waypoint is None else waypoint
        joints = self._arm.joints(pan, radius, height, roll)
        if not self.finished:
            joints = joints + self.rng.normal(0.0, self.style.action_noise_rad, 5)
        return np.append(joints, opening).astype(np.float32)

    def _perform(self) -> Iterator[np.ndarray]:
        env, kind = self.env, self.kind
        if kind is Kind.NEVER_MOVED:
            yield from self.wander()
            return
        if kind is Kind.RECOVERED:
            yield from self.pick(env.object, miss=True)
            yield from self.pick(env.object)
        else:
            thing = env.distractor_object if kind is Kind.WRONG_OBJECT else env.object
            yield from self.pick(thing, miss=kind is Kind.MISSED_GRASP)
        container = env.distractor_container if kind is Kind.WRONG_CONTAINER else env.container
        if kind is Kind.DROPPED_EARLY:
            yield from self._drop_on_the_way()
        if kind is Kind.HELD_ABOVE:
            yield from self._hold_above(container)
        elif kind is Kind.CARRIED_PAST:
            yield from self._carry_past(container)
        elif kind is Kind.BESIDE_CONTAINER:
            yield from self.place(self.spot_beside(), GRASP_M + 0.006)
        elif kind is Kind.ON_RIM:
            yield from self.place(self._rim_spot(container), RELEASE_M)
        else:
            yield from self.place(self.place_spot(container), RELEASE_M)

    def pick(self, thing: str, miss: bool = False, raised_m: float = 0.0) -> Iterator[np.ndarray]:
        """Grasp an object that stands ``raised_m`` above the table, or miss it, and lift what is grasped."""
        solid, closing = prism(thing), self.env.yaw_of(thing)
        spot = self.env.position_of(thing)[:2] + self.rng.normal(0.0, self.style.grasp_noise_m, 2)
        pan = math.atan2(spot[1], spot[0])
        roll = roll_for(pan, closing, solid.grasp_period_rad)
        grasp_height = solid.grasp_height_m + raised_m
        self._grip_m = solid.grasp_height_m - GRASP_M
        if miss and self.rng.random() < 0.5:
            grasp_height = 2 * solid.half_height_m + self.rng.uniform(0.016, 0.03)
        elif miss:
            spot = spot + self._miss_offset(pan, roll)
        yield from self.above(spot, roll, OPEN_M)
        yield from self.move(height=grasp_height)
        yield from self.move(opening=CLOSED_M)
        yield from self.move(height=TRANSIT_M)

    def _miss_offset(self, pan: float, roll: float) -> np.ndarray:
        # Perpendicular to the closing direction, towards the base, so that the fingers come down beside the object.
        across = pan - roll + math.pi
        return self.rng.uniform(0.05, 0.06) * np.array([math.cos(across), math.sin(across)])

    def place(self, spot: np.ndarray, height: float) -> Iterator[np.ndarray]:
        """Let go above ``spot``; ``height`` is that of the tool for an object grasped at :data:`GRASP_M`."""
        yield from self.above(spot, self._at[3], self._at[4])
        yield from self.move(height=height + self._grip_m)
        yield from self.move(opening=OPEN_M)
        yield from self.move(height=TRANSIT_M)

    def _drop_on_the_way(self) -> Iterator[np.ndarray]:
        start, goal = self._spot(), self.env.pose_of(self.env.container)[:2]
        away = float(np.linalg.norm(goal - start))
        keep = container_named(self.env.container).outer_radius_m + 0.035
        share = self.rng.uniform(0.3, 0.9) * max(0.0, 1.0 - keep / away)
        yield from self.above(start + share * (goal - start), self._at[3], CLOSED_M)
        yield from self.move(opening=OPEN_M)

    def _hold_above(self, container: str) -> Iterator[np.ndarray]:
        yield from self.above(self.place_spot(container), self._at[3], CLOSED_M)
        yield from self.move(height=self.rng.uniform(RELEASE_M, TRANSIT_M))

    def _carry_past(self, container: str) -> Iterator[np.ndarray]:
        yield from self._hold_above(container)
        yield from self.above(self.spot_beside(), self._at[3], CLOSED_M)
        if self.rng.random() < 0.5:
            yield from self.move(height=GRASP_M + 0.006 + self._grip_m)
            yield from self.move(opening=OPEN_M)
            yield from self.move(height=TRANSIT_M)

    def wander(self) -> Iterator[np.ndarray]:
        """Stay at home, or move about above the scene."""
        if self.rng.random() < 0.5:
            return
        for _ in range(4):
            x, y = self.rng.uniform((0.17, -0.15), (0.28, 0.15))
            yield from self.above(np.array([x, y]), self.rng.uniform(-1.0, 1.0), OPEN_M)

    def place_spot(self, container: str) -> np.ndarray:
        """Where over a container to let go, (2,) m, with the error of the style."""
        error = self.rng.normal(self.style.place_bias_m, self.style.place_noise_m)
        return self.env.pose_of(container)[:2] + error

    def _rim_spot(self, container: str) -> np.ndarray:
        x, y, yaw = self.env.pose_of(container)
        wall = self.rng.choice(np.array(container_named(container).walls, object))
        out = wall.apothem_m + self.rng.uniform(*_RIM_M)
        return np.array([x, y]) + out * np.array([math.cos(yaw + wall.angle_rad), math.sin(yaw + wall.angle_rad)])

    def spot_beside(self) -> np.ndarray:
        """A reachable place on the table, close to the named container and clear of everything."""
        container, centre = container_named(self.env.container), self.env.pose_of(self.env.container)[:2]
        spots = (
            centre
            + (container.outer_radius_m + self.rng.uniform(0.015, 0.06)) * np.array([math.cos(angle), math.sin(angle)])
            for angle in self.rng.uniform(-math.pi, math.pi, 24)
        )
        return self.free_spot(spots, centre)

    def free_spot(self, spots: Iterable[np.ndarray], otherwise: np.ndarray) -> np.ndarray:
        """The first of ``spots`` (2,), m, that is reachable, in view and clear of the other things, or the clearest."""
        env = self.env
        other = container_named(env.distractor_container)
        keep_off = {env.distractor_container: other.outer_radius_m + 0.03, env.distractor_object: 0.06}
        best, best_room = otherwise, -math.inf
        for spot in spots:
            room = min(math.dist(spot, env.position_of(name)[:2]) - keep for name, keep in keep_off.items())
            reachable = _RADIUS_LIMITS_M[0] < np.linalg.norm(spot) < _RADIUS_LIMITS_M[1]
            in_view = X_M[0] < spot[0] and abs(spot[1]) < OBJECT_MAX_Y_M
            if reachable and in_view and min(room, 0.0) > best_room:
                best, best_room = spot, min(room, 0.0)
        return best

    def _spot(self) -> np.ndarray:
        return self._at[1] * np.array([math.cos(self._at[0]), math.sin(self._at[0])])

    def above(self, spot: np.ndarray, roll: float, opening: float) -> Iterator[np.ndarray]:
        """Move to transit height over ``spot`` (2,), m."""
        pan, radius = math.atan2(spot[1], spot[0]), float(np.clip(np.linalg.norm(spot), *_RADIUS_LIMITS_M))
        return self.move_to(np.array([pan, radius, TRANSIT_M, roll, opening]))

    def move(self, *, height: float | None = None, opening: float | None = None) -> Iterator[np.ndarray]:
        """Change height (m) or opening (m) alone."""
        goal = self._at.copy()
        goal[2] = goal[2] if height is None else height
        goal[4] = goal[4] if opening is None else opening
        return self.move_to(goal)

    def move_to(self, goal: np.ndarray) -> Iterator[np.ndarray]:
        """One smooth step to a waypoint: pan, radius, height, roll, opening."""
        start = self._at.copy()
        seconds = float(np.max(np.abs(goal - start) / SPEEDS)) / self._speed
        steps = max(_MIN_STEPS, math.ceil(seconds / CONTROL_PERIOD_S))
        for i in range(1, steps + 1):
            share = i / steps
            self._at = start + (goal - start) * share * share * (3.0 - 2.0 * share)
            yield self._at
