"""Speed of the reward engine beside the original's way of serving: same weights, same frames, one run.

Streams are robots whose frames come from simulated episodes of different scenes. In every round each stream has one new
frame and wants three scores ("tri"). The original's way answers them one call after the other
(:mod:`bench.original_serving`); ours scores all streams in one call, and, on a second instance with its own caches, one
stream after the other for the latency. Rounds alternate, so that other load on the machine hits both.

    python -m bench.reward_engine [--json out/engine.json] [--streams 12] [--rounds 18]
    python -m bench.reward_engine --architecture 8b --device cuda:0 --dtype bfloat16 --original-rounds 1

With ``--architecture`` the weights are random, the frames noise (640 x 480 for ``8b``) and the original's answers as
long as natural ones; what they say means nothing and is left out.

A decision is the answer: of ours the most likely legal answer, of the original's the generated one. They agree when
they are equal (contrastive A or B, progress one of eleven values, completion yes or no); an answer that cannot be
parsed agrees with nothing. Exit code 1 when a bar is missed.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from bench.engine_alone import figures_alone, profile_alone
from bench.engine_rounds import Item, random_rounds, recorded_rounds
from bench.original_serving import OriginalClient
from bench.program import end, options, write_json
from bench.weights import Weights, configure_weights
from lrm_core.rewards import MODEL_HEADS, RewardEstimate, RewardHead
from lrm_reward_node.model import RewardQuery
from lrm_reward_node.pipeline import RewardPipeline
from lrm_reward_node.readout import ANSWERS
from lrm_reward_node.vlm.loading import Checkpoint
from lrm_reward_node.vlm.qwen import QwenRewardModel

AT_LEAST = {"throughput_ratio": 8.0, "latency_ratio": 5.0, "decision_agreement": 0.99}
AT_LEAST_8B = {"throughput_ratio": 20.0}
AT_MOST_8B = {"latency_p50_s": 0.05, "latency_p99_s": 0.1}
ANALYSIS_TOKENS = 128
"""Assumed length of the visual analysis before a comparison's answer: five or six sentences; the limit is 512."""
SHORT_STREAMS = 3


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
    weights = Weights.of(args)
    rounds = random_rounds(args) if args.architecture else recorded_rounds(args)
    checkpoint = weights.load()
    lengths = _lengths(checkpoint, args)
    client = OriginalClient(weights, args.threads)
    try:
        measured = _measure(checkpoint, client, rounds, args.original_rounds or args.rounds, lengths)
        figures = _figures(measured, args.streams)
        if lengths:
            figures |= _without_analysis(measured, client, rounds[0], lengths)
    finally:
        client.close()
    figures |= figures_alone(checkpoint, rounds, args.device) | {
        "answer_tokens": {head.value: length for head, length in lengths.items()},
        "streams": args.streams,
        "rounds": args.rounds,
        "frames": args.streams * args.rounds,
        "threads": args.threads,
        "cores": os.cpu_count(),
        "weights": vars(weights),
    }
    if args.profile:
        args.profile.write_text(profile_alone(checkpoint, rounds))
    at_least, at_most = _bars(args.architecture)
    missed = [name for name, bar in at_least.items() if figures[name] < bar]
    missed += [name for name, bar in at_most.items() if figures[name] > bar]
    bars = at_least | at_most
    _print(figures, bars, missed)
    write_json(args.json, figures | {"bars": bars, "missed": missed})
    return 1 if missed else 0


def _arguments() -> argparse.Namespace:
    parser = options(__doc__)
    configure_weights(parser)
    parser.add_argument("--source", default="lrm_sim.reward_data:reward_episodes", metavar="MODULE:FUNCTION")
    parser.add_argument("--streams", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=18, help="new frames per stream; one more warms both ways up")
    parser.add_argument("--original-rounds", type=int, default=0, help="rounds in which the original is asked; 0: all")
    parser.add_argument("--threads", type=int, default=1, help="torch threads of each way")
    parser.add_argument("--profile", type=Path, help="also write here where the time of single streams goes")
    return parser.parse_args()


def _lengths(checkpoint: Checkpoint, args: argparse.Namespace) -> dict[RewardHead, int]:
    """Tokens of each answer of the original; empty: to their natural end."""
    if not args.architecture:
        return {}
    from bench.random_checkpoint import natural_lengths

    return natural_lengths(checkpoint.processors[RewardHead.CONTRASTIVE].tokenizer, ANALYSIS_TOKENS)


def _bars(architecture: str) -> tuple[dict[str, float], dict[str, float]]:
    """What has to be reached and what must not be passed; nothing for a small model with random weights."""
    return {"": (AT_LEAST, {}), "8b": (AT_LEAST_8B, AT_MOST_8B)}.get(architecture, ({}, {}))


def _measure(
    checkpoint: Checkpoint,
    client: OriginalClient,
    rounds: list[list[Item]],
    original_rounds: int,
    lengths: dict[RewardHead, int],
) -> Measured:
    together, alone = (RewardPipeline(QwenRewardModel(checkpoint)) for _ in range(2))
    measured = Measured()
    for number, items in enumerate(rounds):
        one = Measured()
        if number <= original_rounds:
            asked = items if number else items[:1]  # every call is like the others: one stream warms the original up
            one.original_stream_s = [_ask(client, together, item, lengths, one.generated) for item in asked]
            one.original_round_s.append(sum(one.original_stream_s))
        rows, seconds = _timed(together.score_batch, items)
        one.ours_round_s.append(seconds)
        for item in items:
            one.ours_stream_s.append(_timed(alone.score, *item)[1])
        for estimate in chain.from_iterable(rows if one.original_round_s else ()):
            if estimate.head in one.estimates:
                one.estimates[estimate.head].append(estimate)
        if number:  # the first round warms both ways up
            _join(measured, one)
    return measured


def _ask(
    client: OriginalClient,
    pipeline: RewardPipeline,
    item: Item,
    lengths: dict[RewardHead, int],
    generated: dict[RewardHead, list[float | None]],
) -> float:
    """Seconds of the original for one frame; its answers go to ``generated``."""
    started = time.perf_counter()
    for query in pipeline.queries(*item):
        generated[query.head].append(client.ask(query.head, query.task, _images(query), lengths.get(query.head)))
    return time.perf_counter() - started


def _timed[Result](work: Callable[..., Result], *args: Any) -> tuple[Result, float]:
    started = time.perf_counter()
    result = work(*args)
    return result, time.perf_counter() - started


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
    compared = len(measured.original_round_s)
    ratio = np.array(measured.original_round_s) / np.array(measured.ours_round_s[:compared])
    latency = {
        "original": measured.original_stream_s,
        "ours": measured.ours_stream_s,
    }
    per_round = {name: np.reshape(times, (-1, streams)).mean(1) for name, times in latency.items()}
    latency_ratio = per_round["original"] / per_round["ours"][:compared]
    return _agreements(measured) | {
        "throughput_ratio": float(np.median(ratio)),
        "throughput_ratio_p10_p90": np.quantile(ratio, (0.1, 0.9)).tolist(),
        "latency_ratio": float(np.median(latency_ratio)),
        "latency_ratio_p10_p90": np.quantile(latency_ratio, (0.1, 0.9)).tolist(),
        "latency_p50_s": float(np.quantile(measured.ours_stream_s, 0.5)),
        "latency_p99_s": float(np.quantile(measured.ours_stream_s, 0.99)),
        "frames_per_s": {
            "original": streams / float(np.median(measured.original_round_s)),
            "ours": streams / float(np.median(measured.ours_round_s)),
        },
        "latency_s": {
            name: {"p50": float(np.quantile(times, 0.5)), "p99": float(np.quantile(times, 0.99))}
            for name, times in latency.items()
        },
    }


def _agreements(measured: Measured) -> dict[str, Any]:
    """How often both ways decide alike; nothing where the original's answers cannot be read."""
    if all(value is None for values in measured.generated.values() for value in values):
        return {}
    agreement = {head.value: _agreement(measured, head) for head in MODEL_HEADS}
    mean = [abs(e.value - v) <= 0.1 if v is not None else False for e, v in _pairs(measured, RewardHead.PROGRESS)]
    return {
        "decision_agreement": float(np.mean(list(agreement.values()))),
        "decision_agreement_per_head": agreement,
        "progress_mean_within_0.1_of_generated": float(np.mean(mean)),
    }


def _without_analysis(
    measured: Measured, client: OriginalClient, items: list[Item], lengths: dict[RewardHead, int]
) -> dict[str, float]:
    """The ratio if the original's comparison answered at once."""
    short = lengths | {RewardHead.CONTRASTIVE: lengths[RewardHead.CONTRASTIVE] - ANALYSIS_TOKENS}
    pipeline, unread = RewardPipeline(client), {head: [] for head in MODEL_HEADS}  # type: ignore[arg-type,var-annotated]
    seconds = [_ask(client, pipeline, item, short, unread) for item in items[:SHORT_STREAMS]]
    original_round_s = float(np.median(seconds)) * len(items)
    return {"throughput_ratio_without_analysis": original_round_s / float(np.median(measured.ours_round_s))}


def _pairs(measured: Measured, head: RewardHead) -> Iterator[tuple[RewardEstimate, float | None]]:
    return zip(measured.estimates[head], measured.generated[head], strict=True)


def _agreement(measured: Measured, head: RewardHead) -> float:
    """Share of frames where the most likely legal answer is the generated one."""
    values = dict(zip(ANSWERS[head].texts, ANSWERS[head].values, strict=True))
    return float(np.mean([e.ok and values[e.raw_text] == value for e, value in _pairs(measured, head)]))


def _print(figures: dict[str, object], bars: dict[str, float], missed: list[str]) -> None:
    table = Table("figure", "value", "bar")
    for name, value in figures.items():
        table.add_row(f"[red]{name}[/]" if name in missed else name, _text(value), str(bars.get(name, "")))
    Console().print(table)


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(one)}" for name, one in value.items())
    if isinstance(value, list):
        return " … ".join(map(_text, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    end(main)
