"""Which pictures may be scored: properties on any picture, and rendered episodes of the simulator."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lrm_core.episodes import EpisodeRecord
from lrm_core.rewards import MODEL_HEADS, RewardHead
from lrm_reward_node.camera_check import NO_LIMITS, CameraLimits, faulty_heads
from lrm_sim.reward_data import reward_episodes

LIMITS = CameraLimits()
SIDE = st.integers(1, 80)
PICTURES = st.tuples(SIDE, SIDE, st.just(3)).flatmap(lambda shape: arrays.arrays(np.uint8, shape))


def reason(initial: np.ndarray | None, current: np.ndarray, limits: CameraLimits = LIMITS) -> str:
    """Why ``current`` must not be scored, in words."""
    faults = faulty_heads(limits, initial, None, current)
    assert not faults or set(faults) == set(MODEL_HEADS)
    return faults.get(RewardHead.COMPLETION, "")


def textured(seed: int, height: int = 96, width: int = 128) -> np.ndarray:
    return np.random.default_rng(seed).integers(60, 180, (height, width, 3), dtype=np.uint8)


def noisy(picture: np.ndarray, levels: float) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0.0, levels, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def lit(picture: np.ndarray, gain: object = 1.0, offset: float = 0.0, gamma: float = 1.0) -> np.ndarray:
    """Another light or exposure, with the noise of a sensor."""
    return noisy(255.0 * (picture / 255.0) ** gamma * np.asarray(gain) + offset, 2.0)


@settings(deadline=None)
@given(st.one_of(st.none(), PICTURES), st.one_of(st.none(), PICTURES), PICTURES)
def test_any_pictures_are_judged(initial: np.ndarray | None, previous: np.ndarray | None, current: np.ndarray) -> None:
    faults = faulty_heads(CameraLimits(noise=True), initial, previous, current)
    assert set(faults) <= set(MODEL_HEADS) and all(faults.values())
    assert faulty_heads(NO_LIMITS, initial, previous, current) == {}


@settings(deadline=None)
@given(SIDE, SIDE, st.integers(0, 255))
def test_a_flat_picture_is_covered(height: int, width: int, level: int) -> None:
    assert reason(None, np.full((height, width, 3), level, np.uint8)).startswith("covered")


@settings(deadline=None, max_examples=50)
@given(
    st.integers(0, 1000), st.tuples(*[st.floats(0.5, 1.3)] * 3), st.floats(-20.0, 20.0),
    st.integers(40, 200), st.integers(40, 200),
)  # fmt: skip
def test_gain_colour_and_offset_of_light_change_nothing(
    seed: int, gain: tuple[float, float, float], offset: float, height: int, width: int
) -> None:
    scene = textured(seed, height, width)
    assert reason(scene, lit(scene, gain, offset)) == ""


@pytest.mark.parametrize("array", [np.zeros((8, 8)), np.zeros((8, 8, 4), np.uint8), np.zeros((0, 8, 3), np.uint8)])
def test_what_is_no_picture_is_left_to_the_model(array: np.ndarray) -> None:
    assert reason(textured(0), array) == "" and reason(array, textured(0)) == ""


def test_another_size_than_the_reset_frame_is_another_camera() -> None:
    assert "another size" in reason(textured(0, 96, 128), textured(0, 128, 96))


def test_a_covered_reset_frame_vouches_for_no_later_frame() -> None:
    assert "without a scene" in reason(np.zeros((96, 128, 3), np.uint8), textured(0))


def test_with_the_scene_unchecked_a_covered_reset_frame_costs_what_compares_with_it() -> None:
    reset, now = np.zeros((96, 128, 3), np.uint8), textured(0)
    faults = faulty_heads(CameraLimits(max_changed=1.0), reset, reset, now)
    assert set(faults) == {RewardHead.PROGRESS, RewardHead.CONTRASTIVE} and "covered" in faults[RewardHead.PROGRESS]


def test_limits_can_be_switched_off_one_by_one() -> None:
    black, scene, other = np.zeros((96, 128, 3), np.uint8), textured(0), textured(1)
    assert reason(scene, other, CameraLimits(max_changed=1.0)) == ""
    assert reason(scene, black, CameraLimits(max_changed=1.0)).startswith("covered")
    assert reason(None, black, CameraLimits(min_detail=0.0)) == ""
    assert reason(scene, other, CameraLimits(min_detail=0.0)).startswith("foreign")


def test_equal_frames_are_frozen_only_where_a_camera_has_noise() -> None:
    scene = textured(0)
    again = scene.copy()
    assert faulty_heads(CameraLimits(), scene, scene, again) == {}
    frozen = faulty_heads(CameraLimits(noise=True), scene, scene, again)
    assert set(frozen) == set(MODEL_HEADS) and "frozen" in frozen[RewardHead.PROGRESS]
    again[0, 0, 0] += 1
    assert faulty_heads(CameraLimits(noise=True), scene, scene, again) == {}


def test_the_comparison_alone_suffers_from_a_faulty_frame_before() -> None:
    scene, now = textured(0), noisy(textured(0), 2.0)
    for before in (np.zeros_like(scene), textured(1)):
        assert set(faulty_heads(LIMITS, scene, before, now)) == {RewardHead.CONTRASTIVE}
    assert faulty_heads(LIMITS, scene, now, scene.copy()) == {}


@pytest.fixture(scope="module")
def episodes() -> list[EpisodeRecord]:
    """Rendered episodes of pairs that differ, successes and failures; two frames per reward query."""
    return list(reward_episodes("held_out_seeds", 8, 1))


@pytest.fixture(scope="module")
def replayed(episodes: list[EpisodeRecord]) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Reset frame and a later frame of an episode, beside the last frame of another one, which succeeded."""
    done = [episode for episode in episodes if episode.success[-1]]
    assert len(done) > 2
    pairs = [(one, other) for one in episodes for other in done if other is not one]
    return [(one.front[0], one.front[len(one.front) // 2], other.front[-1]) for one, other in pairs]


def test_honest_frames_pass_also_with_noise_and_compression(episodes: list[EpisodeRecord]) -> None:
    for episode in episodes:
        for before, now in pairwise(episode.front):
            assert faulty_heads(LIMITS, episode.front[0], before, noisy(now, 4.0)) == {}


@pytest.mark.parametrize("gain", [0.6, 0.8, 1.25, (1.2, 1.0, 0.8), (0.8, 1.0, 1.2)])
def test_honest_frames_pass_in_changed_light(episodes: list[EpisodeRecord], gain: object) -> None:
    assert [reason(e.front[0], lit(e.front[-1], gain, 5.0)) for e in episodes] == [""] * len(episodes)


def test_a_success_picture_of_another_episode_is_foreign(replayed: list[tuple[np.ndarray, ...]]) -> None:
    assert all(reason(initial, other).startswith("foreign") for initial, _, other in replayed)
    assert all(reason(initial, lit(other, 0.8, 10.0)).startswith("foreign") for initial, _, other in replayed)


def test_a_large_photo_held_into_the_view_is_foreign(replayed: list[tuple[np.ndarray, ...]]) -> None:
    for initial, now, other in replayed:
        shown = now.copy()
        shown[20:116, 16:112] = other[np.linspace(0, 127, 96).astype(int)][:, np.linspace(0, 127, 96).astype(int)]
        assert reason(initial, shown).startswith("foreign")


@pytest.mark.parametrize("gain", [0.0, 0.03])
def test_a_lamp_switched_off_is_covered(episodes: list[EpisodeRecord], gain: float) -> None:
    assert all(reason(e.front[0], lit(e.front[-1], gain)).startswith("covered") for e in episodes)


def test_a_hand_before_the_lens_is_no_scene(episodes: list[EpisodeRecord]) -> None:
    rng = np.random.default_rng(0)
    row, column = np.mgrid[0:128, 0:128] / 127.0
    for episode in episodes:
        centre = rng.uniform(0.3, 0.7, 2)
        away = np.hypot(row - centre[0], column - centre[1])[..., None]
        skin = np.array([170.0, 115.0, 95.0]) * (1.0 - 0.3 * away)
        for reach in (0.35, 2.0):
            hand = noisy(np.where(away < reach, skin, episode.front[-1]), 2.0)
            assert reason(episode.front[0], hand)
