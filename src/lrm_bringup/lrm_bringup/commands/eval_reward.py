"""``lrm eval reward``: how good reward models are on recordings, open loop."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrm_core.disk import whole_file
from lrm_core.errors import BadInput

if TYPE_CHECKING:
    from lrm_bringup.evaluate.inputs import EvalInput
    from lrm_bringup.evaluate.run import Judged, Progress
    from lrm_bringup.replay.run import ReplayOptions

JSON_FILE, PAGE_FILE = "reward_eval.json", "reward_eval.html"
RESAMPLES = 2000


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    from lrm_bringup.commands.replay import configure_recordings
    from lrm_reward_node.evaluation.metrics import DEFINITIONS

    add = parser.add_argument
    add("inputs", nargs="+", metavar="INPUT",
        help="bag, folder of bags or run folder; LeRobotDataset; video, or folder of clips, best with a table "
        "index.json, .jsonl, .csv or .parquet; folder of lrm data build with --split; folder of lrm replay or its "
        "rewards.parquet; vlm_scores.json, as NAME=FILE to name its model")  # fmt: skip
    add("--mode", default="aligned", choices=DEFINITIONS,
        help="of the published figures: aligned is right, paper is what the published script does")  # fmt: skip
    add("--json", type=Path, metavar="FILE", help=f"where the figures go; default: {JSON_FILE} below --out")
    add(
        "--out",
        type=Path,
        default=Path("out/eval"),
        metavar="DIR",
        help=f"folder of {PAGE_FILE}, kept scores",
    )
    add("--labels", type=Path, metavar="FILE", help="table like that: file or episode, task, outcome")
    add("--split", default="", metavar="NAME", help="of a folder of lrm data build: the split whose episodes are taken")
    add("--successful", action="store_true", help="episodes whose outcome nothing says are successful demonstrations")
    add("--controls", action=argparse.BooleanOptionalAction, default=True,
        help="ask about rewound and shuffled copies too: three times the time (default: on)")  # fmt: skip
    configure_recordings(parser)
    add("--resamples", type=int, default=RESAMPLES, help="bootstrap samples")
    add("--seed", type=int, default=0, help="of the bootstrap")
    add("--strips", type=int, default=4, help="episodes shown per kind of error and model")


def run(args: argparse.Namespace) -> int:
    """Evaluate, print the tables, write JSON and page; 2 when an input could not be used."""
    from rich.console import Console

    from lrm_bringup.evaluate.inputs import find_inputs
    from lrm_bringup.evaluate.labels import read_labels
    from lrm_bringup.evaluate.page import render
    from lrm_bringup.evaluate.run import unused_labels
    from lrm_bringup.evaluate.summary import summarise
    from lrm_bringup.evaluate.text import print_tables
    from lrm_bringup.evaluate.worst import worst_errors

    options = _options(args)
    labels = read_labels(args.labels) if args.labels else {}
    inputs = find_inputs(args.inputs, labels, args.split)
    with _progress(len(inputs)) as progress:
        judged = _judge(args, inputs, options, progress)
    if unused := unused_labels(labels, inputs, judged):
        judged.problems.append(f"{args.labels}: nothing that was evaluated has the name {', '.join(unused)}")
    about = {"command": ["eval", "reward", *map(str, args.inputs)], "controls": args.controls}
    with Console(stderr=True).status("figures, intervals and pictures"):
        result = summarise(judged, args.mode, args.seed, args.resamples, about)
        worst = worst_errors(judged, args.strips)
    result["worst"] = [one.facts for one in worst]
    places = args.json or args.out / JSON_FILE, args.out / PAGE_FILE
    _write(places[0], json.dumps(result, indent=2, allow_nan=False) + "\n")
    _write(places[1], render(result, judged.episodes, worst))
    print_tables(result, Console(width=None if sys.stdout.isatty() else 200))
    for line in [*judged.problems, *judged.refused]:
        print(f"lrm eval reward: {line}", file=sys.stderr)
    print(f"{judged.asked} queries scored now, the others were kept\n{places[0]}\n{places[1]}")
    return 2 if judged.refused else 0


def _write(place: Path, text: str) -> None:
    with whole_file(place) as partial:
        partial.write_text(text, encoding="utf-8")


def _options(args: argparse.Namespace) -> ReplayOptions:
    from lrm_bringup.commands.replay import replay_options

    for name, low, high in (("resamples", 100, 1_000_000), ("strips", 0, 100)):
        if not low <= getattr(args, name) <= high:
            raise BadInput(f"--{name}", getattr(args, name), f"{low} to {high}")
    return replay_options(args)


def _judge(args: argparse.Namespace, inputs: Sequence[EvalInput], options: ReplayOptions, progress: Progress) -> Judged:
    from lrm_bringup.evaluate.inputs import RECORDING
    from lrm_bringup.evaluate.run import Judge
    from lrm_bringup.evaluate.scores import FOLDER, ScoreKeeper
    from lrm_bringup.replay.models import OpenedSeries

    keeper = None
    if any(one.kind == RECORDING for one in inputs):
        heads = argparse.Namespace(**{**vars(args), "mode": []})  # here the mode is the definition of the figures
        keeper = ScoreKeeper(args.out / FOLDER, OpenedSeries(heads), options, args.controls)
    elif args.model or args.server:
        raise BadInput("--model", args.model or args.server, "nothing: all inputs were scored before")
    return Judge(keeper, options, args.successful, progress).judge(inputs)


@contextmanager
def _progress(inputs: int) -> Iterator[Any]:
    """Inputs, and the frames of the one that is read (twice with its copies), with the time left."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        overall = progress.add_task("inputs", total=inputs)
        current = progress.add_task("frames", total=None)
        seen: list[str] = []

        def tell(name: str, done: int, total: int) -> None:
            if name not in seen:
                seen.append(name)
                progress.update(overall, completed=len(seen) - 1)
            progress.update(current, description=name, completed=done, total=total or None)

        yield tell
