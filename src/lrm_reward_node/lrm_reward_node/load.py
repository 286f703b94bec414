"""How many queries are asked and how many are answered in time, over the last seconds."""

from __future__ import annotations

from collections import deque

_WINDOW_S = 10.0
_MAX_QUERIES = 10_000


class Load:
    """Rates over the last ten seconds of a monotonic clock, from one call per decided query."""

    def __init__(self) -> None:
        self._queries: deque[tuple[float, bool]] = deque(maxlen=_MAX_QUERIES)
        self._since_s = float("nan")

    def add(self, now_s: float, answered: bool) -> None:
        """A query was answered, or was LATE: it gave way to a newer one or became too old."""
        if not self._queries:
            self._since_s = now_s
        self._queries.append((now_s, answered))

    def rates_hz(self, now_s: float) -> tuple[float, float]:
        """Queries per second asked and answered; the window begins no earlier than the first query in it did."""
        while self._queries and self._queries[0][0] < now_s - _WINDOW_S:
            self._queries.popleft()
        if not self._queries:
            return 0.0, 0.0
        span_s = min(max(now_s - self._since_s, 1.0), _WINDOW_S)
        return len(self._queries) / span_s, sum(answered for _, answered in self._queries) / span_s

    def complaint(self, now_s: float) -> str:
        """What an overload has come to; empty while every query is answered."""
        asked_hz, answered_hz = self.rates_hz(now_s)
        if asked_hz == answered_hz:
            return ""
        return f"overload: {asked_hz:.2f} queries per second asked, {answered_hz:.2f} answered; the newest frame wins"
