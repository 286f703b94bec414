"""The port every reward model sits behind: queries in, estimates out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lrm_core.rewards import RewardEstimate, RewardHead


@dataclass(frozen=True, eq=False)
class RewardQuery:
    """One question to one head about one frame.

    Attributes:
        head: the head that is asked; one of ``lrm_core.rewards.MODEL_HEADS``.
        task: task sentence, for example ``put the red cube in the blue bowl``.
        current: (H, W, 3) uint8 RGB, the frame that is scored.
        current_stamp_ns: stamp of ``current``, nanoseconds.
        reference: (H, W, 3) uint8 RGB older frame: the reset frame for progress (optional), the previous query's frame
            for contrastive (required), None for completion.
        reference_stamp_ns: stamp of ``reference``, nanoseconds; 0 without reference.
        goal: (H, W, 3) uint8 RGB picture of the finished task, for progress alone; None asks without it.
    """

    head: RewardHead
    task: str
    current: np.ndarray
    current_stamp_ns: int
    reference: np.ndarray | None = None
    reference_stamp_ns: int = 0
    goal: np.ndarray | None = None


class RewardModel(Protocol):
    """Scores batches of queries. ``lrm_reward_node.contract.RewardModelContract`` tests an implementation.

    Attributes:
        fingerprint: hash of weights, adapters, prompts and readout: the same fingerprint is the same function.
    """

    fingerprint: str

    def score(self, queries: Sequence[RewardQuery]) -> list[RewardEstimate]:
        """One estimate per query, in order, with the stamps of its query.

        Never raises because of one query: an answer outside the published format is UNPARSABLE, a failed forward pass
        or an unusable image is MODEL_ERROR, a contrastive query without reference is NO_REFERENCE, each with NaN.
        """
        ...
