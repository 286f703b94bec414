"""``lrm calibrate``: make the stated probabilities of a reward model come true, and show how well they do."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrm_core.errors import BadInput
from lrm_reward_node.checkpoint import checkpoint_path, configure_checkpoint, configure_quantization

if TYPE_CHECKING:
    from lrm_core.rewards import RewardHead
    from lrm_reward_node.calibration import HeadCalibration
    from lrm_reward_node.evaluation.calibration import Stated
    from lrm_reward_node.model import RewardModel
    from lrm_reward_node.pipeline import RewardPipeline

SOURCE = "lrm_sim.reward_data:reward_episodes"
FIT_DATA, CHECK_DATA = "validation", "test"
CALL_INTERVAL, EVERY = 10, 5
FIT_SPLIT, CHECK_SPLITS = "calibration", ("held_out_seeds", "held_out_pairs")


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of ``lrm calibrate``."""
    add = parser.add_argument
    configure_checkpoint(parser)
    configure_quantization(parser)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--data", type=Path, metavar="DIR",
        help=f"recordings, of lrm data build; fitted on the split {FIT_DATA}, checked on {CHECK_DATA}")  # fmt: skip
    where.add_argument("--source", default=SOURCE, metavar="MODULE:FUNCTION",
        help=f"yields episodes: function(split, episodes, workers, every); fitted on the split {FIT_SPLIT}, "
        f"checked on {' and '.join(CHECK_SPLITS)} (default: the simulator's)")  # fmt: skip
    add("--samples", type=int, default=2000, help="with --data: questions per head and split, at most (default 2000)")
    add("--episodes", type=int, default=100, help="episodes to fit on")
    add("--check-episodes", type=int, default=50, help="episodes per split to check on; they are never fitted on")
    add("--workers", type=int, default=1, help="processes that simulate")
    add("--out", type=Path, help="folder of calibration.json and calibration.png; default: beside the adapters")
    add("--json", action="store_true", help="print JSON instead of a table")


def run(args: argparse.Namespace) -> int:
    """Fit, check, write; 1 when a bar is missed (the files are written all the same)."""
    from lrm_reward_node import calibration
    from lrm_reward_node.evaluation import calibration as evaluation
    from lrm_reward_node.vlm.qwen import load

    path = checkpoint_path(args.model)
    out = args.out or Path(args.adapters or path)
    if not out.is_dir():
        raise BadInput("--out", str(out), "an existing folder", "Adapters from the hub need --out.")
    model = load(path, args.adapters or None, args.device, args.dtype, quantization=args.quantization)
    (fit_on, *check_on), stated = _recorded(model, args) if args.data else _simulated(model, args)
    heads = evaluation.fit(stated(fit_on))
    checks = {split: stated(split) for split in check_on}
    rows = {
        split: {"before": evaluation.figures(d, {}), "after": evaluation.figures(d, heads)}
        for split, d in checks.items()
    }
    source = {"data": str(args.data)} if args.data else {"source": args.source, "episodes": args.episodes}
    about = {**source, "split": fit_on, "checked": rows}
    calibration.save(out / calibration.FILE, model.fingerprint, heads, about)
    evaluation.plot(out / "calibration.png", checks[check_on[0]], heads)
    _print(args, heads, rows, out)
    return 1 if any(evaluation.missed(row["after"]) for row in rows.values()) else 0


def _simulated(model: RewardModel, args: argparse.Namespace) -> tuple[Sequence[str], Callable[[str], Stated]]:
    """Splits, the one to fit on first, and what asks about one of them."""
    from lrm_reward_node.pipeline import RewardPipeline

    counts = {FIT_SPLIT: args.episodes} | dict.fromkeys(CHECK_SPLITS, args.check_episodes)
    pipeline = RewardPipeline(model)
    return list(counts), lambda split: _scored(pipeline, args, split, counts[split])


def _recorded(model: RewardModel, args: argparse.Namespace) -> tuple[Sequence[str], Callable[[str], Stated]]:
    """The same of a training set."""
    from rich.console import Console
    from rich.progress import Progress

    from lrm_reward_node.evaluation.recorded import stated_of_recordings

    if args.samples < 1:
        raise BadInput("--samples", args.samples, "at least 1")

    def stated(split: str) -> Stated:
        with Progress(console=Console(stderr=True)) as bar:
            tasks: dict[RewardHead, Any] = {}

            def told(head: RewardHead, done: int, total: int) -> None:
                if head not in tasks:
                    tasks[head] = bar.add_task(f"{split}, {head.value}")
                bar.update(tasks[head], completed=done, total=total)

            return stated_of_recordings(model, args.data, split, args.samples, told)

    return [FIT_DATA, CHECK_DATA], stated


def _scored(pipeline: RewardPipeline, args: argparse.Namespace, split: str, count: int) -> Stated:
    from lrm_core.sources import source_function
    from lrm_reward_node.evaluation.calibration import stated
    from lrm_reward_node.evaluation.episodes import score_episodes

    source = source_function(args.source, parameters=("split", "episodes", "workers", "every"))
    episodes = source(split=split, episodes=count, workers=args.workers, every=EVERY)
    return stated(list(_shown(score_episodes(pipeline, episodes, CALL_INTERVAL // EVERY), split, count)))


def _shown(episodes: Iterable[Any], split: str, count: int) -> Iterable[Any]:
    from rich.console import Console
    from rich.progress import track

    return track(episodes, f"scoring {split}", total=count, console=Console(stderr=True))


def _print(
    args: argparse.Namespace,
    heads: Mapping[Any, HeadCalibration],
    rows: Mapping[str, Mapping[str, Mapping[str, float]]],
    out: Path,
) -> None:
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Table

    from lrm_reward_node.calibration import FILE
    from lrm_reward_node.evaluation.calibration import COVERAGE_BAR, ECE_BAR

    if args.json:
        fitted = {head.value: asdict(one) for head, one in heads.items()}
        print(json.dumps({"heads": fitted, "checked": rows, "file": str(out / FILE)}, indent=2))
        return
    bars = {"completion_ece": f"at most {ECE_BAR}", "progress_coverage": "{} to {}".format(*COVERAGE_BAR)}
    table = Table("figure", "checked on", "as stated", "calibrated", "bar")
    for name in ("completion_ece", "contrastive_ece", "progress_coverage"):
        for split, row in rows.items():
            table.add_row(name, split, f"{row['before'][name]:.3f}", f"{row['after'][name]:.3f}", bars.get(name, ""))
    Console().print(table)
    print(f"{out / FILE}\n{out / 'calibration.png'}")
