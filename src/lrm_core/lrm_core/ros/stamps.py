"""Header stamps as integer nanoseconds, and clocks that jump back."""

from __future__ import annotations

from builtin_interfaces.msg import Time

_NS_PER_S = 1_000_000_000


def to_ns(stamp: Time) -> int:
    """Nanoseconds of a ``builtin_interfaces/Time``; exact."""
    return int(stamp.sec) * _NS_PER_S + int(stamp.nanosec)


def from_ns(stamp_ns: int) -> Time:
    """``builtin_interfaces/Time`` of nanoseconds; exact. Negative times have no message."""
    if stamp_ns < 0:
        raise ValueError(f"a stamp of {stamp_ns} ns is before the epoch")
    return Time(sec=stamp_ns // _NS_PER_S, nanosec=stamp_ns % _NS_PER_S)


def seconds(stamp_ns: int) -> str:
    """A stamp for people, in seconds."""
    return f"{stamp_ns / _NS_PER_S:.3f} s"


class ClockJump:
    """Detects clocks that jump back, from the header stamps of one ordered stream.

    Best effort transport may swap two neighbours; a jump is a step back of more than ``tolerance_ns``.
    """

    def __init__(self, tolerance_ns: int = 0) -> None:
        self.tolerance_ns = tolerance_ns
        self.newest_ns: int | None = None

    def jumped_back(self, stamp_ns: int) -> bool:
        """Take the next stamp, nanoseconds. True when time went back; the new time then holds."""
        back = self.newest_ns is not None and stamp_ns < self.newest_ns - self.tolerance_ns
        if back or self.newest_ns is None or stamp_ns > self.newest_ns:
            self.newest_ns = stamp_ns
        return back
