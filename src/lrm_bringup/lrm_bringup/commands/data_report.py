"""``lrm data report``: what a training set holds, as text, page and JSON."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

PAGE, RESULT = "report.html", "report.json"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder that lrm data build made")
    parser.add_argument("--examples", type=int, default=4, help="examples of every kind on the page; default: 4")


def run(args: argparse.Namespace) -> int:
    """Write page and JSON beside the training set; returns 1 when something speaks against training on it."""
    from lrm_bringup.data.page import render
    from lrm_core.disk import whole_file
    from lrm_core.errors import BadInput
    from lrm_reward_node.data.findings import findings
    from lrm_reward_node.data.summary import read_summary
    from lrm_reward_node.data.text import lines

    if not 1 <= args.examples <= 50:
        raise BadInput("--examples", args.examples, "1 to 50")
    summary = read_summary(args.folder)
    found = findings(summary)
    result = json.dumps({"stop": found, **asdict(summary)}, indent=1, sort_keys=True) + "\n"
    for name, text in ((RESULT, result), (PAGE, render(args.folder, summary, args.examples))):
        with whole_file(args.folder / name) as partial:
            partial.write_text(text, encoding="utf-8")
    print("\n".join(lines(summary)))
    print(f"Page: {args.folder / PAGE}")
    return int(bool(found))
