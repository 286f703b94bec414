"""One training stage: optimiser, schedule, time budget, log, resumable checkpoints. Knows nothing about the model."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from lrm_core.disk import room, whole_file
from lrm_reward_node.step_bar import StepBar

LOG_EVERY = 50
GO_ON = "Free some, then start the same command again with --resume (make tiny does): it goes on where it stopped."

Loss = Callable[[int], tuple[Tensor, Mapping[str, Tensor]]]
"""Gives the loss of a batch of the given size, and figures to log."""


class Draws(Protocol):
    """Sources of random numbers whose state goes into a checkpoint, so that a stage goes on as if never interrupted."""

    def state_dict(self) -> dict[str, Any]:
        """Their state, of tensors and text."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put them into a state that :meth:`state_dict` gave."""


@dataclass(frozen=True)
class StageParams:
    """Length and step size of one stage.

    Attributes:
        steps: optimiser steps.
        batch: samples per step.
        learning_rate: peak of the cosine schedule, after a linear warm-up over 3 % of the stage.
        muon_rate: the same for the matrices of hidden layers, which Muon then trains; 0: AdamW trains everything.
        minutes: the stage ends early, its schedule shortened, when this much time is used; 0: no limit.
    """

    steps: int
    batch: int
    learning_rate: float
    minutes: float = 0.0
    muon_rate: float = 0.0


def learning_rate_factor(done: float) -> float:
    """Cosine with warm-up over the share ``done`` of a stage, [0, 1]."""
    warm = 0.03
    if done < warm:
        return max(done, 1e-3) / warm
    return 0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * min(1.0, (done - warm) / (1.0 - warm))))


@dataclass
class StageState:
    """What a checkpoint of a stage in progress holds beside the weights."""

    step: int = 0
    elapsed_s: float = 0.0


class StageRunner:
    """Runs stages and keeps their log and checkpoints in one folder."""

    def __init__(self, folder: Path, checkpoint_every_s: float = 60.0) -> None:
        self.folder = folder
        self.checkpoint_every_s = checkpoint_every_s
        folder.mkdir(parents=True, exist_ok=True)

    def finished(self, name: str) -> bool:
        """True when a checkpoint of the whole stage exists."""
        return self._path(name, "done").exists()

    def load(self, name: str, kind: str, module: torch.nn.Module) -> dict[str, Any]:
        """Load a checkpoint's weights into ``module`` and return the rest of it."""
        saved = torch.load(self._path(name, kind), map_location="cpu", weights_only=True)
        module.load_state_dict(saved.pop("weights"))
        return saved

    def run(
        self,
        name: str,
        params: StageParams,
        module: torch.nn.Module,
        loss: Loss,
        resume: bool,
        draws: Draws | None = None,
    ) -> None:
        """Train the parameters of ``module`` that want gradients.

        Args:
            name: of the stage; names the log and the checkpoints.
            module: what is trained and checkpointed.
            loss: see :data:`Loss`.
            resume: go on from the stage's checkpoint when there is one.
            draws: what ``loss`` draws from.
        """
        optimizers = _optimizers(module, params)
        state = StageState()
        if resume and self._path(name, "part").exists():
            saved = self.load(name, "part", module)
            for optimizer, one in zip(optimizers, saved["optimizers"], strict=True):
                optimizer.load_state_dict(one)
            state = StageState(**saved["state"])
            if draws is not None:
                draws.load_state_dict(saved["draws"])
        with room(self.folder, GO_ON):
            self._steps(_Stage(name, params, module, loss, optimizers), state, draws)
        _save(self._path(name, "done"), {"weights": module.state_dict()})
        self._path(name, "part").unlink(missing_ok=True)

    def _steps(self, stage: _Stage, state: StageState, draws: Draws | None) -> None:
        started, saved_at = time.monotonic() - state.elapsed_s, time.monotonic()
        with _Reporter(stage.name, self.folder, stage.params.steps, state.step) as reporter:
            while (done := stage.share_done(state)) < 1.0:
                figures = stage.step(done)
                state.step += 1
                state.elapsed_s = time.monotonic() - started
                reporter.add(state, figures)
                if time.monotonic() - saved_at > self.checkpoint_every_s:
                    optimizers = [optimizer.state_dict() for optimizer in stage.optimizers]
                    part = {"weights": stage.module.state_dict(), "optimizers": optimizers}
                    drawn = {} if draws is None else {"draws": draws.state_dict()}
                    _save(self._path(stage.name, "part"), {**part, **drawn, "state": vars(state)})
                    saved_at = time.monotonic()

    def _path(self, name: str, kind: str) -> Path:
        return self.folder / f"{name}.{kind}.pt"


@dataclass
class _Stage:
    name: str
    params: StageParams
    module: torch.nn.Module
    loss: Loss
    optimizers: list[torch.optim.Optimizer]

    def share_done(self, state: StageState) -> float:
        budget_s = self.params.minutes * 60.0 or math.inf
        return max(state.step / self.params.steps, state.elapsed_s / budget_s)

    def step(self, done: float) -> dict[str, Tensor]:
        """One optimiser step at the share ``done`` of the stage; the figures to log."""
        groups = [group for optimizer in self.optimizers for group in optimizer.param_groups]
        for group in groups:
            group["lr"] = group["initial_lr"] * learning_rate_factor(done)
        value, figures = self.loss(self.params.batch)
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        value.backward()
        torch.nn.utils.clip_grad_norm_([p for group in groups for p in group["params"]], 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        return {"loss": value.detach(), **figures}


class _Reporter:
    """Means of the figures over ``LOG_EVERY`` steps, to a CSV file and to the progress bar."""

    def __init__(self, name: str, folder: Path, steps: int, done: int) -> None:
        self.name, self.steps, self.done = name, steps, done
        self.path = folder / f"{name}.csv"
        self.sums: dict[str, Tensor] = {}
        self.count = 0

    def __enter__(self) -> _Reporter:
        self.file = self.path.open("a", newline="")
        self.bar = StepBar(self.name, self.steps, self.done)
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()
        self.file.close()

    def add(self, state: StageState, figures: Mapping[str, Tensor]) -> None:
        """Count one step; report when it is time."""
        for key, figure in figures.items():
            self.sums[key] = self.sums.get(key, 0.0) + figure  # stays on the device: no wait per step
        self.count += 1
        if state.step % LOG_EVERY and state.step != self.steps:
            return
        means = {key: float(total) / self.count for key, total in self.sums.items()}
        self.sums, self.count = {}, 0
        self._write(state, means)
        self.bar.tell(state.step, means)

    def _write(self, state: StageState, means: Mapping[str, float]) -> None:
        writer = csv.writer(self.file)
        if self.file.tell() == 0:
            writer.writerow(["step", "elapsed_s", *means])
        writer.writerow([state.step, f"{state.elapsed_s:.1f}", *(f"{value:.5f}" for value in means.values())])
        self.file.flush()


_NOT_HIDDEN = ("embed", "lm_head", "heads.")
"""In the names of matrices at the ends of a model; Muon is made for those between."""
_DECAY = 0.02


def _optimizers(module: torch.nn.Module, params: StageParams) -> list[torch.optim.Optimizer]:
    """AdamW, and Muon (Jordan et al. 2024) for hidden matrices where the stage wants it.

    On two cores Muon gets the vision tower past its plateau in a third of AdamW's steps, at a tenth more time per step.
    """
    trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
    hidden = {name for name, p in trained.items() if p.ndim == 2 and not any(part in name for part in _NOT_HIDDEN)}
    rest = [p for name, p in trained.items() if not (params.muon_rate and name in hidden)]
    rate, groups = params.learning_rate, []
    for decay, chosen in ((_DECAY, [p for p in rest if p.ndim >= 2]), (0.0, [p for p in rest if p.ndim < 2])):
        groups.append({"params": chosen, "weight_decay": decay, "initial_lr": rate})
    adam = torch.optim.AdamW([group for group in groups if group["params"]], lr=rate, betas=(0.9, 0.98), fused=True)
    if not params.muon_rate:
        return [adam]
    # Scaled so that the rate is of the size of AdamW's (Liu et al. 2025, arXiv 2502.16982).
    muon = torch.optim.Muon(
        [{"params": [trained[name] for name in sorted(hidden)], "initial_lr": params.muon_rate}],
        lr=params.muon_rate, weight_decay=_DECAY, adjust_lr_fn="match_rms_adamw",
    )  # fmt: skip
    return [adam, muon]


def _save(path: Path, value: dict[str, Any]) -> None:
    with whole_file(path, GO_ON) as partial, partial.open("wb") as file:  # torch names no reason for a path
        torch.save(value, file)
