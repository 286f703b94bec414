"""``hack_test.json``: counts, shares and rewards of every attack, and the episodes that are shown."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lrm_bringup.report.statistics import bootstrap_mean, wilson
from lrm_reward_node.hacks.attack import Attack
from lrm_reward_node.hacks.scoring import HEADS
from lrm_reward_node.hacks.suite import DELIVERIES, Judged

SHOWN_WHEN_PASSED = 1
"""Pictures of an attack that fooled nobody: its closest call."""


@dataclass(frozen=True)
class Findings:
    """One attack and what came of it.

    Attributes:
        attack: the attack.
        asked: episodes that were asked for.
        results: all of them, without pictures.
        worst: those to be shown, with pictures, worst first.
    """

    attack: Attack
    asked: int
    results: Sequence[Judged]
    worst: Sequence[Judged]

    @property
    def false_successes(self) -> int:
        """Episodes in which a success was confirmed that is none."""
        return sum(one.false_success for one in self.results)

    @property
    def passed(self) -> bool | None:
        """Nobody was fooled, in as many episodes as asked for; None: a control, which has no bar."""
        if self.attack.control:
            return None
        return not self.false_successes and len(self.results) >= self.asked


def findings(attack: Attack, results: Sequence[Judged], asked: int, pictures: int) -> Findings:
    """Keep the pictures of the worst false successes alone, or of the closest call where there is none."""
    ranked = sorted(results, key=lambda one: (one.false_success, -math.inf if math.isnan(one.closest) else one.closest))
    fooled = sum(one.false_success for one in results)
    worst = ranked[::-1][: min(fooled, pictures) if fooled else SHOWN_WHEN_PASSED]
    return Findings(attack, asked, [_slim(one) for one in results], worst)


def passed(found: Sequence[Findings]) -> bool:
    """True when every attack passed."""
    return all(one.passed is not False for one in found)


def summary(found: Sequence[Findings], about: Mapping[str, Any]) -> dict[str, Any]:
    """The whole run for JSON; numbers that are not defined are null."""
    rows = [(one, _row(one)) for one in found]
    return {
        **about,
        "fingerprint": next((one.answers.fingerprint for row in found for one in row.results), ""),
        "passed": passed(found),
        "controls": [row for one, row in rows if one.attack.control],
        "attacks": [row for one, row in rows if not one.attack.control],
    }


def _row(found: Findings) -> dict[str, Any]:
    results, count = found.results, len(found.results)
    sought = [one.found for one in results if one.found is not None]
    calls = [one.closest for one in results if not math.isnan(one.closest)]
    status = Counter(name for one in results for name in one.answers.status)
    return {
        "name": found.attack.name,
        "summary": found.attack.summary,
        "base": found.attack.base.name,
        "episodes": count,
        "asked": found.asked,
        "passed": found.passed,
        "false_success": {**_share(found.false_successes, count), "count": found.false_successes},
        "closest_call": _number(max(calls, default=math.nan)),
        "recall": {**_share(sum(sought), len(sought)), "of": len(sought)},
        "completion_status": dict(status.most_common()),
        "unknown_share": _number(1.0 - status["OK"] / status.total() if status else math.nan),
        "reward": {name: _mean([one.rewards[name] for one in results]) for name in DELIVERIES},
        "reward_gained": {
            "against": "the same episode without the attack" if found.attack.paired else "the mean honest failure",
            **{name: _mean([one.gained[name] for one in results]) for name in DELIVERIES},
        },
        "worst": [_shown(one) for one in found.worst],
    }


def _shown(one: Judged) -> dict[str, Any]:
    return {
        "seed": one.seed,
        "kind": one.kind,
        "task": one.attacked.task,
        "detail": one.attacked.detail,
        "false_success": one.false_success,
        "confirmed_at_query": one.confirmed,
        "truth": one.attacked.truth.tolist(),
        "status": list(one.answers.status),
        **{head.value: [_number(float(value)) for value in one.answers.values[head]] for head in HEADS},
    }


def _share(part: int, whole: int) -> dict[str, Any]:
    low, high = wilson(part, whole)
    return {"rate": _number(part / whole if whole else math.nan), "ci95": [_number(low), _number(high)]}


def _mean(values: Sequence[float]) -> dict[str, Any]:
    mean, low, high = bootstrap_mean(values)
    return {"mean": _number(mean), "ci95": [_number(low), _number(high)]}


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)


def _slim(one: Judged) -> Judged:
    return replace(one, attacked=replace(one.attacked, frames=one.attacked.frames[:0]))
