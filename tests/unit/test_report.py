"""The report of a made-up run: what a person reads, and what the check finds."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lrm_bringup import cli
from lrm_bringup.recorder import index
from lrm_bringup.report.check import check_run
from lrm_bringup.report.examples import examples
from lrm_bringup.report.journal import AFTER, BEFORE, read_run
from lrm_bringup.report.page import write_report
from lrm_bringup.report.strips import film_strip, find_bag, read_frames
from synthetic_run import NS, write_bag, write_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_run(tmp_path_factory.mktemp("runs") / "run", evaluations=4, refined=4)
    write_report(folder)
    return folder


def test_a_fresh_report_passes_its_check(folder: Path) -> None:
    assert check_run(folder) == []


def test_the_page_needs_nothing_from_outside_and_runs_no_script(folder: Path) -> None:
    text = (folder / "report.html").read_text()
    assert not re.search(r"(?:src|href|url)\s*[=(]\s*[\"']?(?:https?:)?//", text)
    assert "<script" not in text


def test_the_page_shows_the_numbers_of_the_summary(folder: Path) -> None:
    text = (folder / "report.html").read_text()
    success = json.loads((folder / "summary.json").read_text())["success"]
    for phase in (BEFORE, AFTER):
        assert f"{100 * success[phase]['rate']:.0f} %" in text


def test_film_strips_hold_the_scored_frames_of_the_bag(folder: Path) -> None:
    run = read_run(folder)
    episode = run.phase(BEFORE)[0]
    stamps = [reward.stamp_ns for reward in run.values(episode.episode_id, "progress")]
    bag = find_bag(json.loads((folder / "summary.json").read_text())["bags"], episode.episode_id)
    assert bag is not None
    strip = film_strip(folder / bag, stamps)
    assert [stamp_ns for stamp_ns, _ in strip] == stamps
    assert strip[3][1] in (folder / "report.html").read_text()
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(strip[-1][1].split(",")[1]))))
    red = (picture[..., 0].astype(int) - picture[..., 1]) > 60
    assert np.argwhere(red)[:, 1].mean() > 0.6 * picture.shape[1], "the dot ends on the right"


def test_frames_that_were_not_recorded_are_left_out(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", [NS, 2 * NS])
    assert set(read_frames(bag, {2 * NS, 3 * NS})) == {2 * NS}


def test_examples_show_the_same_scene_before_and_after(folder: Path) -> None:
    shown = dict(examples(read_run(folder)))
    before, after = shown["before: the base policy fails"], shown["after: the same scene, refined"]
    assert before.seed == after.seed
    assert (before.success, after.success) == (False, True)


def test_examples_never_show_an_episode_twice(folder: Path) -> None:
    ids = [episode.episode_id for _, episode in examples(read_run(folder))]
    assert len(ids) == len(set(ids))


def test_a_run_that_was_killed_still_gives_a_report_that_says_so(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "killed", evaluations=3, refined=0, bags=False, finished=False)
    journal = folder / "journal.jsonl"
    journal.write_text(journal.read_text() + '{"kind": "episode", "phase": "aft')
    summary = write_report(folder)
    assert not summary["finished"]
    assert "ended early: the program was killed" in (folder / "report.html").read_text()


def test_a_run_without_any_episode_gives_a_report(tmp_path: Path) -> None:
    summary = write_report(write_run(tmp_path / "empty", evaluations=0, refined=0, bags=False))
    assert summary["success"]["before"]["rate"] is None


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda f: (f / "report.html").unlink(), "report.html is missing"),
        (lambda f: (f / "report.html").write_text("<html>"), "cut off"),
        (lambda f: _edit(f, lambda s: s["success"]["after"].update(rate=0.99)), "success differs from the journal"),
        (lambda f: _edit(f, lambda s: s.pop("seed")), "'seed' is a required property"),
        (lambda f: _edit(f, lambda s: s.update(wall_s="long")), "wall_s"),
        (lambda f: next((f / "bags").rglob("*.mcap")).unlink(), "bags differs"),
        (lambda f: next((f / "bags").rglob("*.mcap")).write_bytes(b"no bag"), "cannot be read"),
    ],
)
def test_the_check_finds_damage(tmp_path: Path, damage, problem: str) -> None:
    folder = write_run(tmp_path / "run", evaluations=1, refined=1)
    write_report(folder)
    damage(folder)
    assert any(problem in line for line in check_run(folder))


def _edit(folder: Path, change) -> None:
    path = folder / "summary.json"
    summary = json.loads(path.read_text())
    change(summary)
    path.write_text(json.dumps(summary))


def test_the_command_renders_again_and_checks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_run(tmp_path / "run", evaluations=1, refined=1)
    assert cli.main(["report", str(folder)]) == 0
    assert cli.main(["report", str(folder), "--check"]) == 0
    (folder / "report.html").unlink()
    assert cli.main(["report", str(folder), "--check"]) == 1
    assert "report.html is missing" in capsys.readouterr().err


def test_a_folder_that_is_no_run_is_one_clear_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["report", str(tmp_path)]) == 2
    assert "expected a folder with journal.jsonl" in capsys.readouterr().err


def test_a_bag_that_gave_way_to_the_disk_budget_is_not_missed_and_any_other_is(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", evaluations=2, refined=2)
    gone, lost = (episode.episode_id for episode in read_run(folder).episodes[:2])
    for name in (gone, lost):
        shutil.rmtree(folder / "bags" / name)
    index.append(folder / "bags", {"episode_id": gone, "bag": gone})
    index.append(folder / "bags", {"bag": gone, "deleted": True})
    write_report(folder)
    assert check_run(folder) == [f"1 of {len(read_run(folder).episodes)} episodes have no bag, first {lost}"]
