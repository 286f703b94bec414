"""What was published live comes out of the recorded bag again: a real reward node, a real recorder, real DDS."""

from __future__ import annotations

import json
import shutil
import subprocess
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from live_run import live_run
from lrm_bringup.bags.bag import RecordedBag
from lrm_bringup.replay.recorded import as_recorded, options_as_recorded, recorded_params
from lrm_bringup.replay.ros.bag_events import BagEvents
from lrm_bringup.replay.run import Replayed, ReplayOptions, is_done, replay_one, settings, write
from lrm_bringup.replay.series import NamedPipeline
from lrm_core.errors import BadInput
from lrm_core.rewards import RewardHead
from lrm_core.ros import stamps
from lrm_reward_node.camera_check import NO_LIMITS
from lrm_reward_node.contract import FakeRewardModel
from lrm_reward_node.pipeline import RewardPipeline
from reward_bench import Bench, open_bench


@pytest.fixture
def bench(ros_domain_id: int) -> Iterator[Bench]:
    with open_bench() as bench:
        yield bench


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


def test_merged_rewards_take_the_names_and_the_place_of_the_recorded_ones(bench: Bench, tmp_path: Path) -> None:
    from rosbags.highlevel import AnyReader

    (bag,) = live_run(bench, tmp_path, ["a.0"])
    options = ReplayOptions(out=tmp_path / "out", merged=True, task="another task")
    replayed, pipelines = again(bag, options)
    folder = tmp_path / "out" / "a.0"
    write(replayed, folder, settings(bag, pipelines, options), options)
    with AnyReader([bag]) as old, AnyReader([folder / "a.0"]) as new:
        before, after = ({c.topic: c.ext.offered_qos_profiles for c in reader.connections} for reader in (old, new))
        assert after == before, "no topic more, none less, and as they were offered"
        assert {name: c.msgcount for name, c in _reward_connections(new)} == {
            "/reward/contrastive": 3, "/reward/progress": 4, "/reward/completion": 4, "/reward/fused": 3,
        }  # fmt: skip
        assert _rewards(new, "/reward/").keys() == _rewards(old, "/reward/").keys()
    said = RecordedBag(folder / "a.0").facts
    assert "/reward" not in json.loads(said["parameters"]), "the old node did not give these rewards"
    assert {one for found in json.loads(said["reward_fingerprints"]).values() for one in found} == {"fake-brightness"}
    assert said["rewards_replayed_from"] == "a.0"
    again_again, _ = again(folder / "a.0")
    assert again_again.agreements["fake"].whole, "a merged bag is one that can be checked"
    with pytest.raises(BadInput, match="--merged"):
        replay_one(BagEvents(bag), [*pipelines, NamedPipeline("other", pipelines[0].pipeline)], options)


def test_the_bags_of_recorder_and_replay_open_with_the_tools_of_others(bench: Bench, tmp_path: Path) -> None:
    (recorded,) = live_run(bench, tmp_path, ["a.0"])
    options = ReplayOptions(out=tmp_path / "out")
    replayed, pipelines = again(recorded, options)
    write(replayed, tmp_path / "out" / "a.0", settings(recorded, pipelines, options), options)
    for bag in (recorded, tmp_path / "out" / "a.0" / "a.0"):
        by_rosbags, by_mcap = _counts_by_rosbags(bag), _counts_by_mcap(bag)
        assert by_rosbags == by_mcap == {t.name: n for t, n in RecordedBag(bag).counts.items()}
        assert by_rosbags["/front/image_raw"] == 26


@pytest.mark.skipif(shutil.which("ros2") is None, reason="ros2 bag is not installed: the wheels have none")
def test_ros2_bag_knows_the_bags_of_recorder_and_replay(bench: Bench, tmp_path: Path) -> None:
    (recorded,) = live_run(bench, tmp_path, ["a.0"])
    options = ReplayOptions(out=tmp_path / "out")
    replayed, pipelines = again(recorded, options)
    write(replayed, tmp_path / "out" / "a.0", settings(recorded, pipelines, options), options)
    for bag in (recorded, tmp_path / "out" / "a.0" / "a.0"):
        shown = subprocess.run(["ros2", "bag", "info", bag], capture_output=True, text=True, timeout=120, check=False)
        assert shown.returncode == 0, shown.stderr
        assert "/front/image_raw" in shown.stdout
        play = ["ros2", "bag", "play", "--rate", "50", bag]
        played = subprocess.run(play, capture_output=True, text=True, timeout=120, check=False)
        assert played.returncode == 0, played.stderr


def _counts_by_rosbags(bag: Path) -> dict[str, int]:
    """Decoded messages by topic, as ``rosbags`` reads folder and file."""
    from rosbags.highlevel import AnyReader
    from rosbags.rosbag2 import Reader

    with Reader(bag) as folder:
        counted = {c.topic: c.msgcount for c in folder.connections}
    (file,) = bag.glob("*.mcap")
    found = Counter[str]()
    with AnyReader([file]) as reader:
        for connection, _, data in reader.messages():
            reader.deserialize(data, connection.msgtype)
            found[connection.topic] += 1
    assert counted == found
    return dict(found)


def _counts_by_mcap(bag: Path) -> dict[str, int]:
    """Decoded messages by topic, as the reader and the decoder of the format's authors see the file."""
    from mcap.reader import make_reader
    from mcap_ros2.decoder import DecoderFactory

    found = Counter[str]()
    (file,) = bag.glob("*.mcap")
    with file.open("rb") as stream:
        for _, channel, _, message in make_reader(stream, decoder_factories=[DecoderFactory()]).iter_decoded_messages():
            assert message is not None
            found[channel.topic] += 1
    return dict(found)


def _reward_connections(reader: Any) -> list[tuple[str, Any]]:
    return [(c.topic, c) for c in reader.connections if c.msgtype == "lrm_msgs/msg/Reward" and c.msgcount]


def _rewards(reader: Any, prefix: str) -> dict[tuple[str, int], tuple[float, int, str]]:
    """(head, stamp) -> value, status and frame of the newest reward on the topics below ``prefix``."""
    topics = [c for c in reader.connections if c.topic.startswith(prefix) and c.msgtype == "lrm_msgs/msg/Reward"]
    found = {}
    for connection, _, raw in reader.messages(topics):
        msg = reader.deserialize(raw, connection.msgtype)
        found[msg.head, stamps.to_ns(msg.header.stamp)] = (msg.value, msg.status, msg.header.frame_id)
    return found
