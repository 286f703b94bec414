"""Find the one line in a node's log that tells a person what is wrong."""

from __future__ import annotations

import re
from pathlib import Path

_TAIL_BYTES = 16_384
_ROS_PREFIX = re.compile(r"^\[(FATAL|ERROR|WARN|INFO|DEBUG)\] \[[\d.]+\] \[[^\]]*\]: ?")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def last_message(path: Path) -> str:
    """The last FATAL or ERROR line of a log, else its last line, without colours and ROS prefix; never empty."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError as error:
        return f"no log ({error.strerror})"
    lines = [line.strip() for line in _COLOUR.sub("", text).splitlines() if line.strip()]
    grave = [line for line in lines if line.startswith(("[FATAL]", "[ERROR]"))]
    chosen = (grave or lines or ["ended without a message"])[-1]
    return _ROS_PREFIX.sub("", chosen)
