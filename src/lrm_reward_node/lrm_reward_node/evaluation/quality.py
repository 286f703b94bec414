"""One table of figures that says how good a reward model is, from scored episodes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from lrm_core.rewards import RewardHead
from lrm_core.success import SuccessConfirmation
from lrm_reward_node.evaluation.episodes import ScoredEpisode
from lrm_reward_node.evaluation.statistics import (
    TOLERANCES,
    expected_calibration_error,
    mean,
    pearson,
    roc_auc,
    within_tolerance,
)

TIE = 0.03
"""Comparisons of frames whose privileged progress differs by less are left out."""
CONFIRM = 2
"""Completed queries in a row that make a success."""
THRESHOLD = 0.5
THRESHOLDS = tuple(np.linspace(0.02, 0.98, 49).tolist())
"""From which the best is chosen."""
INTERVAL_SIGMAS = 1.645
"""Half width of the progress interval whose coverage is measured: nominally 90 %."""
BARS = {"progress_pearson": 0.85, "completion_auc": 0.95, "direction_accuracy": 0.90, "false_stop_rate": 0.02}
"""What the shipped model has to reach; the false stop rate is an upper bound, at a recall of at least 0.9."""
MIN_RECALL = 0.9


def quality(episodes: Sequence[ScoredEpisode]) -> dict[str, float]:
    """Figures over held-out episodes; shares in [0, 1], NaN where one is not defined.

    ``progress_pearson``: mean per-trajectory Pearson of progress. ``completion_auc``: success of the last frame
    against its completion score; ``completion_frame_auc``: the same over all frames. ``direction_accuracy``: sign of
    contrastive over consecutive queries. ``false_stop_rate`` and ``recall``: see :func:`confirmation_rates`, at the
    best threshold with a recall of at least 0.9; ``..._fixed``: at the threshold 0.5. ``progress_coverage``: share of
    frames whose privileged progress lies in the 90 % interval. ``completion_ece``: calibration error.
    """
    last = np.array([e.column(RewardHead.COMPLETION)[-1] for e in episodes])
    done = np.array([bool(e.success[-1]) for e in episodes])
    completion = _all(episodes, RewardHead.COMPLETION)
    success = np.concatenate([e.success for e in episodes])
    progress, truth = _all(episodes, RewardHead.PROGRESS), np.concatenate([e.progress for e in episodes])
    spread = np.concatenate([e.column(RewardHead.PROGRESS, "uncertainty") for e in episodes])
    threshold, false_stop, recall = best_threshold(episodes)
    false_fixed, recall_fixed = confirmation_rates(episodes, THRESHOLD)
    return {
        "episodes": float(len(episodes)),
        "queries": float(sum(len(e.frames) for e in episodes)),
        "unknown": float(sum(e.unknown for e in episodes)),
        "progress_pearson": mean(
            [pearson(e.column(RewardHead.PROGRESS), e.progress) for e in episodes if len(e.frames) > 2]
        ),
        "progress_error": float(np.nanmean(np.abs(progress - truth))),
        "progress_coverage": float(np.mean(np.abs(progress - truth) <= INTERVAL_SIGMAS * spread)),
        "completion_auc": roc_auc(last, done),
        "completion_frame_auc": roc_auc(completion, success),
        "completion_ece": expected_calibration_error(completion, success),
        "direction_accuracy": direction_accuracy(episodes),
        "false_stop_rate": false_stop,
        "recall": recall,
        "threshold": threshold,
        "false_stop_rate_fixed": false_fixed,
        "recall_fixed": recall_fixed,
    }


def direction_accuracy(episodes: Sequence[ScoredEpisode]) -> float:
    """Share of consecutive queries, ties left out, where contrastive has the sign of the change of progress."""
    right, compared = np.sum([direction_counts(episode) for episode in episodes], axis=0) if episodes else (0, 0)
    return _ratio(right, compared)


def direction_counts(episode: ScoredEpisode) -> tuple[int, int]:
    """(right, all) comparisons of one episode, see :func:`direction_accuracy`."""
    change = np.diff(episode.progress)
    scores = episode.column(RewardHead.CONTRASTIVE)[1:]
    clear = np.abs(change) >= TIE
    return int(np.sum(np.sign(scores[clear]) == np.sign(change[clear]))), int(clear.sum())


def confirmation_rates(episodes: Sequence[ScoredEpisode], threshold: float) -> tuple[float, float]:
    """(false stop rate, recall) of :class:`SuccessConfirmation` with ``CONFIRM`` queries in a row.

    A false stop is a success that is confirmed at a frame where the task is not done. The rate is the share of false
    stops among the episodes without a success before their stop: those that fail, and those that are stopped too early
    to succeed. Recall is over the episodes whose success lasts ``CONFIRM`` queries. Both are in [0, 1], NaN without
    such an episode.
    """
    counts = [confirmation_counts(episode, threshold) for episode in episodes]
    false, without, found, lasting = np.sum(counts, axis=0) if counts else (0, 0, 0, 0)
    return _ratio(false, without), _ratio(found, lasting)


def confirmation_counts(episode: ScoredEpisode, threshold: float) -> tuple[int, int, int, int]:
    """(false stop, failed or stopped falsely, success found, lasting success), each 0 or 1, of one episode."""
    at = confirmed_at(episode.column(RewardHead.COMPLETION), threshold)
    right = at is not None and bool(episode.success[at])
    lasting = confirmed_at(episode.success, THRESHOLD) is not None
    false = at is not None and not right
    return int(false), int(false or not episode.success.any()), int(lasting and right), int(lasting)


def best_threshold(episodes: Sequence[ScoredEpisode]) -> tuple[float, float, float]:
    """(threshold, false stop rate, recall) with the lowest rate at a recall of at least 0.9."""
    rates = [(t, *confirmation_rates(episodes, t)) for t in THRESHOLDS]
    allowed = [rate for rate in rates if rate[2] >= MIN_RECALL]
    return min(allowed, key=lambda rate: (rate[1], -rate[2])) if allowed else (math.nan, math.nan, math.nan)


def tolerance_curve(episodes: Sequence[ScoredEpisode]) -> list[tuple[float, float]]:
    """Share of frames with |p - p*| <= tolerance, for 0, 0.1 .. 1.0 (the paper's figure 2)."""
    error = _all(episodes, RewardHead.PROGRESS) - np.concatenate([e.progress for e in episodes])
    return [(tolerance, float(np.mean(within_tolerance(error, tolerance)))) for tolerance in TOLERANCES]


def rounded(figures: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float | None]]:
    """For JSON: four decimals, and null for what is not defined."""
    return {
        split: {name: None if math.isnan(value) else round(value, 4) for name, value in row.items()}
        for split, row in figures.items()
    }


def missed_bars(figures: dict[str, float]) -> list[str]:
    """Names of the bars that are not reached; NaN does not reach."""
    upper = {"false_stop_rate"}
    return [name for name, bar in BARS.items() if not (figures[name] <= bar if name in upper else figures[name] >= bar)]


def confirmed_at(completion: np.ndarray, threshold: float) -> int | None:
    """Query at which ``CONFIRM`` completed queries in a row make a success; None: never."""
    rule = SuccessConfirmation(threshold, CONFIRM)
    return next((index for index, score in enumerate(completion) if rule.add(float(score))), None)


def _all(episodes: Sequence[ScoredEpisode], head: RewardHead) -> np.ndarray:
    return np.concatenate([e.column(head) for e in episodes])


def _ratio(part: int, whole: int) -> float:
    return float(part / whole) if whole else math.nan
