"""Sources that have to be heard, and what their silence means, as pure logic."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from lrm_core.safety.causes import Cause

Fault = tuple[Cause, str]
"""A cause and the line that explains it."""
NO_FAULT: Fault = (Cause.NONE, "")


@dataclass
class Heartbeat:
    """A source that has to be heard. Times are of a steady clock, seconds.

    Attributes:
        name: what people call it.
        cause: counted when it is silent.
        timeout_s: longest allowed silence.
        heard_s: when it was heard last; infinite: it may be silent until it is heard for the first time.
    """

    name: str
    cause: Cause
    timeout_s: float
    heard_s: float

    def fault(self, now_s: float) -> Fault:
        """The fault when it is silent for too long."""
        if now_s - self.heard_s <= self.timeout_s:
            return NO_FAULT
        return self.cause, f"nothing on {self.name} for {self.timeout_s:g} s"


@dataclass
class StampedHeartbeat(Heartbeat):
    """A source whose messages say when what they show was taken: one that shows nothing new is not heard.

    Attributes:
        max_age_s: a stamp older than this on arrival is nothing new.
    """

    max_age_s: float = math.inf
    _stamp_ns: int | None = field(default=None, init=False)
    _why: str = field(default="", init=False)

    def hear(self, stamp_ns: int, clock_ns: int, now_s: float) -> None:
        """A message of ``stamp_ns`` arrived when the clock of the stamps was ``clock_ns``."""
        age_s = (clock_ns - stamp_ns) / 1e9
        repeats, self._stamp_ns = stamp_ns == self._stamp_ns, stamp_ns
        if repeats:
            self._why = "its messages repeat one stamp"
        elif age_s > self.max_age_s:
            self._why = f"its stamps are {age_s:.2f} s old (limit {self.max_age_s:g} s)"
        else:
            self._why = ""
        self.heard_s = min(self.heard_s, now_s) if self._why else now_s

    def fault(self, now_s: float) -> Fault:
        """The fault when nothing new came for too long."""
        cause, reason = super().fault(now_s)
        if cause is Cause.NONE or not self._why:
            return cause, reason
        return cause, f"nothing new on {self.name} for {self.timeout_s:g} s: {self._why}"
