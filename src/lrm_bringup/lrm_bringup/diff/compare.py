"""Two runs side by side: what is measured, with intervals of the differences, and what was set otherwise."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from lrm_bringup.diff.runs import ComparedRun, Episode
from lrm_bringup.report.statistics import (
    bootstrap_difference,
    independent_difference,
    mcnemar,
    paired_difference,
    wilson,
)
from lrm_core.rewards import RewardHead, RewardStatus

ALL = "all"
"""The group of all episodes, where the phases of the runs have no name in common."""


@dataclass(frozen=True)
class Side:
    """A figure of one run: value, 95 % interval (NaN: none is stated), and how many it is made of."""

    value: float
    n: int
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True)
class Figure:
    """One figure of both runs.

    Attributes:
        group: phase it is about.
        name: what is measured.
        unit: ``share``, ``s`` or empty.
        a, b: the runs.
        difference: b - a; NaN where one is unknown.
        low, high: its 95 % interval; NaN where there is too little to state one.
        method: how difference and interval were found.
        p: p-value of the paired test; NaN where scenes are not paired.
    """

    group: str
    name: str
    unit: str
    a: Side
    b: Side
    difference: float
    low: float
    high: float
    method: str
    p: float = math.nan

    @property
    def has_interval(self) -> bool:
        """False where there is too little to state one."""
        return not math.isnan(self.low)

    @property
    def differs(self) -> bool:
        """True when the interval leaves out 0."""
        return self.low > 0.0 or self.high < 0.0


@dataclass(frozen=True)
class Comparison:
    """Everything that is said about two runs.

    Attributes:
        names: of the runs.
        figures: what was measured.
        outcomes: (group, outcome, episodes of a, episodes of b); cut episodes are the group ``cut short``.
        facts, parameters: (name, text of a, text of b) of all that differ.
        notes: what has to be known before the figures are believed.
    """

    names: tuple[str, str]
    figures: list[Figure]
    outcomes: list[tuple[str, str, int, int]]
    facts: list[tuple[str, str, str]]
    parameters: list[tuple[str, str, str]]
    notes: list[str]

    @property
    def by_chance(self) -> str:
        """How many intervals leave out 0, and how many would by chance."""
        stated = [figure for figure in self.figures if figure.has_interval]
        found, expected = sum(figure.differs for figure in stated), 0.05 * len(stated)
        return f"{found} of {len(stated)} intervals leave out 0; by chance alone about {expected:.1f} would"


def compare(a: ComparedRun, b: ComparedRun) -> Comparison:
    """Compare two runs, phase by phase where they have phases in common."""
    groups = [phase for phase in a.phases if phase in b.phases]
    figures: list[Figure] = []
    outcomes: list[tuple[str, str, int, int]] = []
    for group in groups or [ALL]:
        sides = tuple([e for e in run.episodes if group in (ALL, e.phase)] for run in (a, b))
        figures += _figures(group, *sides)
        counts = [Counter(episode.outcome for episode in side) for side in sides]
        outcomes += [(group, name, counts[0][name], counts[1][name]) for name in sorted(counts[0] | counts[1])]
    cut = sorted({*a.cut, *b.cut})
    outcomes += [("cut short", name, a.cut.get(name, 0), b.cut.get(name, 0)) for name in cut]
    return Comparison(
        (a.name, b.name), figures, outcomes, _different(a.facts, b.facts), _different(a.parameters, b.parameters),
        _notes(a, b, groups),
    )  # fmt: skip


def _figures(group: str, a: list[Episode], b: list[Episode]) -> list[Figure]:
    found = [
        _rate(group, "true success", a, b, lambda episode: episode.success),
        _rate(group, "confirmed success", a, b, lambda episode: episode.confirmed),
        _rate(group, "false success", a, b, lambda e: e.confirmed if e.success is False else None, paired=False),
    ]
    for head in RewardHead:
        found.append(_bootstrapped(group, f"mean {head.value}", "", a, b, partial(_values, head)))
        found.append(_bootstrapped(group, f"UNKNOWN {head.value}", "share", a, b, partial(_unknown, head)))
    for name, q in (("latency p50", 0.5), ("latency p99", 0.99)):
        found.append(_bootstrapped(group, name, "s", a, b, _latencies, q))
    return [figure for figure in found if figure.a.n or figure.b.n]


def _rate(
    group: str, name: str, a: list[Episode], b: list[Episode], of: Callable[[Episode], bool | None], paired: bool = True
) -> Figure:
    """A share of episodes; None leaves an episode out. Paired by task and scene where both ran the same ones."""
    known = [[(episode, bool(of(episode))) for episode in side if of(episode) is not None] for side in (a, b)]
    side_a, side_b = (_share([value for _, value in side]) for side in known)
    by_scene = [{(e.task, e.seed): value for e, value in side if e.seed >= 0} for side in known]
    scenes = [scene for scene in by_scene[0] if scene in by_scene[1]] if paired else []
    if scenes and all(len(side) == len(scenes) for side in known):
        first, second = ([of_run[scene] for scene in scenes] for of_run in by_scene)
        difference = paired_difference(first, second)
        method = f"same {len(scenes)} scenes, paired (Newcombe); McNemar exact"
        return Figure(group, name, "share", side_a, side_b, *difference, method, mcnemar(first, second))
    counts = [sum(value for _, value in side) for side in known]
    difference = independent_difference((counts[0], counts[1]), (len(known[0]), len(known[1])))
    method = "different scenes (Newcombe)" if paired else "Newcombe"
    return Figure(group, name, "share", side_a, side_b, *difference, method)


def _share(values: Sequence[bool]) -> Side:
    n = len(values)
    return Side(sum(values) / n if n else math.nan, n, *wilson(sum(values), n))


def _bootstrapped(
    group: str,
    name: str,
    unit: str,
    a: list[Episode],
    b: list[Episode],
    values: Callable[[Episode], list[float]],
    q: float | None = None,
) -> Figure:
    """The mean, or a quantile, of the values of all episodes of a run."""
    of_a, of_b = ([values(episode) for episode in side] for side in (a, b))
    side_a, side_b = (_pooled([value for episode in side for value in episode], q) for side in (of_a, of_b))
    difference = bootstrap_difference(of_a, of_b, q)
    return Figure(group, name, unit, side_a, side_b, *difference, "bootstrap over episodes")


def _pooled(values: list[float], q: float | None) -> Side:
    if not values:
        return Side(math.nan, 0)
    return Side(float(np.mean(values) if q is None else np.quantile(values, q, method="inverted_cdf")), len(values))


def _values(head: RewardHead, episode: Episode) -> list[float]:
    return [r.value for r in episode.rewards if r.head == head.value and r.status == RewardStatus.OK.name]


def _unknown(head: RewardHead, episode: Episode) -> list[float]:
    """1 for every reward without a value, except where the first frame has nothing to compare with."""
    statuses = [r.status for r in episode.rewards if r.head == head.value]
    return [float(s != RewardStatus.OK.name) for s in statuses if s != RewardStatus.NO_REFERENCE.name]


def _latencies(episode: Episode) -> list[float]:
    """Publication of the picture to the reward, seconds, of the heads that a model was run for."""
    totals = (r.transport_latency_s + r.model_latency_s for r in episode.rewards if r.head != RewardHead.FUSED.value)
    return [total for total in totals if math.isfinite(total)]


def _different(a: Any, b: Any) -> list[tuple[str, str, str]]:
    rows = [(name, _text(a.get(name)), _text(b.get(name))) for name in sorted({*a, *b})]
    return [row for row in rows if row[1] != row[2]]


def _text(value: Any) -> str:
    return "–" if value is None else value if isinstance(value, str) else repr(value)


def _notes(a: ComparedRun, b: ComparedRun, groups: Iterable[str]) -> list[str]:
    notes = []
    tasks = [sorted({episode.task for episode in run.episodes}) for run in (a, b)]
    if tasks[0] != tasks[1]:
        notes.append(f"the tasks differ: {', '.join(tasks[0])} against {', '.join(tasks[1])}")
    if not groups:
        notes.append(f"no phase in common ({', '.join(a.phases)} against {', '.join(b.phases)}): all episodes together")
    for run in (a, b):
        if not run.parameters:
            notes.append(f"{run.name}: no bag holds its parameters")
        notes += [f"{run.name}: {problem}" for problem in run.problems]
    return notes
