"""Scored trajectories as the official script writes them, ``vlm_scores.json``, read as they are."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lrm_core.errors import BadInput

MODES = ("completion", "progress", "comparison")
_KEYS = {
    "completion": ("completion_scores", "vlm_completion_score"),
    "progress": ("completion_scores", "vlm_completion_score"),
    "comparison": ("comparison_scores", "vlm_comparison_score"),
}


@dataclass(frozen=True)
class Trajectory:
    """One episode with the scores of one head and the privileged ("oracle") reward.

    Attributes:
        name: the file's ``traj_dir``.
        task: task sentence.
        success: the episode succeeded at some time; None: nobody knows.
        score_t: (Q,) control step of each score.
        scores: (Q,) the scores; NaN: the model gave none.
        oracle_t: (T,) control steps.
        oracle_reward: (T,) privileged reward per step.
        cumulative: (T,) its running sum.
        total: total oracle reward; NaN: there is no oracle.
    """

    name: str
    task: str
    success: bool | None
    score_t: np.ndarray
    scores: np.ndarray
    oracle_t: np.ndarray
    oracle_reward: np.ndarray
    cumulative: np.ndarray
    total: float

    def cumulative_at(self, t: np.ndarray) -> np.ndarray:
        """Cumulative oracle reward at or before the control steps ``t``; 0 before the first."""
        index = np.searchsorted(self.oracle_t, t, side="right") - 1
        return (
            np.where(index >= 0, self.cumulative[np.maximum(index, 0)], 0.0)
            if len(self.cumulative)
            else np.zeros(len(t))
        )


def read_scores(paths: Iterable[Path]) -> tuple[str, list[Trajectory]]:
    """Mode and trajectories of one or several ``vlm_scores.json`` files of the same mode, merged.

    Raises:
        BadInput: a file is not of this format, or the modes differ.
    """
    mode, trajectories = "", []
    for path in paths:
        data = _load(path)
        if data.get("mode") not in MODES:
            raise BadInput(f"mode in {path}", data.get("mode"), f"one of {list(MODES)}")
        if mode and data["mode"] != mode:
            raise BadInput(f"mode in {path}", data["mode"], f"{mode}, as in the files before")
        mode = data["mode"]
        try:
            trajectories += [_trajectory(mode, entry) for entry in data["trajectories"]]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadInput("scores file", str(path), "the format of vlm_scores.json", repr(error)) from error
    if not trajectories:
        raise BadInput("scores files", [], "at least one file with at least one trajectory")
    return mode, trajectories


def _load(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BadInput("scores file", str(path), "a readable vlm_scores.json", str(error)) from error
    if not isinstance(data, dict):
        raise BadInput("scores file", str(path), "a JSON object with mode and trajectories")
    return data


def _trajectory(mode: str, entry: Mapping[str, Any]) -> Trajectory:
    summary, steps = entry.get("summary") or {}, entry.get("oracle_steps") or []
    reward = _column(steps, "oracle_reward", 0.0)
    cumulative = _column(steps, "cumulative_reward", 0.0)
    if not cumulative.any():
        cumulative = np.cumsum(reward)
    scores_key, value_key = _KEYS[mode]
    scores = entry.get(scores_key) or []
    score_t, oracle_t = _column(scores, "t", math.nan), _column(steps, "t", math.nan)
    if not all(np.isfinite(numbers).all() for numbers in (score_t, oracle_t, reward, cumulative)):
        raise ValueError(f"{entry.get('traj_dir', '')}: a step without t, or an oracle reward that is not finite")
    success = summary.get("success_once")
    total = summary.get("total_oracle_reward")
    return Trajectory(
        name=str(entry.get("traj_dir", "")),
        task=str(summary.get("task_description", "")),
        success=bool(success) if success is not None else any(bool(step.get("success")) for step in steps),
        score_t=score_t,
        scores=_column(scores, value_key, math.nan),
        oracle_t=oracle_t,
        oracle_reward=reward,
        cumulative=cumulative,
        total=float(total) if total is not None else float(cumulative[-1]) if len(cumulative) else 0.0,
    )


def _column(rows: Sequence[Mapping[str, Any]], key: str, missing: float) -> np.ndarray:
    values = [row.get(key) for row in rows]
    return np.array([missing if value is None else float(value) for value in values], float)
