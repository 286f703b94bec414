"""Contrastive in both orders of its pictures: no bias is left, and contradictions show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrm_core.rewards import MODEL_HEADS, RewardEstimate, RewardHead, RewardStatus, unknown
from lrm_reward_node.contract import FakeRewardModel, RewardModelContract, contract_query
from lrm_reward_node.model import RewardModel, RewardQuery
from lrm_reward_node.swap import averaged, in_both_orders

C = RewardHead.CONTRASTIVE
ORDINARY = [status for status in RewardStatus if status is not RewardStatus.OK]


class TestBothOrders(RewardModelContract):
    def make_model(self) -> RewardModel:
        return in_both_orders(FakeRewardModel(), True)


class BiasedModel(FakeRewardModel):
    """Prefers the second picture by 0.3, whatever is in it; counts what it is asked."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def score(self, queries: Sequence[RewardQuery]) -> list[RewardEstimate]:
        self.batches.append(len(queries))
        return [self._preferring(estimate) for estimate in super().score(queries)]

    def _preferring(self, estimate: RewardEstimate) -> RewardEstimate:
        if estimate.head is not C or not estimate.ok:
            return estimate
        value = float(np.clip(estimate.value + 0.3, -1.0, 1.0))
        return replace(estimate, value=value, confidence=(1.0 + abs(value)) / 2.0)


def comparison(older: int, newer: int) -> RewardQuery:
    a, b = (np.full((4, 4, 3), level, np.uint8) for level in (older, newer))
    return RewardQuery(C, "put the cube in the bowl", b, 2, a, 1)


@given(st.integers(0, 255), st.integers(0, 255))
def test_the_order_of_the_pictures_only_changes_the_sign(older: int, newer: int) -> None:
    model = in_both_orders(BiasedModel(), True)
    forward, reverse = model.score([comparison(older, newer), comparison(newer, older)])
    assert forward.value == -reverse.value
    assert (forward.confidence, forward.uncertainty) == (reverse.confidence, reverse.uncertainty)
    if abs(older - newer) <= 178:  # beyond, the bias meets the end of the range
        assert forward.value == pytest.approx((newer - older) / 255)


def test_one_batch_holds_both_orders_and_leaves_the_other_heads_alone() -> None:
    plain, both = BiasedModel(), BiasedModel()
    queries = [contract_query(head, stamp_ns) for stamp_ns in (10, 20) for head in MODEL_HEADS]
    before, after = plain.score(queries), in_both_orders(both, True).score(queries)
    assert (plain.batches, both.batches) == ([6], [8])
    for one, other in zip(before, after, strict=True):
        assert (one.head, one.stamp_ns, one.reference_stamp_ns) == (
            other.head,
            other.stamp_ns,
            other.reference_stamp_ns,
        )
        assert (one.value == other.value) == (one.head is not C)


def test_another_way_of_asking_has_another_fingerprint_and_none_is_the_model_itself() -> None:
    model = FakeRewardModel()
    assert in_both_orders(model, False) is model
    assert in_both_orders(model, True).fingerprint != model.fingerprint


def answer(value: float, stated: bool = True, status: RewardStatus = RewardStatus.OK) -> RewardEstimate:
    if status is not RewardStatus.OK:
        return unknown(C, status, stamp_ns=2, reference_stamp_ns=1, raw_text="?")
    sure = {"confidence": (1.0 + abs(value)) / 2.0, "uncertainty": math.sqrt(1.0 - value**2)} if stated else {}
    return RewardEstimate(C, value, status, 2, 1, raw_text="ImageB" if value > 0 else "ImageA", **sure)


@given(st.floats(-1, 1), st.floats(-1, 1))
def test_the_average_is_a_distribution_over_two_answers_again(forward: float, reverse: float) -> None:
    found = averaged(answer(forward), answer(reverse))
    assert found.ok and -1.0 <= found.value <= 1.0
    assert found.value == (forward - reverse) / 2.0
    assert found.confidence == pytest.approx((1.0 + abs(found.value)) / 2.0)
    assert found.uncertainty**2 + found.value**2 == pytest.approx(1.0)
    if forward * reverse > 0.0:
        assert found.confidence <= 0.75, "a contradiction is not sure of anything"
        assert "swapped" in found.raw_text


@pytest.mark.parametrize("status", ORDINARY)
@pytest.mark.parametrize("place", [0, 1])
def test_one_unknown_of_both_is_unknown(status: RewardStatus, place: int) -> None:
    pair = [answer(0.5), answer(0.5)]
    pair[place] = answer(math.nan, status=status)
    found = averaged(*pair)
    assert (found.status, found.stamp_ns, found.reference_stamp_ns) == (status, 2, 1)


def test_texts_that_contradict_each_other_are_uncertain_and_texts_that_agree_are_the_answer() -> None:
    agreed = averaged(answer(1.0, stated=False), answer(-1.0, stated=False))
    assert (agreed.value, agreed.raw_text) == (1.0, "ImageB")
    assert math.isnan(agreed.confidence)
    found = averaged(answer(1.0, stated=False), answer(1.0, stated=False))
    assert (found.status, found.raw_text) == (RewardStatus.UNCERTAIN, "ImageB (swapped: ImageB)")
