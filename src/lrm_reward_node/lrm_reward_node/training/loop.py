"""One training stage: optimiser, schedule, time budget, log, resumable checkpoints. Knows nothing about the model."""

from __future__ import annotations

import csv
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor

LOG_EVERY = 50


@dataclass(frozen=True)
class StageParams:
    """Length and step size of one stage.

    Attributes:
        steps: optimiser steps.
        batch: samples per step.
        learning_rate: peak of the cosine schedule, after a linear warm-up over 3 % of the stage.
        minutes: the stage ends early, its schedule shortened, when this much time is used; 0: no limit.
    """

    steps: int
    batch: int
    learning_rate: float
    minutes: float = 0.0


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
        loss: Callable[[int], tuple[Tensor, Mapping[str, Tensor]]],
        resume: bool,
    ) -> None:
        """Train the parameters of ``module`` that want gradients.

        Args:
            name: of the stage; names the log and the checkpoints.
            module: what is trained and checkpointed.
            loss: gives the loss of a batch of the given size, and figures to log.
            resume: go on from the stage's checkpoint when there is one.
        """
        trained = [p for p in module.parameters() if p.requires_grad]
        fused = trained[0].device.type == "cuda"
        optimizer = torch.optim.AdamW(_groups(trained), lr=params.learning_rate, betas=(0.9, 0.98), fused=fused)
        state = StageState()
        if resume and self._path(name, "part").exists():
            saved = self.load(name, "part", module)
            optimizer.load_state_dict(saved["optimizer"])
            state = StageState(**saved["state"])
        self._steps(name, params, module, loss, optimizer, state)
        _save(self._path(name, "done"), {"weights": module.state_dict()})
        self._path(name, "part").unlink(missing_ok=True)

    def _steps(self, name, params, module, loss, optimizer, state) -> None:  # type: ignore[no-untyped-def]
        started, saved_at = time.monotonic() - state.elapsed_s, time.monotonic()
        budget_s = params.minutes * 60.0 or math.inf
        sums: dict[str, Tensor] = {}
        with _bar() as bar, self._log(name) as log:
            shown = bar.add_task(name, total=params.steps, completed=state.step, note="")
            while state.step < params.steps:
                state.elapsed_s = time.monotonic() - started
                done = max(state.step / params.steps, state.elapsed_s / budget_s)
                if done >= 1.0:
                    break
                for group in optimizer.param_groups:
                    group["lr"] = params.learning_rate * learning_rate_factor(done)
                value, figures = loss(params.batch)
                optimizer.zero_grad(set_to_none=True)
                value.backward()
                torch.nn.utils.clip_grad_norm_([p for g in optimizer.param_groups for p in g["params"]], 1.0)
                optimizer.step()
                state.step += 1
                for key, figure in {"loss": value.detach(), **figures}.items():
                    sums[key] = sums.get(key, 0.0) + figure
                if state.step % LOG_EVERY == 0 or state.step == params.steps:
                    count = (state.step - 1) % LOG_EVERY + 1
                    means = {key: float(total) / count for key, total in sums.items()}
                    log(state, means)
                    note = " ".join(f"{k} {v:.3f}" for k, v in means.items())
                    bar.update(shown, completed=state.step, note=note)
                    if not bar.console.is_terminal and state.step % (10 * LOG_EVERY) == 0:
                        print(f"{name} {state.step}/{params.steps} {state.elapsed_s:.0f} s {note}", flush=True)
                    sums = {}
                if time.monotonic() - saved_at > self.checkpoint_every_s:
                    part = {"weights": module.state_dict(), "optimizer": optimizer.state_dict(), "state": vars(state)}
                    _save(self._path(name, "part"), part)
                    saved_at = time.monotonic()
            bar.update(shown, completed=state.step)

    def _path(self, name: str, kind: str) -> Path:
        return self.folder / f"{name}.{kind}.pt"

    def _log(self, name: str) -> _CsvLog:
        return _CsvLog(self.folder / f"{name}.csv")


class _CsvLog:
    """Appends one row per report; the header is written with the first row."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Callable[[StageState, Mapping[str, float]], None]:
        self.file = self.path.open("a", newline="")
        self.writer = csv.writer(self.file)
        return self.write

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def write(self, state: StageState, means: Mapping[str, float]) -> None:
        if self.file.tell() == 0:
            self.writer.writerow(["step", "elapsed_s", *means])
        self.writer.writerow([state.step, f"{state.elapsed_s:.1f}", *(f"{v:.5f}" for v in means.values())])
        self.file.flush()


def _groups(parameters: list[torch.nn.Parameter]) -> list[dict[str, Any]]:
    """Weight decay for matrices alone."""
    return [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": 0.02},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description:>12}"), BarColumn(30), MofNCompleteColumn(),
        TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(), TextColumn("{task.fields[note]}"),
    )  # fmt: skip


def _save(path: Path, value: dict[str, Any]) -> None:
    """Write so that a crash leaves the old file or the new one, never half of it."""
    part = path.with_suffix(".tmp")
    with part.open("wb") as file:
        torch.save(value, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
