"""LeRobotDatasets as commands take them: the older format, episodes with several tasks, folders that are written to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rerun.experimental import RrdReader

from lerobot_files import as_v21, changed
from lrm_bringup import cli
from lrm_bringup.bags.bag import bags_in
from lrm_bringup.replay.events import EpisodeSeen
from lrm_bringup.replay.sources import DatasetEpisodes
from lrm_core.disk import LOCK, hold
from lrm_core.errors import BadInput
from lrm_sim.lerobot_folder import new_dataset, open_dataset
from small_disk import small_disk

STEPS = 4
JOINTS = {"dtype": "float32", "shape": (2,), "names": ["shoulder.pos", "gripper.pos"]}
PICTURE = {"dtype": "image", "shape": (24, 32, 3), "names": ["height", "width", "channels"]}
COLUMNS = {"observation.images.front": PICTURE, "observation.state": JOINTS, "action": JOINTS}


def row(step: int, task: str) -> dict[str, Any]:
    state = np.array([0.1 * step, 0.5], np.float32)
    rgb = np.full((24, 32, 3), 20 * step, np.uint8)
    return {"observation.images.front": rgb, "observation.state": state, "action": state, "task": task}


def written(folder: Path, *episodes: tuple[str, ...]) -> Path:
    """A dataset; every episode as the tasks of its parts, which have as many frames each."""
    with new_dataset(folder, 10, COLUMNS, "some_arm") as dataset:
        for tasks in episodes:
            for step in range(STEPS * len(tasks)):
                dataset.add_frame(row(step, tasks[step // STEPS]))
            dataset.save_episode(parallel_encoding=False)
    return folder


def drawn(path: Path) -> list[str]:
    """Texts of the episode's events, in order."""
    chunks = [c for c in RrdReader(path).stream() if c.entity_path == "/events/episode" and not c.is_static]
    rows = [row for chunk in chunks for row in chunk.to_record_batch().to_pylist()]
    return [row["TextLog:text"][0] for row in rows]


def test_a_dataset_of_the_older_format_is_viewed_and_imported_and_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lerobot.utils.constants.HF_LEROBOT_HOME", tmp_path / "home")
    old = as_v21(written(tmp_path / "new", ("push",), ("wipe",)), tmp_path / "old")
    before = sorted((path, path.stat().st_mtime_ns) for path in old.rglob("*"))
    assert cli.main(["view", str(old), "--episode", "1", "--save", str(tmp_path / "1.rrd")]) == 0
    assert drawn(tmp_path / "1.rrd") == ["“wipe”"]
    assert cli.main(["import", "lerobot", str(old), "--out", str(tmp_path / "bags")]) == 0
    assert [path.name for path in bags_in(tmp_path / "bags" / "old-00001")] == ["old-00001"]
    assert sorted((path, path.stat().st_mtime_ns) for path in old.rglob("*")) == before


def test_an_episode_with_several_tasks_is_named_wherever_one_sentence_is_wanted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = written(tmp_path / "d", ("push",), ("push", "wipe"))
    said = "episode 1 has several tasks, ['push', 'wipe']: the first is taken"
    episodes = DatasetEpisodes(dataset)
    assert len(list(episodes.events())) == 3 * STEPS + 4
    assert len(episodes.problems) == 1 and said in episodes.problems[0] and "--task" in episodes.problems[0]
    assert cli.main(["import", "lerobot", str(dataset), "--out", str(tmp_path / "bags")]) == 0
    assert said in capsys.readouterr().err
    assert cli.main(["view", str(dataset), "--episode", "1", "--save", str(tmp_path / "1.rrd")]) == 0
    assert drawn(tmp_path / "1.rrd") == ["“push”", "“wipe”"], "each at its own frame"


def test_an_episode_without_a_task_is_left_out_and_named_unless_one_is_given(tmp_path: Path) -> None:
    dataset = written(tmp_path / "d", (" ",), ("push",))
    found = [DatasetEpisodes(dataset, task=task) for task in ("", "wipe")]
    plans = [[e.plan.task for e in one.events() if isinstance(e, EpisodeSeen) and e.plan] for one in found]
    assert plans == [["push"] * 2, ["wipe"] * 4]
    assert [one.problems for one in found] == [
        ["d: episode 0 has no task sentence and is left out; --task gives one"],
        [],
    ]


def test_a_frame_that_cannot_be_read_is_named_and_the_others_are_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    no_picture = {2: {"bytes": b"no picture", "path": None}}
    broken = changed(written(tmp_path / "whole", ("push",)), tmp_path / "d", "observation.images.front", no_picture)
    episodes = DatasetEpisodes(broken)
    assert len(list(episodes.events())) == STEPS - 1 + 2
    (problem,) = episodes.problems
    assert "d-00000: 1 of 4 frames cannot be read" in problem and "row 2" in problem
    assert cli.main(["view", str(broken), "--save", str(tmp_path / "d.rrd")]) == 0
    assert "1 of 4 frames cannot be read" in capsys.readouterr().err
    assert cli.main(["import", "lerobot", str(broken), "--out", str(tmp_path / "bags")]) == 2
    assert "d, row 2" in capsys.readouterr().err
    assert not bags_in(tmp_path / "bags"), "a bag with a gap that nobody sees"


@pytest.mark.parametrize("rate", [0, -10, None, "ten"])
def test_a_rate_that_cannot_be_is_refused_with_the_file_that_says_it(
    rate: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "d" / "meta").mkdir(parents=True)
    (tmp_path / "d" / "meta" / "info.json").write_text(json.dumps({"codebase_version": "v3.0", "fps": rate}))
    assert cli.main(["view", str(tmp_path / "d")]) == 2
    said = capsys.readouterr().err
    assert "info.json" in said and "frames per second" in said and "Traceback" not in said


def test_a_folder_that_is_written_to_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = written(tmp_path / "d", ("push",))
    words = ["import", "lerobot", str(dataset), "--out", str(tmp_path / "bags")]
    with hold(tmp_path / "bags" / LOCK, "parameter out_dir", tmp_path / "bags", "recorder"):
        assert cli.main(words) == 2
        assert "no other recorder or import" in capsys.readouterr().err
        assert [path.name for path in (tmp_path / "bags").iterdir()] == [LOCK]
    assert cli.main(words) == 0


def test_an_import_on_a_full_disk_is_one_clear_error_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = written(tmp_path / "d", ("push",))
    with small_disk(tmp_path / "disk", 1) as disk:
        (disk / "filler").write_bytes(bytes(1_040_000))
        words = ["import", "lerobot", str(dataset), "--out", str(disk / "bags")]
        assert cli.main(words) == 2
        said = capsys.readouterr().err
        assert "room for more" in said and "goes on where it stopped" in said and "Traceback" not in said
        (disk / "filler").unlink()
        assert cli.main(words) == 0
        assert [path.name for path in bags_in(disk / "bags" / "d-00000")] == ["d-00000"]


def test_two_writers_of_one_dataset_do_not_take_each_other_s_files(tmp_path: Path) -> None:
    with new_dataset(tmp_path / "d", 10, COLUMNS, "some_arm") as first:
        with pytest.raises(BadInput, match="no other program"), new_dataset(tmp_path / "d", 10, COLUMNS, "some_arm"):
            pass
        first.add_frame(row(0, "push"))
        first.save_episode(parallel_encoding=False)
    assert len(open_dataset(tmp_path / "d")) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["d"]
