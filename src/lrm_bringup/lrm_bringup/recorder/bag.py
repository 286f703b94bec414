"""One bag on disk: written under a temporary name, closed even on a full disk, checked, then put in its place."""

from __future__ import annotations

import os
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from rosbags.interfaces import Connection, Qos
from rosbags.rosbag2 import CompressionFormat, CompressionMode, Reader, ReaderError, StoragePlugin, Writer

from lrm_bringup.recorder.definitions import MessageDefinitions
from lrm_core.errors import LrmError

PARTIAL = ".partial"
FACTS = "lrm"
"""Name of the metadata record at the start of a bag."""
_METADATA = 0x0C


@dataclass(frozen=True)
class Topic:
    """A topic as a bag knows it.

    Attributes:
        name: full name.
        msgtype: for example ``lrm_msgs/msg/Reward``.
        latched: late subscribers get old messages (transient local).
        qos: what the publishers offer.
    """

    name: str
    msgtype: str
    latched: bool = False
    qos: tuple[Qos, ...] = ()


class Bag:
    """A bag being written to ``<out_dir>/.partial/<name>``; :meth:`close` moves it to ``<out_dir>/<name>``.

    Args:
        out_dir: folder of the bags.
        name: name of the bag, unique in ``out_dir``.
        definitions: where the message definitions come from.
        compressed: compress the chunks with zstd.
        reserve_bytes: room that a file beside the bag keeps free until the bag is closed.
        facts: what is known of the bag already; a bag that is never closed holds them as its metadata record ``lrm``.

    Attributes:
        path: where the bag will be.
        partial: where it is until then.

    Raises:
        OSError: the folder cannot be created, or there is no room for the reserve.
    """

    def __init__(
        self,
        out_dir: Path,
        name: str,
        definitions: MessageDefinitions,
        *,
        compressed: bool,
        reserve_bytes: int,
        facts: Mapping[str, str] | None = None,
    ) -> None:
        self.path = out_dir / name
        self._definitions = definitions
        self.partial = out_dir / PARTIAL / name
        self._reserve = out_dir / PARTIAL / f"{name}.reserve"
        self.partial.parent.mkdir(parents=True, exist_ok=True)
        _write_reserve(self._reserve, reserve_bytes)
        self._writer = Writer(self.partial, version=Writer.VERSION_LATEST, storage_plugin=StoragePlugin.MCAP)
        self._writer.set_compression(
            CompressionMode.STORAGE if compressed else CompressionMode.NONE, CompressionFormat.ZSTD
        )
        self._writer.open()
        self._connections: dict[str, Connection] = {}
        self._whole_bytes = self._newest_ns = 0
        if facts:
            self._file().write(metadata_record(FACTS, facts))
            self._file().flush()
        self._mark()

    @property
    def counts(self) -> Counter[str]:
        """Messages written so far, by topic."""
        return Counter({name: self._writer.counts[c.id] for name, c in self._connections.items()})

    def write(self, topic: Topic, stamp_ns: int, data: bytes) -> None:
        """Append one serialized message; a stamp before that of the last one is raised to it.

        Two topics may swap by microseconds, and a bag without index (see ``mending``) is read only when it is in order.

        Raises:
            BadInput: the type of the topic is not known.
            OSError: the disk is full or gone; :meth:`close` still closes the bag with all that was given to it.
        """
        connection = self._connections.get(topic.name) or self._connect(topic)
        self._newest_ns = max(self._newest_ns, stamp_ns)
        try:
            self._writer.write(connection, self._newest_ns, data)
        except OSError:
            # The message is in the chunk that could not be written, and close() writes that chunk again.
            self._writer.counts[connection.id] += 1
            raise
        self._mark()

    @property
    def size_bytes(self) -> int:
        """What it takes on the disk so far."""
        return self._whole_bytes

    def close(self, facts: Mapping[str, str] | None = None) -> Path:
        """Write the index, compare the file with what was written, and move the bag into its place.

        Args:
            facts: kept as rosbag2 keeps its ``custom_data``: in ``metadata.yaml`` and in the file's own metadata.

        Raises:
            LrmError: the file does not hold what was written; the bag stays where it is.
            OSError: the disk is gone.
        """
        self._reserve.unlink(missing_ok=True)
        self._cut_torn_chunk()
        for key, text in (facts or {}).items():
            self._writer.set_custom_data(key, text)
        self._writer.close()
        file = self.partial / f"{self.partial.name}.mcap"
        self._check(file)
        self._check(self.partial)
        _sync(file)
        self.partial.rename(self.path)
        return self.path

    def _connect(self, topic: Topic) -> Connection:
        text, digest = self._definitions.of(topic.msgtype)
        connection = self._writer.add_connection(
            topic.name, topic.msgtype, msgdef=text, rihs01=digest, offered_qos_profiles=topic.qos
        )
        self._connections[topic.name] = connection
        return connection

    def _mark(self) -> None:
        self._whole_bytes = self._file().tell()

    def _cut_torn_chunk(self) -> None:
        """Cut off what a failed write left behind: its chunk is still in memory, and close writes it again."""
        file = self._file()
        file.flush()
        file.seek(self._whole_bytes)
        file.truncate()

    def _file(self) -> BinaryIO:
        # Not public in rosbags, whose version is locked: a torn chunk can be mended nowhere else.
        file: BinaryIO = self._writer.storage.bio  # type: ignore[union-attr]
        return file

    def _check(self, path: Path) -> None:
        try:
            with Reader(path) as reader:
                read = Counter({c.topic: c.msgcount for c in reader.connections})
        except ReaderError as error:
            raise LrmError(f"bag {path} cannot be read: {error}") from error
        if read != self.counts:
            raise LrmError(f"bag {path} holds {dict(read)} messages, written were {dict(self.counts)}")


def metadata_record(name: str, values: Mapping[str, str]) -> bytes:
    """A metadata record of an MCAP file, as https://mcap.dev/spec has it; ``rosbags`` writes only its own."""
    pairs = b"".join(_text(key) + _text(value) for key, value in values.items())
    content = _text(name) + struct.pack("<I", len(pairs)) + pairs
    return struct.pack("<BQ", _METADATA, len(content)) + content


def _text(value: str) -> bytes:
    encoded = value.encode()
    return struct.pack("<I", len(encoded)) + encoded


def _write_reserve(path: Path, size: int) -> None:
    try:
        with path.open("wb") as file:
            for _ in range(size // 65536):
                file.write(bytes(65536))
    except OSError:
        path.unlink(missing_ok=True)
        raise


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
