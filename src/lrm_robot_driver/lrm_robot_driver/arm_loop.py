"""A device's own rhythm: its joints are read at a steady rate, and commands for an arm are sent when they come."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

import numpy as np

OnState = Callable[[np.ndarray, int], None]
"""Takes measured positions (J,) and the stamp of their reading, ns."""


class Joints(Protocol):
    """Something with joints, in the project's units; any of its methods may raise."""

    def open(self) -> None:
        """Connect."""

    def read(self) -> np.ndarray:
        """(J,) measured positions."""

    def close(self) -> None:
        """Disconnect; works on a broken device."""


class Arm(Joints, Protocol):
    """An arm that takes positions."""

    def send(self, positions: np.ndarray) -> None:
        """Command positions (J,)."""


class ReadingLoop:
    """Joints that are read alone, as a device of :class:`lrm_robot_driver.device.DeviceThread`.

    Args:
        joints: used by one thread at a time.
        period_s: between two readings.
        now_ns: the clock of the stamps.
        on_state: called with every reading.

    Attributes:
        newest: measured positions (J,) and their stamp; None while the device is closed. Read by other threads.
    """

    def __init__(
        self, joints: Joints, period_s: float, now_ns: Callable[[], int], on_state: OnState = lambda *_: None
    ) -> None:
        self._joints, self._period_s, self._now_ns, self._on_state = joints, period_s, now_ns, on_state
        self._next_s = 0.0
        self.newest: tuple[np.ndarray, int] | None = None

    def open(self) -> None:
        """Connect, and read once."""
        self._joints.open()
        self._read()

    def step(self) -> None:
        """Wait until it is time, and read the joints."""
        time.sleep(max(0.0, self._next_s - time.monotonic()))
        self._read_when_due()

    def close(self) -> None:
        """Disconnect."""
        self.newest = None
        self._joints.close()

    def _read_when_due(self) -> None:
        now_s = time.monotonic()
        if now_s >= self._next_s:
            self._next_s = max(self._next_s + self._period_s, now_s)
            self._on_state(*self._read())

    def _read(self) -> tuple[np.ndarray, int]:
        stamp_ns = self._now_ns()  # before the bus is asked: what it answers is not older
        self.newest = self._joints.read(), stamp_ns
        return self.newest


class ArmLoop(ReadingLoop):
    """An arm that takes commands as well.

    Its servos hold what they were sent last, so silence needs no more. An arm that was just opened is told to hold
    where it stands: its servos may remember another goal. Without torque it is read alone.

    Args:
        torque: whether the arm may be commanded; the others are those of :class:`ReadingLoop`.
    """

    def __init__(
        self, arm: Arm, period_s: float, now_ns: Callable[[], int], on_state: OnState, torque: bool = True
    ) -> None:
        super().__init__(arm, period_s, now_ns, on_state)
        self._arm, self._torque = arm, torque
        self._condition = threading.Condition()
        self._goal: np.ndarray | None = None

    def command(self, positions: np.ndarray) -> None:
        """Send ``positions`` (J,) as soon as the bus is free; a newer command takes the place of one that waits."""
        with self._condition:
            self._goal = positions
            self._condition.notify()

    def open(self) -> None:
        """Connect, and hold."""
        self._goal = None
        super().open()
        if self._torque and self.newest is not None:
            self._arm.send(self.newest[0])

    def step(self) -> None:
        """Send the command that came, or read the joints when it is time."""
        with self._condition:
            self._condition.wait_for(lambda: self._goal is not None, max(0.0, self._next_s - time.monotonic()))
            goal, self._goal = self._goal, None
        if goal is not None:
            self._arm.send(goal)
        self._read_when_due()
