"""MCAP files, front to back, in memory that does not depend on their size (format: https://mcap.dev/spec).

A record is an opcode (uint8), a length (uint64, little endian) and that many bytes. Messages lie in chunks, compressed
or not, or bare; a summary at the end repeats schemas and channels and counts messages. Nothing here trusts a length.
"""

from __future__ import annotations

import struct
from binascii import crc32
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import lz4.frame
from backports import zstd

from lrm_bringup.bags.faults import Faults
from lrm_bringup.bags.types import RecordedMessage, RecordedTopic
from lrm_core.errors import BadInput

MAGIC = b"\x89MCAP0\r\n"
_HEADER, _FOOTER, _SCHEMA, _CHANNEL, _MESSAGE, _CHUNK = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06
_MESSAGE_INDEX, _ATTACHMENT, _METADATA = 0x07, 0x09, 0x0C
_STATISTICS, _DATA_END, _PRIVATE = 0x0B, 0x0F, 0x80
_PASSED_OVER = (_MESSAGE_INDEX, _ATTACHMENT, _METADATA)
"""Records between the messages that say nothing about them."""
_SUMMARY = (_STATISTICS, 0x08, 0x0A, 0x0D, 0x0E)
"""Records behind the messages: statistics, and indexes of chunks, attachments, metadata and of the summary itself."""
_FOOTER_BYTES = 9 + 20 + len(MAGIC)
MAX_RECORD_BYTES = 512 * 2**20
"""Larger records and chunks are refused: no camera writes them, and a damaged length asks for them."""


class _Record(NamedTuple):
    opcode: int
    data: bytes


class _Damage(Exception):
    """Bytes that are no record."""


class McapFile:
    """One MCAP file.

    Args:
        path: the file.
        faults: where faults are noted, under the name of the file or of the topic.

    Raises:
        BadInput: no MCAP file.
    """

    def __init__(self, path: Path, faults: Faults) -> None:
        self.path, self._faults = path, faults
        self._schemas: dict[int, tuple[str, str, str]] = {}
        self._channels: dict[int, RecordedTopic] = {}
        self._declared: Counter[int] | None = None
        self.counts: dict[RecordedTopic, int] = {}
        self._size = path.stat().st_size
        with path.open("rb") as stream:
            start = stream.read(len(MAGIC))
            if start != MAGIC:
                raise BadInput("bag file", path.name, "an MCAP file", f"It begins with {start[:8]!r}.")
            self._read_summary(stream)
        if self._declared is None:
            self._faults.warn(path.name, "no summary", "the file has no whole summary: cut short, or never closed")
            self._count()
        else:
            self.counts = dict.fromkeys(self._channels.values(), 0)
            for channel, count in self._declared.items():
                if channel in self._channels:
                    self.counts[self._channels[channel]] += count

    def messages(self, wanted: frozenset[RecordedTopic] | None = None) -> Iterator[RecordedMessage]:
        """All messages of the wanted topics, in the order of the file, those of one chunk in the order of time."""
        seen: Counter[int] = Counter()
        with self.path.open("rb") as stream:
            for channel, log_ns, data in self._scan(stream):
                seen[channel] += 1
                topic = self._channels.get(channel)
                if topic is None:
                    text = f"messages of channel {channel}, which the file does not describe"
                    self._faults.lose(self.path.name, f"channel {channel}", text)
                elif wanted is None or topic in wanted:
                    yield RecordedMessage(topic, log_ns, data)
        self._compare(seen)

    def metadata(self) -> dict[str, dict[str, str]]:
        """The metadata records by name, the last one of each; those behind damage are not found. Reads no message."""
        found: dict[str, dict[str, str]] = {}
        with self.path.open("rb") as stream:
            at = stream.seek(len(MAGIC))
            while len(head := stream.read(9)) == 9:
                opcode, length = struct.unpack("<BQ", head)
                if opcode == 0 or length > min(self._size - at - 9, MAX_RECORD_BYTES):
                    break
                if opcode == _METADATA:
                    found |= _metadata(stream.read(length))
                at = stream.seek(at + 9 + length)
        return found

    def _compare(self, seen: Counter[int]) -> None:
        """No loss is silent: what the summary counts and what was read have to agree."""
        for channel in sorted(set(seen) | set(self._declared or {})) if self._declared is not None else ():
            declared = self._declared[channel] if self._declared else 0
            if seen[channel] != declared:
                where = self._channels[channel].name if channel in self._channels else self.path.name
                text = f"{seen[channel]} messages were found, the summary of {self.path.name} counts {declared}"
                self._faults.lose(where, "count", text, max(1, declared - seen[channel]))

    def _count(self) -> None:
        for message in self.messages():
            self.counts[message.topic] = self.counts.get(message.topic, 0) + 1
        for topic in self._channels.values():
            self.counts.setdefault(topic, 0)

    def _read_summary(self, stream: BinaryIO) -> None:
        """Schemas, channels and counts from the end of the file, where there is a whole end."""
        footer_at = self._size - _FOOTER_BYTES
        if footer_at < len(MAGIC):
            return
        stream.seek(footer_at)
        footer = stream.read(_FOOTER_BYTES)
        opcode, length, summary_at = struct.unpack_from("<BQQ", footer)
        if (opcode, length) != (_FOOTER, 20) or not footer.endswith(MAGIC):
            return
        if not len(MAGIC) < summary_at < footer_at:
            return
        stream.seek(summary_at)
        try:
            for record in _records(stream, footer_at):
                self._take(record)
        except (_Damage, struct.error, ValueError, MemoryError) as error:
            self._faults.warn(self.path.name, "summary", f"the summary is damaged ({error})")
            self._declared = None

    def _take(self, record: _Record) -> None:
        if record.opcode == _SCHEMA:
            self._take_schema(record.data)
        elif record.opcode == _CHANNEL:
            self._take_channel(record.data)
        elif record.opcode == _STATISTICS:
            pairs = _sized(record.data, 42)
            self._declared = Counter({key: count for key, count in struct.iter_unpack("<HQ", pairs) if count})

    def _take_schema(self, data: bytes) -> None:
        (key,) = struct.unpack_from("<H", data)
        name, at = _text(data, 2)
        encoding, at = _text(data, at)
        schema = (name, encoding, _sized(data, at).decode("utf-8", "replace"))
        if self._schemas.setdefault(key, schema) != schema:
            self._faults.warn(
                self.path.name, f"schema {key}", f"describes the type {name} in two ways; the first holds"
            )

    def _take_channel(self, data: bytes) -> None:
        key, schema = struct.unpack_from("<HH", data)
        name, at = _text(data, 4)
        encoding, at = _text(data, at)
        metadata = dict(_pairs(_sized(data, at)))
        msgtype, definition_format, definition = self._schemas.get(schema, ("", "", ""))
        qos = metadata.get("offered_qos_profiles", "")
        topic = RecordedTopic(name, msgtype, encoding, definition, definition_format, qos)
        if self._channels.setdefault(key, topic) != topic:
            self._faults.warn(name, f"channel {key}", f"channel {key} is described in two ways; the first holds")

    def _scan(self, stream: BinaryIO) -> Iterator[tuple[int, int, bytes]]:
        """(channel, log time, payload) of every message; schemas and channels are learnt on the way."""
        stream.seek(len(MAGIC))
        try:
            for record in _records(stream, self._size):
                if self._ends_data(record, stream):
                    return
                yield from self._messages_of(record, stream.tell() - len(record.data))
        except (_Damage, struct.error, ValueError, MemoryError) as error:
            rest = self._size - stream.tell()
            text = f"damaged ({error}): the last {rest} of {self._size} bytes cannot be read"
            self._faults.lose(self.path.name, "damage", text)
        else:
            self._faults.lose(self.path.name, "end", "the file ends without the mark of its end")

    def _ends_data(self, record: _Record, stream: BinaryIO) -> bool:
        """No flipped bit ends a file early: the mark of the end has its length, and an end behind it."""
        left = self._size - stream.tell()
        if record.opcode == _FOOTER:
            return len(record.data) == 20 and left <= len(MAGIC)
        if record.opcode != _DATA_END or len(record.data) != 4:
            return False
        head = stream.read(9)
        stream.seek(-len(head), 1)
        if len(head) < 9:
            return True  # cut in what only repeats the messages
        opcode, length = struct.unpack("<BQ", head)
        return opcode in (_FOOTER, _SCHEMA, _CHANNEL, *_SUMMARY) and length <= left - 9

    def _messages_of(self, record: _Record, at: int) -> Iterator[tuple[int, int, bytes]]:
        if record.opcode == _MESSAGE:
            yield _message(record.data)
        elif record.opcode == _CHUNK:
            messages: list[tuple[int, int, bytes]] = []
            try:
                for inner in _records_in(_unpacked(record.data)):
                    if inner.opcode == _MESSAGE:
                        messages.append(_message(inner.data))
                    else:
                        self._learn(inner, ())
            except (_Damage, struct.error, ValueError, RuntimeError, EOFError, MemoryError, zstd.ZstdError) as error:
                self._faults.lose(self.path.name, f"chunk {at}", f"the chunk at byte {at} is damaged ({error})")
            yield from sorted(messages, key=lambda message: message[1])
        else:
            self._learn(record, (_HEADER,) if at == len(MAGIC) + 9 else _PASSED_OVER)

    def _learn(self, record: _Record, passed_over: Sequence[int]) -> None:
        """Take schemas and channels; a record that has no place here may have been a message."""
        kind, data = record
        if kind in (_SCHEMA, _CHANNEL):
            self._take(record)
            return
        in_place = kind in passed_over and (kind != _MESSAGE_INDEX or _is_index(data))
        counted = kind >= _PRIVATE and self._declared is not None  # the summary tells whether messages are missing
        if not (in_place or counted):
            self._faults.lose(self.path.name, "opcode", f"holds records of kind 0x{kind:02x} where they have no place")


def _records(stream: BinaryIO, end: int) -> Iterator[_Record]:
    """Records from here to ``end``; raises at the first that is none. The stream stays at the start of that one."""
    while (at := stream.tell()) < end:
        head = stream.read(9)
        if len(head) < 9:
            stream.seek(at)
            raise _Damage(f"half a record at byte {at}")
        opcode, length = struct.unpack("<BQ", head)
        if opcode == 0 or length > min(end - at - 9, MAX_RECORD_BYTES):
            if opcode == MAGIC[0] and head[:8] == MAGIC and at + 8 == end:
                return
            stream.seek(at)
            raise _Damage(f"no record at byte {at}: kind 0x{opcode:02x}, {length} bytes")
        yield _Record(opcode, stream.read(length))


def _records_in(chunk: bytes) -> Iterator[_Record]:
    at = 0
    while at < len(chunk):
        if at + 9 > len(chunk):
            raise _Damage(f"half a record at its byte {at}")
        opcode, length = struct.unpack_from("<BQ", chunk, at)
        if opcode == 0 or length > len(chunk) - at - 9:
            raise _Damage(f"no record at its byte {at}: kind 0x{opcode:02x}, {length} bytes")
        yield _Record(opcode, chunk[at + 9 : at + 9 + length])
        at += 9 + length


def _unpacked(data: bytes) -> bytes:
    """The records of a chunk; never more bytes than it says, nor more than the limit."""
    _, _, size, checksum = struct.unpack_from("<QQQI", data)
    compression, at = _text(data, 28)
    (length,) = struct.unpack_from("<Q", data, at)
    packed = data[at + 8 : at + 8 + length]
    if len(packed) != length or size > MAX_RECORD_BYTES:
        raise _Damage(f"it says that it holds {length} bytes packed, {size} unpacked")
    if compression == "":
        unpacked = packed
    elif compression == "zstd":
        unpacked = _decompress(zstd.ZstdDecompressor(), packed, size)
    elif compression == "lz4":
        unpacked = _decompress(lz4.frame.LZ4FrameDecompressor(), packed, size)
    else:
        raise _Damage(f"its compression {compression[:20]!r} is not known")
    if len(unpacked) != size:
        raise _Damage(f"{len(unpacked)} bytes in place of {size}")
    if checksum and crc32(unpacked) != checksum:
        raise _Damage("its checksum is wrong")
    return unpacked


def _decompress(decompressor: Any, packed: bytes, size: int) -> bytes:
    """At most ``size + 1`` bytes: one too many tells that there are more."""
    parts, total = [decompressor.decompress(packed, max_length=size + 1)], 0
    while (total := total + len(parts[-1])) <= size and parts[-1] and not decompressor.eof:
        parts.append(decompressor.decompress(b"", max_length=size + 1 - total))
    return b"".join(parts)


def _metadata(data: bytes) -> dict[str, dict[str, str]]:
    try:
        name, at = _text(data, 0)
        return {name: dict(_pairs(_sized(data, at)))}
    except (_Damage, struct.error):
        return {}


def _is_index(data: bytes) -> bool:
    """True for a channel, a length, and that many bytes of (time, offset): what a chunk or a message cannot be."""
    return len(data) >= 6 and struct.unpack_from("<I", data, 2) == (len(data) - 6,) and len(data) % 16 == 6


def _message(data: bytes) -> tuple[int, int, bytes]:
    channel, _, log_ns, _ = struct.unpack_from("<HIQQ", data)
    return channel, min(log_ns, 2**63 - 1), data[22:]


def _sized(data: bytes, at: int) -> bytes:
    (length,) = struct.unpack_from("<I", data, at)
    if at + 4 + length > len(data):
        raise _Damage(f"{length} bytes of text in a record of {len(data)}")
    return data[at + 4 : at + 4 + length]


def _text(data: bytes, at: int) -> tuple[str, int]:
    found = _sized(data, at)
    return found.decode("utf-8", "replace"), at + 4 + len(found)


def _pairs(data: bytes) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(data):
        key, at = _text(data, at)
        value, at = _text(data, at)
        yield key, value
