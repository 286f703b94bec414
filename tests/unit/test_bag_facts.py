"""What a bag says about itself: for readers of rosbag2, for those of MCAP, and after a crash."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from mcap.reader import make_reader
from rosbags.rosbag2 import Reader, StoragePlugin, Writer

from lrm_bringup.bags.bag import RecordedBag
from lrm_bringup.recorder.bag import PARTIAL
from lrm_bringup.recorder.events import Mark, Message, Phase
from lrm_bringup.recorder.mending import left_open, mend_all
from lrm_bringup.recorder.params import RecorderParams
from lrm_bringup.recorder.recording import Recording
from serialized import DEFINITIONS, message, std_header

TASK = "put the red cube in the blue bowl"
ABOUT = {"parameters": json.dumps({"/reward": {"cameras": ["front"]}}), "revision": "abc"}


def recording(out_dir: Path) -> Recording:
    params = RecorderParams(reserve_mb=1, compression="none")
    found = Recording(out_dir, params, lambda line, is_error: None, lambda: ABOUT)
    found.mark(Mark(Phase.RUNS, "e", task=TASK, seed=7, mode="refine", weights_version=3), 0.0)
    return found


def audit(stamp_s: int, success: bool) -> Message:
    return message("/audit", "lrm_msgs/msg/SimAudit", header=std_header(stamp_s), success=success)


def finished(out_dir: Path) -> Path:
    one = recording(out_dir)
    reward = {"episode_id": "e", "head": "progress", "model_fingerprint": "f00d"}
    one.message(message("/reward/progress", "lrm_msgs/msg/Reward", **reward))
    one.message(message("/reward/progress", "lrm_msgs/msg/Reward", **{**reward, "episode_id": "old"}))
    for stamp_s, success in ((4, False), (5, True), (6, False)):
        one.message(audit(stamp_s, success))
    end = Mark(Phase.OVER, "e", "max_steps", end_ns=5 * 10**9, task=TASK, seed=7, mode="refine", weights_version=3)
    one.mark(end, 0.0)
    one.close()
    return out_dir / "e"


def test_a_closed_bag_says_what_it_was_recorded_with_and_how_it_ended(tmp_path: Path) -> None:
    bag = finished(tmp_path)
    facts = RecordedBag(bag).facts
    assert (facts["task"], facts["seed"], facts["mode"], facts["weights_version"]) == (TASK, "7", "refine", "3")
    assert (facts["outcome"], facts["confirmed_success"], facts["true_success"]) == ("max_steps", "false", "true")
    assert json.loads(facts["reward_fingerprints"]) == {"progress": ["f00d"]}
    assert {key: facts[key] for key in ABOUT} == ABOUT
    custom = yaml.safe_load((bag / "metadata.yaml").read_text())["rosbag2_bagfile_information"]["custom_data"]
    assert custom == facts
    assert RecordedBag(bag / "e.mcap").facts == facts
    (line,) = [json.loads(text) for text in (tmp_path / "episodes.jsonl").read_text().splitlines()]
    assert (line["true_success"], line["confirmed_success"], line["weights_version"]) == (True, False, 3)


def test_readers_of_mcap_find_the_facts_in_the_metadata_that_rosbag2_writes(tmp_path: Path) -> None:
    with (finished(tmp_path) / "e.mcap").open("rb") as stream:
        (record,) = make_reader(stream).iter_metadata()
    assert record.name == "rosbag2"
    assert yaml.safe_load(record.metadata["serialized_metadata"])["custom_data"]["task"] == TASK


@pytest.mark.parametrize("cut", [0, 9_001])
def test_a_bag_that_a_kill_cut_short_is_read_up_to_the_cut_and_says_what_was_known(tmp_path: Path, cut: int) -> None:
    one = recording(tmp_path)
    text = "x" * 50_000
    for number in range(60):
        one.message(message("/talk", "std_msgs/msg/String", data=f"{number} {text}"))
    left = tmp_path / PARTIAL / "e" / "e.mcap"
    left.write_bytes(left.read_bytes()[: left.stat().st_size - cut])
    bag = RecordedBag(left)
    heard = [fields.data.split()[0] for _, fields in bag.decoded()]
    assert heard == [str(number) for number in range(len(heard))]
    assert len(heard) >= 20
    assert (bag.facts["task"], bag.facts["outcome"], bag.facts["revision"]) == (TASK, "", "abc")
    assert any("summary" in str(fault) for fault in bag.faults)
    (mended,) = mend_all(tmp_path, left_open(tmp_path), lambda line, is_error: None)
    with (mended / "e.mcap").open("rb") as stream:
        reader = make_reader(stream)
        assert reader.get_summary().statistics.message_count == len(list(reader.iter_messages())) == len(heard)
    with Reader(mended) as folder:  # as rosbag2 opens one: by its metadata.yaml
        assert folder.message_count == len(heard)
    whole = RecordedBag(mended)
    assert (whole.facts, list(whole.faults)) == (bag.facts, [])
    assert [fields.data.split()[0] for _, fields in whole.decoded()] == heard
    (line,) = [json.loads(text) for text in (tmp_path / "episodes.jsonl").read_text().splitlines()]
    assert (line["episode_id"], line["weights_version"], line["true_success"]) == ("e", 3, None)


@pytest.mark.parametrize("plugin", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_a_bag_of_another_recorder_reads_the_same_and_says_nothing_of_itself(
    tmp_path: Path, plugin: StoragePlugin
) -> None:
    ours = RecordedBag(finished(tmp_path))
    store = DEFINITIONS.typestore
    with Writer(tmp_path / "theirs", version=9, storage_plugin=plugin) as writer:
        connections = {t: writer.add_connection(t.name, t.msgtype, typestore=store) for t in ours.topics}
        for one in ours.messages():
            writer.write(connections[one.topic], one.log_ns, one.data)
    theirs = RecordedBag(tmp_path / "theirs")
    content = [[(m.topic.name, m.topic.msgtype, m.log_ns, m.data) for m in bag.messages()] for bag in (ours, theirs)]
    assert content[0] == content[1]
    assert [repr(fields) for _, fields in ours.decoded()] == [repr(fields) for _, fields in theirs.decoded()]
    assert theirs.facts == {}
