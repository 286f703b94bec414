"""The residual policy as the policy node runs it: loaded from the learner's weights, no gradients."""

from __future__ import annotations

import numpy as np

from lrm_policy_node.rl.features import ACTIONS


class ResidualPolicy:
    """Chooses the residual of a chunk. Without weights (version 0) it is the base policy: residual 0.

    Use: ``begin_episode(rng)`` at every reset, then ``act`` once per chunk; ``load`` new weights at any time between
    two chunks: the exploration of the episode goes on.
    """

    version: int

    @classmethod
    def from_bytes(cls, data: bytes) -> ResidualPolicy:
        """A policy from the safetensors image of ``lrm_msgs/PolicyWeights``; raises BadInput when it does not fit."""
        policy = cls()
        policy.load(data)
        return policy

    def __init__(self) -> None:
        self.version = 0

    def load(self, data: bytes) -> None:
        """Take newer weights; on BadInput the old ones stay."""
        raise NotImplementedError

    def begin_episode(self, rng: np.random.Generator) -> None:
        """Draw this episode's exploration (used only by ``act(..., explore=True)``)."""

    def act(self, features: np.ndarray, explore: bool, rng: np.random.Generator) -> np.ndarray:
        """Residual for the next chunk: (F,) features -> (3,) float32 in [-1, 1]."""
        return np.zeros(ACTIONS, dtype=np.float32)
