"""Figures as functions of episode weights: the same as computed directly, and a weight of 2 is an episode twice."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from lrm_reward_node.evaluation.comparing import holm
from lrm_reward_node.evaluation.estimators import (
    Estimator,
    auc_of,
    bootstrap_weights,
    calibration_error_of,
    interval,
    mean_of,
    pearson_of,
    ratio_of,
    tau_of,
    value,
)
from lrm_reward_node.evaluation.statistics import bin_of, expected_calibration_error, pearson, roc_auc

SCORE = st.one_of(st.integers(-4, 4).map(float), st.just(math.nan))
ROWS = st.lists(st.tuples(SCORE, st.sampled_from([0.0, 1.0, math.nan])), min_size=1, max_size=20)


def everywhere(estimator: Estimator, count: int) -> float:
    return value(estimator, np.ones(count, bool))


def columns(rows: list[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([a for a, _ in rows]), np.array([b for _, b in rows])


@given(ROWS)
def test_auc_is_that_of_the_ranks(rows: list[tuple[float, float]]) -> None:
    scores, labels = columns(rows)
    assert everywhere(auc_of(scores, labels), len(rows)) == pytest.approx(roc_auc(scores, labels), nan_ok=True)


@given(ROWS)
def test_correlation_is_that_of_the_episodes(rows: list[tuple[float, float]]) -> None:
    a, b = columns(rows)
    assert everywhere(pearson_of(a, b), len(rows)) == pytest.approx(pearson(a, b), nan_ok=True, abs=1e-9)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2)), min_size=2, max_size=15))
def test_tau_of_one_group_is_that_of_scipy(rows: list[tuple[int, int]]) -> None:
    scores, ranks = columns([(float(a), float(b)) for a, b in rows])
    found = everywhere(tau_of(scores, ranks, ["one"] * len(rows)), len(rows))
    assert found == pytest.approx(float(kendalltau(scores, ranks).statistic), nan_ok=True)


def test_tau_compares_within_a_group_alone() -> None:
    scores, ranks = np.array([0.1, 0.2, 0.9, 0.8]), np.array([0.0, 2.0, 0.0, 2.0])
    assert everywhere(tau_of(scores[:2], ranks[:2], ["a", "a"]), 2) == pytest.approx(1.0)
    assert everywhere(tau_of(scores, ranks, ["a", "a", "b", "b"]), 4) == pytest.approx(0.0)
    assert math.isnan(everywhere(tau_of(scores[1:3], ranks[1:3], ["a", "b"]), 2))


@given(ROWS, st.data())
def test_a_weight_of_two_is_an_episode_that_comes_twice(rows: list[tuple[float, float]], data: st.DataObject) -> None:
    times = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(rows), max_size=len(rows))))
    a, b = columns(rows)
    repeated = np.repeat(a, times), np.repeat(b, times)
    for make in (auc_of, pearson_of, lambda x, y: mean_of(x), lambda x, y: ratio_of(np.nan_to_num(x), np.ones(len(x)))):
        weighted = float(make(a, b)(times[None, :].astype(float))[0])
        assert weighted == pytest.approx(everywhere(make(*repeated), len(repeated[0])), nan_ok=True, abs=1e-9)


@given(st.lists(st.tuples(st.floats(0.0, 1.0), st.booleans()), min_size=1, max_size=40))
def test_calibration_error_is_that_of_all_answers_together(rows: list[tuple[float, bool]]) -> None:
    stated, true = np.array([p for p, _ in rows]), np.array([float(t) for _, t in rows])
    sums = [np.bincount(bin_of(stated), weights, 10)[None, :] for weights in (np.ones(len(rows)), stated, true)]
    assert everywhere(calibration_error_of(*sums), 1) == pytest.approx(expected_calibration_error(stated, true))


@given(st.lists(st.booleans(), min_size=1, max_size=30).filter(any), st.integers(0, 5))
def test_resamples_draw_as_many_episodes_as_there_are_and_none_from_outside(inside: list[bool], seed: int) -> None:
    weights = bootstrap_weights(np.array(inside), seed, 50)
    assert (weights.sum(axis=1) == sum(inside)).all()
    assert not weights[:, ~np.array(inside)].any()
    assert (weights == bootstrap_weights(np.array(inside), seed, 50)).all()


def test_the_interval_of_a_mean_is_that_of_theory() -> None:
    data = np.random.default_rng(1).normal(0.0, 1.0, 400)
    low, high = interval(mean_of(data)(bootstrap_weights(np.ones(400, bool))))
    half = 1.96 * data.std() / math.sqrt(400)
    assert (low, high) == pytest.approx((data.mean() - half, data.mean() + half), abs=0.02)


def test_a_figure_that_most_resamples_do_not_have_has_no_interval() -> None:
    assert all(math.isnan(end) for end in interval(np.array([1.0, math.nan, math.nan])))
    assert all(math.isnan(end) for end in interval(np.array([])))


@given(st.lists(st.one_of(st.floats(0.0, 1.0), st.just(math.nan)), max_size=12))
def test_corrected_p_values_are_no_smaller_and_keep_their_order(p_values: list[float]) -> None:
    corrected = holm(p_values)
    known = [(p, c) for p, c in zip(p_values, corrected, strict=True) if not math.isnan(p)]
    assert all(p <= c <= 1.0 for p, c in known)
    assert [c for _, c in sorted(known)] == sorted(c for _, c in known)
    assert sum(map(math.isnan, corrected)) == len(p_values) - len(known)


def test_holm_multiplies_the_smallest_by_all_and_the_next_by_one_less() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
