"""Training sets made for real: videos in, samples out; stopped, started again, and on a disk that is full."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import pickle
import signal
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import psutil
import pytest

from data_videos import TASKS, pictures, video_folder, write_video
from lrm_bringup.cli import main
from lrm_core.errors import BadInput
from lrm_core.rewards import RewardHead
from lrm_reward_node import prompts
from lrm_reward_node.data.build import build
from lrm_reward_node.data.manifest import load
from lrm_reward_node.data.samples import Samples, open_samples
from lrm_reward_node.data.summary import read_summary
from ros_testing import wait_until
from small_disk import small_disk

HEADS, SPLITS = ("contrastive", "progress", "completion"), ("train", "validation", "test")


def content(folder: Path) -> dict[str, str]:
    """Hash of every file of a training set."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def every(folder: Path) -> list[Samples]:
    return [open_samples(folder, head, split) for head in HEADS for split in SPLITS]


def manifest_with(folder: Path, text: str) -> Path:
    path = folder / "manifest.yaml"
    path.write_text(text)
    return path


def lrm(*words: object) -> list[str]:
    return [sys.executable, "-c", "import sys; from lrm_bringup.cli import main; sys.exit(main())", *map(str, words)]


def environment() -> dict[str, str]:
    return dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    build(load(video_folder(folder, 18)), folder / "out")
    return folder / "out"


def test_every_sample_has_the_pictures_of_its_prompt_and_keeps_its_origin(built: Path) -> None:
    for samples in every(built):
        for index in range(0, len(samples), 7):
            sample = samples[index]
            order = prompts.image_order(RewardHead(sample.head), initial=sample.initial, goal=sample.goal)
            assert len(sample.images) == len(order) == len(sample.origin["frames"])
            assert all(rgb.shape == (64, 64, 3) and rgb.dtype == np.uint8 for rgb in sample.images)
            assert prompts.build(RewardHead(sample.head), sample.task, initial=sample.initial, goal=sample.goal).images
            assert sample.origin["episode"].startswith("clip-") and (built / sample.origin["file"]).is_file()
    assert sum(map(len, every(built))) > 500


def test_a_sample_shows_the_frame_that_its_answer_is_about(built: Path) -> None:
    samples = open_samples(built, "progress", "train")
    honest = [one for one in (samples[i] for i in range(len(samples))) if one.origin["made"] == "clock"]
    assert len(honest) > 50
    for sample in honest:
        columns = np.flatnonzero((sample.images[-1][32].astype(int) > (200, 190, -1)).all(axis=1))
        assert abs(columns[0] / 40 - sample.target) < 0.06  # where the square is says how far it has come


def test_weights_draw_every_answer_alike(built: Path) -> None:
    samples = open_samples(built, "completion", "train")
    by_answer: dict[str, float] = defaultdict(float)
    for index in range(len(samples)):
        assert samples[index].weight == pytest.approx(samples.weights[index])
        by_answer[samples[index].answer] += samples.weights[index]
    assert samples.weights.mean() == pytest.approx(1.0)
    assert len(by_answer) == 2 and len({round(total, 3) for total in by_answer.values()}) == 1


def test_samples_go_to_other_processes_and_cache_what_was_read(built: Path) -> None:
    samples = open_samples(built, "progress", "train")
    first = samples[3]
    again = pickle.loads(pickle.dumps(samples))
    assert np.array_equal(again[3].images[-1], first.images[-1]) and again[-1].origin == samples[-1].origin
    read = again.reader_stats["pictures"]
    assert again[3].answer == first.answer and again.reader_stats["pictures"] == read > 0


def test_every_sample_tells_its_origin_without_decoding_a_picture(built: Path) -> None:
    for samples in every(built):
        origins = [samples.origin(i) for i in range(len(samples))]
        assert samples.reader_stats["pictures"] == 0
        assert origins[-3:] == [samples[i].origin for i in range(len(samples))[-3:]]
        assert all(origin["split"] == samples.split for origin in origins)


@pytest.mark.parametrize("by", ["episode", "task", "scene"])
def test_nothing_stands_in_two_splits(tmp_path: Path, by: str) -> None:
    manifest = video_folder(tmp_path, 16, frames=9)
    text = manifest.read_text().replace(
        "splits: {train: 0.7, validation: 0.3}", f"splits: {{by: {by}, train: 0.5, validation: 0.5}}"
    )
    rows = {row["file"]: row for row in json.loads((tmp_path / "clips" / "index.json").read_text())}
    build(load(manifest_with(tmp_path, text)), tmp_path / "out")
    seen: dict[str, set[str]] = {split: set() for split in SPLITS}
    sentences: dict[str, set[str]] = {split: set() for split in SPLITS}
    for samples in every(tmp_path / "out"):
        for index in range(len(samples)):
            sample = samples[index]
            row = rows[sample.origin["episode"]]
            seen[samples.split].add(row[{"episode": "file"}.get(by, by)])
            sentences[samples.split].add(sample.task)
    assert not seen["train"] & seen["validation"] and (seen["train"] | seen["validation"])
    if by == "task":
        assert not sentences["train"] & sentences["validation"]


def test_a_build_that_was_killed_goes_on_and_ends_with_the_same_bytes(tmp_path: Path) -> None:
    manifest = video_folder(tmp_path, 24, frames=61)
    build(load(manifest), tmp_path / "whole")
    command = lrm("data", "build", manifest, "--out", tmp_path / "killed", "--workers", 2)
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL, start_new_session=True)
    wait_until(lambda: len(list((tmp_path / "killed").glob("episodes/*/*.zip"))) >= 3, 60, "some episodes")
    workers = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    psutil.wait_procs(workers, timeout=20)
    assert not [worker for worker in workers if worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE]
    done = {path: path.stat().st_mtime_ns for path in (tmp_path / "killed").glob("episodes/*/*.zip")}
    assert len(done) < 24 and not (tmp_path / "killed" / "data.json").exists()
    with pytest.raises(BadInput, match="finished build"):
        open_samples(tmp_path / "killed", "progress", "train")
    build(load(manifest), tmp_path / "killed")
    assert content(tmp_path / "killed") == content(tmp_path / "whole")
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in done.items())  # nothing was read twice


def test_ctrl_c_ends_a_build_with_130_and_without_a_trace(tmp_path: Path) -> None:
    manifest = video_folder(tmp_path, 24, frames=61)
    command = lrm("data", "build", manifest, "--out", tmp_path / "out", "--workers", 2)
    process = subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True, start_new_session=True)
    wait_until(lambda: any((tmp_path / "out").glob("episodes/*/*.zip")), 60, "an episode")
    os.killpg(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in error


def test_a_full_disk_is_named_and_a_restart_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = video_folder(tmp_path, 12)
    build(load(manifest), tmp_path / "whole")
    with small_disk(tmp_path / "disk", 4) as disk:
        filler = disk / "filler"
        filler.write_bytes(bytes(4 * 2**20 - 100_000))
        assert main(["data", "build", str(manifest), "--out", str(disk / "out")]) == 2
        assert "goes on where it stopped" in capsys.readouterr().err
        assert list((disk / "out").glob("episodes/*/*.zip")) and not list((disk / "out").rglob("*.partial"))
        filler.unlink()
        assert main(["data", "build", str(manifest), "--out", str(disk / "out")]) == 0
        assert content(disk / "out") == content(tmp_path / "whole")


def test_a_second_build_does_nothing_and_a_new_manifest_leaves_nothing_old(tmp_path: Path) -> None:
    manifest = video_folder(tmp_path, 4, frames=9)
    build(load(manifest), tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*") if path.name != ".lock"}
    build(load(manifest), tmp_path / "out")
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in before.items())
    manifest.write_text(manifest.read_text().replace("rate_hz: 5", "rate_hz: 3"))
    build(load(manifest), tmp_path / "out")
    build(load(manifest), tmp_path / "fresh")
    assert content(tmp_path / "out") == content(tmp_path / "fresh")


def test_a_second_builder_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    manifest = load(video_folder(tmp_path, 2, frames=9))

    def another(what: str, done: int, of: int) -> None:
        with pytest.raises(BadInput, match="no other build"):
            build(manifest, tmp_path / "out")

    build(manifest, tmp_path / "out", progress=another)


def test_bad_files_are_named_and_the_rest_is_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clips = tmp_path / "clips"
    for index in range(9):
        write_video(clips / f"good-{index}.mp4", pictures(21, 2, seed=index))
    (clips / "empty.mp4").touch()
    whole = write_video(clips / "whole.mp4", pictures(40, seed=50)).read_bytes()
    (clips / "cut.mp4").write_bytes(whole[: len(whole) // 3])
    write_video(clips / "short.mp4", pictures(1, seed=51))
    write_video(clips / "uneven.mp4", pictures(20, seed=52), [i * 40 + (i // 2) * 700 for i in range(20)])
    write_video(
        clips / "again.mp4", [np.clip(rgb.astype(int) + 1, 0, 255).astype(np.uint8) for rgb in pictures(21, 2, 0)]
    )
    write_video(clips / "still.mp4", [pictures(1, seed=53)[0]] * 20)
    rows = [(f"good-{i}.mp4", TASKS[i % 3], "failure" if i in (0, 4) else "success") for i in range(9)]
    rows += [
        (f"{name}.mp4", TASKS[0], "success") for name in ("empty", "cut", "short", "uneven", "again", "still", "gone")
    ]
    rows += [("./good-8.mp4", "", "success"), ("whole.mp4", TASKS[0], "half way")]
    with (clips / "index.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "task", "outcome"), *rows])
    manifest = manifest_with(tmp_path, "sources:\n  - {kind: videos, path: clips}\n")
    assert main(["data", "build", str(manifest), "--out", str(tmp_path / "out")]) == 0
    found = {(row["episode"], row["kind"]) for row in read_summary(tmp_path / "out").problems}
    expected = {
        ("empty.mp4", "unreadable"), ("cut.mp4", "unreadable"), ("gone.mp4", "unreadable"), ("short.mp4", "one frame"),
        ("uneven.mp4", "variable rate"), ("again.mp4", "duplicate"), ("still.mp4", "nothing moves"),
        ("./good-8.mp4", "no task"), ("whole.mp4", "unknown outcome"),
    }  # fmt: skip
    assert expected <= found
    used = {s[i].origin["episode"] for s in every(tmp_path / "out") for i in range(len(s))}
    assert used == {*(f"good-{i}.mp4" for i in range(9)), "uneven.mp4"}
    capsys.readouterr()
    assert main(["data", "report", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().out
    assert "STOP" in said and "half way" in said
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Do not train on this yet" in page and page.count("data:image/jpeg") > 20 and "<script" not in page
    assert json.loads((tmp_path / "out" / "report.json").read_text())["stop"]


def test_labels_follow_the_times_of_the_frames_and_not_their_number(tmp_path: Path) -> None:
    times = [0, 100, 200, 300, 400, 1400, 2400, 3400]
    write_video(tmp_path / "clips" / "a.mp4", pictures(8), times)
    text = "sources:\n  - {kind: videos, path: clips, task: push, outcome: success}\nframes: {rate_hz: 30}\n"
    build(load(manifest_with(tmp_path, text)), tmp_path / "out")
    samples = next(s for s in every(tmp_path / "out") if s.head is RewardHead.PROGRESS and len(s))
    targets = {
        s.origin["frames"][-1]: s.target
        for s in (samples[i] for i in range(len(samples)))
        if s.origin["made"] == "clock"
    }
    assert [targets[i] for i in range(8)] == pytest.approx([time / 3400 for time in times], abs=0.01)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["data", "build", "none.yaml", "--out", "x"], "can be read"),
        (["data", "build", "manifest.yaml", "--out", "x", "--workers", "0"], "--workers"),
        (["data", "build", "manifest.yaml", "--out", "x"], "existing folder of videos"),
        (["data", "check", "manifest.yaml"], "existing folder of videos"),
        (["data", "report", "."], "finished build"),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    manifest_with(tmp_path, "sources:\n  - {kind: videos, path: nowhere}\n")
    assert main(words) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_a_key_that_is_assigned_and_that_no_episode_has_is_refused(tmp_path: Path) -> None:
    text = video_folder(tmp_path, 3, frames=5).read_text()
    wrong = text.replace("{train", '{by: task, assign: {"put the red cub in the blue bowl": test}, train')
    with pytest.raises(BadInput, match="red cub in"):
        build(load(manifest_with(tmp_path, wrong)), tmp_path / "out")
    summary = build(load(manifest_with(tmp_path, wrong.replace("cub in", "Cube in"))), tmp_path / "out")
    assert {row["split"] for row in summary.episodes if row["outcome"] == "failure"} == {"test"}


def sentences_asked_as_no(folder: Path) -> set[str]:
    samples = [samples for samples in every(folder) if samples.head is RewardHead.COMPLETION]
    found = [one.question(i) for one in samples for i in range(len(one))]
    return {one.task for one in found if one.origin["made"] in ("wrong_sentence", "other_object")}


def test_another_wording_of_a_task_is_asked_as_no_only_until_the_manifest_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = video_folder(tmp_path, 6, frames=9).read_text()
    table = tmp_path / "clips" / "index.json"
    rows = json.loads(table.read_text())
    for row in rows:
        row["task"] = "take the cube" if row["task"] == TASKS[1] else "pick up the cube"
    table.write_text(json.dumps(rows))
    plain = manifest_with(tmp_path, text.replace("{train: 0.7, validation: 0.3}", "{train: 1.0, validation: 0.0}"))
    assert main(["data", "build", str(plain), "--out", str(tmp_path / "plain")]) == 0
    assert "  pick up the cube | take the cube" in capsys.readouterr().out.splitlines()
    assert sentences_asked_as_no(tmp_path / "plain") == {"pick up the cube", "take the cube"}
    assert main(["data", "report", str(tmp_path / "plain")]) == 0
    assert "<td>pick up the cube</td>" in (tmp_path / "plain" / "report.html").read_text()
    untold = plain.read_text()
    told = manifest_with(tmp_path, untold + "sampling: {same_as: {Take the cube.: pick up the cube}}\n")
    assert build(load(told), tmp_path / "told").asked_as_no == [] and not sentences_asked_as_no(tmp_path / "told")
    wrong = manifest_with(tmp_path, told.read_text().replace("Take the cube.", "take the cub"))
    with pytest.raises(BadInput, match="take the cub'"):
        build(load(wrong), tmp_path / "wrong")
    for row in rows:  # the table may say it too
        row["meaning"] = "get the cube"
    table.write_text(json.dumps(rows))
    build(load(manifest_with(tmp_path, untold)), tmp_path / "by")
    assert not sentences_asked_as_no(tmp_path / "by")
    meanings = [open_samples(tmp_path / name, "completion", "train").tasks() for name in ("plain", "told", "by")]
    assert [set(found) for found in meanings] == [{"pick up the cube", "take the cube"}] * 3
    assert [len(set(found.values())) for found in meanings] == [2, 1, 1]


def test_check_lists_what_a_manifest_would_take(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = video_folder(tmp_path, 6, frames=3)
    assert main(["data", "check", str(manifest)]) == 0
    assert f"1 × {TASKS[0]}" not in (said := capsys.readouterr().out) and f"2 × {TASKS[0]} (failure)" in said
    text = manifest.read_text().replace("path: clips", "path: clips\n    filter: {tasks: [something else]}")
    assert main(["data", "check", str(manifest_with(tmp_path, text))]) == 1


def test_a_damaged_episode_file_is_named_and_made_anew_when_it_is_removed(tmp_path: Path) -> None:
    manifest = load(video_folder(tmp_path, 3, frames=5))
    build(manifest, tmp_path / "out")
    whole = content(tmp_path / "out")
    (tmp_path / "out" / "data.json").unlink()
    file = next((tmp_path / "out").glob("episodes/*/*.zip"))
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(BadInput, match=file.stem):
        build(manifest, tmp_path / "out")
    file.unlink()
    build(manifest, tmp_path / "out")
    assert content(tmp_path / "out") == whole
