"""Replay buffer: the newest transitions, as arrays."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from lrm_core.errors import BadInput
from lrm_policy_node.rl.features import ACTIONS, FEATURES


@dataclass(frozen=True)
class Transitions:
    """N transitions: features (N, F), actions (N, A), rewards (N,), next features (N, F), done (N,)."""

    features: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    next_features: np.ndarray
    done: np.ndarray

    def __len__(self) -> int:
        return len(self.rewards)

    def join(self, other: Transitions) -> Transitions:
        """These and then the others."""
        return Transitions(*(np.concatenate([getattr(self, f.name), getattr(other, f.name)]) for f in fields(self)))


class ReplayBuffer:
    """The newest ``capacity`` transitions with so many ``features``; raises BadInput for a capacity below 1."""

    def __init__(self, capacity: int, features: int = FEATURES) -> None:
        if capacity < 1:
            raise BadInput("replay capacity", capacity, "at least 1")
        self.capacity, self._features = capacity, features
        self.added = 0
        self._rows = np.zeros((capacity, 2 * features + ACTIONS + 2))

    def __len__(self) -> int:
        return min(self.added, self.capacity)

    def add(
        self, features: np.ndarray, action: np.ndarray, reward: float, next_features: np.ndarray, done: bool
    ) -> None:
        """Store one transition; raises BadInput when a shape is wrong or a number is not finite."""
        size = self._features
        if features.shape != (size,) or next_features.shape != (size,) or action.shape != (ACTIONS,):
            raise BadInput("transition", (features.shape, action.shape), f"shapes ({size},) and ({ACTIONS},)")
        row = np.concatenate([features, action, [reward], next_features, [float(done)]])
        if not np.all(np.isfinite(row)):
            raise BadInput("transition", "not finite", "finite numbers")
        self._rows[self.added % self.capacity] = row
        self.added += 1

    def all(self) -> Transitions:
        """Everything in the buffer."""
        ends = np.cumsum([self._features, ACTIONS, 1, self._features])
        features, action, reward, following, done = np.split(self._rows[: len(self)], ends, axis=1)
        return Transitions(features, action, reward[:, 0], following, done[:, 0])
