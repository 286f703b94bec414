"""Why the safety stage stepped in: one name per cause, for counting, and one line for people."""

from __future__ import annotations

from enum import IntEnum


class Cause(IntEnum):
    """Causes, the more serious the higher."""

    NONE = 0
    LIMIT = 1
    """A limit changed the command."""
    TOO_SOON = 2
    """The command came sooner after the last than the stage sends: it waits."""
    REORDERED = 3
    """The command was computed from an older observation than one before it: dropped."""
    WORKSPACE = 4
    """The tool would leave its box, or go farther from it."""
    TRACKING = 5
    """The arm is not where it was commanded to: blocked, pushed or without power."""
    STALE_COMMAND = 6
    MALFORMED = 7
    """Wrong joints, wrong size or wrong number of points: dropped whole."""
    NOT_FINITE = 8
    """NaN or an infinity in the command: dropped whole."""
    SILENCE = 9
    """No command: the policy is gone or slow."""
    STALE_OBSERVATION = 10
    """A camera stopped."""
    STALE_REWARD = 11
    CLOCK = 12
    """The clock jumped, or stands still."""
    STALE_JOINT_STATE = 13
    BAD_JOINT_STATE = 14
    """Not finite, a joint is missing, or the arm stands outside of its limits."""
    NO_JOINT_STATE = 15
    INACTIVE = 16
    EMERGENCY_STOP = 17

    @property
    def label(self) -> str:
        """Name in counters."""
        return self.name.lower()
