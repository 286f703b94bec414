"""When a task counts as done."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrm_core.success import SuccessConfirmation

THRESHOLD = 0.8
NAN = math.nan
SCORES = st.one_of(st.floats(0.0, 1.0), st.just(NAN))
DONE = st.one_of(st.floats(THRESHOLD, 1.0), st.just(NAN))
NEARLY = st.one_of(st.floats(THRESHOLD / 2.0, 1.0), st.just(NAN))


def confirmed(scores: list[float], needed: int) -> list[bool]:
    rule = SuccessConfirmation(THRESHOLD, needed)
    return [rule.add(score) for score in scores]


@given(st.lists(SCORES, max_size=20), st.integers(0, 4))
def test_after_a_start_that_was_not_done_success_needs_known_scores_in_a_row(scores: list[float], needed: int) -> None:
    found = confirmed([0.0, *scores], needed)[1:]
    for index, one in enumerate(found):
        row = scores[max(0, index + 1 - needed) : index + 1]
        assert one == (needed > 0 and len(row) == needed and all(value >= THRESHOLD for value in row))


@given(st.floats(THRESHOLD, 1.0), st.lists(NEARLY, max_size=20), st.integers(1, 4))
def test_a_start_that_looks_done_confirms_nothing(start: float, scores: list[float], needed: int) -> None:
    assert not any(confirmed([NAN, start, *scores], needed))


@given(st.lists(DONE, max_size=5), st.floats(0.0, THRESHOLD / 2.0, exclude_max=True), st.integers(1, 4))
def test_a_start_that_looks_done_is_made_good_by_a_frame_that_was_clearly_not(
    scores: list[float], low: float, needed: int
) -> None:
    assert confirmed([*scores, low, *[1.0] * needed], needed)[-1]


def test_a_start_without_a_known_score_leaves_the_next_to_decide() -> None:
    assert confirmed([NAN, 0.9, 0.9, 0.9], 2) == [False] * 4
    assert confirmed([NAN, 0.7, 0.9, 0.9], 2) == [False, False, False, True]


@pytest.mark.parametrize("first", [[0.0, 1.0, 1.0], [1.0, 1.0], [0.0, 1.0]])
def test_a_new_episode_owes_nothing_to_the_last(first: list[float]) -> None:
    rule = SuccessConfirmation(THRESHOLD, 2)
    for score in first:
        rule.add(score)
    rule.reset()
    assert [rule.add(score) for score in (0.1, 0.9, 0.9)] == [False, False, True]
