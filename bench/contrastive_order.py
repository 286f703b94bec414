"""What the order of the two pictures does to the contrastive head, and what asking in both orders gains and costs.

Every comparison of held-out episodes, as in a live run (each query with the one before), is asked as it stands and the
other way round. Without a bias the two values cancel. The same episodes are scored with parameter ``contrastive_swap``
off and on, and the three heads of one new frame are timed with both in turn.

    python -m bench.contrastive_order [--episodes 100] [--workers 2] [--json out/order.json]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from bench.held_out import held_out_options
from bench.program import end, write_json
from lrm_core.episodes import EpisodeRecord
from lrm_core.frames import CameraFrame
from lrm_core.rewards import RewardHead
from lrm_core.sources import source_function
from lrm_reward_node.evaluation.episodes import query_frames, score_episodes
from lrm_reward_node.evaluation.quality import TIE, direction_accuracy
from lrm_reward_node.model import RewardModel, RewardQuery
from lrm_reward_node.pipeline import RewardPipeline
from lrm_reward_node.swap import in_both_orders
from lrm_reward_node.training.episodes_io import SOURCE_PARAMETERS, SPLITS
from lrm_reward_node.vlm.qwen import load

CALL_INTERVAL, EVERY = 10, 5
WAYS = {"one order": False, "both orders": True}


def main() -> int:
    """Measure, print a table, write JSON when asked."""
    args = _arguments()
    torch.set_num_threads(args.threads)
    source = source_function(args.source, parameters=SOURCE_PARAMETERS)
    model = load(args.model, args.adapters, args.device, args.dtype)
    ways = {name: RewardPipeline(in_both_orders(model, swap)) for name, swap in WAYS.items()}
    figures = {}
    for split in SPLITS[1:]:
        episodes = list(source(split=split, episodes=args.episodes, workers=args.workers, every=EVERY))
        gap = CALL_INTERVAL // EVERY
        accuracy = {name: direction_accuracy(list(score_episodes(way, episodes, gap))) for name, way in ways.items()}
        biases = {name: _bias(way.model, episodes, gap) for name, way in ways.items()}
        figures[split] = {name: {"direction_accuracy": accuracy[name], **biases[name]} for name in ways}
    latency_s = _latency_s(list(ways.values()), args.repeat)
    _print(figures, dict(zip(ways, latency_s, strict=True)))
    result = {"model": args.model, "fingerprint": model.fingerprint, "splits": figures}
    write_json(args.json, {**result, "latency_p50_s": dict(zip(ways, latency_s, strict=True))})
    return 0


def _arguments() -> argparse.Namespace:
    return held_out_options(__doc__, 100, "frames of the latency measurement").parse_args()


def _bias(model: RewardModel, episodes: Sequence[EpisodeRecord], gap: int) -> dict[str, float]:
    """What is left of v(A, B) + v(B, A), in [-2, 2], over the comparisons of a live run.

    ``order_bias``: its mean; ``order_spread``: its mean size; ``contradictions``: share of pairs of one sign;
    ``still_size``: mean size of v where nothing happened between the two frames.
    """
    sums, contradictions, still = [], [], []
    for episode in episodes:
        index = query_frames(len(episode.front), gap)
        frames = [episode.front[i] for i in index]
        orders = [pair for older, newer in pairwise(frames) for pair in ((older, newer), (newer, older))]
        queries = [RewardQuery(RewardHead.CONTRASTIVE, episode.task, b, 2, a, 1) for a, b in orders]
        values = np.array([estimate.value for estimate in model.score(queries)])
        sums.append(values[::2] + values[1::2])
        contradictions.append(values[::2] * values[1::2] > 0.0)
        still.append(np.abs(values[::2])[np.abs(np.diff(episode.progress[index])) < TIE])
    total = np.concatenate(sums)
    return {
        "order_bias": float(total.mean()),
        "order_spread": float(np.abs(total).mean()),
        "contradictions": float(np.concatenate(contradictions).mean()),
        "still_size": float(np.concatenate(still).mean()),
        "comparisons": float(len(total)),
    }


def _latency_s(ways: Sequence[RewardPipeline], repeat: int) -> list[float]:
    """Median time of the three heads for one new frame, as live, with each of ``ways`` in turn."""
    times: list[list[float]] = [[] for _ in ways]
    for turn in range(repeat):
        for place, pipeline in enumerate(ways):
            rng = np.random.default_rng(turn * len(ways) + place)
            pictures = rng.integers(0, 224, (128, 128, 3), np.uint8) + rng.integers(0, 32, (3, 128, 128, 3), np.uint8)
            reset, *frames = (CameraFrame(rgb, i + 1, "front") for i, rgb in enumerate(pictures))
            pipeline.score("put the red cube in the blue bowl", reset, reset, frames[0])
            started = time.perf_counter()
            pipeline.score("put the red cube in the blue bowl", reset, *frames)
            times[place].append(time.perf_counter() - started)
    return [float(np.median(one)) for one in times]


def _print(figures: dict[str, dict[str, dict[str, float]]], latency_s: dict[str, float]) -> None:
    rows = {f"{split}, {name}": row for split, ways in figures.items() for name, row in ways.items()}
    table = Table("figure", *rows)
    for name in next(iter(rows.values())):
        table.add_row(name, *(f"{row[name]:.3f}" for row in rows.values()))
    console = Console(width=max(Console().width, 120))
    console.print(table)
    for name, seconds in latency_s.items():
        console.print(f"three heads, one frame, {name}: p50 {seconds * 1e3:.1f} ms")


if __name__ == "__main__":
    end(main)
