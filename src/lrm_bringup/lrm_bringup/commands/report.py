"""``lrm report``: render the report of a run folder again, or check it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="run folder, for example out/demo/latest")
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing; check summary.json, report.html and the bags; exit code 1 when one is wrong",
    )


def run(args: argparse.Namespace) -> int:
    """Render, or check; returns the exit code."""
    if args.check:
        from lrm_bringup.report.check import check_run

        problems = check_run(args.folder)
        for problem in problems:
            print(f"lrm report: {problem}", file=sys.stderr)
        if not problems:
            print(f"{args.folder}: summary, report and bags are in order")
        return 1 if problems else 0
    from lrm_bringup.report.page import REPORT, write_report

    write_report(args.folder)
    print(args.folder / REPORT)
    return 0
