"""Files that are there whole or not at all, one process at a time in a folder, one clear error for a full disk."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from lrm_core.errors import BadInput

AGAIN = "Free some, then start the same command again: it goes on where it stopped."
ANEW = "Free some, then start the same command again: nothing of it is kept."
LOCK = ".lock"
"""In a folder that one process at a time may write to; empty, it stays, and only who holds it counts."""
_FULL = (errno.ENOSPC, errno.EDQUOT)
_SAID = ("No space left", "os error 28", "PytorchStreamWriter failed", "File write failed", "file write failed")


def is_full(error: BaseException) -> bool:
    """True for what the system, torch, safetensors or tensorboard raise when a disk is full: of unrelated types."""
    found: BaseException | None = error
    while found is not None:  # torch hides it behind an error of its own
        if getattr(found, "errno", None) in _FULL or any(text in str(found) for text in _SAID):
            return True
        found = found.__cause__ or found.__context__
    return False


@contextmanager
def room(path: Path, fix: str = AGAIN) -> Iterator[None]:
    """A disk that is full is in here a :class:`BadInput` that names the way on; other errors pass."""
    try:
        yield
    except BadInput:
        raise
    except Exception as error:
        if not is_full(error):
            raise
        raise BadInput("disk", str(path), "room for more", fix) from error


@contextmanager
def writing(path: Path, fix: str = AGAIN) -> Iterator[None]:
    """The same, and a place that cannot be written for another reason is one too."""
    try:
        with room(path, fix):
            yield
    except OSError as error:
        raise BadInput("output", str(path), "a place that can be written", str(error)) from error


@contextmanager
def whole_file(path: Path, fix: str = AGAIN) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place at the end; nothing is left of it after an error.

    Raises:
        BadInput: what :func:`writing` raises.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with writing(path, fix):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield partial
            with partial.open("rb") as file:
                os.fsync(file.fileno())
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def hold(lock: Path, field: str, folder: Path, who: str) -> BinaryIO:
    """Create the file ``lock`` and hold it until the returned file is closed, which a process that dies does too.

    Args:
        lock: see :data:`LOCK`.
        field: what named the folder, for the error.
        folder: what is locked by it.
        who: of whom there may be one.

    Raises:
        BadInput: another process holds it, or it cannot be written.
    """
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = lock.open("wb")
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(file.fileno()), lock.stat()):  # who held it has just removed it
            raise BlockingIOError
    except (BlockingIOError, FileNotFoundError) as error:
        fix = "Give this one a folder of its own, or wait for the other."
        raise BadInput(field, str(folder), f"a folder that no other {who} writes to", fix) from error
    except OSError as error:
        raise BadInput(field, str(folder), "a folder that can be written", str(error)) from error
    return file


@contextmanager
def only_one(folder: Path, field: str, who: str) -> Iterator[None]:
    """One process at a time makes ``folder``: the lock is beside it, and is gone after the block.

    Raises:
        BadInput: what :func:`hold` raises.
    """
    lock = folder.absolute().with_name(f".{folder.absolute().name}{LOCK}")
    with hold(lock, field, folder, who):
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)
