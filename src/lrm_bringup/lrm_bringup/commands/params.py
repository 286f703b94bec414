"""``lrm params``: the parameters of every node, as text or as ``docs/parameters.md``."""

from __future__ import annotations

import argparse
from pathlib import Path


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help="write the documentation there instead of printing it"
    )


def run(args: argparse.Namespace) -> int:
    """Print or write; returns the exit code."""
    from lrm_bringup.parameters import markdown

    if args.write:
        args.write.write_text(markdown(), encoding="utf-8")
        print(args.write)
    else:
        print(markdown())
    return 0
