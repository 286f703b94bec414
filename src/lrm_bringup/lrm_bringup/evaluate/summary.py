"""``reward_eval.json``: every figure with its interval. The fields are described in docs/evaluation.md."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from lrm_bringup.evaluate.run import Judged
from lrm_bringup.report.statistics import wilson
from lrm_core.rewards import RewardHead
from lrm_reward_node.evaluation.comparing import compare
from lrm_reward_node.evaluation.estimators import Estimator, bootstrap_weights, interval, value
from lrm_reward_node.evaluation.judged import NO_ORACLE, JudgedEpisode
from lrm_reward_node.evaluation.measures import PROGRESS_TRUTH, Measure, measures, within
from lrm_reward_node.evaluation.per_episode import answers, last_known
from lrm_reward_node.evaluation.statistics import TOLERANCES, reliability

SCHEMA = 1
MIN_EPISODES = 2
"""Below this an interval says nothing."""
SUPPRESSED = "paper: a trajectory without a valid score suppresses all published figures"
_SCORED_HEADS = (RewardHead.PROGRESS, RewardHead.COMPLETION)


def summarise(judged: Judged, definition: str, seed: int, resamples: int, about: Mapping[str, Any]) -> dict[str, Any]:
    """The whole evaluation for JSON; numbers that are not defined are null, with the reason beside them."""
    models = {
        label: _model(judged.models[label], episodes, definition, seed, resamples)
        for label, episodes in judged.episodes.items()
    }
    everyone = {episode.key: episode for episodes in judged.episodes.values() for episode in episodes}
    return {
        "schema": SCHEMA, "definition": definition, "seed": seed, "resamples": resamples, **about,
        "sources": _sources(list(everyone.values())),
        "models": models,
        "comparisons": [_clean(asdict(row)) for row in compare(judged.episodes, definition, seed, resamples)],
        "problems": judged.problems, "refused": judged.refused,
    }  # fmt: skip


def _sources(episodes: Sequence[JudgedEpisode]) -> list[dict[str, Any]]:
    rows = []
    for source in dict.fromkeys(episode.source for episode in episodes):
        of_source = [episode for episode in episodes if episode.source == source]
        truths = [episode.truth for episode in of_source]
        oracles = {name: sum(t.oracle == name for t in truths) for name in dict.fromkeys(t.oracle for t in truths)}
        rows.append({
            "source": source, "episodes": len(of_source),
            "successful": sum(t.success is True for t in truths), "failed": sum(t.success is False for t in truths),
            "unknown_outcome": sum(t.success is None for t in truths),
            "oracle": oracles, "without_oracle": oracles.get(NO_ORACLE, 0),
            "with_true_progress": sum(len(t.progress) > 0 for t in truths),
        })  # fmt: skip
    return rows


def _model(
    fingerprint: str, episodes: Sequence[JudgedEpisode], definition: str, seed: int, resamples: int
) -> dict[str, Any]:
    found = measures(episodes, definition)
    everywhere = np.ones(len(episodes), bool)

    def figures(inside: np.ndarray) -> dict[str, Any]:
        weights = bootstrap_weights(inside, seed, resamples)
        rows: dict[str, Any] = {"episodes": int(inside.sum())}
        for one in found:
            rows.setdefault(one.head.value, {})[one.name] = _figure(one, inside, weights, definition)
        return rows

    return {
        "fingerprint": fingerprint, **figures(everywhere), "status": _statuses(episodes),
        "by_task": _groups(episodes, lambda e: e.task, figures),
        "by_source": _groups(episodes, lambda e: e.source, figures),
        "tolerance_curve": _tolerance(episodes, everywhere, seed, resamples),
        "roc": {head.value: _roc(episodes, head) for head in _SCORED_HEADS},
        "reliability": {h.value: _reliability(episodes, h) for h in (RewardHead.COMPLETION, RewardHead.CONTRASTIVE)},
    }  # fmt: skip


def _statuses(episodes: Sequence[JudgedEpisode]) -> dict[str, dict[str, int]]:
    """Head -> status -> estimates: why answers are missing."""
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for episode in episodes:
        for head, counts in episode.statuses.items():
            found[head.value].update(counts)
    return {head: dict(counts.most_common()) for head, counts in found.items()}


def _groups(
    episodes: Sequence[JudgedEpisode], key: Callable[[JudgedEpisode], str], figures: Callable[[np.ndarray], Any]
) -> dict[str, Any]:
    names = np.array([key(episode) for episode in episodes], dtype=object)
    return {str(name): figures(names == name) for name in dict.fromkeys(names)}


def _figure(one: Measure, inside: np.ndarray, weights: np.ndarray, definition: str) -> dict[str, Any]:
    row = _estimate(one.estimator, inside, weights)
    if one.share is not None:  # resamples of "none of 5" are all none, and that is not how sure it is
        row["ci95"] = _clean(list(wilson(*(int(np.sum(column[inside])) for column in one.share))))
    if row["value"] is None:
        row["needs"] = f"{one.needs}; {SUPPRESSED}" if definition == "paper" else one.needs
    return row


def _estimate(estimator: Estimator, inside: np.ndarray, weights: np.ndarray) -> dict[str, Any]:
    low, high = interval(estimator(weights)) if inside.sum() >= MIN_EPISODES else (math.nan, math.nan)
    return _clean({"value": value(estimator, inside), "ci95": [low, high]})


def _tolerance(episodes: Sequence[JudgedEpisode], inside: np.ndarray, seed: int, resamples: int) -> dict[str, Any]:
    weights = bootstrap_weights(inside, seed, resamples)
    points = [{"tolerance": t, **_estimate(within(episodes, t), inside, weights)} for t in TOLERANCES]
    known = points[0]["value"] is not None
    return {"points": points if known else [], **({} if known else {"needs": PROGRESS_TRUTH})}


def _roc(episodes: Sequence[JudgedEpisode], head: RewardHead) -> dict[str, Any]:
    """Points of the curve, from the strictest threshold to the loosest."""
    rows = [(last_known(e, head), e.truth.success) for e in episodes if e.truth.success is not None]
    scores = np.array([score for score, _ in rows if not math.isnan(score)])
    labels = np.array([bool(success) for score, success in rows if not math.isnan(score)], bool)
    if not labels.any() or labels.all():
        return {"threshold": [], "false_positive": [], "true_positive": []}
    thresholds = np.unique(scores)[::-1]
    called = scores[None, :] >= thresholds[:, None]
    return {
        "threshold": [None, *_clean(thresholds.tolist())],
        "false_positive": [0.0, *_clean(called[:, ~labels].mean(axis=1).tolist())],
        "true_positive": [0.0, *_clean(called[:, labels].mean(axis=1).tolist())],
    }


def _reliability(episodes: Sequence[JudgedEpisode], head: RewardHead) -> dict[str, Any]:
    pairs = [answers(episode, head) for episode in episodes]
    stated, true = (np.concatenate([np.zeros(0), *column]) for column in zip(*pairs, strict=True))
    found = reliability(stated, true) if len(set(true)) > 1 else reliability(np.zeros(0), np.zeros(0))
    return _clean({"stated": found.stated.tolist(), "true": found.true.tolist(), "count": found.count.tolist()})


def _clean(found: Any) -> Any:
    """Rounded, and null for what is not a number."""
    if isinstance(found, float):
        return round(found, 6) if math.isfinite(found) else None
    if isinstance(found, dict):
        return {name: _clean(one) for name, one in found.items()}
    return [_clean(one) for one in found] if isinstance(found, list | tuple) else found
