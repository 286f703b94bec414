"""Charts of the evaluation: tolerance curve, ROC, reliability, figures of several models, one episode."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lrm_bringup.pages.chart import Chart, Point
from lrm_bringup.pages.rewards import TRUTH, heads_chart
from lrm_bringup.report.journal import RewardSeen
from lrm_core.rewards import RewardHead
from lrm_reward_node.evaluation.judged import JudgedEpisode

COLOURS = ("--accent", "--contrastive", "--good", "--predicted", "--bad", "--truth", "--muted")
_FIFTHS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
_SIDE = 360
_ROW_PX, _LABELS_PX, _LABEL_LETTERS = 22, 200, 27


def colours(models: Sequence[str]) -> dict[str, str]:
    """A colour for every model; they repeat from the eighth on."""
    return {model: COLOURS[index % len(COLOURS)] for index, model in enumerate(models)}


def tolerance(models: Mapping[str, Any], colour: Mapping[str, str]) -> str:
    """Share of frames within a tolerance of true progress, with 95 % bands."""
    curves = {name: model["tolerance_curve"]["points"] for name, model in models.items()}
    chart = _unit_chart("share of frames within the tolerance", "tolerance Δ")
    for name, points in curves.items():
        bands = [(p["tolerance"], *p["ci95"]) for p in points if p["ci95"][0] is not None]
        chart.band(bands, colour[name])
        chart.line([(p["tolerance"], p["value"]) for p in points], colour[name])
    return chart.svg()


def roc(models: Mapping[str, Any], colour: Mapping[str, str], head: RewardHead) -> str:
    """Success at the end against the last score."""
    curves = {name: model["roc"][head.value] for name, model in models.items()}
    chart = _unit_chart(f"ROC of {head.value}", "false positive rate")
    chart.line([(0, 0), (1, 1)], "--grid", width=1)
    for name, curve in curves.items():
        chart.line(list(zip(curve["false_positive"], curve["true_positive"], strict=True)), colour[name])
    return chart.svg()


def reliability(models: Mapping[str, Any], colour: Mapping[str, str], head: RewardHead) -> str:
    """What was true against the stated probability, one dot per bin."""
    curves = {name: model["reliability"][head.value] for name, model in models.items()}
    chart = _unit_chart(f"reliability of {head.value}", "stated probability")
    chart.line([(0, 0), (1, 1)], "--grid", width=1)
    for name, curve in curves.items():
        for stated, true, count in zip(curve["stated"], curve["true"], curve["count"], strict=True):
            title = f"{name}: stated {stated:.2f}, true {true:.2f}, {count} answers"
            chart.dot(stated, true, colour[name], title=title, radius=min(9.0, 2.0 + 0.35 * math.sqrt(count)))
    return chart.svg()


def groups(rows: Sequence[tuple[str, Mapping[str, Any] | None]], label: str) -> str:
    """One figure of several groups below each other, with its 95 % intervals; empty when none has it."""
    known = [(name, row) for name, row in rows if row is not None and row["value"] is not None]
    if not known:
        return ""
    low = min(0.0, *(end for _, row in known for end in (row["value"], *row["ci95"]) if end is not None))
    chart = Chart((low, 1.0), (0.0, len(known)), 520, _ROW_PX * len(known) + 30, label, (_LABELS_PX, 4, 20, 24))
    chart.axes([tick for tick in (-1.0, -0.5, 0.0, 0.5, 1.0) if tick >= low], [])
    for index, (name, row) in enumerate(known):
        y = len(known) - index - 0.5
        chart.row_label(y, name if len(name) <= _LABEL_LETTERS else f"{name[: _LABEL_LETTERS - 1]}…")
        if row["ci95"][0] is not None:
            chart.line([(row["ci95"][0], y), (row["ci95"][1], y)], "--text", width=1.2)
        chart.dot(row["value"], y, "--accent", title=f"{name}: {row['value']:.3f}")
    return chart.svg()


def episode(one: JudgedEpisode, title: str) -> str:
    """The scores of one episode over its time, with what is true."""
    rewards = [
        _seen(one, head, index, float(value))
        for head, values in one.values.items() for index, value in enumerate(values)
    ]  # fmt: skip
    truth = [(round(t * 1e9), p) for t, p in zip(one.t_s, one.truth.progress_at(one.t_s), strict=True)]
    in_order = sorted(rewards, key=lambda reward: reward.stamp_ns)
    return heads_chart(in_order, 0, round(float(one.t_s[-1]) * 1e9), title, truth)


def curves(of_models: Mapping[str, JudgedEpisode], colour: Mapping[str, str]) -> str:
    """Progress of several models over one episode, with what is true."""
    end_s = max(float(one.t_s[-1]) for one in of_models.values())
    chart = Chart((0.0, max(end_s, 1e-3)), (-0.05, 1.05), 520, 170, "progress of all models", (34, 6, 8, 20))
    chart.axes([0.0, end_s], [0, 0.5, 1], x_format=lambda value: f"{value:.3g} s")
    for name, one in of_models.items():
        truth = one.truth.progress_at(one.t_s)
        chart.line(_points(one.t_s, truth), TRUTH, dashed=True, width=1.1)
        chart.line(_points(one.t_s, one.of(RewardHead.PROGRESS)), colour[name], width=1.8)
    return chart.svg()


def _points(x: np.ndarray, y: np.ndarray) -> list[Point]:
    return [(float(a), float(b)) for a, b in zip(x, y, strict=True)]


def _seen(one: JudgedEpisode, head: RewardHead, index: int, value: float) -> RewardSeen:
    first = index == 0 and head in (RewardHead.CONTRASTIVE, RewardHead.FUSED)
    status = "OK" if not math.isnan(value) else "NO_REFERENCE" if first else "UNKNOWN"
    return RewardSeen(
        one.name,
        head.value,
        value,
        status,
        round(float(one.t_s[index]) * 1e9),
        0,
        math.nan,
        False,
        math.nan,
        math.nan,
        "",
    )


def _unit_chart(label: str, x_title: str, percent: Callable[[float], str] = lambda value: f"{value:g}") -> Chart:
    chart = Chart((-0.02, 1.02), (-0.02, 1.02), _SIDE + 60, _SIDE, label, (40, 8, 12, 36))
    chart.axes(_FIFTHS, _FIFTHS, x_title, percent, percent)
    return chart
