"""Reward quality is measured against the truth of the very frame that was scored, and UNKNOWN never counts as 0."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from lrm_bringup.report.journal import EpisodeEnded, RewardSeen, Run, RunStarted
from lrm_bringup.report.quality import reward_quality

STARTED = RunStarted("r", 0, "t", "lrm", "lockstep", 60.0, 2, 2, "", [], {}, {}, success_threshold=0.8)
NAN = math.nan


def run(*episodes: tuple[list[float], list[float], list[float], list[float]]) -> Run:
    """Each episode: progress, completion and contrastive of its queries, and the true progress (1 is success)."""
    made = Run(Path(), STARTED)
    for number, (progress, completion, contrastive, truth) in enumerate(episodes):
        name, stamps = f"e{number}", [10 * i + 10 for i in range(len(truth))]
        success = [value >= 1.0 for value in truth]
        made.episodes.append(
            EpisodeEnded("before", number, name, number, "t", 1, "max_steps", stamps[0], stamps[-1], 0,
                         completion[-1], success[-1], "", stamps, truth, success)
        )  # fmt: skip
        made.rewards[name] = [
            RewardSeen(name, head, value, "LATE" if math.isnan(value) else "OK", stamp, 0, 0.9, False, 0.0, 0.0, "f")
            for head, values in (("progress", progress), ("completion", completion), ("contrastive", contrastive))
            for stamp, value in zip(stamps, values, strict=True)
        ]
    return made


GOOD = ([0.1, 0.4, 0.9, 1.0], [0.0, 0.1, 0.9, 0.95], [NAN, 0.5, 0.5, 0.2], [0.0, 0.5, 1.0, 1.0])
BAD = ([0.1, 0.3, 0.3, 0.2], [0.0, 0.1, 0.2, 0.1], [NAN, 0.5, -0.5, -0.5], [0.0, 0.5, 0.3, 0.0])


def test_a_model_that_is_right_gets_full_marks() -> None:
    quality = reward_quality(run(GOOD, BAD))
    assert quality["progress_pearson"] > 0.8
    assert quality["completion_auc"] == 1.0
    assert quality["direction_accuracy"] == 1.0
    assert (quality["false_stop_rate"], quality["success_recall"]) == (0.0, 1.0)
    assert quality["trajectories"] == 2


def test_an_unknown_answer_is_left_out_and_not_taken_for_zero() -> None:
    progress, completion, contrastive, truth = GOOD
    with_gap = ([progress[0], NAN, *progress[2:]], completion, [NAN, NAN, *contrastive[2:]], truth)
    quality = reward_quality(run(with_gap))
    assert quality["progress_pearson"] == pytest.approx(1.0, abs=0.02)
    as_zero = ([progress[0], 0.0, *progress[2:]], completion, contrastive, truth)
    assert reward_quality(run(as_zero))["progress_pearson"] < quality["progress_pearson"]


def test_a_confirmed_success_that_is_none_is_a_false_success() -> None:
    progress, _, contrastive, truth = BAD
    fooled = (progress, [0.0, 0.1, 0.9, 0.9], contrastive, truth)
    assert reward_quality(run(GOOD, fooled))["false_stop_rate"] == 1.0


def test_without_truth_nothing_is_claimed() -> None:
    made = run(GOOD)
    made.episodes[0] = EpisodeEnded("before", 0, "e0", 0, "t", 1, "max_steps", 10, 40, 0)
    quality = reward_quality(made)
    assert quality["trajectories"] == 0
    assert math.isnan(quality["progress_pearson"])
