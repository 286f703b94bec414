"""What makes the safety stage stop by itself, as pure logic: a strange clock, the emergency stop."""

from __future__ import annotations

import os
from pathlib import Path

from lrm_core.errors import BadInput
from lrm_core.safety.causes import Cause
from lrm_core.safety.heartbeat import NO_FAULT, Fault, Heartbeat


class ClockWatch:
    """Compares the clock of the stamps with steady time.

    Args:
        jump_s: largest change of their difference between two looks that is still believed.
        simulated: the clock is simulated: its speed is its own, but it goes forward and does not stand still.
        still_s: simulated time may stand still this long.
    """

    def __init__(self, jump_s: float, simulated: bool, still_s: float) -> None:
        self._jump_s, self._simulated, self._still_s = jump_s, simulated, still_s
        self._last: tuple[float, float] | None = None
        self._moved_s = 0.0

    def fault(self, clock_s: float, steady_s: float) -> Fault:
        """Look at both clocks."""
        last, self._last = self._last, (clock_s, steady_s)
        if last is None or clock_s != last[0]:
            self._moved_s = steady_s
        if last is None:
            return NO_FAULT
        step_s = clock_s - last[0]
        strange_s = min(step_s, 0.0) if self._simulated else step_s - (steady_s - last[1])
        if abs(strange_s) > (0.0 if self._simulated else self._jump_s):
            return Cause.CLOCK, f"the clock jumped by {strange_s:+.3f} s"
        if self._simulated and steady_s - self._moved_s > self._still_s:
            return Cause.CLOCK, f"the clock stands still for {self._still_s:g} s"
        return NO_FAULT


class EmergencyStop:
    """Latches; only :meth:`clear` opens it. With ``file`` it stays latched when the process is killed.

    Args:
        timeout_s: longest silence of the heartbeat, 0: none is expected.
        file: exists while latched; None: nothing is kept.
        now_s: steady time; the silence counts from here.
        before: the one of the same robot that this one takes over from, latch and button.

    Raises:
        BadInput: the file cannot be written.
    """

    def __init__(self, timeout_s: float, file: Path | None, now_s: float, before: EmergencyStop | None = None) -> None:
        if file and (file.is_dir() or not os.access(file.parent, os.W_OK | os.X_OK)):
            raise BadInput(
                "parameter emergency_stop_file", str(file), "a file in a folder that exists and can be written"
            )
        self._heartbeat = Heartbeat("emergency_stop", Cause.EMERGENCY_STOP, timeout_s, now_s)
        self._file = file
        self._pressed: bool = before._pressed if before else False
        self.reason = self._lost = ""
        if before and before.reason:
            self.latch(before.reason)
        elif file and file.exists():
            self.reason = f"latched before this process started ({file})"

    def hear(self, pressed: bool, now_s: float) -> None:
        """A message on ``emergency_stop``."""
        self._heartbeat.heard_s, self._pressed = now_s, pressed
        if pressed:
            self.latch("pressed")

    def latch(self, reason: str) -> None:
        """Stop until a person clears it."""
        if not self.reason:
            self.reason = reason
            self._keep()

    def clear(self, now_s: float) -> str:
        """Open the latch; returns why not, or an empty text."""
        if self._pressed:
            return "emergency_stop still says true: release it first"
        if lost := self._silence(now_s):
            return f"{lost}: bring it back first"
        try:
            if self._file:
                self._file.unlink(missing_ok=True)
        except OSError as error:
            return f"a restart would latch it again ({error}): remove the file first"
        self.reason = self._lost = ""
        return ""

    def fault(self, now_s: float) -> Fault:
        """The fault while it is latched; latches when the heartbeat is lost."""
        if lost := self._silence(now_s):
            self.latch(lost)
        if not self.reason:
            return NO_FAULT
        how = "a person clears it (clear_emergency_stop)"
        return Cause.EMERGENCY_STOP, f"emergency stop: {self.reason}{self._lost}; {how}"

    def _keep(self) -> None:
        """A stop that cannot be kept is a stop all the same, and says so."""
        try:
            if self._file:
                self._file.write_text(self.reason + "\n", encoding="utf-8")
        except OSError as error:
            self._lost = f", and a restart would forget it ({error})"

    def _silence(self, now_s: float) -> str:
        return self._heartbeat.fault(now_s)[1] if self._heartbeat.timeout_s > 0.0 else ""
