"""Remembers which set-up step was done for which inputs, and which step was cut short.

A step owns two files in the stamp folder: ``<step>`` holds the key of its inputs once it has finished,
``<step>.started`` exists while it runs. A ``.started`` file at the next call means that the step was killed and that
its output cannot be trusted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


class Stamps:
    """Stamps in one folder, which is removed together with what it vouches for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def done(self, step: str, key: str) -> bool:
        """True when ``step`` finished for exactly these inputs."""
        stamp = self.folder / step
        return not self.interrupted(step) and stamp.is_file() and stamp.read_text() == key

    def interrupted(self, step: str) -> bool:
        """True when ``step`` was begun and never finished."""
        return (self.folder / f"{step}.started").exists()

    @contextmanager
    def running(self, step: str, key: str) -> Iterator[None]:
        """Stamp ``step`` with ``key`` if the block ends without an exception."""
        self.folder.mkdir(parents=True, exist_ok=True)
        started = self.folder / f"{step}.started"
        started.touch()
        (self.folder / step).unlink(missing_ok=True)
        yield
        (self.folder / step).write_text(key)
        started.unlink()


def key_of(*texts: str, files: Iterable[Path] = (), names: Iterable[Path] = ()) -> str:
    """Hash of some texts, of the names and contents of ``files``, and of the ``names`` of files alone."""
    digest = hashlib.sha256("\0".join(texts).encode())
    for path in sorted(names):
        digest.update(f"\0{path}".encode())
    for path in sorted(files):
        digest.update(f"\0{path}\0".encode() + path.read_bytes())
    return digest.hexdigest()
