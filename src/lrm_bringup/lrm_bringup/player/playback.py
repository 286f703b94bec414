"""Recorded messages at the pace at which they were recorded. Knows nothing of ROS."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from lrm_bringup.bags.types import RecordedMessage

TICK_S = 0.02
"""A wait is cut into pieces of this length, so that the time of the recording flows between two messages."""


class Playback:
    """Hands out messages when they are due, on the thread that calls :meth:`run`.

    Args:
        messages: in the order of their log time; one that is older than the one before is handed out at once.
        rate: speed; 2: twice as fast.
        send: takes a message that is due.
        tick: takes the time of the recording, nanoseconds, before each message and during waits.

    Attributes:
        sent: messages handed out.
        position_s: time of the recording since its first message, seconds.
        behind_s: how late the newest message was, seconds of this machine's clock.
        done: True once all of it was played.
    """

    def __init__(
        self,
        messages: Iterable[RecordedMessage],
        rate: float,
        send: Callable[[RecordedMessage], None],
        tick: Callable[[int], None] = lambda now_ns: None,
    ) -> None:
        self._messages, self._rate, self._send, self._tick = messages, rate, send, tick
        self.sent, self.position_s, self.behind_s, self.done = 0, 0.0, 0.0, False

    def run(self, stop: threading.Event) -> None:
        """Play until the end, or until ``stop`` is set."""
        first_ns: int | None = None
        began_s = time.monotonic()
        for message in self._messages:
            first_ns = message.log_ns if first_ns is None else first_ns
            due_s = began_s + (message.log_ns - first_ns) / 1e9 / self._rate
            if not self._wait(due_s, began_s, first_ns, stop):
                return
            self.behind_s = max(0.0, time.monotonic() - due_s)
            self.position_s = max(self.position_s, (message.log_ns - first_ns) / 1e9)
            self._tick(first_ns + round(self.position_s * 1e9))
            self._send(message)
            self.sent += 1
        self.done = True

    def _wait(self, due_s: float, began_s: float, first_ns: int, stop: threading.Event) -> bool:
        """Let time pass until ``due_s``; False when told to stop."""
        while (left_s := due_s - time.monotonic()) > 0:
            if stop.wait(min(left_s, TICK_S)):
                return False
            now_s = min(time.monotonic(), due_s)
            self._tick(first_ns + round((now_s - began_s) * self._rate * 1e9))
        return not stop.is_set()
