"""``lrm import lerobot``: a LeRobotDataset as bags."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from lrm_bringup.progress import bar

UNITS = (
    "the dataset is not of this project: its numbers become joint_states and command as they are, which are meant in "
    "rad and m. LeRobot's own drivers record degrees or percent; cameras and rewards are right, joints may not be."
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    kinds = "folder of a local LeRobotDataset (v3; v2.1 is converted into a copy)"
    parser.add_argument("dataset", type=Path, metavar="DATASET", help=kinds)
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR",
        help="folder of the bags, one per episode; what an interrupted import left out is added",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Import; returns the exit code."""
    from lrm_bringup.convert.to_bags import Importer

    importer = Importer(args.dataset, args.out)
    if importer.foreign:
        print(f"warning: {UNITS}", file=sys.stderr)
    with bar("episodes", importer.episodes) as progress:
        result = importer.run(progress)
    if result.left_out:
        print(f"no topic for the columns {', '.join(result.left_out)}: they are left out", file=sys.stderr)
    for problem in result.problems:
        print(problem, file=sys.stderr)
    before = f", {result.before} were there before" if result.before else ""
    print(f"{args.out}: {result.bags} bags{before}")
    return 0
