"""Which frames are scored: the schedule over one and several cameras, and what survives a kill."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrm_core.errors import BadInput
from lrm_core.frame_buffer import FrameBuffer
from lrm_reward_node.memory import EpisodeMemory
from lrm_reward_node.schedule import ArrivedFrame, EpisodePlan, Query, QuerySchedule, View

PERIOD, K, START = 100, 10, 5_000
PLAN = EpisodePlan("e", "put the cube in the bowl", START, K * PERIOD, PERIOD // 2, 200 * PERIOD)
FAR = 10**9
CAMERAS = ("front", "side", "top")


def frame(stamp_ns: int, camera: str = "front") -> ArrivedFrame:
    return ArrivedFrame(np.full((2, 2, 3), stamp_ns % 256, np.uint8), stamp_ns, camera, f"{camera}_optical")


def buffer_of(*stamps: int) -> FrameBuffer[ArrivedFrame]:
    frames: FrameBuffer[ArrivedFrame] = FrameBuffer(1.0, 10**9)
    for stamp in stamps:
        frames.add(frame(stamp))
    return frames


def ask(
    schedule: QuerySchedule, *buffers: FrameBuffer[ArrivedFrame], now_ns: int = 0, at_s: float = 0.0
) -> list[Query]:
    """All queries that can be decided; the buffers are those of the first of ``CAMERAS``."""
    frames, queries = dict(zip(CAMERAS, buffers, strict=False)), []
    while (query := schedule.next_query(frames, now_ns, at_s)) is not None:
        queries.append(query)
    return queries


def only(query: Query) -> View:
    """The view of a query of one camera."""
    (view,) = query.views
    return view


@given(length=st.integers(1, 45), known_after=st.integers(0, 20), end_known_after=st.integers(0, 12))
def test_every_query_is_given_out_once_whenever_status_and_frames_arrive(
    length: int, known_after: int, end_known_after: int
) -> None:
    """The same frames are scored if the start is known late, and the end late."""
    frames, schedule, asked, marked = buffer_of(), None, [], None
    for step in range(length + end_known_after + 1):
        frames.add(frame(START + min(step, 10**6) * PERIOD))
        if step == min(known_after, length):
            schedule = QuerySchedule(PLAN, deadline_s=FAR)
        if schedule is not None and step == length + end_known_after:
            marked = schedule.end(START + length * PERIOD)
        if schedule is not None:
            asked += ask(schedule, frames)
    assert schedule is not None
    past_end = range(length // K + 1, (length + end_known_after - 1) // K + 1)
    regular = [n * K for n in (*range(length // K + 1), *past_end)]  # asked before anybody knew of the end
    ends = [] if length % K == 0 else [length]
    stamps = [(query.stamp_ns - START) // PERIOD for query in asked]
    assert sorted(stamps) == sorted(regular + ends)
    assert [query.index for query in asked] == list(range(len(asked)))
    finals = [query for query in asked if query.final] + ([marked] if marked else [])
    assert len(finals) == 1
    assert finals[0].stamp_ns == START + length * PERIOD
    for query in asked[1:]:
        previous = only(query).previous
        assert previous is not None
        assert previous.stamp_ns == START + (query.stamp_ns - START - 1) // (K * PERIOD) * K * PERIOD
    assert schedule.final is not None


@given(lost=st.sets(st.integers(0, 40)))
def test_exactly_the_queries_without_a_frame_are_lost_and_references_are_the_right_frames(lost: set[int]) -> None:
    schedule, frames, asked = QuerySchedule(PLAN, deadline_s=1.0), buffer_of(), []
    for step in range(42):
        if step not in lost:
            frames.add(frame(START + step * PERIOD))
        asked += ask(schedule, frames)
    asked += ask(schedule, frames, now_ns=START + 41 * PERIOD, at_s=10.0)
    asked += ask(schedule, frames, now_ns=START + 41 * PERIOD, at_s=20.0)
    assert [query.index for query in asked] == list(range(5))
    for query in asked:
        step = query.index * K
        view = only(query)
        assert (view.current is None) == (step in lost)
        assert (view.initial is None) == (0 in lost)
        assert (view.previous is None) == (query.index == 0 or step - K in lost)
        assert view.previous is None or view.previous.stamp_ns == START + (step - K) * PERIOD


def test_a_frame_is_taken_only_when_none_nearer_can_come() -> None:
    schedule, frames = QuerySchedule(PLAN, deadline_s=1.0), buffer_of(START - 40)
    assert ask(schedule, frames) == []
    frames.add(frame(START + 20))
    (query,) = ask(schedule, frames)
    assert query.stamp_ns == START + 20


def test_a_frame_that_does_not_come_is_lost_after_the_deadline_and_not_before() -> None:
    schedule, frames = QuerySchedule(PLAN, deadline_s=1.0), buffer_of()
    assert ask(schedule, frames, now_ns=START - 1, at_s=100.0) == []
    assert ask(schedule, frames, now_ns=START, at_s=101.0) == []
    assert ask(schedule, frames, now_ns=START, at_s=101.9) == []
    (query,) = ask(schedule, frames, now_ns=START, at_s=102.1)
    assert query.lost == ["front"]
    assert query.stamp_ns == START


def test_no_query_comes_after_the_longest_possible_end_however_far_the_clock_jumps() -> None:
    schedule = QuerySchedule(replace(PLAN, limit_ns=25 * PERIOD), deadline_s=0.0)
    asked = ask(schedule, buffer_of(START, 10**15), now_ns=10**15)
    assert [query.index for query in asked] == [0, 1, 2]
    assert schedule.end(START + 25 * PERIOD) is None
    (last,) = ask(schedule, buffer_of(START, 10**15), now_ns=10**15)
    assert last.final


def test_who_joins_late_starts_at_the_frame_the_policy_is_at() -> None:
    assert [PLAN.first_index_at(START + step * PERIOD) for step in (0, 1, 10, 11, 20)] == [0, 1, 1, 2, 2]


@pytest.mark.parametrize("change", [{"task": "  "}, {"interval_ns": 0}])
def test_an_episode_that_cannot_be_scored_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        replace(PLAN, **change)


class TestSeveralCameras:
    def test_a_query_waits_for_every_camera_and_carries_the_stamp_of_the_first(self) -> None:
        schedule, front, side = QuerySchedule(PLAN, deadline_s=1.0), buffer_of(START + 3), buffer_of(START - 20)
        assert ask(schedule, front, side) == []
        side.add(frame(START + 10, "side"))
        (query,) = ask(schedule, front, side)
        assert [view.camera for view in query.views] == ["front", "side"]
        assert [view.current.stamp_ns for view in query.views if view.current] == [START + 3, START + 10]
        assert query.stamp_ns == START + 3

    def test_what_one_camera_misses_is_lost_for_it_alone(self) -> None:
        schedule = QuerySchedule(PLAN, deadline_s=1.0)
        front, side = buffer_of(START, START + K * PERIOD), buffer_of(START + K * PERIOD)
        first, second = ask(schedule, front, side)
        assert (first.lost, first.stamp_ns, second.lost) == (["side"], START, [])
        assert [(view.initial is None, view.previous is None) for view in second.views] == [
            (False, False),
            (True, True),
        ]

    def test_without_the_first_camera_the_next_one_gives_the_stamp(self) -> None:
        schedule = QuerySchedule(PLAN, deadline_s=1.0)
        (query,) = ask(schedule, buffer_of(START + 60), buffer_of(START + 7), now_ns=START)
        assert (query.lost, query.stamp_ns) == (["front"], START + 7)

    def test_a_silent_camera_is_waited_for_once_and_again_when_it_is_back(self) -> None:
        schedule = QuerySchedule(PLAN, deadline_s=1.0)
        front, side = buffer_of(START), buffer_of(START - PERIOD)
        assert ask(schedule, front, side, now_ns=START, at_s=0.5) == []
        (first,) = ask(schedule, front, side, now_ns=START, at_s=2.0)
        front.add(frame(START + K * PERIOD))
        (second,) = ask(schedule, front, side, now_ns=START + K * PERIOD, at_s=2.1)
        assert first.lost == second.lost == ["side"]
        side.add(frame(START + K * PERIOD + PERIOD, "side"))
        front.add(frame(START + 2 * K * PERIOD))
        assert ask(schedule, front, side, now_ns=START + 2 * K * PERIOD, at_s=3.0) == []
        side.add(frame(START + 2 * K * PERIOD, "side"))
        (third,) = ask(schedule, front, side, now_ns=START + 2 * K * PERIOD, at_s=3.1)
        assert third.lost == []

    @given(lost=st.lists(st.sets(st.integers(0, 31)), min_size=2, max_size=3), late=st.integers(0, 5))
    def test_every_camera_gets_its_own_frames_whatever_the_others_lose(self, lost: list[set[int]], late: int) -> None:
        schedule, buffers, asked = QuerySchedule(PLAN, deadline_s=FAR), [buffer_of() for _ in lost], []
        for step in range(34 + late):
            for place, missing in enumerate(lost):
                arrived = step - late * (place > 0)
                if 0 <= arrived <= 33 and arrived not in missing:
                    buffers[place].add(frame(START + arrived * PERIOD, CAMERAS[place]))
            asked += ask(schedule, *buffers)
        assert [query.index for query in asked] == [0, 1, 2, 3]
        for query in asked:
            for view, missing in zip(query.views, lost, strict=True):
                assert (view.current is None) == (query.index * K in missing)
                assert view.current is None or view.current.stamp_ns == START + query.index * K * PERIOD
                assert (view.initial is None) == (0 in missing)
                assert (view.previous is None) == (query.index == 0 or (query.index - 1) * K in missing)


def query(index: int, final: bool = False, cameras: tuple[str, ...] = ("front",)) -> Query:
    views = (View(name, *(frame(START + at, name) for at in (index, 0, index - 1))) for name in cameras)
    return Query(PLAN, index, START + index, final, tuple(views))


FRAMES = ("current", "initial", "previous")


@given(st.lists(st.sets(st.sampled_from(FRAMES)), min_size=1, max_size=3), st.booleans())
@settings(max_examples=30, deadline=None)
def test_memory_brings_back_the_query_it_was_given(missing: list[set[str]], final: bool) -> None:
    cameras = CAMERAS[: len(missing)]
    views = (
        replace(view, **dict.fromkeys(without))
        for view, without in zip(query(3, cameras=cameras).views, missing, strict=True)
    )
    given_query = Query(PLAN, 3, START + 3, final, tuple(views))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        memory = EpisodeMemory(folder / "sub" / "reward.npz")
        assert memory.load("e", cameras) is None
        memory.store(given_query)
        back = EpisodeMemory(folder / "sub" / "reward.npz").load("e", cameras)
        assert back is not None
        assert memory.load("another", cameras) is None
        assert memory.load("e", [*cameras, "new"]) is None
    assert (back.plan, back.index, back.stamp_ns, back.final) == (PLAN, 3, START + 3, final)
    for old_view, new_view in zip(given_query.views, back.views, strict=True):
        assert old_view.camera == new_view.camera
        for name in FRAMES:
            old, new = getattr(old_view, name), getattr(new_view, name)
            assert (old is None) == (new is None)
            assert new is None or (
                np.array_equal(old.rgb, new.rgb) and (old.stamp_ns, old.frame_id) == (new.stamp_ns, new.frame_id)
            )


@pytest.mark.parametrize("size", [0, 10, 500])
def test_a_truncated_memory_is_no_memory(tmp_path: Path, size: int) -> None:
    path = tmp_path / "reward.npz"
    EpisodeMemory(path).store(query(1))
    path.write_bytes(path.read_bytes()[:size])
    assert EpisodeMemory(path).load("e", ["front"]) is None


def test_a_memory_that_cannot_be_written_says_why_and_scoring_goes_on(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    memory = EpisodeMemory(tmp_path / "file" / "reward.npz")
    memory.store(query(1))
    assert "episode e" in memory.error
    silent = EpisodeMemory(None)
    silent.store(query(1))
    assert silent.load("e", ["front"]) is None
    assert silent.error == ""
