"""Teaches the keypoint encoder where things are, from episodes whose positions are known (a simulator).

Every frame is one example: what stands where. Things that are not in a scene are left out of its loss.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from lrm_core.episodes import EpisodeRecord
from lrm_core.errors import BadInput
from lrm_policy_node.lerobot.vision import KeypointVisionStep, normalised

PLACES = ("object", "container", "distractor_object", "distractor_container")
"""Entries of ``EpisodeRecord.positions`` that ``labels`` names."""


@dataclass(frozen=True)
class VisionSettings:
    """Steps, batch, learning rate (AdamW, cosine), brightness and gain jitter, share kept for the test."""

    steps: int = 20_000
    batch_size: int = 64
    learning_rate: float = 2e-3
    gain: float = 0.15
    brightness: float = 0.06
    test_share: float = 0.1
    seed: int = 0
    seconds: float = math.inf


@dataclass(frozen=True)
class Scenes:
    """Frames (N, 3, H, W) uint8 and positions (N, things, 3) m, NaN where a thing is not in the scene."""

    things: list[str]
    frames: Tensor
    positions: Tensor


def scenes(episodes: Iterable[EpisodeRecord]) -> Scenes:
    """Frames and positions of episodes, in order; raises BadInput when there is none."""
    frames, places = [], []
    for episode in episodes:
        frames.append(episode.front)
        places.append({episode.labels[key]: episode.positions[key] for key in PLACES if key in episode.labels})
    if not frames:
        raise BadInput("episodes", "none", "at least one episode with labelled positions")
    things = sorted({name for place in places for name in place})
    absent = [np.full((len(images), 3), np.nan) for images in frames]
    rows = [np.stack([p.get(t, a) for t in things], axis=1) for p, a in zip(places, absent, strict=True)]
    return Scenes(
        things,
        torch.from_numpy(np.concatenate(frames)).permute(0, 3, 1, 2).contiguous(),
        torch.from_numpy(np.concatenate(rows).astype(np.float32)),
    )


def train_vision(
    data: Scenes, settings: VisionSettings, device: torch.device
) -> tuple[KeypointVisionStep, dict[str, float]]:
    """Train until ``settings.steps`` or ``settings.seconds``.

    Returns:
        The encoder as a pipeline step, and the mean horizontal error of each thing on the last frames, metres.
    """
    torch.manual_seed(settings.seed)
    step = KeypointVisionStep(data.things, list(data.frames.shape[2:]))
    encoder = step.encoder.to(device).train()
    known = ~torch.isnan(data.positions)
    encoder.mean_m.copy_(torch.nanmean(data.positions, 0))
    frames, positions, known = (t.to(device) for t in (data.frames, data.positions.nan_to_num(), known))
    last = int(len(frames) * (1.0 - settings.test_share))
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=settings.learning_rate, weight_decay=1e-4)
    started_s = time.monotonic()
    for number in (bar := tqdm(range(settings.steps), desc="teach the encoder", mininterval=2.0)):
        elapsed = (time.monotonic() - started_s) / settings.seconds
        if elapsed >= 1.0:
            break
        rate = settings.learning_rate * _cosine(max(elapsed, number / settings.steps))
        optimizer.param_groups[0]["lr"] = rate
        index = torch.randint(last, (settings.batch_size,), device=device)
        with torch.autocast(device.type, torch.bfloat16):  # keypoints need more precision than heat maps
            heat = encoder.convolutions(_jittered(frames[index], settings))
        error = (encoder.locate(heat.float()) - positions[index]).abs()[known[index]].mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        if number % 100 == 0:
            bar.set_postfix(error_cm=f"{100 * float(error.detach()):.2f}")
    step.encoder = encoder.cpu().eval()
    return step, _errors(step, data, last)


def _jittered(frames: Tensor, settings: VisionSettings) -> Tensor:
    shape = (len(frames), 3, 1, 1)
    gain = 1.0 + settings.gain * (2.0 * torch.rand(shape, device=frames.device) - 1.0)
    lift = 2.0 * settings.brightness * (2.0 * torch.rand((len(frames), 1, 1, 1), device=frames.device) - 1.0)
    return ((normalised(frames) + 1.0) * gain - 1.0 + lift).clamp(-1.0, 1.0)


@torch.inference_mode()
def _errors(step: KeypointVisionStep, data: Scenes, first: int) -> dict[str, float]:
    batches = torch.split(data.frames[first:], 256)
    found = torch.cat([step.encode(batch) for batch in batches]).unflatten(1, (len(data.things), 3))
    distance_m = (found - data.positions[first:])[..., :2].norm(dim=-1)
    return {thing: float(torch.nanmean(distance_m[:, i])) for i, thing in enumerate(data.things)}


def _cosine(share: float) -> float:
    return 0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * min(1.0, share)))
