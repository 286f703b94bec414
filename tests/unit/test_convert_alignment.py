"""Streams on a grid: what is nearest is taken, what is too far is a gap, and doing it twice changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrm_bringup.convert.alignment import gaps, grid, nearest, runs
from lrm_bringup.convert.episode import NOT_ASKED, Aligned, RecordedEpisode, Score, Vectors, align
from lrm_core.errors import BadInput
from lrm_core.rewards import RewardStatus

NS, MS = 1_000_000_000, 1_000_000
STAMPS = st.lists(st.integers(0, 10_000), max_size=40).map(lambda found: np.array(sorted(found), np.int64))


@given(STAMPS, STAMPS, st.integers(0, 500))
def test_what_is_taken_is_the_nearest_and_within_tolerance(stamps: np.ndarray, slots: np.ndarray, most: int) -> None:
    for slot, index in zip(slots, nearest(stamps, slots, most), strict=True):
        distance = min((abs(int(stamp) - int(slot)) for stamp in stamps), default=most + 1)
        assert (index < 0) == (distance > most)
        assert index < 0 or abs(int(stamps[index]) - int(slot)) == distance


@given(STAMPS, STAMPS, st.integers(0, 500))
def test_what_was_taken_once_is_taken_again_from_what_is_left(stamps: np.ndarray, slots: np.ndarray, most: int) -> None:
    first = nearest(stamps, slots, most)
    taken = np.unique(stamps[first[first >= 0]])
    again = nearest(taken, slots, most)
    np.testing.assert_array_equal(first >= 0, again >= 0)
    np.testing.assert_array_equal(stamps[first[first >= 0]], taken[again[again >= 0]])


@given(st.integers(0, 2**62), st.integers(0, 5000), st.sampled_from([3.0, 10.0, 29.97, 30.0]))
def test_a_grid_does_not_drift_and_ends_within_half_a_period(start: int, steps: int, fps: float) -> None:
    end = start + round(steps * NS / fps)
    slots = grid(start, end, fps)
    assert len(slots) == steps + 1
    assert abs(int(slots[-1]) - end) <= 1


@pytest.mark.parametrize(("end", "fps"), [(NS, 0.0), (NS, float("nan")), (2**62, 1000.0)])
def test_a_grid_that_makes_no_sense_is_refused(end: int, fps: float) -> None:
    with pytest.raises(BadInput):
        grid(0, end, fps)


@given(st.lists(st.booleans()))
def test_runs_cover_exactly_what_is_true(mask: list[bool]) -> None:
    covered = [step for start, stop in runs(np.array(mask, bool)) for step in range(start, stop)]
    assert covered == [step for step, there in enumerate(mask) if there]


def test_a_gap_names_what_is_missing() -> None:
    found = gaps({"camera front": np.array([1, 0, 0, 1], bool), "commands": np.array([1, 1, 0, 1], bool)})
    assert [gap.text(10.0) for gap in found] == ["0.20 s without camera front, commands after 0.10 s"]


def aligned(scores: list[tuple[str, int, float, int]], frames: list[int], commands: list[int], end: int = 4) -> Aligned:
    """An episode of ``end`` steps of 10 ms from 100 ms on; all times in ms."""
    told = [Score(head, MS * at, value, status) for head, at, value, status in scores]
    episode = RecordedEpisode("e", "t", 100 * MS, (10 * end + 100) * MS, complete=True, scores=told)
    joints = Vectors(np.arange(100, 150, 10) * MS, np.arange(5, dtype=np.float32)[:, None])
    targets = Vectors(np.array(commands) * MS, np.arange(len(commands), dtype=np.float32)[:, None])
    return align(episode, {"front": np.array(frames) * MS}, joints, targets, 100.0, 4 * MS)


def test_the_last_frame_takes_the_last_command_once_more_and_no_other_does() -> None:
    one = aligned([], [100, 110, 120, 130, 140], [100, 110, 120, 130])
    assert one.held
    assert one.actions[:, 0].tolist() == [0, 1, 2, 3, 3]
    assert one.gaps == []
    other = aligned([], [100, 110, 120, 130, 140], [100, 110, 130, 140])
    assert not other.held
    assert [(gap.first, gap.slots, gap.streams) for gap in other.gaps] == [(2, 1, ("commands",))]
    assert np.isnan(other.actions[2, 0])


def test_a_score_stands_in_the_row_of_its_frame_and_unknown_is_never_zero() -> None:
    ok, lost = int(RewardStatus.OK), int(RewardStatus.LOST)
    scores = [("progress", 111, 0.5, ok), ("progress", 130, np.nan, lost), ("fused", 999, 0.1, ok)]
    one = aligned(scores, [100, 111, 120, 130, 140], [100, 110, 120, 130])
    assert one.statuses["progress"].tolist() == [NOT_ASKED, ok, NOT_ASKED, lost, NOT_ASKED]
    np.testing.assert_array_equal(one.values["progress"], np.array([np.nan, 0.5, np.nan, np.nan, np.nan], np.float32))
    assert one.homeless == 1


def test_a_known_score_is_not_replaced_by_unknown() -> None:
    scores = [("progress", 110, 0.5, 0), ("progress", 110, np.nan, int(RewardStatus.LATE))]
    assert aligned(scores, [100, 110], [100, 110], end=1).values["progress"][1] == 0.5
