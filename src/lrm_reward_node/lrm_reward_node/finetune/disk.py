"""A full disk while training: one clear error, and nothing half-written is taken for whole."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lrm_core.disk import is_full
from lrm_core.errors import BadInput
from lrm_reward_node.vlm.files import digest_of

SEAL = "complete.json"
"""Written last into a checkpoint: hash of all its other files."""


@contextmanager
def room(folder: Path) -> Iterator[None]:
    """Turn what libraries raise when ``folder`` is full into a :class:`BadInput`; other errors pass."""
    try:
        yield
    except Exception as error:  # torch, safetensors and tensorboard raise unrelated types
        if not is_full(error):
            raise
        free = shutil.disk_usage(folder).free / 2**20
        fix = f"{free:.0f} MiB are free. The newest whole checkpoint is kept: make room and run the same command again."
        raise BadInput("--out", str(folder), "a disk with room for a checkpoint", fix) from error


def seal(checkpoint: Path) -> None:
    """Mark a checkpoint as whole; synced, so that it also holds after a power cut."""
    for path in _files(checkpoint):
        with path.open("rb") as file:
            os.fsync(file.fileno())
    write_json(checkpoint / SEAL, {"sha256": _digest(checkpoint)})


def sealed(checkpoint: Path) -> bool:
    """True when ``checkpoint`` is whole: sealed, and its files are still those."""
    try:
        return bool(json.loads((checkpoint / SEAL).read_text())["sha256"] == _digest(checkpoint))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def newest_checkpoint(folder: Path) -> Path | None:
    """The newest whole ``checkpoint-<step>`` in ``folder``; what is not whole is deleted, because it never will be."""
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    whole = []
    for path in found:
        if sealed(path):
            whole.append(path)
        else:
            shutil.rmtree(path)
    return whole[-1] if whole else None


def write_json(path: Path, value: object) -> None:
    """Write so that a crash leaves the old file or the new one, never half of it."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", encoding="utf-8") as file:
        file.write(json.dumps(value, indent=2) + "\n")
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def sha256(path: Path) -> str:
    """sha256 of one file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != SEAL)


def _digest(folder: Path) -> str:
    return digest_of(_files(folder))
