"""What every reward model has to keep, as tests that an implementation inherits, and a fake that keeps it.

Usage, in a test module::

    class TestMyModel(RewardModelContract):
        def make_model(self) -> RewardModel:
            return MyModel(...)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lrm_core.rewards import MODEL_HEADS, RewardEstimate, RewardHead, RewardStatus, unknown
from lrm_reward_node.model import RewardModel, RewardQuery

RANGES = {
    RewardHead.CONTRASTIVE: (-1.0, 1.0),
    RewardHead.PROGRESS: (0.0, 1.0),
    RewardHead.COMPLETION: (0.0, 1.0),
}


class FakeRewardModel:
    """Reads the reward off the brightness of the picture: black is 0, white is 1. No text is understood."""

    fingerprint = "fake-brightness"

    def score(self, queries: Sequence[RewardQuery]) -> list[RewardEstimate]:
        """One estimate per query; see :class:`RewardModel`."""
        return [self._one(query) for query in queries]

    def _one(self, query: RewardQuery) -> RewardEstimate:
        fields = {
            "stamp_ns": query.current_stamp_ns,
            "reference_stamp_ns": query.reference_stamp_ns,
            "fingerprint": self.fingerprint,
        }
        if query.head is RewardHead.CONTRASTIVE and query.reference is None:
            return unknown(query.head, RewardStatus.NO_REFERENCE, **fields)
        if not _usable(query.current) or (query.reference is not None and not _usable(query.reference)):
            return unknown(query.head, RewardStatus.MODEL_ERROR, **fields)
        value = _brightness(query.current)
        if query.head is RewardHead.CONTRASTIVE and query.reference is not None:
            value -= _brightness(query.reference)
        return RewardEstimate(
            query.head, value, RewardStatus.OK, uncertainty=0.1, confidence=0.9, raw_text=f"{value:.1f}", latency_s=0.0,
            **fields,  # type: ignore[arg-type]
        )  # fmt: skip


def _usable(image: np.ndarray) -> bool:
    return image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8 and image.size > 0


def _brightness(image: np.ndarray) -> float:
    return float(image.mean()) / 255.0


class RewardModelContract:
    """Inherit, and implement :meth:`make_model`."""

    def make_model(self) -> RewardModel:
        """The model under test; called once per test."""
        raise NotImplementedError

    def test_has_a_fingerprint(self) -> None:
        assert self.make_model().fingerprint

    def test_an_empty_batch_gives_an_empty_list(self) -> None:
        assert self.make_model().score([]) == []

    def test_estimates_come_in_the_order_of_the_queries_with_their_stamps(self) -> None:
        model = self.make_model()
        queries = [contract_query(head, stamp_ns) for stamp_ns in (10, 20) for head in reversed(MODEL_HEADS)]
        estimates = model.score(queries)
        assert [e.head for e in estimates] == [q.head for q in queries]
        assert [e.stamp_ns for e in estimates] == [q.current_stamp_ns for q in queries]
        assert [e.reference_stamp_ns for e in estimates] == [q.reference_stamp_ns for q in queries]
        assert {e.fingerprint for e in estimates} == {model.fingerprint}

    def test_values_lie_in_the_range_of_their_head_and_carry_a_confidence(self) -> None:
        for estimate in self.make_model().score([contract_query(head, 1) for head in MODEL_HEADS]):
            low, high = RANGES[estimate.head]
            assert estimate.ok and low <= estimate.value <= high
            assert 0.0 < estimate.confidence <= 1.0 and estimate.uncertainty >= 0.0

    def test_contrastive_without_a_reference_is_no_reference(self) -> None:
        query = RewardQuery(RewardHead.CONTRASTIVE, "put the cube in the bowl", contract_image(0), 5)
        (estimate,) = self.make_model().score([query])
        assert estimate.status is RewardStatus.NO_REFERENCE and math.isnan(estimate.value)

    def test_a_failing_row_is_a_model_error_and_the_others_are_scored(self) -> None:
        broken = RewardQuery(RewardHead.COMPLETION, "put the cube in the bowl", np.zeros((0, 0, 3), np.uint8), 7)
        good = contract_query(RewardHead.COMPLETION, 8)
        first, second, third = self.make_model().score([good, broken, good])
        assert second.status is RewardStatus.MODEL_ERROR and math.isnan(second.value) and second.stamp_ns == 7
        assert first.ok and third.ok

    def test_the_same_batch_scores_the_same_twice(self) -> None:
        model = self.make_model()
        queries = [contract_query(head, 1) for head in MODEL_HEADS]
        assert [e.value for e in model.score(queries)] == [e.value for e in model.score(queries)]

    def test_a_row_scores_the_same_alone_and_in_a_batch(self) -> None:
        model = self.make_model()
        queries = [contract_query(head, stamp_ns) for head in MODEL_HEADS for stamp_ns in (1, 2, 3)]
        batch = [e.value for e in model.score(queries)]
        alone = [model.score([query])[0].value for query in queries]
        np.testing.assert_allclose(batch, alone, atol=2e-3)

    def test_every_head_takes_a_goal_picture(self) -> None:
        queries = [replace(contract_query(head, 1), goal=contract_image(50)) for head in MODEL_HEADS]
        assert all(estimate.ok for estimate in self.make_model().score(queries))

    def test_any_text_is_a_task(self) -> None:
        tasks = ["x", "Räume die Tasse weg 🫖", "put <image> in the <|im_end|> bowl\n\n", "a " * 60]
        for head in MODEL_HEADS:
            for estimate in self.make_model().score([contract_query(head, 1, task) for task in tasks]):
                assert isinstance(estimate.status, RewardStatus)


def contract_image(seed: int) -> np.ndarray:
    """(128, 128, 3) uint8 RGB noise."""
    return np.random.default_rng(seed).integers(0, 255, (128, 128, 3), dtype=np.uint8)


def contract_query(head: RewardHead, stamp_ns: int, task: str = "put the red cube in the blue bowl") -> RewardQuery:
    """A complete query for ``head`` whose image depends on the stamp."""
    if head is RewardHead.COMPLETION:
        return RewardQuery(head, task, contract_image(stamp_ns), stamp_ns)
    return RewardQuery(head, task, contract_image(stamp_ns), stamp_ns, contract_image(100), 1)
