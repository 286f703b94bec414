"""``lrm data build`` and ``lrm data check``."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lrm_core.errors import BadInput
from lrm_reward_node.data.indexing import Progress


def configure_build(parser: argparse.ArgumentParser) -> None:
    """Options of ``lrm data build``."""
    parser.add_argument("manifest", type=Path, help="YAML file with sources, splits and sampling; see docs/data.md")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the training set")
    parser.add_argument("--workers", type=int, default=1, help="processes that read episodes; default: 1")


def run_build(args: argparse.Namespace) -> int:
    """Build; returns the exit code."""
    from lrm_reward_node.data.build import build
    from lrm_reward_node.data.manifest import load
    from lrm_reward_node.data.text import lines

    if not 1 <= args.workers <= 256:
        raise BadInput("--workers", args.workers, "1 to 256")
    manifest = load(args.manifest)
    with _bar() as progress:
        summary = build(manifest, args.out, args.workers, progress)
    print("\n".join(lines(summary)))
    print(f"Look at it: lrm data report {args.out}")
    return 0


def configure_check(parser: argparse.ArgumentParser) -> None:
    """Options of ``lrm data check``."""
    parser.add_argument("manifest", type=Path, help="YAML file; see docs/data.md")


def run_check(args: argparse.Namespace) -> int:
    """Check a manifest and list what its sources hold, without reading pictures; returns the exit code."""
    from lrm_reward_node.data.build import listed
    from lrm_reward_node.data.manifest import load
    from lrm_reward_node.data.reading import relabelled

    manifest = load(args.manifest)
    found: Counter[tuple[str, str, str]] = Counter()
    for job in listed(manifest):
        entry = manifest.sources[job.source]
        episode = relabelled(job.episode, entry, None)
        found[entry.name, episode.task or "no task sentence yet", episode.outcome] += 1
    for (source, task, outcome), count in sorted(found.items()):
        print(f"{source}: {count} × {task} ({outcome})")
    empty = [entry.name for entry in manifest.sources if not any(source == entry.name for source, _, _ in found)]
    for name in empty:
        print(f"{name}: no episode, or none that its filter takes")
    return int(bool(empty))


@contextmanager
def _bar() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        tasks: dict[str, int] = {}

        def progress(what: str, done: int, of: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=of)
            bars.update(bars.task_ids[tasks[what]], completed=done)

        yield progress
