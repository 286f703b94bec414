"""Which commands reach the arm: whole ones from the one commander, fresh, finite, near where the arm is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from lrm_core.safety import Cause, JointPositions, SafetyLimits
from lrm_core.safety.filter import malformed

_NS_PER_S = 1_000_000_000
_ROUNDING = 1e-6
"""Positions cross a message and the gripper's conversion: that much over a limit is rounding."""


class CommandGate:
    """Takes a command or refuses it whole. The safety stage has limited it already; what fails here has gone astray.

    Args:
        limits: of the robot.
        timeout_s: oldest stamp, and farthest in the future, that is taken.
        window_s: a command may be away from the arm by what the largest speed covers in this time.

    Attributes:
        accepted: how many were taken.
        refused: how many were not, by cause.
        reason: why the newest one was refused; empty when it was taken.
    """

    def __init__(self, limits: SafetyLimits, timeout_s: float, window_s: float) -> None:
        self._limits, self._timeout_s, self._window_s = limits, timeout_s, window_s
        self._newest_ns = -(2**62)
        self.accepted = 0
        self.refused: Counter[Cause] = Counter()
        self.reason = ""

    def takes(self, command: JointPositions, measured: np.ndarray | None, now_ns: int) -> bool:
        """Decide about ``command``, with the arm at ``measured`` (J,), None: unknown."""
        cause, self.reason = self._fault(command, measured, now_ns)
        if cause is not Cause.NONE:
            self.refused[cause] += 1
            return False
        self._newest_ns = command.stamp_ns
        self.accepted += 1
        return True

    def refuse(self, cause: Cause, reason: str) -> None:
        """Count a command that is refused for a reason outside of it."""
        self.refused[cause] += 1
        self.reason = reason

    def _fault(self, command: JointPositions, measured: np.ndarray | None, now_ns: int) -> tuple[Cause, str]:
        if text := malformed(command, self._limits.joint_names):
            return Cause.MALFORMED, text
        goal = np.asarray(command.positions, dtype=np.float64)
        if not np.isfinite(goal).all():
            return Cause.NOT_FINITE, f"command is {goal.tolist()}: not finite"
        if measured is None:
            return Cause.NO_JOINT_STATE, "the arm has not said yet where it is"
        age_s = (now_ns - command.stamp_ns) / _NS_PER_S
        if abs(age_s) > self._timeout_s:
            return Cause.STALE_COMMAND, f"command is {age_s:.2f} s old (limit ±{self._timeout_s:g} s)"
        if command.stamp_ns < self._newest_ns:
            return Cause.REORDERED, "command is older than the one before it"
        return self._far(goal, measured)

    def _far(self, goal: np.ndarray, measured: np.ndarray) -> tuple[Cause, str]:
        names, limits = self._limits.joint_names, self._limits
        beyond = np.abs(goal - limits.clip(goal))
        if beyond.max() > _ROUNDING:
            index = int(beyond.argmax())
            return Cause.LIMIT, f"command for {names[index]} is {goal[index]:.4g}: outside of its limits"
        seconds = limits.behind_s(goal, measured)
        index = int(seconds.argmax())
        if seconds[index] > self._window_s:
            where = f"{goal[index]:.4g}, and it is at {measured[index]:.4g}"
            return Cause.TRACKING, f"command for {names[index]} is {where}: too far for {self._window_s:g} s"
        return Cause.NONE, ""


def strangers(publishers: Sequence[str], commander: str) -> str:
    """Who publishes commands besides ``commander``, in words; empty: nobody does."""
    others = sorted({name for name in publishers if name != commander})
    return f"{', '.join(others)} publishes commands too: only {commander} may" if others else ""
