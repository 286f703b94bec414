"""The chart of the heads over an episode, and the colours that every page gives them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from lrm_bringup.pages.chart import Chart, ticks
from lrm_core.rewards import RewardHead, RewardStatus

TRUTH, PREDICTED, FUSED = "--truth", "--predicted", "--text"
PROGRESS, COMPLETION, CONTRASTIVE, UNKNOWN = "--progress", "--completion", "--contrastive", "--bad"
HEAD_KEYS = (
    (PROGRESS, "progress"),
    (COMPLETION, "completion"),
    (CONTRASTIVE, "contrastive"),
    (UNKNOWN, "✕ UNKNOWN"),
)
"""Keys of :func:`heads_chart` for :func:`lrm_bringup.pages.markup.legend`."""
_NS = 1e9


class Scored(Protocol):
    """One estimate of one head: live, of a replay or of a journal; see :class:`lrm_core.rewards.RewardEstimate`.

    Attributes:
        head: contrastive, progress, completion or fused.
        value: NaN unless the status is OK.
        status: name of :class:`lrm_core.rewards.RewardStatus`.
        stamp_ns: stamp of the frame.
        confidence: of the answer, [0, 1]; NaN: unknown.
    """

    @property
    def head(self) -> str: ...  # noqa: D102
    @property
    def value(self) -> float: ...  # noqa: D102
    @property
    def status(self) -> str: ...  # noqa: D102
    @property
    def stamp_ns(self) -> int: ...  # noqa: D102
    @property
    def confidence(self) -> float: ...  # noqa: D102


def heads_chart(
    rewards: Sequence[Scored], start_ns: int, end_ns: int, label: str, truth: Sequence[tuple[int, float]] = ()
) -> str:
    """The three heads over time, in order of stamp: UNKNOWN as crosses, contrastive as bars; truth as a thin line.

    The fused reward is drawn where it is the only one.
    """
    end_s = max(0.1, (end_ns - start_ns) / _NS)
    chart = Chart((-0.02 * end_s, 1.02 * end_s), (-0.78, 1.05), 520, 190, label, (34, 6, 8, 32))
    chart.axes(ticks(0, end_s, 8), [0, 0.5, 1], "seconds since the reset")
    chart.text(0, -0.17, "closer than the frame before (contrastive)?")

    def of(head: RewardHead) -> list[tuple[float, Scored]]:
        return [((reward.stamp_ns - start_ns) / _NS, reward) for reward in rewards if reward.head == head.value]

    chart.line([((stamp_ns - start_ns) / _NS, value) for stamp_ns, value in truth], TRUTH, width=1.1)
    lines = [(RewardHead.PROGRESS, PROGRESS), (RewardHead.COMPLETION, COMPLETION)]
    if {reward.head for reward in rewards} == {RewardHead.FUSED.value}:
        lines = [(RewardHead.FUSED, FUSED)]
    for head, colour in lines:
        chart.line([(x, reward.value) for x, reward in of(head)], colour)
        for x, reward in of(head):
            _mark(chart, x, reward, colour)
    half = 0.014 * end_s
    for x, reward in of(RewardHead.CONTRASTIVE):
        if math.isnan(reward.value):
            _mark(chart, x, reward, CONTRASTIVE, -0.48)
        else:
            title = f"contrastive {reward.value:+.2f} at {x:.1f} s"
            chart.bar(x - half, x + half, -0.48, -0.48 + 0.22 * reward.value, CONTRASTIVE, title)
    chart.line([(0, -0.48), (end_s, -0.48)], "--grid", width=1)
    return chart.svg()


def _mark(chart: Chart, x: float, reward: Scored, colour: str, unknown_at: float = -0.05) -> None:
    if reward.status == RewardStatus.OK.name:
        sure = "" if math.isnan(reward.confidence) else f", confidence {reward.confidence:.2f}"
        chart.dot(x, reward.value, colour, False, f"{reward.head} {reward.value:.2f} at {x:.1f} s{sure}", 2.6)
    elif reward.status != RewardStatus.NO_REFERENCE.name:
        chart.cross(x, unknown_at, UNKNOWN, f"{reward.head} at {x:.1f} s: UNKNOWN, {reward.status}")
