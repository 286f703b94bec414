"""One recorder per folder: a second one would take the open bag of the first for one that a crash left behind."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import BinaryIO

from lrm_core.errors import BadInput

LOCK = ".lock"
"""Beside the bags and empty; it stays, only who holds it counts."""


def hold_folder(out_dir: Path) -> BinaryIO:
    """Create ``out_dir`` and hold it until the returned file is closed. When a process dies, the kernel lets go for it.

    Raises:
        BadInput: the folder cannot be written, or another recorder holds it.
    """
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        lock = (out_dir / LOCK).open("wb")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        fix = "Give this one a folder of its own (parameter out_dir), or stop the other."
        raise BadInput("parameter out_dir", str(out_dir), "a folder that no other recorder writes to", fix) from error
    except OSError as error:
        raise BadInput("parameter out_dir", str(out_dir), "a folder that can be written", str(error)) from error
    return lock
