"""Attacks on made-up episodes: what they show, and what is true meanwhile."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrm_core.episodes import EpisodeRecord
from lrm_reward_node.hacks.attack import Attack, Attacked
from lrm_reward_node.hacks.attacks import BUILT_IN, available
from lrm_reward_node.hacks.pictures import covered, motion_centres, pasted, photo, relit
from reward_episodes import honest_episodes

EPISODES = list(honest_episodes("hack", 40, 1, 10))
OTHERS = [episode for episode in EPISODES if episode.success[-1]]
BY_NAME = {attack.name: attack for attack in BUILT_IN}
KEEP_TRUTH = {"honest_successes", "light_on_successes"}


def attacked(name: str, seed: int = 0, index: int = 0) -> tuple[EpisodeRecord, Attacked]:
    attack = BY_NAME[name]
    episode = [e for e in EPISODES if attack.base.accepts(e)][index]
    shown = attack.apply(episode, OTHERS, np.random.default_rng(seed))
    assert shown is not None
    return episode, shown


def first_change(episode: EpisodeRecord, shown: Attacked) -> int:
    return int(np.flatnonzero((shown.frames != episode.front).any(axis=(1, 2, 3)))[0])


def test_names_are_unique_and_each_attack_says_in_one_sentence_what_it_does() -> None:
    assert list(available())[: len(BUILT_IN)] == [attack.name for attack in BUILT_IN]
    assert all(attack.summary.endswith(".") and attack.summary.count(".") == 1 for attack in BUILT_IN)


@pytest.mark.parametrize("attack", BUILT_IN, ids=lambda attack: attack.name)
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), index=st.integers(0, 3))
def test_an_attack_keeps_shapes_and_arguments_and_depends_on_its_seed_alone(
    attack: Attack, seed: int, index: int
) -> None:
    episode = [e for e in EPISODES if attack.base.accepts(e)][index]
    before = deepcopy(episode)
    first, again = (attack.apply(episode, OTHERS, np.random.default_rng(seed)) for _ in range(2))
    assert first is not None and again is not None
    assert first.frames.shape == episode.front.shape and first.frames.dtype == np.uint8
    assert first.truth.shape == episode.success.shape and first.truth.dtype == bool
    assert first.task == again.task and first.detail == again.detail
    np.testing.assert_array_equal(first.frames, again.frames)
    np.testing.assert_array_equal(episode.front, before.front)
    np.testing.assert_array_equal(episode.success, before.success)


@pytest.mark.parametrize("attack", BUILT_IN, ids=lambda attack: attack.name)
@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_done_in_an_attack_unless_the_world_is_left_as_it_was(attack: Attack, seed: int) -> None:
    episode, shown = attacked(attack.name, seed)
    if attack.name in KEEP_TRUTH:
        np.testing.assert_array_equal(shown.truth, episode.success)
        assert shown.truth.any()
    else:
        assert not shown.truth.any()


@pytest.mark.parametrize("seed", range(20))
def test_a_black_camera_shows_the_episode_and_then_nothing(seed: int) -> None:
    episode, shown = attacked("black_camera", seed, seed % 6)
    start = first_change(episode, shown)
    done = np.flatnonzero(episode.success)
    assert 1 <= start <= (done[0] if len(done) else len(episode.front) - 1)
    assert shown.frames[start:].mean() < 6.0


@pytest.mark.parametrize("seed", range(20))
def test_a_frozen_camera_holds_a_picture_from_before_any_success(seed: int) -> None:
    episode, shown = attacked("frozen_camera", seed, seed % 6)
    last = shown.frames[-1].astype(int)
    away = [np.abs(last - frame).mean() for frame, done in zip(episode.front, episode.success, strict=True) if not done]
    assert min(away) < 3.0


@pytest.mark.parametrize("name", ["stuck_on_success", "success_replayed"])
@pytest.mark.parametrize("seed", range(10))
def test_a_replay_ends_with_the_success_of_another_scene_and_the_same_task(name: str, seed: int) -> None:
    episode, shown = attacked(name, seed, seed % 5)
    away = {other.seed: np.abs(shown.frames[-1].astype(int) - other.front[-1]).mean() for other in OTHERS}
    nearest = min(away, key=lambda key: away[key])
    assert away[nearest] < 3.0 and nearest != episode.seed
    task = next(other.task for other in OTHERS if other.seed == nearest)
    assert task == episode.task or episode.task not in {other.task for other in OTHERS}
    if name == "success_replayed":
        start = first_change(episode, shown)
        assert 1 <= start <= len(episode.front) - 2


def test_a_replay_needs_another_episode() -> None:
    episode = next(e for e in EPISODES if not e.success.any())
    for name in ("stuck_on_success", "success_replayed", "photo_of_success"):
        assert BY_NAME[name].apply(episode, [], np.random.default_rng(0)) is None


@pytest.mark.parametrize("seed", range(20))
def test_a_photo_covers_what_its_size_says_and_stays_in_the_picture(seed: int) -> None:
    episode, shown = attacked("photo_of_success", seed)
    changed = (shown.frames[-1] != episode.front[-1]).any(axis=-1)
    width = int(shown.detail.split(" %")[0]) / 100.0
    columns = np.flatnonzero(changed.any(axis=0))
    if first_change(episode, shown) < len(episode.front) - 1:
        assert (columns[-1] - columns[0] + 1) / changed.shape[1] <= width + 0.02


@pytest.mark.parametrize("seed", range(10))
def test_the_blob_lies_over_what_moves(seed: int) -> None:
    episode, shown = attacked("occluded_gripper", seed, seed % 5)
    for i, (row, column) in enumerate(motion_centres(episode.front)):
        if i >= first_change(episode, shown):
            assert (shown.frames[i] != episode.front[i]).any(axis=-1)[int(row), int(column)]


@pytest.mark.parametrize("seed", range(20))
def test_a_wrong_sentence_is_another_task_over_the_same_pictures(seed: int) -> None:
    episode, shown = attacked("wrong_sentence", seed)
    assert shown.task != episode.task
    np.testing.assert_array_equal(shown.frames, episode.front)


def test_a_rewound_episode_ends_where_it_began() -> None:
    episode, shown = attacked("rewound")
    np.testing.assert_array_equal(shown.frames, episode.front[::-1])


@given(seed=st.integers(0, 2**32 - 1), done=st.integers(1, 8))
def test_a_shuffled_episode_holds_its_own_pictures_and_never_two_of_success_in_a_row(seed: int, done: int) -> None:
    numbered = np.broadcast_to(np.arange(9, dtype=np.uint8)[:, None, None, None], (9, 2, 2, 3))
    episode = replace(
        OTHERS[0], front=numbered, success=np.arange(9) >= 10 - done, progress=0.9 * (np.arange(9) >= 9 - done)
    )
    shown = BY_NAME["shuffled"].apply(episode, OTHERS, np.random.default_rng(seed))
    assert shown is not None
    order = shown.frames[:, 0, 0, 0]
    succeeds = episode.progress[order] >= 0.9
    assert not (succeeds[1:] & succeeds[:-1]).any()
    assert succeeds.sum() == min(done, 5)
    if done <= 5:
        assert sorted(order) == list(range(9))


@given(gain=st.floats(0.0, 3.0), down=st.floats(-1.0, 1.0), right=st.floats(-1.0, 1.0))
def test_light_never_wraps_around(gain: float, down: float, right: float) -> None:
    grey = np.full((1, 8, 6, 3), 100, np.uint8)
    lit = relit(grey, np.full(3, gain), np.array([down, right])).astype(float)
    assert lit.max() <= min(255.0, 100.0 * gain * (1.0 + abs(down) + abs(right)) + 1.0)
    assert lit[0, 0, 0, 0] == pytest.approx(min(255.0, max(0.0, 100.0 * gain * (1.0 - down - right))), abs=0.51)


@given(row=st.integers(-60, 60), column=st.integers(-60, 60), width=st.integers(3, 50))
def test_a_sheet_may_lie_anywhere_and_changes_nothing_beside_it(row: int, column: int, width: int) -> None:
    frame = np.zeros((40, 48, 3), np.uint8)
    sheet = photo(np.full((16, 16, 3), 255, np.uint8), width)
    result = pasted(frame, sheet, row, column)
    inside = np.zeros((40, 48), bool)
    inside[max(row, 0) : max(row + sheet.shape[0], 0), max(column, 0) : max(column + sheet.shape[1], 0)] = True
    assert (result[inside] > 0).all() and not result[~inside].any()


def test_a_cover_hides_its_middle_and_leaves_the_rest() -> None:
    frame = np.full((40, 40, 3), 10, np.uint8)
    result = covered(frame, (20.0, 10.0), (8.0, 5.0), np.full(3, 200.0))
    assert result[20, 10, 0] > 180 and (result[:, 20:] == 10).all() and frame.max() == 10


def test_motion_is_where_pixels_change_and_stays_there_when_they_rest() -> None:
    frames = np.zeros((4, 20, 20, 3), np.uint8)
    frames[1:, 4:7, 10:13] = 255
    assert motion_centres(frames) == [(5.0, 11.0)] * 4
