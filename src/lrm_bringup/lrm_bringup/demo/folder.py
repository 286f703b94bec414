"""The folder of a run."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from lrm_core.errors import LrmError
from lrm_policy_node.learner.files import TRANSITIONS, WEIGHTS

CHECKPOINTS = "checkpoints"
"""Below a run's folder: what its learner resumes from."""


def new_run_folder(out: Path) -> Path:
    """Create ``out/<time>/`` with its sub-folders; ``out/latest`` points to it from now on.

    Raises:
        LrmError: it cannot be written.
    """
    folder = out.resolve() / time.strftime("%Y%m%d-%H%M%S")
    try:
        for name in ("bags", CHECKPOINTS, "logs"):
            (folder / name).mkdir(parents=True)
        link = folder.parent / f".latest-{os.getpid()}"
        link.symlink_to(folder.name)
        link.replace(folder.parent / "latest")
    except OSError as error:
        raise LrmError(f"cannot write the run folder {folder}: {error.strerror}") from error
    return folder


def seed_learner(run_folder: Path, warm_start: Path) -> None:
    """Copy journal and weights of ``warm_start`` to where the learner of a run resumes from.

    Raises:
        LrmError: they cannot be copied.
    """
    try:
        for name in (TRANSITIONS, WEIGHTS):
            if (warm_start / name).is_file():
                shutil.copyfile(warm_start / name, run_folder / CHECKPOINTS / name)
    except OSError as error:
        raise LrmError(f"cannot copy the warm start {warm_start}: {error.strerror}") from error


def shown(path: Path) -> str:
    """A path as short as it can be typed from here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
