"""Figures of the reward engine by itself: replay, shares of the device's limits, where the time goes."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch

from bench.engine_rounds import Item
from bench.limits import WorkCounter, ceilings
from lrm_reward_node.pipeline import RewardPipeline
from lrm_reward_node.vlm.loading import Checkpoint
from lrm_reward_node.vlm.qwen import QwenRewardModel

REPLAY_BATCH = 32
MATRIX_PRODUCTS = ("aten::mm", "aten::addmm", "aten::addmm_", "aten::bmm", "mkldnn::_linear_pointwise")
ATTENTION = "scaled_dot_product"
SHARE_ROUNDS = 7
PROFILED_ROWS = 40


def figures_alone(checkpoint: Checkpoint, rounds: list[list[Item]], device: str) -> dict[str, Any]:
    """Figures of our way by itself."""
    figures: dict[str, Any] = {"replay_frames_per_s": _replay(checkpoint, rounds)}
    if device == "cpu":
        figures["share_outside_matrix_products"] = _share_outside(checkpoint, rounds[:4])
    ceiling = ceilings(device, next(checkpoint.model.parameters()).dtype)
    return figures | {"ceilings": ceiling, "shares": _shares(checkpoint, rounds, ceiling)}


def _shares(checkpoint: Checkpoint, rounds: list[list[Item]], ceiling: dict[str, float]) -> dict[str, Any]:
    """Work of a round and of a single frame, and the share of the measured limits that it reaches."""
    shares = {}
    for name, of in (("round", lambda items: items), ("frame", lambda items: items[:1])):
        pipeline = RewardPipeline(QwenRewardModel(checkpoint))
        batches = [of(items) for items in rounds[:SHARE_ROUNDS]]
        pipeline.score_batch(batches[0])
        with WorkCounter() as work:
            pipeline.score_batch(batches[1])
        seconds = []
        for items in batches[2:]:
            started = time.perf_counter()
            pipeline.score_batch(items)
            seconds.append(time.perf_counter() - started)
        time_s = float(np.median(seconds))
        shares[name] = {
            "time_s": time_s,
            "flops": work.flops,
            "bytes": work.bytes,
            "arithmetic_share": work.flops / time_s / ceiling["flops_per_s"],
            "bandwidth_share": work.bytes / time_s / ceiling["bytes_per_s"],
        }
    return shares


def _replay(checkpoint: Checkpoint, rounds: list[list[Item]]) -> float:
    """Frames per second, three scores each, of recorded episodes in full batches."""
    pipeline = RewardPipeline(QwenRewardModel(checkpoint))
    items = [item for stream in zip(*rounds, strict=True) for item in stream]
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


def profile_alone(checkpoint: Checkpoint, rounds: list[list[Item]]) -> str:
    """Where the time of one stream's frames goes, as torch's profiler tells it."""
    pipeline = RewardPipeline(QwenRewardModel(checkpoint))
    items = [items[0] for items in rounds]
    for item in items[:3]:
        pipeline.score(*item)
    activities = [torch.profiler.ProfilerActivity.CPU]
    if torch.cuda.is_available():
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=activities) as profile:
        for item in items[3:6]:
            pipeline.score(*item)
    order = "self_cuda_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
    return str(profile.key_averages().table(sort_by=order, row_limit=PROFILED_ROWS, max_name_column_width=90))
