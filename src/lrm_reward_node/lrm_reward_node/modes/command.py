"""``lrm modes``: the reward modes that are there."""

from __future__ import annotations

import argparse
import json
from typing import Any


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(args: argparse.Namespace) -> int:
    """Print every mode; one that another package registers and that cannot be imported says so."""
    from lrm_reward_node.modes.registry import available

    rows = [_row(name) for name in available()]
    if args.json:
        print(json.dumps(rows, indent=2))
    else:
        _print_table(rows)
    return 0


def _row(name: str) -> dict[str, Any]:
    from lrm_core.errors import BadInput
    from lrm_reward_node.modes.registry import spec

    try:
        mode = spec(name)
    except BadInput as error:
        return {"name": name, "error": str(error)}
    needs = mode.needs
    return {
        "name": name,
        "window": needs.words(),
        "needs": {"initial": needs.initial, "previous": needs.previous, "video_frames": needs.video_frames},
        "range": [mode.low, mode.high],
        "reward": mode.head.value,
        "model": mode.model or "the shipped one",
        "source": mode.source,
    }


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("mode", "looks at", "range", "model", "source")
    for row in rows:
        if "error" in row:
            table.add_row(row["name"], f"[yellow]{row['error']}[/]")
        else:
            low, high = row["range"]
            table.add_row(row["name"], row["window"], f"{low:g} to {high:g}", row["model"], row["source"])
    Console().print(table)
