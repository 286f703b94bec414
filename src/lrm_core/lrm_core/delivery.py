"""Reward delivery: from scores of frames to the reward of one decision.

The reward model scores a frame every K control steps. How those scores become a reward decides what is learned:

* ``delta`` (default): potential-based shaping, F = γΦ(s') − Φ(s) (Ng, Harada, Russell 1999) plus a terminal bonus for
  completion. A frame that merely stays good pays (almost) nothing, so there is no reward for not finishing.
* ``hold``: the paper's delivery (arXiv 2603.16065): every control step receives the newest score, here as the mean
  over the K steps of the chunk. A held non-negative reward pays for not finishing.
* ``at_query``: the score of the frame at the end of the chunk.
* ``terminal``: the score of the last frame, 0 before.
"""

from __future__ import annotations

from dataclasses import dataclass

from lrm_core.errors import BadInput
from lrm_core.params import param
from lrm_core.rewards import RewardHead
from lrm_core.transitions import Scores

MODES = ("delta", "hold", "at_query", "terminal")


@dataclass(frozen=True)
class DeliveryParams:
    """How scores become rewards. The potential is Φ = progress_weight·progress + completion_weight·completion."""

    delivery: str = param("delta", "How scores become rewards.", choices=MODES)
    discount: float = param(0.97, "Discount per decision, γ.", low=0.0, high=1.0)
    progress_weight: float = param(0.5, "Weight of progress in the potential.", low=0.0, high=10.0)
    completion_weight: float = param(1.0, "Weight of completion in the potential.", low=0.0, high=10.0)
    contrastive_weight: float = param(0.0, "Weight of the contrastive score of the end frame.", low=0.0, high=10.0)
    terminal_bonus: float = param(1.0, "Reward for completion = 1 in the last frame (delta).", low=0.0, high=100.0)


class RewardDelivery:
    """Turns the scores at the two ends of a decision into its reward."""

    def __init__(self, params: DeliveryParams, chunk_steps: int = 10) -> None:
        if chunk_steps < 1:
            raise BadInput("chunk_steps", chunk_steps, "at least 1")
        self.params = params
        self.chunk_steps = chunk_steps
        self.heads = frozenset(head for head, weight in self._weights().items() if weight > 0.0)
        if not self.heads:
            raise BadInput("delivery weights", "all zero", "at least one weight above 0")

    def reward(self, start: Scores, end: Scores, done: bool) -> float:
        """Reward of the decision between the frames scored ``start`` and ``end``; ``done``: the episode ended there."""
        mode, params = self.params.delivery, self.params
        if mode == "delta":
            shaped = params.discount * self.potential(end) - self.potential(start)
            bonus = params.terminal_bonus * _value(end.completion, params.terminal_bonus, "completion") if done else 0.0
            return shaped + self._contrastive(end) + bonus
        if mode == "hold":
            held, newest = self._score(start), self._score(end)
            return ((self.chunk_steps - 1) * held + newest) / self.chunk_steps
        if mode == "terminal" and not done:
            return 0.0
        return self._score(end)

    def potential(self, scores: Scores) -> float:
        """Φ of a frame: weighted progress and completion."""
        params = self.params
        return params.progress_weight * _value(scores.progress, params.progress_weight, "progress") + (
            params.completion_weight * _value(scores.completion, params.completion_weight, "completion")
        )

    def _score(self, scores: Scores) -> float:
        return self.potential(scores) + self._contrastive(scores)

    def _contrastive(self, scores: Scores) -> float:
        weight = self.params.contrastive_weight
        return weight * _value(scores.contrastive, weight, "contrastive")

    def _weights(self) -> dict[RewardHead, float]:
        bonus = self.params.terminal_bonus if self.params.delivery == "delta" else 0.0
        return {
            RewardHead.PROGRESS: self.params.progress_weight,
            RewardHead.COMPLETION: self.params.completion_weight + bonus,
            RewardHead.CONTRASTIVE: self.params.contrastive_weight,
        }


def _value(score: float | None, weight: float, name: str) -> float:
    if weight == 0.0:
        return 0.0
    if score is None:
        raise BadInput(
            f"score {name}", None, "a number, because its weight is above 0", "UNKNOWN is dropped before delivery."
        )
    return score
