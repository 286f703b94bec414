"""The contrastive head asked in both orders: which picture comes first no longer matters.

A comparison is asked as (A, B) and as (B, A), in one batch, and the two probabilities of "B is closer" are averaged
("balanced position calibration", Wang et al. 2023, arXiv 2305.17926). The value is then antisymmetric:
v = (v(A, B) - v(B, A)) / 2.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import replace

from lrm_core.rewards import RewardEstimate, RewardHead, RewardStatus, unknown
from lrm_reward_node.model import RewardModel, RewardQuery


class BothOrdersRewardModel:
    """A :class:`lrm_reward_node.model.RewardModel` whose comparisons do not depend on the order of the pictures."""

    def __init__(self, model: RewardModel) -> None:
        self._model = model
        self.fingerprint = hashlib.sha256(f"{model.fingerprint}\0both orders".encode()).hexdigest()

    def score(self, queries: Sequence[RewardQuery]) -> list[RewardEstimate]:
        """As the model's, with one more query in the batch for each comparison."""
        swapped = [(place, other) for place, query in enumerate(queries) if (other := _swapped(query)) is not None]
        found = self._model.score([*queries, *(other for _, other in swapped)])
        estimates = found[: len(queries)]
        for (place, _), reverse in zip(swapped, found[len(queries) :], strict=True):
            estimates[place] = averaged(estimates[place], reverse)
        return [replace(estimate, fingerprint=self.fingerprint) for estimate in estimates]


def in_both_orders(model: RewardModel, swap: bool) -> RewardModel:
    """``model`` with its comparisons asked in both orders; ``model`` itself without ``swap``."""
    return BothOrdersRewardModel(model) if swap else model


def averaged(forward: RewardEstimate, reverse: RewardEstimate) -> RewardEstimate:
    """The estimate of (A, B) from the answers to (A, B) and to (B, A).

    UNKNOWN when one of both is. Where they contradict each other the value is near 0 and the confidence near one half;
    of texts without a probability nothing is left then, and the estimate is UNCERTAIN.
    """
    if not (forward.ok and reverse.ok):
        return forward if not forward.ok else _without_value(forward, reverse.status, f"swapped: {reverse.raw_text}")
    contradiction = forward.value * reverse.value > 0.0
    text = f"{forward.raw_text} (swapped: {reverse.raw_text})" if contradiction else forward.raw_text
    stated = not math.isnan(forward.confidence + reverse.confidence)
    if contradiction and not stated:
        return _without_value(forward, RewardStatus.UNCERTAIN, text)
    value = (forward.value - reverse.value) / 2.0
    return replace(
        forward,
        value=value,
        uncertainty=math.sqrt(1.0 - value**2) if stated else math.nan,
        confidence=(1.0 + abs(value)) / 2.0 if stated else math.nan,
        raw_text=text,
        latency_s=max(forward.latency_s, reverse.latency_s),
    )


def _without_value(forward: RewardEstimate, status: RewardStatus, text: str) -> RewardEstimate:
    stamps = {"stamp_ns": forward.stamp_ns, "reference_stamp_ns": forward.reference_stamp_ns}
    return unknown(
        forward.head, status, raw_text=text, latency_s=forward.latency_s, fingerprint=forward.fingerprint,
        parse=forward.parse, **stamps,
    )  # fmt: skip


def _swapped(query: RewardQuery) -> RewardQuery | None:
    """The same comparison with older and newer exchanged; None for what is no comparison."""
    if query.head is not RewardHead.CONTRASTIVE or query.reference is None:
        return None
    return replace(
        query, current=query.reference, current_stamp_ns=query.reference_stamp_ns,
        reference=query.current, reference_stamp_ns=query.current_stamp_ns,
    )  # fmt: skip
