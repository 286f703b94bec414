"""Several cameras, one verdict: every camera has to agree before anything counts as done."""

from __future__ import annotations

import math
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lrm_core.errors import BadInput
from lrm_core.rewards import MODEL_HEADS, RewardEstimate, RewardHead, RewardStatus, unknown
from lrm_reward_node.camera_check import NO_LIMITS
from lrm_reward_node.cameras import check_cameras, verdict
from lrm_reward_node.contract import FakeRewardModel
from lrm_reward_node.pipeline import RewardPipeline
from lrm_reward_node.schedule import ArrivedFrame, EpisodePlan, Query, View
from lrm_reward_node.scorer import score

UNKNOWNS = [status for status in RewardStatus if status is not RewardStatus.OK]
PLAN = EpisodePlan("e", "put the cube in the bowl", 1_000, 1_000, 50, 10**9)


@st.composite
def estimates(draw: st.DrawFn, head: RewardHead) -> RewardEstimate:
    """Whatever one camera may say."""
    status = draw(st.sampled_from([RewardStatus.OK, RewardStatus.OK, *UNKNOWNS]))
    stamps = {"stamp_ns": draw(st.integers(1, 9)), "reference_stamp_ns": draw(st.integers(0, 9))}
    if status is not RewardStatus.OK:
        return unknown(head, status, **stamps)
    low = -1.0 if head is RewardHead.CONTRASTIVE else 0.0
    maybe = st.one_of(st.just(math.nan), st.floats(0, 1))
    return RewardEstimate(
        head, draw(st.floats(low, 1.0)), status, uncertainty=draw(maybe), confidence=draw(maybe), latency_s=draw(maybe),
        raw_text=draw(st.text(max_size=3)), fingerprint="f", **stamps,
    )  # fmt: skip


@st.composite
def rows(draw: st.DrawFn, least: int = 2) -> dict[str, RewardEstimate]:
    """One head's estimates of several cameras."""
    head = draw(st.sampled_from(MODEL_HEADS))
    names = draw(st.lists(st.sampled_from("abcdef"), min_size=least, max_size=4, unique=True))
    return {name: draw(estimates(head)) for name in names}


def bits(estimate: RewardEstimate) -> tuple[object, ...]:
    """Equal also where both are NaN."""
    return tuple(np.float64(v).tobytes() if isinstance(v, float) else v for v in astuple(estimate))


@given(rows(least=1).filter(lambda row: len(row) == 1), st.integers(0, 1))
def test_one_camera_is_its_own_verdict_bit_for_bit(row: dict[str, RewardEstimate], quorum: int) -> None:
    assert bits(verdict(row, quorum)) == bits(next(iter(row.values())))


@given(rows(), st.integers(0, 4), st.randoms())
def test_the_order_of_the_cameras_does_not_matter(row: dict[str, RewardEstimate], quorum: int, random: object) -> None:
    names = list(row)
    random.shuffle(names)  # type: ignore[attr-defined]
    assert bits(verdict({name: row[name] for name in names}, quorum)) == bits(verdict(row, quorum))


@given(rows(), st.integers(0, 4))
def test_a_value_is_a_number_in_range_and_unknown_has_none(row: dict[str, RewardEstimate], quorum: int) -> None:
    found = verdict(row, quorum)
    assert found.ok != math.isnan(found.value)
    known = [estimate.value for estimate in row.values() if estimate.ok]
    assert found.ok == (len(known) >= min(quorum or len(row), len(row)))
    assert not found.ok or min(known) <= found.value <= max(known)


@given(rows(), st.floats(0.01, 1.0))
def test_a_camera_that_says_no_or_does_not_know_prevents_a_success(
    row: dict[str, RewardEstimate], threshold: float
) -> None:
    assume(next(iter(row.values())).head is RewardHead.COMPLETION)
    said = [estimate.ok and estimate.value >= threshold for estimate in row.values()]
    found = verdict(row)
    assert (found.ok and found.value >= threshold) == all(said)


@given(rows(), st.integers(1, 4), st.floats(0.01, 1.0))
def test_no_quorum_outvotes_a_camera_that_says_no(
    row: dict[str, RewardEstimate], quorum: int, threshold: float
) -> None:
    assume(next(iter(row.values())).head is RewardHead.COMPLETION)
    found = verdict(row, quorum)
    if any(estimate.ok and estimate.value < threshold for estimate in row.values()):
        assert not (found.ok and found.value >= threshold)


def ok(head: RewardHead, value: float, uncertainty: float = 0.1, confidence: float = 0.9) -> RewardEstimate:
    return RewardEstimate(head, value, RewardStatus.OK, 5, uncertainty=uncertainty, confidence=confidence)


def test_the_mean_says_how_far_the_cameras_are_apart() -> None:
    agreed = verdict({"front": ok(RewardHead.PROGRESS, 0.5), "side": ok(RewardHead.PROGRESS, 0.5)})
    apart = verdict({"front": ok(RewardHead.PROGRESS, 0.2), "side": ok(RewardHead.PROGRESS, 0.8, confidence=0.6)})
    assert (agreed.value, apart.value) == (0.5, 0.5)
    assert agreed.uncertainty == pytest.approx(0.1)
    assert apart.uncertainty == pytest.approx(math.hypot(0.1, 0.3))
    assert apart.confidence == 0.6


def test_unknown_says_which_camera_and_why() -> None:
    row = {name: ok(RewardHead.PROGRESS, 0.5) for name in ("front", "side", "top")}
    row |= {
        name: unknown(RewardHead.PROGRESS, RewardStatus[why]) for name, why in (("top", "LOST"), ("side", "UNCERTAIN"))
    }
    found = verdict(row)
    assert (found.status, found.raw_text) == (RewardStatus.UNCERTAIN, "side UNCERTAIN, top LOST")
    assert verdict(row, quorum=1).value == 0.5


@pytest.mark.parametrize("cameras", [[], [""], ["front", "front"], ["front", "/front"]])
def test_cameras_without_a_name_or_twice_are_refused(cameras: list[str]) -> None:
    with pytest.raises(BadInput, match="cameras"):
        check_cameras(cameras, 0)


def test_a_quorum_above_the_number_of_cameras_is_refused() -> None:
    check_cameras(["front", "side"], 2)
    with pytest.raises(BadInput, match="camera_quorum"):
        check_cameras(["front", "side"], 3)


class CountingModel(FakeRewardModel):
    batches = 0

    def score(self, queries: object) -> list[RewardEstimate]:
        self.batches += 1
        return super().score(queries)  # type: ignore[arg-type]


def view(camera: str, *levels: int | None) -> View:
    """Brightness of current, initial and previous frame; None: it never arrived."""
    frames = [
        None if level is None else ArrivedFrame(np.full((4, 4, 3), level, np.uint8), 2_000 - place, camera)
        for place, level in enumerate(levels)
    ]
    return View(camera, *frames)


def ask(
    *views: View, index: int = 1, quorum: int = 0
) -> tuple[dict[str, RewardEstimate], dict[str, list[RewardEstimate]]]:
    model = CountingModel()
    scored = score(RewardPipeline(model, limits=NO_LIMITS), Query(PLAN, index, 2_000, False, views), quorum)
    assert model.batches == 1
    return {estimate.head.value: estimate for estimate in scored.estimates}, scored.by_camera


def test_all_cameras_are_scored_in_one_batch_and_told_apart() -> None:
    found, by_camera = ask(view("front", 255, 51, 102), view("side", 153, 0, 0))
    assert found["completion"].value == pytest.approx(0.6)
    assert found["progress"].value == pytest.approx(0.8)
    assert found["contrastive"].value == pytest.approx(0.6)
    assert found["fused"].value == pytest.approx((0.8 + 0.8 + 0.6) / 3)
    assert {camera: [round(e.value, 3) for e in row] for camera, row in by_camera.items()} == {
        "front": [0.6, 1.0, 1.0, 0.933],
        "side": [0.6, 0.6, 0.6, 0.667],
    }


def test_one_camera_has_no_estimates_of_its_own_beside_the_verdict() -> None:
    found, by_camera = ask(view("front", 255, 51, 102))
    assert by_camera == {}
    assert found["completion"].value == 1.0


def test_a_frame_that_never_arrived_is_lost_for_its_camera_and_by_quorum_for_the_verdict() -> None:
    views = view("front", 255, 51, 102), view("side", None, 0, 0)
    found, by_camera = ask(*views)
    assert {estimate.status for estimate in found.values()} == {RewardStatus.LOST}
    assert {estimate.status for estimate in by_camera["side"]} == {RewardStatus.LOST}
    assert all(estimate.ok for estimate in by_camera["front"])
    found, _ = ask(*views, quorum=1)
    assert found["completion"].value == 1.0


def test_a_reference_that_never_arrived_is_lost_for_the_head_that_needs_it() -> None:
    found, by_camera = ask(view("front", 255, 51, 102), view("side", 255, 0, None))
    assert {name for name, estimate in found.items() if estimate.ok} == {"progress", "completion"}
    assert all(estimate.ok for estimate in by_camera["front"])


@pytest.mark.parametrize("side", [view("side", 255, 255, None), view("side", None, None, None)])
def test_query_0_has_no_head_that_compares(side: View) -> None:
    found, by_camera = ask(view("front", 255, 255, None), side, index=0)
    assert set(found) == {"progress", "completion"}
    assert all(len(row) == 2 for row in by_camera.values())
