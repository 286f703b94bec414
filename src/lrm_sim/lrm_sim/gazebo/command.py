"""``lrm gazebo``: the files of ``config/gazebo``, written from the scene that MuJoCo runs."""

from __future__ import annotations

import argparse
from pathlib import Path

from lrm_core.errors import BadInput
from lrm_core.resources import config_path


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("--out", type=Path, help="folder to write or check (default: config/gazebo)")
    parser.add_argument("--check", action="store_true", help="write nothing; code 1 when a file is missing or outdated")


def run(args: argparse.Namespace) -> int:
    """Write or check; returns the exit code. Raises :class:`BadInput` for a folder that cannot be written."""
    from lrm_sim.gazebo import files

    folder: Path = args.out or config_path("gazebo")
    if args.check:
        outdated = files.outdated(folder)
        for name in outdated:
            print(f"outdated: {folder / name} (lrm gazebo writes it again)")
        print(f"{len(outdated)} files differ from the scene" if outdated else f"{folder} says what the scene says")
        return 1 if outdated else 0
    try:
        for path in files.write(folder):
            print(path)
    except OSError as error:
        raise BadInput("--out", str(folder), "a folder that can be written", str(error)) from error
    return 0
