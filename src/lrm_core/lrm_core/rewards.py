"""Rewards as plain data. UNKNOWN is a state of its own, never a number: NaN and a status, never 0."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum, IntEnum


class RewardHead(str, Enum):
    """The three heads of a Large Reward Model (arXiv 2603.16065, section 3) and their fusion."""

    CONTRASTIVE = "contrastive"
    """Which of two frames is closer to completion: [-1, 1], +1 = the newer one."""
    PROGRESS = "progress"
    """Completed share of the task, [0, 1]."""
    COMPLETION = "completion"
    """Probability that the task is complete, [0, 1]."""
    FUSED = "fused"
    """Weighted mean of the three (the paper's "tri" mode)."""


MODEL_HEADS = (RewardHead.CONTRASTIVE, RewardHead.PROGRESS, RewardHead.COMPLETION)


class RewardStatus(IntEnum):
    """Why there is, or is not, a value. The numbers equal the constants of ``lrm_msgs/msg/Reward``."""

    OK = 0
    LATE = 1
    LOST = 2
    UNPARSABLE = 3
    UNCERTAIN = 4
    MODEL_ERROR = 5
    NO_REFERENCE = 6
    CAMERA_FAULT = 7


@dataclass(frozen=True)
class RewardEstimate:
    """What one head said about one frame. ``value`` is NaN exactly when ``status`` is not OK.

    Attributes:
        head: the head that was asked.
        value: see :class:`RewardHead` for ranges; unitless.
        status: why there is, or is not, a value.
        stamp_ns: stamp of the scored frame, nanoseconds.
        reference_stamp_ns: stamp of the older frame it was compared with; 0 when the head uses none.
        uncertainty: standard deviation of the answer distribution, unit of ``value``; NaN when unknown.
        confidence: probability of the most likely answer, [0, 1]; NaN when unknown.
        raw_text: the answer as text.
        latency_s: time in the model, seconds; NaN when nothing was run.
        fingerprint: hash of weights, adapter, prompt and readout.
        parse: the rule that read ``raw_text``, "none" when none could; empty when no text was parsed.
    """

    head: RewardHead
    value: float
    status: RewardStatus
    stamp_ns: int = 0
    reference_stamp_ns: int = 0
    uncertainty: float = math.nan
    confidence: float = math.nan
    raw_text: str = ""
    latency_s: float = math.nan
    fingerprint: str = ""
    parse: str = ""

    def __post_init__(self) -> None:
        if (self.status is RewardStatus.OK) == math.isnan(self.value):
            raise ValueError(
                f"reward of {self.head.value}: value {self.value} does not go with status {self.status.name}"
            )

    @property
    def ok(self) -> bool:
        """True when there is a value."""
        return self.status is RewardStatus.OK


def unknown(head: RewardHead, status: RewardStatus, **fields: object) -> RewardEstimate:
    """An estimate without a value."""
    return RewardEstimate(head=head, value=math.nan, status=status, **fields)  # type: ignore[arg-type]
