"""Calibration of a reward model on scored episodes: fit it on some, say how well it holds on others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lrm_core.rewards import RewardHead
from lrm_reward_node.calibration import (
    SIGMAS,
    HeadCalibration,
    LogisticCalibration,
    SpreadCalibration,
    fit_logistic,
    fit_spread,
)
from lrm_reward_node.evaluation.episodes import ScoredEpisode
from lrm_reward_node.evaluation.quality import TIE
from lrm_reward_node.evaluation.statistics import expected_calibration_error, reliability

ECE_BAR = 0.05
COVERAGE_BAR = (0.88, 0.92)
_LEVELS = np.linspace(0.1, 0.9, 9)


@dataclass(frozen=True)
class Stated:
    """What the heads stated and what was true, over all frames that have an answer.

    Attributes:
        completion, contrastive: (N,) stated probability of "yes" and of "the newer frame is closer".
        done, closer: (N,) bool, what was true; comparisons without a clear answer are left out.
        error, spread: (N,) progress minus privileged progress, and the stated uncertainty.
    """

    completion: np.ndarray
    done: np.ndarray
    contrastive: np.ndarray
    closer: np.ndarray
    error: np.ndarray
    spread: np.ndarray


def stated(episodes: Sequence[ScoredEpisode]) -> Stated:
    """Collect from episodes that were scored without calibration."""
    completion = _joined(episodes, lambda e: e.column(RewardHead.COMPLETION))
    done = _joined(episodes, lambda e: e.success).astype(bool)
    chance = _joined(episodes, lambda e: (e.column(RewardHead.CONTRASTIVE)[1:] + 1.0) / 2.0)
    change = _joined(episodes, lambda e: np.diff(e.progress))
    error = _joined(episodes, lambda e: e.column(RewardHead.PROGRESS) - e.progress)
    spread = _joined(episodes, lambda e: e.column(RewardHead.PROGRESS, "uncertainty"))
    clear = (np.abs(change) >= TIE) & np.isfinite(chance)
    answered, measured = np.isfinite(completion), np.isfinite(error)
    return Stated(
        completion[answered], done[answered], chance[clear], change[clear] > 0.0, error[measured], spread[measured]
    )


def fit(data: Stated) -> dict[RewardHead, HeadCalibration]:
    """Calibrations of the three heads; raises BadInput where the episodes do not allow one."""
    return {
        RewardHead.CONTRASTIVE: fit_logistic(data.contrastive, data.closer),
        RewardHead.PROGRESS: fit_spread(data.error, data.spread),
        RewardHead.COMPLETION: fit_logistic(data.completion, data.done),
    }


def figures(data: Stated, heads: Mapping[RewardHead, HeadCalibration]) -> dict[str, float]:
    """Calibration error of the two-answer heads and coverage of the 90 % interval of progress, all in [0, 1]."""
    applied = _applied(data, heads)
    return {
        "completion_ece": expected_calibration_error(applied.completion, data.done),
        "contrastive_ece": expected_calibration_error(applied.contrastive, data.closer),
        "progress_coverage": float(np.mean(np.abs(data.error) <= SIGMAS * applied.spread)),
    }


def missed(row: Mapping[str, float]) -> list[str]:
    """Names of the bars that a row of :func:`figures` does not reach."""
    low, high = COVERAGE_BAR
    return [
        *(["completion_ece"] if not row["completion_ece"] <= ECE_BAR else []),
        *(["progress_coverage"] if not low <= row["progress_coverage"] <= high else []),
    ]


def plot(path: Path, data: Stated, heads: Mapping[RewardHead, HeadCalibration]) -> None:
    """Reliability diagrams of the three heads, before and after, as a picture file; large dots: many frames."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4.2), layout="constrained")
    axes = figure.subplots(1, 3)
    for label, one in (("as stated", data), ("calibrated", _applied(data, heads))):
        axes[0].scatter(*_reliability(one.completion, data.done), alpha=0.6, label=label)
        axes[1].scatter(*_reliability(one.contrastive, data.closer), alpha=0.6, label=label)
        axes[2].plot(_LEVELS, _coverage(data.error, one.spread), "o-", label=label)
    titles = {
        "completion": ("stated probability", "share that was done"),
        "contrastive": ("stated probability that the newer is closer", "share that was closer"),
        "progress": ("nominal share within the interval", "share within"),
    }
    for axis, (title, (x, y)) in zip(axes, titles.items(), strict=True):
        axis.plot([0, 1], [0, 1], color="0.7", zorder=0)
        axis.set(title=title, xlabel=x, ylabel=y, xlim=(-0.05, 1.05), ylim=(-0.05, 1.05))
        axis.legend()
    figure.savefig(path, dpi=100)


def _applied(data: Stated, heads: Mapping[RewardHead, HeadCalibration]) -> Stated:
    completion, contrastive, progress = (
        heads.get(head) for head in (RewardHead.COMPLETION, RewardHead.CONTRASTIVE, RewardHead.PROGRESS)
    )
    return Stated(
        completion.probability(data.completion) if isinstance(completion, LogisticCalibration) else data.completion,
        data.done,
        contrastive.probability(data.contrastive) if isinstance(contrastive, LogisticCalibration) else data.contrastive,
        data.closer,
        data.error,
        progress.spread(data.spread) if isinstance(progress, SpreadCalibration) else data.spread,
    )


def _reliability(chance: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per bin that is not empty: mean stated probability, share that was true, area of its dot."""
    found = reliability(chance, truth)
    return found.stated, found.true, 12.0 * found.count**0.5


def _coverage(error: np.ndarray, spread: np.ndarray) -> list[float]:
    from statistics import NormalDist

    sigmas = [NormalDist().inv_cdf(0.5 + level / 2.0) for level in _LEVELS]
    return [float(np.mean(np.abs(error) <= s * spread)) for s in sigmas]


def _joined(episodes: Sequence[ScoredEpisode], column: Callable[[ScoredEpisode], np.ndarray]) -> np.ndarray:
    return np.concatenate([np.asarray(column(episode), np.float64) for episode in episodes])
