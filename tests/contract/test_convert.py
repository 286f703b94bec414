"""Bags become LeRobotDatasets and come back; what is not there is said, what is UNKNOWN stays so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from lrm_bringup.cli import main
from lrm_bringup.recorder.facts import ROBOT_STATE
from lrm_core.rewards import RewardStatus
from lrm_core.robot import load_robot
from lrm_sim.lerobot_folder import new_dataset, open_dataset
from robot_bags import JOINTS, NS, PERIOD_NS, START_NS, TASK, RobotBagWriter, positions, write_episode

STEPS = 24


def exported(out: Path, *words: object, video: bool = False) -> Any:
    kind = [] if video else ["--images"]
    assert main(["export", "lerobot", *map(str, words), *kind, "--out", str(out)]) == 0
    return open_dataset(out)


def column(dataset: Any, name: str) -> np.ndarray:
    return np.array(dataset.hf_dataset.with_format("numpy")[name])


def facts(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "meta" / "lrm_export.json").read_text())
    return found


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    return write_episode(tmp_path / "bags" / "run.0", steps=STEPS, unknown=[10], replayed="other", truth=False)


@pytest.mark.parametrize("video", [True, False], ids=["video", "png"])
def test_a_bag_becomes_a_dataset_that_lerobot_reads(bag: Path, tmp_path: Path, video: bool) -> None:
    dataset = exported(tmp_path / "d", bag, video=video)
    assert (dataset.fps, dataset.num_episodes, len(dataset)) == (10, 1, STEPS + 1)
    for step in (0, 7, STEPS):
        row = dataset[step]
        assert row["task"] == TASK
        np.testing.assert_allclose(row["observation.state"], positions(step), atol=1e-6)
        np.testing.assert_allclose(row["action"], positions(min(step, STEPS - 1)) + 0.01, atol=1e-6)
        assert abs(float(row["observation.images.front"].mean()) * 255 - (10 + 8 * step)) < 2
        assert abs(float(row["observation.images.wrist"].mean()) * 255 - (200 - 5 * step)) < 2
    assert dataset.features["action"]["names"] == list(JOINTS)
    assert set(dataset.features) - set(dataset.meta.stats) == {"outcome"}
    assert all(np.isfinite(value).all() for stats in dataset.meta.stats.values() for value in stats.values())


def test_rewards_stand_at_their_frames_and_unknown_stays_unknown(bag: Path, tmp_path: Path) -> None:
    dataset = exported(tmp_path / "d", bag)
    progress, fused, reward = (column(dataset, name) for name in ("reward.progress", "reward.fused", "next.reward"))
    status = column(dataset, "reward.status")
    asked = [0, 10, 20, STEPS]
    assert np.flatnonzero(status[:, 1] >= 0).tolist() == asked
    assert np.flatnonzero(~np.isnan(progress)).tolist() == [0, 20, STEPS]
    assert status[10].tolist() == [0, int(RewardStatus.UNCERTAIN), 0, 0]
    assert status[0, 3] == RewardStatus.NO_REFERENCE
    # What an action led to stands one row before the frame that shows it.
    np.testing.assert_array_equal(reward[:-1], fused[1:])
    np.testing.assert_array_equal(column(dataset, "next.reward_valid"), ~np.isnan(reward))
    assert column(dataset, "next.done").tolist() == [False] * (STEPS - 1) + [True, True]
    assert column(dataset, "next.success").tolist() == [False] * (STEPS - 1) + [True, True]
    assert set(column(dataset, "outcome")) == {"success_confirmed"}
    assert column(dataset, "stamp_ns").tolist() == [START_NS + step * PERIOD_NS for step in range(STEPS + 1)]


def test_the_rewards_of_a_replay_and_the_truth_are_taken_where_they_are_named(bag: Path, tmp_path: Path) -> None:
    live = column(exported(tmp_path / "live", bag), "reward.completion")
    words = ("--rewards", "replay/other", "--reward-head", "completion", "--success-from", "audit")
    dataset = exported(tmp_path / "again", bag, *words)
    again = column(dataset, "reward.completion")
    np.testing.assert_allclose(again, live / 2)
    np.testing.assert_array_equal(column(dataset, "next.reward")[:-1], again[1:])
    assert not column(dataset, "next.success").any()
    assert column(dataset, "next.success_valid").all()
    assert main(["export", "lerobot", str(bag), "--rewards", "replay/none", "--out", str(tmp_path / "no")]) == 2


def test_a_gap_ends_a_piece_and_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag = write_episode(tmp_path / "bags" / "run.0", steps=STEPS, missing=[0, 12, 13])
    dataset = exported(tmp_path / "d", bag)
    assert [int(n) for n in dataset.meta.episodes["length"]] == [11, 11]
    assert "gap: 0.20 s without camera front after 1.20 s" in capsys.readouterr().err
    assert np.flatnonzero(column(dataset, "next.done")).tolist() == [20, 21]
    told = facts(tmp_path / "d")
    assert [episode["whole"] for episode in told["episodes"]] == [False, False]
    assert [episode["complete"] for episode in told["episodes"]] == [False, True]
    assert any("4 rewards are about frames that are in no row" in line for line in told["problems"])


def test_what_nobody_said_is_not_known(tmp_path: Path) -> None:
    write_episode(tmp_path / "bags" / "a", episode="a", steps=12, ended=False)
    write_episode(tmp_path / "bags" / "b", episode="b", steps=12, reason="cancelled")
    write_episode(tmp_path / "bags" / "c", episode="c", steps=12, reason="max_steps")
    dataset = exported(tmp_path / "d", tmp_path / "bags")
    ends = [int(stop) - 1 for stop in dataset.meta.episodes["dataset_to_index"]]
    assert column(dataset, "next.success_valid")[ends].tolist() == [False, False, True]
    assert column(dataset, "next.done")[ends].tolist() == [False, True, True]
    assert column(dataset, "outcome")[ends].tolist() == ["unknown", "cancelled", "max_steps"]


def test_only_successful_episodes_are_kept_where_that_is_asked(tmp_path: Path) -> None:
    write_episode(tmp_path / "bags" / "good", episode="good", steps=12)
    write_episode(tmp_path / "bags" / "bad", episode="bad", steps=12, reason="max_steps")
    exported(tmp_path / "d", tmp_path / "bags", "--keep", "successful")
    told = facts(tmp_path / "d")
    assert [episode["episode_id"] for episode in told["episodes"]] == ["good"]
    assert any("bad is left out: no success" in line for line in told["problems"])


def test_there_and_back_again_is_the_same(bag: Path, tmp_path: Path) -> None:
    second = write_episode(tmp_path / "bags" / "run.1", episode="run.1", steps=13, reason="max_steps", missing=[5])
    first = exported(tmp_path / "first", bag, second)
    assert main(["import", "lerobot", str(tmp_path / "first"), "--out", str(tmp_path / "back")]) == 0
    again = exported(tmp_path / "again", tmp_path / "back")
    assert len(first) == len(again)
    assert first.features == again.features
    cut = int(first.meta.episodes["dataset_to_index"][1])  # a piece without its end: its outcome is in no bag
    for index in range(len(first)):
        for key, value in first[index].items():
            if isinstance(value, str):
                assert value == again[index][key] or (key == "outcome" and STEPS < index < cut)
            elif not (key == "next.success_valid" and STEPS < index < cut):
                np.testing.assert_array_equal(value, again[index][key], err_msg=f"{key} of row {index}")


def test_an_imported_bag_is_read_by_everyone_and_written_once(
    bag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from mcap_ros2.reader import read_ros2_messages
    from rosbags.highlevel import AnyReader

    exported(tmp_path / "d", bag)
    command = ["import", "lerobot", str(tmp_path / "d"), "--out", str(tmp_path / "back")]
    assert main(command) == 0
    (made,) = (path for path in (tmp_path / "back").iterdir() if path.is_dir())
    with AnyReader([made]) as reader:
        read = [(c.topic, reader.deserialize(raw, c.msgtype)) for c, _, raw in reader.messages()]
    again = [(one.channel.topic, one.ros_msg) for one in read_ros2_messages(next(made.glob("*.mcap")))]
    assert sorted(topic for topic, _ in read) == sorted(topic for topic, _ in again)
    assert sum(topic == "/front/image_raw" for topic, _ in read) == STEPS + 1
    assert sum(topic == "/command" for topic, _ in read) == STEPS
    assert [one.termination_reason for topic, one in read if topic == "/episode_status"] == ["", "success_confirmed"]
    capsys.readouterr()
    assert main(command) == 0
    assert "0 bags, 1 were there before" in capsys.readouterr().out
    assert main([*command[:2], str(tmp_path / "d"), "--out", str(tmp_path)]) == 2


def test_a_dataset_of_others_is_imported(tmp_path: Path) -> None:
    camera, vector = "observation.images.top", {"dtype": "float32", "shape": (2,), "names": None}
    shapes = {camera: {"dtype": "image", "shape": (16, 24, 3), "names": ["height", "width", "channels"]}}
    columns = {**shapes, "observation.state": vector, "action": vector, "force": vector}
    with new_dataset(tmp_path / "theirs", 20, columns, "arm") as dataset:
        for step in range(6):
            number = np.full(2, step, np.float32)
            row = {camera: np.full((16, 24, 3), 40 * step, np.uint8), "observation.state": number, "action": number}
            dataset.add_frame({**row, "force": number, "task": "push"})
        dataset.save_episode()
    assert main(["import", "lerobot", str(tmp_path / "theirs"), "--out", str(tmp_path / "bags")]) == 0
    dataset = exported(tmp_path / "back", tmp_path / "bags")
    assert (dataset.fps, len(dataset), dataset[3]["task"]) == (20, 6, "push")
    assert column(dataset, "action")[:, 0].tolist() == list(range(6))
    assert set(column(dataset, "outcome")) == {"unknown"}


def test_a_single_camera_and_grouped_names_are_kept_and_foreign_units_are_warned_about(
    bag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vector = {"dtype": "float32", "shape": (2,), "names": {"motors": ["x", "y"]}}
    picture = {"dtype": "image", "shape": (16, 24, 3), "names": ["height", "width", "channels"]}
    columns = {"observation.image": picture, "observation.state": vector, "action": vector}
    with new_dataset(tmp_path / "pusht", 10, columns, "2d pointer") as dataset:
        for step in range(4):
            number = np.full(2, 90.0 * step, np.float32)
            row = {"observation.image": np.full((16, 24, 3), 40 * step, np.uint8), "observation.state": number}
            dataset.add_frame({**row, "action": number, "task": "push"})
        dataset.save_episode()
    capsys.readouterr()
    assert main(["import", "lerobot", str(tmp_path / "pusht"), "--out", str(tmp_path / "imported")]) == 0
    assert "rad and m" in capsys.readouterr().err
    back = exported(tmp_path / "back", tmp_path / "imported")
    assert back.meta.camera_keys == ["observation.images.image"]
    assert back.features["observation.state"]["names"] == back.features["action"]["names"] == ["x", "y"]
    exported(tmp_path / "ours", bag)
    capsys.readouterr()
    assert main(["import", "lerobot", str(tmp_path / "ours"), "--out", str(tmp_path / "again")]) == 0
    assert "rad and m" not in capsys.readouterr().err


def test_a_bag_of_another_robot_needs_its_topics_named_and_a_task(tmp_path: Path) -> None:
    writer = RobotBagWriter(tmp_path / "arm", "/left")
    for step in range(9):
        writer.image(NS + step * PERIOD_NS + 3_000_000 * (step % 3), 20 * step, "top")
        writer.joints(NS + step * PERIOD_NS, [step, -step], "joint_states", ("a", "b"))
        writer.joints(NS + step * PERIOD_NS, [-step, step], "leader_command", ("b", "a"))
        writer.joints(NS + step * PERIOD_NS, [0], "gripper_target", ("g",))
    bag = writer.close()
    out = tmp_path / "d"
    assert main(["export", "lerobot", str(bag), "--out", str(out), "--commands", "leader_command"]) == 2
    dataset = exported(out, bag, "--commands", "leader_command", "--task", "fold the towel")
    assert (dataset.fps, len(dataset)) == (10, 9)
    assert "observation.images.top" in dataset.features
    assert dataset.features["action"]["names"] == dataset.features["observation.state"]["names"] == ["b", "a"]
    assert column(dataset, "observation.state")[4].tolist() == [-4, 4]


@pytest.fixture
def hand(tmp_path: Path) -> Path:
    """A robot of two joints whose joint states come in another order, with one more, the gripper in finger angles."""
    path = tmp_path / "hand.yaml"
    path.write_text("""\
base_frame: base
joints:
  - {name: turn, position: [-2.0, 2.0], velocity: 1.0, home: 0.0}
  - {name: finger, part: gripper, unit: m, position: [0.0, 0.08], velocity: 0.1, home: 0.04}
state: {topic: driver/joint_states}
gripper: {kind: gripper_action, topic: hand/command, opening_m: [0.0, 0.08], wire: [0.8, 0.0]}
command: {kind: joint_trajectory, topic: arm/joint_trajectory, stamp: zero}
cameras: [{name: front, topic: overhead/image_raw, feature: observation.images.top}]
reset: {kind: manual}
""")
    return path


def recorded_hand(folder: Path) -> Path:
    writer = RobotBagWriter(folder)
    for step in range(9):
        stamp = NS + step * PERIOD_NS
        writer.image(stamp, 20 * step, "overhead")
        writer.joints(stamp, [0.4, 9.0, 0.1 * step], "driver/joint_states", ("finger", "wheel", "turn"))
        writer.joints(stamp, [0.1 * step, 0.06], "command", ("turn", "finger"))
        writer.joints(stamp, [0.0], "odd_command", ("x",))
    return writer.close()


def test_the_file_of_a_robot_says_what_is_recorded_of_it(hand: Path, tmp_path: Path) -> None:
    bag = recorded_hand(tmp_path / "bag")
    dataset = exported(tmp_path / "d", bag, "--robot", hand, "--task", "close the lid")
    assert dataset.features["observation.state"]["names"] == ["turn", "finger"]
    assert dataset.meta.camera_keys == ["observation.images.top"], "as a policy of this robot takes it"
    state = column(dataset, "observation.state")
    np.testing.assert_allclose(state, [[0.1 * step, 0.04] for step in range(9)], atol=1e-6)  # half closed, in metres
    np.testing.assert_allclose(column(dataset, "action")[:, 1], 0.06, atol=1e-6)  # a command is in metres anyway


def test_a_bag_that_says_how_its_robot_counts_needs_no_file(hand: Path, tmp_path: Path) -> None:
    bag = recorded_hand(tmp_path / "bag")
    metadata = yaml.safe_load((bag / "metadata.yaml").read_text())
    units = load_robot(str(hand)).state_units
    metadata["rosbag2_bagfile_information"]["custom_data"] = {ROBOT_STATE: units.to_json()}
    (bag / "metadata.yaml").write_text(yaml.safe_dump(metadata))
    dataset = exported(tmp_path / "d", bag, "--task", "close the lid")
    np.testing.assert_allclose(column(dataset, "observation.state")[4], [0.4, 0.04], atol=1e-6)


def test_a_bag_without_a_joint_of_the_robot_is_refused(
    hand: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hand.write_text(hand.read_text().replace("name: turn", "name: swing"))
    bag = recorded_hand(tmp_path / "bag")
    words = ["export", "lerobot", str(bag), "--robot", str(hand), "--task", "t", "--out", str(tmp_path / "d")]
    assert main(words) == 2
    assert "missing: ['swing']" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("left_out", "message"),
    [("joints", "sensor_msgs/msg/JointState"), ("command", "JointTrajectory"), ("image", "camera images")],
)
def test_a_robot_without_a_topic_is_refused_with_what_is_there(
    tmp_path: Path, left_out: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    writer = RobotBagWriter(tmp_path / "arm")
    for name, value in (("image", 3), ("joints", positions(0)), ("command", positions(0))):
        if name != left_out:
            getattr(writer, name)(NS, value)
    assert main(["export", "lerobot", str(writer.close()), "--out", str(tmp_path / "d"), "--task", "t"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line
    assert "It holds: " in line
    assert not (tmp_path / "d").exists()
    assert not (tmp_path / "d.partial").exists()


def test_what_is_there_is_replaced_only_where_that_is_asked(bag: Path, tmp_path: Path) -> None:
    out = tmp_path / "d"
    (tmp_path / "d.partial").mkdir()  # what a kill left
    exported(out, bag)
    before = (out / "meta" / "info.json").stat().st_mtime_ns
    assert main(["export", "lerobot", str(bag), "--out", str(out)]) == 2
    assert (out / "meta" / "info.json").stat().st_mtime_ns == before
    exported(out, bag, "--overwrite", "--fps", "5")
    assert open_dataset(out).fps == 5
    assert main(["export", "lerobot", str(bag), "--out", str(bag.parent), "--overwrite"]) == 2
    assert bag.is_dir()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bags", "d"]


def test_a_picture_that_cannot_be_decoded_is_a_gap(tmp_path: Path) -> None:
    writer = RobotBagWriter(tmp_path / "arm")
    for step in range(9):
        stamp_ns = NS + step * PERIOD_NS
        writer.image(stamp_ns, 20 * step, size=32 if step != 4 else 24)
        writer.joints(stamp_ns, positions(step))
        writer.command(stamp_ns, positions(step))
    broken = RobotBagWriter(tmp_path / "broken")
    for step in range(3):
        broken.image(NS + step * PERIOD_NS, 0, encoding="no_such_encoding")
        broken.joints(NS + step * PERIOD_NS, positions(step))
        broken.command(NS + step * PERIOD_NS, positions(step))
    dataset = exported(tmp_path / "d", writer.close(), "--task", "push")
    assert [int(n) for n in dataset.meta.episodes["length"]] == [4, 4]
    assert any("a picture of the size (24, 24, 3)" in line for line in facts(tmp_path / "d")["problems"])
    assert main(["export", "lerobot", str(broken.close()), "--task", "push", "--out", str(tmp_path / "no")]) == 2
    assert not (tmp_path / "no").exists()


def test_a_bag_that_does_not_fit_is_named_and_the_others_are_exported(bag: Path, tmp_path: Path) -> None:
    other = write_episode(tmp_path / "bags" / "run.1", episode="run.1", size=16)
    out = tmp_path / "d"
    assert main(["export", "lerobot", str(bag), str(other), "--out", str(out)]) == 2
    told = facts(out)
    assert list(told["refused"]) == ["run.1"]
    assert len(told["bags"]) == open_dataset(out).num_episodes == 1
    assert len(told["bags"][0]["files"][0]["sha256"]) == 64
