"""Confidence intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrm_bringup.report.statistics import (
    bootstrap_difference,
    independent_difference,
    mcnemar,
    paired_difference,
    quantile,
    wilson,
)

PAIRS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (25, 50, 0.3664, 0.6336), (81, 263, 0.2553, 0.3662)],
)
def test_wilson_equals_published_values(successes: int, n: int, low: float, high: float) -> None:
    assert wilson(successes, n) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_share_and_stays_a_share(case: tuple[int, int]) -> None:
    low, high = wilson(*case)
    assert 0.0 <= low <= case[0] / case[1] <= high <= 1.0


def test_no_trials_is_nan() -> None:
    assert all(math.isnan(end) for end in wilson(0, 0))
    assert all(math.isnan(value) for value in paired_difference([], []))


@given(PAIRS)
def test_the_paired_interval_holds_the_difference(rows: list[tuple[bool, bool]]) -> None:
    difference, low, high = paired_difference([a for a, _ in rows], [b for _, b in rows])
    assert -1.0 <= low <= difference + 1e-12
    assert difference - 1e-12 <= high <= 1.0


@given(PAIRS)
def test_the_paired_interval_turns_round_with_the_order(rows: list[tuple[bool, bool]]) -> None:
    before, after = [a for a, _ in rows], [b for _, b in rows]
    difference, low, high = paired_difference(before, after)
    assert paired_difference(after, before) == pytest.approx((-difference, -high, -low))


def test_pairs_that_agree_make_the_interval_narrower() -> None:
    first = [True] * 25 + [False] * 25
    same = first[:20] + [True] * 5 + first[25:45] + [True] * 5
    mixed = [True] * 15 + [False] * 10 + [True] * 15 + [False] * 10
    assert sum(same) == sum(mixed)
    widths = [high - low for _, low, high in (paired_difference(first, same), paired_difference(first, mixed))]
    assert widths[0] < widths[1]


def test_newcombe_1998_example() -> None:
    # Newcombe 1998, table II, first row: a=36, b=12, c=2, d=0 gives 0.2000 with (0.0569, 0.3404), method 10 without
    # its continuity correction for phi.
    before = [True] * 36 + [False] * 12 + [True] * 2
    after = [True] * 36 + [True] * 12 + [False] * 2
    difference, low, high = paired_difference(before, after)
    assert difference == pytest.approx(0.2)
    assert (low, high) == (pytest.approx(0.0569, abs=0.02), pytest.approx(0.3404, abs=0.02))


def test_quantiles_leave_out_what_is_not_known() -> None:
    assert quantile([1.0, math.nan, 3.0, math.inf], 0.5) == 2.0
    assert math.isnan(quantile([math.nan], 0.5))


def test_the_interval_of_independent_rates_equals_the_published_example() -> None:
    difference, low, high = independent_difference((48, 56), (80, 70))  # Newcombe 1998, table II, example (a)
    assert (difference, low, high) == tuple(pytest.approx(x, abs=1e-4) for x in (0.2, 0.0524, 0.3339))
    assert all(math.isnan(value) for value in independent_difference((0, 1), (0, 3)))


@given(PAIRS)
def test_mcnemar_is_a_probability_and_does_not_depend_on_the_side(rows: list[tuple[bool, bool]]) -> None:
    first, second = [a for a, _ in rows], [b for _, b in rows]
    assert 0.0 < mcnemar(first, second) <= 1.0
    assert mcnemar(first, second) == pytest.approx(mcnemar(second, first))


def test_mcnemar_counts_the_pairs_that_differ_alone() -> None:
    pairs = [(False, True)] * 10 + [(True, False)] * 2 + [(True, True)] * 50
    assert mcnemar([a for a, _ in pairs], [b for _, b in pairs]) == pytest.approx(2 * 79 / 4096)
    assert mcnemar([True, False], [True, False]) == 1.0


@given(st.lists(st.lists(st.floats(-9, 9), min_size=1, max_size=4), min_size=1, max_size=6), st.floats(0.01, 1.0))
def test_the_bootstrap_starts_from_the_plain_difference(groups: list[list[float]], q: float) -> None:
    zero, data = [[0.0]], np.concatenate(groups)
    assert bootstrap_difference(zero, groups)[0] == pytest.approx(data.mean(), abs=1e-9)
    assert bootstrap_difference(zero, groups, q)[0] == np.quantile(data, q, method="inverted_cdf")


def test_the_bootstrap_draws_whole_groups() -> None:
    rng = np.random.default_rng(1)
    alike = [[float(value)] * 50 for value in rng.normal(0.0, 1.0, 12)]  # 12 values that know it, not 600
    shifted = [[value + 3.0 for value in group] for group in alike]
    difference, low, high = bootstrap_difference(alike, shifted)
    assert difference == pytest.approx(3.0)
    assert 1.9 < low < 2.7
    assert 3.3 < high < 4.1
    assert math.isnan(bootstrap_difference(alike[:4], shifted)[1]), "too few groups for an interval"
    assert math.isnan(bootstrap_difference([[0.0]] * 9, [[0.0]] * 9)[1]), "nothing seen is no certainty"
    assert math.isnan(bootstrap_difference([], shifted)[0])
