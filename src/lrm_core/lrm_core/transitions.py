"""One decision of the refined policy as plain data, before and after its reward is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lrm_core.errors import BadInput


@dataclass(frozen=True)
class Transition:
    """A chunk of K control steps under one residual: one step of the semi-Markov decision process, without reward.

    Attributes:
        episode_id: episode it belongs to.
        index: decision number within the episode, from 0.
        start_stamp_ns: stamp of the frame the decision was taken from, nanoseconds.
        end_stamp_ns: stamp of the frame after the last control step of the chunk, nanoseconds.
        observation: (F,) float32 features at the start.
        action: (A,) float32 residual in [-1, 1].
        next_observation: (F,) float32 features at the end.
        terminated: the episode ended because the reward model confirmed success.
        truncated: the episode ended by a limit.
        weights_version: version of the weights that chose the action.
    """

    episode_id: str
    index: int
    start_stamp_ns: int
    end_stamp_ns: int
    observation: np.ndarray
    action: np.ndarray
    next_observation: np.ndarray
    terminated: bool = False
    truncated: bool = False
    weights_version: int = 0

    def __post_init__(self) -> None:
        if self.end_stamp_ns <= self.start_stamp_ns:
            raise BadInput(
                "transition end_stamp_ns", self.end_stamp_ns, f"later than start_stamp_ns {self.start_stamp_ns}"
            )
        if self.observation.shape != self.next_observation.shape:
            raise BadInput(
                "transition next_observation", self.next_observation.shape, f"shape {self.observation.shape}"
            )
        for name in ("observation", "action", "next_observation"):
            if not np.all(np.isfinite(getattr(self, name))):
                raise BadInput(f"transition {name}", "not finite", "finite numbers")

    @property
    def key(self) -> tuple[str, int]:
        """(episode_id, index): unique over runs, so a transition that is delivered twice is stored once."""
        return self.episode_id, self.index

    @property
    def done(self) -> bool:
        """True for the last decision of an episode, however it ended."""
        return self.terminated or self.truncated


@dataclass(frozen=True)
class Scores:
    """What the reward model said about one frame; each None when that head is not used.

    Attributes:
        progress: [0, 1].
        completion: [0, 1].
        contrastive: [-1, 1], against the previous query's frame.
    """

    progress: float | None = None
    completion: float | None = None
    contrastive: float | None = None


@dataclass(frozen=True)
class CreditedTransition:
    """A transition with the scores of the frames at its two ends."""

    transition: Transition
    start: Scores
    end: Scores
