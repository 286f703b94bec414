"""``lrm diff``: what changed between two runs."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    what = "run folder of lrm demo, or folder of recorded bags"
    parser.add_argument("run_a", type=Path, metavar="RUN_A", help=f"{what}: the run to compare with")
    parser.add_argument("run_b", type=Path, metavar="RUN_B", help=f"{what}: the run that is looked at")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page, too")
    parser.description = (
        "What changed between two runs: success (paired by scene where both ran the same ones), rewards, latency, "
        "outcomes, parameters, models and versions. Every difference is B - A with its 95 % interval."
    )


def run(args: argparse.Namespace) -> int:
    """Compare; returns the exit code."""
    from rich.console import Console

    from lrm_bringup.diff.compare import compare
    from lrm_bringup.diff.page import render
    from lrm_bringup.diff.runs import read_compared
    from lrm_bringup.diff.show import show
    from lrm_bringup.report.journal import null_for_nan

    comparison = compare(read_compared(args.run_a), read_compared(args.run_b))
    if args.json:
        print(json.dumps(null_for_nan(dataclasses.asdict(comparison)), indent=2))
    else:
        console = Console(highlight=False)
        show(comparison, console if console.is_terminal else Console(highlight=False, width=160))
    if args.html:
        args.html.parent.mkdir(parents=True, exist_ok=True)
        args.html.write_text(render(comparison), encoding="utf-8")
    return 0
