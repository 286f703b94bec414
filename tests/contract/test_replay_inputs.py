"""Recordings that are no bags, and the program: what it writes, skips, refuses and returns."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet
import pytest
from rosbags.highlevel import AnyReader

import lrm_reward_node.options
from data_videos import pictures as moving_square
from data_videos import write_video
from lrm_bringup.cli import main
from lrm_bringup.replay.events import EpisodeSeen, FrameSeen
from lrm_bringup.replay.run import ReplayOptions, open_recording
from lrm_core.errors import BadInput
from lrm_core.resources import model_path
from lrm_core.rewards import RewardEstimate, RewardHead, RewardStatus
from lrm_reward_node.camera_check import NO_LIMITS
from lrm_reward_node.contract import FakeRewardModel
from lrm_reward_node.modes import registry
from lrm_reward_node.modes.mode import Window
from lrm_reward_node.pipeline import RewardPipeline

TASK = ["--task", "put the red cube in the blue bowl"]


def grey(level: int) -> np.ndarray:
    return np.full((48, 64, 3), level, np.uint8)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(1, 12):
        cv2.imwrite(str(folder / f"{number}.png"), grey(20 * number))
    return folder


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "run.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10.0, (64, 48))
    for step in range(35):
        writer.write(grey(20 + 5 * step))
    writer.release()
    return path


@pytest.fixture
def _fake_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program with a model that loads at once."""
    pipeline = RewardPipeline(FakeRewardModel(), limits=NO_LIMITS)
    monkeypatch.setattr(lrm_reward_node.options, "pipeline_from", lambda args: pipeline)


def frames(path: Path, **options: object) -> list[FrameSeen]:
    recording = open_recording(path, ReplayOptions(**options))  # type: ignore[arg-type]
    return [event for event in recording.events() if isinstance(event, FrameSeen)]


def test_pictures_come_in_the_order_of_counting(pictures: Path) -> None:
    found = frames(pictures, picture_rate_hz=2.0)
    assert [one.frame.rgb[0, 0, 0] // 20 for one in found] == list(range(1, 12))
    assert [(one.frame.stamp_ns - found[0].frame.stamp_ns) / 1e9 for one in found] == [0.5 * i for i in range(11)]


def test_a_broken_picture_is_left_out_and_named(pictures: Path) -> None:
    (pictures / "3.png").write_bytes((pictures / "3.png").read_bytes()[:40])
    recording = open_recording(pictures, ReplayOptions())
    assert sum(isinstance(event, FrameSeen) for event in recording.events()) == 10
    assert len(recording.problems) == 1
    assert "3.png" in recording.problems[0]


def test_a_video_has_the_stamps_of_its_frames(video: Path) -> None:
    found = frames(video)
    assert len(found) == 35
    assert np.diff([one.frame.stamp_ns for one in found]).tolist() == pytest.approx([1e8] * 34, abs=1e3)
    assert [int(one.frame.rgb.mean()) for one in found[::10]] == pytest.approx([20, 70, 120, 170], abs=4)


def test_frames_of_a_video_without_a_fixed_rate_keep_their_times(tmp_path: Path) -> None:
    times_ms = [0, 100, 200, 300, 400, 1400, 2400, 3400]
    found = frames(write_video(tmp_path / "uneven.mp4", moving_square(8), times_ms))
    assert [(seen.frame.stamp_ns - found[0].frame.stamp_ns) // 10**6 for seen in found] == times_ms


def test_a_file_that_is_no_video_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.mp4"
    path.write_bytes(b"not a video")
    with pytest.raises(BadInput, match="can be decoded"):
        open_recording(path, ReplayOptions())


def test_a_dataset_gives_every_episode_with_its_task(tmp_path: Path) -> None:
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    key = "observation.images.front"
    features = {key: {"dtype": "image", "shape": (48, 64, 3), "names": ["height", "width", "channels"]}}
    dataset = LeRobotDataset.create("local/d", fps=10, features=features, root=tmp_path / "d", use_videos=False)
    for task in ("first task", "second task"):
        for step in range(12):
            dataset.add_frame({key: grey(10 * step + 5), "task": task})
        dataset.save_episode()
    dataset.finalize()
    events = list(open_recording(tmp_path / "d", ReplayOptions()).events())
    plans = [event.plan for event in events if isinstance(event, EpisodeSeen) and event.end_ns is None]
    assert [plan.task for plan in plans if plan] == ["first task", "second task"]
    with pytest.raises(BadInput, match="--topic"):
        open_recording(tmp_path / "d", ReplayOptions(topics=("front", "wrist")))
    with pytest.raises(BadInput, match="--log-time"):
        open_recording(tmp_path / "d", ReplayOptions(log_time=True))
    pixels = [event.frame.rgb[0, 0, 0] for event in events if isinstance(event, FrameSeen)]
    assert pixels == [10 * step + 5 for step in range(12)] * 2


@pytest.mark.usefixtures("_fake_model")
def test_the_program_writes_bag_table_and_page_and_does_nothing_twice(
    video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["replay", str(video), *TASK, "--out", str(out)]
    assert main(command) == 0
    assert "frames per second" in capsys.readouterr().out
    table = pyarrow.parquet.read_table(out / "run" / "rewards.parquet").to_pylist()
    progress = [row for row in table if row["head"] == "progress"]
    assert [row["query"] for row in progress] == [0, 1, 2, 3, 4]
    assert [row["value"] for row in progress] == pytest.approx(
        [(20 + 50 * i) / 255 for i in (0, 1, 2, 3, 3.4)], abs=0.02
    )
    assert {row["value"] for row in table if row["status"] != "OK"} <= {None}
    assert (out / "run" / "run" / "run.mcap").is_file()
    page = (out / "run" / "replay.html").read_text()
    assert page.count("<svg") == 1
    assert "http" not in page
    assert main(command) == 0
    assert "done before" in capsys.readouterr().out
    assert main([*command, "--check"]) == 1, "a check is never skipped"
    assert main([*command, "--query-rate-hz", "2"]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main([*command, "--query-rate-hz", "2", "--overwrite"]) == 0
    assert json.loads((out / "run" / "replay.json").read_text())["queries"] == 8


@pytest.mark.usefixtures("_fake_model")
def test_several_models_stand_side_by_side(video: Path, tmp_path: Path) -> None:
    assert (
        main(["replay", str(video), *TASK, "--model", "a/one", "--model", "b/two", "--out", str(tmp_path / "o")]) == 0
    )
    table = pyarrow.parquet.read_table(tmp_path / "o" / "run" / "rewards.parquet").to_pylist()
    assert {row["model"] for row in table} == {"one", "two"}
    assert (tmp_path / "o" / "run" / "replay.html").read_text().count("<svg") == 2


@pytest.mark.usefixtures("_fake_model")
def test_models_whose_names_differ_in_punctuation_have_topics_of_their_own(video: Path, tmp_path: Path) -> None:
    words = ["--model", "a/lrm-a", "--model", "b/lrm.a", "--model", "c/lrm-a"]
    assert main(["replay", str(video), *TASK, *words, "--out", str(tmp_path / "o")]) == 0
    with AnyReader([tmp_path / "o" / "run" / "run"]) as reader:
        counts = {c.topic: c.msgcount for c in reader.connections if c.topic.endswith("/progress")}
    assert counts == {f"/replay/{name}/reward/progress": 5 for name in ("lrm_a", "lrm_a_2", "lrm_a_3")}


@pytest.mark.usefixtures("_fake_model")
def test_several_tasks_stand_side_by_side_and_the_page_says_which(video: Path, tmp_path: Path) -> None:
    other = ["--task", "empty the blue bowl"]
    assert main(["replay", str(video), *TASK, *other, "--mode", "tri", "--out", str(tmp_path / "o")]) == 0
    table = pyarrow.parquet.read_table(tmp_path / "o" / "run" / "rewards.parquet").to_pylist()
    assert {(row["task"], row["mode"], row["head"]) for row in table} == {
        (TASK[1], "tri", "fused"),
        (other[1], "tri", "fused"),
    }
    page = (tmp_path / "o" / "run" / "replay.html").read_text()
    assert f"task 2: “{other[1]}”" in page
    assert page.count("<svg") == 2


def test_a_mode_with_a_model_of_its_own_stands_beside_the_heads(video: Path, tmp_path: Path) -> None:
    modes = ["--mode", "progress", "--mode", f"topreward={model_path('lrm-tiny')}", "--no-camera-check"]
    assert main(["replay", str(video), *TASK, *modes, "--out", str(tmp_path / "o")]) == 0
    table = pyarrow.parquet.read_table(tmp_path / "o" / "run" / "rewards.parquet").to_pylist()
    assert {(row["model"], row["mode"]) for row in table} == {
        ("lrm-tiny", "progress"),
        ("topreward lrm-tiny", "topreward"),
    }
    assert {row["status"] for row in table} == {"OK"}
    with AnyReader([tmp_path / "o" / "run" / "run"]) as reader:
        counts = {connection.topic: connection.msgcount for connection in reader.connections}
    assert counts == {"/replay/lrm_tiny/reward/progress": 5, "/replay/topreward_lrm_tiny/reward/progress": 5}
    summary = json.loads((tmp_path / "o" / "run" / "replay.json").read_text())
    assert summary["cameras"]["video"] == {
        "frames": 35, "rate_hz": 10.0, "gaps": 0, "missing": 0, "repeated": 0, "backwards": 0, "first_gaps": [],
    }  # fmt: skip


def test_a_video_mode_sees_no_frame_of_another_input_or_task(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both videos have an episode of the same name, and frames with the same stamps."""
    seen: list[tuple[str, int]] = []

    class Watching:
        fingerprint = "w"

        def __init__(self) -> None:
            self.spec = registry.spec("topreward")

        def score(self, window: Window) -> RewardEstimate:
            seen.append((window.task, len(window.video)))
            return RewardEstimate(RewardHead.PROGRESS, 0.5, RewardStatus.OK, stamp_ns=window.current.stamp_ns)

    monkeypatch.setattr(registry, "open_mode", lambda name, options: Watching())
    other = shutil.copy(video, tmp_path / "other.mp4")
    words = [*TASK, "--task", "another", "--mode", "topreward", "--no-camera-check", "--batch", "2"]
    assert main(["replay", str(video), str(other), *words, "--out", str(tmp_path / "o")]) == 0
    for task in (TASK[1], "another"):
        assert [frames for asked, frames in seen if asked == task] == [1, 2, 3, 4, 5] * 2


def test_the_help_names_every_option_once(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["replay", "--help"])
    assert capsys.readouterr().out.count("\n  --model MODEL ") == 1


@pytest.mark.usefixtures("_fake_model")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([*TASK, *TASK], "--task"),
        ([*TASK, "--task", "another", "--merged"], "--merged"),
        ([*TASK, "--mode", "robometre"], "reward mode"),
        ([], "--task"),
        ([*TASK, "--batch", "0"], "--batch"),
        ([*TASK, "--query-rate-hz", "nan"], "--query-rate-hz"),
        ([*TASK, "--topic", "front"], "--topic"),
        ([*TASK, "--log-time"], "--log-time"),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(
    video: Path, tmp_path: Path, words: Sequence[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", str(video), "--out", str(tmp_path / "o"), *words]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "o").exists()


@pytest.mark.usefixtures("_fake_model")
def test_an_input_that_cannot_be_read_does_not_stop_the_others(
    video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.mcap").write_bytes(b"no bag")
    assert main(["replay", str(tmp_path / "bad.mcap"), str(video), *TASK, "--out", str(tmp_path / "o")]) == 2
    assert "bad.mcap" in capsys.readouterr().err
    assert (tmp_path / "o" / "run" / "replay.html").is_file()


@pytest.mark.usefixtures("_fake_model")
def test_check_without_recorded_rewards_is_a_failed_check(video: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(video), *TASK, "--check"]) == 1
    assert "no rewards to compare with" in capsys.readouterr().out
