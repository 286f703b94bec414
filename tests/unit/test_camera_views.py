"""The comparison of camera places: the same episodes, and two views judged as the reward node judges them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from bench.camera_views import PLACES, SPLIT, seen_from, together
from hypothesis import given
from hypothesis import strategies as st

from lrm_core.rewards import MODEL_HEADS, RewardEstimate, RewardHead, RewardStatus, unknown
from lrm_reward_node.evaluation.episodes import ScoredEpisode
from lrm_reward_node.pipeline import Fusion
from lrm_sim.family.look import Look
from lrm_sim.family.splits import SPLITS

SCORES = st.lists(st.one_of(st.none(), st.floats(0.0, 1.0)), min_size=3, max_size=3)


def view(scores: list[float | None]) -> ScoredEpisode:
    """One query per score; None is UNKNOWN."""
    rows = [[_estimate(head, score) for head in MODEL_HEADS] for score in scores]
    truth = np.linspace(0.0, 1.0, len(scores))
    return ScoredEpisode("task", "outcome", np.arange(len(scores)), truth, truth == 1.0, rows)


def _estimate(head: RewardHead, score: float | None) -> RewardEstimate:
    if score is None:
        return unknown(head, RewardStatus.CAMERA_FAULT, stamp_ns=1)
    return RewardEstimate(head=head, value=score, status=RewardStatus.OK, stamp_ns=1)


@given(SCORES, SCORES)
def test_done_is_what_both_views_see_and_the_rest_is_their_mean(first: list[float | None], second: list[float | None]):
    pair = together((view(first), view(second)), Fusion())
    a, b = (np.array([np.nan if score is None else score for score in scores]) for scores in (first, second))
    assert pair.column(RewardHead.COMPLETION) == pytest.approx(np.minimum(a, b), nan_ok=True)
    assert pair.column(RewardHead.PROGRESS) == pytest.approx((a + b) / 2, nan_ok=True)
    assert np.array_equal(np.isnan(pair.column(RewardHead.FUSED)), np.isnan(a + b))


def test_an_episode_differs_between_places_in_the_front_camera_alone():
    for spec in SPLITS[SPLIT].specs(3):
        seen = [seen_from(spec, place) for place in PLACES]
        assert len({one.scene.look for one in seen}) == len(PLACES)
        assert seen[0].scene.look == Look() and seen == [seen_from(spec, place) for place in PLACES]
        assert {replace(one, scene=replace(one.scene, look=Look())) for one in seen} == {seen[0]}
