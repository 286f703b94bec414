"""The arm's own rhythm: commands are sent when they come, the joints are read at a steady rate."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

import numpy as np

OnState = Callable[[np.ndarray, int], None]
"""Takes measured positions (J,) and the stamp of their reading, ns."""


class Arm(Protocol):
    """An arm in the project's units; any of its methods may raise."""

    def open(self) -> None:
        """Connect."""

    def read(self) -> np.ndarray:
        """(J,) measured positions."""

    def send(self, positions: np.ndarray) -> None:
        """Command positions (J,)."""

    def close(self) -> None:
        """Disconnect; works on a broken arm."""


class ArmLoop:
    """An arm as a device of :class:`lrm_robot_driver.device.DeviceThread`.

    Its servos hold what they were sent last, so silence needs no more. An arm that was just opened is told to hold
    where it stands: its servos may remember another goal. Without torque it is read alone.

    Args:
        arm: used by one thread at a time.
        period_s: between two readings.
        now_ns: the clock of the stamps.
        on_state: called with every reading.
        torque: whether the arm may be commanded.

    Attributes:
        newest: measured positions (J,) and their stamp; None while the arm is closed. Read by other threads.
    """

    def __init__(
        self, arm: Arm, period_s: float, now_ns: Callable[[], int], on_state: OnState, torque: bool = True
    ) -> None:
        self._arm, self._period_s, self._now_ns, self._on_state = arm, period_s, now_ns, on_state
        self._torque = torque
        self._condition = threading.Condition()
        self._goal: np.ndarray | None = None
        self._next_s = 0.0
        self.newest: tuple[np.ndarray, int] | None = None

    def command(self, positions: np.ndarray) -> None:
        """Send ``positions`` (J,) as soon as the bus is free; a newer command takes the place of one that waits."""
        with self._condition:
            self._goal = positions
            self._condition.notify()

    def open(self) -> None:
        """Connect, and hold."""
        self._goal = None
        self._arm.open()
        here = self._read()
        if self._torque:
            self._arm.send(here)

    def step(self) -> None:
        """Send the command that came, or read the joints when it is time."""
        with self._condition:
            self._condition.wait_for(lambda: self._goal is not None, max(0.0, self._next_s - time.monotonic()))
            goal, self._goal = self._goal, None
        if goal is not None:
            self._arm.send(goal)
        now_s = time.monotonic()
        if now_s >= self._next_s:
            self._next_s = max(self._next_s + self._period_s, now_s)
            self._read()
            assert self.newest is not None
            self._on_state(*self.newest)

    def close(self) -> None:
        """Disconnect."""
        self.newest = None
        self._arm.close()

    def _read(self) -> np.ndarray:
        stamp_ns = self._now_ns()  # before the bus is asked: what it answers is not older
        positions = self._arm.read()
        self.newest = positions, stamp_ns
        return positions
