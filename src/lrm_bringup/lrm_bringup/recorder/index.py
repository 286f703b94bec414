"""``episodes.jsonl``: one line per bag that was recorded, and one per bag that was deleted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

INDEX = "episodes.jsonl"


def append(out_dir: Path, line: Mapping[str, Any]) -> None:
    """Append one line; raises OSError when the disk is full."""
    with (out_dir / INDEX).open("a", encoding="utf-8") as index:
        index.write(json.dumps(line) + "\n")


def read(out_dir: Path) -> dict[str, dict[str, Any]]:
    """Bag -> its newest line, in the order in which the bags were recorded. A torn line is left out."""
    found: dict[str, dict[str, Any]] = {}
    path = out_dir / INDEX
    for text in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            line = json.loads(text)
            name = str(line["bag"])
        except (ValueError, LookupError, TypeError):
            continue
        if line.get("deleted") and name in found:
            found[name] |= line
        else:
            found.pop(name, None)
            found[name] = line
    return found
