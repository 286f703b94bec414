"""What the programs of this folder share: the form of their options, the JSON file, and how they end."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from lrm_core.errors import exit_code


def options(description: str | None) -> argparse.ArgumentParser:
    """A parser whose help is the docstring as it stands, with ``--json`` for :func:`write_json`."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures here")
    return parser


def write_json(path: Path | None, figures: object) -> None:
    """Write the figures where they are asked for."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def end(main: Callable[[], int]) -> NoReturn:
    """Run a program to its end: 0, 1 when it misses a bar, 2 for an input that cannot be used, 130 interrupted."""
    sys.exit(exit_code(Path(sys.argv[0]).stem, main))
