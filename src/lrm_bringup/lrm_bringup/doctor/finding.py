"""What one check found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from lrm_core.errors import LrmError


class Level(str, Enum):
    """How bad it is. Only ``FAIL`` makes the exit code 1."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Finding:
    """One thing looked at.

    Attributes:
        name: what was looked at.
        level: how bad it is.
        found: what was seen.
        fix: what to do; empty where it is fine.
    """

    name: str
    level: Level
    found: str
    fix: str = ""


Check = Callable[[], Finding]


def finding(name: str, good: bool, found: str, fix: str, otherwise: Level = Level.FAIL) -> Finding:
    """``OK`` where ``good``, else ``otherwise`` with its fix."""
    return Finding(name, Level.OK, found) if good else Finding(name, otherwise, found, fix)


def guarded(name: str, check: Check) -> Finding:
    """The finding of ``check``; one that cannot be made is a failure that says why."""
    try:
        return check()
    except (LrmError, OSError, ValueError) as error:
        return Finding(name, Level.FAIL, str(error) or type(error).__name__, "see the message")
