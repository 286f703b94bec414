"""The registry of verbs: how each is said, judged and performed. A new verb is one entry here and its motions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from lrm_sim.catalog import container as container_named
from lrm_sim.expert import Kind
from lrm_sim.family import judges, motions
from lrm_sim.family.judges import Judge
from lrm_sim.family.motions import Motion
from lrm_sim.family.sentences import WORDINGS, Wording
from lrm_sim.judge import clearance_m
from lrm_sim.placement import OBJECT_MAX_Y_M, X_M, Layout, Pose2

SUCCESS = "success"


@dataclass(frozen=True)
class Verb:
    """One thing that can be asked for.

    Attributes:
        name: key of the registry and of ``sentences.WORDINGS``.
        judge: privileged success and progress.
        motions: what the expert can do, by name; ``success`` and ``recovered`` mean to succeed, the others to fail.
        fits: whether a layout leaves room for it; the second argument is the named container.
        starts_inside: the object lies in the named container at the start.
    """

    name: str
    judge: Judge
    motions: dict[str, Motion]
    fits: Callable[[Layout, str], bool] = lambda layout, container: True
    starts_inside: bool = False

    @property
    def wording(self) -> Wording:
        """How it is said."""
        return WORDINGS[self.name]

    @property
    def failures(self) -> tuple[str, ...]:
        """Motions that are meant to fail."""
        return tuple(name for name in self.motions if name not in (SUCCESS, "recovered"))


def _room(layout: Layout, way: list[tuple[float, float]]) -> bool:
    """True when a way over the table is within reach and clear of everything but the object."""
    others = [layout.distractor_object_pose, layout.container_pose, layout.distractor_container_pose]
    keep = (0.055, 0.10, 0.10)
    reachable = all(X_M[0] - 0.02 < x < X_M[1] and abs(y) < OBJECT_MAX_Y_M + 0.02 for x, y in way)
    clear = all(math.hypot(x - o.x, y - o.y) > k for x, y in way for o, k in zip(others, keep, strict=True))
    return reachable and clear


def _side_fits(direction_y: float, layout: Layout, container: str) -> bool:
    at = layout.object_pose
    ways = np.linspace(-motions.BEHIND_M - 0.012, judges.PUSHED_M + 0.03, 7)
    return _room(layout, [(at.x, at.y + direction_y * float(step)) for step in ways])


def _gap_m(layout: Layout, container: str) -> float:
    at, pose = layout.object_pose, layout.container_pose
    return -clearance_m(np.array([at.x, at.y]), container, np.array([pose.x, pose.y, pose.yaw]))


def _apart(layout: Layout, container: str) -> bool:
    return _gap_m(layout, container) >= judges.APART_M


def _way_fits(layout: Layout, container: str) -> bool:
    at, pose = layout.object_pose, layout.container_pose
    away = math.hypot(pose.x - at.x, pose.y - at.y)
    near = container_named(container).outer_radius_m + 0.03
    shares = [-(motions.BEHIND_M + 0.012) / away, 0.0, 0.5 * (1.0 - near / away), 1.0 - near / away]
    way = [(at.x + s * (pose.x - at.x), at.y + s * (pose.y - at.y)) for s in shares]
    blocked = [layout.distractor_object_pose, layout.distractor_container_pose]
    clear = all(math.hypot(x - o.x, y - o.y) > k for x, y in way for o, k in zip(blocked, (0.06, 0.10), strict=True))
    back = Pose2(*way[0], 0.0)
    reachable = X_M[0] - 0.02 < back.x < X_M[1] and abs(back.y) < OBJECT_MAX_Y_M + 0.02
    return _apart(layout, container) and clear and reachable


def _push(name: str, direction_y: float) -> Verb:
    aside = partial(partial, motions.push_aside)
    return Verb(
        name,
        judges.pushed(direction_y),
        {
            SUCCESS: aside(direction_y=direction_y),
            "other_way": aside(direction_y=-direction_y),
            "too_short": aside(direction_y=direction_y, need_m=0.5 * judges.PUSHED_M),
            "wrong_object": aside(direction_y=direction_y, wrong=True),
            "never_moved": motions.still,
        },
        partial(_side_fits, direction_y),
    )


_ALL = (
    Verb("put", judges.PUT, {kind.value: motions.as_kind(kind) for kind in Kind}),
    Verb(
        "lift",
        judges.LIFT,
        {
            SUCCESS: motions.lift,
            "missed_grasp": partial(motions.lift, miss=True),
            "wrong_object": partial(motions.lift, wrong=True),
            "barely_lifted": motions.barely_lift,
            "put_down": motions.put_down,
            "never_moved": motions.still,
        },
    ),
    _push("push_left", -1.0),
    _push("push_right", 1.0),
    Verb(
        "take_out",
        judges.TAKE_OUT,
        {
            SUCCESS: motions.take_out,
            "missed_grasp": motions.miss_above,
            "dropped_back": motions.drop_back,
            "held_outside": motions.hold_outside,
            "never_moved": motions.still,
        },
        starts_inside=True,
    ),
    Verb(
        "touch",
        judges.TOUCH,
        {
            SUCCESS: motions.touch,
            "stopped_short": partial(motions.touch, short_m=0.035),
            "beside": motions.touch_beside,
            "wrong_object": partial(motions.touch, wrong=True),
            "never_moved": motions.still,
        },
    ),
    Verb(
        "push_to",
        judges.BESIDE,
        {
            SUCCESS: motions.push_to,
            "too_short": partial(motions.push_to, share=0.4),
            "never_moved": motions.still,
        },
        _way_fits,
    ),
    Verb(
        "next_to",
        judges.BESIDE,
        {
            SUCCESS: motions.put_beside,
            "too_far": partial(motions.put_beside, gap_m=(0.085, 0.10)),
            "in_container": motions.as_kind(Kind.SUCCESS),
            "wrong_object": partial(motions.put_beside, wrong=True),
            "missed_grasp": partial(motions.lift, miss=True),
            "never_moved": motions.still,
        },
        _apart,
    ),
)
VERBS: dict[str, Verb] = {verb.name: verb for verb in _ALL}
TRAINED_VERBS = ("put", "lift", "push_left", "push_right", "take_out")
HELD_OUT_VERBS = ("touch", "push_to", "next_to")

assert set(VERBS) == set(WORDINGS) == {*TRAINED_VERBS, *HELD_OUT_VERBS}
