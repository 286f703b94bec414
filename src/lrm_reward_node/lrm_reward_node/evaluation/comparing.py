"""Two models on the same episodes: the difference of each figure, its interval, a paired test, Holm's correction."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from lrm_reward_node.evaluation.estimators import MIN_DEFINED, bootstrap_weights, interval, value
from lrm_reward_node.evaluation.judged import JudgedEpisode
from lrm_reward_node.evaluation.measures import Measure, measures

MIN_EPISODES = 2


@dataclass(frozen=True)
class Comparison:
    """One figure of two models.

    Attributes:
        figure: ``head.name``.
        first, second: the models.
        difference: second less first, over the episodes where both are defined.
        ci95: its interval, paired bootstrap by episode.
        episodes: how many.
        test: name of the paired test.
        p: of the test, two-sided; NaN where it cannot be done.
        p_holm: corrected for all pairs of models compared by this figure.
        better: name of the model that is better beyond chance (p_holm < 0.05); empty: neither.
    """

    figure: str
    first: str
    second: str
    difference: float
    ci95: tuple[float, float]
    episodes: int
    test: str
    p: float
    p_holm: float = math.nan
    better: str = ""


def compare(
    judged: Mapping[str, Sequence[JudgedEpisode]], definition: str, seed: int = 0, resamples: int = 2000
) -> list[Comparison]:
    """All pairs of models, on the episodes that both scored, in every figure that is meant for it."""
    found: list[tuple[int, Comparison]] = []
    for first, second in combinations(judged, 2):
        shared = {e.key for e in judged[first]} & {e.key for e in judged[second]}
        sides = [sorted((e for e in judged[m] if e.key in shared), key=lambda e: e.key) for m in (first, second)]
        a, b = ({m.key: m for m in measures(side, definition)} for side in sides)
        for name in [name for name, one in a.items() if one.compared and name in b]:
            row = _pair(name, (first, a[name]), (second, b[name]), len(shared), seed, resamples)
            found += [(a[name].better, row)] if row is not None else []
    rows: list[Comparison] = []
    for name in dict.fromkeys(row.figure for _, row in found):
        family = [(better, row) for better, row in found if row.figure == name]
        corrected = holm([row.p for _, row in family])
        rows += [_judge(row, p, better) for (better, row), p in zip(family, corrected, strict=True)]
    return rows


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction (1979); NaN stays NaN and does not count."""
    corrected, highest = [math.nan] * len(p_values), 0.0
    known = sorted((p, index) for index, p in enumerate(p_values) if not math.isnan(p))
    for rank, (p, index) in enumerate(known):
        highest = max(highest, min(1.0, p * (len(known) - rank)))
        corrected[index] = highest
    return corrected


def _pair(
    name: str, first: tuple[str, Measure], second: tuple[str, Measure], count: int, seed: int, resamples: int
) -> Comparison | None:
    (label_a, a), (label_b, b) = first, second
    inside = np.ones(count, bool)
    if a.per_episode is not None and b.per_episode is not None:
        inside = np.isfinite(a.per_episode) & np.isfinite(b.per_episode)
    difference = value(b.estimator, inside) - value(a.estimator, inside)
    if math.isnan(difference) or inside.sum() < MIN_EPISODES:
        return None
    weights = bootstrap_weights(inside, seed, resamples)
    drawn = b.estimator(weights) - a.estimator(weights)
    if a.per_episode is None or b.per_episode is None:
        test, p = "paired bootstrap", _bootstrap_p(drawn)
    elif a.yes_or_no:
        test, p = "McNemar, exact", _mcnemar(a.per_episode[inside], b.per_episode[inside])
    else:
        test, p = "Wilcoxon signed-rank", _wilcoxon(b.per_episode[inside] - a.per_episode[inside])
    return Comparison(name, label_a, label_b, difference, interval(drawn), int(inside.sum()), test, p)


def _judge(row: Comparison, p_holm: float, better: int) -> Comparison:
    winner = row.second if row.difference * better > 0 else row.first
    return replace(row, p_holm=p_holm, better=winner if p_holm < 0.05 and row.difference else "")


def _bootstrap_p(drawn: np.ndarray) -> float:
    known = drawn[np.isfinite(drawn)]
    if len(known) < MIN_DEFINED * len(drawn):
        return math.nan
    tail = min(int(np.sum(known <= 0.0)), int(np.sum(known >= 0.0)))
    return min(1.0, 2.0 * (tail + 1) / (len(known) + 1))


def _mcnemar(a: np.ndarray, b: np.ndarray) -> float:
    from scipy.stats import binomtest

    only_a, only_b = int(np.sum((a == 1.0) & (b == 0.0))), int(np.sum((a == 0.0) & (b == 1.0)))
    return float(binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0


def _wilcoxon(differences: np.ndarray) -> float:
    from scipy.stats import wilcoxon

    return float(wilcoxon(differences).pvalue) if np.any(differences != 0.0) else 1.0
