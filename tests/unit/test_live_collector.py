"""Episodes are put together from what the topics say, in whatever order it arrives."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrm_bringup.demo.collector import AuditSeen, Collector, EpisodeSeen
from lrm_bringup.report.journal import BEFORE, REFINE, EpisodeEnded, ProcessSeen, RewardSeen
from lrm_core.episodes import EpisodeState

END_NS = 3_000
RUNNING = EpisodeSeen("e1", EpisodeState.RUNNING, "put a in b", 7, 1_000, 0, 4, 100, "", 2)
ENDED = dataclasses.replace(RUNNING, state=EpisodeState.ENDED, end_ns=END_NS, step=20, reason="max_steps")


def reward(
    value: float, stamp_ns: int = END_NS, head: str = "completion", episode: str = "e1", status: str = "OK"
) -> RewardSeen:
    return RewardSeen(episode, head, value, status, stamp_ns, 0, 0.9, True, 0.01, 0.05, "f")


class Harness:
    def __init__(self) -> None:
        self.written: list[Any] = []
        self.collector = Collector(self.written.append)
        self.collector.begin(BEFORE, 0, 10)

    @property
    def episodes(self) -> list[EpisodeEnded]:
        return [entry for entry in self.written if isinstance(entry, EpisodeEnded)]


@given(st.permutations(["status", "audit", "reward"]))
def test_an_episode_is_written_once_whatever_comes_last(order: list[str]) -> None:
    harness = Harness()
    feed = {
        "status": lambda: harness.collector.status(ENDED),
        "audit": lambda: harness.collector.audit(AuditSeen(END_NS, 1.0, True, "in_container")),
        "reward": lambda: harness.collector.reward(reward(0.9)),
    }
    harness.collector.status(RUNNING)
    for name in order[:-1]:
        feed[name]()
    assert harness.episodes == []
    feed[order[-1]]()
    harness.collector.status(ENDED)
    harness.collector.close()
    (entry,) = harness.episodes
    assert (entry.success, entry.outcome, entry.predicted) == (True, "in_container", 0.9)
    assert (entry.seed, entry.steps, entry.reason, entry.phase) == (7, 20, "max_steps", BEFORE)


def test_truth_is_that_of_the_last_frame_and_not_of_a_later_one() -> None:
    harness = Harness()
    for stamp_ns, success in ((500, True), (1_000, False), (2_000, False), (END_NS, False), (4_000, True)):
        harness.collector.audit(AuditSeen(stamp_ns, 0.5, success, "beside"))
    harness.collector.status(ENDED)
    harness.collector.close()
    (entry,) = harness.episodes
    assert entry.success is False
    assert entry.truth_ns == [1_000, 2_000, END_NS]


def test_missing_truth_is_unknown_and_a_missing_score_is_nan() -> None:
    harness = Harness()
    harness.collector.status(ENDED)
    assert not harness.collector.has_closed([])
    harness.collector.close()
    assert harness.collector.has_closed([ENDED.episode_id])
    (entry,) = harness.episodes
    assert entry.success is None
    assert math.isnan(entry.predicted)


def test_an_episode_whose_end_was_not_heard_yet_is_waited_for() -> None:
    assert not Harness().collector.has_closed(["known from the result of the goal alone"])


def test_an_unknown_last_score_is_nan_even_if_an_earlier_one_was_known() -> None:
    harness = Harness()
    harness.collector.audit(AuditSeen(END_NS, 1.0, True, "in_container"))
    harness.collector.reward(reward(0.9, stamp_ns=2_000))
    harness.collector.reward(reward(math.nan, status="LATE"))
    harness.collector.status(ENDED)
    assert math.isnan(harness.episodes[0].predicted)
    assert harness.collector.scene.unknown == {"LATE": 1}


def test_the_next_episode_closes_the_one_before() -> None:
    harness = Harness()
    harness.collector.status(ENDED)
    harness.collector.status(dataclasses.replace(RUNNING, episode_id="e2"))
    assert [entry.episode_id for entry in harness.episodes] == ["e1"]


def test_an_observation_sent_again_counts_once() -> None:
    harness = Harness()
    for _ in range(3):
        harness.collector.audit(AuditSeen(2_000, 0.5, False, "held"))
    harness.collector.status(ENDED)
    harness.collector.close()
    assert harness.episodes[0].truth_ns == [2_000]


def test_a_simulator_that_starts_anew_does_not_lend_its_old_truth() -> None:
    harness = Harness()
    harness.collector.audit(AuditSeen(END_NS, 1.0, True, "in_container"))
    harness.collector.audit(AuditSeen(100, 0.0, False, "untouched"))
    harness.collector.status(ENDED)
    harness.collector.close()
    assert harness.episodes[0].success is None


def test_what_happens_before_the_first_phase_is_not_counted() -> None:
    written: list[Any] = []
    collector = Collector(written.append)
    collector.status(ENDED)
    collector.reward(reward(0.5))
    collector.close()
    assert written == []


def test_episodes_count_within_their_phase() -> None:
    harness = Harness()
    harness.collector.status(ENDED)
    harness.collector.begin(REFINE, 0, 4)
    harness.collector.status(dataclasses.replace(ENDED, episode_id="e2"))
    harness.collector.close()
    assert [(entry.phase, entry.index) for entry in harness.episodes] == [(BEFORE, 0), (REFINE, 0)]
    assert harness.collector.scene.phase_done == 1


@pytest.mark.parametrize("event", ["started", "crashed", "stopped"])
def test_only_restarts_count_as_restarts(event: str) -> None:
    harness = Harness()
    harness.collector.process(ProcessSeen("reward", event))
    harness.collector.process(ProcessSeen("reward", "restarted"))
    assert harness.collector.scene.restarts == {"reward": 1}
