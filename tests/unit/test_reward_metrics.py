"""Open-loop metrics: golden vectors of the published script, and the right definitions."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrm_core.errors import BadInput
from lrm_core.rewards import RewardEstimate, RewardHead, RewardStatus
from lrm_reward_node.evaluation.episodes import ScoredEpisode, query_frames
from lrm_reward_node.evaluation.metrics import comparison_metrics, state_metrics
from lrm_reward_node.evaluation.quality import confirmation_rates, direction_accuracy, quality, tolerance_curve
from lrm_reward_node.evaluation.statistics import expected_calibration_error, pearson, roc_auc
from lrm_reward_node.evaluation.trajectories import Trajectory, read_scores


def trajectory(
    scores: list[float], reward: list[float], success: bool, cumulative: list[float] | None = None
) -> Trajectory:
    total = cumulative if cumulative is not None else list(np.cumsum(reward))
    t = np.arange(len(scores), dtype=float)
    return Trajectory(
        "one",
        "task",
        success,
        t,
        np.array(scores, float),
        t,
        np.array(reward, float),
        np.array(total, float),
        total[-1],
    )


COMPLETION = [
    trajectory([0, 1, 1], [0, 1.2, 0], True, [0, 1.2, 1.2]),
    trajectory([0, 0, 1], [0, 0.1, 0], False, [0, 0.1, 0.1]),
    trajectory([0, 0, 0], [0, 0, 0], False, [0, 0, 0]),
]
COMPARISON = [trajectory([0, 1, 1, -1], [0, 0.1, 0, 1.1], True)]


def test_golden_vector_of_comparisons() -> None:
    figures = comparison_metrics(COMPARISON, "paper")
    assert figures["direction_acc_pct"] == pytest.approx(50.0)
    assert figures["progress_recall_pct"] == pytest.approx(50.0)
    assert figures["monotonicity_success"] == pytest.approx(0.6667, abs=5e-5)


def test_golden_vector_of_completion() -> None:
    figures = state_metrics(COMPLETION, "paper")
    assert figures["pairwise_acc_pct"] == pytest.approx(50.0)
    assert figures["global_pearson"] == pytest.approx(0.9011, abs=5e-5)
    assert figures["per_traj_pearson"] == pytest.approx(0.75)


def test_aligned_comparisons_drop_the_placeholder() -> None:
    figures = comparison_metrics(COMPARISON, "aligned")
    assert figures["direction_acc_pct"] == pytest.approx(100 / 3)


def test_aligned_scores_meet_the_oracle_by_time() -> None:
    steps = np.arange(21.0)
    queried = np.array([0.0, 10.0, 20.0])
    one = Trajectory("x", "t", True, queried, np.array([0.0, 0.5, 1.0]), steps, np.full(21, 0.05), steps / 20, 1.0)
    assert state_metrics([one], "aligned")["per_traj_pearson"] == pytest.approx(1.0)
    back = Trajectory("x", "t", True, queried, np.array([0.0, 1.0, -1.0]), steps, np.full(21, 0.05), steps / 20, 1.0)
    assert comparison_metrics([back], "aligned")["direction_acc_pct"] == pytest.approx(50.0)


def test_paper_suppresses_everything_when_one_trajectory_has_no_score() -> None:
    silent = trajectory([math.nan] * 3, [0, 0, 0], False)
    assert all(math.isnan(v) for v in state_metrics([*COMPLETION, silent], "paper").values())
    assert state_metrics([*COMPLETION, silent], "aligned") == state_metrics(COMPLETION, "aligned")


def test_an_unknown_definition_is_refused() -> None:
    with pytest.raises(BadInput, match="definition"):
        state_metrics(COMPLETION, "official")


def test_the_official_file_is_read_as_it_is(tmp_path: Path) -> None:
    steps = [{"t": t, "oracle_reward": r, "cumulative_reward": 0.0, "success": t == 2} for t, r in enumerate((0, 1, 1))]
    scores = [
        {"t": 0, "vlm_completion_score": None, "response": ""},
        {"t": 2, "vlm_completion_score": 1.0, "response": "x"},
    ]
    entry = {
        "traj_dir": "a/b",
        "summary": {"task_description": "t"},
        "oracle_steps": steps,
        "completion_scores": scores,
    }
    paths = [tmp_path / "one.json", tmp_path / "two.json"]
    for path in paths:
        path.write_text(json.dumps({"mode": "completion", "trajectories": [entry]}))
    mode, (first, _) = read_scores(paths)
    assert mode == "completion" and first.name == "a/b" and first.success
    assert first.cumulative.tolist() == [0.0, 1.0, 2.0] and first.total == 2.0
    assert math.isnan(first.scores[0]) and first.scores[1] == 1.0


@pytest.mark.parametrize(
    "text", ["", "[]", '{"mode": "x", "trajectories": []}', '{"mode": "progress", "trajectories": [3]}']
)
def test_another_file_gives_one_clear_message(tmp_path: Path, text: str) -> None:
    (tmp_path / "scores.json").write_text(text)
    with pytest.raises(BadInput, match=r"scores\.json"):
        read_scores([tmp_path / "scores.json"])


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=30))
def test_auc_is_the_share_of_pairs_ranked_right(rows: list[tuple[int, bool]]) -> None:
    positives, negatives = [s for s, label in rows if label], [s for s, label in rows if not label]
    auc = roc_auc(np.array([s for s, _ in rows]), np.array([label for _, label in rows]))
    if not positives or not negatives:
        assert math.isnan(auc)
    else:
        won = sum((p > n) + 0.5 * (p == n) for p in positives for n in negatives)
        assert auc == pytest.approx(won / (len(positives) * len(negatives)))


def test_correlation_without_variance_is_undefined() -> None:
    assert math.isnan(pearson(np.ones(4), np.arange(4)))


def test_calibration_error_is_the_gap_of_probability_and_frequency() -> None:
    assert expected_calibration_error(np.full(10, 0.95), np.ones(10)) == pytest.approx(0.05)
    assert expected_calibration_error(np.array([1.0, 1.0]), np.array([0.0, 1.0])) == pytest.approx(0.5)


def scored(completion: list[float], success: list[bool], contrastive: list[float] | None = None) -> ScoredEpisode:
    progress = np.linspace(0.0, 1.0 if success[-1] else 0.5, len(success))
    rows = []
    for index, value in enumerate(completion):
        c = contrastive[index] if contrastive else 1.0
        values = {RewardHead.CONTRASTIVE: c, RewardHead.PROGRESS: float(progress[index]), RewardHead.COMPLETION: value}
        rows.append([RewardEstimate(h, v, RewardStatus.OK, uncertainty=0.1, confidence=0.9) for h, v in values.items()])
    return ScoredEpisode("task", "x", np.arange(len(success)), progress, np.array(success), rows)


def test_success_is_confirmed_by_two_queries_in_a_row() -> None:
    good = scored([0, 0, 1, 1], [False, False, True, True])
    flicker = scored([0, 1, 0, 1], [False] * 4)
    wrong = scored([0, 0, 1, 1], [False] * 4)
    assert confirmation_rates([good, flicker], 0.5) == (0.0, 1.0)
    assert confirmation_rates([good, flicker, wrong], 0.5) == (0.5, 1.0)


def test_a_confirmation_before_the_end_is_a_false_stop() -> None:
    early = scored([0, 1, 1, 1], [False, False, False, True])
    assert confirmation_rates([early], 0.5)[0] == 1.0
    assert confirmation_rates([early, scored([0, 0], [False, False])], 0.5)[0] == 0.5


@given(
    st.lists(st.lists(st.tuples(st.sampled_from([0.0, 0.4, 0.9]), st.booleans()), min_size=2, max_size=6), min_size=1)
)
def test_the_rates_of_confirmations_are_shares(rows: list[list[tuple[float, bool]]]) -> None:
    episodes = [scored([score for score, _ in row], [done for _, done in row]) for row in rows]
    assert all(math.isnan(rate) or 0.0 <= rate <= 1.0 for rate in confirmation_rates(episodes, 0.5))


def test_scores_that_say_done_from_the_start_confirm_nothing() -> None:
    assert confirmation_rates([scored([1, 1, 1, 1], [False, False, True, True])], 0.5)[1] == 0.0
    assert confirmation_rates([scored([1, 1, 1], [False] * 3)], 0.5)[0] == 0.0


def test_perfect_scores_give_perfect_figures() -> None:
    episodes = [scored([0, 0, 1, 1], [False, False, True, True]), scored([0, 0, 0], [False] * 3)]
    figures = quality(episodes)
    assert figures["progress_pearson"] == pytest.approx(1.0)
    assert figures["completion_auc"] == figures["direction_accuracy"] == figures["recall"] == 1.0
    assert figures["false_stop_rate"] == figures["unknown"] == 0.0
    assert tolerance_curve(episodes)[0] == (0.0, 1.0)


def test_direction_leaves_out_the_first_query_and_compares_signs() -> None:
    assert direction_accuracy([scored([0, 0, 0], [False] * 3, [-1.0, 1.0, -1.0])]) == pytest.approx(0.5)


@given(st.integers(1, 60), st.integers(1, 12))
def test_first_and_last_frame_are_always_queried(length: int, gap: int) -> None:
    frames = query_frames(length, gap)
    assert frames[0] == 0 and frames[-1] == length - 1
    assert (np.diff(frames) <= gap).all() and (np.diff(frames) > 0).all()
