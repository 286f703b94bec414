"""Recorded runs scored again: which frames are asked about, and what comes out when nothing is as it should be."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrm_bringup.commands.replay import Checks
from lrm_bringup.replay.agreement import compare
from lrm_bringup.replay.events import EpisodeSeen, Event, FrameSeen, RewardRecorded
from lrm_bringup.replay.models import choices
from lrm_bringup.replay.page import Film
from lrm_bringup.replay.rows import Row, rows_of
from lrm_bringup.replay.schedule import ReplaySchedule
from lrm_bringup.replay.scoring import Decoded, queries, replay
from lrm_bringup.replay.series import MAX_KEPT, NamedMode, NamedPipeline, Series, Videos
from lrm_bringup.replay.timing import CameraTiming
from lrm_bringup.replay.timing import problems as timing_problems
from lrm_core.errors import BadInput
from lrm_core.rewards import RewardEstimate, RewardHead, RewardStatus
from lrm_reward_node.camera_check import NO_LIMITS
from lrm_reward_node.contract import FakeRewardModel
from lrm_reward_node.model import RewardQuery
from lrm_reward_node.modes.mode import ModelOptions, ModeSpec, Needs, Window
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


class Watching:
    """A mode that remembers its windows; the value is the number of frames of the video."""

    def __init__(self, video_frames: int = 8, **needs: bool) -> None:
        self.spec = ModeSpec(
            "watching",
            RewardHead.PROGRESS,
            0.0,
            1000.0,
            Needs(video_frames=video_frames, **needs),
            "",
            "",
            open_nothing,
        )
        self.fingerprint, self.windows = "w", list[Window]()

    def score(self, window: Window) -> RewardEstimate:
        self.windows.append(window)
        return RewardEstimate(
            RewardHead.PROGRESS, float(len(window.video)), RewardStatus.OK, stamp_ns=window.current.stamp_ns
        )


def open_nothing(spec: ModeSpec, options: ModelOptions) -> Watching:
    raise NotImplementedError


def of_series(events: Iterable[Event], *series: Series, cameras: tuple[str, ...] = ("front",)) -> list[Row]:
    found = replay(queries(Recorded(events, cameras), ReplaySchedule(cameras), Decoded()), series, 4)
    return list({(row.model, row.camera, row.key): row for one in found for row in rows_of(one, series)}.values())


def test_a_mode_sees_the_frames_of_the_queries_so_far_of_its_episode_and_no_others() -> None:
    mode = Watching()
    later = [frame(200), said(200, episode="e2", start=200), frame(210), said(210, True, "e2", 200)]
    found = of_series([*episode(25), *later], NamedMode("watching", mode))
    assert [[(f.stamp_ns - START_NS) // PERIOD_NS for f in window.video] for window in mode.windows] == [
        [0], [0, 10], [0, 10, 20], [0, 10, 20, 25], [200], [200, 210],
    ]  # fmt: skip
    assert {(row.model, row.mode, row.head) for row in found} == {("watching", "watching", "progress")}
    assert [row.value for row in found] == [1, 2, 3, 4, 1, 2]


def test_a_mode_whose_reference_never_arrived_is_lost_and_so_is_a_missing_frame() -> None:
    events = [e for e in episode(30) if not (isinstance(e, FrameSeen) and e.frame.stamp_ns == stamp(10))]
    found = of_series(events, NamedMode("m", Watching(previous=True)))
    assert {row.query: row.status for row in found} == {0: "OK", 1: "LOST", 2: "LOST", 3: "OK"}


def test_a_mode_scores_every_camera_and_the_verdict_is_their_mean() -> None:
    both = [frame(step, camera) for step in range(11) for camera in ("front", "wrist")]
    found = of_series([*both[:2], said(0), *both[2:]], NamedMode("m", Watching()), cameras=("front", "wrist"))
    assert {(row.query, row.camera): row.value for row in found} == {
        (q, camera): q + 1.0 for q in (0, 1) for camera in ("", "front", "wrist")
    }


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 5 * MAX_KEPT))
def test_the_video_of_a_long_episode_is_bounded_and_holds_its_first_and_newest_frame(length: int) -> None:
    videos = Videos()
    for step in range(length):
        shown = videos.window("e", "front", frame(step).frame)
        assert len(shown) <= MAX_KEPT + 1
        assert (shown[0].stamp_ns, shown[-1].stamp_ns) == (stamp(0), stamp(step))
    steps_between = np.diff([f.stamp_ns for f in shown[:-1]])
    assert len(set(steps_between)) <= 1
    again = videos.window("e", "front", frame(length - 1).frame)
    assert [f.stamp_ns for f in again] == [f.stamp_ns for f in shown], "a window that is asked again is the same"


def test_heads_and_tasks_stand_side_by_side_and_each_row_says_its_own() -> None:
    (named,) = fake()
    heads = (RewardHead.CONTRASTIVE, RewardHead.FUSED)
    found = of_series(
        episode(25), replace(named, label="a", heads=heads), replace(named, label="b", task="another task")
    )
    assert {(row.head, row.mode) for row in found if row.model == "a"} == {("contrastive",) * 2, ("fused", "tri")}
    assert {(row.model, row.task) for row in found} == {("a", TASK), ("b", "another task")}
    live = {row.key: recorded(row) for row in rows(episode(25))}
    assert compare([row for row in found if row.model == "a"], live, heads).recorded == 3 + 3


@pytest.mark.parametrize(
    ("models", "modes", "labels"),
    [
        ([], [], ["lrm-tiny"]),
        (["a", "b"], ["progress", "tri"], ["a", "b"]),
        ([], ["progress", "robometer"], ["lrm-tiny", "robometer"]),
        (["a"], ["contrastive=x/c", "topreward=x/t"], ["c", "topreward t"]),
    ],
)
def test_heads_of_one_model_are_one_series_and_other_modes_are_their_own(
    models: list[str], modes: list[str], labels: list[str]
) -> None:
    assert [choice.label for choice in choices(models, modes)] == labels


def test_a_mode_that_is_not_there_is_refused_by_name() -> None:
    with pytest.raises(BadInput, match="robometer"):
        choices([], ["robometre"])


def timing(steps: Iterable[float]) -> CameraTiming:
    found = CameraTiming()
    for step in steps:
        found.add(round(START_NS + step * PERIOD_NS))
    return found


def test_gaps_are_counted_with_where_they_are_and_jitter_is_none() -> None:
    found = timing([0, 1, 2.1, 2.9, 4, 8, 9, 10, 12, 13])
    assert found.rate_hz == pytest.approx(10.0)
    assert found.gaps() == [(pytest.approx(0.4), pytest.approx(0.4)), (pytest.approx(1.0), pytest.approx(0.2))]
    assert found.missing() == 4
    (line,) = timing_problems({"front": found})
    assert "2 gaps" in line
    assert "0.40 s at 0.40 s" in line


@settings(max_examples=60, deadline=None)
@given(st.integers(8, 80), st.data())
def test_what_is_taken_out_between_is_what_is_missing(length: int, data: st.DataObject) -> None:
    inner = st.integers(1, length - 2)
    out = data.draw(st.sets(inner, max_size=length // 8))
    found = timing(step for step in range(length) if step not in out)
    assert found.missing() == len(out)
    assert found.frames == length - len(out)


def test_the_time_between_two_episodes_is_no_gap_and_a_clock_that_goes_back_is_counted() -> None:
    found = timing(range(5))
    found.pause()
    for step in (100, 101, 102, 50, 51):
        found.add(stamp(step))
    assert found.gaps() == []
    assert found.backwards == 1
    assert timing([0, 1, 1, 2]).repeated == 1


def test_cameras_of_different_rates_are_named() -> None:
    fast, slow = timing(x / 3 for x in range(30)), timing(range(10))
    assert "front 30 Hz, wrist 10 Hz" in timing_problems({"front": fast, "wrist": slow})[0]
    assert timing_problems({"front": slow, "wrist": timing(range(10))}) == []


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
    assert not compare(found, live | {first: replace(live[first], episode_end=True)}).whole
    last = max(key for key in live if live[key].episode_end)
    early = compare(found, live | {last: replace(live[last], episode_end=False)})
    assert early.whole, "a reward that ends its episode is often published before anybody knows that it does"
    assert early.ends_later == 1
    foreign = compare(found, live | {first: replace(live[first], fingerprint="another")})
    assert (foreign.other_models, foreign.whole) == (1, False)


def test_rewards_of_another_episode_agree_only_when_another_input_replays_them_so() -> None:
    found = rows(episode(25))
    live = {row.key: recorded(row) for row in found}
    _, head, stamp_ns = first = found[0].key
    late = {("e0", head, stamp_ns): replace(live[first], episode_id="e0")}
    other = {key: replace(found[0], episode_id="e0") for key in late}

    def checked(replayed: dict[tuple[str, str, int], Row]) -> bool:
        agreement = compare(found, live | late)
        assert not agreement.whole
        agreement.settle(replayed)
        return agreement.whole

    assert checked(other)
    assert not checked({})
    assert not checked({key: replace(row, value=row.value + 0.1) for key, row in other.items()})


@pytest.mark.parametrize("late_first", [True, False])
def test_a_check_joins_late_rewards_with_the_input_of_their_episode(
    late_first: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    found = rows(episode(25))
    live = {row.key: recorded(row) for row in found}
    before = [replace(row, episode_id="e0") for row in found]
    all_before = {row.key: recorded(row) for row in before}
    *_, last = all_before

    def inputs() -> list[Any]:
        there = {key: live for key, live in all_before.items() if key != last}
        both = [
            SimpleNamespace(
                recording=SimpleNamespace(name=name), rows=scored, agreements={"fake": compare(scored, said)}
            )
            for name, scored, said in (("b0", before, there), ("b1", found, live | {last: all_before[last]}))
        ]
        return both[::-1] if late_first else both

    together, alone = Checks(), Checks()
    for one in inputs():
        together.add(one)
    assert together.settled()
    assert capsys.readouterr().out.count("(100.0 %)") == 2
    alone.add(next(one for one in inputs() if one.recording.name == "b1"))
    assert not alone.settled()
    assert "1 of other episodes that no input replays" in capsys.readouterr().out


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
