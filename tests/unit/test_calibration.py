"""Calibration on made-up answers whose true probabilities are known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrm_core.errors import BadInput
from lrm_core.rewards import MODEL_HEADS, RewardEstimate, RewardHead, RewardStatus, unknown
from lrm_reward_node.calibration import (
    FILE,
    CalibratedRewardModel,
    LogisticCalibration,
    SpreadCalibration,
    calibrated,
    fit_logistic,
    fit_spread,
    load,
    save,
)
from lrm_reward_node.contract import FakeRewardModel, RewardModelContract
from lrm_reward_node.evaluation.calibration import Stated, figures, fit, missed, plot
from lrm_reward_node.evaluation.statistics import expected_calibration_error
from lrm_reward_node.model import RewardModel, RewardQuery

CALIBRATIONS = {
    RewardHead.CONTRASTIVE: LogisticCalibration(0.5, 0.2),
    RewardHead.PROGRESS: SpreadCalibration(2.0, 0.05),
    RewardHead.COMPLETION: LogisticCalibration(0.7, -0.4),
}


class TestCalibratedModel(RewardModelContract):
    def make_model(self) -> RewardModel:
        return CalibratedRewardModel(FakeRewardModel(), CALIBRATIONS)


def overconfident(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Stated probabilities whose log-odds are three times too large, and what happened."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(0.0, 2.0, count)
    truth = rng.uniform(size=count) < 1.0 / (1.0 + np.exp(-odds))
    return 1.0 / (1.0 + np.exp(-3.0 * odds)), truth


def made_up(count: int, seed: int = 0) -> Stated:
    stated, truth = overconfident(count, seed)
    rng = np.random.default_rng([seed, 1])
    return Stated(stated, truth, stated, truth, rng.normal(0.0, 0.1, count), np.full(count, 0.01))


def test_overconfident_probabilities_come_true_on_fresh_data() -> None:
    calibration = fit_logistic(*overconfident(4000))
    assert calibration.slope == pytest.approx(1.0 / 3.0, rel=0.15)
    stated, truth = overconfident(4000, seed=1)
    assert expected_calibration_error(stated, truth) > 0.05
    assert expected_calibration_error(calibration.probability(stated), truth) < 0.03


def test_separable_answers_stay_finite() -> None:
    stated = np.array([0.01] * 40 + [0.99] * 40)
    calibration = fit_logistic(stated, stated > 0.5)
    assert math.isfinite(calibration.slope)
    assert 0.9 < calibration.probability(np.array(0.99)) < 1.0


@pytest.mark.parametrize("truth", [np.zeros(30, bool), np.ones(30, bool)])
def test_one_outcome_alone_is_refused(truth: np.ndarray) -> None:
    with pytest.raises(BadInput, match="both outcomes"):
        fit_logistic(np.linspace(0.1, 0.9, 30), truth)


def test_a_head_that_is_worse_than_chance_is_refused() -> None:
    stated, truth = overconfident(500)
    with pytest.raises(BadInput, match="rise with the truth"):
        fit_logistic(stated, ~truth)


@given(st.integers(40, 400), st.floats(0.01, 0.5), st.floats(0.001, 0.2), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_the_interval_holds_its_share_of_what_it_was_fitted_on(
    count: int, size: float, spread: float, seed: int
) -> None:
    error = np.random.default_rng(seed).normal(0.0, size, count)
    fitted = fit_spread(error, np.full(count, spread))
    share = np.mean(np.abs(error) <= 1.645 * fitted.spread(np.full(count, spread)) + 1e-12)
    assert 0.9 <= share <= 0.9 + 2.0 / count + 1e-9


@given(st.lists(st.floats(0.0, 1.0), min_size=2, max_size=20), st.floats(0.05, 5.0), st.floats(-5.0, 5.0))
def test_calibration_keeps_the_order_and_the_range(stated: list[float], slope: float, intercept: float) -> None:
    ordered = np.sort(np.array(stated))
    found = LogisticCalibration(slope, intercept).probability(ordered)
    assert np.all(np.diff(found) >= 0.0)
    assert np.all((found >= 0.0) & (found <= 1.0))


def test_an_unknown_stays_unknown_and_a_generated_answer_stays_as_it_is() -> None:
    class Plain:
        fingerprint = "plain"

        def score(self, queries: Sequence[RewardQuery]) -> list[RewardEstimate]:
            return [
                unknown(RewardHead.COMPLETION, RewardStatus.UNPARSABLE),
                RewardEstimate(RewardHead.COMPLETION, 1.0, RewardStatus.OK),
            ]

    first, second = CalibratedRewardModel(Plain(), CALIBRATIONS).score([])
    assert first.status is RewardStatus.UNPARSABLE
    assert math.isnan(first.value)
    assert second.value == 1.0


def test_the_fingerprint_tells_calibrations_apart() -> None:
    other = {**CALIBRATIONS, RewardHead.COMPLETION: LogisticCalibration(0.7, -0.3)}
    prints = {CalibratedRewardModel(FakeRewardModel(), heads).fingerprint for heads in ({}, CALIBRATIONS, other)}
    assert len(prints) == 3
    assert FakeRewardModel.fingerprint not in prints


def test_a_calibration_survives_its_file(tmp_path: Path) -> None:
    save(tmp_path / "calibration.json", "model-a", CALIBRATIONS, {"episodes": 3})
    assert load(tmp_path / "calibration.json", "model-a") == CALIBRATIONS


def test_a_calibration_of_another_model_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "calibration.json", "model-a", CALIBRATIONS, {})
    with pytest.raises(BadInput, match="model-b"):
        load(tmp_path / "calibration.json", "model-b")


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", '{"fingerprint": "a", "heads": {"nose": {}}}', '{"fingerprint": "a", "heads": {"fused": {}}}',
        '{"fingerprint": "a", "heads": {"completion": {"slope": "NaN", "intercept": 0}}}',
        '{"fingerprint": "a", "heads": {"completion": {"slope": -1, "intercept": 0}}}',
        '{"fingerprint": "a", "heads": {"progress": {"scale": 1}}}',
    ],
)  # fmt: skip
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "calibration.json").write_text(text)
    with pytest.raises(BadInput, match=r"calibration.*lrm calibrate"):
        load(tmp_path / "calibration.json", "a")


def test_the_figures_reach_their_bars_after_calibration_and_not_before(tmp_path: Path) -> None:
    heads, fresh = fit(made_up(3000)), made_up(3000, seed=2)
    assert set(heads) == set(MODEL_HEADS)
    assert missed(figures(fresh, {})) == ["completion_ece", "progress_coverage"]
    assert missed(figures(fresh, heads)) == []
    plot(tmp_path / "calibration.png", fresh, heads)
    assert (tmp_path / "calibration.png").read_bytes().startswith(b"\x89PNG")


def test_the_calibration_beside_the_adapters_is_taken_unless_it_belongs_to_another_model(tmp_path: Path) -> None:
    model = FakeRewardModel()
    assert calibrated(model, "auto", str(tmp_path)) is model
    save(tmp_path / FILE, model.fingerprint, CALIBRATIONS, {})
    assert (
        calibrated(model, "auto", str(tmp_path)).fingerprint == CalibratedRewardModel(model, CALIBRATIONS).fingerprint
    )
    assert calibrated(model, "none", str(tmp_path)) is model
    save(tmp_path / FILE, "another", CALIBRATIONS, {})
    assert calibrated(model, "auto", str(tmp_path)) is model
    with pytest.raises(BadInput, match="another"):
        calibrated(model, str(tmp_path / FILE))
