"""From a distribution over the legal answers to a value."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lrm_core.rewards import MODEL_HEADS, RewardHead, RewardStatus
from lrm_reward_node.readout import ANSWERS, read_distribution


def test_completion_is_the_probability_of_yes() -> None:
    reading = read_distribution(RewardHead.COMPLETION, np.log([0.25, 0.75]))
    assert reading.value == pytest.approx(0.75)
    assert reading.confidence == pytest.approx(0.75)
    assert reading.raw_text == '{ "task_completed": "yes" }'


def test_contrastive_is_probability_of_b_minus_probability_of_a() -> None:
    assert read_distribution(RewardHead.CONTRASTIVE, np.log([0.9, 0.1])).value == pytest.approx(-0.8)


def test_progress_is_the_expected_value_and_its_spread() -> None:
    likelihoods = np.full(11, -50.0)
    likelihoods[[3, 5]] = 0.0
    reading = read_distribution(RewardHead.PROGRESS, likelihoods)
    assert reading.value == pytest.approx(0.4)
    assert reading.uncertainty == pytest.approx(0.1)


def test_a_forward_pass_that_gives_nan_is_a_model_error() -> None:
    reading = read_distribution(RewardHead.COMPLETION, np.array([0.0, np.nan]))
    assert reading.status is RewardStatus.MODEL_ERROR and np.isnan(reading.value)


@given(st.data())
def test_values_stay_in_range_and_do_not_depend_on_a_constant(data: st.DataObject) -> None:
    head = data.draw(st.sampled_from(MODEL_HEADS))
    answers = ANSWERS[head]
    scores = data.draw(arrays(float, len(answers.texts), elements=st.floats(-1e4, 1e4)))
    reading, moved = read_distribution(head, scores), read_distribution(head, scores - 7.5)
    assert min(answers.values) <= reading.value <= max(answers.values)
    assert 1 / len(answers.texts) - 1e-9 <= reading.confidence <= 1.0 + 1e-9 and reading.uncertainty >= 0.0
    assert moved.value == pytest.approx(reading.value, abs=1e-6)
