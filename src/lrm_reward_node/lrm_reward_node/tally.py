"""Counts and latencies of the rewards published, for the status and for diagnostics."""

from __future__ import annotations

import math
from collections import Counter, deque

import numpy as np

from lrm_core.rewards import RewardStatus


class Tally:
    """What was published since activation.

    Args:
        window: latencies are taken over this many newest rewards.

    Attributes:
        by_status: rewards published, by status.
    """

    def __init__(self, window: int = 200) -> None:
        self.by_status: Counter[RewardStatus] = Counter()
        self._transport_s: deque[float] = deque(maxlen=window)
        self._model_s: deque[float] = deque(maxlen=window)

    @property
    def scored(self) -> int:
        """Rewards with a value."""
        return self.by_status[RewardStatus.OK]

    @property
    def unknown(self) -> int:
        """Rewards without a value."""
        return sum(self.by_status.values()) - self.scored

    @property
    def unknown_share(self) -> float:
        """Share of the rewards that have no value, in [0, 1]; 0 before the first."""
        return self.unknown / max(1, sum(self.by_status.values()))

    def add(self, status: RewardStatus, transport_s: float, model_s: float) -> None:
        """Count one published reward; NaN latencies are left out."""
        self.by_status[status] += 1
        for window, latency_s in ((self._transport_s, transport_s), (self._model_s, model_s)):
            if math.isfinite(latency_s):
                window.append(latency_s)

    def transport_s(self, percent: float) -> float:
        """Percentile of the time from publication of the image to its arrival, seconds; NaN before the first."""
        return _percentile(self._transport_s, percent)

    def model_s(self, percent: float) -> float:
        """Percentile of the time from arrival to publication of the reward, seconds; NaN before the first."""
        return _percentile(self._model_s, percent)


def _percentile(window: deque[float], percent: float) -> float:
    return float(np.percentile(list(window), percent)) if window else math.nan
