"""Episodes survive the way into a LeRobotDataset and back; half a dataset is never taken for a whole one."""

import argparse

import numpy as np
import pytest

from lrm_core.errors import BadInput
from lrm_sim import cli, dataset
from lrm_sim.collect import EpisodeSpec, run_episode
from lrm_sim.env import PickPlaceEnv
from lrm_sim.expert import Kind
from lrm_sim.tasks import DEMO_TASK


@pytest.fixture(scope="module")
def records():
    env = PickPlaceEnv(image_size=64)
    kinds = (Kind.SUCCESS, Kind.NEVER_MOVED)
    yield [run_episode(env, EpisodeSpec(i, DEMO_TASK, kind), every=4) for i, kind in enumerate(kinds)]
    env.close()


@pytest.mark.parametrize("use_videos", [False, True])
def test_what_is_written_is_read_back(tmp_path, records, use_videos):
    assert dataset.write(records, tmp_path / "demos", use_videos=use_videos) == 2
    back = list(dataset.read(tmp_path / "demos"))
    assert len(back) == 2
    for record, again in zip(records, back, strict=True):
        assert (again.task, again.seed, again.outcome) == (record.task, record.seed, record.outcome)
        assert again.labels == record.labels
        for name in ("states", "actions", "progress", "success"):
            np.testing.assert_array_equal(getattr(again, name), getattr(record, name))
        for name, positions in record.positions.items():
            np.testing.assert_array_equal(again.positions[name], positions)
        error = np.abs(again.front.astype(int) - record.front)
        assert error.mean() < 3.0 if use_videos else error.max() == 0


def test_lerobot_reads_it_as_a_policy_dataset(tmp_path, records):
    dataset.write(records, tmp_path / "demos")
    opened = dataset.open_dataset(tmp_path / "demos")
    assert (opened.fps, opened.num_episodes) == (10, 2)
    assert opened[0]["task"] == DEMO_TASK
    assert opened[0]["observation.images.front"].shape == (3, 64, 64)
    assert opened.features["action"]["names"][-1] == "gripper"


def test_an_interrupted_write_is_named_and_can_be_done_again(tmp_path, records):
    def breaks_off():
        yield records[0]
        raise KeyboardInterrupt

    folder = tmp_path / "demos"
    with pytest.raises(KeyboardInterrupt):
        dataset.write(breaks_off(), folder)
    with pytest.raises(BadInput, match="interrupted"):
        dataset.open_dataset(folder)
    assert dataset.write(records, folder) == 2
    assert len(list(dataset.read(folder))) == 2


def test_an_existing_folder_is_never_overwritten(tmp_path, records):
    (tmp_path / "demos").mkdir()
    with pytest.raises(BadInput, match="expected a new folder"):
        dataset.write(records, tmp_path / "demos")


def test_a_folder_that_is_no_dataset_is_refused(tmp_path):
    with pytest.raises(BadInput, match="lrm record-demos"):
        next(dataset.read(tmp_path))


def parsed(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    cli.configure_record(parser)
    return parser.parse_args(arguments)


def test_the_command_records_what_it_is_asked_for(tmp_path, capsys):
    folder = tmp_path / "demos"
    arguments = ("--episodes", "2", "--kinds", "success,missed_grasp", "--workers", "1", "--out", str(folder))
    assert cli.run_record(parsed(*arguments)) == 0
    assert "1 missed_grasp, 1 success" in " ".join(capsys.readouterr().out.split())
    assert [record.outcome for record in dataset.read(folder)] == ["success", "missed_grasp"]


@pytest.mark.parametrize(
    "arguments",
    [("--kinds", "luck"), ("--episodes", "0"), ("--seed", "-1"), ("--task", "fly")],
)
def test_the_command_refuses_what_makes_no_sense(tmp_path, arguments):
    with pytest.raises(BadInput):
        cli.run_record(parsed("--out", str(tmp_path / "demos"), *arguments))
    assert not list(tmp_path.iterdir())
