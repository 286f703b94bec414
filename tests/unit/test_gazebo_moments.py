"""Streams of Gazebo are joined by stamp, whatever the order they arrive in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrm_sim.gazebo.description import CONTROLLED
from lrm_sim.gazebo.mirror import joint_values
from lrm_sim.gazebo.moments import Moments
from lrm_sim.scene import CAMERAS, JOINTS

MS = 1_000_000
IMAGE = np.zeros((2, 2, 3), np.uint8)
QUAT = np.array([1.0, 0.0, 0.0, 0.0])


def full(moments: Moments, stamp_ns: int) -> None:
    """Joints and the place of the one object around a stamp; the object moves 1 mm in 20 ms."""
    moments.joints(stamp_ns, CONTROLLED, range(7), [0.5] * 7)
    for back in (20 * MS, 0):
        moments.pose("cube", stamp_ns - back, np.array([0.1 - back / (20 * MS) * 0.001, 0.0, 0.0]), QUAT)


def test_a_moment_needs_both_images_of_one_stamp_joints_and_objects() -> None:
    moments = Moments(["cube"], 30 * MS)
    moments.image("front", 100 * MS, IMAGE)
    full(moments, 95 * MS)
    assert moments.take() is None
    moments.image("wrist", 200 * MS, IMAGE)
    assert moments.take() is None
    moments.image("wrist", 100 * MS, IMAGE)
    moment = moments.take()
    assert moment is not None and moment.stamp_ns == 100 * MS
    assert moment.objects["cube"].speed_m_per_s == pytest.approx(0.05)
    assert moments.take() is None


@pytest.mark.parametrize("late", ["joints", "objects"])
def test_what_is_older_than_the_tolerance_belongs_to_no_moment(late: str) -> None:
    moments = Moments(["cube"], 30 * MS)
    full(moments, 100 * MS)
    stamp = 131 * MS if late == "joints" else 129 * MS
    if late == "joints":
        for back in (20 * MS, 0):
            moments.pose("cube", stamp - back, np.zeros(3), QUAT)
    else:
        moments.joints(stamp + 2 * MS, CONTROLLED, range(7), range(7))
        stamp += 2 * MS
    for camera in CAMERAS:
        moments.image(camera, stamp, IMAGE)
    assert moments.take() is None


def test_joint_states_come_in_any_order_and_one_that_lacks_a_joint_is_counted() -> None:
    moments = Moments([], 30 * MS)
    for camera in CAMERAS:
        moments.image(camera, 100 * MS, IMAGE)
    moments.joints(100 * MS, CONTROLLED[:-1], range(6), range(6))
    assert moments.take() is None and moments.dropped == 1
    moments.joints(100 * MS, ["other", *reversed(CONTROLLED)], [9.0, *range(7)], [9.0] * 8)
    moment = moments.take()
    assert moment is not None and list(moment.positions) == [6, 5, 4, 3, 2, 1, 0]
    positions, _ = joint_values(moment)
    assert len(positions) == len(JOINTS) and positions[5] == 1.0  # the opening between both fingers


@given(st.permutations([(camera, i) for camera in CAMERAS for i in range(6)]))
def test_in_any_order_of_arrival_stamps_only_grow_and_nothing_piles_up(order: list[tuple[str, int]]) -> None:
    moments = Moments([], 30 * MS)
    for i in range(6):
        moments.joints(100 * MS * i, CONTROLLED, range(7), range(7))
    taken = []
    for camera, i in order:
        moments.image(camera, 100 * MS * i, IMAGE)
        if (moment := moments.take()) is not None:
            taken.append(moment.stamp_ns)
    assert taken == sorted(set(taken))
    assert all(len(waiting) <= 4 for waiting in moments._images.values())


def test_after_time_went_back_nothing_old_is_left() -> None:
    moments = Moments(["cube"], 30 * MS)
    full(moments, 100 * MS)
    moments.image("front", 100 * MS, IMAGE)
    moments.clear()
    moments.image("wrist", 100 * MS, IMAGE)
    assert moments.take() is None
