"""``lrm train critic``: the learner's start from recorded bags."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from lrm_bringup.progress import bar


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument(
        "--from-bags", nargs="+", type=Path, required=True, metavar="BAG",
        help="bags of refinement runs, or folders of them: they hold the transitions",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR",
        help="new folder for lrm demo --warm-start, or the learner's parameter folder",
    )  # fmt: skip
    parser.add_argument(
        "--robot", metavar="ROBOT",
        help="their robot: a name in config/robots or a YAML file (default: as the learner's parameters say)",
    )  # fmt: skip
    parser.add_argument(
        "--rewards", default="", metavar="PREFIX",
        help="rewards of bags that lrm replay --out wrote: replay/MODEL. Default: those of the live run",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Write the folder; returns the exit code."""
    from lrm_bringup.convert.ros.warm_start import write_warm_start
    from lrm_bringup.graph import LEARNER
    from lrm_bringup.parameters import shipped
    from lrm_bringup.replay.run import expand

    bags, params = expand(args.from_bags), shipped(LEARNER)
    if args.robot:
        params = replace(params, robot=args.robot)
    with bar("bags", len(bags)) as progress:
        result = write_warm_start(bags, args.out, params, args.rewards, progress)
    for line in [*result.problems, *(f"{name} is left out: {why}" for name, why in result.refused.items())]:
        print(line, file=sys.stderr)
    if result.without:
        print(f"{len(result.without)} of {len(bags)} bags hold no transition", file=sys.stderr)
    print(
        f"{args.out}: {result.transitions} transitions of {result.episodes} episodes; left out {result.unknown} with "
        f"an UNKNOWN score and {result.missing} without one"
    )
    return 2 if result.refused else 0
