"""Ctrl-C, once and twice."""

from __future__ import annotations

import os
import signal
import threading

from lrm_core.errors import LrmError

INTERRUPTED = 130
"""Exit code of a run that a person or the system ended."""


class Interrupted(LrmError):
    """A person or the system asked the run to end."""


class StopRequest:
    """Set by the first Ctrl-C or SIGTERM. The second ends the program at once, and Linux its processes with it."""

    def __init__(self) -> None:
        self._event = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def __bool__(self) -> bool:
        return self._event.is_set()

    def check(self) -> None:
        """Raise :class:`Interrupted` when a stop was asked for."""
        if self._event.is_set():
            raise Interrupted("interrupted")

    def _on_signal(self, _number: int, _frame: object) -> None:
        if self._event.is_set():
            os._exit(INTERRUPTED)
        self._event.set()
