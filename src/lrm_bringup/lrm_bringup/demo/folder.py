"""The folder of a run."""

from __future__ import annotations

import os
import time
from pathlib import Path

from lrm_core.errors import LrmError


def new_run_folder(out: Path) -> Path:
    """Create ``out/<time>/`` with its sub-folders; ``out/latest`` points to it from now on.

    Raises:
        LrmError: it cannot be written.
    """
    folder = out.resolve() / time.strftime("%Y%m%d-%H%M%S")
    try:
        for name in ("bags", "checkpoints", "logs"):
            (folder / name).mkdir(parents=True)
        link = folder.parent / f".latest-{os.getpid()}"
        link.symlink_to(folder.name)
        link.replace(folder.parent / "latest")
    except OSError as error:
        raise LrmError(f"cannot write the run folder {folder}: {error.strerror}") from error
    return folder


def shown(path: Path) -> str:
    """A path as short as it can be typed from here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
