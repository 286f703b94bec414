"""sqlite3 files, through ``rosbags``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lrm_bringup.bags.faults import Faults
from lrm_bringup.bags.types import RecordedMessage, RecordedTopic
from lrm_core.errors import BadInput


class SqliteFile:
    """One sqlite3 file (.db3).

    Args:
        path: the file.
        faults: where faults are noted.

    Raises:
        BadInput: no sqlite3 file of rosbag2.
    """

    def __init__(self, path: Path, faults: Faults) -> None:
        self.path, self._faults = path, faults
        log = path.with_name(f"{path.name}-wal")
        if log.is_file() and log.stat().st_size:
            faults.lose(path.name, "wal", f"was never closed: messages in {log.name} are not read")
        with self._open() as reader:
            self._topics = {one.id: _topic(one) for one in reader.connections}
            self.counts = {self._topics[one.id]: int(one.msgcount) for one in reader.connections}
            homeless = reader.metadata.message_count - sum(self.counts.values())
        if homeless:
            faults.lose(path.name, "homeless", f"holds {homeless} messages of topics that it does not list", homeless)

    def messages(self, wanted: frozenset[RecordedTopic] | None = None) -> Iterator[RecordedMessage]:
        """All messages of the wanted topics, in the order of time."""
        left, read = self.path.stat().st_size, 0
        with self._open() as reader:
            found = [c for c in reader.connections if wanted is None or self._topics.get(c.id) in wanted]
            try:
                for connection, log_ns, data in reader.messages(found):
                    # What a damaged file repeats for ever is more than the file can hold.
                    left -= max(1, len(data))
                    if left < 0:
                        raise ValueError("it repeats itself")
                    yield RecordedMessage(self._topics[connection.id], int(log_ns), bytes(data))
                    read += 1
            except _failures() as error:
                text = f"damaged ({error}) after {read} messages: the rest cannot be read"
                self._faults.lose(self.path.name, "damage", text)

    @contextmanager
    def _open(self) -> Iterator[Any]:
        from rosbags.rosbag2.storage_sqlite3 import Sqlite3Reader

        reader = Sqlite3Reader(self.path)
        try:
            reader.open()
        except _failures() as error:
            raise BadInput("bag file", self.path.name, "an sqlite3 file of rosbag2", f"({error})") from error
        try:
            yield reader
        finally:
            reader.close()


def _topic(connection: Any) -> RecordedTopic:
    from rosbags.rosbag2.metadata import dump_qos_v8

    kinds = {1: "ros2msg", 2: "ros2idl"}
    definition = connection.msgdef
    return RecordedTopic(
        str(connection.topic), str(connection.msgtype), str(connection.ext.serialization_format),
        str(definition.data), kinds.get(definition.format.value, ""),
        dump_qos_v8(connection.ext.offered_qos_profiles),
    )  # fmt: skip


def _failures() -> tuple[type[Exception], ...]:
    """What a damaged database makes the library raise."""
    import apsw
    from rosbags.rosbag2 import ReaderError

    return (apsw.Error, ReaderError, ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError)
