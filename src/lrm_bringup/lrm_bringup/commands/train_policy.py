"""``lrm train policy``: the trainers of the policy package, and bags as their demonstrations."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from lrm_bringup.commands.export import configure_selection, export, options_of, tell
from lrm_policy_node.cli import configure_train, run_train

_DATASET = ".dataset"
"""Behind the name of the policy's folder: the dataset that bags become."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    data = configure_train(parser)
    data.add_argument(
        "--from-bags", nargs="+", type=Path, metavar="BAG",
        help=f"bags, or folders of them; they become the dataset OUT{_DATASET}, written anew every time",
    )  # fmt: skip
    configure_selection(parser.add_argument_group("with --from-bags"))
    parser.set_defaults(keep="successful")


def run(args: argparse.Namespace) -> int:
    """Train; returns the exit code."""
    if args.from_bags:
        args.dataset = args.out.with_name(f"{args.out.name}{_DATASET}")
        # Exact pictures: the trainers read them more than once, and nobody keeps this dataset.
        options = replace(options_of(args), use_videos=False, overwrite=True)
        result = export(args.from_bags, args.dataset, options)
        tell(result)
        print(f"{args.dataset}: {len(result.pieces)} episodes, {result.frames} frames, kept: {args.keep}")
    return run_train(args)
