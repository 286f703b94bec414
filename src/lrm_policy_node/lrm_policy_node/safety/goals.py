"""Which of a stream of gripper targets become goals of an action: each goal starts the gripper's motion anew."""

from __future__ import annotations

_STEP_M = 0.002


class GoalThinning:
    """Passes a target that has moved on, or that is an end of the range: there the last fraction makes the grip.

    Args:
        low_m: closed.
        high_m: open.
    """

    def __init__(self, low_m: float, high_m: float) -> None:
        self._ends = (low_m, high_m)
        self._sent_m: float | None = None

    def wanted(self, opening_m: float) -> bool:
        """Whether to send a goal for ``opening_m``; it counts as sent then."""
        moved = self._sent_m is None or abs(opening_m - self._sent_m) >= _STEP_M
        if moved or (opening_m in self._ends and opening_m != self._sent_m):
            self._sent_m = opening_m
            return True
        return False
