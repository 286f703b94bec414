"""Whose turn it is to propose commands: a leader gives way to everyone else."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

_REMEMBERED = 100
"""Own proposals come back within milliseconds: so many are seconds."""


class Turn:
    """Tells the proposals of others from one's own, by their stamps. One thread uses it.

    Args:
        quiet_s: nobody else may have proposed for so long.
    """

    def __init__(self, quiet_s: float) -> None:
        self._quiet_s = quiet_s
        self._own: deque[int] = deque(maxlen=_REMEMBERED)
        self._other_s = -float("inf")

    def proposes(self, stamp_ns: int) -> None:
        """A proposal with this stamp is about to be published."""
        self._own.append(stamp_ns)

    def heard(self, stamp_ns: int, now_s: float) -> None:
        """A proposal arrived, one's own or another's."""
        if stamp_ns not in self._own:
            self._other_s = now_s

    def other(self, now_s: float) -> bool:
        """Whether somebody else leads the arm."""
        return now_s - self._other_s < self._quiet_s


def others(publishers: Sequence[str], allowed: Sequence[str]) -> str:
    """Who besides ``allowed`` could propose at any time, in words; empty: nobody."""
    return ", ".join(sorted(set(publishers) - set(allowed)))
