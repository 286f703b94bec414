"""Where the scores of a measurement come from: the simulator's truth, the truth with errors, or the reward model."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from lrm_core.frames import CameraFrame
from lrm_core.rewards import RewardHead
from lrm_core.transitions import Scores


class Scorer(Protocol):
    """Scores the frames of one episode after the other."""

    def begin(self, observation: dict[str, np.ndarray], info: dict[str, Any]) -> None:
        """A new episode; the reset frame."""

    def score(self, observation: dict[str, np.ndarray], info: dict[str, Any]) -> Scores:
        """Scores of a frame."""
        ...


class TruthScorer:
    """The simulator's progress and success, with the errors of a reward model.

    Args:
        progress_noise: standard deviation of progress.
        completion_error: probability that completion is wrong.
        rng: source of the errors.
    """

    def __init__(self, progress_noise: float, completion_error: float, rng: np.random.Generator) -> None:
        self.progress_noise, self.completion_error, self.rng = progress_noise, completion_error, rng

    def begin(self, observation: dict[str, np.ndarray], info: dict[str, Any]) -> None:
        """Nothing to remember."""

    def score(self, observation: dict[str, np.ndarray], info: dict[str, Any]) -> Scores:
        """Scores of a frame."""
        progress = (
            info["progress"] + self.rng.normal(0.0, self.progress_noise) if self.progress_noise else info["progress"]
        )
        wrong = self.rng.random() < self.completion_error
        return Scores(progress=float(np.clip(progress, 0.0, 1.0)), completion=float(info["success"] != wrong))


class ModelScorer:
    """The shipped reward model on the front images, as the reward node asks it."""

    def __init__(self) -> None:
        from lrm_core.resources import model_path
        from lrm_reward_node.pipeline import RewardPipeline
        from lrm_reward_node.vlm.qwen import load

        self._pipeline = RewardPipeline(load(str(model_path("lrm-tiny")), None, "cpu", "float32", "logits"))
        self._frames: list[CameraFrame] = []

    def begin(self, observation: dict[str, np.ndarray], info: dict[str, Any]) -> None:
        """Forget the last episode."""
        self._frames = []

    def score(self, observation: dict[str, np.ndarray], info: dict[str, Any]) -> Scores:
        """Scores of a frame; None where the answer is UNKNOWN."""
        self._frames.append(CameraFrame(observation["front"], len(self._frames), "front"))
        first, previous = self._frames[0], self._frames[-2] if len(self._frames) > 1 else None
        estimates = self._pipeline.score(info["task"], first, previous, self._frames[-1])
        known = {estimate.head: estimate.value for estimate in estimates if estimate.ok}
        return Scores(known.get(RewardHead.PROGRESS), known.get(RewardHead.COMPLETION))


def make_scorer(reward: str, seed: int) -> Scorer:
    """The scorer of a ``--reward`` of :mod:`bench.refinement`."""
    if reward == "lrm":
        return ModelScorer()
    rng = np.random.default_rng([seed, 1])
    return TruthScorer(0.07, 0.04, rng) if reward == "noisy" else TruthScorer(0.0, 0.0, rng)
