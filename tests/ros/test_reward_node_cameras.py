"""Several cameras on real DDS: each one's scores, one verdict, and no success that one of them does not see."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from lrm_core.episodes import EpisodeRecord
from lrm_core.frames import CameraFrame
from lrm_core.resources import model_path
from lrm_core.rewards import RewardHead, RewardStatus
from lrm_core.ros import stamps
from lrm_msgs.msg import EpisodeStatus, Reward
from lrm_reward_node.calibration import AUTO, calibrated
from lrm_reward_node.model import RewardModel
from lrm_reward_node.pipeline import RewardPipeline
from lrm_sim.reward_data import reward_episodes
from reward_bench import PERIOD_NS, START_NS, Bench, K, image, in_process, open_bench, picture

RUNNING, ENDING = EpisodeStatus.RUNNING, EpisodeStatus.ENDING
CAMERAS = ["front", "side"]
DONE = 0.5


@pytest.fixture
def bench(ros_domain_id: int, request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Two cameras in lock-step, or what the test's parameter says."""
    with open_bench(**getattr(request, "param", {"cameras": CAMERAS})) as bench:
        yield bench


def show(bench: Bench, step: int, **brightness: float) -> None:
    for camera, level in brightness.items():
        bench.cameras[camera].publish(image(level, START_NS + step * PERIOD_NS, camera))


def verdict_of_both(bench: Bench, step: int) -> set[int]:
    show(bench, step, front=0.9, side=0.9)
    bench.until(lambda: bench.scored(step), what="the verdict over both cameras")
    return statuses(bench.of(step))


def statuses(rewards: dict[str, Reward]) -> set[int]:
    return {reward.status for reward in rewards.values()}


def test_each_camera_is_scored_and_the_verdict_is_what_all_agree_on(bench: Bench) -> None:
    with in_process(bench, cameras=CAMERAS):
        bench.status(RUNNING)
        show(bench, 0, front=0.2, side=0.0)
        show(bench, K, front=1.0, side=0.6)
        bench.until(lambda: bench.scored(K), what="the verdict")
        bench.until(lambda: all(len(bench.of(K, camera=name)) == 4 for name in CAMERAS), what="each camera")
        bench.status(ENDING, step=K)
        bench.until(lambda: all(r.episode_end for name in CAMERAS for r in bench.of(K, camera=name).values()))
    found, front, side = bench.of(K), bench.of(K, camera="front"), bench.of(K, camera="side")
    values = {name: (round(found[name].value, 2), round(front[name].value, 2)) for name in found}
    assert values == {
        "completion": (0.6, 1.0),
        "progress": (0.8, 1.0),
        "contrastive": (0.7, 0.8),
        "fused": (0.75, 0.97),
    }
    assert all(reward.episode_end for reward in found.values())
    assert {reward.header.frame_id for reward in side.values()} == {"side_optical"}
    assert {reward.header.frame_id for reward in found.values()} == {"front_optical"}
    assert stamps.to_ns(side["contrastive"].reference_stamp) == START_NS
    assert sorted(bench.of(0)) == ["completion", "progress"]


def test_a_camera_that_falls_silent_is_lost_alone_and_no_verdict_is_left_until_it_is_back(bench: Bench) -> None:
    with in_process(bench, cameras=CAMERAS, deadline_s=0.3):
        bench.status(RUNNING)
        show(bench, 0, front=0.9, side=0.9)
        bench.until(lambda: bench.scored(0, 2))
        for step in (K, 2 * K):
            show(bench, step, front=0.9)
            bench.until(lambda step=step: bench.scored(step), what="the verdict without the silent camera")
        bench.until(lambda: "camera side: no frame at" in bench.report("scoring"), what="diagnostics")
        back = next(step for step in range(3 * K, 20 * K, K) if Reward.OK in verdict_of_both(bench, step))
    for step in (K, 2 * K):
        assert statuses(bench.of(step)) == statuses(bench.of(step, camera="side")) == {Reward.LOST}
        assert statuses(bench.of(step, camera="front")) == {Reward.OK}
    assert bench.of(back)["completion"].value == pytest.approx(0.9, abs=0.01)


def test_with_a_smaller_quorum_the_verdict_goes_on_without_the_silent_camera(bench: Bench) -> None:
    with in_process(bench, cameras=CAMERAS, camera_quorum=1, deadline_s=0.3):
        bench.status(RUNNING)
        show(bench, 0, front=0.9)
        bench.until(lambda: bench.scored(0, 2))
    assert bench.of(0)["completion"].value == pytest.approx(0.9, abs=0.01)


@pytest.mark.parametrize("bench", [{}], indirect=True, ids=["one camera"])
def test_one_camera_has_no_topics_beside_those_of_the_heads(bench: Bench) -> None:
    with in_process(bench):
        bench.status(RUNNING)
        show(bench, 0, front=0.5)
        bench.until(lambda: bench.scored(0, 2))
        topics = dict(bench.node.get_publisher_names_and_types_by_node("reward", "/"))
    rewards = {name for name, types in topics.items() if types == ["lrm_msgs/msg/Reward"]}
    assert rewards == {f"/reward/{head.value}" for head in RewardHead}


@pytest.mark.parametrize(
    ("parameters", "word"), [({"cameras": ["front", "front"]}, "cameras"), ({"camera_quorum": 3}, "camera_quorum")]
)
def test_cameras_that_make_no_sense_are_refused(bench: Bench, parameters: dict[str, Any], word: str) -> None:
    with pytest.raises(AssertionError, match=word), in_process(bench, **{"cameras": CAMERAS, **parameters}):
        pass


@functools.cache
def shipped() -> RewardModel:
    from lrm_reward_node.vlm.qwen import load

    folder = str(model_path("lrm-tiny"))
    return calibrated(load(folder), AUTO, folder)


def completion(task: str, rgb: np.ndarray) -> float:
    return RewardPipeline(shipped()).score(task, None, None, CameraFrame(rgb, 1, "front"))[2].value


def a_success() -> EpisodeRecord:
    """The simulated episode whose end the shipped model is surest of."""
    episodes = [episode for episode in reward_episodes("held_out_seeds", 3, 1, K) if episode.success[-1]]
    return max(episodes, key=lambda episode: completion(episode.task, episode.front[-1]))


def from_the_side(front: np.ndarray) -> np.ndarray:
    """The front view a little shifted and brighter: the shipped model knows no other view."""
    return np.clip(np.roll(front, (2, 3), (0, 1)).astype(int) + 12, 0, 255).astype(np.uint8)


def test_one_covered_camera_makes_no_success_of_what_both_would_have_seen(bench: Bench) -> None:
    episode = a_success()
    views = {"front": episode.front[-1], "side": from_the_side(episode.front[-1])}
    alone = {camera: completion(episode.task, rgb) for camera, rgb in views.items()}
    black = np.zeros_like(episode.front[-1])
    scenes = [views, {**views, "side": black}, {**views, "front": black}]
    with in_process(bench, shipped, cameras=CAMERAS, deadline_s=30.0):
        bench.status(RUNNING, task=episode.task)
        for query, scene in enumerate(scenes):
            for camera, rgb in scene.items():
                bench.cameras[camera].publish(picture(rgb, START_NS + query * K * PERIOD_NS, camera))
            heads = 4 if query else 2
            bench.until(lambda at=query * K, n=heads: bench.scored(at, n), 30.0, "the verdict")
    open_view, covered_side, covered_front = (bench.of(query * K)["completion"] for query in range(3))
    assert open_view.value == pytest.approx(min(alone.values()), abs=1e-3)
    assert open_view.value > DONE, "both cameras see the success"
    for covered in (covered_side, covered_front):
        assert not covered.value > DONE
        assert (covered.status == RewardStatus.OK) != math.isnan(covered.value)
    assert bench.of(K, camera="front")["completion"].value > DONE
