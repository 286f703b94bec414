"""Open-loop figures of judged episodes: perfect, inverted and stuck scores, what is unknown, two models compared."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrm_core.rewards import RewardHead
from lrm_reward_node.evaluation.comparing import compare
from lrm_reward_node.evaluation.estimators import value
from lrm_reward_node.evaluation.judged import Copy, JudgedEpisode, Truth, by_time, from_trajectory
from lrm_reward_node.evaluation.measures import REWOUND, SHUFFLED, measures, within
from lrm_reward_node.evaluation.ordering import kendall_tau, value_order_correlation
from lrm_reward_node.evaluation.per_episode import false_success
from lrm_reward_node.evaluation.statistics import TOLERANCES
from lrm_reward_node.evaluation.trajectories import read_scores

SCORES = st.lists(st.floats(0.0, 1.0).map(lambda x: round(x, 3)), min_size=3, max_size=12)


def episode(
    progress: list[float], success: bool | None = True, name: str = "one", task: str = "t", **heads: list[float]
) -> JudgedEpisode:
    t_s = np.arange(float(len(progress)))
    truth = Truth() if success is None else by_time(success, "success" if success else "failure", t_s)
    values = {RewardHead.PROGRESS: np.array(progress)}
    values |= {RewardHead(head): np.array(scores) for head, scores in heads.items()}
    return JudgedEpisode("source", name, task, t_s, values, truth)


def figures(episodes: list[JudgedEpisode], definition: str = "aligned") -> dict[str, float]:
    inside = np.ones(len(episodes), bool)
    return {one.key: value(one.estimator, inside) for one in measures(episodes, definition)}


@given(SCORES)
def test_order_is_bounded_and_turns_its_sign_with_time(scores: list[float]) -> None:
    values, time = np.array(scores), np.arange(len(scores))
    for correlation in (value_order_correlation, kendall_tau):
        found = correlation(values, time)
        assert -1.0 - 1e-9 <= found <= 1.0 + 1e-9
        assert correlation(values[::-1], time) == pytest.approx(-found)
        assert correlation(np.exp(3.0 * values), time) == pytest.approx(found)


@pytest.mark.parametrize("correlation", [value_order_correlation, kendall_tau])
def test_perfect_order_is_1_inverted_minus_1_and_a_stuck_score_0(correlation: object) -> None:
    assert callable(correlation)
    time = np.arange(6)
    assert correlation(time / 5.0, time) == pytest.approx(1.0)
    assert correlation(-time / 5.0, time) == pytest.approx(-1.0)
    assert correlation(np.full(6, 0.5), time) == 0.0
    assert math.isnan(correlation(np.array([0.1, math.nan, 0.3]), time[:3]))


@given(st.lists(st.tuples(SCORES, st.booleans()), min_size=1, max_size=5))
def test_the_tolerance_curve_rises_from_0_to_1(rows: list[tuple[list[float], bool]]) -> None:
    episodes = [episode(scores, success, str(i)) for i, (scores, success) in enumerate(rows)]
    curve = [value(within(episodes, t), np.ones(len(episodes), bool)) for t in TOLERANCES]
    if any(success for _, success in rows):
        assert curve == sorted(curve)
        assert curve[0] >= 0.0 and curve[-1] == 1.0
    else:
        assert all(map(math.isnan, curve))


def test_perfect_scores_give_perfect_figures() -> None:
    done = [0.0, 0.0, 0.0, 1.0, 1.0]
    good = episode([0, 0.25, 0.5, 0.75, 1], contrastive=[math.nan, 1, 1, 1, 1], completion=done)
    bad = episode([0, 0.1, 0.1, 0.1, 0.1], False, "two", contrastive=[math.nan, 1, 0, 0, 0], completion=[0.0] * 5)
    found = figures([good, bad])
    for name in ("voc", "kendall_tau", "per_traj_pearson", "roc_auc", "within_0.1", "outcome_kendall_tau"):
        assert found[f"progress.{name}"] == pytest.approx(1.0), name
    assert found["progress.mean_abs_error"] == pytest.approx(0.0)
    assert found["completion.decision_acc"] == found["completion.recall"] == found["completion.roc_auc"] == 1.0
    assert found["completion.false_success_rate"] == found["completion.unknown"] == 0.0
    assert found["contrastive.direction_acc_clear"] == found["contrastive.monotonicity_success"] == 1.0
    assert found["contrastive.direction_acc_pct"] == 100.0


def test_unknown_scores_are_left_out_and_counted_and_never_0() -> None:
    known = episode([0.0, 0.5, 1.0])
    gap = episode([0.0, math.nan, 0.25, math.nan, 0.5, math.nan, 0.75, math.nan, 1.0])
    assert figures([gap])["progress.mean_abs_error"] == pytest.approx(figures([known])["progress.mean_abs_error"])
    assert figures([gap])["progress.voc"] == pytest.approx(1.0)
    assert figures([gap])["progress.unknown"] == pytest.approx(4 / 9)


def test_what_nobody_knows_is_not_defined_and_says_what_it_needs() -> None:
    found = {m.name: m for m in measures([episode([0.1, 0.2, 0.3], None)], "aligned")}
    for name in ("roc_auc", "global_pearson", "per_traj_pearson", "mean_abs_error", "kendall_tau", "voc_rewound"):
        assert math.isnan(value(found[name].estimator, np.ones(1, bool))), name
        assert found[name].needs
    assert value(found["voc"].estimator, np.ones(1, bool)) == pytest.approx(1.0)


def test_controls_are_held_against_the_order_in_which_they_were_shown() -> None:
    one = episode([0.0, 0.3, 0.6, 0.9])
    shuffled = np.array([2, 0, 3, 1])
    content = {RewardHead.PROGRESS: one.of(RewardHead.PROGRESS)[shuffled]}
    clock = {RewardHead.PROGRESS: np.array([0.0, 0.3, 0.6, 0.9])}
    back = {
        RewardHead.PROGRESS: one.of(RewardHead.PROGRESS)[::-1],
        RewardHead.CONTRASTIVE: np.array([math.nan, -1, -1, 1]),
    }
    looks = replace(one, copies={REWOUND: Copy(np.arange(4)[::-1], back), SHUFFLED: Copy(shuffled, content)})
    counts = replace(one, copies={REWOUND: Copy(np.arange(4)[::-1], clock), SHUFFLED: Copy(shuffled, clock)})
    assert figures([looks])["progress.voc_rewound"] == pytest.approx(-1.0)
    assert figures([looks])["progress.voc_shuffled_true"] == pytest.approx(1.0)
    assert figures([counts])["progress.voc_rewound"] == figures([counts])["progress.voc_shuffled"] == pytest.approx(1.0)
    assert figures([counts])["progress.voc_shuffled_true"] < 0.5


def test_a_success_confirmed_before_it_is_one_is_false() -> None:
    truth = Truth(True, "", np.arange(5.0), done=np.array([0.0, 0, 0, 0, 1]))
    early = replace(episode([0.0] * 5, completion=[0.0, 0.9, 0.9, 0.9, 0.9]), truth=truth)
    assert false_success(early) == 2
    assert false_success(episode([0.0] * 4, False, completion=[0.0, 0.9, 0.9, 0.0])) == 2
    assert false_success(episode([0.0] * 4, True, completion=[0.0, 0.0, 0.9, 0.9])) is None
    assert false_success(episode([0.0] * 4, None, completion=[0.0, 0.0, 0.9, 0.9])) is None


def test_the_paper_counts_a_placeholder_and_meets_the_oracle_by_position() -> None:
    one = episode([0.0, 0.0, 0.0, 0.0], contrastive=[math.nan, 1.0, 1.0, -1.0])
    oracle = np.array([0.0, 0.1, 0.1, 1.2])
    one = replace(one, truth=Truth(True, "", np.arange(4.0), cumulative=oracle, oracle="golden"))
    paper, aligned = figures([one], "paper"), figures([one], "aligned")
    assert paper["contrastive.direction_acc_pct"] == pytest.approx(50.0)
    assert paper["contrastive.progress_recall_pct"] == pytest.approx(50.0)
    assert paper["contrastive.monotonicity_success"] == pytest.approx(0.6667, abs=5e-5)
    assert aligned["contrastive.direction_acc_pct"] == pytest.approx(100 / 3)


def test_score_files_keep_the_oracle_as_it_is_written(tmp_path: Path) -> None:
    steps = [{"t": t, "oracle_reward": r, "cumulative_reward": 0.0} for t, r in enumerate((0.0, 0.1, 0.0, 1.1))]
    scores = [{"t": t, "vlm_comparison_score": s, "response": ""} for t, s in enumerate((0, 1, 1, -1))]
    entry = {"traj_dir": "a", "summary": {"success_once": True}, "oracle_steps": steps, "comparison_scores": scores}
    (tmp_path / "s.json").write_text(json.dumps({"mode": "comparison", "trajectories": [entry]}))
    mode, found = read_scores([tmp_path / "s.json"])
    golden = figures([from_trajectory("files", one, mode) for one in found], "paper")
    assert golden["contrastive.direction_acc_pct"] == pytest.approx(50.0)
    assert golden["contrastive.monotonicity_success"] == pytest.approx(0.6667, abs=5e-5)


def two_models(count: int, noise: float) -> dict[str, list[JudgedEpisode]]:
    rng = np.random.default_rng(0)
    line = np.linspace(0.0, 1.0, 8)
    good = [episode(list(line), name=str(i)) for i in range(count)]
    other = [episode(list(np.clip(line + noise * rng.normal(size=8), 0, 1)), name=str(i)) for i in range(count)]
    return {"good": good, "other": other}


def test_a_model_is_not_better_than_itself() -> None:
    for row in compare(two_models(10, 0.0), "aligned"):
        assert row.difference == 0.0 and row.p == 1.0 and row.better == ""
        assert row.episodes == 10


def test_a_model_that_is_clearly_better_is_named() -> None:
    rows = {row.figure: row for row in compare(two_models(30, 0.3), "aligned")}
    for figure in ("progress.voc", "progress.mean_abs_error", "progress.kendall_tau"):
        assert rows[figure].better == "good", rows[figure]
        low, high = rows[figure].ci95
        assert low <= rows[figure].difference <= high
        assert low * high > 0.0


def test_models_are_compared_on_the_episodes_that_both_scored() -> None:
    models = two_models(6, 0.2)
    models["other"] = models["other"][2:][::-1]
    assert {row.episodes for row in compare(models, "aligned")} == {4}
