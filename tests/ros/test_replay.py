"""What was published live comes out of the recorded bag again: a real reward node, a real recorder, real DDS."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from rclpy.parameter import Parameter

from lrm_bringup.recorder.ros.node import RecorderNode
from lrm_bringup.replay.recorded import as_recorded, options_as_recorded, recorded_params
from lrm_bringup.replay.ros.bag_events import BagEvents
from lrm_bringup.replay.run import Replayed, ReplayOptions, is_done, replay_one, settings, write
from lrm_bringup.replay.scoring import NamedPipeline
from lrm_core.rewards import RewardHead
from lrm_core.ros import stamps
from lrm_msgs.msg import EpisodeStatus
from lrm_reward_node.camera_check import NO_LIMITS
from lrm_reward_node.contract import FakeRewardModel
from lrm_reward_node.pipeline import RewardPipeline
from reward_bench import PERIOD_NS, Bench, in_process, open_bench

STEPS = 25


@pytest.fixture
def bench(ros_domain_id: int) -> Iterator[Bench]:
    with open_bench() as bench:
        yield bench


def live_run(
    bench: Bench, out_dir: Path, episodes: Sequence[str], missing: int | None = None, **parameters: Any
) -> list[Path]:
    """Play episodes before a reward node with ``parameters`` and a recorder; returns the bags."""
    recorder = RecorderNode(parameter_overrides=[Parameter("out_dir", value=str(out_dir))])
    bench.executor.add_node(recorder)
    try:
        assert recorder.start(), recorder.failure
        with in_process(bench, **parameters):
            bench.until(lambda: bench.camera.get_subscription_count() == 2, 20.0, "the recorder listens")
            bench.until(lambda: _nodes_asked(bench) >= 3, 30.0, "the recorder knows the parameters of all three nodes")
            for number, episode in enumerate(episodes):
                bench.start_ns += number * 100 * PERIOD_NS
                _episode(bench, episode, missing)
                bench.until(lambda name=episode: (out_dir / name).is_dir(), 20.0, "the bag")  # type: ignore[misc]
    finally:
        recorder.trigger_shutdown()
        bench.executor.remove_node(recorder)
        recorder.destroy_node()
    return [out_dir / name for name in episodes]


def _nodes_asked(bench: Bench) -> int:
    status = bench.diagnostics.get("recording")
    return int({value.key: value.value for value in status.values}["nodes_with_parameters"]) if status else 0


def _episode(bench: Bench, episode: str, missing: int | None) -> None:
    bench.status(EpisodeStatus.RESETTING, episode)
    for step in range(STEPS + 1):
        if step != missing:
            bench.frame(step)
        if step == 0:
            bench.status(EpisodeStatus.RUNNING, episode)
        if step % 10 == 0 and step != missing:
            bench.until(lambda step=step: len(bench.of(step, episode)) >= (4 if step else 2), 20.0, f"step {step}")  # type: ignore[misc]
    bench.status(EpisodeStatus.ENDING, episode, STEPS)
    bench.until(lambda: len(bench.of(STEPS, episode)) == 4, 20.0, "the last reward")
    bench.status(EpisodeStatus.ENDED, episode, STEPS, termination_reason="max_steps")


def as_the_node(bag: Path) -> Replayed:
    """A replay with what the bag says of the node's parameters."""
    recorded = recorded_params(bag)
    pipeline = as_recorded(RewardPipeline(FakeRewardModel()), Namespace(fusion=None, camera_check=None), recorded)
    options = options_as_recorded(ReplayOptions(), recorded)
    return replay_one(BagEvents(bag, options.topics), [NamedPipeline("fake", pipeline)], options)


def again(bag: Path, options: ReplayOptions | None = None) -> tuple[Replayed, list[NamedPipeline]]:
    pipelines = [NamedPipeline("fake", RewardPipeline(FakeRewardModel(), limits=NO_LIMITS))]
    return replay_one(BagEvents(bag), pipelines, options or ReplayOptions()), pipelines


def test_the_rewards_that_were_published_live_come_out_again(bench: Bench, tmp_path: Path) -> None:
    for bag in live_run(bench, tmp_path, ["a.0", "a.1"]):
        replayed, _ = again(bag)
        agreement = replayed.agreements["fake"]
        assert agreement.recorded == 2 + 3 * 4
        assert agreement.whole, agreement
        assert agreement.largest <= 1e-6
        assert replayed.problems == []
        assert {row.query for row in replayed.rows if row.episode_end} == {3}


def test_a_run_with_other_parameters_comes_out_again_by_what_the_bag_says(bench: Bench, tmp_path: Path) -> None:
    other = {"fusion_form": "paper", "fusion_weights": [0.5, 0.25, 0.25], "min_confidence": 0.01}
    (bag,) = live_run(bench, tmp_path, ["a.0"], **other)
    agreement = as_the_node(bag).agreements["fake"]
    assert agreement.whole, agreement
    assert not again(bag)[0].agreements["fake"].whole, "the defaults are other ones"


def test_a_frame_that_never_came_is_unknown_live_and_in_the_replay(bench: Bench, tmp_path: Path) -> None:
    (bag,) = live_run(bench, tmp_path, ["a.0"], missing=10)
    replayed, _ = again(bag)
    assert replayed.agreements["fake"].whole, replayed.agreements["fake"]
    assert {row.status for row in replayed.rows if row.query == 1} == {"LOST"}


def test_the_new_bag_holds_the_old_topics_and_the_rewards_and_is_not_made_twice(bench: Bench, tmp_path: Path) -> None:
    from rosbags.highlevel import AnyReader

    (bag,) = live_run(bench, tmp_path, ["a.0"])
    options = ReplayOptions(out=tmp_path / "out")
    replayed, pipelines = again(bag, options)
    folder, made_with = tmp_path / "out" / "a.0", settings(bag, pipelines, options)
    assert not is_done(folder, made_with)
    write(replayed, folder, made_with, options)
    assert is_done(folder, made_with)
    assert not (tmp_path / "out" / ".partial").exists()
    with AnyReader([bag]) as old, AnyReader([folder / "a.0"]) as new:
        before = {c.topic: c.msgcount for c in old.connections}
        after = {c.topic: c.msgcount for c in new.connections}
        live, replayed_again = (_rewards(new, prefix) for prefix in ("/reward/", "/replay/fake/reward/"))
    assert {topic: count for topic, count in after.items() if not topic.startswith("/replay/")} == before
    assert {f"/replay/fake/reward/{head.value}" for head in RewardHead} <= set(after)
    assert replayed_again == live
    assert len(live) == 2 + 3 * 4
    assert json.loads((folder / "replay.json").read_text())["agreement"]["fake"]["share"] == 1.0
    assert "</html>" in (folder / "replay.html").read_text()


def _rewards(reader: Any, prefix: str) -> dict[tuple[str, int], tuple[float, int, str]]:
    """(head, stamp) -> value, status and frame of the newest reward on the topics below ``prefix``."""
    topics = [c for c in reader.connections if c.topic.startswith(prefix) and c.msgtype == "lrm_msgs/msg/Reward"]
    found = {}
    for connection, _, raw in reader.messages(topics):
        msg = reader.deserialize(raw, connection.msgtype)
        found[msg.head, stamps.to_ns(msg.header.stamp)] = (msg.value, msg.status, msg.header.frame_id)
    return found
