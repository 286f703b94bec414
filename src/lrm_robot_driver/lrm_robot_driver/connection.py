"""Whether a device answers, and when to open it again: a bounded number of attempts, then it is given up."""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """Of one device."""

    CONNECTED = "connected"
    RECONNECTING = "reconnecting"
    LOST = "given up"


class Connection:
    """Counts errors. Times are of a steady clock, seconds.

    Args:
        failures: so many in a row, and the device is lost.
        attempts: to open it again.
        period_s: between two attempts.

    Attributes:
        state: of the device.
        reason: the newest error; empty while all is well.
        errors, losses: since the start.
    """

    def __init__(self, failures: int, attempts: int, period_s: float) -> None:
        self._failures, self._attempts, self._period_s = failures, attempts, period_s
        self.state, self.reason = State.CONNECTED, ""
        self.errors = self.losses = 0
        self._in_a_row = self._tried = 0
        self._due_s = 0.0

    def succeeded(self) -> None:
        """The device answered."""
        self._in_a_row, self.reason = 0, ""

    def failed(self, reason: str, now_s: float) -> bool:
        """The device did not answer; True when it is lost by that and has to be closed."""
        self.errors += 1
        self._in_a_row += 1
        self.reason = reason
        if self._in_a_row < self._failures:
            return False
        self.losses += 1
        self._tried, self._due_s = 0, now_s + self._period_s
        self.state = State.RECONNECTING if self._attempts else State.LOST
        return True

    def due(self, now_s: float) -> bool:
        """Whether to try to open the device now."""
        return self.state is State.RECONNECTING and now_s >= self._due_s

    def opened(self) -> None:
        """It works again."""
        self.state, self.reason = State.CONNECTED, ""
        self._in_a_row = 0

    def stayed_closed(self, reason: str, now_s: float) -> None:
        """An attempt failed."""
        self.reason = reason
        self._tried += 1
        self._due_s = now_s + self._period_s
        if self._tried >= self._attempts:
            self.state = State.LOST

    def retry(self) -> None:
        """Try again what was given up."""
        if self.state is State.LOST and self._attempts:
            self.state, self._tried, self._due_s = State.RECONNECTING, 0, 0.0

    @property
    def text(self) -> str:
        """For people."""
        if self.state is State.CONNECTED:
            return self.reason or "connected"
        if self.state is State.LOST:
            return f"given up after {self._tried} attempts ({self.reason}): mend it, then start this node again"
        return f"reconnecting, attempt {self._tried + 1} of {self._attempts}: {self.reason}"
