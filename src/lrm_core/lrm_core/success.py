"""When a task counts as done: one rule for the running policy and for the figures about a reward model."""

from __future__ import annotations

import math


class SuccessConfirmation:
    """The task is done when the completion score reaches a threshold in several queries in a row.

    A success is a change. An episode whose first known score already counts as done proves nothing (a picture of
    success, a rewound recording, the last episode's object still in place): it is confirmed only after a frame that
    was clearly not done, with a score below half the threshold, was seen.

    Args:
        threshold: completion score from which a frame counts as done, [0, 1].
        confirmations: frames in a row; 0: never.
    """

    def __init__(self, threshold: float, confirmations: int) -> None:
        self._threshold, self._needed = threshold, confirmations
        self.reset()

    def reset(self) -> None:
        """A new episode."""
        self._streak = 0
        self._started = self._was_open = False

    def add(self, completion: float) -> bool:
        """Take the next query's completion score; NaN (UNKNOWN) breaks the row. True when confirmed."""
        if not math.isnan(completion):
            self._was_open |= completion < (self._threshold / 2.0 if self._started else self._threshold)
            self._started = True
        self._streak = self._streak + 1 if self._was_open and completion >= self._threshold else 0
        return 0 < self._needed <= self._streak
