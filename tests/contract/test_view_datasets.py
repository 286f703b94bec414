"""Episodes of a LeRobotDataset in Rerun: cameras, and actions against the measured state by the names of the joints."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rerun.experimental import RrdReader

from lrm_bringup import cli
from robot_bags import write_episode

JOINTS = ["shoulder.pos", "gripper.pos"]
STEPS = 4


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two episodes with a camera."""
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    joints = {"dtype": "float32", "shape": (2,), "names": JOINTS}
    picture = {"dtype": "image", "shape": (24, 32, 3), "names": ["height", "width", "channels"]}
    features = {"observation.images.front": picture, "observation.state": joints, "action": joints}
    root = tmp_path_factory.mktemp("datasets") / "d"
    written = LeRobotDataset.create("local/d", fps=10, features=features, root=root, use_videos=False)
    for episode in range(2):
        for step in range(STEPS):
            state = np.array([episode + 0.1 * step, 0.5], np.float32)
            rgb = np.full((24, 32, 3), 40 * step, np.uint8)
            frame = {"observation.images.front": rgb, "observation.state": state, "action": state + np.float32(1.0)}
            written.add_frame({**frame, "task": f"task {episode}"})
        written.save_episode()
    written.finalize()
    return root


def rows(path: Path, entity: str) -> list[dict[str, Any]]:
    chunks = [c for c in RrdReader(path).stream() if c.entity_path == entity and not c.is_static]
    return [row for chunk in chunks for row in chunk.to_record_batch().to_pylist()]


def test_an_episode_of_a_dataset_is_drawn_by_the_names_of_its_joints(dataset: Path, tmp_path: Path) -> None:
    saved = tmp_path / "d.rrd"
    assert cli.main(["view", str(dataset), "--episode", "1", "--save", str(saved)]) == 0
    for series, offset in (("measured", 0.0), ("command", 1.0)):
        values = [row["Scalars:scalars"][0] for row in rows(saved, f"/joints/shoulder.pos/{series}")]
        assert values == pytest.approx([1.0 + 0.1 * step + offset for step in range(STEPS)])
    assert len(rows(saved, "/cameras/front")) == STEPS
    assert [row["TextLog:text"][0] for row in rows(saved, "/events/episode")] == ["“task 1”"]


def test_rewards_of_an_exported_dataset_are_drawn_and_unknown_ones_are_gaps(tmp_path: Path) -> None:
    bag = write_episode(tmp_path / "bags" / "run.0", steps=24, unknown=[10], truth=False)
    undecided = write_episode(tmp_path / "bags" / "run.1", episode="run.1", steps=12, reason="cancelled")
    command = ["export", "lerobot", str(bag), str(undecided), "--images", "--out", str(tmp_path / "d")]
    assert cli.main(command) == 0
    assert cli.main(["view", str(tmp_path / "d"), "--save", str(tmp_path)]) == 0

    def curve(number: int, entity: str) -> list[float]:
        return [row["Scalars:scalars"][0] for row in rows(tmp_path / f"d-0000{number}.rrd", entity)]

    progress = curve(0, "/rewards/progress")
    assert [math.isnan(value) for value in progress] == [False, True, False, False], "asked at 0, 10, 20 and the end"
    assert curve(0, "/numbers/episode/next.success") == [0.0] * 23 + [1.0, 1.0]
    assert all(math.isnan(value) for value in curve(1, "/numbers/episode/next.success"))


def test_every_episode_gets_a_file_of_its_name(dataset: Path, tmp_path: Path) -> None:
    assert cli.main(["view", str(dataset), "--save", str(tmp_path)]) == 0
    assert sorted(path.name for path in tmp_path.glob("*.rrd")) == ["d-00000.rrd", "d-00001.rrd"]
