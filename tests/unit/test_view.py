"""Where things are drawn, and what is refused before anything is drawn."""

from __future__ import annotations

import socket
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lrm_bringup import cli
from lrm_bringup.view.inputs import runs
from lrm_bringup.view.names import Place, place, reward_path, robots, series_name
from lrm_bringup.view.sinks import WebSink, file_sink, viewer_sink, window_sink
from lrm_core.errors import BadInput
from lrm_core.rewards import RewardHead

HEADS = [head.value for head in RewardHead]
PARTS = st.text("abcdefghij", min_size=1, max_size=6)
NAMESPACES = st.lists(PARTS, max_size=2).map("/".join)
RELATIVE = st.one_of(
    st.sampled_from(["episode_status", "audit", "reward/status"]),
    st.sampled_from(HEADS).map("reward/{}".format),
    st.tuples(PARTS, st.sampled_from(HEADS)).map("/".join).map("reward/{}".format),
    st.tuples(PARTS, st.sampled_from(HEADS)).map("/reward/".join).map("replay/{}".format),
)


@given(NAMESPACES, RELATIVE)
def test_a_robot_is_found_by_its_messages_and_its_topics_keep_their_relative_names(robot: str, relative: str) -> None:
    topic = "/".join(part for part in ("", robot, relative) if part or not relative)
    found = robots([(f"/{topic.lstrip('/')}", "lrm_msgs/msg/Reward"), ("/elsewhere/camera", "sensor_msgs/msg/Image")])
    assert found == [robot]
    assert place(topic, found) == Place(robot, relative)


def test_a_recording_of_someone_else_is_one_robot() -> None:
    topics = [
        ("/left/joint_states", "sensor_msgs/msg/JointState"),
        ("/right/joint_states", "sensor_msgs/msg/JointState"),
    ]
    assert robots(topics) == [""]
    assert place("/left/joint_states", robots(topics)) == Place("", "left/joint_states")
    assert series_name("left/joint_states") == "left.joint_states"


def test_a_robot_whose_name_begins_with_that_of_another_keeps_its_topics() -> None:
    assert place("/arm_2/command", ["arm", "arm_2"]) == Place("arm_2", "command")
    assert place("/arm/left/command", ["arm", "arm/left"]) == Place("arm/left", "command")


@pytest.mark.parametrize(
    ("relative", "path"),
    [
        ("reward/progress", ("rewards", "progress")),
        ("reward/wrist/progress", ("rewards", "wrist", "progress")),
        ("replay/lrm-mine/reward/fused", ("rewards", "replay", "lrm-mine", "fused")),
    ],
)
def test_verdicts_cameras_and_replays_are_curves_of_their_own(relative: str, path: tuple[str, ...]) -> None:
    assert reward_path(relative) == path


def test_without_a_display_the_ways_out_are_named() -> None:
    with pytest.raises(BadInput, match=r"--save FILE\.rrd .* --web .* --connect"):
        window_sink({})


def test_a_file_is_not_overwritten_unless_asked(tmp_path: Path) -> None:
    path = tmp_path / "run.rrd"
    path.write_bytes(b"a run")
    with pytest.raises(BadInput, match="--overwrite replaces it"):
        file_sink(path, overwrite=False)
    assert path.read_bytes() == b"a run"
    file_sink(path, overwrite=True)


def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BadInput, match=f"--web is {port}"):
            WebSink(port)


@pytest.mark.parametrize("url", ["http://localhost:9876", "rerun+http://", "localhost:9876"])
def test_an_address_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(BadInput, match="an address like rerun"):
        viewer_sink(url)


def test_a_viewer_that_does_not_run_is_named_at_once() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # taken, and nobody listens
        with pytest.raises(BadInput, match="the address of a viewer that runs"):
            viewer_sink(f"rerun+http://127.0.0.1:{unused.getsockname()[1]}/proxy")


def bags(folder: Path, count: int) -> Path:
    for index in range(count):
        (folder / "bags" / f"a.{index}").mkdir(parents=True)
        (folder / "bags" / f"a.{index}" / "a.mcap").touch()
    return folder


@pytest.mark.parametrize(
    ("episodes", "names"),
    [([], ["a.0", "a.1", "a.2"]), (["1"], ["a.1"]), (["-1"], ["a.2"]), (["a.2", "0"], ["a.2", "a.0"])],
)
def test_episodes_of_a_run_are_chosen_by_number_or_name(tmp_path: Path, episodes: list[str], names: list[str]) -> None:
    assert [run.name for run in runs([bags(tmp_path, 3)], episodes)] == names


def test_an_episode_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="below 3 or a part of a name"):
        runs([bags(tmp_path, 3)], ["7"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "recordings, or --live"),
        (["bag", "--live"], "and not both"),
        (["nosuch"], "an existing file or folder"),
        (["bag", "--namespace", "left"], "together with --live"),
        (["bag", "--jpeg-quality", "0"], "1 to 100"),
        (["bag", "--web", "70000"], "a port"),
    ],
)
def test_bad_words_are_one_clear_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["view", *words]) == 2
    assert message in capsys.readouterr().err


def test_a_folder_of_pictures_is_drawn(tmp_path: Path) -> None:
    from rerun.experimental import RrdReader

    folder = tmp_path / "pictures"
    folder.mkdir()
    for index in range(3):
        Image.fromarray(np.full((16, 16, 3), 80 * index, np.uint8)).save(folder / f"{index}.png")
    assert cli.main(["view", str(folder), "--save", str(tmp_path / "out.rrd")]) == 0
    chunks = RrdReader(tmp_path / "out.rrd").stream()
    assert sum(chunk.num_rows for chunk in chunks if chunk.entity_path == "/cameras/pictures") == 3


def test_a_recording_with_nothing_to_draw_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"no video")
    assert cli.main(["view", str(tmp_path / "clip.mp4"), "--save", str(tmp_path / "out.rrd")]) == 2
    assert "a video file that can be decoded" in capsys.readouterr().err
    assert not (tmp_path / "out.rrd").exists()
