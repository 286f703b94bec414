"""Recorded runs scored again: which frames are asked about, and what comes out when nothing is as it should be."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrm_bringup.replay.agreement import compare
from lrm_bringup.replay.events import EpisodeSeen, Event, FrameSeen, RewardRecorded
from lrm_bringup.replay.page import Film
from lrm_bringup.replay.rows import Row, rows_of
from lrm_bringup.replay.schedule import ReplaySchedule
from lrm_bringup.replay.scoring import Decoded, queries, replay
from lrm_bringup.replay.series import NamedPipeline
from lrm_core.rewards import RewardEstimate, RewardHead
from lrm_reward_node.camera_check import NO_LIMITS
from lrm_reward_node.contract import FakeRewardModel
from lrm_reward_node.model import RewardQuery
from lrm_reward_node.pipeline import RewardPipeline
from lrm_reward_node.schedule import ArrivedFrame, EpisodePlan, Query

PERIOD_NS, K = 100_000_000, 10
START_NS = 1_000_000_000_000
TASK = "put the red cube in the blue bowl"


def stamp(step: int) -> int:
    return START_NS + step * PERIOD_NS


def frame(step: int, camera: str = "front") -> FrameSeen:
    rgb = np.full((8, 8, 3), min(255, 10 + step), np.uint8)
    return FrameSeen(ArrivedFrame(rgb, stamp(step), camera, arrived_s=math.nan), stamp(step))


def said(step: int, over: bool = False, episode: str = "e1", start: int = 0) -> EpisodeSeen:
    plan = EpisodePlan(episode, TASK, stamp(start), K * PERIOD_NS, PERIOD_NS // 2, 200 * PERIOD_NS)
    return EpisodeSeen(episode, plan, stamp(step), stamp(step) if over else None, stamp(step))


def episode(steps: int) -> list[Event]:
    return [frame(0), said(0), *(frame(step) for step in range(1, steps + 1)), said(steps, over=True)]


class Recorded:
    """A recording in memory."""

    name, frames = "test", 0

    def __init__(self, events: Iterable[Event], cameras: tuple[str, ...] = ("front",)) -> None:
        self._events, self.cameras = list(events), cameras
        self.problems: list[str] = []

    def events(self) -> Iterator[Event]:
        return iter(self._events)


def asked(
    events: Iterable[Event], cameras: tuple[str, ...] = ("front",), **options: object
) -> tuple[list[Query], ReplaySchedule]:
    schedule = ReplaySchedule(cameras, **options)  # type: ignore[arg-type]
    return [one.query for one in queries(Recorded(events, cameras), schedule, Decoded())], schedule


def fake(model: FakeRewardModel | None = None) -> list[NamedPipeline]:
    return [NamedPipeline("fake", RewardPipeline(model or FakeRewardModel(), limits=NO_LIMITS))]


def rows(events: Iterable[Event], batch: int = 4, model: FakeRewardModel | None = None) -> list[Row]:
    pipelines = fake(model)
    found = replay(queries(Recorded(events), ReplaySchedule(("front",)), Decoded()), pipelines, batch)
    kept = {row.key: row for one in found for row in rows_of(one, pipelines)}
    return list(kept.values())


def steps(found: Sequence[Query]) -> list[int]:
    return [(query.stamp_ns - START_NS) // PERIOD_NS for query in found]


def test_queries_are_those_of_the_live_node_and_the_end_is_one() -> None:
    found, schedule = asked(episode(25))
    assert steps(found) == [0, 10, 20, 25]
    assert [query.final for query in found] == [False, False, False, True]
    assert found[1].views[0].previous is found[0].views[0].current
    assert schedule.problems == []


def test_a_regular_query_that_turns_out_final_comes_again_and_is_not_scored_again() -> None:
    class Counting(FakeRewardModel):
        asked = 0

        def score(self, queries: Sequence[RewardQuery]) -> list[RewardEstimate]:
            self.asked += len(queries)
            return super().score(queries)

    assert steps(asked(episode(20))[0]) == [0, 10, 20, 20]
    model = Counting()
    found = rows(episode(20), model=model)
    assert model.asked == 3 * 3
    ends = {(row.stamp_ns - START_NS) // PERIOD_NS for row in found if row.episode_end}
    assert ends == {20}


def test_a_missing_frame_is_lost_and_so_is_what_compares_with_it() -> None:
    events = [
        event for event in episode(30) if not (isinstance(event, FrameSeen) and event.frame.stamp_ns == stamp(10))
    ]
    found = {(row.query, row.head): row.status for row in rows(events)}
    assert {found[1, head.value] for head in RewardHead} == {"LOST"}
    assert found[2, "contrastive"] == found[2, "fused"] == "LOST"
    assert found[2, "progress"] == found[3, "contrastive"] == "OK"


def test_frames_that_are_missing_at_the_end_are_lost_and_nothing_waits() -> None:
    events = [event for event in episode(25) if not (isinstance(event, FrameSeen) and event.frame.stamp_ns > stamp(12))]
    found, _ = asked(events)
    assert steps(found) == [0, 10, 20, 25]
    assert [query.frame is None for query in found] == [False, False, True, True]


def test_a_recording_that_is_cut_short_gives_what_it_holds_and_says_so() -> None:
    found, schedule = asked(episode(25)[:-6])
    assert steps(found) == [0, 10, 20]
    assert "ends before episode e1 does" in schedule.problems[0]


def test_a_recording_that_begins_late_gives_the_rest_and_says_so() -> None:
    events = [event for event in episode(40) if event.log_ns >= stamp(15)]
    events.insert(0, said(15))
    found, schedule = asked(events)
    assert steps(found) == [20, 30, 40, 40]
    assert "start of episode e1 was not recorded" in schedule.problems[0]


def test_without_episodes_the_first_frame_is_the_initial_one_and_the_last_is_scored() -> None:
    found, _ = asked((frame(step) for step in range(34)), task=TASK, query_rate_hz=1.0)
    assert steps(found) == [0, 10, 20, 30, 33]
    assert all(query.views[0].initial is found[0].views[0].current for query in found)
    assert found[-1].final


def test_a_clock_that_jumps_back_ends_the_episode_and_the_next_one_is_scored() -> None:
    again = [*(frame(step) for step in range(3)), said(2, episode="e2", start=2), *(frame(s) for s in range(3, 13))]
    found, schedule = asked([*episode(90), *again])
    assert steps([query for query in found if query.plan.episode_id == "e2"]) == [2, 12]
    assert any("clock jumps back" in problem for problem in schedule.problems)


def test_two_cameras_make_one_query() -> None:
    both = [frame(step, camera) for step in range(11) for camera in ("front", "wrist")]
    found, _ = asked([*both[:2], said(0), *both[2:]], ("front", "wrist"))
    assert steps(found) == [0, 10]
    assert all(not query.lost and len(query.views) == 2 for query in found)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60), st.integers(1, 9), st.sets(st.integers(0, 60), max_size=20))
def test_the_size_of_a_batch_changes_nothing(length: int, batch: int, missing: set[int]) -> None:
    events = [e for e in episode(length) if not (isinstance(e, FrameSeen) and e.frame.stamp_ns in map(stamp, missing))]
    one, many = rows(events, batch=1), rows(events, batch)
    assert [replace(row, value=0.0, uncertainty=0.0, confidence=0.0) for row in one] == [
        replace(row, value=0.0, uncertainty=0.0, confidence=0.0) for row in many
    ]
    np.testing.assert_allclose([row.value for row in one], [row.value for row in many], atol=1e-6)


def test_a_model_that_fails_on_one_frame_costs_that_frame() -> None:
    class Failing(FakeRewardModel):
        def score(self, queries: Sequence[RewardQuery]) -> list[RewardEstimate]:
            if any(query.current_stamp_ns == stamp(10) for query in queries):
                raise RuntimeError("out of memory")
            return super().score(queries)

    found = {(row.query, row.head): row.status for row in rows(episode(30), model=Failing())}
    assert found[1, "progress"] == "MODEL_ERROR"
    assert found[0, "progress"] == found[2, "progress"] == found[3, "fused"] == "OK"


def test_what_decoding_raises_reaches_the_caller() -> None:
    class Torn(Recorded):
        def events(self) -> Iterator[Event]:
            yield from self._events
            raise OSError("input/output error")

    pipelines = fake()
    with pytest.raises(OSError, match="input/output"):
        list(replay(queries(Torn(episode(30)), ReplaySchedule(("front",)), Decoded()), pipelines, 2))


def recorded(row: Row) -> RewardRecorded:
    return RewardRecorded(
        row.episode_id, row.head, row.stamp_ns, row.value, row.status, row.episode_end, row.fingerprint, row.log_ns
    )


def test_agreement_finds_every_kind_of_difference() -> None:
    found = rows(episode(25))
    live = {row.key: recorded(row) for row in found}
    assert compare(found, live).whole
    first, second, *_ = [key for key in live if key[1] == "progress"]
    off = compare(found, live | {first: replace(live[first], value=live[first].value + 0.01)})
    assert not off.whole
    assert off.largest == pytest.approx(0.01)
    late = compare(found, live | {second: replace(live[second], value=math.nan, status="LATE")})
    assert late.statuses == {("LATE", "OK"): 1}
    assert not late.whole
    assert compare(found[4:], live).not_replayed == 4
    assert compare(found, {key: live[key] for key in live if key != second}).not_recorded == 1
    assert not compare(found, {}).whole


def test_a_film_keeps_few_frames_of_any_number_evenly() -> None:
    film = Film()
    for number in range(1000):
        if film.wants("e"):
            film.add("e", number, "")
    kept = [number for number, _ in film.of("e")]
    gaps = np.diff(kept)
    assert len(kept) == 8
    assert kept[0] == 0
    assert kept[-1] > 850
    assert gaps.max() <= 2 * gaps.min()
