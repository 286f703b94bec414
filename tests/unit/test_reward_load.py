"""More queries than the model can answer: the newest frame wins, the end of an episode is never dropped, no queue."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lrm_core.rewards import RewardEstimate, RewardStatus
from lrm_reward_node.camera_check import NO_LIMITS
from lrm_reward_node.contract import FakeRewardModel
from lrm_reward_node.load import Load
from lrm_reward_node.memory import EpisodeMemory
from lrm_reward_node.model import RewardQuery
from lrm_reward_node.pipeline import RewardPipeline
from lrm_reward_node.query_queue import QueryQueue
from lrm_reward_node.schedule import ArrivedFrame, EpisodePlan, Query, View
from lrm_reward_node.scorer import ScoredQuery, Scorer

PLAN = EpisodePlan("e", "put the cube in the bowl", 1_000, 1_000, 50, 10**9)


def query(index: int, final: bool = False) -> Query:
    frames = (ArrivedFrame(np.full((2, 2, 3), 100, np.uint8), PLAN.start_ns + i, "front") for i in (index, 0, index))
    return Query(PLAN, index, PLAN.start_ns + index, final, (View("front", *frames),))


ARRIVALS = st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["regular", "final", "turns final"])), max_size=60)


class Station:
    """One queue and one model in virtual time."""

    def __init__(self) -> None:
        self.queue, self.scored, self.late, self.longest = QueryQueue(), [], [], 0
        self._busy: Query | None = None
        self._done_at = 0

    def arrive(self, query: Query) -> None:
        gave_way = self.queue.put(query)
        self.late += [gave_way] if gave_way else []
        self.longest = max(self.longest, len(self.queue))

    def run_until(self, now: float, service: int) -> None:
        while self._busy is None or self._done_at <= now:
            if self._busy is not None:
                self.scored.append(self._busy)
            self._busy = None
            if not len(self.queue):
                return
            self._busy, self._done_at = self.queue.take(), self._done_at + service


@given(ARRIVALS, st.integers(0, 12))
def test_whatever_arrives_and_however_slow_the_model_the_rules_hold(
    arrivals: list[tuple[int, str]], service: int
) -> None:
    station, now, finals = Station(), 0, set()
    for index, (gap, kind) in enumerate(arrivals):
        now += gap
        station.run_until(now, service)
        station.arrive(query(index, kind == "final"))
        waits_as_final = kind == "turns final" and station.queue.keep(query(index, final=True))
        finals |= {index} if kind == "final" or waits_as_final else set()
        waiting = len(station.queue) - len(finals - {q.index for q in station.scored})
        assert waiting <= 1, "more than one regular query waits"
    station.run_until(float("inf"), service)
    scored, late = [q.index for q in station.scored], [q.index for q in station.late]
    assert sorted(scored + late) == list(range(len(arrivals))), "answered or LATE, exactly once"
    assert finals <= set(scored)
    assert all(q.final for q in station.scored if q.index in finals)
    assert scored == sorted(scored), "stamps go up"
    assert late == sorted(late)


def test_who_waits_for_each_answer_before_asking_again_never_loses_one() -> None:
    queue = QueryQueue()
    for index in range(100):
        assert queue.put(query(index)) is None
        taken = queue.take()
        assert taken is not None and taken.index == index


def test_a_query_to_go_on_with_is_kept_beside_the_newest() -> None:
    queue = QueryQueue()
    assert queue.put(query(1), keep=True) is None
    gave_way = [queue.put(query(index)) for index in (2, 3)]
    assert [q.index if q else None for q in gave_way] == [None, 2]
    assert [queue.take().index for _ in range(2)] == [1, 3]  # type: ignore[union-attr]
    assert not queue.keep(query(3, final=True))


def test_closing_the_queue_wakes_the_taker() -> None:
    queue, taken = QueryQueue(), []
    thread = threading.Thread(target=lambda: taken.append(queue.take()))
    thread.start()
    queue.close()
    thread.join(5.0)
    assert taken == [None]


class GatedModel(FakeRewardModel):
    """Answers one batch per permission."""

    def __init__(self) -> None:
        self.entered, self.permission = threading.Semaphore(0), threading.Semaphore(0)

    def score(self, queries: list[RewardQuery]) -> list[RewardEstimate]:  # type: ignore[override]
        self.entered.release()
        assert self.permission.acquire(timeout=10)
        return super().score(queries)


def run_scorer(kinds: list[bool], too_old: bool) -> list[ScoredQuery]:
    """Submit queries (True: final) to a real scorer while its model works on the first one; then let it work."""
    model, results, done = GatedModel(), [], threading.Semaphore(0)
    pipeline = RewardPipeline(model, limits=NO_LIMITS)
    scorer = Scorer(pipeline, 0, EpisodeMemory(None), lambda q: too_old and q.index > 0, done.release)
    scorer.start()
    scorer.submit(query(0))
    assert model.entered.acquire(timeout=10)
    for index, final in enumerate(kinds, start=1):
        scorer.submit(query(index, final))
    for _ in kinds:
        model.permission.release()
    model.permission.release()
    for _ in range(len(kinds) + 1):
        assert done.acquire(timeout=10)
    results = scorer.results()
    assert scorer.stop(10.0)
    return results


@given(st.lists(st.booleans(), max_size=8), st.booleans())
@settings(max_examples=25, deadline=None)
def test_the_scorer_answers_every_final_query_and_says_late_once_for_what_gave_way(
    kinds: list[bool], too_old: bool
) -> None:
    results = run_scorer(kinds, too_old)
    assert sorted(scored.query.index for scored in results) == list(range(len(kinds) + 1))
    finals = {index for index, final in enumerate(kinds, start=1) if final}
    regular = [index for index, final in enumerate(kinds, start=1) if not final]
    newest = set() if too_old else set(regular[-1:])
    assert {scored.query.index for scored in results if not scored.late} == {0} | finals | newest
    late = [scored for scored in results if scored.late]
    assert {estimate.status for scored in late for estimate in scored.estimates} <= {RewardStatus.LATE}


def test_a_query_that_turns_out_to_be_the_last_one_no_longer_gives_way() -> None:
    model, done = GatedModel(), threading.Semaphore(0)
    scorer = Scorer(RewardPipeline(model, limits=NO_LIMITS), 0, EpisodeMemory(None), lambda _: False, done.release)
    scorer.start()
    scorer.submit(query(0))
    assert model.entered.acquire(timeout=10)
    scorer.submit(query(1))
    assert scorer.keep(replace(query(1), final=True))
    scorer.submit(query(2))
    model.permission.release(3)
    for _ in range(3):
        assert done.acquire(timeout=10)
    assert [(s.query.index, s.query.final, s.late) for s in scorer.results()] == [
        (0, False, False), (1, True, False), (2, False, False),
    ]  # fmt: skip
    assert scorer.stop(10.0)


def test_an_overload_is_told_as_two_rates_and_is_over_after_the_window() -> None:
    load = Load()
    assert load.complaint(0.0) == ""
    for tick in range(40):
        load.add(tick / 4, answered=tick % 4 == 0)
    assert load.rates_hz(10.0) == (4.0, 1.0)
    assert "4.00 queries per second asked, 1.00 answered" in load.complaint(10.0)
    load.add(30.0, answered=True)
    assert load.complaint(30.5) == ""
    assert load.rates_hz(100.0) == (0.0, 0.0)
