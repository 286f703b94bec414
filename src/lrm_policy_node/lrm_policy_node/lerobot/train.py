"""Trains an ACT policy on demonstrations; the command is ``lrm train policy`` (:mod:`lrm_policy_node.cli`).

The frames stay on the training device as uint8; a batch is a gather there, with a random shift of a pixel (Kostrikov et
al. 2020). With a keypoint encoder every front image is encoded once and only its features are kept. The weights that
are saved are an exponential moving average. Training resumes from ``state.pt``.
"""

from __future__ import annotations

import contextlib
import copy
import json
import math
import os
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from lrm_core.errors import BadInput
from lrm_policy_node.lerobot import model
from lrm_policy_node.lerobot.demonstrations import ACTION_KEY, STATE_KEY, Demonstrations
from lrm_policy_node.lerobot.vision import FEATURES_KEY, FRONT_KEY, KeypointVisionStep

_ENCODED_AT_ONCE = 64


@dataclass(frozen=True)
class TrainSettings:
    """Steps, batch, learning rate (AdamW, warm-up and cosine), shift in pixels, moving average, time limit.

    ``input_noise`` is added to normalised features of an encoder and, a fifth of it, to normalised joint positions.
    """

    steps: int = 12_000
    batch_size: int = 256
    learning_rate: float = 3e-4
    weight_decay: float = 1e-4
    warmup_steps: int = 300
    shift_pixels: int = 1
    input_noise: float = 0.02
    average_decay: float = 0.999
    chunk_size: int = 10
    seed: int = 0
    seconds: float = math.inf
    save_every_s: float = 60.0


class FrameBank:
    """All frames, or their features, on one device; draws augmented, normalised batches."""

    def __init__(
        self,
        data: Demonstrations,
        features: torch.Tensor | None,
        stats: dict[str, dict[str, torch.Tensor]],
        settings: TrainSettings,
        device: torch.device,
    ) -> None:
        images = data.images if features is None else {}
        self.images = {key: torch.from_numpy(frames).to(device) for key, frames in images.items()}
        self.features = None if features is None else features.to(device)
        self.scale = {key: {name: value.to(device) for name, value in s.items()} for key, s in stats.items()}
        self.states = torch.from_numpy(data.states).to(device)
        self.actions = torch.from_numpy(data.actions).to(device)
        self.last = torch.from_numpy(data.last).to(device)
        self.settings, self.device = settings, device
        self.generator = torch.Generator(device=device).manual_seed(settings.seed)

    def batch(self) -> dict[str, torch.Tensor]:
        """Images (B, 3, H, W) or features (B, F), states (B, J), actions (B, chunk_size, J), mask of padded actions."""
        size, chunk = self.settings.batch_size, self.settings.chunk_size
        index = torch.randint(len(self.states), (size,), generator=self.generator, device=self.device)
        future = index[:, None] + torch.arange(chunk, device=self.device)
        last = self.last[index][:, None]
        batch = {
            STATE_KEY: self.states[index],
            ACTION_KEY: self.actions[torch.minimum(future, last)],
            "action_is_pad": future > last,
        }
        for key, frames in self.images.items():
            batch[key] = self._shifted(frames, index).permute(0, 3, 1, 2).float() / 255.0
        if self.features is not None:
            batch[FEATURES_KEY] = self.features[index].float()
        return self._noisy(_normalised(batch, self.scale))

    def _noisy(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        noise = self.settings.input_noise
        for key, scale in ((FEATURES_KEY, noise), (STATE_KEY, noise / 5)):
            if self.features is not None:
                shape = batch[key].shape
                batch[key] = batch[key] + scale * torch.randn(shape, generator=self.generator, device=self.device)
        return batch

    def _shifted(self, frames: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        height, width = frames.shape[1:3]
        rows = self._window(height, len(index))
        columns = self._window(width, len(index))
        return frames[index[:, None, None], rows[:, :, None], columns[:, None, :]]

    def _window(self, length: int, size: int) -> torch.Tensor:
        shift = self.settings.shift_pixels
        offset = torch.randint(-shift, shift + 1, (size, 1), generator=self.generator, device=self.device)
        return (torch.arange(length, device=self.device) + offset).clamp(0, length - 1)


def _encoded(vision: KeypointVisionStep, data: Demonstrations) -> torch.Tensor:
    if FRONT_KEY not in data.images:
        fix = "Leave --scenes out: the policy then sees through every camera there is."
        raise BadInput("cameras of the demonstrations", list(data.images), f"{FRONT_KEY} among them", fix)
    return encode(vision, data.images[FRONT_KEY])


def encode(vision: KeypointVisionStep, frames: np.ndarray) -> torch.Tensor:
    """Features of all frames: (N, H, W, 3) uint8 -> (N, F) half precision."""
    parts = [frames[i : i + _ENCODED_AT_ONCE] for i in range(0, len(frames), _ENCODED_AT_ONCE)]
    bar = tqdm(parts, desc="encode front images", mininterval=2.0)
    return torch.cat([vision.encode(torch.from_numpy(part).permute(0, 3, 1, 2)).half() for part in bar])


def train(
    data: Demonstrations,
    folder: Path,
    settings: TrainSettings,
    device: torch.device,
    vision: KeypointVisionStep | None = None,
    about: Mapping[str, Any] | None = None,
) -> float:
    """Train until ``settings.steps`` or ``settings.seconds``; returns the mean L1 loss of the last 100 steps.

    ``folder`` receives a LeRobot pretrained folder and, while training is unfinished, ``state.pt`` to resume from.
    ``vision``: frozen encoder for the front camera.
    ``about``: where the demonstrations come from; kept in ``training.json``.
    """
    torch.manual_seed(settings.seed)
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    features = _encoded(vision, data) if vision else None
    stats = model.dataset_stats(data, features)
    policy = model.build(model.act_config(data, settings.chunk_size, vision=vision)).to(device)
    run = _Run(policy, settings, folder)
    bank = FrameBank(data, features, stats, settings, device)
    started_s, saved_s = time.monotonic(), time.monotonic()
    losses: deque[torch.Tensor] = deque(maxlen=100)
    with tqdm(total=settings.steps, initial=run.step, desc=folder.name, mininterval=2.0) as bar:
        while run.step < settings.steps and time.monotonic() - started_s < settings.seconds:
            share = max(run.step / settings.steps, (time.monotonic() - started_s) / settings.seconds)
            losses.append(run.update(bank.batch(), device, share))
            bar.update()
            if run.step % 100 == 0:
                bar.set_postfix(l1=f"{_mean(losses):.4f}")
            if time.monotonic() - saved_s > settings.save_every_s:
                run.checkpoint()
                saved_s = time.monotonic()
    model.save(run.average, stats, folder, vision)
    figures = {"settings": asdict(settings), "episodes": data.episodes, "steps": run.step, "l1": _mean(losses)}
    (folder / "training.json").write_text(json.dumps({**(about or {}), **figures}, indent=2, default=str) + "\n")
    run.finish()
    return _mean(losses)


class _Run:
    """Policy, moving average, optimizer and schedule; saved and restored together."""

    def __init__(self, policy: Any, settings: TrainSettings, folder: Path) -> None:
        self.policy, self.settings, self.folder, self.step = policy, settings, folder, 0
        self.average = copy.deepcopy(policy).eval()
        self._averaged, self._live = _floating(self.average), _floating(policy)
        self.optimizer = torch.optim.AdamW(
            policy.parameters(),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=next(policy.parameters()).is_cuda,
        )
        path = folder / "state.pt"
        if path.is_file():
            state = torch.load(path, map_location=next(policy.parameters()).device, weights_only=True)
            self.policy.load_state_dict(state["policy"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step = int(state["step"])

    def update(self, batch: dict[str, torch.Tensor], device: torch.device, share: float) -> torch.Tensor:
        """One gradient step, ``share`` of the training being done; returns the L1 loss, still on the device."""
        self.policy.train()
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.learning_rate * _schedule(self.step, share, self.settings)
        half = torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else contextlib.nullcontext()
        with half:
            loss, _ = self.policy(batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.policy.parameters(), 10.0)
        self.optimizer.step()
        self.step += 1
        self._follow()
        return loss.detach()

    @torch.no_grad()
    def _follow(self) -> None:
        decay = min(self.settings.average_decay, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(self._averaged, self._live, 1.0 - decay)

    def checkpoint(self) -> None:
        """Write ``state.pt`` so that a kill leaves the old one or the new one, never half of one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "state.pt"
        state = {
            "policy": self.policy.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
        }
        with (temporary := path.with_suffix(".tmp")).open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)

    def finish(self) -> None:
        """Keep what a resumed training needs, only if there is something left to train."""
        if self.step < self.settings.steps and math.isinf(self.settings.seconds):
            self.checkpoint()
        else:
            (self.folder / "state.pt").unlink(missing_ok=True)


def _normalised(batch: dict[str, torch.Tensor], stats: dict[str, dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    return {k: (v - stats[k]["mean"]) / stats[k]["std"] if k in stats else v for k, v in batch.items()}


def _schedule(step: int, share: float, settings: TrainSettings) -> float:
    cosine = 0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * min(1.0, share)))
    return min(1.0, (step + 1) / settings.warmup_steps) * cosine


def _floating(module: nn.Module) -> list[torch.Tensor]:
    return [tensor for tensor in module.state_dict().values() if tensor.is_floating_point()]


def _mean(losses: deque[torch.Tensor]) -> float:
    return float(torch.stack(list(losses)).mean()) if losses else math.nan


if __name__ == "__main__":
    import sys

    from lrm_policy_node.cli import main

    sys.exit(main())
