"""From frames to the three rewards and their fusion. Live node and offline scoring run this same object."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lrm_core.errors import BadInput
from lrm_core.frames import CameraFrame
from lrm_core.rewards import MODEL_HEADS, RewardEstimate, RewardHead, RewardStatus, unknown
from lrm_reward_node.camera_check import CameraLimits, faulty_heads
from lrm_reward_node.model import RewardModel, RewardQuery

FUSION_FORMS = ("code", "paper")


@dataclass(frozen=True)
class Fusion:
    """Weighted mean of the heads (the paper's "tri" mode).

    Attributes:
        form: ``code`` maps contrastive c to (c+1)/2 first, so the mean lies in [0, 1] (official code); ``paper`` takes
            the signed c (the paper's configuration), so it lies in [-1/3, 1] with equal weights.
        weights: share of each head; they sum to 1. A head of weight 0 is not used.
    """

    form: str = "code"
    weights: dict[RewardHead, float] = field(default_factory=lambda: dict.fromkeys(MODEL_HEADS, 1.0 / 3.0))

    @classmethod
    def of(cls, form: str, weights: Sequence[float]) -> Fusion:
        """From the weights of contrastive, progress and completion, in this order."""
        if len(weights) != len(MODEL_HEADS):
            raise BadInput("parameter fusion_weights", weights, "three numbers: contrastive, progress, completion")
        return cls(form, dict(zip(MODEL_HEADS, weights, strict=True)))

    def __post_init__(self) -> None:
        if self.form not in FUSION_FORMS:
            raise BadInput("fusion form", self.form, f"one of {list(FUSION_FORMS)}")
        for head, weight in self.weights.items():
            if head not in MODEL_HEADS or not (math.isfinite(weight) and weight >= 0.0):
                raise BadInput(
                    f"fusion weight of {head}", weight, "a number >= 0 for contrastive, progress or completion"
                )
        if abs(sum(self.weights.values()) - 1.0) > 1e-6:
            raise BadInput("fusion weights", sum(self.weights.values()), "weights that sum to 1")

    def __call__(self, estimates: Sequence[RewardEstimate]) -> RewardEstimate:
        """The fused estimate of one frame; UNKNOWN, with the first head's status, when any used head is UNKNOWN."""
        by_head = {estimate.head: estimate for estimate in estimates}
        used = [head for head in MODEL_HEADS if self.weights.get(head, 0.0) > 0.0]
        stamps: dict[str, Any] = {"stamp_ns": max((e.stamp_ns for e in estimates), default=0)}
        stamps["reference_stamp_ns"] = max((e.reference_stamp_ns for e in estimates), default=0)
        for head in used:
            if head not in by_head:
                return unknown(RewardHead.FUSED, RewardStatus.LOST, **stamps)
            if not by_head[head].ok:
                return unknown(RewardHead.FUSED, by_head[head].status, raw_text=f"{head.value} unknown", **stamps)
        parts = [by_head[head] for head in used]
        return RewardEstimate(
            head=RewardHead.FUSED,
            value=sum(self.weights[e.head] * self._scaled(e) for e in parts),
            status=RewardStatus.OK,
            uncertainty=math.sqrt(
                sum((self.weights[e.head] * self._scale(e.head) * e.uncertainty) ** 2 for e in parts)
            ),
            confidence=min(e.confidence for e in parts),
            latency_s=max(e.latency_s for e in parts),
            fingerprint=parts[0].fingerprint,
            **stamps,
        )

    def _scale(self, head: RewardHead) -> float:
        return 0.5 if self.form == "code" and head is RewardHead.CONTRASTIVE else 1.0

    def _scaled(self, estimate: RewardEstimate) -> float:
        halved = self._scale(estimate.head) * estimate.value
        return halved + 0.5 if self._scale(estimate.head) == 0.5 else halved


@dataclass
class RewardPipeline:
    """The three heads and their fusion for one frame.

    Attributes:
        model: any :class:`RewardModel`.
        fusion: how the heads are combined.
        min_confidence: an answer whose confidence is below becomes UNCERTAIN; 0 switches this off.
        goal: (H, W, 3) uint8 RGB picture of the finished task that progress compares with; None: there is none.
        limits: what a picture must look like to be scored; the model is not asked about one that does not.
    """

    model: RewardModel
    fusion: Fusion = field(default_factory=Fusion)
    min_confidence: float = 0.0
    goal: np.ndarray | None = None
    limits: CameraLimits = field(default_factory=CameraLimits)

    def queries(
        self, task: str, initial: CameraFrame | None, previous: CameraFrame | None, current: CameraFrame
    ) -> list[RewardQuery]:
        """Queries of contrastive, progress and completion, in this order."""
        references = {RewardHead.CONTRASTIVE: previous, RewardHead.PROGRESS: initial, RewardHead.COMPLETION: None}
        goals = {RewardHead.PROGRESS: self.goal}
        return [_query(head, task, current, references[head], goals.get(head)) for head in MODEL_HEADS]

    def score(
        self, task: str, initial: CameraFrame | None, previous: CameraFrame | None, current: CameraFrame
    ) -> list[RewardEstimate]:
        """Estimates of contrastive, progress, completion and fused for ``current``.

        Args:
            task: task sentence.
            initial: reset frame of the episode; None asks progress without it.
            previous: frame of the previous query; None makes contrastive, and fused where it is used, NO_REFERENCE.
            current: the frame to score; CAMERA_FAULT, with the reason as text, where it breaks ``limits``.
        """
        return self.score_batch([(task, initial, previous, current)])[0]

    def score_batch(
        self, items: Sequence[tuple[str, CameraFrame | None, CameraFrame | None, CameraFrame]]
    ) -> list[list[RewardEstimate]]:
        """Several frames, as for :meth:`score`, in one batch of the model."""
        queries = [query for item in items for query in self.queries(*item)]
        faults = [fault for item in items for fault in self._faults(*item[1:])]
        asked = [query for query, fault in zip(queries, faults, strict=True) if not fault]
        answers = iter(self.model.score(asked) if asked else [])
        estimates = [
            _not_asked(query, fault) if fault else self._check_confidence(next(answers))
            for query, fault in zip(queries, faults, strict=True)
        ]
        rows = [estimates[i : i + len(MODEL_HEADS)] for i in range(0, len(estimates), len(MODEL_HEADS))]
        return [[*row, self.fusion(row)] for row in rows]

    def _faults(self, initial: CameraFrame | None, previous: CameraFrame | None, current: CameraFrame) -> list[str]:
        """Per head why it must not be asked, empty where it may."""
        first, before = (frame.rgb if frame is not None else None for frame in (initial, previous))
        found = faulty_heads(self.limits, first, before, current.rgb)
        return [found.get(head, "") for head in MODEL_HEADS]

    def _check_confidence(self, estimate: RewardEstimate) -> RewardEstimate:
        if not estimate.ok or not estimate.confidence < self.min_confidence:
            return estimate
        kept = {name: getattr(estimate, name) for name in _KEPT_WHEN_UNCERTAIN}
        return unknown(estimate.head, RewardStatus.UNCERTAIN, **kept)


_KEPT_WHEN_UNCERTAIN = (
    "stamp_ns", "reference_stamp_ns", "uncertainty", "confidence", "raw_text", "latency_s", "fingerprint", "parse",
)  # fmt: skip


def _not_asked(query: RewardQuery, fault: str) -> RewardEstimate:
    compares = query.head is RewardHead.CONTRASTIVE
    status = RewardStatus.NO_REFERENCE if compares and query.reference is None else RewardStatus.CAMERA_FAULT
    stamps = {"stamp_ns": query.current_stamp_ns, "reference_stamp_ns": query.reference_stamp_ns}
    return unknown(query.head, status, raw_text=fault, **stamps)


def _query(
    head: RewardHead, task: str, current: CameraFrame, reference: CameraFrame | None, goal: np.ndarray | None
) -> RewardQuery:
    if reference is None:
        return RewardQuery(head, task, current.rgb, current.stamp_ns, goal=goal)
    return RewardQuery(head, task, current.rgb, current.stamp_ns, reference.rgb, reference.stamp_ns, goal)
