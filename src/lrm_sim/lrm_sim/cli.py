"""``lrm record-demos``: demonstrations of the scripted expert as a LeRobotDataset."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lrm_core.errors import BadInput
from lrm_sim import tasks

if TYPE_CHECKING:
    from lrm_core.episodes import EpisodeRecord
    from lrm_sim.expert import Kind

_KINDS = "success, recovered, missed_grasp, dropped_early, wrong_object, wrong_container, beside_container, never_moved"


def configure_record(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``record-demos``."""
    add = parser.add_argument
    add("--episodes", type=int, default=40, help="how many (default %(default)s)")
    add("--task", default=tasks.DEMO_TASK, help="task sentence (default: %(default)s)")
    add("--out", type=Path, required=True, help="folder of the new dataset; must not exist")
    add("--kinds", default="success", help=f"comma-separated, taken in turn: {_KINDS} (default %(default)s)")
    add("--place-bias", type=float, nargs=2, default=(0.0, 0.0), metavar=("DX", "DY"), help="error of every place, m")
    add("--place-noise", type=float, default=0.004, help="standard deviation of the place, m (default %(default)s)")
    add("--seed", type=int, default=0, help="index of the first scene (default %(default)s)")
    add("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: one per core)")
    add("--videos", action="store_true", help="store H.264 video, small and lossy, instead of exact PNG")


def run_record(args: argparse.Namespace) -> int:
    """Record and write; returns the exit code. Raises :class:`BadInput` for arguments that make no sense."""
    from rich.console import Console

    from lrm_sim import dataset
    from lrm_sim.collect import DEMO_SEEDS, SEED_RANGE, collect, demo_specs
    from lrm_sim.expert import Style

    if args.episodes < 1 or args.seed < 0 or args.seed + args.episodes > SEED_RANGE:
        raise BadInput("--episodes, --seed", (args.episodes, args.seed), f"at least 1 episode, seeds 0 to {SEED_RANGE}")
    if args.out.exists():
        raise BadInput("--out", str(args.out), "a new folder", "Choose another, or remove it.")
    style = Style(place_bias_m=tuple(args.place_bias), place_noise_m=args.place_noise)
    task = tasks.sentence(*tasks.parse(args.task))
    specs = demo_specs(args.episodes, task, DEMO_SEEDS + args.seed, _kinds(args.kinds), style)
    counts: dict[str, int] = {}
    written = dataset.write(_shown(collect(specs, args.workers), len(specs), counts), args.out, use_videos=args.videos)
    summary = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
    Console().print(f"{written} episodes in {args.out}: {summary}")
    return 0


def _kinds(text: str) -> list[Kind]:
    from lrm_sim.expert import Kind

    names = [kind.value for kind in Kind]
    for name in text.split(","):
        if name not in names:
            raise BadInput("--kinds", name, f"a comma-separated list of {names}")
    return [Kind(name) for name in text.split(",")]


def _shown(records: Iterable[EpisodeRecord], total: int, counts: dict[str, int]) -> Iterator[EpisodeRecord]:
    from rich.progress import track

    for record in track(records, "recording", total):
        counts[record.outcome] = counts.get(record.outcome, 0) + 1
        yield record
