"""Every kind of source yields episodes: LeRobot datasets of both formats, bags, the simulator."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_videos import pictures, write_video
from lerobot_files import as_v21, changed
from lrm_core import plugins
from lrm_core.episode_sources import Episode, EpisodeSource, Frame
from lrm_core.errors import BadInput
from lrm_reward_node.data import registry
from lrm_reward_node.data.build import build
from lrm_reward_node.data.manifest import load
from lrm_reward_node.data.samples import open_samples
from lrm_reward_node.data.summary import Summary, read_summary
from reward_episodes import synthetic_episode
from source_tree import ROOT

CAMERA = "observation.images.front"
CLIPS = Path(os.environ.get("LRM_REAL_DATA", ROOT.parent / "shared" / "data")) / "real_arm_clips"


def opened(kind: str, base: Path, **options: object) -> EpisodeSource:
    found = registry.spec(kind)
    return found.open(found.options(**options), base)


def built(folder: Path, text: str) -> Summary:
    path = folder / "manifest.yaml"
    path.write_text(text)
    return build(load(path), folder / "out")


def read(source: EpisodeSource, episode: Episode) -> list[tuple[Frame, np.ndarray]]:
    return [(frame, frame.picture()) for frame in source.frames(episode)]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LeRobotDataset (v3) of four episodes with the truth in columns of its own."""
    from lrm_sim import dataset as lerobot

    folder = tmp_path_factory.mktemp("lerobot") / "demos"
    lerobot.write([synthetic_episode(seed, frames=9 + seed) for seed in range(4)], folder)
    return folder


def check_dataset(source: EpisodeSource) -> None:
    episodes = list(source.episodes())
    assert [episode.task for episode in episodes] == [synthetic_episode(seed).task for seed in range(4)]
    for seed, episode in enumerate(episodes):
        record = synthetic_episode(seed, frames=9 + seed)
        frames = read(source, episode)
        assert np.array_equal([picture for _, picture in frames], record.front)
        assert [frame.stamp_ns for frame, _ in frames] == [pytest.approx(i * 1e8, abs=100) for i in range(9 + seed)]
        assert [frame.progress for frame, _ in frames] == pytest.approx(record.progress)
        assert [frame.success for frame, _ in frames] == list(record.success)
        declared = source.declared(episode)
        assert (declared.frames, declared.rate_hz) == (9 + seed, 10.0)


TRUTH = {"success_column": "privileged.success", "progress_column": "privileged.progress", "camera": "front"}


def test_a_lerobot_dataset_gives_its_episodes_with_task_and_truth(dataset: Path) -> None:
    check_dataset(opened("lerobot", dataset.parent, path="demos", **TRUTH))


def test_a_dataset_of_format_2_1_is_converted_once_and_stays_as_it_is(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lerobot.utils.constants.HF_LEROBOT_HOME", tmp_path / "home")
    old = as_v21(dataset, tmp_path / "old")
    before = sorted((path, path.stat().st_mtime_ns) for path in old.rglob("*"))
    check_dataset(opened("lerobot", tmp_path, path="old", **TRUTH))
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "home").rglob("*") if path.is_file()}
    check_dataset(opened("lerobot", tmp_path, path="old", **TRUTH))
    assert made == {path: path.stat().st_mtime_ns for path in (tmp_path / "home").rglob("*") if path.is_file()}
    assert sorted((path, path.stat().st_mtime_ns) for path in old.rglob("*")) == before


ALL_OF_IT = "frames: {rate_hz: 10}\nsplits: {train: 1.0, validation: 0.0}\n"
WITH_TRUTH = f"sources:\n  - {{kind: lerobot, path: demos, {', '.join(f'{k}: {v}' for k, v in TRUTH.items())}}}\n"


@pytest.mark.parametrize("value", [math.nan, None])
def test_truth_that_is_missing_is_unknown_and_named_and_the_rest_is_used(
    dataset: Path, tmp_path: Path, value: float | None
) -> None:
    first = synthetic_episode(0, frames=9)
    changed(dataset, tmp_path / "demos", "privileged.progress", {3: value})
    summary = built(tmp_path, WITH_TRUTH + ALL_OF_IT)
    assert summary.problem_counts == {"bad truth": 1} and "progress of 1 of 9" in summary.problems[0]["text"]
    samples = open_samples(tmp_path / "out", "progress", "train")
    found = [samples.question(i) for i in range(len(samples))]
    truth = {
        one.origin["frames"][-1]: one.target
        for one in found
        if one.origin["episode"] == "episode-000000" and one.origin["made"] == "truth"
    }
    assert truth == {i: pytest.approx(p) for i, p in enumerate(first.progress) if i != 3}
    assert "clock" not in {one.origin["made"] for one in found}


@pytest.mark.parametrize(("column", "value"), [("privileged.success", None), ("privileged.progress", math.nan)])
def test_an_outcome_that_is_missing_is_no_success(
    dataset: Path, tmp_path: Path, column: str, value: float | None
) -> None:
    changed(dataset, tmp_path / "demos", column, {8: value})
    sources = f"sources:\n  - {{kind: lerobot, path: demos, success_column: {column}}}\n"
    summary = built(tmp_path, sources + ALL_OF_IT)
    assert {(row["episode"], row["kind"]) for row in summary.problems} == {
        ("episode-000000", "bad truth"),
        ("episode-000000", "unknown outcome"),
    }


@pytest.mark.parametrize("value", [math.nan, None])
def test_a_stamp_that_is_no_time_leaves_out_its_episode_alone(
    dataset: Path, tmp_path: Path, value: float | None
) -> None:
    changed(dataset, tmp_path / "demos", "timestamp", {2: value})
    summary = built(tmp_path, WITH_TRUTH + ALL_OF_IT)
    assert [(row["episode"], row["kind"]) for row in summary.problems] == [("episode-000000", "unreadable")]
    assert "timestamp of row 2" in summary.problems[0]["text"] and summary.count("progress", "train")


def test_an_episode_with_several_tasks_is_named(dataset: Path, tmp_path: Path) -> None:
    shutil.copytree(dataset, tmp_path / "demos")
    (path,) = (tmp_path / "demos" / "meta" / "episodes").rglob("*.parquet")
    table = pq.read_table(path)
    tasks = table["tasks"].to_pylist()
    tasks[1] = [*tasks[1], "wipe the table"]
    place = table.schema.get_field_index("tasks")
    pq.write_table(table.set_column(place, table.schema.field("tasks"), pa.array(tasks, table["tasks"].type)), path)
    summary = built(tmp_path, WITH_TRUTH + ALL_OF_IT)
    assert [(row["episode"], row["kind"]) for row in summary.problems] == [("episode-000001", "several tasks")]
    assert "wipe the table" in summary.problems[0]["text"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "one of the two"),
        ({"path": "demos", "repo_id": "a/b"}, "one of the two"),
        ({"path": "nowhere"}, "meta/info.json"),
        ({"path": "demos", "camera": "side"}, CAMERA),
        ({"path": "demos", "success_column": "won"}, "privileged.success"),
    ],
)
def test_a_dataset_that_cannot_be_used_is_refused(dataset: Path, options: dict[str, str], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        opened("lerobot", dataset.parent, **options)


def test_a_dataset_that_cannot_be_converted_is_refused_and_leaves_nothing(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lerobot.utils.constants.HF_LEROBOT_HOME", tmp_path / "home")
    old = as_v21(dataset, tmp_path / "old")
    (old / "meta" / "episodes.jsonl").unlink()
    with pytest.raises(BadInput, match=r"format v2\.1 that LeRobot converts"):
        opened("lerobot", tmp_path, path="old")
    assert not list((tmp_path / "home" / "lrm-converted").iterdir())


def test_demonstrations_without_outcomes_are_successes_when_the_manifest_says_so(dataset: Path, tmp_path: Path) -> None:
    shutil.copytree(dataset, tmp_path / "demos")
    text = "sources:\n  - {kind: lerobot, path: demos}\nframes: {rate_hz: 10}\nsplits: {train: 1.0, validation: 0.0}\n"
    assert built(tmp_path, text).problem_counts == {"unknown outcome": 4}
    told = built(tmp_path, text.replace("path: demos", "path: demos, outcome: success"))
    assert told.problem_counts == {} and told.count("progress", "train") > 30


def test_simulated_episodes_are_the_same_every_time_and_bring_the_truth(tmp_path: Path) -> None:
    source = opened("sim", tmp_path, episodes=4, kinds=["success", "missed_grasp"], every=10)
    episodes = list(source.episodes())
    first, again = (
        read(source, episodes[1]),
        read(opened("sim", tmp_path, episodes=2, kinds=["success", "missed_grasp"], every=10), episodes[1]),
    )
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(first, again, strict=True))
    assert all(0.0 <= frame.progress <= 1.0 and frame.success is False for frame, _ in first)
    assert [frame.success for frame, _ in read(source, episodes[0])][-1] is True
    blind = opened("sim", tmp_path, episodes=1, kinds=["success"], every=10, truth=False)
    frames = read(blind, next(blind.episodes()))
    assert [frame.success for frame, _ in frames] == [None] * (len(frames) - 1) + [True]


def test_simulated_episodes_of_the_family_say_what_their_paraphrases_mean(tmp_path: Path) -> None:
    from lrm_sim.family.sentences import parse

    episodes = list(opened("sim", tmp_path, episodes=60, scenes="family").episodes())
    assert any(episode.meaning != episode.task for episode in episodes)
    assert all(episode.meaning == parse(episode.task).sentence() for episode in episodes)


def write_bag(
    folder: Path, name: str, steps: int, truth: bool = True, reason: str = "success_confirmed", state_delay_ns: int = 0
) -> Path:
    """A bag as the recorder writes it: camera, joint states, audit and status of one episode between other frames."""
    from rclpy.serialization import serialize_message
    from sensor_msgs.msg import Image, JointState

    from lrm_bringup.recorder.bag import Bag, Topic
    from lrm_bringup.recorder.definitions import MessageDefinitions
    from lrm_core.ros import stamps
    from lrm_msgs.msg import EpisodeStatus, SimAudit

    bag = Bag(folder, name, MessageDefinitions(), compressed=False, reserve_bytes=0)

    def write(topic: str, message: object) -> None:
        kind = type(message)
        msgtype = f"{kind.__module__.split('.')[0]}/msg/{kind.__name__}"
        bag.write(Topic(topic, msgtype), stamps.to_ns(message.header.stamp), serialize_message(message))  # type: ignore[attr-defined]

    start, last = 1_000_000_000, 1_000_000_000 + (steps - 1) * 100_000_000
    for step in range(-3, steps + 3):
        rgb = np.full((32, 32, 3), 40, np.uint8)
        rgb[8:24, max(0, step) : max(0, step) + 8] = 220
        image = Image(height=32, width=32, step=96, encoding="rgb8", data=rgb.tobytes())
        joints = JointState(name=["a"], position=[0.1 * min(max(step, 2), steps - 3)])
        audit = SimAudit(success=step >= steps - 2, progress=min(1.0, max(0.0, step / (steps - 2))))
        status = EpisodeStatus(
            episode_id="e1" if step >= 0 else "", task="push the block", seed=7, control_period_s=0.1, call_interval=10
        )
        status.state = EpisodeStatus.RUNNING if 0 <= step < steps else EpisodeStatus.ENDED if step >= steps else 0
        status.start_stamp = stamps.from_ns(start)
        if step >= steps:
            status.end_stamp, status.termination_reason = stamps.from_ns(last), reason
        for topic, message in (
            ("/joint_states", joints),
            ("/audit", audit),
            ("/episode_status", status),
            ("/front/image_raw", image),
        ):
            delay_ns = state_delay_ns if message is joints else 0
            message.header.stamp = stamps.from_ns(start + step * 100_000_000 + delay_ns)
            if topic != "/audit" or truth:
                write(topic, message)
    return bag.close()


def test_a_bag_gives_the_episode_that_its_status_tells_of(tmp_path: Path) -> None:
    write_bag(tmp_path / "bags", "run-1", 12)
    source = opened("bags", tmp_path, path="bags")
    (episode,) = source.episodes()
    assert (episode.task, episode.outcome, episode.scene, episode.camera) == (
        "push the block",
        "success_confirmed",
        "seed-7",
        "front",
    )
    frames = read(source, episode)
    assert [frame.stamp_ns for frame, _ in frames] == [1_000_000_000 + i * 100_000_000 for i in range(12)]
    assert [frame.success for frame, _ in frames] == [False] * 10 + [True] * 2
    assert frames[5][0].progress == pytest.approx(0.5) and frames[5][0].state == pytest.approx([0.5])
    assert all((picture[10, step : step + 8] == 220).all() for step, (_, picture) in enumerate(frames))


def test_two_cameras_of_one_recording_share_a_split_in_every_source(tmp_path: Path) -> None:
    write_video(tmp_path / "clips" / "front.mp4", pictures(5))
    write_video(tmp_path / "clips" / "wrist.mp4", pictures(5, seed=1))
    rows = [{"file": f"{camera}.mp4", "task": "push", "recording": "run 7"} for camera in ("front", "wrist")]
    (tmp_path / "clips" / "index.json").write_text(json.dumps(rows))
    _camera_only(tmp_path / "bags", "foreign", 20)
    sources = [
        [opened("videos", tmp_path, path="clips")],
        [opened("bags", tmp_path, path="bags"), opened("bags", tmp_path, path="bags", topic="color/image_raw")],
        [opened("sim", tmp_path, episodes=1, camera=camera) for camera in ("front", "wrist")],
    ]
    for some in sources:
        groups = [episode.group for source in some for episode in source.episodes()]
        assert len(groups) == 2 and groups[0] and len(set(groups)) == 1


def test_joint_states_with_stamps_of_their_own_are_joined_to_the_pictures(tmp_path: Path) -> None:
    write_bag(tmp_path / "bags", "run-1", 12, state_delay_ns=-7_000_000)
    source = opened("bags", tmp_path, path="bags")
    frames = read(source, next(source.episodes()))
    assert [frame.state for frame, _ in frames] == [pytest.approx([0.1 * min(max(i, 2), 9)]) for i in range(12)]


def test_the_reason_of_an_end_is_an_outcome_only_when_the_manifest_says_which(tmp_path: Path) -> None:
    write_bag(tmp_path / "bags", "run-1", 12, truth=False)
    text = "sources:\n  - kind: bags\n    path: bags\nframes: {rate_hz: 10}\nsplits: {train: 1.0, validation: 0.0}\n"
    summary = built(tmp_path, text)
    assert summary.problem_counts == {"unknown outcome": 1} and "success_confirmed" in summary.problems[0]["text"]
    built(tmp_path, text.replace("path: bags", "path: bags\n    outcomes: {success_confirmed: success}"))
    samples = open_samples(tmp_path / "out", "progress", "train")
    honest = [s for s in (samples[i] for i in range(len(samples))) if s.origin["made"] == "clock"]
    assert [s.origin["frames"][-1] for s in honest] == list(range(2, 10))  # the joints rest before and after


def test_a_bag_without_episodes_is_one_and_a_broken_one_is_named(tmp_path: Path) -> None:
    whole = write_bag(tmp_path / "bags", "run-1", 12)
    (tmp_path / "bags" / "run-2").mkdir()
    (tmp_path / "bags" / "run-2" / "run-2.mcap").write_bytes(b"no bag at all")
    assert whole.is_dir()
    summary = built(tmp_path, "sources:\n  - {kind: bags, path: bags}\nsplits: {train: 1.0, validation: 0.0}\n")
    assert summary.problem_counts == {"unreadable": 1}, summary.problems
    assert read_summary(tmp_path / "out").count("progress", "train")


def test_what_a_damaged_bag_lost_is_named_and_the_rest_is_used(tmp_path: Path) -> None:
    file = write_bag(tmp_path / "bags", "run-1", 900) / "run-1.mcap"
    data = bytearray(file.read_bytes())
    file.write_bytes(data[: len(data) * 2 // 3])
    summary = built(tmp_path, "sources:\n  - {kind: bags, path: bags}\nsplits: {train: 1.0, validation: 0.0}\n")
    assert "damaged recording" in summary.problem_counts and summary.count("progress", "train") > 4


def test_a_bag_of_anyone_is_one_episode_with_the_task_of_the_manifest(tmp_path: Path) -> None:
    _camera_only(tmp_path / "bags", "foreign", 20)
    text = (
        "sources:\n  - {kind: bags, path: bags, task: push, outcome: success}\nsplits: {train: 1.0, validation: 0.0}\n"
    )
    assert built(tmp_path, text).count("progress", "train") >= 4


def _camera_only(folder: Path, name: str, steps: int) -> Path:
    from rclpy.serialization import serialize_message
    from sensor_msgs.msg import Image

    from lrm_bringup.recorder.bag import Bag, Topic
    from lrm_bringup.recorder.definitions import MessageDefinitions
    from lrm_core.ros import stamps

    bag = Bag(folder, name, MessageDefinitions(), compressed=False, reserve_bytes=0)
    for step in range(steps):
        image = Image(height=32, width=32, step=96, encoding="rgb8", data=np.full(3072, 10 * step, np.uint8).tobytes())
        image.header.stamp = stamps.from_ns(1_000_000_000 + step * 100_000_000)
        bag.write(
            Topic("/camera/color/image_raw", "sensor_msgs/msg/Image"),
            stamps.to_ns(image.header.stamp),
            serialize_message(image),
        )
    return bag.close()


def test_kinds_of_two_packages_do_not_share_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import EntryPoint

    points: Sequence[EntryPoint] = (EntryPoint("videos", "other.package:SPEC", "lrm.episode_sources"),)
    monkeypatch.setattr(plugins, "entry_points", lambda group: points)
    with pytest.raises(BadInput, match="a name of its own"):
        registry.kinds()


def test_an_entry_point_that_is_no_source_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import EntryPoint

    named = {"mine": "lrm_core.errors:BadInput", "absent": "no_such_module:SPEC"}
    points = [EntryPoint(name, value, "lrm.episode_sources") for name, value in named.items()]
    monkeypatch.setattr(plugins, "entry_points", lambda group: points)
    with pytest.raises(BadInput, match="a SourceSpec"):
        registry.spec("mine")
    with pytest.raises(BadInput, match="can be imported"):
        registry.spec("absent")


@pytest.mark.real_data
@pytest.mark.skipif(not CLIPS.is_dir(), reason="no recorded data: set LRM_REAL_DATA")
def test_clips_of_real_arms_make_samples_of_successes_and_failures(tmp_path: Path) -> None:
    source = f"sources:\n  - {{kind: videos, path: {CLIPS}, outcomes: {{suboptimal: failure}}}}\n"
    summary = built(tmp_path, source + "frames: {rate_hz: 30}\nsplits: {train: 1.0, validation: 0.0}\n")
    assert summary.problem_counts == {} and sum(row["count"] for row in summary.episodes) == 11
    samples = open_samples(tmp_path / "out", "completion", "train")
    found = [samples[i] for i in range(len(samples))]
    assert {s.origin["episode"] for s in found if s.target == 1.0} == {
        path.name for path in CLIPS.glob("*_success.mp4")
    }
    assert {s.origin["made"] for s in found if "failure" in s.origin["episode"]} == {"recorded_failure"}
