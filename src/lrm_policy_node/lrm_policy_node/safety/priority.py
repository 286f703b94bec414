"""Real-time priority of this process, as far as the machine allows it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

FIX = "allow it in /etc/security/limits.d (docs/install.md, real-time priority), then log in again"


def take_priority(priority: int) -> str:
    """Give every thread of this process SCHED_FIFO with ``priority``; threads that they start inherit it.

    Args:
        priority: 1 to 99; 0: leaves everything as it is.

    Returns:
        Why not, in one line with what helps; empty: done.
    """
    if not priority:
        return ""
    try:
        for task in Path("/proc/self/task").iterdir():
            with suppress(ProcessLookupError):  # a thread that has ended meanwhile
                os.sched_setscheduler(int(task.name), os.SCHED_FIFO, os.sched_param(priority))
    except OSError as error:  # never fatal: a stage without priority is better than none
        return f"no real-time priority {priority} ({error.strerror}): {FIX}"
    return ""


def priority() -> int:
    """Real-time priority of the calling thread; 0: it has none."""
    return os.sched_getparam(0).sched_priority
