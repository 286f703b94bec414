"""``lrm record-demos``: demonstrations of the scripted expert as a LeRobotDataset."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrm_core.errors import BadInput

if TYPE_CHECKING:
    from lrm_core.episodes import EpisodeRecord

_HELP = """Record the scripted expert in simulation as a LeRobotDataset (v3) with two cameras, joint states, actions and
privileged columns. Example, 40 demonstrations that put things 4 cm too far away:

  lrm record-demos --episodes 40 --place-bias 0.04 0 --out out/demos
"""


def add_parser(subparsers: Any) -> None:
    """Add ``record-demos`` to the ``lrm`` program; ``args.run(args)`` runs it and returns the exit code."""
    from lrm_sim import tasks

    parser = subparsers.add_parser(
        "record-demos",
        help="record demonstrations in simulation",
        description=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--episodes", type=int, default=40, help="how many (default 40)")
    parser.add_argument("--task", default=tasks.DEMO_TASK, help="task sentence (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, help="folder of the new dataset; must not exist")
    parser.add_argument("--kinds", default="success", help="comma-separated, taken in turn (default success)")
    parser.add_argument("--place-bias", type=float, nargs=2, default=(0.0, 0.0), metavar=("DX", "DY"), help="m, base frame")
    parser.add_argument("--place-noise", type=float, default=0.004, help="standard deviation, m (default 0.004)")
    parser.add_argument("--seed", type=int, default=0, help="index of the first scene (default 0)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: all cores)")
    parser.add_argument("--videos", action="store_true", help="store H.264 video instead of exact PNG")
    parser.set_defaults(run=record_demos)


def record_demos(args: argparse.Namespace) -> int:
    """Record and write; returns the exit code. Raises :class:`BadInput` for arguments that make no sense."""
    os.environ.setdefault("MUJOCO_GL", "egl")
    from lrm_sim import dataset, tasks
    from lrm_sim.collect import DEMO_SEEDS, SEED_RANGE, collect, demo_specs
    from lrm_sim.expert import Style

    if not 0 <= args.seed <= args.seed + args.episodes <= SEED_RANGE or args.episodes < 1:
        raise BadInput("--episodes, --seed", (args.episodes, args.seed), f"at least 1, and seeds up to {SEED_RANGE}")
    if args.out.exists():
        raise BadInput("--out", str(args.out), "a folder that does not exist yet", "Choose another, or remove it.")
    style = Style(place_bias_m=tuple(args.place_bias), place_noise_m=args.place_noise)
    task = tasks.sentence(*tasks.parse(args.task))
    specs = demo_specs(args.episodes, task, DEMO_SEEDS + args.seed, _kinds(args.kinds), style)
    counts: dict[str, int] = {}
    shown = _shown(collect(specs, args.workers), len(specs), counts)
    written = dataset.write(shown, args.out, use_videos=args.videos)
    summary = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
    print(f"{written} episodes in {args.out}: {summary}")
    return 0


def _kinds(text: str) -> list[Any]:
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
