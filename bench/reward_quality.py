"""How good the shipped reward model is, on fresh seeds and on pairs it was never trained on.

The model is asked as in a live run: the real readout, the first frame, then every 10 control steps, then the last
frame. Exit code 1 when a bar is missed.

    python bench/reward_quality.py --model models/lrm-tiny --episodes 100 --workers 2 [--json out/quality.json]
"""

from __future__ import annotations

import argparse
import time
from itertools import pairwise

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from bench.held_out import held_out_options
from bench.program import end, write_json
from lrm_core.frames import CameraFrame
from lrm_core.rewards import RewardHead
from lrm_core.sources import source_function
from lrm_reward_node.evaluation.episodes import ScoredEpisode, score_episodes
from lrm_reward_node.evaluation.quality import BARS, missed_bars, quality, rounded, tolerance_curve
from lrm_reward_node.pipeline import RewardPipeline
from lrm_reward_node.readout import READOUTS
from lrm_reward_node.training.episodes_io import SOURCE_PARAMETERS, SPLITS
from lrm_reward_node.vlm.qwen import load

CALL_INTERVAL = 10
EVERY = 5


def main() -> int:
    """Measure, print a table, write JSON when asked."""
    args = _arguments()
    torch.set_num_threads(args.threads)
    source = source_function(args.source, parameters=SOURCE_PARAMETERS)
    model = load(args.model, args.adapters, args.device, args.dtype, args.readout)
    pipeline = RewardPipeline(model)
    figures, curves, scored = {}, {}, []
    for split in SPLITS[1:]:
        episodes = source(split=split, episodes=args.episodes, workers=args.workers, every=EVERY)
        rows = list(score_episodes(pipeline, episodes, CALL_INTERVAL // EVERY))
        scored += rows
        figures[split] = quality(rows)
        curves[split] = tolerance_curve(rows)
    latency_s = _latency_s(pipeline, args.repeat)
    missed = {split: missed_bars(row) for split, row in figures.items()}
    _print(figures, latency_s, missed, scored)
    about = {"model": args.model, "fingerprint": model.fingerprint, "readout": args.readout, "latency_s": latency_s}
    found = {"splits": rounded(figures), "tolerance_curve": curves, "bars": BARS, "missed": missed}
    write_json(args.json, {**about, **found})
    return 1 if any(missed.values()) else 0


def _arguments() -> argparse.Namespace:
    parser = held_out_options(__doc__, 50, "calls of the latency measurement")
    parser.add_argument("--readout", default="logits", choices=READOUTS)
    return parser.parse_args()


def _latency_s(pipeline: RewardPipeline, repeat: int) -> dict[str, float]:
    """Time of the three heads for one new frame, as live: reset and previous frame are known."""
    rng = np.random.default_rng(0)
    scene = rng.integers(0, 224, (128, 128, 3), dtype=np.uint8)
    frames = [CameraFrame(scene + rng.integers(0, 32, scene.shape, np.uint8), i, "front") for i in range(repeat + 2)]
    times = []
    for previous, current in pairwise(frames[1:]):
        started = time.perf_counter()
        pipeline.score("put the red cube in the blue bowl", frames[0], previous, current)
        times.append(time.perf_counter() - started)
    return {"p50": float(np.quantile(times, 0.5)), "p99": float(np.quantile(times, 0.99))}


def _print(
    figures: dict[str, dict[str, float]],
    latency_s: dict[str, float],
    missed: dict[str, list[str]],
    scored: list[ScoredEpisode],
) -> None:
    table = Table("figure", *figures, "bar")
    for name in next(iter(figures.values())):
        cells = [
            f"[red]{row[name]:.3f}[/]" if name in missed[split] else f"{row[name]:.3f}"
            for split, row in figures.items()
        ]
        table.add_row(name, *cells, str(BARS.get(name, "")))
    console = Console()
    console.print(table)
    console.print(f"three heads, one frame: p50 {latency_s['p50'] * 1e3:.0f} ms, p99 {latency_s['p99'] * 1e3:.0f} ms")
    by_outcome = Table("outcome", "episodes", "last completion", "last progress", "true progress")
    for outcome in sorted({e.outcome for e in scored}):
        rows = [e for e in scored if e.outcome == outcome]
        last = {
            head: np.mean([e.column(head)[-1] for e in rows]) for head in (RewardHead.COMPLETION, RewardHead.PROGRESS)
        }
        truth = np.mean([e.progress[-1] for e in rows])
        by_outcome.add_row(outcome, str(len(rows)), *(f"{value:.2f}" for value in last.values()), f"{truth:.2f}")
    console.print(by_outcome)


if __name__ == "__main__":
    end(main)
