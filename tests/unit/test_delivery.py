"""Reward delivery: what each mode pays, and that nothing unknown becomes a number."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrm_core.delivery import MODES, DeliveryParams, RewardDelivery
from lrm_core.errors import BadInput
from lrm_core.rewards import RewardHead
from lrm_core.transitions import Scores

unit = st.floats(0.0, 1.0)
score_list = st.lists(st.builds(Scores, progress=unit, completion=unit), min_size=2, max_size=12)


def delivery(mode: str, **values: float) -> RewardDelivery:
    return RewardDelivery(DeliveryParams(delivery=mode, **values), chunk_steps=10)


@given(score_list)
def test_delta_without_discount_sums_to_the_potential_gained(scores: list[Scores]) -> None:
    pays = delivery("delta", discount=1.0, terminal_bonus=0.0)
    total = sum(pays.reward(a, b, done=b is scores[-1]) for a, b in pairwise(scores))
    assert total == pytest.approx(pays.potential(scores[-1]) - pays.potential(scores[0]))


@given(st.builds(Scores, progress=unit, completion=unit), st.integers(1, 50))
def test_delta_pays_nothing_for_staying_where_hold_pays_every_time(scores: Scores, times: int) -> None:
    assert sum(delivery("delta").reward(scores, scores, False) for _ in range(times)) <= 1e-9
    assert delivery("hold").reward(scores, scores, False) == pytest.approx(scores.progress * 0.5 + scores.completion)


def test_the_terminal_bonus_is_paid_once_and_only_for_completion() -> None:
    pays = delivery("delta", discount=1.0, terminal_bonus=2.0)
    start, end = Scores(progress=0.5, completion=0.0), Scores(progress=1.0, completion=1.0)
    assert pays.reward(start, end, done=True) - pays.reward(start, end, done=False) == pytest.approx(2.0)
    assert pays.reward(start, start, done=True) == pytest.approx(pays.reward(start, start, done=False))


def test_terminal_pays_only_in_the_last_frame() -> None:
    pays = delivery("terminal", progress_weight=0.0)
    end = Scores(completion=1.0)
    assert (pays.reward(end, end, done=False), pays.reward(end, end, done=True)) == (0.0, 1.0)


def test_hold_pays_the_older_score_for_all_steps_but_the_last() -> None:
    start, end = Scores(progress=0.0, completion=0.0), Scores(progress=1.0, completion=0.0)
    assert delivery("hold", progress_weight=1.0).reward(start, end, False) == pytest.approx(0.1)
    assert delivery("at_query", progress_weight=1.0).reward(start, end, False) == pytest.approx(1.0)


@pytest.mark.parametrize("mode", MODES)
def test_a_missing_score_with_a_weight_is_refused(mode: str) -> None:
    with pytest.raises(BadInput, match="progress"):
        delivery(mode).reward(Scores(completion=0.0), Scores(completion=1.0), done=True)


def test_heads_without_weight_are_not_needed() -> None:
    assert delivery("terminal", progress_weight=0.0).heads == {RewardHead.COMPLETION}
    assert RewardHead.CONTRASTIVE in delivery("delta", contrastive_weight=0.1).heads
    with pytest.raises(BadInput, match="weight"):
        delivery("terminal", progress_weight=0.0, completion_weight=0.0)
