"""Who may be asked: a circuit breaker per server, and a budget of retries for all."""

from __future__ import annotations

import time
from collections.abc import Callable

FAILURES_TO_OPEN = 3
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 15.0


class Breaker:
    """Keeps queries away from a server that fails, and says when it may be tried again.

    Closed: in use. After ``FAILURES_TO_OPEN`` failures in a row it opens: nothing is asked for a pause, which doubles
    up to ``LONGEST_PAUSE_S``. Then one probe at a time is due (half-open), and only a passed probe closes it.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures = 0
        self._pause_s = FIRST_PAUSE_S
        self._open_until_s: float | None = None
        self._probing = False

    @property
    def closed(self) -> bool:
        """True when queries may go to the server."""
        return self._open_until_s is None

    def passed(self) -> None:
        """A query was answered. It does not close an open breaker: only a probe does."""
        self._failures = 0

    def failed(self) -> None:
        """A query was not answered."""
        self._failures += 1
        if self.closed and self._failures >= FAILURES_TO_OPEN:
            self.open()

    def open(self) -> None:
        """Keep queries away until a probe has passed."""
        self._open_until_s = self._clock() + self._pause_s

    def take_probe(self) -> bool:
        """True, once per pause, when an open server is to be probed; the caller tells :meth:`probed` how it ended."""
        if self._open_until_s is None or self._probing or self._clock() < self._open_until_s:
            return False
        self._probing = True
        return True

    def probed(self, passed: bool) -> None:
        """End of a probe."""
        self._probing = False
        if passed:
            self._failures, self._pause_s, self._open_until_s = 0, FIRST_PAUSE_S, None
        else:
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
            self.open()


class RetryBudget:
    """Retries only while most queries succeed, so that retries never multiply the load of servers that are down.

    A failure costs 1, a success gives ``ratio`` back, and a retry needs more than half of the budget: the retry
    throttling of gRPC (gRFC A6).
    """

    def __init__(self, size: float = 12.0, ratio: float = 0.2) -> None:
        self._size, self._ratio, self._left = size, ratio, size

    def passed(self) -> None:
        """A query was answered."""
        self._left = min(self._size, self._left + self._ratio)

    def failed(self) -> bool:
        """A query was not answered; True when it may be tried once more."""
        self._left = max(0.0, self._left - 1.0)
        return self._left > self._size / 2
