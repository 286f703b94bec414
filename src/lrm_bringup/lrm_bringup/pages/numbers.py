"""Numbers for people."""

from __future__ import annotations

import math


def percent(value: float | None, digits: int = 0) -> str:
    """A share; a dash when it is unknown."""
    return "–" if value is None or math.isnan(value) else f"{100 * value:.{digits}f} %"


def number(value: float | None, digits: int = 2) -> str:
    """A number; a dash when it is unknown."""
    return "–" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def duration(seconds: float | None) -> str:
    """Seconds: ``850 ms``, ``4.2 s``, ``17 min 05 s``; a dash when they are unknown."""
    if seconds is None or math.isnan(seconds):
        return "–"
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 60 else f"{seconds // 60:.0f} min {seconds % 60:02.0f} s"
