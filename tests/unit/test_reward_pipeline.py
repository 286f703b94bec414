"""From frames to three rewards and their fusion."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrm_core.errors import BadInput
from lrm_core.frames import CameraFrame
from lrm_core.rewards import MODEL_HEADS, RewardEstimate, RewardHead, RewardStatus, unknown
from lrm_reward_node.camera_check import NO_LIMITS, CameraLimits
from lrm_reward_node.contract import FakeRewardModel, RewardModelContract
from lrm_reward_node.model import RewardModel, RewardQuery
from lrm_reward_node.pipeline import Fusion, RewardPipeline

C, P, M = MODEL_HEADS
TASK = "put the red cube in the blue bowl"


class TestFakeRewardModel(RewardModelContract):
    def make_model(self) -> RewardModel:
        return FakeRewardModel()


def frame(level: int, stamp_ns: int) -> CameraFrame:
    return CameraFrame(np.full((16, 16, 3), level, np.uint8), stamp_ns, "front")


def pipeline(min_confidence: float = 0.0) -> RewardPipeline:
    return RewardPipeline(FakeRewardModel(), min_confidence=min_confidence, limits=NO_LIMITS)


def estimates(c: float, p: float, m: float) -> list[RewardEstimate]:
    return [
        RewardEstimate(head, value, RewardStatus.OK, uncertainty=0.1, confidence=0.9)
        for head, value in zip(MODEL_HEADS, (c, p, m), strict=True)
    ]


@pytest.mark.parametrize(("form", "expected"), [("code", (0.0 + 0.5 + 1.0) / 3), ("paper", (-1.0 + 0.5 + 1.0) / 3)])
def test_both_published_forms_of_fusion(form: str, expected: float) -> None:
    assert Fusion(form)(estimates(-1.0, 0.5, 1.0)).value == pytest.approx(expected)


@given(st.floats(-1, 1), st.floats(0, 1), st.floats(0, 1))
def test_the_code_form_lies_between_0_and_1(c: float, p: float, m: float) -> None:
    assert -1e-9 <= Fusion("code")(estimates(c, p, m)).value <= 1.0 + 1e-9


@pytest.mark.parametrize("missing", range(3))
def test_one_unknown_head_makes_the_fusion_unknown(missing: int) -> None:
    rows = estimates(1.0, 1.0, 1.0)
    rows[missing] = unknown(MODEL_HEADS[missing], RewardStatus.LATE)
    fused = Fusion()(rows)
    assert fused.status is RewardStatus.LATE and math.isnan(fused.value)


def test_a_head_of_weight_zero_may_be_unknown() -> None:
    rows = [unknown(C, RewardStatus.NO_REFERENCE), *estimates(0.0, 0.4, 0.8)[1:]]
    assert Fusion(weights={P: 0.5, M: 0.5})(rows).value == pytest.approx(0.6)


@pytest.mark.parametrize(
    "weights",
    [{C: 0.5, P: 0.5, M: 0.5}, {C: -0.5, P: 1.0, M: 0.5}, {C: math.nan, P: 0.5, M: 0.5}, {RewardHead.FUSED: 1.0}],
)
def test_weights_that_are_no_shares_are_refused(weights: dict[RewardHead, float]) -> None:
    with pytest.raises(BadInput, match="fusion weight"):
        Fusion(weights=weights)


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(BadInput, match="fusion form"):
        Fusion("mean")


def test_each_head_gets_its_reference() -> None:
    rows = pipeline().score(TASK, frame(0, 1), frame(50, 2), frame(200, 3))
    assert [e.head for e in rows] == [*MODEL_HEADS, RewardHead.FUSED]
    assert [e.reference_stamp_ns for e in rows] == [2, 1, 0, 2]
    assert {e.stamp_ns for e in rows} == {3}
    assert rows[0].value == pytest.approx(150 / 255)


def test_without_a_previous_frame_contrastive_and_fused_have_no_reference() -> None:
    rows = pipeline().score(TASK, frame(0, 1), None, frame(200, 3))
    assert [e.status for e in rows] == [
        RewardStatus.NO_REFERENCE, RewardStatus.OK, RewardStatus.OK, RewardStatus.NO_REFERENCE,
    ]  # fmt: skip


def test_low_confidence_becomes_uncertain_and_keeps_what_is_known() -> None:
    rows = pipeline(min_confidence=0.95).score(TASK, frame(0, 1), frame(0, 1), frame(9, 2))
    assert {e.status for e in rows} == {RewardStatus.UNCERTAIN}
    assert all(math.isnan(e.value) for e in rows)
    assert rows[0].confidence == 0.9 and rows[0].stamp_ns == 2 and rows[0].reference_stamp_ns == 1


def test_a_batch_scores_as_one_by_one() -> None:
    one = pipeline()
    items = [(TASK, frame(0, 1), frame(i, i), frame(3 * i, i + 1)) for i in range(1, 5)]
    assert one.score_batch(items) == [one.score(*item) for item in items]


class Asked(FakeRewardModel):
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.queries: list[tuple[RewardHead, int]] = []

    def score(self, queries: Sequence[RewardQuery]) -> list[RewardEstimate]:
        self.queries += [(query.head, query.current_stamp_ns) for query in queries]
        return super().score(queries)


def scene(stamp_ns: int) -> CameraFrame:
    picture = np.random.default_rng(0).integers(0, 200, (32, 32, 3), dtype=np.uint8)
    return CameraFrame(picture + np.uint8(stamp_ns), stamp_ns, "front")


def test_a_covered_frame_is_a_camera_fault_for_every_head_and_the_model_is_not_asked() -> None:
    asked = Asked()
    first, good, covered = scene(1), scene(2), frame(0, 3)
    rows = RewardPipeline(asked).score_batch([(TASK, first, first, good), (TASK, first, good, covered)])
    assert [e.head for e in rows[1]] == [*MODEL_HEADS, RewardHead.FUSED]
    assert {e.status for e in rows[0]} == {RewardStatus.OK}
    assert {e.status for e in rows[1]} == {RewardStatus.CAMERA_FAULT}
    assert [e.reference_stamp_ns for e in rows[1]] == [2, 1, 0, 2] and {e.stamp_ns for e in rows[1]} == {3}
    assert all("covered" in e.raw_text for e in rows[1][:3])
    assert asked.queries == [(head, 2) for head in MODEL_HEADS]


def test_a_batch_of_faults_alone_needs_no_model() -> None:
    asked = Asked()
    RewardPipeline(asked).score(TASK, scene(1), scene(1), frame(0, 2))
    assert asked.queries == []


def test_contrastive_does_not_compare_with_a_faulty_frame() -> None:
    rows = RewardPipeline(FakeRewardModel()).score(TASK, scene(1), frame(0, 2), scene(3))
    fault, ok = RewardStatus.CAMERA_FAULT, RewardStatus.OK
    assert [e.status for e in rows] == [fault, ok, ok, fault]
    assert rows[0].raw_text.startswith("the frame it compares with was covered")


def test_a_covered_reset_frame_leaves_contrastive_without_reference() -> None:
    covered = frame(0, 1)
    rows = RewardPipeline(FakeRewardModel()).score(TASK, covered, None, covered)
    fault, none = RewardStatus.CAMERA_FAULT, RewardStatus.NO_REFERENCE
    assert [e.status for e in rows] == [none, fault, fault, none]


def test_a_faulty_frame_among_others_changes_no_other_estimate() -> None:
    frames = [scene(1), scene(2), frame(0, 3), scene(4), scene(5)]
    items = [(TASK, frames[0], before, one) for before, one in zip([None, *frames], frames, strict=False)]
    one = RewardPipeline(FakeRewardModel(), limits=CameraLimits())
    without = RewardPipeline(FakeRewardModel(), limits=NO_LIMITS)
    rows, free = one.score_batch(items), without.score_batch(items)
    assert [row for n, row in enumerate(rows) if n not in (2, 3)] == [
        row for n, row in enumerate(free) if n not in (2, 3)
    ]
    assert rows[3][1:3] == free[3][1:3]
