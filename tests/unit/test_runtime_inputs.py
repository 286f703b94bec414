"""Observations and reward gate."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrm_core.frames import CameraFrame
from lrm_core.rewards import RewardHead
from lrm_policy_node.runtime.observation import ObservationBuffer
from lrm_policy_node.runtime.rewards import Gate, Heartbeat, RewardGate, RewardLedger

NAMES = ("a", "b")
MS = 1_000_000


def frame(camera: str, stamp_ns: int, size: tuple[int, int] = (2, 2)) -> CameraFrame:
    return CameraFrame(np.full((*size, 3), stamp_ns // MS % 256, np.uint8), stamp_ns, camera)


def watching(tolerance_s: float, cameras: tuple[str, ...] = ("front", "wrist")) -> ObservationBuffer:
    buffer = ObservationBuffer(NAMES, tolerance_s)
    buffer.watch(cameras)
    return buffer


def test_lockstep_joins_only_equal_stamps() -> None:
    buffer = watching(0.0)
    buffer.add_frame(frame("front", 100 * MS))
    buffer.add_joints(100 * MS, NAMES, (0.1, 0.2))
    assert buffer.newest() is None
    assert buffer.missing(0) == "wrist"
    buffer.add_frame(frame("wrist", 99 * MS))
    assert buffer.newest() is None
    assert buffer.missing(0) == "stamps"
    buffer.add_frame(frame("wrist", 100 * MS))
    observation = buffer.newest()
    assert observation is not None
    assert observation.stamp_ns == 100 * MS
    assert observation.joints.tolist() == pytest.approx([0.1, 0.2])
    assert buffer.newest(after_ns=100 * MS) is None


def test_a_robot_joins_the_nearest_stamps_within_the_tolerance() -> None:
    buffer = watching(0.05)
    for stamp_ms in (0, 33, 66):
        buffer.add_frame(frame("wrist", stamp_ms * MS))
        buffer.add_joints((stamp_ms + 5) * MS, ("b", "extra", "a"), (stamp_ms, 0.0, -stamp_ms))
    buffer.add_frame(frame("front", 40 * MS))
    observation = buffer.newest()
    assert observation is not None
    assert observation.images["wrist"][0, 0, 0] == 33
    assert observation.joints.tolist() == [-33, 33]
    buffer.add_frame(frame("front", 400 * MS))
    assert buffer.newest() is None


@pytest.mark.parametrize("cameras", [("top",), ("laptop", "phone", "side")])
def test_any_cameras_of_any_size_make_an_observation_stamped_by_the_first(cameras: tuple[str, ...]) -> None:
    buffer = watching(0.05, cameras)
    buffer.add_joints(100 * MS, NAMES, (0.1, 0.2))
    for index, camera in enumerate(cameras):
        assert buffer.newest() is None
        assert buffer.missing(0) == camera
        buffer.add_frame(frame(camera, (100 + index) * MS, (2 + index, 4)))
    observation = buffer.newest()
    assert observation is not None
    assert observation.stamp_ns == 100 * MS
    seen = observation.for_policy()
    assert list(seen) == [*cameras, "state"]
    assert [seen[camera].shape[0] for camera in cameras] == [2 + index for index in range(len(cameras))]


def test_before_the_cameras_are_known_there_is_no_observation() -> None:
    buffer = ObservationBuffer(NAMES, 0.0)
    buffer.add_joints(1, NAMES, (0.1, 0.2))
    assert buffer.newest() is None


@pytest.mark.parametrize(
    ("names", "positions", "word"), [(NAMES, (math.nan, 0.0), "nan"), (("a",), (0.0,), "no position of b")]
)
def test_unusable_joint_states_are_named_and_not_used(
    names: tuple[str, ...], positions: tuple[float], word: str
) -> None:
    buffer = watching(0.0)
    buffer.add_joints(1, names, positions)
    assert word in buffer.joints_fault
    assert buffer.missing(0) == "front"
    buffer.add_joints(2, NAMES, (0.0, 0.0))
    assert buffer.joints_fault == ""


def test_a_stamp_that_goes_back_forgets_the_old_clock() -> None:
    buffer = watching(0.0)
    for camera in ("front", "wrist"):
        assert not buffer.add_frame(frame(camera, 500 * MS))
    assert not buffer.add_joints(500 * MS, NAMES, (0.0, 0.0))
    assert buffer.add_frame(frame("front", 100 * MS))
    assert buffer.newest() is None


def test_scores_are_found_by_episode_and_stamp_and_unknown_counts_as_answered() -> None:
    ledger = RewardLedger()
    ledger.add("e1", 1000, RewardHead.PROGRESS, 0.5)
    found = ledger.frame("e1", 1040, tolerance_ns=50)
    assert found is not None
    assert not found.complete
    ledger.add("e1", 1000, RewardHead.COMPLETION, math.nan)
    assert found.complete
    assert found.scores().completion is None
    assert found.scores().progress == 0.5
    assert ledger.frame("e1", 1060, tolerance_ns=50) is None
    assert ledger.frame("e2", 1000) is None


def test_the_ledger_is_bounded() -> None:
    ledger = RewardLedger()
    for stamp in range(5000):
        ledger.add("e", stamp, RewardHead.PROGRESS, 0.0)
    assert ledger.frame("e", 0) is None
    assert ledger.frame("e", 4999) is not None


GATE = RewardGate(answer_timeout_s=5.0, lost_timeout_s=60.0)


def beats(*times_s: float) -> Heartbeat:
    heartbeat = Heartbeat(timeout_s=2.0)
    for now_s in times_s:
        heartbeat.beat(now_s)
    return heartbeat


@pytest.mark.parametrize(
    ("arrived", "heartbeat", "now_s", "state"),
    [
        (True, beats(), 100.0, Gate.OPEN),
        (False, beats(9.0, 10.0, 11.0), 12.0, Gate.WAIT),
        (False, beats(9.5, 11.0, 12.5, 14.0), 15.5, Gate.GIVEN_UP),
        (False, beats(9.5), 15.5, Gate.WAIT),
        (False, beats(9.5, 30.0, 31.0, 32.0), 33.0, Gate.WAIT),
        (False, beats(9.5, 30.0, 31.5, 33.0, 34.5), 35.5, Gate.GIVEN_UP),
        (False, beats(9.5), 69.0, Gate.WAIT),
        (False, beats(9.5), 71.0, Gate.LOST),
        (False, beats(), 71.0, Gate.LOST),
        (False, beats(12.0), 71.0, Gate.WAIT),
    ],
)
def test_the_gate_waits_for_a_reward_node_that_is_away_and_gives_up_on_one_that_is_silent(
    arrived: bool, heartbeat: Heartbeat, now_s: float, state: Gate
) -> None:
    assert GATE.state(arrived=arrived, heartbeat=heartbeat, since_s=10.0, now_s=now_s) is state


@given(st.lists(st.floats(0.01, 80.0), max_size=30), st.floats(0.0, 100.0))
def test_a_wait_always_ends(gaps_s: list[float], since_s: float) -> None:
    heartbeat = Heartbeat(timeout_s=2.0)
    now_s = since_s
    for gap_s in gaps_s:
        now_s += gap_s
        heartbeat.beat(now_s)
    far_s = max(since_s, now_s) + 60.1
    assert GATE.state(arrived=False, heartbeat=heartbeat, since_s=since_s, now_s=far_s) is not Gate.WAIT
