"""Which message goes into which bag, on real bag files, without ROS."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_typestore

from lrm_bringup.recorder.bag import PARTIAL, Topic
from lrm_bringup.recorder.definitions import MessageDefinitions
from lrm_bringup.recorder.events import Mark, Message, Phase
from lrm_bringup.recorder.mending import left_open, mend_all
from lrm_bringup.recorder.params import RecorderParams
from lrm_bringup.recorder.recording import Recording
from lrm_bringup.recorder.worker import Worker
from lrm_core.disk import LOCK, hold
from lrm_core.errors import BadInput
from small_disk import small_disk

STORE = get_typestore(Stores.ROS2_JAZZY)
TALK = Topic("/talk", "std_msgs/msg/String")
MAP = Topic("/map", "std_msgs/msg/String", latched=True)


def text(value: str, topic: Topic = TALK, at_s: float = 0.0) -> Message:
    data = bytes(STORE.serialize_cdr(STORE.types["std_msgs/msg/String"](value), "std_msgs/msg/String"))
    return Message(topic, round(at_s * 1e9), data)


def texts(bag: Path) -> dict[str, list[str]]:
    read: dict[str, list[str]] = {}
    for file in bag.glob("*.mcap"):
        with Reader(file) as reader:
            for connection, _, data in reader.messages():
                read.setdefault(connection.topic, []).append(STORE.deserialize_cdr(data, connection.msgtype).data)
    return read


class Recorded:
    """A recording, and what it said."""

    def __init__(self, out_dir: Path, about: Callable[[], dict[str, str]] = dict, **params: object) -> None:
        self.out_dir, self.lines = out_dir, []
        log = lambda line, is_error: self.lines.append((line, is_error))  # noqa: E731
        self.recording = Recording(out_dir, RecorderParams(**{"reserve_mb": 1, **params}), log, about)

    def start(self, episode: str, at_s: float = 0.0) -> None:
        self.recording.mark(Mark(Phase.RUNS, episode, stamp_ns=round(at_s * 1e9)), at_s)

    def end(self, episode: str, at_s: float = 0.0, outcome: str = "max_steps") -> None:
        self.recording.mark(Mark(Phase.OVER, episode, outcome), at_s)

    def say(self, *values: str, topic: Topic = TALK, at_s: float = 0.0) -> None:
        for value in values:
            self.recording.message(text(value, topic, at_s))

    @property
    def index(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in (self.out_dir / "episodes.jsonl").read_text().splitlines()]


def test_every_episode_has_its_own_bag_and_the_index_names_it(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path)
    for episode in ("a", "b"):
        recorded.start(episode)
        recorded.say(f"{episode}1", f"{episode}2")
        recorded.end(episode)
        recorded.recording.tick(10.0)
    assert texts(tmp_path / "a") == {"/talk": ["a1", "a2"]}
    assert texts(tmp_path / "b") == {"/talk": ["b1", "b2"]}
    assert [(line["episode_id"], line["bag"], line["messages"], line["outcome"]) for line in recorded.index] == [
        ("a", "a", 2, "max_steps"), ("b", "b", 2, "max_steps"),
    ]  # fmt: skip
    assert list((tmp_path / PARTIAL).iterdir()) == []


def test_what_comes_between_episodes_opens_the_next_bag_up_to_the_preroll(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path, preroll_s=1.0)
    recorded.say("old", at_s=1.0)
    recorded.say("fresh", at_s=9.5)
    recorded.start("a", at_s=10.0)
    recorded.end("a", at_s=11.0)
    recorded.say("still under way", at_s=11.2)
    recorded.recording.tick(11.6)
    recorded.say("for the next", at_s=12.0)
    recorded.start("b", at_s=12.5)
    recorded.recording.close()
    assert texts(tmp_path / "a") == {"/talk": ["fresh", "still under way"]}
    assert texts(tmp_path / "b") == {"/talk": ["for the next"]}


def test_an_observation_that_overtook_the_status_of_its_episode_is_in_its_bag_too(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path)
    recorded.start("a", at_s=10.0)
    for stamp_s in (1, 2, 3):
        recorded.recording.message(joints(stamp_s, at_s=10.0 + 0.01 * stamp_s))
    recorded.start("b", at_s=10.1)
    recorded.recording.message(joints(4, at_s=10.11))
    recorded.recording.mark(Mark(Phase.RUNS, "b", start_ns=3_000_000_000), 10.2)
    recorded.recording.mark(Mark(Phase.RUNS, "b", start_ns=3_000_000_000), 10.3)
    recorded.recording.close()
    assert joint_stamps_s(tmp_path / "a") == [1, 2, 3]
    assert joint_stamps_s(tmp_path / "b") == [3, 4]


def joints(stamp_s: int, at_s: float) -> Message:
    types = STORE.types
    header = types["std_msgs/msg/Header"](types["builtin_interfaces/msg/Time"](stamp_s, 0), "base")
    nothing = np.zeros(0)
    message = types["sensor_msgs/msg/JointState"](header, [], nothing, nothing, nothing)
    data = bytes(STORE.serialize_cdr(message, "sensor_msgs/msg/JointState"))
    return Message(Topic("/joint_states", "sensor_msgs/msg/JointState"), round(at_s * 1e9), data)


def joint_stamps_s(bag: Path) -> list[int]:
    with Reader(bag) as reader:
        read = [STORE.deserialize_cdr(data, c.msgtype).header.stamp.sec for c, _, data in reader.messages()]
    return sorted(read)


def test_a_bag_stays_open_while_what_arrived_before_its_end_is_still_being_taken(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path, linger_s=0.5)
    recorded.start("a", at_s=10.0)
    recorded.recording.mark(Mark(Phase.OVER, "a", "max_steps", stamp_ns=11 * 10**9), 20.0)
    for number in range(3):
        recorded.say(f"late {number}", at_s=10.5)
        recorded.recording.tick(20.4 + 0.4 * number)
    recorded.recording.tick(21.8)
    recorded.say("between the episodes", at_s=15.0)
    recorded.recording.tick(22.0)
    assert texts(tmp_path / "a") == {"/talk": ["late 0", "late 1", "late 2"]}


def test_what_a_busy_executor_takes_topic_by_topic_is_recorded_in_the_order_of_arrival(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path)
    worker = Worker(recorded.recording, 10_000)
    other = Topic("/other", "std_msgs/msg/String")
    for topic in (TALK, other):
        for at_s in (1.0, 2.0, 3.0):
            worker.message(text(f"{at_s:g}", topic, at_s))
    worker.mark(Mark(Phase.RUNS, "a", stamp_ns=10**9))
    worker.start()
    worker.stop()
    with Reader(tmp_path / "a") as reader:
        read = [(stamp_ns // 10**9, c.topic) for c, stamp_ns, _ in reader.messages()]
    assert sorted(read) == [(second, name) for second in (1, 2, 3) for name in ("/other", "/talk")]


def test_latched_messages_open_every_bag_at_the_time_of_the_bag(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path, preroll_s=1.0)
    recorded.say("m1", "m2", topic=MAP, at_s=1.0)
    recorded.say("near", at_s=99.5)
    for at_s, episode in ((100.0, "a"), (200.0, "b")):
        recorded.start(episode, at_s)
        recorded.say(episode, at_s=at_s)
        recorded.end(episode, at_s)
        recorded.recording.tick(at_s + 1.0)
    assert texts(tmp_path / "a") == {"/map": ["m2"], "/talk": ["near", "a"]}
    assert texts(tmp_path / "b") == {"/map": ["m2"], "/talk": ["b"]}
    with Reader(tmp_path / "b" / "b.mcap") as reader:
        assert reader.start_time == round(200.0 * 1e9)


def test_a_second_bag_of_one_episode_gets_a_number_and_a_strange_id_a_safe_name(tmp_path: Path) -> None:
    for _ in range(2):
        recorded = Recorded(tmp_path)
        recorded.start("run/3 é")
        recorded.say("x")
        recorded.recording.close()
    assert sorted(path.name for path in tmp_path.iterdir() if path.name[0] == "r") == ["run_3_é", "run_3_é_2"]


def test_an_unknown_type_is_named_once_and_the_rest_is_recorded(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path)
    recorded.start("a")
    strange = Topic("/strange", "no_such_msgs/msg/Thing")
    for _ in range(3):
        recorded.recording.message(Message(strange, 0, b"\0\1\0\0"))
    recorded.say("x")
    recorded.recording.close()
    assert texts(tmp_path / "a") == {"/talk": ["x"]}
    complaints = [line for line, is_error in recorded.lines if is_error]
    assert len(complaints) == 1
    assert "no_such_msgs/msg/Thing" in complaints[0]
    assert recorded.recording.dropped == 3


def test_definitions_come_from_the_installed_files_with_their_comments() -> None:
    definitions = MessageDefinitions()
    definition, digest = definitions.of("lrm_msgs/msg/Reward")
    assert "UNKNOWN is a state of its own" in definition
    assert "MSG: std_msgs/Header" in definition
    assert digest.startswith("RIHS01_")
    with pytest.raises(BadInput, match="Nothing"):
        definitions.of("lrm_msgs/msg/Nothing")


def test_a_full_disk_closes_the_bag_with_all_it_was_given_says_so_once_and_goes_on_later(tmp_path: Path) -> None:
    with small_disk(tmp_path, megabytes=8) as disk:
        _fill_and_go_on(disk)


def _fill_and_go_on(disk: Path) -> None:
    recorded = Recorded(disk, compression="none", reserve_mb=3)
    (disk / "other").write_bytes(bytes(1_000_000))
    recorded.start("a")
    noise = np.random.default_rng(0).integers(97, 122, 50_000, dtype=np.uint8).tobytes().decode()
    for number in range(200):
        recorded.say(f"{number} {noise}")
    recorded.end("a")
    recorded.recording.tick(10.0)
    (line,) = [line for line, is_error in recorded.lines if is_error]
    assert "No space left on device" in line
    assert recorded.recording.error == line
    kept = texts(disk / "a")["/talk"]
    assert [value.split()[0] for value in kept] == [str(number) for number in range(len(kept))]
    assert 40 < len(kept) < 150
    assert recorded.recording.dropped == 200 - len(kept)
    assert recorded.index[0]["messages"] == len(kept)
    assert "No space left" in str(recorded.index[0]["cut_short"])
    recorded.start("b")
    assert "not recorded" in recorded.lines[-1][0]
    recorded.end("b")
    (disk / "other").unlink()
    (disk / "a" / "a.mcap").unlink()
    recorded.start("c")
    recorded.say("room again")
    recorded.recording.close()
    assert texts(disk / "c") == {"/talk": ["room again"]}
    assert recorded.recording.error == ""


def test_a_disk_budget_deletes_the_oldest_failures_while_it_records(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path, compression="none", disk_budget_gb=0.001)
    filling = "x" * 200_000
    for episode, outcome in (("a", "success_confirmed"), ("b", "max_steps"), ("c", "max_steps"), ("d", "max_steps")):
        recorded.start(episode)
        recorded.say(filling, filling)
        recorded.end(episode, outcome=outcome)
        recorded.recording.tick(10.0)
    left = sorted(path.name for path in tmp_path.iterdir() if path.is_dir() and path.name != PARTIAL)
    assert left == ["a", "d"]
    assert [line["bag"] for line in recorded.index if line.get("deleted")] == ["b", "c"]
    assert recorded.recording.budget.deleted == 2


def test_a_bag_of_a_killed_recorder_is_mended_to_its_last_whole_chunk(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path, compression="none")
    recorded.start("a")
    for number in range(60):
        recorded.say(f"{number} " + "x" * 50_000)
    left = tmp_path / PARTIAL / "a" / "a.mcap"
    whole = left.read_bytes()  # as a kill leaves it: chunks on disk, no summary, the newest messages in memory
    for size in (len(whole), len(whole) - 7, 100, 4):
        left.parent.mkdir(parents=True, exist_ok=True)
        left.write_bytes(whole[:size])
        mended = mend_all(tmp_path, left_open(tmp_path), lambda line, is_error: None)
        kept = [value.split()[0] for bag in mended for value in texts(bag)["/talk"]]
        assert kept == [str(number) for number in range(len(kept))]
        assert (len(kept) >= 20) == (size > 1_000_000), "whole chunks survive"
        assert list((tmp_path / PARTIAL).iterdir()) == []


def test_a_bag_left_on_a_full_disk_is_mended_in_the_room_kept_for_it_or_stays_for_the_next_time(tmp_path: Path) -> None:
    with small_disk(tmp_path, megabytes=9) as disk:
        recorded = Recorded(disk, compression="none", reserve_mb=3)
        recorded.start("a")
        for number in range(60):
            recorded.say(f"{number} " + "x" * 50_000)
        fill(disk / "other")
        left = left_open(disk)
        fill(disk / "more")
        lines: list[tuple[str, bool]] = []
        log = lambda line, is_error: lines.append((line, is_error))  # noqa: E731
        assert mend_all(disk, left, log) == []
        assert ("stays there" in lines[0][0], lines[0][1]) == (True, True)
        assert left_open(disk) == left
        (disk / "more").unlink()
        (saved,) = mend_all(disk, left, log)
        assert len(texts(saved)["/talk"]) >= 20
        assert recorded.index[0]["bag"] == "a"
        assert list((disk / PARTIAL).iterdir()) == []


def fill(path: Path) -> None:
    """Take all room that is left on the disk."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def test_something_else_among_bags_that_were_left_open_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / PARTIAL / "mine").mkdir(parents=True)
    (tmp_path / PARTIAL / "mine" / "notes.txt").write_text("keep")
    for name in ("empty", ".mending/half of a bag that a kill cut short twice"):
        (tmp_path / PARTIAL / name).mkdir(parents=True)
    lines: list[str] = []
    assert mend_all(tmp_path, left_open(tmp_path), lambda line, is_error: lines.append(line)) == []
    assert [path.name for path in (tmp_path / PARTIAL).iterdir()] == ["mine"]
    assert len(lines) == 1


def test_bytes_that_cannot_be_decoded_are_recorded_and_counted_and_recording_goes_on(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path)

    def convert(message: Message) -> Message:
        if message.topic is TALK and message.data == b"torn":
            raise ValueError("no image")
        return message

    worker = Worker(recorded.recording, 10_000, convert)
    worker.mark(Mark(Phase.RUNS, "a"))
    reward = Topic("/reward/progress", "lrm_msgs/msg/Reward")
    for topic, data in ((reward, b"\0\1\0\0\7"), (reward, b""), (TALK, b"torn"), (MAP, b"whole")):
        worker.message(Message(topic, 1, data))
    worker.start()
    worker.stop()
    with Reader(tmp_path / "a") as reader:
        assert Counter(data for _, _, data in reader.messages()) == Counter([b"\0\1\0\0\7", b"", b"torn", b"whole"])
    assert recorded.recording.malformed == {"/reward/progress": 2, "/talk": 1}
    assert len([line for line, is_error in recorded.lines if is_error]) == 2
    assert (recorded.recording.error, recorded.recording.dropped) == ("", 0)


def test_whatever_goes_wrong_with_one_item_is_an_error_until_the_next_episode_is_recorded(tmp_path: Path) -> None:
    answers = iter([{}, RuntimeError("nobody knows")])

    def about() -> dict[str, str]:
        answer = next(answers, {})
        if isinstance(answer, Exception):
            raise answer
        return answer

    recorded = Recorded(tmp_path, about)
    worker = Worker(recorded.recording, 10_000)
    for stamp_ns, episode in enumerate("abc"):
        worker.mark(Mark(Phase.RUNS, episode, stamp_ns=stamp_ns))
        worker.message(Message(TALK, stamp_ns, text(episode).data))
    worker.start()
    worker.stop()
    assert texts(tmp_path / "c") == {"/talk": ["c"]}
    assert [line for line, is_error in recorded.lines if is_error] == [
        "something is not recorded: RuntimeError: nobody knows"
    ]


def test_a_bag_that_is_damaged_while_it_is_open_stays_where_it_is_and_the_next_is_recorded(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path)
    recorded.start("a")
    recorded.say("x")
    with (tmp_path / PARTIAL / "a" / "a.mcap").open("r+b") as file:
        file.write(bytes(8))
    recorded.end("a")
    recorded.recording.tick(10.0)
    assert f"stays in {tmp_path / PARTIAL / 'a'}" in recorded.recording.error
    recorded.start("b")
    recorded.say("y")
    recorded.recording.close()
    assert texts(tmp_path / "b") == {"/talk": ["y"]}
    assert recorded.recording.error == ""


def test_a_bag_that_the_index_cannot_name_is_in_its_place_and_the_error_says_so(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path)
    (tmp_path / "episodes.jsonl").mkdir()
    recorded.start("a")
    recorded.say("x")
    recorded.recording.close()
    assert texts(tmp_path / "a") == {"/talk": ["x"]}
    assert "is whole, and episodes.jsonl does not name it" in recorded.recording.error
    assert recorded.recording.bags == 1


def test_a_folder_has_one_recorder_at_a_time(tmp_path: Path) -> None:
    def held(name: str) -> BinaryIO:
        return hold(tmp_path / name / LOCK, "parameter out_dir", tmp_path / name, "recorder")

    first = held("bags")
    with pytest.raises(BadInput, match="no other recorder"):
        held("bags/../bags")
    held("others").close()
    first.close()
    held("bags").close()


steps = st.lists(st.sampled_from(["say", "latch", "start", "end", "tick"]), max_size=25)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps)
def test_every_message_of_an_episode_is_in_exactly_one_bag(
    steps: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("bags")
    recorded = Recorded(folder, preroll_s=1000.0, reserve_mb=1)
    episodes, said = 0, 0
    for now, step in enumerate(steps):
        if step == "say":
            recorded.say(str(said), at_s=now)
            said += 1
        elif step == "latch":
            recorded.say("latched", topic=MAP, at_s=now)
        elif step == "start":
            episodes += 1
            recorded.start(str(episodes), now)
        elif step == "end" and episodes:
            recorded.end(str(episodes), now)
        else:
            recorded.recording.tick(now + 1000.0)
    recorded.start("last", len(steps))
    recorded.recording.close()
    bags = [texts(path) for path in folder.iterdir() if path.is_dir() and path.name != PARTIAL]
    assert Counter(value for bag in bags for value in bag.get("/talk", [])) == Counter(str(n) for n in range(said))
    assert len(bags) == episodes + 1
    assert recorded.recording.dropped == 0
