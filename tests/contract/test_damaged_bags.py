"""Damaged bags: read as far as they go, never a crash, never a loss in silence."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from bench import bag_fuzz
from bench.bag_fuzz import fuzz
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from lrm_bringup.bags.bag import RecordedBag
from lrm_bringup.bags.faults import Faults
from lrm_bringup.replay.run import expand
from lrm_core.errors import BadInput

MESSAGES = 60


def write_bag(folder: Path, plugin: StoragePlugin, compressed: bool = False) -> Path:
    """A bag of two topics, several chunks in MCAP; returns its file."""
    store = get_typestore(Stores.ROS2_JAZZY)
    text, image = store.types["std_msgs/msg/String"], store.types["std_msgs/msg/Int32"]
    writer = Writer(folder, version=Writer.VERSION_LATEST, storage_plugin=plugin)
    if compressed:
        writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    with writer:
        topics = [
            (writer.add_connection(name, kind.__msgtype__, typestore=store), kind)
            for name, kind in (("/said", text), ("/counted", image))
        ]
        for number in range(MESSAGES):
            for connection, kind in topics:
                message = kind(str(number) * 20_000) if kind is text else kind(number)
                data = store.serialize_cdr(message, kind.__msgtype__)
                writer.write(connection, 10**9 * (number + 1), data)
    return next(path for path in folder.iterdir() if path.suffix in (".mcap", ".db3"))


def read(path: Path) -> tuple[int, RecordedBag]:
    bag = RecordedBag(path)
    return sum(1 for _ in bag.decoded()), bag


@pytest.fixture(params=["mcap", "mcap compressed", "sqlite3"])
def bag_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    plugin = StoragePlugin.SQLITE3 if request.param == "sqlite3" else StoragePlugin.MCAP
    return write_bag(tmp_path / "bag", plugin, "compressed" in request.param)


def test_a_whole_bag_has_no_faults(bag_file: Path) -> None:
    count, bag = read(bag_file)
    assert count == 2 * MESSAGES
    assert list(bag.faults) == []


def test_a_cut_bag_is_read_up_to_the_cut(tmp_path: Path) -> None:
    data = write_bag(tmp_path / "bag", StoragePlugin.MCAP).read_bytes()
    counts = []
    for share in range(1, 20):
        cut = tmp_path / "cut.mcap"
        cut.write_bytes(data[: len(data) * share // 20])
        count, bag = read(cut)
        assert bag.faults.losses, share
        assert any("cut short" in fault.text for fault in bag.faults.warnings)
        counts.append(count)
    assert counts == sorted(counts)
    assert counts[0] == 0
    assert counts[-1] > MESSAGES


def test_a_chunk_that_is_damaged_costs_its_messages_and_no_others(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "bag", StoragePlugin.MCAP, compressed=True)
    data = bytearray(path.read_bytes())
    at = data.index(b"zstd") + 40  # inside the first chunk
    data[at : at + 8] = bytes(8)
    path.write_bytes(data)
    count, bag = read(path)
    lost = sum(fault.lost for fault in bag.faults.losses if "summary" in fault.text)
    assert 0 < count < 2 * MESSAGES
    assert count + lost == 2 * MESSAGES
    assert any("chunk at byte" in fault.text for fault in bag.faults.losses)


def test_a_chunk_that_claims_to_be_huge_is_refused_without_the_memory(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "bag", StoragePlugin.MCAP, compressed=True)
    data = bytearray(path.read_bytes())
    at = data.index(b"zstd") - 16  # uint64 unpacked size, uint32 checksum, uint32 length of "zstd"
    struct.pack_into("<Q", data, at, 2**40)
    path.write_bytes(data)
    count, bag = read(path)
    assert 0 < count < 2 * MESSAGES
    assert any("unpacked" in fault.text for fault in bag.faults.losses)


def test_a_message_too_many_in_the_summary_is_reported(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "bag", StoragePlugin.MCAP)
    data = path.read_bytes()
    entry = struct.pack("<HQ", 2, MESSAGES)
    assert data.count(entry) == 1
    path.write_bytes(data.replace(entry, struct.pack("<HQ", 2, MESSAGES + 3)))
    _, bag = read(path)
    (fault,) = bag.faults.losses
    assert (fault.where, fault.lost) == ("/counted", 3)


@pytest.mark.parametrize("names", [["a", "b"], ["run_0", "other_1"], ["t_00", "t_05"], ["run_3", "run_7"]])
def test_a_folder_of_unrelated_files_is_not_one_bag(tmp_path: Path, names: list[str]) -> None:
    file = write_bag(tmp_path / "bag", StoragePlugin.MCAP)
    (tmp_path / "loose").mkdir()
    files = [Path(shutil.copy(file, tmp_path / "loose" / f"{name}.mcap")) for name in sorted(names)]
    with pytest.raises(BadInput, match="one by one"):
        RecordedBag(tmp_path / "loose")
    assert expand([tmp_path / "loose"]) == files
    shutil.move(tmp_path / "bag", tmp_path / "loose" / "bag")
    assert expand([tmp_path / "loose"]) == [tmp_path / "loose" / "bag", *files]


def test_a_split_bag_needs_no_metadata_and_no_other_file_beside_it(tmp_path: Path) -> None:
    file = write_bag(tmp_path / "bag", StoragePlugin.MCAP)
    (tmp_path / "split").mkdir()
    for number in (9, 10):
        shutil.copy(file, tmp_path / "split" / f"run_{number}.mcap")
    assert read(tmp_path / "split")[0] == 4 * MESSAGES
    assert expand([tmp_path / "split"]) == [tmp_path / "split"]
    shutil.copy(file, tmp_path / "split" / "other.mcap")
    with pytest.raises(BadInput, match="folder of their own"):
        expand([tmp_path / "split"])


@pytest.mark.parametrize("content", [b"", b"\x89MCAP0\r\n", b"SQLite format 3\x00", b"x" * 100])
@pytest.mark.parametrize("suffix", [".mcap", ".db3"])
def test_a_file_that_is_no_bag_is_refused_or_empty(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"bad{suffix}"
    path.write_bytes(content)
    try:
        bag = RecordedBag(path)
    except BadInput:
        return
    assert list(bag.messages()) == []
    assert bag.faults.losses


@pytest.mark.parametrize("files", ["[null]", "7", "{a: b}", "[]"])
def test_metadata_that_names_no_files_leaves_the_files_to_be_read(tmp_path: Path, files: str) -> None:
    write_bag(tmp_path / "bag", StoragePlugin.MCAP)
    metadata = tmp_path / "bag" / "metadata.yaml"
    listed = yaml.safe_load(metadata.read_text())
    listed["rosbag2_bagfile_information"]["relative_file_paths"] = yaml.safe_load(files)
    metadata.write_text(yaml.safe_dump(listed))
    assert read(tmp_path / "bag")[0] == 2 * MESSAGES


def records(data: bytes) -> Iterator[tuple[int, int]]:
    """Kind and place of every record between the marks at both ends."""
    at = 8
    while at < len(data) - 8:
        yield data[at], at
        at += 9 + int(struct.unpack_from("<Q", data, at + 1)[0])


@pytest.fixture
def bare_file(tmp_path: Path) -> bytearray:
    """Bytes of an MCAP file of bare messages without a summary, as a kill leaves it."""
    from mcap.writer import Writer as BareWriter

    with (tmp_path / "bare.mcap").open("wb") as stream:
        writer = BareWriter(stream, use_chunking=False, use_statistics=False, use_summary_offsets=False)
        writer.start()
        schema = writer.register_schema("std_msgs/msg/Int32", "ros2msg", b"int32 data")
        channel = writer.register_channel("/counted", "cdr", schema)
        for number in range(MESSAGES):
            writer.add_message(channel, number, struct.pack("<Ii", 0x100, number), number)
        writer.finish()
    data = bytearray((tmp_path / "bare.mcap").read_bytes())
    end = next(at for kind, at in records(data) if kind == 0x0F)
    return data[: end + 13]


@pytest.mark.parametrize("kind", [0x01, 0x02, 0x07, 0x0B, 0x0F, 0x15, 0x85])
def test_a_message_that_became_a_record_of_another_kind_costs_itself_and_is_reported(
    bare_file: bytearray, tmp_path: Path, kind: int
) -> None:
    path = tmp_path / "flipped.mcap"
    path.write_bytes(bare_file)
    count, bag = read(path)
    assert (count, bag.faults.losses) == (MESSAGES, [])
    messages = [at for found, at in records(bytes(bare_file) + bytes(8)) if found == 0x05]
    bare_file[messages[MESSAGES // 3]] = kind
    path.write_bytes(bare_file)
    count, bag = read(path)
    assert count == MESSAGES - 1
    assert [fault.lost for fault in bag.faults.losses] == [1]


def test_a_fault_that_is_met_in_every_pass_is_one_fault(bare_file: bytearray, tmp_path: Path) -> None:
    path = tmp_path / "cut.mcap"
    path.write_bytes(bare_file[:-20])
    bag = RecordedBag(path)
    told = [str(fault) for fault in bag.faults]
    for _ in range(2):
        assert sum(1 for _ in bag.decoded()) == MESSAGES - 1
        assert [str(fault) for fault in bag.faults] == told
    assert [fault.count for fault in bag.faults.losses] == [1]


def test_hundreds_of_mutations_crash_nothing_and_lose_nothing_in_silence(tmp_path: Path) -> None:
    files = [
        write_bag(tmp_path / "plain", StoragePlugin.MCAP),
        write_bag(tmp_path / "packed", StoragePlugin.MCAP, compressed=True),
        write_bag(tmp_path / "sqlite", StoragePlugin.SQLITE3),
    ]
    outcome = fuzz([*files, tmp_path / "plain", tmp_path / "sqlite"], 300, 0, tmp_path)
    assert outcome.faults == []
    assert outcome.kinds["reported"] > 30
    assert outcome.kinds.total() >= 300, "of a bag that was cut and then flipped, both readings count when they fail"


def test_the_fuzzer_finds_a_reader_that_keeps_its_losses_to_itself(
    bare_file: bytearray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Warnings are no report: a file without a summary has one in every copy."""
    (tmp_path / "left.mcap").write_bytes(bare_file)
    write_bag(tmp_path / "plain", StoragePlugin.MCAP)
    files = [tmp_path / "left.mcap", tmp_path / "plain"]
    monkeypatch.setattr(Faults, "lose", lambda self, where, kind, *_: self.warn(where, kind))
    outcome = fuzz(files, 60, 0, tmp_path)
    assert outcome.kinds["silent"] > 5
    assert outcome.kinds["reported"] == 0
    assert any(bag_fuzz.CUT_AND_FLIP in fault for fault in outcome.faults)


def test_the_fuzzer_goes_on_after_a_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write_bag(tmp_path / "plain", StoragePlugin.MCAP)
    whole = bag_fuzz.read(file)

    def hangs(path: Path) -> bag_fuzz.Reading:
        while path.name == "mutated.mcap":
            pass
        return whole

    monkeypatch.setattr(bag_fuzz, "read", hangs)
    monkeypatch.setattr(bag_fuzz, "SLOW_S", 0.05)
    outcome = fuzz([file], 2, 0, tmp_path)
    assert set(outcome.kinds) == {"hung"}
    assert len(outcome.faults) == outcome.kinds["hung"] >= 2
