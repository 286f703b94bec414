"""``summary.json``: the numbers of a run, as one pure function of its journal and its files.

``docs/reference/summary.md`` explains every field, ``schema.json`` holds the types. No truth known means null, never 0.
"""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from lrm_bringup.report.journal import AFTER, BEFORE, PHASES, REFINE, EpisodeEnded, RewardSeen, Run, null_for_nan
from lrm_bringup.report.quality import reward_quality
from lrm_bringup.report.statistics import paired_difference, quantile, wilson
from lrm_core.rewards import RewardHead, RewardStatus

SUMMARY = "summary.json"
SCHEMA_VERSION = 1


def summarise(run: Run) -> dict[str, Any]:
    """The summary of a run, ready for JSON: NaN is null already."""
    started, learner = run.started, run.learner[-1] if run.learner else None
    summary = {
        "schema_version": SCHEMA_VERSION,
        "run_id": started.run_id,
        "seed": started.seed,
        "task": started.task,
        "reward_source": started.reward_source,
        "speed": started.speed,
        "started_at": started.started_at,
        "finished": run.ended.finished,
        "reason": run.ended.reason,
        "wall_s": run.ended.wall_s,
        "episodes": len(complete(run.phase(REFINE))),
        "success": _success(run),
        "reward": _reward(run),
        "learner": {
            "weights_version": learner.weights_version if learner else 0,
            "updates": learner.updates if learner else 0,
            "transitions": learner.transitions if learner else 0,
            "dropped_unknown": learner.dropped_unknown if learner else 0,
            "demo_transitions": learner.demo_transitions if learner else 0,
        },
        "safety": _safety(run),
        "restarts": dict(sorted(Counter(p.name for p in run.processes if p.event == "restarted").items())),
        "bags": files(run.folder, "bags", ".mcap"),
        "checkpoints": files(run.folder, "checkpoints"),
        "fingerprints": started.fingerprints,
        "versions": started.versions,
        "command": started.command,
    }
    cleaned: dict[str, Any] = null_for_nan(summary)
    return cleaned


def write_summary(run: Run) -> dict[str, Any]:
    """Write ``summary.json`` into the run folder; returns its content."""
    summary = summarise(run)
    (run.folder / SUMMARY).write_text(json.dumps(summary, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return summary


def complete(episodes: Iterable[EpisodeEnded]) -> list[EpisodeEnded]:
    """Episodes that ran to an end of their own."""
    return [episode for episode in episodes if episode.complete]


def judged(episodes: Iterable[EpisodeEnded]) -> list[EpisodeEnded]:
    """Complete episodes whose truth is known."""
    return [episode for episode in complete(episodes) if episode.success is not None]


def files(folder: Path, below: str, suffix: str = "") -> list[str]:
    """Paths of the files under ``folder/below``, relative to ``folder``, sorted; what is hidden is not finished."""
    found = (path.relative_to(folder) for path in (folder / below).rglob(f"*{suffix}") if path.is_file())
    return sorted(path.as_posix() for path in found if not any(part.startswith(".") for part in path.parts))


def pairs(run: Run) -> tuple[list[bool], list[bool]]:
    """Truth before and after, over the seeds that both evaluations judged."""
    before = {e.seed: bool(e.success) for e in judged(run.phase(BEFORE))}
    after = {e.seed: bool(e.success) for e in judged(run.phase(AFTER))}
    seeds = [seed for seed in before if seed in after]
    return [before[s] for s in seeds], [after[s] for s in seeds]


def _success(run: Run) -> dict[str, Any]:
    before, after = pairs(run)
    value, low, high = paired_difference(before, after)
    difference = {"value": value, "ci95": [low, high], "pairs": len(before)}
    threshold = run.started.success_threshold
    return {name: _rate(run.phase(name), threshold) for name in PHASES} | {"difference": difference}


def _rate(episodes: Sequence[EpisodeEnded], threshold: float) -> dict[str, Any]:
    known = judged(episodes)
    successes = sum(bool(e.success) for e in known)
    predictions = [e.predicted >= threshold for e in complete(episodes) if not math.isnan(e.predicted)]
    return {
        "rate": successes / len(known) if known else math.nan,
        "n": len(known),
        "successes": successes,
        "ci95": list(wilson(successes, len(known))),
        "predicted_rate": sum(predictions) / len(predictions) if predictions else math.nan,
    }


def _reward(run: Run) -> dict[str, Any]:
    rewards = [reward for of_episode in run.rewards.values() for reward in of_episode]
    unknown = unknown_counts(rewards)
    return {
        "scored": sum(reward.status == RewardStatus.OK.name for reward in rewards),
        "unknown": sum(sum(heads.values()) for heads in unknown.values()),
        "unknown_by_status": unknown,
        "latency_s": _latency(rewards),
        **reward_quality(run),
    }


def unknown_counts(rewards: Iterable[RewardSeen]) -> dict[str, dict[str, int]]:
    """Rewards without a value: status name -> head -> count; only what occurred."""
    counts: dict[str, Counter[str]] = {}
    for reward in rewards:
        if reward.status != RewardStatus.OK.name:
            counts.setdefault(reward.status, Counter())[reward.head] += 1
    return {status: dict(sorted(heads.items())) for status, heads in sorted(counts.items())}


def model_rewards(rewards: Iterable[RewardSeen]) -> list[RewardSeen]:
    """Rewards that a model was run for, one per frame and head: the fused value costs no time of its own."""
    return [r for r in rewards if r.head != RewardHead.FUSED.value and math.isfinite(r.model_latency_s)]


def _latency(rewards: Iterable[RewardSeen]) -> dict[str, Any]:
    run_rewards = model_rewards(rewards)
    transport = [reward.transport_latency_s for reward in run_rewards]
    model = [reward.model_latency_s for reward in run_rewards]
    total = [t + m for t, m in zip(transport, model, strict=True)]

    def both(values: Sequence[float]) -> dict[str, float]:
        return {"p50": quantile(values, 0.5), "p99": quantile(values, 0.99)}

    return both(total) | {"transport": both(transport), "model": both(model)}


def _safety(run: Run) -> dict[str, int]:
    """Counts over the whole run; a restart of the safety stage starts its counters again, so the pieces are summed."""
    totals = dict.fromkeys(("passed", "limited", "rejected"), 0)
    for name in totals:
        previous = 0
        for seen in run.safety:
            count = getattr(seen, name)
            totals[name] += count - previous if count >= previous else count
            previous = count
    states = [seen.state for seen in run.safety]
    holds = sum(later == "HOLDING" != earlier for earlier, later in itertools.pairwise(states))
    return totals | {"holds": holds}
