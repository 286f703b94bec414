"""Which frames are scored: the schedule, its queue, and what survives a kill."""

from __future__ import annotations

import tempfile
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrm_core.errors import BadInput
from lrm_core.frame_buffer import FrameBuffer
from lrm_reward_node.memory import EpisodeMemory
from lrm_reward_node.query_queue import QueryQueue
from lrm_reward_node.schedule import ArrivedFrame, EpisodePlan, Query, QuerySchedule

PERIOD, K, START = 100, 10, 5_000
PLAN = EpisodePlan("e", "put the cube in the bowl", START, K * PERIOD, PERIOD // 2, 200 * PERIOD)
FAR = 10**9


def frame(stamp_ns: int) -> ArrivedFrame:
    return ArrivedFrame(np.full((2, 2, 3), stamp_ns % 256, np.uint8), stamp_ns, "front", "optical")


def buffer_of(*stamps: int) -> FrameBuffer[ArrivedFrame]:
    frames: FrameBuffer[ArrivedFrame] = FrameBuffer(1.0, 10**9)
    for stamp in stamps:
        frames.add(frame(stamp))
    return frames


def ask(schedule: QuerySchedule, frames: FrameBuffer[ArrivedFrame], now_ns: int = 0, at_s: float = 0.0) -> list[Query]:
    queries: list[Query] = []
    while (query := schedule.next_query(frames, now_ns, at_s)) is not None:
        queries.append(query)
    return queries


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
        assert query.previous is not None
        assert query.previous.stamp_ns == START + (query.stamp_ns - START - 1) // (K * PERIOD) * K * PERIOD
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
        assert (query.current is None) == (step in lost)
        assert (query.initial is None) == (0 in lost)
        assert (query.previous is None) == (query.index == 0 or step - K in lost)
        assert query.previous is None or query.previous.stamp_ns == START + (step - K) * PERIOD


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
    assert query.current is None
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


def query(index: int, final: bool = False) -> Query:
    return Query(PLAN, index, START + index, final, frame(START + index), frame(START), frame(START + index - 1))


@given(st.lists(st.booleans(), max_size=40), st.integers(1, 5))
def test_a_full_queue_gives_up_the_oldest_regular_query_and_never_a_final_one(
    finals: list[bool], capacity: int
) -> None:
    queue, gone = QueryQueue(capacity), []
    for index, final in enumerate(finals):
        gave_way = queue.put(query(index, final))
        gone += [gave_way] if gave_way else []
    kept = [queue.take() for _ in range(len(queue))]
    assert [q.index for q in gone if q.final] == []
    assert sorted(q.index for q in [*kept, *gone]) == list(range(len(finals)))
    assert [q.index for q in kept] == sorted(q.index for q in kept)
    assert len([q for q in kept if not q.final]) <= capacity
    regular = [q.index for q in [*gone, *(q for q in kept if not q.final)]]
    assert regular == sorted(regular)


def test_closing_the_queue_wakes_the_taker() -> None:
    queue, taken = QueryQueue(1), []
    thread = threading.Thread(target=lambda: taken.append(queue.take()))
    thread.start()
    queue.close()
    thread.join(5.0)
    assert taken == [None]


@given(st.booleans(), st.booleans(), st.booleans(), st.booleans())
@settings(max_examples=16, deadline=None)
def test_memory_brings_back_the_query_it_was_given(current: bool, initial: bool, previous: bool, final: bool) -> None:
    kept = {"current": current, "initial": initial, "previous": previous}
    given_query = replace(query(3, final), **{name: None for name, there in kept.items() if not there})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        memory = EpisodeMemory(folder / "sub" / "reward.npz")
        assert memory.load("e") is None
        memory.store(given_query)
        back = EpisodeMemory(folder / "sub" / "reward.npz").load("e")
        assert back is not None
        assert memory.load("another") is None
    assert (back.plan, back.index, back.stamp_ns, back.final) == (PLAN, 3, START + 3, final)
    for name, there in kept.items():
        old, new = getattr(given_query, name), getattr(back, name)
        assert (new is not None) == there
        assert new is None or (
            np.array_equal(old.rgb, new.rgb) and (old.stamp_ns, old.frame_id) == (new.stamp_ns, new.frame_id)
        )


@pytest.mark.parametrize("size", [0, 10, 500])
def test_a_truncated_memory_is_no_memory(tmp_path: Path, size: int) -> None:
    path = tmp_path / "reward.npz"
    EpisodeMemory(path).store(query(1))
    path.write_bytes(path.read_bytes()[:size])
    assert EpisodeMemory(path).load("e") is None


def test_a_memory_that_cannot_be_written_says_why_and_scoring_goes_on(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    memory = EpisodeMemory(tmp_path / "file" / "reward.npz")
    memory.store(query(1))
    assert "episode e" in memory.error
    silent = EpisodeMemory(None)
    silent.store(query(1))
    assert silent.load("e") is None
    assert silent.error == ""
