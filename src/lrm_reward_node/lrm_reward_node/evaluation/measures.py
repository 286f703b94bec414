"""Every open-loop figure of one model over judged episodes, by head. What each means: docs/evaluation.md."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lrm_core.rewards import RewardHead
from lrm_reward_node.evaluation.estimators import Estimator, calibration_error_of, mean_of, ratio_of, tau_of
from lrm_reward_node.evaluation.judged import JudgedEpisode
from lrm_reward_node.evaluation.metrics import comparison_estimators, state_estimators, trajectory_pearson
from lrm_reward_node.evaluation.ordering import kendall_tau, value_order_correlation
from lrm_reward_node.evaluation.per_episode import (
    absolute_error,
    answers,
    copy_order,
    decided_right,
    false_success,
    last_known,
    mean_known,
    outcome_rank,
    share_at_least_0,
)
from lrm_reward_node.evaluation.quality import INTERVAL_SIGMAS, THRESHOLD, confirmed_at
from lrm_reward_node.evaluation.statistics import BINS, bin_of, within_tolerance

REWOUND, SHUFFLED = "rewound", "shuffled"
BOTH_OUTCOMES = "successful and failed episodes with a known last score"
ORACLE = "an oracle reward that changes, beside at least 3 known scores of an episode"
PROGRESS_TRUTH = "true progress: of a simulator, or time in episodes known to have succeeded"
DONE = "frames that are done and frames that are not, known to be so"
CLOSER = f"comparisons of which some are closer and some further; {PROGRESS_TRUTH}"
COPIES = "copies of the frames in another order, scored by the model (not with --no-controls, tables or score files)"


@dataclass(frozen=True)
class Measure:
    """One figure of one head.

    Attributes:
        head: the head.
        name: of the figure.
        estimator: the figure as a function of episode weights.
        needs: what has to be known for it to be defined.
        better: 1 the higher the better, -1 the lower, 0 neither.
        per_episode: (E,) what each episode gives, for paired tests; None: it is one figure over all of them.
        yes_or_no: these are 1 and 0.
        share: (E,) how many of (E,) how many: it is a share of episodes; None: it is something else.
        compared: models are compared by it.
    """

    head: RewardHead
    name: str
    estimator: Estimator
    needs: str
    better: int = 1
    per_episode: np.ndarray | None = None
    yes_or_no: bool = False
    compared: bool = False
    share: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def key(self) -> str:
        """``head.name``."""
        return f"{self.head.value}.{self.name}"


def measures(episodes: Sequence[JudgedEpisode], definition: str) -> list[Measure]:
    """All figures; ``definition`` is that of the published ones, see :mod:`lrm_reward_node.evaluation.metrics`."""
    asked = {head for episode in episodes for head in episode.values}
    found: list[Measure] = []
    for head, more in (
        (RewardHead.PROGRESS, _progress), (RewardHead.COMPLETION, _completion),
        (RewardHead.CONTRASTIVE, _contrastive), (RewardHead.FUSED, lambda _: []),
    ):  # fmt: skip
        if head in asked:
            found += [*_published(episodes, head, definition), *more(episodes), _unknown(episodes, head)]
    return found


def within(episodes: Sequence[JudgedEpisode], tolerance: float) -> Estimator:
    """Share of frames with |p - p*| <= tolerance, of those where both are known: a point of the tolerance curve."""
    errors = [absolute_error(episode) for episode in episodes]
    counts = [(np.sum(within_tolerance(error, tolerance)), np.sum(np.isfinite(error))) for error in errors]
    return ratio_of(*_columns(counts))


def _published(episodes: Sequence[JudgedEpisode], head: RewardHead, definition: str) -> list[Measure]:
    trajectories = [episode.trajectory(head, definition) for episode in episodes]
    if head is RewardHead.CONTRASTIVE:
        found = comparison_estimators(trajectories, definition)
        needs = {"monotonicity_success": "successful episodes"}
        return [Measure(head, name, one, needs.get(name, ORACLE)) for name, one in found.items()]
    found = state_estimators(trajectories, definition)
    fit = np.array([trajectory_pearson(one, definition) for one in trajectories])
    return [
        Measure(head, "roc_auc", found["roc_auc"], BOTH_OUTCOMES, compared=True),
        Measure(head, "pairwise_acc_pct", found["pairwise_acc_pct"], BOTH_OUTCOMES),
        Measure(
            head, "global_pearson", found["global_pearson"], "total oracle rewards that differ, of at least 3 episodes"
        ),
        Measure(head, "per_traj_pearson", found["per_traj_pearson"], ORACLE, per_episode=fit, compared=True),
    ]


def _progress(episodes: Sequence[JudgedEpisode]) -> list[Measure]:
    head = RewardHead.PROGRESS
    failed = np.array([e.truth.success is False for e in episodes], bool)
    order = _each(episodes, lambda e: value_order_correlation(e.of(head), np.arange(len(e.t_s))))
    error = _each(episodes, lambda e: mean_known(absolute_error(e)))
    tau = _each(episodes, lambda e: kendall_tau(e.of(head), e.truth.progress_at(e.t_s)))
    shown = {kind: _each(episodes, lambda e, k=kind: copy_order(e, k)) for kind in (REWOUND, SHUFFLED)}  # type: ignore[misc]
    true = _each(episodes, lambda e: copy_order(e, SHUFFLED, by_time=True))
    return [
        _averaged("mean_abs_error", error, PROGRESS_TRUTH, -1, True),
        Measure(head, "within_0.1", within(episodes, 0.1), PROGRESS_TRUTH),
        _averaged("kendall_tau", tau, PROGRESS_TRUTH, 1, True),
        _averaged("voc", np.where(failed, math.nan, order), "episodes of 3 known scores that did not fail", 1, True),
        _averaged("voc_failure", np.where(failed, order, math.nan), "failed episodes of 3 known scores", 0),
        _averaged("voc_rewound", np.where(failed, math.nan, shown[REWOUND]), COPIES, -1),
        _averaged("voc_shuffled", np.where(failed, math.nan, shown[SHUFFLED]), COPIES, 0),
        _averaged("voc_shuffled_true", np.where(failed, math.nan, true), COPIES),
        Measure(head, "outcome_kendall_tau", _outcome_tau(episodes), "several episodes of a task that end differently"),
        Measure(head, "coverage_90", _coverage(episodes), f"{PROGRESS_TRUTH}, and a stated uncertainty", 0),
    ]


def _completion(episodes: Sequence[JudgedEpisode]) -> list[Measure]:
    head = RewardHead.COMPLETION
    success = np.array([math.nan if e.truth.success is None else float(e.truth.success) for e in episodes])
    said = _each(episodes, lambda e: confirmed_at(e.of(head), THRESHOLD) is not None)
    false = _each(episodes, lambda e: false_success(e) is not None)
    last = _each(episodes, lambda e: decided_right(e))
    dated = (success == 1.0) * _each(episodes, lambda e: len(e.truth.done) > 0)
    found = (success == 1.0) * said * (1.0 - false)
    right = _share_of("decision_acc", last == 1.0, np.isfinite(last), "an outcome and a known last score")
    return [
        replace(right, per_episode=last, yes_or_no=True, compared=True),
        _share_of("false_success_rate", false * (success == 0.0), success == 0.0, "failed episodes", -1),
        _share_of("early_success_rate", false * dated, dated, "successful episodes, true per frame", -1),
        _share_of("recall", found, success == 1.0, "successful episodes"),
        Measure(head, "ece", _calibration(episodes, head), DONE, -1),
    ]


def _share_of(name: str, part: np.ndarray, whole: np.ndarray, needs: str, better: int = 1) -> Measure:
    """A share of episodes, of the completion head."""
    return Measure(RewardHead.COMPLETION, name, ratio_of(part, whole), needs, better, share=(part, whole))


def _contrastive(episodes: Sequence[JudgedEpisode]) -> list[Measure]:
    head = RewardHead.CONTRASTIVE
    counts = _columns([(np.sum((s >= 0.5) == (t == 1.0)), len(s)) for s, t in (answers(e, head) for e in episodes)])
    shares = np.divide(counts[0], counts[1], out=np.full(len(episodes), math.nan), where=counts[1] > 0)
    backwards = _each(
        episodes, lambda e: share_at_least_0(e.copies[REWOUND].values[head]) if REWOUND in e.copies else math.nan
    )
    succeeded = np.array([e.truth.success is True for e in episodes], bool)
    return [
        Measure(head, "direction_acc_clear", ratio_of(*counts), PROGRESS_TRUTH, 1, shares, False, True),
        Measure(head, "monotonicity_rewound", mean_of(np.where(succeeded, backwards, math.nan)), COPIES, -1),
        Measure(head, "ece", _calibration(episodes, head), CLOSER, -1),
    ]


def _averaged(name: str, values: np.ndarray, needs: str, better: int = 1, compared: bool = False) -> Measure:
    return Measure(RewardHead.PROGRESS, name, mean_of(values), needs, better, values, False, compared)


def _unknown(episodes: Sequence[JudgedEpisode], head: RewardHead) -> Measure:
    first = int(head in (RewardHead.CONTRASTIVE, RewardHead.FUSED))  # has nothing to compare the first frame with
    counts = [(np.sum(np.isnan(e.of(head)[first:])), len(e.t_s[first:])) for e in episodes]
    return Measure(head, "unknown", ratio_of(*_columns(counts)), "queries", -1)


def _outcome_tau(episodes: Sequence[JudgedEpisode]) -> Estimator:
    ranks = np.array([outcome_rank(episode) for episode in episodes])
    scores = _each(episodes, lambda e: last_known(e, RewardHead.PROGRESS))
    return tau_of(scores, ranks, [episode.task for episode in episodes])


def _coverage(episodes: Sequence[JudgedEpisode]) -> Estimator:
    counts = []
    for episode in episodes:
        spread = episode.uncertainty.get(RewardHead.PROGRESS, np.full(len(episode.t_s), math.nan))
        error = absolute_error(episode)
        known = np.isfinite(error) & np.isfinite(spread)
        counts.append((np.sum(error[known] <= INTERVAL_SIGMAS * spread[known]), np.sum(known)))
    return ratio_of(*_columns(counts))


def _calibration(episodes: Sequence[JudgedEpisode], head: RewardHead) -> Estimator:
    sums = np.zeros((3, len(episodes), BINS))
    for index, episode in enumerate(episodes):
        stated, true = answers(episode, head)
        for row, weights in enumerate((np.ones(len(stated)), stated, true)):
            sums[row, index] = np.bincount(bin_of(stated), weights, BINS)
    counts, _, positive = sums
    if not 0.0 < positive.sum() < counts.sum():  # with one answer alone true, whoever always gives it is calibrated
        return lambda weights: np.full(len(weights), math.nan)
    return calibration_error_of(*sums)


def _each(episodes: Sequence[JudgedEpisode], figure: Callable[[JudgedEpisode], float]) -> np.ndarray:
    return np.array([figure(episode) for episode in episodes], float)


def _columns(pairs: Sequence[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    table = np.array(pairs, float).reshape(-1, 2)
    return table[:, 0], table[:, 1]
