"""Speed of the reward engine beside the original's way of serving: same weights, same frames, one run.

Streams are robots whose frames come from simulated episodes of different scenes. In every round each stream has one new
frame and wants three scores ("tri"). The original's way answers them one call after the other
(:mod:`bench.original_serving`); ours scores all streams in one call, and, on a second instance with its own caches, one
stream after the other for the latency. Rounds alternate, so that other load on the machine hits both.

    python -m bench.reward_engine [--json out/engine.json] [--streams 12] [--rounds 18]

A decision is the answer: of ours the most likely legal answer, of the original's the generated one. They agree when
they are equal (contrastive A or B, progress one of eleven values, completion yes or no); an answer that cannot be
parsed agrees with nothing. Exit code 1 when a bar is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, cycle, islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from bench.original_serving import OriginalClient
from lrm_core.episodes import EpisodeRecord
from lrm_core.errors import LrmError
from lrm_core.frames import CameraFrame
from lrm_core.rewards import MODEL_HEADS, RewardEstimate, RewardHead
from lrm_core.sources import source_function
from lrm_reward_node.evaluation.episodes import FRAME_NS, query_frames
from lrm_reward_node.model import RewardQuery
from lrm_reward_node.pipeline import RewardPipeline
from lrm_reward_node.readout import ANSWERS
from lrm_reward_node.training.episodes_io import SOURCE_PARAMETERS
from lrm_reward_node.vlm.loading import Checkpoint, load_checkpoint
from lrm_reward_node.vlm.qwen import QwenRewardModel

BARS = {"throughput_ratio": 8.0, "latency_ratio": 5.0, "decision_agreement": 0.99}
FRAMES_PER_QUERY = 2
REPLAY_BATCH = 32
MATRIX_PRODUCTS = ("aten::mm", "aten::addmm", "aten::addmm_", "aten::bmm", "mkldnn::_linear_pointwise")
ATTENTION = "scaled_dot_product"

Item = tuple[str, CameraFrame, CameraFrame, CameraFrame]
"""Task, first frame, frame of the previous query, frame that is scored."""


@dataclass
class Measured:
    """What the rounds gave: seconds per round and per stream of both ways, and the answers of both."""

    original_round_s: list[float] = field(default_factory=list)
    ours_round_s: list[float] = field(default_factory=list)
    original_stream_s: list[float] = field(default_factory=list)
    ours_stream_s: list[float] = field(default_factory=list)
    generated: dict[RewardHead, list[float | None]] = field(default_factory=lambda: {h: [] for h in MODEL_HEADS})
    estimates: dict[RewardHead, list[RewardEstimate]] = field(default_factory=lambda: {h: [] for h in MODEL_HEADS})


def main() -> int:
    """Measure, print, write JSON when asked."""
    args = _arguments()
    torch.set_num_threads(args.threads)
    source = source_function(args.source, parameters=SOURCE_PARAMETERS)
    episodes = list(source(split="held_out_seeds", episodes=args.streams, workers=1, every=5))
    checkpoint = load_checkpoint(args.model, None, "cpu", "float32")
    client = OriginalClient(args.model, args.threads)
    try:
        measured = _measure(checkpoint, client, _rounds(episodes, args.rounds + 1))
    finally:
        client.close()
    figures = _figures(measured, args.streams) | {
        "replay_frames_per_s": _replay(checkpoint, episodes),
        "share_outside_matrix_products": _share_outside(checkpoint, _rounds(episodes, 4)),
        "streams": args.streams,
        "rounds": args.rounds,
        "frames": args.streams * args.rounds,
        "threads": args.threads,
        "cores": os.cpu_count(),
    }
    missed = [name for name, bar in BARS.items() if figures[name] < bar]
    _print(figures, missed)
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(figures | {"bars": BARS, "missed": missed}, indent=2) + "\n")
    return 1 if missed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="models/lrm-tiny", help="folder of the checkpoint")
    parser.add_argument("--source", default="lrm_sim.reward_data:reward_episodes", metavar="MODULE:FUNCTION")
    parser.add_argument("--streams", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=18, help="new frames per stream; one more warms both ways up")
    parser.add_argument("--threads", type=int, default=1, help="torch threads of each way")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    return parser.parse_args()


def _stream(episodes: Sequence[EpisodeRecord]) -> Iterator[Item]:
    """Episode after episode for ever, asked as in a live run, from the second query on."""
    for episode in cycle(episodes):
        index = query_frames(len(episode.front), FRAMES_PER_QUERY)
        frames = [CameraFrame(episode.front[i], (int(i) + 1) * FRAME_NS, "front") for i in index]
        for previous, current in pairwise(frames):
            yield episode.task, frames[0], previous, current


def _rounds(episodes: Sequence[EpisodeRecord], rounds: int) -> list[list[Item]]:
    """Per round one item per stream; each stream starts with another episode."""
    streams = [islice(_stream([*episodes[i:], *episodes[:i]]), rounds) for i in range(len(episodes))]
    return [list(row) for row in zip(*streams, strict=True)]


def _measure(checkpoint: Checkpoint, client: OriginalClient, rounds: list[list[Item]]) -> Measured:
    together, alone = (RewardPipeline(QwenRewardModel(checkpoint)) for _ in range(2))
    measured = Measured()
    for number, items in enumerate(rounds):
        one = Measured()
        for item in items:
            started = time.perf_counter()
            for query in together.queries(*item):
                one.generated[query.head].append(client.ask(query.head, query.task, _images(query)))
            one.original_stream_s.append(time.perf_counter() - started)
        started = time.perf_counter()
        rows = together.score_batch(items)
        one.ours_round_s.append(time.perf_counter() - started)
        for item in items:
            started = time.perf_counter()
            alone.score(*item)
            one.ours_stream_s.append(time.perf_counter() - started)
        one.original_round_s.append(sum(one.original_stream_s))
        for estimate in chain.from_iterable(rows):
            if estimate.head in one.estimates:
                one.estimates[estimate.head].append(estimate)
        if number:  # the first round warms both ways up
            _join(measured, one)
    return measured


def _join(measured: Measured, one: Measured) -> None:
    for name, values in vars(one).items():
        into = getattr(measured, name)
        if isinstance(values, list):
            into.extend(values)
        else:
            for head, answers in values.items():
                into[head].extend(answers)


def _images(query: RewardQuery) -> list[np.ndarray]:
    return [query.current] if query.reference is None else [query.reference, query.current]


def _figures(measured: Measured, streams: int) -> dict[str, Any]:
    ratio = np.array(measured.original_round_s) / np.array(measured.ours_round_s)
    latency = {"original": measured.original_stream_s, "ours": measured.ours_stream_s}
    per_round = {name: np.reshape(times, (-1, streams)).mean(1) for name, times in latency.items()}
    latency_ratio = per_round["original"] / per_round["ours"]
    agreement = {head.value: _agreement(measured, head) for head in MODEL_HEADS}
    mean = [abs(e.value - v) <= 0.1 if v is not None else False for e, v in _pairs(measured, RewardHead.PROGRESS)]
    return {
        "throughput_ratio": float(np.median(ratio)),
        "throughput_ratio_p10_p90": np.quantile(ratio, (0.1, 0.9)).tolist(),
        "latency_ratio": float(np.median(latency_ratio)),
        "latency_ratio_p10_p90": np.quantile(latency_ratio, (0.1, 0.9)).tolist(),
        "decision_agreement": float(np.mean(list(agreement.values()))),
        "decision_agreement_per_head": agreement,
        "progress_mean_within_0.1_of_generated": float(np.mean(mean)),
        "frames_per_s": {
            "original": streams / float(np.median(measured.original_round_s)),
            "ours": streams / float(np.median(measured.ours_round_s)),
        },
        "latency_s": {
            name: {"p50": float(np.quantile(times, 0.5)), "p99": float(np.quantile(times, 0.99))}
            for name, times in latency.items()
        },
    }


def _pairs(measured: Measured, head: RewardHead) -> Iterator[tuple[RewardEstimate, float | None]]:
    return zip(measured.estimates[head], measured.generated[head], strict=True)


def _agreement(measured: Measured, head: RewardHead) -> float:
    """Share of frames where the most likely legal answer is the generated one."""
    values = dict(zip(ANSWERS[head].texts, ANSWERS[head].values, strict=True))
    return float(np.mean([e.ok and values[e.raw_text] == value for e, value in _pairs(measured, head)]))


def _replay(checkpoint: Checkpoint, episodes: Sequence[EpisodeRecord]) -> float:
    """Frames per second, three scores each, of recorded episodes in full batches."""
    pipeline = RewardPipeline(QwenRewardModel(checkpoint))
    per_episode = [len(query_frames(len(episode.front), FRAMES_PER_QUERY)) - 1 for episode in episodes]
    items = list(islice(_stream(episodes), sum(per_episode)))
    started = time.perf_counter()
    for at in range(0, len(items), REPLAY_BATCH):
        pipeline.score_batch(items[at : at + REPLAY_BATCH])
    return len(items) / (time.perf_counter() - started)


def _share_outside(checkpoint: Checkpoint, rounds: list[list[Item]]) -> float:
    """Share of a round's wall time that is neither matrix product nor fused attention; the profiler's cost is in it."""
    pipeline = RewardPipeline(QwenRewardModel(checkpoint))
    pipeline.score_batch(rounds[0])
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        started = time.perf_counter()
        for items in rounds[1:]:
            pipeline.score_batch(items)
        wall_us = (time.perf_counter() - started) * 1e6
    inside_us = sum(
        event.self_cpu_time_total
        for event in profile.key_averages()
        if event.key in MATRIX_PRODUCTS or ATTENTION in event.key
    )
    return 1.0 - inside_us / wall_us


def _print(figures: dict[str, object], missed: list[str]) -> None:
    table = Table("figure", "value", "bar")
    for name, value in figures.items():
        table.add_row(f"[red]{name}[/]" if name in missed else name, _text(value), str(BARS.get(name, "")))
    Console().print(table)


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(one)}" for name, one in value.items())
    if isinstance(value, list):
        return " … ".join(map(_text, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LrmError as error:
        print(f"reward_engine: {error}", file=sys.stderr)
        sys.exit(2)
