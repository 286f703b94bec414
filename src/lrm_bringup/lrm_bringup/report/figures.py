"""The charts of the report, each an SVG text from a run."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from lrm_bringup.pages.chart import Chart, Point, ticks
from lrm_bringup.pages.numbers import percent
from lrm_bringup.pages.rewards import PREDICTED, TRUTH, UNKNOWN, heads_chart
from lrm_bringup.report.journal import AFTER, BEFORE, REFINE, EpisodeEnded, Run
from lrm_bringup.report.summary import complete, judged, model_rewards

WINDOW = 10


def success_bars(summary: dict[str, Any]) -> str:
    """Success before and after, with 95 % intervals."""
    chart = Chart((0, 1), (0, 2), 520, 120, "success before and after, with 95 % confidence", (64, 6, 20, 24))
    chart.axes([0, 0.25, 0.5, 0.75, 1], [], x_format=percent)
    for row, name, colour in ((1, BEFORE, "--muted"), (0, AFTER, "--accent")):
        rate = summary["success"][name]
        chart.row_label(row + 0.5, name)
        if rate["rate"] is None:
            chart.text(0.02, row + 0.4, "not measured")
            continue
        low, high = rate["ci95"]
        title = f"{name}: {percent(rate['rate'])} of {rate['n']}, 95 % between {percent(low)} and {percent(high)}"
        chart.bar(0, rate["rate"], row + 0.22, row + 0.78, colour, title)
        chart.line([(low, row + 0.5), (high, row + 0.5)], "--text", width=1.6)
        for end in (low, high):
            chart.line([(end, row + 0.36), (end, row + 0.64)], "--text", width=1.6)
    return chart.svg()


def learning_curve(run: Run) -> str:
    """Every refined episode: what the reward model said and what was true, with moving means and weight hand-overs."""
    episodes = complete(run.phase(REFINE))
    chart = Chart((0.5, max(10, len(episodes)) + 0.5), (-0.12, 1.08), 1060, 280, "learning curve")
    chart.axes(ticks(1, max(10, len(episodes)), 8), [0, 0.25, 0.5, 0.75, 1], "refined episode", percent)
    versions = [episode.weights_version for episode in episodes]
    changes = [i for i, version in enumerate(versions) if i and version != versions[i - 1]]
    for n, i in enumerate(changes):
        chart.line([(i + 0.5, -0.12), (i + 0.5, 1.08)], "--grid", width=1)
        if n % (1 + len(changes) // 12) == 0:
            chart.text(i + 0.6, -0.1, f"v{versions[i]}")
    for i, episode in enumerate(episodes, 1):
        _episode_dots(chart, i, episode)
    truth, called = (
        moving_mean([_truth(e) for e in episodes]),
        moving_mean([_called(e, run.started.success_threshold) for e in episodes]),
    )
    chart.band([(i + 1.0, low, high) for i, (_, low, high) in enumerate(truth) if not math.isnan(low)], TRUTH)
    chart.line([(i + 1.0, mean) for i, (mean, _, _) in enumerate(truth)], TRUTH, width=4)
    chart.line([(i + 1.0, mean) for i, (mean, _, _) in enumerate(called)], PREDICTED, width=1.8)
    before, after = (_mean_success(run, phase) for phase in (BEFORE, AFTER))
    chart.level(before, "--muted", BEFORE, below=before <= after)
    chart.level(after, "--muted", AFTER, below=after < before)
    return chart.svg()


def _mean_success(run: Run, phase: str) -> float:
    known = judged(run.phase(phase))
    return sum(bool(e.success) for e in known) / len(known) if known else math.nan


def _episode_dots(chart: Chart, i: int, episode: EpisodeEnded) -> None:
    said = "unknown" if math.isnan(episode.predicted) else f"{episode.predicted:.2f}"
    title = f"episode {i}, seed {episode.seed}: model {said}, truth {episode.outcome or episode.success}"
    if episode.success is not None:
        chart.dot(i, 1.03 if episode.success else -0.03, TRUTH, not episode.success, title)
    if math.isnan(episode.predicted):
        chart.cross(i, 0.5, UNKNOWN, title)
    else:
        chart.dot(i, episode.predicted, PREDICTED, True, title, 2.2)


def _truth(episode: EpisodeEnded) -> float:
    return math.nan if episode.success is None else float(episode.success)


def _called(episode: EpisodeEnded, threshold: float) -> float:
    return math.nan if math.isnan(episode.predicted) else float(episode.predicted >= threshold)


def moving_mean(values: Sequence[float], window: int = WINDOW) -> list[tuple[float, float, float]]:
    """(mean, mean − σ, mean + σ) over the last ``window`` values, σ the standard error; NaN below 3 known ones."""
    rows = []
    for end in range(1, len(values) + 1):
        known = [value for value in values[max(0, end - window) : end] if not math.isnan(value)]
        mean = sum(known) / len(known) if len(known) >= 3 else math.nan
        error = math.sqrt(max(0.0, mean * (1 - mean)) / len(known)) if len(known) >= 3 else math.nan
        rows.append((mean, mean - error, mean + error))
    return rows


def timeline(run: Run, episode: EpisodeEnded) -> str:
    """The three heads over one episode, and true progress as a thin line."""
    truth = list(zip(episode.truth_ns, episode.truth_progress, strict=True))
    rewards = run.rewards.get(episode.episode_id, [])
    return heads_chart(rewards, episode.start_ns, episode.end_ns, f"rewards of episode {episode.episode_id}", truth)


def latency_histogram(run: Run) -> str:
    """Seconds from camera stamp to reward, transport and model apart, on a logarithmic axis."""
    rewards = model_rewards(reward for of_episode in run.rewards.values() for reward in of_episode)
    series = [
        ("transport", "--contrastive", [r.transport_latency_s for r in rewards]),
        ("model", "--accent", [r.model_latency_s for r in rewards]),
    ]
    positive = [max(v, 1e-5) for _, _, values in series for v in values if math.isfinite(v)]
    if not positive:
        return ""
    low, high = math.floor(math.log10(min(positive))), math.ceil(math.log10(max(positive)) + 1e-9)
    edges = np.linspace(low, high, 1 + 12 * (high - low))
    counts = {}
    for name, _, values in series:
        kept = [math.log10(max(v, 1e-5)) for v in values if math.isfinite(v)]
        counts[name] = np.histogram(kept, edges)[0]
    top = max(int(c.max()) for c in counts.values())
    chart = Chart((low, high), (0, top), 520, 190, "latency histogram")
    chart.axes(range(low, high + 1), ticks(0, top, 4), "seconds", x_format=lambda power: f"{10.0**power:g}")
    for name, colour, _ in series:
        for count, left, right in zip(counts[name], edges[:-1], edges[1:], strict=True):
            if count:
                title = f"{name}: {count} rewards between {10**left:.2g} and {10**right:.2g} s"
                chart.bar(left, right, 0, int(count), colour, title, 0.75)
    return chart.svg()


def learner_curve(run: Run) -> str:
    """Loss of the critic over its updates, on a logarithmic axis."""
    points = [(float(s.updates), math.log10(s.critic_loss)) for s in run.learner if s.critic_loss > 0.0]
    if len(points) < 2:
        return ""
    low, high = math.floor(min(y for _, y in points)), math.ceil(max(y for _, y in points))
    last = max(x for x, _ in points)
    chart = Chart((0, last), (low, max(high, low + 1)), 520, 190, "critic loss")
    chart.axes(ticks(0, last, 5), range(low, max(high, low + 1) + 1), "updates", lambda power: f"{10.0**power:g}")
    chart.line(thin(points), "--accent")
    return chart.svg()


def thin(points: Sequence[Point], limit: int = 300) -> list[Point]:
    """At most about ``limit`` of the points, evenly, the last one included."""
    step = max(1, len(points) // limit)
    kept = list(points[::step])
    return kept if kept[-1] == points[-1] else [*kept, points[-1]]


def outcomes(run: Run) -> str:
    """What the physics showed at the end of the episodes, before and after."""
    names = [
        name for name, _ in Counter(e.outcome for p in (BEFORE, AFTER) for e in judged(run.phase(p))).most_common(7)
    ]
    if not names:
        return ""
    chart = Chart((0, 1), (0, len(names)), 520, 28 + 34 * len(names), "outcomes", (128, 4, 40, 24))
    chart.axes([0, 0.25, 0.5, 0.75, 1], [], x_format=percent)
    for row, name in enumerate(reversed(names)):
        chart.row_label(row + 0.5, name.replace("_", " "))
        for phase, offset, colour in ((BEFORE, 0.52, "--muted"), (AFTER, 0.16, "--accent")):
            known = judged(run.phase(phase))
            share = sum(e.outcome == name for e in known) / len(known) if known else 0.0
            chart.bar(0, share, row + offset, row + offset + 0.32, colour, f"{phase}: {name} {percent(share)}")
    return chart.svg()
